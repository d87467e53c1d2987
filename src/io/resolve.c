/* SPDX-License-Identifier: MIT */
/*
 * Names to addresses: getaddrinfo(3), by a thread of the pool.
 *
 * Invariants:
 * 1. What is numeric is answered by the caller itself: no thread, no memory,
 *    no switch.
 * 2. The worker makes the list of addresses. It is the call's, which discards
 *    it, until the caller takes it, and then the caller's.
 *
 * Why not c-ares: it asks only files and DNS, in its own way, where libc asks
 * what nsswitch.conf(5) says; and it is no faster (ARCHITECTURE.md).
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/offload.h"
#include "io/socket.h"

/* Of DNS, without a final dot: all of it, and what is between two dots. */
#define HOST_MAX	253
#define LABEL_MAX	63
#define SERVICE_MAX	63

/* -- the text -- */

static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
			      "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* Its parts; neither ends with a NUL. */
struct parts {
	const char *host, *service;
	size_t host_n, service_n;
	bool numeric;		/* an address with a service that is a name */
};

/* Libc takes "1.2" or "0x7f.1" for an address; nobody else does. */
static bool ends_in_number(const char *host, size_t n)
{
	const char *label;

	n -= n > 0 && host[n - 1] == '.';
	label = memrchr(host, '.', n);
	label = label ? label + 1 : host;
	n -= (size_t)(label - host);
	if (n >= 2 && strncasecmp(label, "0x", 2) == 0)
		return strspn(label + 2, "0123456789abcdefABCDEF") >= n - 2;
	return n > 0 && strspn(label, "0123456789") >= n;
}

static int check_label(const char *label, size_t n)
{
	if (n == 0 || *label == '-')
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!strchr(letters, label[i]) &&
		    !strchr("0123456789-_", label[i]))
			return -EINVAL;
	return n > LABEL_MAX ? -ENAMETOOLONG : 0;
}

static int check_host(const char *host, size_t n)
{
	const char *end = host + n;
	int r = 0;

	if (n > 1 && end[-1] == '.')
		end--;			/* the root, which the name ends at */
	for (const char *label = host; r == 0 && label <= end;) {
		size_t len = strcspn(label, ".:");

		if (len > (size_t)(end - label))
			len = (size_t)(end - label);
		r = check_label(label, len);
		label += len + 1;
	}
	return r == 0 && end - host > HOST_MAX ? -ENAMETOOLONG : r;
}

static int check_service(const struct parts *p)
{
	size_t digits = strspn(p->service, "0123456789");

	if (p->service_n > SERVICE_MAX)
		return -EINVAL;
	if (digits > 0)
		return digits == p->service_n && digits <= 5 &&
				       atoi(p->service) <= 65535 ?
			       0 :
			       -EINVAL;
	if (p->service_n && !strchr(letters, *p->service))
		return -EINVAL;
	for (size_t i = 0; i < p->service_n; i++)
		if (!strchr(letters, p->service[i]) &&
		    !strchr("0123456789-_+.", p->service[i]))
			return -EINVAL;
	return 0;
}

/* "[address]" and what follows. */
static int split_brackets(struct parts *ret, const char *text)
{
	const char *end = strchr(text, ']');
	char whole[TUCK_ADDR_TEXT];
	struct tuck_addr addr;

	if (!end || (end[1] && end[1] != ':'))
		return -EINVAL;
	ret->host = text + 1;
	ret->host_n = (size_t)(end - text) - 1;
	ret->service = end + (end[1] ? 2 : 1);
	ret->numeric = true;
	snprintf(whole, sizeof(whole), "[%.*s]:0", (int)ret->host_n, ret->host);
	return tuck_addr_parse(&addr, whole);
}

static int split_name(struct parts *ret, const char *text)
{
	char whole[TUCK_ADDR_TEXT];
	struct tuck_addr addr;

	ret->host = text;
	ret->host_n = strcspn(text, ":");
	ret->service = text + ret->host_n + (text[ret->host_n] == ':');
	if (ret->host_n == 0)
		return *ret->service ? 0 : -EINVAL;
	if (!ends_in_number(text, ret->host_n))
		return check_host(text, ret->host_n);
	snprintf(whole, sizeof(whole), "%.*s:0", (int)ret->host_n, text);
	ret->numeric = true;
	return tuck_addr_parse(&addr, whole);
}

