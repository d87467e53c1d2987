/* SPDX-License-Identifier: MIT */
/*
 * Each call of libc's that may wait does so alone: it has begun, it has not
 * ended, and another tasklet runs, which is what lets it end.
 */
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <threads.h>
#include <time.h>

#include "hooked.h"
#include "offloads.h"

static struct {
	const struct call *call;
	tuck_id id;
	int began, ended;
} waiting;

/* What is set up first, what waits, and what ends that; NULL: a cancel. */
struct call {
	const char *name;
	void (*prepare)(void), (*wait)(void), (*let_go)(void);
};

static void make_call(void *arg)
{
	(void)arg;
	waiting.began = 1;
	waiting.call->wait();
	waiting.ended = 1;
}

static void check_alone(const struct call *call)
{
	waiting.call = call;
	waiting.began = waiting.ended = 0;
	if (call->prepare)
		call->prepare();
	waiting.id = go(make_call, NULL);
	settle();
	if (!waiting.began || waiting.ended)
		check_fail(CHECK_AT, "%s does not wait", call->name);
	if (call->let_go)
		call->let_go();
	else
		CHECK_EQ(tuck_cancel(waiting.id), 0);
	WAIT_FOR(waiting.ended);
}

#define CHECK_ALONE(calls) do {						\
	for (size_t i = 0; i < sizeof(calls) / sizeof((calls)[0]); i++)	\
		check_alone(&(calls)[i]);				\
} while (0)

/* Where a call stops its thread, it is not for ever. */
static struct timespec long_time(void)
{
	return (struct timespec){ check_limit_s() / 2, 0 };
}

static struct timespec late(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_sec += check_limit_s() / 2;
	return t;
}

/* -- sleeps -- */

static void by_sleep(void)
{
	CHECK(sleep((unsigned)check_limit_s() / 2) > 0);
}

static void by_usleep(void)
{
	CHECK_EQ(usleep((useconds_t)check_limit_s() * 500000), -1);
	CHECK_EQ(errno, ECANCELED);
}

static void by_nanosleep(void)
{
	struct timespec t = long_time(), left = { 0, 0 };

	CHECK_EQ(nanosleep(&t, &left), -1);
	CHECK_EQ(errno, ECANCELED);
	CHECK(left.tv_sec > 0 || left.tv_nsec > 0);
}

static void by_clock_nanosleep(void)
{
	struct timespec t = long_time();

	CHECK_EQ(clock_nanosleep(CLOCK_BOOTTIME, 0, &t, NULL), ECANCELED);
}

static void until_clock_nanosleep(void)
{
	struct timespec t = late(CLOCK_REALTIME);

	CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL),
		 ECANCELED);
}

static void by_thrd_sleep(void)
{
	struct timespec t = long_time(), left = { 0, 0 };

	CHECK_EQ(thrd_sleep(&t, &left), -2);
	CHECK(left.tv_sec > 0 || left.tv_nsec > 0);
}

HOOKED_TEST(sleeps)
{
	static const struct call calls[] = {
		{ "sleep", NULL, by_sleep, NULL },
		{ "usleep", NULL, by_usleep, NULL },
		{ "nanosleep", NULL, by_nanosleep, NULL },
		{ "clock_nanosleep", NULL, by_clock_nanosleep, NULL },
		{ "clock_nanosleep until", NULL, until_clock_nanosleep, NULL },
		{ "thrd_sleep", NULL, by_thrd_sleep, NULL },
	};

	CHECK_ALONE(calls);
}

HOOKED_TEST(thrd_sleep_says_what_libc_says)
{
	struct timespec bad = { 0, 1000000000 }, t = { 0, 1000000 };

	CHECK_EQ(thrd_sleep(&bad, NULL), -2);
	CHECK_EQ(thrd_sleep(&t, NULL), 0);
}

/* -- joins -- */

static pthread_t thread;
static atomic_int go_on;

static void *end_when_told(void *arg)
{
	tuck_ns end = patience();

	while (!atomic_load(&go_on) && tuck_now() < end)
		usleep(200);
	return arg;
}

static void start_thread(void)
{
	atomic_store(&go_on, 0);
	CHECK_EQ(pthread_create(&thread, NULL, end_when_told, &go_on), 0);
}

