/* SPDX-License-Identifier: MIT */
/*
 * gethostbyname and gethostbyaddr, asked by another thread. They answer in a
 * struct hostent whose pointers lead into one buffer: the other thread fills
 * one of its own (rule S3), which is copied, and its pointers moved along.
 */
#include <netdb.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <tuck/offload.h>

#include "hook/hook.h"

#define ALIGN		16
#define FIRST_BYTES	1024

struct query {
	const void *key;	/* a name, or an address */
	socklen_t len;		/* of an address; else 0 */
	int family;		/* 0: gethostbyname_r chooses it */
};

/* One block: what is asked, the answer, and their buffers. */
struct hosting {
	struct query query;
	struct hostent host, *found;
	int result, h_err, err;
	size_t n;
	char *buf;
	char bytes[];
};

static int ask(void *arg)
{
	struct hosting *h = *(struct hosting **)arg;
	const struct query *q = &h->query;

	if (q->len)
		h->result = __real_gethostbyaddr_r(q->key, q->len, q->family,
						   &h->host, h->buf, h->n,
						   &h->found, &h->h_err);
	else if (q->family)
		h->result = __real_gethostbyname2_r(q->key, q->family, &h->host,
						    h->buf, h->n, &h->found,
						    &h->h_err);
	else
		h->result = __real_gethostbyname_r(q->key, &h->host, h->buf,
						   h->n, &h->found, &h->h_err);
	h->err = errno;
	return 0;
}

static void discard(void *arg, int result)
{
	(void)result;
	free(*(void **)arg);
}

/* Its buffer is aligned as the caller's: what lies in it will fit there. */
static tuck__noinline struct hosting *make(const struct query *q,
					   const char *buf, size_t n)
{
	size_t key_n = q->len ? q->len : strlen(q->key) + 1;
	struct hosting *h = calloc(1, sizeof(*h) + key_n + ALIGN + n);
	char *at;

	if (!h)
		return NULL;
	memcpy(h->bytes, q->key, key_n);
	at = h->bytes + key_n;
	h->query = *q;
	h->query.key = h->bytes;
	h->n = n;
	h->buf = at + (((uintptr_t)buf - (uintptr_t)at) & (ALIGN - 1));
	return h;
}

/* A pointer into the block's buffer becomes one into the caller's. */
static char *moved(const struct hosting *h, char *to, const char *p)
{
	return p ? to + (p - h->buf) : NULL;
}

static char **moved_list(const struct hosting *h, char *to, char **list)
{
	char **copy = (char **)(void *)moved(h, to, (char *)list);

	for (size_t i = 0; list && list[i]; i++)
		copy[i] = moved(h, to, list[i]);
	return copy;
}

static tuck__noinline void take(const struct hosting *h, struct hostent *host,
				char *to)
{
	memcpy(to, h->buf, h->n);
	*host = h->host;
	host->h_name = moved(h, to, h->host.h_name);
	host->h_aliases = moved_list(h, to, h->host.h_aliases);
	host->h_addr_list = moved_list(h, to, h->host.h_addr_list);
}

static int find(const struct query *q, struct hostent *host, char *buf,
		size_t n, struct hostent **ret, int *ret_err)
{
	struct hosting *h = make(q, buf, n);
	int r;

	*ret = NULL;
	*ret_err = TRY_AGAIN;
	r = h ? tuck_offload_remote(discard, ask, &h, sizeof(h), TUCK_FOREVER) :
		-ENOMEM;
	if (r < 0)
		return -r;
	*ret_err = h->h_err;
	r = h->result;
	errno = h->err;
	if (h->found) {
		take(h, host, buf);
		*ret = host;
	}
	free(h);
	return r;
}

int __wrap_gethostbyname_r(const char *name, struct hostent *host, char *buf,
			   size_t n, struct hostent **ret, int *ret_err)
{
	const struct query q = { name, 0, 0 };

	if (!tuck__hook_on())
		return __real_gethostbyname_r(name, host, buf, n, ret, ret_err);
	return find(&q, host, buf, n, ret, ret_err);
}

int __wrap_gethostbyname2_r(const char *name, int family, struct hostent *host,
			    char *buf, size_t n, struct hostent **ret,
			    int *ret_err)
{
	const struct query q = { name, 0, family };

	if (!tuck__hook_on())
		return __real_gethostbyname2_r(name, family, host, buf, n, ret,
					       ret_err);
	return find(&q, host, buf, n, ret, ret_err);
}

int __wrap_gethostbyaddr_r(const void *addr, socklen_t len, int family,
			   struct hostent *host, char *buf, size_t n,
			   struct hostent **ret, int *ret_err)
{
	const struct query q = { addr, len, family };

	if (!tuck__hook_on() || len == 0)
		return __real_gethostbyaddr_r(addr, len, family, host, buf, n,
					      ret, ret_err);
	return find(&q, host, buf, n, ret, ret_err);
}

/* -- those that answer in memory of their own, here the thread's -- */

static __thread struct hostent answer;
static __thread char *answer_buf;

static void free_buf(char **buf)
{
	free(*buf);
}

static struct hostent *find_here(const struct query *q)
{
	struct hostent host, *found = NULL;
	int r = ERANGE;
	char *buf __attribute__((__cleanup__(free_buf))) = NULL;

	for (size_t n = FIRST_BYTES; r == ERANGE; n *= 2) {
		free(buf);
		buf = malloc(n);
		if (!buf) {
			h_errno = TRY_AGAIN;
			return NULL;
		}
		r = find(q, &host, buf, n, &found, &h_errno);
	}
	free(answer_buf);
	answer_buf = buf;
	buf = NULL;
	answer = host;
	return found ? &answer : NULL;
}

struct hostent *__wrap_gethostbyname(const char *name)
{
	const struct query q = { name, 0, 0 };

	return tuck__hook_on() ? find_here(&q) : __real_gethostbyname(name);
}

struct hostent *__wrap_gethostbyname2(const char *name, int family)
{
	const struct query q = { name, 0, family };

	return tuck__hook_on() ? find_here(&q) :
				 __real_gethostbyname2(name, family);
}

struct hostent *__wrap_gethostbyaddr(const void *addr, socklen_t len,
				     int family)
{
	const struct query q = { addr, len, family };

	return tuck__hook_on() && len ? find_here(&q) :
					__real_gethostbyaddr(addr, len, family);
}
