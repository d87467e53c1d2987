/* SPDX-License-Identifier: MIT */
/*
 * getaddrinfo and getnameinfo, asked by another thread. Everything that it
 * reads or writes lies on the heap (rule S3). What is numeric is answered at
 * once.
 */
#include <netdb.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <tuck/offload.h>

#include "hook/hook.h"

static char *copy_text(const char *text)
{
	return text ? strdup(text) : NULL;
}

/* -- getaddrinfo -- */

struct lookup {
	char *node, *service;
	struct addrinfo hints, *found;
	bool hinted;
	int result, err;
};

static int look_up(void *arg)
{
	struct lookup *l = arg;

	l->result = __real_getaddrinfo(l->node, l->service,
				       l->hinted ? &l->hints : NULL, &l->found);
	l->err = errno;
	return 0;
}

static void discard_lookup(void *arg, int result)
{
	struct lookup *l = arg;

	(void)result;
	free(l->node);
	free(l->service);
	if (l->found)
		freeaddrinfo(l->found);
}

static int at_once(const char *node, const char *service,
		   const struct addrinfo *hints, struct addrinfo **ret)
{
	struct addrinfo numeric = { .ai_flags = AI_V4MAPPED | AI_ADDRCONFIG };

	if (!node)
		return __real_getaddrinfo(node, service, hints, ret);
	if (hints)
		numeric = *hints;
	numeric.ai_flags |= AI_NUMERICHOST;
	return __real_getaddrinfo(node, service, &numeric, ret);
}

static tuck__noinline int ask(const char *node, const char *service,
			      const struct addrinfo *hints,
			      struct lookup *ret_lookup)
{
	struct lookup l = { .node = copy_text(node),
			    .service = copy_text(service),
			    .hinted = hints != NULL };

	if (hints)
		l.hints = *hints;
	*ret_lookup = l;
	return (node && !l.node) || (service && !l.service) ? -ENOMEM : 0;
}

static int failed(int r)
{
	if (r == -ENOMEM)
		return EAI_MEMORY;
	if (r == -EAGAIN)
		return EAI_AGAIN;
	errno = -r;
	return EAI_SYSTEM;
}

int __wrap_getaddrinfo(const char *node, const char *service,
		       const struct addrinfo *hints, struct addrinfo **ret)
{
	struct lookup l;
	int r;

	if (!tuck__hook_on())
		return __real_getaddrinfo(node, service, hints, ret);
	r = at_once(node, service, hints, ret);
	if (r != EAI_NONAME || !node ||
	    (hints && hints->ai_flags & AI_NUMERICHOST))
		return r;
	r = ask(node, service, hints, &l);
	if (r < 0) {
		discard_lookup(&l, r);
		return failed(r);
	}
	r = tuck_offload_remote(discard_lookup, look_up, &l, sizeof(l),
				TUCK_FOREVER);
	if (r < 0)
		return failed(r);
	free(l.node);
	free(l.service);
	if (l.result == 0)
		*ret = l.found;
	if (l.result == EAI_SYSTEM)
		errno = l.err;
	return l.result;
}

/* -- getnameinfo -- */

struct naming {
	struct sockaddr_storage addr;
	socklen_t len;
	int flags, result, err;
	bool want_host, want_service;
	char host[NI_MAXHOST], service[NI_MAXSERV];
};

static int name(void *arg)
{
	struct naming *n = *(struct naming **)arg;

	n->result = __real_getnameinfo((struct sockaddr *)&n->addr, n->len,
				       n->want_host ? n->host : NULL,
				       n->want_host ? sizeof(n->host) : 0,
				       n->want_service ? n->service : NULL,
				       n->want_service ? sizeof(n->service) : 0,
				       n->flags);
	n->err = errno;
	return 0;
}

static void discard_block(void *arg, int result)
{
	(void)result;
	free(*(void **)arg);
}

static int give(char *to, socklen_t room, const char *text)
{
	if (!to || room == 0)
		return 0;
	if (strlen(text) >= room)
		return EAI_OVERFLOW;
	strcpy(to, text);
	return 0;
}

int __wrap_getnameinfo(const struct sockaddr *addr, socklen_t len, char *host,
		       socklen_t host_n, char *service, socklen_t service_n,
		       int flags)
{
	struct naming *n;
	int r;

	if (!tuck__hook_on() || flags & NI_NUMERICHOST || !host ||
	    host_n == 0 || len > sizeof(n->addr))
		return __real_getnameinfo(addr, len, host, host_n, service,
					  service_n, flags);
	n = calloc(1, sizeof(*n));
	if (!n)
		return EAI_MEMORY;
	memcpy(&n->addr, addr, len);
	n->len = len;
	n->flags = flags;
	n->want_host = true;
	n->want_service = service && service_n > 0;
	r = tuck_offload_remote(discard_block, name, &n, sizeof(n),
				TUCK_FOREVER);
	if (r < 0)
		return failed(r);
	r = n->result;
	if (r == EAI_SYSTEM)
		errno = n->err;
	if (r == 0)
		r = give(host, host_n, n->host);
	if (r == 0)
		r = give(service, service_n, n->service);
	free(n);
	return r;
}
