/* SPDX-License-Identifier: MIT */
/*
 * kv: a key-value server that Redis's clients can talk to.
 *
 * Shows commands that are atomic without a lock, for they do not wait: only
 * resp_serve() does, between them, when it has sent the answers so far.
 *
 *	build/plain/examples/kv 127.0.0.1:6380
 *	redis-cli -p 6380 incr answers
 *	redis-benchmark -p 6380 -q -c 1000 -P 16 -t ping,set,get,incr
 */
#include <limits.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "resp.h"
#include "serve.h"

struct item {
	struct resp_str key;	/* first, since compare() takes a key for it */
	struct resp_str value;
	tuck_ns expires;	/* it goes when it is asked for after that */
	char bytes[];		/* of key and value */
};

static const char no_memory[] = "-OOM out of memory";
static const char not_int[] = "-ERR value is not an integer or out of range";
static void *table;		/* of items, see tsearch(3) */

static int compare(const void *a, const void *b)
{
	const struct resp_str *x = a, *y = b;

	return x->n < y->n ? -1 : x->n > y->n ? 1 : memcmp(x->p, y->p, x->n);
}

static int drop(struct item *e)
{
	if (!e)
		return 0;
	tdelete(e, &table, compare);
	free(e);
	return 1;
}

static struct item *find(struct resp_str key)
{
	struct item **at = tfind(&key, &table, compare);

	if (!at || (*at)->expires > tuck_now())
		return at ? *at : NULL;
	drop(*at);
	return NULL;
}

static const char *store(struct resp_str key, struct resp_str value,
			 tuck_ns expires)
{
	struct item **at, *e = malloc(sizeof(*e) + key.n + value.n + 2);

	if (!e)
		return no_memory;
	e->expires = expires;
	e->key = (struct resp_str){ key.n, e->bytes };
	e->value = (struct resp_str){ value.n, e->bytes + key.n + 1 };
	memcpy(e->key.p, key.p, key.n + 1);
	memcpy(e->value.p, value.p, value.n + 1);
	at = tsearch(e, &table, compare);	/* it, or the one before it */
	free(!at ? e : *at != e ? *at : NULL);
	if (at)
		*at = e;
	return at ? "+OK" : no_memory;
}

static const char *incr(struct resp *r, struct item *e)
{
	char text[24];
	long long n = 0;

	if (e && resp_number(e->value.p, LLONG_MIN, LLONG_MAX - 1, &n) < 0)
		return not_int;
	snprintf(text, sizeof(text), "%lld", ++n);
	if (store(r->argv[1], (struct resp_str){ strlen(text), text },
		  e ? e->expires : TUCK_FOREVER) == no_memory)
		return no_memory;
	return resp_integer(r, n);
}

/* Do a command; of the answer, return the last line. */
static const char *execute(struct resp *r)
{
	const struct resp_str *v = r->argv;
	struct item *e = r->argc > 1 ? find(v[1]) : NULL;
	long long n = 0;

	if (resp_is(r, "ping", 0, 1))
		return r->argc > 1 ? resp_bulk(r, &v[1]) : "+PONG";
	if (resp_is(r, "echo", 1, 1))
		return resp_bulk(r, &v[1]);
	if (resp_is(r, "get", 1, 1))
		return resp_bulk(r, e ? &e->value : NULL);
	if (resp_is(r, "set", 2, 2))
		return store(v[1], v[2], TUCK_FOREVER);
	if (resp_is(r, "incr", 1, 1))
		return incr(r, e);
	if (resp_is(r, "expire", 2, 2)) {
		if (resp_number(v[2].p, INT_MIN, INT_MAX, &n) < 0)
			return not_int;
		if (e)
			e->expires = n > 0 ? tuck_after(TUCK_SEC(n)) : 0;
		return resp_integer(r, e != NULL);
	}
	if (resp_is(r, "ttl", 1, 1)) {
		if (!e || e->expires == TUCK_FOREVER)
			return resp_integer(r, e ? -1 : -2);
		n = e->expires - tuck_now() + TUCK_MS(500);
		return resp_integer(r, n / TUCK_SEC(1));
	}
	if (resp_is(r, "del", 1, RESP_ARGS_MAX)) {
		for (int i = 1; i < r->argc; i++)
			n += drop(find(v[i]));
		return resp_integer(r, n);
	}
	if (resp_is(r, "mget", 1, RESP_ARGS_MAX)) {
		fprintf(r->out, "*%d\r\n", r->argc - 1);
		for (int i = 1; i < r->argc; i++) {
			e = find(v[i]);
			fprintf(r->out, "%s\r\n",
				resp_bulk(r, e ? &e->value : NULL));
		}
		return NULL;
	}
	if (resp_is(r, "config", 2, 2))		/* GET: nothing is set */
		return fprintf(r->out, "*2\r\n$0\r\n\r\n"), "$0\r\n";
	if (resp_is(r, "command", 0, RESP_ARGS_MAX))
		return "*0";
	return resp_unknown(r);
}

static void serve(void *fd)
{
	resp_serve((int)(intptr_t)fd, execute);
}

int main(int argc, char **argv)
{
	return serve_at(argc > 1 ? argv[1] : "127.0.0.1:6380", serve);
}
