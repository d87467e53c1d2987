/* SPDX-License-Identifier: MIT */
/*
 * Sockets: TCP, UDP, and Unix ones of all kinds; messages.h sends and receives
 * what is no stream. An address is text: "127.0.0.1:80", "[::1]:80",
 * "[fe80::1%eth0]:80"; ":80" for every IPv4 address of the machine, "[::]:80"
 * for the IPv6 ones and those; "unix:/path", "unix:@name" for an abstract
 * name. Port 0, or "unix:" alone, lets the kernel choose. Descriptors made
 * here do not block, close on exec, and have TCP_NODELAY set.
 *
 * A host may have a name, and so may its port: "example.org:80",
 * "localhost:http". Who uses one waits, without a thread of its own, for a
 * thread of tuck_offload() that asks getaddrinfo(3): /etc/hosts, DNS, and all
 * else that the machine is set up for. Then its addresses are tried until
 * one will do.
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

#define TUCK_ADDR_TEXT 128	/* bytes that hold any address as text */

/* What is not said, 0, is the usual. */
struct tuck_socket_attr {
	int kind;		/* SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET */
	int backlog;		/* of a listener; 0: the kernel's largest */
	const char *local;	/* of a connection: bound to this address */
	uint8_t reuse_port;	/* shared with others that say so, too */
	uint8_t v6_only;	/* "[::]:80" is for no IPv4 */
	uint8_t replace;	/* of a "unix:/path" where nobody listens */
};

/*
 * Read an address from text.
 * Switches: no. Errors: -EINVAL for text that is no numeric address,
 * -ENAMETOOLONG for a path of more than 107 bytes.
 */
int tuck_addr_parse(struct tuck_addr *ret_addr, const char *text);

/* What is not said, 0, is any. */
struct tuck_resolve_attr {
	int family;		/* AF_INET, AF_INET6 */
	int kind;		/* SOCK_DGRAM: a service of UDP; else of TCP */
};

/*
 * The addresses of "name:80", "name:http", or "name" with port 0, the best
 * first (RFC 6724), no more than n; returns how many. attr may be NULL. What is
 * numeric is answered at once, by one. Names are ASCII ("xn--..."). There is no
 * cache but that of the machine. As many ask at a time as half of what
 * tuck_offload_limit() says; the others wait their turn. A question whose
 * caller is late, cancelled or killed goes on, for nobody, if it has been
 * asked. ret_addrs is untouched after an error.
 * Switches: may.
 * Errors: -EINVAL for text that can be no such name, NULL, n < 1, an attr that
 * cannot be, or a negative deadline; -ENAMETOOLONG for a host of more than 253
 * bytes, or 63 between two dots; -ENODATA, no such host or service, or it has
 * no address of the family (EAI_NONAME and its kin); -ECOMM, no name server has
 * answered (EAI_AGAIN); -EREMOTEIO, one says that it cannot (EAI_FAIL); what
 * EAI_SYSTEM's errno was, such as -EMFILE; -ETIMEDOUT; -EAGAIN for TUCK_NOWAIT
 * and a name, or if no thread can be started; -ECANCELED, -ENOMEM.
 */
int tuck_resolve(const char *text, const struct tuck_resolve_attr *attr,
		 struct tuck_addr *ret_addrs, int n, tuck_ns deadline);

/*
 * Write an address as text into n bytes, with a final NUL; returns text. What
 * came from text can be read again.
 * Switches: no. Errors: none; what does not fit gives the empty string, what
 * is no such address or no text, "?".
 */
char *tuck_addr_format(const struct tuck_addr *addr, char *text, size_t n);

/*
 * The address that a socket is bound to.
 * Switches: no. Errors: those of getsockname(2), -EINVAL for NULL.
 */
int tuck_addr_local(int fd, struct tuck_addr *ret_addr);

/*
 * The address that a socket is connected to.
 * Switches: no. Errors: those of getpeername(2), -EINVAL for NULL.
 */
int tuck_addr_peer(int fd, struct tuck_addr *ret_addr);

/*
 * Listen for connections, streams unless attr has another kind; returns the
 * descriptor. attr may be NULL. SO_REUSEADDR is set. A Unix path stays when
 * the listener is closed: the program unlinks it, or says replace the next
 * time, which takes a path over whose socket refuses connections. Of a name,
 * it is the first address that can be bound, and only that one.
 * Switches: may, for a name.
 * Errors: as tuck_addr_parse(), and for a name as
 * tuck_resolve(); -EINVAL for a negative backlog or SOCK_DGRAM; -EOPNOTSUPP
 * for reuse_port of a Unix one; those of socket(2),
 * bind(2) and listen(2). Nothing stays open after an error.
 */
int tuck_listen(const char *addr, const struct tuck_socket_attr *attr);

