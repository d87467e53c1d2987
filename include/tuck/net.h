/* SPDX-License-Identifier: MIT */
/*
 * TCP. Addresses are text: "127.0.0.1:80", "[::1]:80", ":80" for every IPv4
 * address of the machine. Port 0 lets the kernel choose. Descriptors made
 * here do not block, close on exec, and have TCP_NODELAY set. Host names are
 * not resolved: getaddrinfo(3) stops the proc that calls it while it asks.
 */
#ifndef TUCK_NET_H
#define TUCK_NET_H

#include <sys/socket.h>
#include <tuck/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tuck_addr {
	struct sockaddr_storage sa;
	socklen_t len;
};

#define TUCK_ADDR_TEXT 64	/* bytes that hold any address as text */

/*
 * Read an address from text.
 * Switches: no. Errors: -EINVAL for text that is no numeric address.
 */
int tuck_addr_parse(struct tuck_addr *ret_addr, const char *text);

/*
 * Write an address as text into n bytes, with a final NUL; returns text.
 * Switches: no. Errors: none; what does not fit or is no IP address gives
 * "?" or the empty string.
 */
char *tuck_addr_format(const struct tuck_addr *addr, char *text, size_t n);

/*
 * The address that a socket is bound to.
 * Switches: no. Errors: those of getsockname(2).
 */
int tuck_addr_local(int fd, struct tuck_addr *ret_addr);

/*
 * Listen for TCP connections; returns the descriptor. SO_REUSEADDR is set.
 * backlog 0 is the kernel's largest.
 * Switches: no. Errors: -EINVAL as tuck_addr_parse() or for a negative
 * backlog, and those of socket(2), bind(2) and listen(2).
 */
int tuck_tcp_listen(const char *addr, int backlog);

/*
 * Accept a connection; returns its descriptor. ret_addr may be NULL.
 * Switches: may.
 * Errors: those of accept(2) but for those of a connection that is gone
 * already, which is skipped; -EBADF when closed meanwhile, -ETIMEDOUT,
 * -EAGAIN for TUCK_NOWAIT, -EINVAL for a negative deadline. -EMFILE,
 * -ENFILE, -ENOBUFS and -ENOMEM are told only after the other tasklets had
 * 10 ms to run (or until a descriptor was closed), so that a loop which just
 * tries again does not spin; the connection still waits in the backlog.
 */
int tuck_accept(int fd, struct tuck_addr *ret_addr, tuck_ns deadline);

/*
 * Connect; returns the descriptor.
 * Switches: may.
 * Errors: -EINVAL as tuck_addr_parse() or for a negative deadline, those of
 * socket(2) and connect(2), -ETIMEDOUT, -EAGAIN for TUCK_NOWAIT. Nothing
 * stays open after an error.
 */
int tuck_tcp_connect(const char *addr, tuck_ns deadline);

#ifdef __cplusplus
}
#endif

#endif
