/* SPDX-License-Identifier: MIT */
/*
 * A thread that is no proc has libc's own calls: each name that is hooked says
 * what libc says, and does not make the thread a proc.
 *
 * Each call is made twice, on a scene of its own, with nothing to wait for.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <threads.h>

#include "hook/names.h"
#include "hooked.h"

static void *libc;
static bool by_libc;

/* In the library that is preloaded the next one would be the hook's. */
static void *own(const char *name)
{
	void *fn = dlsym(libc, name);

	if (!fn)
		check_fail(CHECK_AT, "libc has no %s", name);
	return fn;
}

#define CALL(name) (*(by_libc ? (__typeof__(&name))own(#name) : &name))

/* -- the scene: the same numbers of descriptors each time -- */

enum { GONE = 899, FAR = 900 };

static int in[2], out[2], ends[2], epoll_fd, listener, client, file;
static struct sockaddr_in addr;
static char buf[4096];
static struct iovec iov = { buf, 3 };
static struct mmsghdr msg = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };
static const struct timespec no_time, past = { 1, 0 };
static struct addrinfo *list;
static struct hostent host, *found;
static int host_err;
static pthread_mutex_t mutex;
static pthread_rwlock_t rwlock, held;
static pthread_spinlock_t spin;
static pthread_cond_t cond;
static pthread_once_t once;
static sem_t sem;

static void set_up_locks(void)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	CHECK_EQ(pthread_mutex_init(&mutex, &attr), 0);
	CHECK_EQ(pthread_rwlock_init(&rwlock, NULL), 0);
	CHECK_EQ(pthread_rwlock_init(&held, NULL), 0);
	CHECK_EQ(pthread_rwlock_tryrdlock(&held), 0);
	CHECK_EQ(pthread_spin_init(&spin, 0), 0);
	CHECK_EQ(pthread_cond_init(&cond, NULL), 0);
	CHECK_EQ(sem_init(&sem, 0, 1), 0);
	once = PTHREAD_ONCE_INIT;
}

static void set_up(void)
{
	struct epoll_event e = { .events = EPOLLIN };

	stream_pair(in);
	stream_pair(out);
	pipe_pair(ends);
	raw_write(in[1], "abc", 3);
	epoll_fd = epoll_create1(0);
	CHECK_EQ(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, in[0], &e), 0);
	listener = raw_listen(&addr);
	CHECK_EQ(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
	client = socket(AF_INET, SOCK_STREAM, 0);
	file = memfd_create("file", 0);
	CHECK_EQ(pwrite(file, "abc", 3, 0), 3);
	set_up_locks();
}

static void tear_down(void)
{
	int fds[] = { in[0],   in[1],	 out[0],   out[1], ends[0],
		      ends[1], epoll_fd, listener, client, file };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
	if (list)
		freeaddrinfo(list);
	list = NULL;
}

/* -- the calls -- */

ssize_t __read_chk(int fd, void *p, size_t n, size_t room);
ssize_t __recv_chk(int fd, void *p, size_t n, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *p, size_t n, size_t room, int flags,
		       struct sockaddr *from, socklen_t *len);
int __poll_chk(struct pollfd *fds, nfds_t n, int ms, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *limit,
		const sigset_t *mask, size_t room);

static struct pollfd *readable(void)
{
	static struct pollfd p;

	p = (struct pollfd){ .fd = in[0], .events = POLLIN };
	return &p;
}

static fd_set *readable_set(void)
{
	static fd_set set;

	FD_ZERO(&set);
	FD_SET(in[0], &set);
	return &set;
}

static void nothing(void)
{
}

static int say_seven(struct dl_phdr_info *info, size_t n, void *arg)
{
	(void)info;
	(void)n;
	(void)arg;
	return 7;
}

static struct sockaddr *loopback(void)
{
	return (struct sockaddr *)&addr;
}

static struct epoll_event event;

/* clang-format off */
#define ROW(name, ...)							\
	static long call_##name(void)					\
	{								\
		return (long)CALL(name)(__VA_ARGS__);			\
	}