static void end_thread(void)
{
	atomic_store(&go_on, 1);
}

static void by_join(void)
{
	void *ret;

	CHECK_EQ(pthread_join(thread, &ret), 0);
	CHECK(ret == &go_on);
}

static void by_timedjoin(void)
{
	struct timespec t = late(CLOCK_REALTIME);
	void *ret;

	CHECK_EQ(pthread_timedjoin_np(thread, &ret, &t), 0);
	CHECK(ret == &go_on);
}

static void by_clockjoin(void)
{
	struct timespec t = late(CLOCK_MONOTONIC);
	void *ret;

	CHECK_EQ(pthread_clockjoin_np(thread, &ret, CLOCK_MONOTONIC, &t), 0);
	CHECK(ret == &go_on);
}

HOOKED_TEST(joins)
{
	static const struct call calls[] = {
		{ "pthread_join", start_thread, by_join, end_thread },
		{ "pthread_timedjoin_np", start_thread, by_timedjoin,
		  end_thread },
		{ "pthread_clockjoin_np", start_thread, by_clockjoin,
		  end_thread },
	};

	CHECK_ALONE(calls);
}

/* -- locks -- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static mtx_t mtx;
static cnd_t cnd;

static void lock(void)
{
	CHECK_EQ(pthread_mutex_lock(&mutex), 0);
}

static void unlock(void)
{
	CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
}

static void by_lock(void)
{
	lock();
	unlock();
}

static void by_timedlock(void)
{
	struct timespec t = late(CLOCK_REALTIME);

	CHECK_EQ(pthread_mutex_timedlock(&mutex, &t), 0);
	unlock();
}

static void by_clocklock(void)
{
	struct timespec t = late(CLOCK_MONOTONIC);

	CHECK_EQ(pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &t), 0);
	unlock();
}

static void lock_mtx(void)
{
	CHECK_EQ(mtx_init(&mtx, mtx_timed), thrd_success);
	CHECK_EQ(mtx_lock(&mtx), thrd_success);
}

static void unlock_mtx(void)
{
	CHECK_EQ(mtx_unlock(&mtx), thrd_success);
}

static void by_mtx_lock(void)
{
	CHECK_EQ(mtx_lock(&mtx), thrd_success);
	unlock_mtx();
}

static void by_mtx_timedlock(void)
{
	struct timespec t = late(CLOCK_REALTIME);

	CHECK_EQ(mtx_timedlock(&mtx, &t), thrd_success);
	unlock_mtx();
}

static void wrlock(void)
{
	CHECK_EQ(pthread_rwlock_wrlock(&rwlock), 0);
}

static void rwunlock(void)
{
	CHECK_EQ(pthread_rwlock_unlock(&rwlock), 0);
}

static void by_wrlock(void)
{
	wrlock();
	rwunlock();
}

static void by_rdlock(void)
{
	CHECK_EQ(pthread_rwlock_rdlock(&rwlock), 0);
	rwunlock();
}

static void by_timedrdlock(void)
{
	struct timespec t = late(CLOCK_REALTIME);

	CHECK_EQ(pthread_rwlock_timedrdlock(&rwlock, &t), 0);
	rwunlock();
}

static void by_timedwrlock(void)
{
	struct timespec t = late(CLOCK_REALTIME);

	CHECK_EQ(pthread_rwlock_timedwrlock(&rwlock, &t), 0);
	rwunlock();
}

static void by_clockrdlock(void)
{
	struct timespec t = late(CLOCK_MONOTONIC);

	CHECK_EQ(pthread_rwlock_clockrdlock(&rwlock, CLOCK_MONOTONIC, &t), 0);
	rwunlock();
}

static void by_clockwrlock(void)
{
	struct timespec t = late(CLOCK_MONOTONIC);

	CHECK_EQ(pthread_rwlock_clockwrlock(&rwlock, CLOCK_MONOTONIC, &t), 0);
	rwunlock();
}

HOOKED_TEST(locks)
{
	static const struct call calls[] = {
		{ "pthread_mutex_timedlock", lock, by_timedlock, unlock },
		{ "pthread_mutex_clocklock", lock, by_clocklock, unlock },
		{ "pthread_mutex_lock", lock, by_lock, unlock },
		{ "mtx_timedlock", lock_mtx, by_mtx_timedlock, unlock_mtx },
		{ "mtx_lock", lock_mtx, by_mtx_lock, unlock_mtx },
		{ "timedrdlock", wrlock, by_timedrdlock, rwunlock },
		{ "timedwrlock", wrlock, by_timedwrlock, rwunlock },
		{ "clockrdlock", wrlock, by_clockrdlock, rwunlock },
		{ "clockwrlock", wrlock, by_clockwrlock, rwunlock },
		{ "pthread_rwlock_rdlock", wrlock, by_rdlock, rwunlock },
		{ "pthread_rwlock_wrlock", wrlock, by_wrlock, rwunlock },
	};

	CHECK_ALONE(calls);
}

static void new_sem(void)
{
	CHECK_EQ(sem_init(&sem, 0, 0), 0);
}

static void post(void)
{
	CHECK_EQ(sem_post(&sem), 0);
}

static void by_sem_wait(void)
{
	CHECK_EQ(sem_wait(&sem), 0);
}

static void by_sem_timedwait(void)
{
	struct timespec t = late(CLOCK_REALTIME);

	CHECK_EQ(sem_timedwait(&sem, &t), 0);
}

static void by_sem_clockwait(void)
{
	struct timespec t = late(CLOCK_MONOTONIC);

	CHECK_EQ(sem_clockwait(&sem, CLOCK_MONOTONIC, &t), 0);
}

HOOKED_TEST(semaphores)
{
	static const struct call calls[] = {
		{ "sem_timedwait", new_sem, by_sem_timedwait, post },
		{ "sem_clockwait", new_sem, by_sem_clockwait, post },
		{ "sem_wait", new_sem, by_sem_wait, post },
	};

	CHECK_ALONE(calls);
}

static void notify(void)
{
	lock();
	CHECK_EQ(pthread_cond_signal(&cond), 0);
	unlock();
}

static void by_cond_wait(void)
{
	lock();
	CHECK_EQ(pthread_cond_wait(&cond, &mutex), 0);
	unlock();
}

static void by_cond_timedwait(void)
{
	struct timespec t = late(CLOCK_REALTIME);

	lock();
	CHECK_EQ(pthread_cond_timedwait(&cond, &mutex, &t), 0);
	unlock();
}

static void by_cond_clockwait(void)
{
	struct timespec t = late(CLOCK_MONOTONIC);

	lock();
	CHECK_EQ(pthread_cond_clockwait(&cond, &mutex, CLOCK_MONOTONIC, &t), 0);
	unlock();
}

static void new_cnd(void)
{
	CHECK_EQ(mtx_init(&mtx, mtx_timed), thrd_success);
	CHECK_EQ(cnd_init(&cnd), thrd_success);
}

static void notify_cnd(void)
{
	CHECK_EQ(mtx_lock(&mtx), thrd_success);
	CHECK_EQ(cnd_broadcast(&cnd), thrd_success);
	unlock_mtx();
}

static void by_cnd_wait(void)
{
	CHECK_EQ(mtx_lock(&mtx), thrd_success);
	CHECK_EQ(cnd_wait(&cnd, &mtx), thrd_success);
	unlock_mtx();
}

static void by_cnd_timedwait(void)
{
	struct timespec t = late(CLOCK_REALTIME);

	CHECK_EQ(mtx_lock(&mtx), thrd_success);
	CHECK_EQ(cnd_timedwait(&cnd, &mtx, &t), thrd_success);
	unlock_mtx();
}

HOOKED_TEST(conditions)
{
	static const struct call calls[] = {
		{ "pthread_cond_timedwait", NULL, by_cond_timedwait, notify },
		{ "pthread_cond_clockwait", NULL, by_cond_clockwait, notify },
		{ "pthread_cond_wait", NULL, by_cond_wait, notify },
		{ "cnd_timedwait", new_cnd, by_cnd_timedwait, notify_cnd },
		{ "cnd_wait", new_cnd, by_cnd_wait, notify_cnd },
	};

	CHECK_ALONE(calls);
}

/* -- names: the threads that ask are busy -- */