/* What is not an address alone: "name:80", "name", "127.0.0.1:http". */
static int split(struct parts *ret, const char *text)
{
	int r;

	*ret = (struct parts){ 0 };
	r = *text == '[' ? split_brackets(ret, text) : split_name(ret, text);
	if (r < 0)
		return r;
	ret->service_n = strlen(ret->service);
	if (ret->service_n == 0 && ret->service[-1] == ':')
		return -EINVAL;
	return check_service(ret);
}

int tuck__addr_of(struct tuck_addr *ret_addr, const char *text)
{
	struct parts parts;
	int r = tuck_addr_parse(ret_addr, text);

	if (r != -EINVAL || !text)
		return r;
	r = split(&parts, text);
	if (r < 0)
		return r;
	return parts.service_n > 0 ? TUCK__A_NAME : -EINVAL;
}

/* -- the call -- */

struct lookup {
	struct tuck__addrs *found;
	struct addrinfo hints;
	size_t service;		/* where it begins in text; 0: there is none */
	char text[];		/* the host, or nothing */
};

/* Errors of its own, in ours: net.h has the list. */
static int error_of(int err, int system)
{
	switch (err) {
	case EAI_AGAIN: return -ECOMM;
	case EAI_FAIL: return -EREMOTEIO;
	case EAI_MEMORY: return -ENOMEM;
	case EAI_SYSTEM: return system ? -system : -EIO;
	case EAI_BADFLAGS:
	case EAI_FAMILY:
	case EAI_SOCKTYPE: return -EINVAL;
	default: return -ENODATA;
	}
}

static bool has(const struct tuck__addrs *addrs, const struct addrinfo *ai)
{
	for (int i = 0; i < addrs->n; i++)
		if (addrs->addr[i].len == ai->ai_addrlen &&
		    memcmp(&addrs->addr[i].sa, ai->ai_addr, ai->ai_addrlen) ==
			    0)
			return true;
	return false;
}

static void add(struct tuck__addrs *addrs, const struct addrinfo *ai)
{
	struct tuck_addr *addr = &addrs->addr[addrs->n];

	if (ai->ai_addrlen > sizeof(addr->sa) || has(addrs, ai))
		return;
	memset(addr, 0, sizeof(*addr));
	memcpy(&addr->sa, ai->ai_addr, ai->ai_addrlen);
	addr->len = ai->ai_addrlen;
	addrs->n++;
}

/* In the order of RFC 6724, which libc has put them into; each one once. */
static struct tuck__addrs *list_of(const struct addrinfo *first)
{
	struct tuck__addrs *addrs;
	size_t n = 0;

	for (const struct addrinfo *ai = first; ai; ai = ai->ai_next)
		n++;
	addrs = tuck__resize(NULL, sizeof(*addrs) + n * sizeof(addrs->addr[0]));
	if (!addrs)
		return NULL;
	addrs->n = 0;
	for (const struct addrinfo *ai = first; ai; ai = ai->ai_next)
		add(addrs, ai);
	return addrs;
}

static int do_lookup(void *block)
{
	struct lookup *l = block;
	struct addrinfo *list;
	int r;

	errno = 0;
	r = getaddrinfo(*l->text ? l->text : NULL,
			l->service ? l->text + l->service : NULL, &l->hints,
			&list);
	if (r != 0)
		return error_of(r, errno);
	l->found = list_of(list);
	freeaddrinfo(list);
	if (!l->found)
		return -ENOMEM;
	tuck__call_of(block)->out_bytes = sizeof(l->found);
	return 0;
}

static void free_unwanted(void *block, int result)
{
	(void)result;
	tuck__free(((struct lookup *)block)->found);
}

static struct addrinfo hints_of(const struct parts *p,
				const struct tuck_resolve_attr *attr)
{
	struct addrinfo hints = { .ai_family = attr->family,
				  .ai_socktype = SOCK_STREAM };

	if (attr->kind == SOCK_DGRAM)
		hints.ai_socktype = SOCK_DGRAM;
	if (p->numeric)
		hints.ai_flags |= AI_NUMERICHOST;
	if (p->host_n == 0) {
		hints.ai_flags |= AI_PASSIVE;
		if (!attr->family)
			hints.ai_family = AF_INET;
	}
	return hints;
}

