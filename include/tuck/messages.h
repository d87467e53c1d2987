/* SPDX-License-Identifier: MIT */
/*
 * Messages: datagrams, what comes with them, and descriptors that are passed
 * on. Each call waits until the kernel takes or has the first message; the
 * names and buffers it is given must not change meanwhile. Never a SIGPIPE.
 * Descriptors that arrive close on exec. The kernel has no event for "a Unix
 * datagram socket has room again" unless one is connected to it: who sends to
 * such a name tries again every 2 ms.
 */
#ifndef TUCK_MESSAGES_H
#define TUCK_MESSAGES_H

#include <sys/socket.h>
#include <sys/types.h>
#include <tuck/net.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mmsghdr;		/* of <sys/socket.h>, with _GNU_SOURCE */

#define TUCK_FDS_MAX 253	/* that go with one message */

/*
 * Receive one message into buf; returns its length, which may be 0. ret_from
 * may be NULL. What buf held before is not kept if the call waits.
 * Switches: may.
 * Errors: -EMSGSIZE for a datagram longer than n, whose rest is lost; buf has
 * its beginning. Those of recvmsg(2), and as tuck_read().
 */
ssize_t tuck_recv_from(int fd, void *buf, size_t n, struct tuck_addr *ret_from,
		       tuck_ns deadline);

/*
 * Send one message, to an address or, if that is NULL, to the one that the
 * socket is connected to; returns its length, of a stream what was taken.
 * Switches: may.
 * Errors: those of sendmsg(2), and as tuck_write(); -EMSGSIZE for a datagram
 * that is too long.
 */
ssize_t tuck_send_to(int fd, const void *buf, size_t n,
		     const struct tuck_addr *to, tuck_ns deadline);

/*
 * recvmsg(2), for control data and all else: msg_flags tells what was cut
 * (MSG_TRUNC, MSG_CTRUNC). flags may be MSG_PEEK, MSG_TRUNC, MSG_OOB and
 * MSG_ERRQUEUE; MSG_CMSG_CLOEXEC is always set. If the call waits, what the
 * buffers held is not kept, and msg is as it was until a message comes.
 * Switches: may.
 * Errors: those of recvmsg(2), and as tuck_read(); -EINVAL for other flags or
 * a NULL msg.
 */
ssize_t tuck_recvmsg(int fd, struct msghdr *msg, int flags, tuck_ns deadline);

/*
 * sendmsg(2). flags may be MSG_MORE, MSG_EOR, MSG_OOB, MSG_CONFIRM,
 * MSG_DONTROUTE. MSG_ZEROCOPY is refused: the kernel would have the buffers
 * after the call, when other tasklets' bytes may be in their place. Descriptors
 * in control data are not to be closed while it waits: another file could have
 * their numbers when it goes.
 * Switches: may.
 * Errors: those of sendmsg(2), and as tuck_write(); -EINVAL for other flags or
 * a NULL msg.
 */
ssize_t tuck_sendmsg(int fd, const struct msghdr *msg, int flags,
		     tuck_ns deadline);

/*
 * Receive as many messages as there are, at most n, in one system call: waits
 * for the first and returns how many came, as recvmmsg(2) does. At most 1,024
 * at a time.
 * Switches: may. Errors: as tuck_recvmsg(); -EINVAL for n < 1.
 */
int tuck_recvmmsg(int fd, struct mmsghdr *msgs, int n, int flags,
		  tuck_ns deadline);

/*
 * Send as many of n messages as the kernel takes at once, at least one;
 * returns how many. At most 1,024 at a time.
 * Switches: may. Errors: as tuck_sendmsg(), of the first; what is wrong with a
 * later one is told by the call that begins with it. -EINVAL for n < 1.
 */
int tuck_sendmmsg(int fd, struct mmsghdr *msgs, int n, int flags,
		  tuck_ns deadline);

/*
 * Send bytes, and with the first of them descriptors, to the other end of a
 * Unix socket; returns the number of bytes taken. The caller's descriptors
 * stay its own, to be closed, but not while it waits: -EBADF.
 * Switches: may.
 * Errors: as tuck_sendmsg(); -EINVAL for descriptors without a byte, or more
 * than TUCK_FDS_MAX. After an error nothing was sent.
 */
ssize_t tuck_unix_send(int fd, const void *buf, size_t n, const int *fds,
		       int n_fds, tuck_ns deadline);

/*
 * Receive bytes from a Unix socket, and the descriptors that came with them,
 * which are the caller's: at most *n_fds, which becomes their number. Bytes
 * that came with others than the first are left for the next call. 0 is the
 * end, or an empty message.
 * Switches: may.
 * Errors: as tuck_recv_from(); -EMSGSIZE also for more than *n_fds
 * descriptors, -EMFILE when this process can have no more. With these, bytes
 * and descriptors are gone, and all are closed; *n_fds is as it was.
 */
ssize_t tuck_unix_recv(int fd, void *buf, size_t n, int *ret_fds, int *n_fds,
		       tuck_ns deadline);

/* Who is at the other end. */
struct tuck_unix_cred {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

/*
 * Who connected, listened or made the pair, as the kernel noted it then.
 * Switches: no. Errors: those of getsockopt(2), -EINVAL for NULL.
 */
int tuck_unix_cred(int fd, struct tuck_unix_cred *ret_cred);

#ifdef __cplusplus
}
#endif

#endif
