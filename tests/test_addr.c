/* SPDX-License-Identifier: MIT */
/* Addresses that are not of the internet, or of a part of it. */
#include <errno.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>

#include "peer.h"

static void check_text(const char *text, const char *again)
{
	char got[TUCK_ADDR_TEXT];
	struct tuck_addr addr, back;

	CHECK_EQ(tuck_addr_parse(&addr, text), 0);
	CHECK_STR(tuck_addr_format(&addr, got, sizeof(got)), again);
	CHECK_EQ(tuck_addr_parse(&back, got), 0);
	CHECK_EQ(back.len, addr.len);
	CHECK_MEM(&back.sa, &addr.sa, sizeof(addr.sa));
}

TEST(unix_addresses_are_read_and_written)
{
	char longest[5 + 107 + 1] = "unix:", longer[5 + 108 + 1] = "unix:";
	struct tuck_addr addr;

	check_text("unix:/run/some.sock", "unix:/run/some.sock");
	CHECK_EQ(tuck_addr_parse(&addr, "unix:/x"), 0);	/* and its NUL */
	CHECK_EQ(addr.len, offsetof(struct sockaddr_un, sun_path) + 3);
	check_text("unix:relative", "unix:relative");
	check_text("unix:127.0.0.1:80", "unix:127.0.0.1:80");
	check_text("unix:@name", "unix:@name");
	check_text("unix:@", "unix:@");
	check_text("unix:./@name", "unix:./@name");
	check_text("unix:", "unix:");
	memset(longest + 5, 'x', 107);
	check_text(longest, longest);
	longest[5] = '@';
	check_text(longest, longest);
	memset(longer + 5, 'x', 108);
	addr.len = 99;
	CHECK_EQ(tuck_addr_parse(&addr, longer), -ENAMETOOLONG);
	CHECK_EQ(addr.len, 99);
}

static struct sockaddr_un *un(struct tuck_addr *addr, const char *path,
			      size_t n)
{
	struct sockaddr_un *sun = (void *)&addr->sa;

	memset(addr, 0, sizeof(*addr));
	sun->sun_family = AF_UNIX;
	memcpy(sun->sun_path, path, n);
	addr->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return sun;
}

/* As others may have bound them. */
TEST(unix_addresses_that_came_from_elsewhere)
{
	char text[TUCK_ADDR_TEXT], path[108];
	struct tuck_addr addr;

	un(&addr, "@x", 3);
	CHECK_STR(tuck_addr_format(&addr, text, sizeof(text)), "unix:./@x");
	un(&addr, "\0a\0b", 4);
	CHECK_STR(tuck_addr_format(&addr, text, sizeof(text)), "?");
	memset(path, 'p', sizeof(path));	/* and no NUL */
	un(&addr, path, sizeof(path));
	tuck_addr_format(&addr, text, sizeof(text));
	CHECK_EQ(strlen(text), 5 + 108);
	addr.len++;
	CHECK_STR(tuck_addr_format(&addr, text, sizeof(text)), "?");
	addr.sa.ss_family = AF_UNSPEC;
	CHECK_STR(tuck_addr_format(&addr, text, sizeof(text)), "?");
	CHECK_STR(tuck_addr_format(NULL, text, sizeof(text)), "?");
}

TEST(scopes)
{
	char text[64];
	unsigned lo = if_nametoindex("lo");
	struct tuck_addr addr;

	CHECK_EQ(tuck_addr_parse(&addr, "[fe80::1%no_such_if]:80"), -EINVAL);
	CHECK_EQ(tuck_addr_parse(&addr, "[fe80::1%]:80"), -EINVAL);
	CHECK_EQ(tuck_addr_parse(&addr, "[fe80::1%0]:80"), -EINVAL);
	CHECK_EQ(tuck_addr_parse(&addr, "[fe80::1%4294967296]:80"), -EINVAL);
	check_text("[fe80::1%4000000000]:80", "[fe80::1%4000000000]:80");
	if (!lo)
		SKIP("no interface of that name");
	check_text("[fe80::1%lo]:80", "[fe80::1%lo]:80");
	snprintf(text, sizeof(text), "[fe80::1%%%u]:80", lo);
	check_text(text, "[fe80::1%lo]:80");
}

TEST(both_ends_of_a_connection)
{
	char a[TUCK_ADDR_TEXT], b[TUCK_ADDR_TEXT];
	int fd = tuck_tcp_listen("127.0.0.1:0", 0), client;
	struct tuck_addr addr = { .len = 99 };

	client = tuck_tcp_connect(local_text(fd, a), patience());
	CHECK(client >= 0);
	CHECK_EQ(tuck_addr_peer(client, &addr), 0);
	CHECK_STR(tuck_addr_format(&addr, b, sizeof(b)), a);
	addr.len = 99;
	CHECK_EQ(tuck_addr_peer(fd, &addr), -ENOTCONN);
	CHECK_EQ(tuck_addr_peer(-1, &addr), -EBADF);
	CHECK_EQ(addr.len, 99);
	CHECK_EQ(tuck_addr_peer(client, NULL), -EINVAL);
	CHECK_EQ(tuck_addr_local(client, NULL), -EINVAL);
}
