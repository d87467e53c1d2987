/* SPDX-License-Identifier: MIT */
/* Addresses from text and to text; those of a socket's two ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <tuck/net.h>

#include "io/socket.h"

#define UNIX		"unix:"
#define UNIX_HEAD	offsetof(struct sockaddr_un, sun_path)
#define HOST_MAX	(INET6_ADDRSTRLEN + IF_NAMESIZE + 2)

static int parse_port(const char *text, in_port_t *ret_port)
{
	char *end;
	unsigned long port;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	port = strtoul(text, &end, 10);
	if (*end || port > 65535)
		return -EINVAL;
	*ret_port = htons((uint16_t)port);
	return 0;
}

static void take(struct tuck_addr *ret_addr, const void *sa, size_t len)
{
	memset(ret_addr, 0, sizeof(*ret_addr));
	memcpy(&ret_addr->sa, sa, len);
	ret_addr->len = (socklen_t)len;
}

static int parse_v4(struct tuck_addr *ret_addr, const char *host,
		    in_port_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = port };

	if (*host && inet_pton(AF_INET, host, &sin.sin_addr) != 1)
		return -EINVAL;
	take(ret_addr, &sin, sizeof(sin));
	return 0;
}

/* An interface, by its name or number; 0: there is none. */
static uint32_t parse_scope(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text >= '0' && *text <= '9' && !*end && n <= UINT32_MAX)
		return (uint32_t)n;
	return if_nametoindex(text);
}

static int parse_v6(struct tuck_addr *ret_addr, char *host, in_port_t port)
{
	struct sockaddr_in6 sin = { .sin6_family = AF_INET6,
				    .sin6_port = port };
	char *scope = strchr(host, '%');

	if (scope) {
		*scope = 0;
		sin.sin6_scope_id = parse_scope(scope + 1);
		if (!sin.sin6_scope_id)
			return -EINVAL;
	}
	if (inet_pton(AF_INET6, host, &sin.sin6_addr) != 1)
		return -EINVAL;
	take(ret_addr, &sin, sizeof(sin));
	return 0;
}

/* A path, "@" and an abstract name, or nothing: the kernel chooses. */
static int parse_unix(struct tuck_addr *ret_addr, const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t n = strlen(name);

	if (n >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	memcpy(sun.sun_path, name, n);
	if (*name == '@')
		sun.sun_path[0] = 0;
	else if (n > 0)
		n++;			/* the NUL is a path's, too */
	take(ret_addr, &sun, UNIX_HEAD + n);
	return 0;
}

static int parse_ip(struct tuck_addr *ret_addr, const char *text)
{
	const char *colon = strrchr(text, ':');
	char host[HOST_MAX];
	in_port_t port;
	size_t n;

	if (!colon)
		return -EINVAL;
	n = (size_t)(colon - text);
	if (n >= sizeof(host) || parse_port(colon + 1, &port) < 0)
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = 0;
	if (host[0] != '[')
		return parse_v4(ret_addr, host, port);
	if (n <= 2 || host[n - 1] != ']')
		return -EINVAL;
	host[n - 1] = 0;
	return parse_v6(ret_addr, host + 1, port);
}

int tuck_addr_parse(struct tuck_addr *ret_addr, const char *text)
{
	TUCK__REQUIRE(ret_addr && text, -EINVAL);
	if (strncmp(text, UNIX, strlen(UNIX)) == 0)
		return parse_unix(ret_addr, text + strlen(UNIX));
	return parse_ip(ret_addr, text);
}

static int format_v4(const struct tuck_addr *addr, char *text, size_t n)
{
	const struct sockaddr_in *sin = (const void *)&addr->sa;
	char host[INET_ADDRSTRLEN];

	if (!inet_ntop(AF_INET, &sin->sin_addr, host, sizeof(host)))
		return -1;
	return snprintf(text, n, "%s:%u", host, ntohs(sin->sin_port));
}

static int format_v6(const struct tuck_addr *addr, char *text, size_t n)
{
	const struct sockaddr_in6 *sin = (const void *)&addr->sa;
	char host[INET6_ADDRSTRLEN], name[IF_NAMESIZE];
	unsigned port = ntohs(sin->sin6_port);

	if (!inet_ntop(AF_INET6, &sin->sin6_addr, host, sizeof(host)))
		return -1;
	if (!sin->sin6_scope_id)
		return snprintf(text, n, "[%s]:%u", host, port);
	if (!if_indextoname(sin->sin6_scope_id, name))
		snprintf(name, sizeof(name), "%u", sin->sin6_scope_id);
	return snprintf(text, n, "[%s%%%s]:%u", host, name, port);
}

/* What is no text, an abstract name with a NUL, has none. */
static int format_unix(const struct tuck_addr *addr, char *text, size_t n)
{
	const struct sockaddr_un *sun = (const void *)&addr->sa;
	const char *name = sun->sun_path, *kind = "";
	size_t len = addr->len > UNIX_HEAD ? addr->len - UNIX_HEAD : 0;

	if (len > sizeof(sun->sun_path))
		return -1;
	if (len > 0 && !*name) {
		kind = "@";
		name++;
		len--;
		if (memchr(name, 0, len))
			return -1;
	} else if (len > 0 && *name == '@') {
		kind = "./";
	}
	return snprintf(text, n, UNIX "%s%.*s", kind, (int)len, name);
}

static int format(const struct tuck_addr *addr, char *text, size_t n)
{
	switch (addr ? addr->sa.ss_family : AF_UNSPEC) {
	case AF_INET: return format_v4(addr, text, n);
	case AF_INET6: return format_v6(addr, text, n);
	case AF_UNIX: return format_unix(addr, text, n);
	default: return -1;
	}
}

char *tuck_addr_format(const struct tuck_addr *addr, char *text, size_t n)
{
	char whole[TUCK_ADDR_TEXT];
	int len = format(addr, whole, sizeof(whole));

	if (len < 0)
		strcpy(whole, "?");
	if (n > 0)
		snprintf(text, n, "%s", strlen(whole) < n ? whole : "");
	return text;
}

typedef int asker(int fd, struct sockaddr *sa, socklen_t *len);

static int ask(asker *of, int fd, struct tuck_addr *ret_addr)
{
	struct tuck_addr addr;

	TUCK__REQUIRE(ret_addr, -EINVAL);
	memset(&addr, 0, sizeof(addr));
	addr.len = sizeof(addr.sa);
	if (of(fd, (struct sockaddr *)&addr.sa, &addr.len) < 0)
		return -errno;
	*ret_addr = addr;
	return 0;
}

int tuck_addr_local(int fd, struct tuck_addr *ret_addr)
{
	return ask(getsockname, fd, ret_addr);
}

int tuck_addr_peer(int fd, struct tuck_addr *ret_addr)
{
	return ask(getpeername, fd, ret_addr);
}