static char host_buf[4096];
static struct hostent host, *found;
static int host_err;

static void go_far(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_offload_remote(NULL, wait_at_gate, NULL, 0, TUCK_FOREVER),
		 7);
}

static void stop_asking(void)
{
	no_call_is_left();
	atomic_store(&gate_open, 0);
	atomic_store(&at_gate, 0);
	go(go_far, NULL);
	WAIT_FOR(atomic_load(&at_gate) == 1);
}

static void check_host(const struct hostent *h)
{
	CHECK(h);
	CHECK_STR(h->h_name, "localhost");
	CHECK_EQ(h->h_addrtype, AF_INET);
	CHECK_MEM(h->h_addr_list[0], "\177\0\0\1", 4);
}

static void by_getaddrinfo(void)
{
	struct addrinfo *list;

	CHECK_EQ(getaddrinfo("localhost", "80", NULL, &list), 0);
	freeaddrinfo(list);
}

static void by_getnameinfo(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQ(getnameinfo((struct sockaddr *)&sin, sizeof(sin), host_buf,
			     sizeof(host_buf), NULL, 0, 0),
		 0);
	CHECK_STR(host_buf, "localhost");
}

static void by_gethostbyname(void)
{
	check_host(gethostbyname("localhost"));
}

static void by_gethostbyname2(void)
{
	check_host(gethostbyname2("localhost", AF_INET));
}