#define ROW_FOUND(name, ...)						\
	static long call_##name(void)					\
	{								\
		return CALL(name)(__VA_ARGS__) != NULL;			\
	}
#define ROW_VOID(name, ...)						\
	static long call_##name(void)					\
	{								\
		CALL(name)(__VA_ARGS__);				\
		return 0;						\
	}

ROW(read, in[0], buf, 9)
ROW(__read_chk, in[0], buf, 9, 9)
ROW(readv, in[0], &iov, 1)
ROW(recv, in[0], buf, 9, 0)
ROW(__recv_chk, in[0], buf, 9, 9, 0)
ROW(recvfrom, in[0], buf, 9, 0, NULL, NULL)
ROW(__recvfrom_chk, in[0], buf, 9, 9, 0, NULL, NULL)
ROW(recvmsg, in[0], &msg.msg_hdr, 0)
ROW(recvmmsg, in[0], &msg, 1, 0, NULL)
ROW(eventfd_read, in[0], (eventfd_t *)(void *)buf)
ROW(write, out[0], buf, 9)
ROW(writev, out[0], &iov, 1)
ROW(send, out[0], buf, 9, 0)
ROW(sendto, out[0], buf, 9, 0, NULL, 0)
ROW(sendmsg, out[0], &msg.msg_hdr, 0)
ROW(sendmmsg, out[0], &msg, 1, 0)
ROW(eventfd_write, out[0], 1)
ROW(sendfile, out[0], file, &(off_t){ 0 }, 9)
ROW(sendfile64, out[0], file, &(off_t){ 0 }, 9)
ROW(splice, in[0], NULL, ends[1], NULL, 9, 0)
ROW(connect, client, loopback(), sizeof(addr))
ROW(accept, listener, NULL, NULL)
ROW(accept4, listener, NULL, NULL, SOCK_CLOEXEC)
ROW(close, GONE)
ROW(close_range, FAR, FAR + 9, 0)
ROW_VOID(closefrom, FAR)
ROW(dup2, in[0], out[0])
ROW(dup3, in[0], out[0], O_CLOEXEC)
ROW(poll, readable(), 1, -1)
ROW(__poll_chk, readable(), 1, -1, sizeof(struct pollfd))
ROW(ppoll, readable(), 1, NULL, NULL)
ROW(__ppoll_chk, readable(), 1, NULL, NULL, sizeof(struct pollfd))
ROW(select, in[0] + 1, readable_set(), NULL, NULL, NULL)
ROW(pselect, in[0] + 1, readable_set(), NULL, NULL, NULL, NULL)
ROW(epoll_wait, epoll_fd, &event, 1, -1)
ROW(epoll_pwait, epoll_fd, &event, 1, -1, NULL)
ROW(epoll_pwait2, epoll_fd, &event, 1, NULL, NULL)
ROW(sleep, 0)
ROW(usleep, 0)
ROW(nanosleep, &no_time, NULL)
ROW(clock_nanosleep, CLOCK_MONOTONIC, 0, &no_time, NULL)
ROW(thrd_sleep, &no_time, NULL)
ROW(sched_yield)
ROW(pthread_join, pthread_self(), NULL)
ROW(pthread_timedjoin_np, pthread_self(), NULL, &past)
ROW(pthread_clockjoin_np, pthread_self(), NULL, CLOCK_MONOTONIC, &past)
ROW(getaddrinfo, "127.0.0.1", "80", NULL, &list)
ROW(getnameinfo, loopback(), sizeof(addr), buf, 99, NULL, 0, NI_NUMERICHOST)
ROW_FOUND(gethostbyname, "127.0.0.1")
ROW_FOUND(gethostbyname2, "127.0.0.1", AF_INET)
ROW_FOUND(gethostbyaddr, "\177\0\0\1", 4, AF_INET)
ROW(gethostbyname_r, "127.0.0.1", &host, buf, sizeof(buf), &found, &host_err)
ROW(gethostbyname2_r, "127.0.0.1", AF_INET, &host, buf, sizeof(buf), &found,
    &host_err)