/* NULL without memory. */
static struct tuck__call *lookup_new(const struct parts *p,
				     const struct tuck_resolve_attr *attr,
				     struct tuck__addrs **ret_addrs)
{
	size_t n = sizeof(struct lookup) + p->host_n + p->service_n + 2;
	struct tuck__call *call = tuck__call_new(do_lookup, n);
	struct lookup *l;

	if (!call)
		return NULL;
	l = (void *)call->block;
	memset(l, 0, n);
	l->hints = hints_of(p, attr);
	memcpy(l->text, p->host, p->host_n);
	if (p->service_n) {
		l->service = p->host_n + 1;
		memcpy(l->text + l->service, p->service, p->service_n);
	}
	call->discard = free_unwanted;
	call->remote = true;
	call->user = ret_addrs;
	call->out = &l->found;
	return call;
}

static tuck__noinline int prepare(const char *text,
				  const struct tuck_resolve_attr *attr,
				  struct tuck__addrs **ret_addrs,
				  struct tuck__call **ret_call)
{
	struct parts parts;
	int r = split(&parts, text);

	if (r < 0)
		return r;
	*ret_call = lookup_new(&parts, attr, ret_addrs);
	return 0;
}

int tuck__addrs_of(struct tuck__addrs **ret_addrs, const char *text,
		   const struct tuck_resolve_attr *attr, tuck_ns deadline)
{
	struct tuck__call *call;
	int r = prepare(text, attr, ret_addrs, &call);

	return r < 0 ? r : tuck__call_do(call, deadline);
}

/* -- the program's own -- */

/* Port 0, where none is said. */
static int parse(struct tuck_addr *ret_addr, const char *text)
{
	char whole[TUCK_ADDR_TEXT];
	size_t n = strlen(text);
	int r = tuck_addr_parse(ret_addr, text);

	if (r != -EINVAL || n == 0 || n > sizeof(whole) - sizeof(":0") ||
	    (strchr(text, ':') && text[n - 1] != ']'))
		return r;
	snprintf(whole, sizeof(whole), "%s:0", text);
	return tuck_addr_parse(ret_addr, whole);
}

static bool attr_valid(const struct tuck_resolve_attr *attr)
{
	return (!attr->family || attr->family == AF_INET ||
		attr->family == AF_INET6) &&
	       (!attr->kind || attr->kind == SOCK_STREAM ||
		attr->kind == SOCK_DGRAM);
}

/* TUCK__A_NAME: somebody must be asked. */
static tuck__noinline int at_once(const char *text,
				  const struct tuck_resolve_attr *attr,
				  struct tuck_addr *ret_addrs, int n,
				  tuck_ns deadline)
{
	struct tuck_addr addr;
	int r;

	TUCK__REQUIRE(text && ret_addrs && n > 0 && deadline >= 0, -EINVAL);
	TUCK__REQUIRE(attr_valid(attr), -EINVAL);
	r = parse(&addr, text);
	if (r == -EINVAL)
		return TUCK__A_NAME;
	if (r < 0)
		return r;
	if (attr->family && addr.sa.ss_family != attr->family)
		return -ENODATA;
	*ret_addrs = addr;
	return 1;
}

static int give(struct tuck__addrs *addrs, struct tuck_addr *ret_addrs, int n)
{
	if (n > addrs->n)
		n = addrs->n;
	memcpy(ret_addrs, addrs->addr, (size_t)n * sizeof(*ret_addrs));
	tuck__free(addrs);
	return n;
}

int tuck_resolve(const char *text, const struct tuck_resolve_attr *attr,
		 struct tuck_addr *ret_addrs, int n, tuck_ns deadline)
{
	static const struct tuck_resolve_attr any;
	struct tuck__addrs *addrs;
	int r;

	if (!attr)
		attr = &any;
	r = at_once(text, attr, ret_addrs, n, deadline);
	if (r != TUCK__A_NAME)
		return r;
	r = tuck__addrs_of(&addrs, text, attr, deadline);
	return r < 0 ? r : give(addrs, ret_addrs, n);
}