static void by_gethostbyaddr(void)
{
	check_host(gethostbyaddr("\177\0\0\1", 4, AF_INET));
}

static void by_gethostbyname_r(void)
{
	CHECK_EQ(gethostbyname_r("localhost", &host, host_buf, sizeof(host_buf),
				 &found, &host_err),
		 0);
	check_host(found);
}

static void by_gethostbyname2_r(void)
{
	CHECK_EQ(gethostbyname2_r("localhost", AF_INET, &host, host_buf,
				  sizeof(host_buf), &found, &host_err),
		 0);
	check_host(found);
}

static void by_gethostbyaddr_r(void)
{
	CHECK_EQ(gethostbyaddr_r("\177\0\0\1", 4, AF_INET, &host, host_buf,
				 sizeof(host_buf), &found, &host_err),
		 0);
	check_host(found);
}

HOOKED_TEST(names)
{
	static const struct call calls[] = {
		{ "getaddrinfo", stop_asking, by_getaddrinfo, open_gate },
		{ "getnameinfo", stop_asking, by_getnameinfo, open_gate },
		{ "gethostbyname", stop_asking, by_gethostbyname, open_gate },
		{ "gethostbyname2", stop_asking, by_gethostbyname2, open_gate },
		{ "gethostbyaddr", stop_asking, by_gethostbyaddr, open_gate },
		{ "gethostbyname_r", stop_asking, by_gethostbyname_r,
		  open_gate },
		{ "gethostbyname2_r", stop_asking, by_gethostbyname2_r,
		  open_gate },
		{ "gethostbyaddr_r", stop_asking, by_gethostbyaddr_r,
		  open_gate },
	};

	CHECK_EQ(tuck_offload_limit(2, 0), 0);	/* so one for names */
	CHECK_ALONE(calls);
}

/* -- descriptors -- */

int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *limit,
		const sigset_t *mask, size_t room);

static int in[2], out[2];
static char much[1 << 16];

static void write_in(void)
{
	raw_write(in[1], "abc", 3);
}

static void by_ppoll_chk(void)
{
	struct pollfd p = { .fd = in[0], .events = POLLIN };
	struct timespec t = long_time();

	CHECK_EQ(__ppoll_chk(&p, 1, &t, NULL, sizeof(p)), 1);
	CHECK_EQ(p.revents, POLLIN);
}

/* Until nothing goes in. */
static void stuff_out(void)
{
	CHECK_EQ(fcntl(out[1], F_SETFL, O_NONBLOCK), 0);
	while (write(out[1], much, sizeof(much)) > 0)
		;
	CHECK_EQ(fcntl(out[1], F_SETFL, 0), 0);
}

static void drain_out(void)
{
	CHECK_EQ(fcntl(out[0], F_SETFL, O_NONBLOCK), 0);
	while (read(out[0], much, sizeof(much)) > 0)
		;
	CHECK_EQ(fcntl(out[0], F_SETFL, 0), 0);
}

static void pairs(bool in_is_socket, bool out_is_socket)
{
	in_is_socket ? stream_pair(in) : pipe_pair(in);
	out_is_socket ? stream_pair(out) : pipe_pair(out);
}