/*
 * Accept a connection; returns its descriptor. ret_addr may be NULL. A
 * listener that was not made here is made non-blocking: accept(2) has no flag
 * to that end, and poll(2) before it would not do, for another process that
 * has the listener too may be first, and the proc would wait for the next one.
 * Switches: may.
 * Errors: those of accept(2) but for those of a connection that is gone
 * already, which is skipped; -EBADF when closed meanwhile, -ETIMEDOUT,
 * -EAGAIN for TUCK_NOWAIT, -EINVAL for a negative deadline. -EMFILE,
 * -ENFILE, -ENOBUFS and -ENOMEM are told only after the other tasklets had
 * 10 ms to run (or until a descriptor was closed), so that a loop which just
 * tries again does not spin; the connection still waits in the backlog, and
 * when that is full the kernel answers nobody; see tuck_shed().
 */
int tuck_accept(int fd, struct tuck_addr *ret_addr, tuck_ns deadline);

/*
 * Shed load after -EMFILE or -ENFILE: accept and close at once who waits in
 * the backlog, at most 256, so that they need not wait for their own
 * deadlines; returns how many. To that end *spare, a descriptor which is good
 * for nothing else, is closed for the time of the call (as libuv and libev
 * do). If it is -1, one is made, and nobody's connection is closed: do so
 * before. It is the caller's, and -1 after a call if another thread was faster.
 * Switches: no.
 * Errors: -EINVAL for NULL, -EBADF; where *spare is -1, -EMFILE, -ENFILE and
 * -ENOMEM; those of accept(2) where no connection was closed.
 */
int tuck_shed(int fd, int *spare);

/*
 * Connect, as a stream unless attr has another kind; returns the descriptor.
 * attr may be NULL. A Unix listener whose backlog is full is asked again
 * every 2 ms, for the kernel does not tell when it has room. Of a name, the
 * best address is tried, then both families in turn, each one 250 ms after the
 * one before or as soon as that has failed; the first to be connected is it,
 * and the others are closed (RFC 8305). Where the deadline is so near that some
 * would not get a turn, they begin sooner. If none is connected, the error is
 * that of the first. With a local address, those of its family count.
 * Switches: may.
 * Errors: as tuck_addr_parse(), of the local address too, which may not be a
 * name; for a name as tuck_resolve(); -EINVAL for a negative deadline;
 * those of socket(2), bind(2) and connect(2); -ETIMEDOUT,
 * -EAGAIN for TUCK_NOWAIT. After an error nothing stays open, nor a path of
 * its own end.
 */
int tuck_connect(const char *addr, const struct tuck_socket_attr *attr,
		 tuck_ns deadline);

/*
 * A datagram socket that is bound to an address and receives from anybody;
 * attr may be NULL. Returns the descriptor.
 * Switches: may, for a name.
 * Errors: as tuck_listen(); -EINVAL for any other kind.
 */
int tuck_bind(const char *addr, const struct tuck_socket_attr *attr);

/*
 * tuck_listen() for TCP alone. backlog 0 is the kernel's largest.
 * Switches: may, for a name.
 * Errors: as tuck_listen(); -EINVAL for a Unix address.
 */
int tuck_tcp_listen(const char *addr, int backlog);

/*
 * tuck_connect() for TCP alone.
 * Switches: may. Errors: as tuck_connect(); -EINVAL for a Unix address.
 */
int tuck_tcp_connect(const char *addr, tuck_ns deadline);

/*
 * tuck_bind() for UDP alone.
 * Switches: may, for a name.
 * Errors: as tuck_bind(); -EINVAL for a Unix address.
 */
int tuck_udp_bind(const char *addr);

/*
 * A UDP socket that sends to one address, and receives only from there. That
 * nobody is there, a later call may tell by -ECONNREFUSED.
 * Switches: may, for a name.
 * Errors: as tuck_connect(); -EINVAL for a Unix address.
 */
int tuck_udp_connect(const char *addr);

/*
 * Two Unix sockets, of kind SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET, that
 * are connected to one another.
 * Switches: no. Errors: those of socketpair(2), -EINVAL for NULL.
 */
int tuck_unix_pair(int kind, int ret_fd[2]);

/*
 * End one direction (SHUT_RD, SHUT_WR) or both (SHUT_RDWR), for all who have
 * the socket; those who wait on it are woken as their calls now end. The
 * descriptor stays open.
 * Switches: no. Errors: those of shutdown(2).
 */
int tuck_shutdown(int fd, int how);

/*
 * Whether TCP sends what is small at once (on, as descriptors of Tuck do), or
 * waits for more while something is not acknowledged.
 * Switches: no. Errors: those of setsockopt(2).
 */
int tuck_nodelay_set(int fd, int on);

/*
 * Ask a TCP peer that was silent for idle whether it is there, again every
 * interval, and end the connection with -ETIMEDOUT after so many probes in
 * vain. Times are rounded up to seconds; interval or probes 0 are the
 * system's. idle 0 ends all that.
 * Switches: no. Errors: -EINVAL for a negative value, times above 32,767 s or
 * more than 127 probes; those of setsockopt(2).
 */
int tuck_keepalive_set(int fd, tuck_ns idle, tuck_ns interval, int probes);

#ifdef __cplusplus
}
#endif

#endif
