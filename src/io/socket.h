/* SPDX-License-Identifier: MIT */
/* Sockets: what the files about them share. */
#ifndef TUCK__SOCKET_H
#define TUCK__SOCKET_H

#include <limits.h>
#include <string.h>
#include <tuck/io.h>
#include <tuck/net.h>

#include "io/poller.h"

/* In place of an error: no address, but a name, for tuck__addrs_of(). */
#define TUCK__A_NAME INT_MIN

/*
 * The address that a text of the caller's is: 0, TUCK__A_NAME, or a negative
 * error. All calls that take such a text ask here, before they have anything
 * to give back.
 */
int tuck__addr_of(struct tuck_addr *ret_addr, const char *text);

struct tuck__addrs {
	int n;			/* at least one */
	struct tuck_addr addr[];
};

/*
 * The addresses that a name has, for the caller to tuck__free(): 0 or a
 * negative error, as tuck_resolve(). It may wait.
 */
int tuck__addrs_of(struct tuck__addrs **ret_addrs, const char *text,
		   const struct tuck_resolve_attr *attr, tuck_ns deadline);

/* A socket that the poller knows, or a negative error; and one bound there. */
int tuck__open_socket(int family, int kind);
int tuck__open_to(const struct tuck_addr *addr, int kind,
		  const struct tuck_socket_attr *attr);

/* The texts of TCP and UDP alone. */
static inline bool tuck__is_unix(const char *text)
{
	return text && strncmp(text, "unix:", 5) == 0;
}

static inline int tuck__close_with(int fd, int err)
{
	tuck_fd_close(fd);
	return err;
}

/*
 * Begin to connect: 0, -EINPROGRESS or -EAGAIN, and *ret_fd is open; else an
 * error. Once it is ready for output it tells how that ended.
 */
int tuck__connect_start(const struct tuck_addr *addr,
			const struct tuck_socket_attr *attr, int *ret_fd);
int tuck__connect_outcome(int fd);

/* The whole, to a name. */
int tuck__connect_named(const char *text, const struct tuck_socket_attr *attr,
			tuck_ns deadline);

/* What the poller is to know of a new socket of this family and kind. */
uint32_t tuck__socket_bits(int family, int kind);

#endif
