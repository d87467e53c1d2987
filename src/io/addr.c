/* SPDX-License-Identifier: MIT */
/* Addresses from text and to text. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tuck/net.h>

#include "base/check.h"

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

static int parse_v4(struct tuck_addr *ret_addr, const char *host,
		    in_port_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = port };

	if (*host && inet_pton(AF_INET, host, &sin.sin_addr) != 1)
		return -EINVAL;
	memset(ret_addr, 0, sizeof(*ret_addr));
	memcpy(&ret_addr->sa, &sin, sizeof(sin));
	ret_addr->len = sizeof(sin);
	return 0;
}

static int parse_v6(struct tuck_addr *ret_addr, const char *host,
		    in_port_t port)
{
	struct sockaddr_in6 sin = { .sin6_family = AF_INET6,
				    .sin6_port = port };

	if (inet_pton(AF_INET6, host, &sin.sin6_addr) != 1)
		return -EINVAL;
	memset(ret_addr, 0, sizeof(*ret_addr));
	memcpy(&ret_addr->sa, &sin, sizeof(sin));
	ret_addr->len = sizeof(sin);
	return 0;
}

int tuck_addr_parse(struct tuck_addr *ret_addr, const char *text)
{
	const char *colon = text ? strrchr(text, ':') : NULL;
	char host[INET6_ADDRSTRLEN + 2];
	size_t n;
	in_port_t port;

	TUCK__REQUIRE(ret_addr && colon, -EINVAL);
	n = (size_t)(colon - text);
	TUCK__REQUIRE(n < sizeof(host) && parse_port(colon + 1, &port) == 0,
		      -EINVAL);
	memcpy(host, text, n);
	host[n] = 0;
	if (host[0] != '[')
		return parse_v4(ret_addr, host, port);
	TUCK__REQUIRE(n > 2 && host[n - 1] == ']', -EINVAL);
	host[n - 1] = 0;
	return parse_v6(ret_addr, host + 1, port);
}

char *tuck_addr_format(const struct tuck_addr *addr, char *text, size_t n)
{
	const struct sockaddr_in *v4 = (const void *)addr;
	const struct sockaddr_in6 *v6 = (const void *)addr;
	char host[INET6_ADDRSTRLEN], whole[TUCK_ADDR_TEXT] = "?";

	if (addr && addr->sa.ss_family == AF_INET &&
	    inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host)))
		snprintf(whole, sizeof(whole), "%s:%u", host,
			 ntohs(v4->sin_port));
	else if (addr && addr->sa.ss_family == AF_INET6 &&
		 inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host)))
		snprintf(whole, sizeof(whole), "[%s]:%u", host,
			 ntohs(v6->sin6_port));
	if (n > 0)
		snprintf(text, n, "%s", strlen(whole) < n ? whole : "");
	return text;
}
