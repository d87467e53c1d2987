/* SPDX-License-Identifier: MIT */
/*
 * The functions of libc that are hooked: TUCK__HOOKS(X) has an
 * X(type, name, parameters, arguments) for each. TUCK__LOCKS(X) has those
 * that libtuck-preempt brings; the guards are libstdc++'s. What
 * <bits/...2.h> of _FORTIFY_SOURCE calls ends in _chk.
 */
#ifndef TUCK__HOOK_NAMES_H
#define TUCK__HOOK_NAMES_H

#include <link.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

/* clang-format off */
#define TUCK__HOOKS(X)							\
X(ssize_t, read, (int fd, void *buf, size_t n), (fd, buf, n))		\
X(ssize_t, __read_chk, (int fd, void *buf, size_t n, size_t room),	\
	(fd, buf, n, room))						\
X(ssize_t, readv, (int fd, const struct iovec *iov, int n), (fd, iov, n)) \
X(ssize_t, recv, (int fd, void *buf, size_t n, int flags),		\
	(fd, buf, n, flags))						\
X(ssize_t, __recv_chk, (int fd, void *buf, size_t n, size_t room,	\
	int flags), (fd, buf, n, room, flags))				\
X(ssize_t, recvfrom, (int fd, void *buf, size_t n, int flags,		\
	struct sockaddr *addr, socklen_t *len),				\
	(fd, buf, n, flags, addr, len))					\
X(ssize_t, __recvfrom_chk, (int fd, void *buf, size_t n, size_t room,	\
	int flags, struct sockaddr *addr, socklen_t *len),		\
	(fd, buf, n, room, flags, addr, len))				\
X(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags),		\
	(fd, msg, flags))						\
X(int, recvmmsg, (int fd, struct mmsghdr *msgs, unsigned n, int flags,	\
	struct timespec *limit), (fd, msgs, n, flags, limit))		\
X(int, eventfd_read, (int fd, eventfd_t *value), (fd, value))		\
X(ssize_t, write, (int fd, const void *buf, size_t n), (fd, buf, n))	\
X(ssize_t, writev, (int fd, const struct iovec *iov, int n), (fd, iov, n)) \
X(ssize_t, send, (int fd, const void *buf, size_t n, int flags),	\
	(fd, buf, n, flags))						\
X(ssize_t, sendto, (int fd, const void *buf, size_t n, int flags,	\
	const struct sockaddr *addr, socklen_t len),			\
	(fd, buf, n, flags, addr, len))					\
X(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags),	\
	(fd, msg, flags))						\
X(int, sendmmsg, (int fd, struct mmsghdr *msgs, unsigned n, int flags),	\
	(fd, msgs, n, flags))						\
X(int, eventfd_write, (int fd, eventfd_t value), (fd, value))		\
X(ssize_t, sendfile, (int fd, int file, off_t *offset, size_t n),	\
	(fd, file, offset, n))						\
X(ssize_t, sendfile64, (int fd, int file, off_t *offset, size_t n),	\
	(fd, file, offset, n))						\
X(ssize_t, splice, (int in, off64_t *in_at, int out, off64_t *out_at,	\
	size_t n, unsigned flags), (in, in_at, out, out_at, n, flags))	\
X(int, connect, (int fd, const struct sockaddr *addr, socklen_t len),	\
	(fd, addr, len))						\
X(int, accept, (int fd, struct sockaddr *addr, socklen_t *len),	\
	(fd, addr, len))						\
X(int, accept4, (int fd, struct sockaddr *addr, socklen_t *len,	\
	int flags), (fd, addr, len, flags))				\
X(int, close, (int fd), (fd))						\
X(int, close_range, (unsigned first, unsigned last, int flags),	\
	(first, last, flags))						\
X(void, closefrom, (int first), (first))				\
X(int, dup2, (int fd, int as), (fd, as))				\
X(int, dup3, (int fd, int as, int flags), (fd, as, flags))		\
X(int, poll, (struct pollfd *fds, nfds_t n, int ms), (fds, n, ms))	\
X(int, __poll_chk, (struct pollfd *fds, nfds_t n, int ms, size_t room),	\
	(fds, n, ms, room))						\
X(int, ppoll, (struct pollfd *fds, nfds_t n, const struct timespec *limit, \
	const sigset_t *mask), (fds, n, limit, mask))			\
X(int, __ppoll_chk, (struct pollfd *fds, nfds_t n,			\
	const struct timespec *limit, const sigset_t *mask, size_t room), \
	(fds, n, limit, mask, room))					\
X(int, select, (int n, fd_set *in, fd_set *out, fd_set *urgent,	\
	struct timeval *limit), (n, in, out, urgent, limit))		\
X(int, pselect, (int n, fd_set *in, fd_set *out, fd_set *urgent,	\
	const struct timespec *limit, const sigset_t *mask),		\
	(n, in, out, urgent, limit, mask))				\
X(int, epoll_wait, (int fd, struct epoll_event *events, int n, int ms),	\
	(fd, events, n, ms))						\
X(int, epoll_pwait, (int fd, struct epoll_event *events, int n, int ms,	\
	const sigset_t *mask), (fd, events, n, ms, mask))		\
X(int, epoll_pwait2, (int fd, struct epoll_event *events, int n,	\
	const struct timespec *limit, const sigset_t *mask),		\
	(fd, events, n, limit, mask))					\
X(unsigned, sleep, (unsigned s), (s))					\
X(int, usleep, (useconds_t us), (us))					\
X(int, nanosleep, (const struct timespec *t, struct timespec *left),	\
	(t, left))							\
X(int, clock_nanosleep, (clockid_t clock, int flags,			\
	const struct timespec *t, struct timespec *left),		\
	(clock, flags, t, left))					\