static void pipe_to_pipe(void)
{
	pairs(false, false);
}

static void pipe_to_socket(void)
{
	pairs(false, true);
}

static void socket_to_pipe(void)
{
	pairs(true, false);
}

static void pipe_to_full_pipe(void)
{
	pairs(false, false);
	write_in();
	stuff_out();
}

static void pipe_to_full_socket(void)
{
	pairs(false, true);
	write_in();
	stuff_out();
}

static void by_splice(void)
{
	CHECK_EQ(splice(in[0], NULL, out[1], NULL, 100, 0), 3);
	CHECK(!(fcntl(in[0], F_GETFL) & O_NONBLOCK));
	CHECK(!(fcntl(out[1], F_GETFL) & O_NONBLOCK));
	drain_out();
	CHECK_MEM(much, "abc", 3);
}

static void by_splice_after_much(void)
{
	CHECK_EQ(splice(in[0], NULL, out[1], NULL, 100, 0), 3);
	drain_out();
}

static void by_sendfile64(void)
{
	FILE *f = tmpfile();

	CHECK_EQ(fwrite("abc", 1, 3, f), 3);
	CHECK_EQ(fflush(f), 0);
	CHECK_EQ(lseek(fileno(f), 0, SEEK_SET), 0);
	CHECK_EQ(sendfile64(out[1], fileno(f), NULL, 3), 3);
	fclose(f);
}

HOOKED_TEST(descriptors)
{
	static const struct call calls[] = {
		{ "__ppoll_chk", pipe_to_pipe, by_ppoll_chk, write_in },
		{ "splice", pipe_to_pipe, by_splice, write_in },
		{ "splice to a socket", pipe_to_socket, by_splice, write_in },
		{ "splice from a socket", socket_to_pipe, by_splice, write_in },
		{ "splice to a full pipe", pipe_to_full_pipe,
		  by_splice_after_much, drain_out },
		{ "splice to a full socket", pipe_to_full_socket,
		  by_splice_after_much, drain_out },
		{ "sendfile64", pipe_to_full_socket, by_sendfile64, drain_out },
	};

	CHECK_ALONE(calls);
}

static void check_splice(int err)
{
	CHECK_EQ(splice(in[0], NULL, out[1], NULL, 9, 0), -1);
	CHECK_EQ(errno, err);
}

HOOKED_TEST(splice_says_what_the_kernel_says)
{
	struct timeval tv = { 0, 20000 };
	int spare[2];

	pairs(false, false);
	CHECK_EQ(splice(in[0], NULL, out[1], NULL, 9, SPLICE_F_NONBLOCK), -1);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(splice(in[0], NULL, out[1], NULL, 0, 0), 0);
	CHECK_EQ(fcntl(out[1], F_SETFL, O_NONBLOCK), 0);
	check_splice(EAGAIN);
	CHECK_EQ(fcntl(out[1], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	close(in[1]);
	CHECK_EQ(splice(in[0], NULL, out[1], NULL, 9, 0), 0);
	pairs(true, true);
	check_splice(EINVAL);
	pairs(true, false);
	CHECK_EQ(setsockopt(in[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)),
		 0);
	check_splice(EAGAIN);
	CHECK_EQ(fcntl(in[0], F_SETFL, O_NONBLOCK), 0);
	check_splice(EAGAIN);
	pipe_pair(spare);
	close(in[0]);
	check_splice(EBADF);
}

static void wait_for_close(void)
{
	char c;

	CHECK_EQ(read(in[0], &c, 1), -1);
	CHECK_EQ(errno, EBADF);
}

static void move_up(void)
{
	int top = fcntl(in[0], F_DUPFD, 900);

	CHECK(top >= 900);
	close(in[0]);
	in[0] = top;
}

static void close_all_from(void)
{
	closefrom(in[0]);
	CHECK_EQ(fcntl(in[0], F_GETFD), -1);
}

static void pair_far_up(void)
{
	pairs(true, true);
	move_up();
}

HOOKED_TEST(closefrom_ends_waits)
{
	static const struct call calls[] = {
		{ "read", pair_far_up, wait_for_close, close_all_from },
	};

	CHECK_ALONE(calls);
}