ROW(gethostbyaddr_r, "\177\0\0\1", 4, AF_INET, &host, buf, sizeof(buf), &found,
    &host_err)
ROW(dlopen, NULL, RTLD_NOW)
ROW(dlclose, libc)
ROW(dl_iterate_phdr, say_seven, NULL)
ROW(sigaction, SIGUSR2, NULL, &(struct sigaction){ .sa_flags = 0 })
ROW(pthread_mutex_lock, &mutex)
ROW(pthread_mutex_trylock, &mutex)
ROW(pthread_mutex_unlock, &mutex)
ROW(pthread_mutex_timedlock, &mutex, &past)
ROW(pthread_mutex_clocklock, &mutex, CLOCK_MONOTONIC, &past)
ROW(pthread_rwlock_rdlock, &held)
ROW(pthread_rwlock_wrlock, &rwlock)
ROW(pthread_rwlock_timedrdlock, &held, &past)
ROW(pthread_rwlock_timedwrlock, &held, &past)
ROW(pthread_rwlock_clockrdlock, &held, CLOCK_MONOTONIC, &past)
ROW(pthread_rwlock_clockwrlock, &held, CLOCK_MONOTONIC, &past)
ROW(pthread_rwlock_unlock, &held)
ROW(pthread_spin_lock, &spin)
ROW(pthread_spin_unlock, &spin)
ROW(pthread_cond_wait, &cond, &mutex)
ROW(pthread_cond_timedwait, &cond, &mutex, &past)
ROW(pthread_cond_clockwait, &cond, &mutex, CLOCK_MONOTONIC, &past)
ROW(pthread_cond_signal, &cond)
ROW(pthread_cond_broadcast, &cond)
ROW(pthread_once, &once, nothing)
ROW(sem_wait, &sem)
ROW(sem_timedwait, &sem, &past)
ROW(sem_clockwait, &sem, CLOCK_MONOTONIC, &past)
ROW(sem_post, &sem)
/* Libstdc++'s, which a program in C does not have. */
#define call___cxa_guard_acquire NULL
#define call___cxa_guard_release NULL
#define call___cxa_guard_abort NULL
/* clang-format on */

struct named {
	const char *name;
	long (*call)(void);
};

#define NAMED(type, name, parameters, arguments) { #name, call_##name },

static const struct named names[] = { TUCK__HOOKS(NAMED) TUCK__LOCKS(NAMED) };

struct said {
	long result;
	int err;
};

static struct said make(const struct named *n, bool of_libc)
{
	struct said said;

	set_up();
	by_libc = of_libc;
	errno = 0;
	said.result = n->call();
	said.err = errno;
	tear_down();
	return said;
}

static void check_same(const struct named *n)
{
	struct said libcs = make(n, true), ours = make(n, false);

	if (ours.result != libcs.result || ours.err != libcs.err)
		check_fail(CHECK_AT, "%s: %ld (%d), libc says %ld (%d)",
			   n->name, ours.result, ours.err, libcs.result,
			   libcs.err);
	if (tuck_can_switch())
		check_fail(CHECK_AT, "%s makes a proc", n->name);
}

static void *check_all(void *arg)
{
	(void)arg;
	needs_hook();
	NOT_UNDER_TSAN("locks that are misused are its affair");
	libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	CHECK(libc);
	dlopen("libc.so.6", RTLD_NOW);	/* for what is closed */
	CHECK(!tuck_can_switch());
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].call)
			check_same(&names[i]);
	return NULL;
}

TEST(a_program_before_its_first_call_of_tuck)
{
	check_all(NULL);
	CHECK(tuck_self() > 0);
	CHECK(tuck_can_switch());	/* so that would have been seen */
}

static atomic_int checked;

static void *check_all_too(void *arg)
{
	check_all(arg);
	atomic_store(&checked, 1);
	return NULL;
}

/* In a program that has procs. */
HOOKED_TEST(a_thread_that_is_no_proc)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, check_all_too, NULL), 0);
	WAIT_FOR(atomic_load(&checked));
	CHECK_EQ(pthread_join(thread, NULL), 0);
}