X(int, thrd_sleep, (const struct timespec *t, struct timespec *left),	\
	(t, left))							\
X(int, sched_yield, (void), ())						\
X(int, pthread_join, (pthread_t thread, void **ret), (thread, ret))	\
X(int, pthread_timedjoin_np, (pthread_t thread, void **ret,		\
	const struct timespec *until), (thread, ret, until))		\
X(int, pthread_clockjoin_np, (pthread_t thread, void **ret,		\
	clockid_t clock, const struct timespec *until),			\
	(thread, ret, clock, until))					\
X(int, getaddrinfo, (const char *node, const char *service,		\
	const struct addrinfo *hints, struct addrinfo **ret),		\
	(node, service, hints, ret))					\
X(int, getnameinfo, (const struct sockaddr *addr, socklen_t len,	\
	char *host, socklen_t host_n, char *service, socklen_t service_n, \
	int flags), (addr, len, host, host_n, service, service_n, flags)) \
X(struct hostent *, gethostbyname, (const char *name), (name))		\
X(struct hostent *, gethostbyname2, (const char *name, int family),	\
	(name, family))							\
X(struct hostent *, gethostbyaddr, (const void *addr, socklen_t len,	\
	int family), (addr, len, family))				\
X(int, gethostbyname_r, (const char *name, struct hostent *host,	\
	char *buf, size_t n, struct hostent **ret, int *ret_err),	\
	(name, host, buf, n, ret, ret_err))				\
X(int, gethostbyname2_r, (const char *name, int family,		\
	struct hostent *host, char *buf, size_t n, struct hostent **ret, \
	int *ret_err), (name, family, host, buf, n, ret, ret_err))	\
X(int, gethostbyaddr_r, (const void *addr, socklen_t len, int family,	\
	struct hostent *host, char *buf, size_t n, struct hostent **ret, \
	int *ret_err), (addr, len, family, host, buf, n, ret, ret_err))	\
X(void *, dlopen, (const char *file, int flags), (file, flags))	\
X(int, dlclose, (void *handle), (handle))				\
X(int, dl_iterate_phdr,							\
	(int (*fn)(struct dl_phdr_info *info, size_t n, void *arg),	\
	void *arg), (fn, arg))

#define TUCK__LOCKS(X)							\
X(int, sigaction, (int sig, const struct sigaction *action,		\
	struct sigaction *ret_old), (sig, action, ret_old))		\
X(int, pthread_mutex_lock, (pthread_mutex_t *m), (m))			\
X(int, pthread_mutex_trylock, (pthread_mutex_t *m), (m))		\
X(int, pthread_mutex_unlock, (pthread_mutex_t *m), (m))		\
X(int, pthread_mutex_timedlock, (pthread_mutex_t *m,			\
	const struct timespec *until), (m, until))			\
X(int, pthread_mutex_clocklock, (pthread_mutex_t *m, clockid_t clock,	\
	const struct timespec *until), (m, clock, until))		\
X(int, pthread_rwlock_rdlock, (pthread_rwlock_t *l), (l))		\
X(int, pthread_rwlock_wrlock, (pthread_rwlock_t *l), (l))		\
X(int, pthread_rwlock_timedrdlock, (pthread_rwlock_t *l,		\
	const struct timespec *until), (l, until))			\
X(int, pthread_rwlock_timedwrlock, (pthread_rwlock_t *l,		\
	const struct timespec *until), (l, until))			\
X(int, pthread_rwlock_clockrdlock, (pthread_rwlock_t *l,		\
	clockid_t clock, const struct timespec *until), (l, clock, until)) \
X(int, pthread_rwlock_clockwrlock, (pthread_rwlock_t *l,		\
	clockid_t clock, const struct timespec *until), (l, clock, until)) \
X(int, pthread_rwlock_unlock, (pthread_rwlock_t *l), (l))		\
X(int, pthread_spin_lock, (pthread_spinlock_t *l), (l))		\
X(int, pthread_spin_unlock, (pthread_spinlock_t *l), (l))		\
X(int, pthread_cond_wait, (pthread_cond_t *c, pthread_mutex_t *m), (c, m)) \
X(int, pthread_cond_timedwait, (pthread_cond_t *c, pthread_mutex_t *m,	\
	const struct timespec *until), (c, m, until))			\
X(int, pthread_cond_clockwait, (pthread_cond_t *c, pthread_mutex_t *m,	\
	clockid_t clock, const struct timespec *until), (c, m, clock, until)) \
X(int, pthread_cond_signal, (pthread_cond_t *c), (c))			\
X(int, pthread_cond_broadcast, (pthread_cond_t *c), (c))		\
X(int, pthread_once, (pthread_once_t *once, void (*fn)(void)), (once, fn)) \
X(int, sem_wait, (sem_t *s), (s))					\
X(int, sem_timedwait, (sem_t *s, const struct timespec *until), (s, until)) \
X(int, sem_clockwait, (sem_t *s, clockid_t clock,			\
	const struct timespec *until), (s, clock, until))		\
X(int, sem_post, (sem_t *s), (s))					\
X(int, __cxa_guard_acquire, (void *guard), (guard))			\
X(void, __cxa_guard_release, (void *guard), (guard))			\
X(void, __cxa_guard_abort, (void *guard), (guard))
/* clang-format on */

#define TUCK__DECLARE(type, name, parameters, arguments)		\
	type __real_##name parameters;					\
	type __wrap_##name parameters;

#define TUCK__DECLARE_LOCK(type, name, parameters, arguments)		\
	type __real_##name parameters;

TUCK__HOOKS(TUCK__DECLARE)
TUCK__LOCKS(TUCK__DECLARE_LOCK)

#undef TUCK__DECLARE
#undef TUCK__DECLARE_LOCK

#endif
