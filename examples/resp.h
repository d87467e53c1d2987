/* SPDX-License-Identifier: MIT */
/*
 * Requests and answers in RESP, the protocol of Redis:
 * https://redis.io/docs/reference/protocol-spec/
 */
#ifndef RESP_H
#define RESP_H

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define RESP_ARGS_MAX  64
#define RESP_BYTES_MAX 30000	/* of one argument */

/* A string of any bytes; p[n] is a NUL. */
struct resp_str {
	size_t n;
	char *p;
};

struct resp {
	int fd, argc;
	struct resp_str argv[RESP_ARGS_MAX];	/* they lie in in[] */
	const char *known;	/* the command, if it is one */
	FILE *out;		/* for answers; writing there does not wait */
	char *text;		/* what was written there */
	size_t text_n, at, n;	/* in[at..n) is yet to be parsed */
	char in[65536];		/* a request is at most half of that */
};

/*
 * Serve the client that is connected to fd, until it goes: call execute for
 * each request. That writes its answer to out, but returns its last line, or
 * NULL if it wrote that too. It must not wait. Answers are sent when there is
 * nothing more to read.
 */
void resp_serve(int fd, const char *(*execute)(struct resp *r));

/* Read text that is a decimal number from min to max, and nothing else. */
int resp_number(const char *text, long long min, long long max,
		long long *ret_value);

/* Whether the request is the command name, with min to max arguments. */
static inline int resp_is(struct resp *r, const char *name, int min, int max)
{
	if (strcasecmp(r->argv[0].p, name) != 0)
		return 0;
	r->known = name;
	return r->argc > min && r->argc - 1 <= max;
}

static inline const char *resp_unknown(struct resp *r)
{
	if (r->known)
		fprintf(r->out,
			"-ERR wrong number of arguments for '%s' "
			"command\r\n",
			r->known);
	else
		fprintf(r->out, "-ERR unknown command '%.*s'\r\n",
			(int)strcspn(r->argv[0].p, "\r\n"), r->argv[0].p);
	return NULL;
}

static inline const char *resp_integer(struct resp *r, long long n)
{
	fprintf(r->out, ":%lld\r\n", n);
	return NULL;
}

/* A bulk string, or without s the null string. */
static inline const char *resp_bulk(struct resp *r, const struct resp_str *s)
{
	if (!s)
		return "$-1";
	fprintf(r->out, "$%zu\r\n", s->n);
	fwrite(s->p, 1, s->n, r->out);
	return "";		/* ends the line */
}

#endif
