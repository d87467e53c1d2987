/* SPDX-License-Identifier: MIT */
/*
 * What a parked tasklet keeps of the call that it waits in (rule S5): the
 * bytes of its slice, which all pay who have many tasklets.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <tuck.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/sanitize.h"
#include "check.h"

static struct tuck_chan *chan;
static int fd[2], listener;
static char junk[4096];

static void wait_block(void *arg)
{
	(void)arg;
	tuck_block(TUCK_FOREVER);
}

static void wait_sleep(void *arg)
{
	(void)arg;
	tuck_sleep(tuck_after(TUCK_SEC(100)));
}

static void wait_join(void *arg)
{
	tuck_join((tuck_id)(intptr_t)arg, TUCK_FOREVER);
}

static void wait_send(void *arg)
{
	(void)arg;
	tuck_chan_send(chan, &(long){ 1 }, TUCK_FOREVER);
}

static void wait_recv(void *arg)
{
	long elem;

	(void)arg;
	tuck_chan_recv(chan, &elem, TUCK_FOREVER);
}

static void wait_select(void *arg)
{
	long elem;
	struct tuck_case c = { .chan = chan, .op = TUCK_RECV, .elem = &elem };

	(void)arg;
	tuck_select(&c, 1, TUCK_FOREVER);
}

static void wait_read(void *arg)
{
	char buf[16384];

	(void)arg;
	tuck_read(fd[0], buf, sizeof(buf), TUCK_FOREVER);
}

static void wait_write(void *arg)
{
	(void)arg;
	while (tuck_write(fd[0], "x", 1, TUCK_FOREVER) == 1)
		;
}

static void wait_event(void *arg)
{
	(void)arg;
	tuck_fd_wait(fd[0], TUCK_READABLE, TUCK_FOREVER);
}

static void wait_accept(void *arg)
{
	(void)arg;
	tuck_accept(listener, NULL, TUCK_FOREVER);
}

static void wait_transfer(void *arg)
{
	tuck_transfer((tuck_id)(intptr_t)arg);
}

static void wait_proc(void *arg)
{
	tuck_proc_join((int)(intptr_t)arg, TUCK_FOREVER);
}

static void wait_read_full(void *arg)
{
	char buf[16384];

	(void)arg;
	tuck_read_full(fd[0], buf, sizeof(buf), TUCK_FOREVER);
}

static void wait_readv(void *arg)
{
	char byte;
	struct iovec iov = { &byte, 1 };

	(void)arg;
	tuck_readv(fd[0], &iov, 1, TUCK_FOREVER);
}

static void wait_writev(void *arg)
{
	struct iovec iov = { arg, 1 };

	while (tuck_writev(fd[0], &iov, 1, TUCK_FOREVER) == 1)
		;
}

static void wait_write_full(void *arg)
{
	while (tuck_write_full(fd[0], arg, 1, TUCK_FOREVER) == 1)
		;
}

static int dgram[2], pipes[2], unix_listener;
static struct tuck_addr unix_addr, full_addr;
static char unix_text[TUCK_ADDR_TEXT];
static struct iovec junk_iov = { junk, 1 };
static struct mmsghdr many;

static void wait_recv_from(void *arg)
{
	char buf[16384];

	(void)arg;
	tuck_recv_from(dgram[1], buf, sizeof(buf), NULL, TUCK_FOREVER);
}

static void wait_recvmsg(void *arg)
{
	char buf[16384];
	struct iovec iov = { buf, sizeof(buf) };

	(void)arg;
	many.msg_hdr.msg_iov = &iov;
	tuck_recvmsg(dgram[1], &many.msg_hdr, 0, TUCK_FOREVER);
}

static void wait_recvmmsg(void *arg)
{
	(void)arg;
	tuck_recvmmsg(dgram[1], &many, 1, 0, TUCK_FOREVER);
}

static void wait_unix_recv(void *arg)
{
	static int fds[10], n = 10;

	tuck_unix_recv(dgram[1], arg, 1, fds, &n, TUCK_FOREVER);
}

static void wait_send_to(void *arg)
{
	tuck_send_to(dgram[0], arg, 1, NULL, TUCK_FOREVER);
}

static void wait_send_named(void *arg)
{
	tuck_send_to(dgram[0], arg, 1, &full_addr, TUCK_FOREVER);
}

static void wait_sendmsg(void *arg)
{
	(void)arg;
	tuck_sendmsg(dgram[0], &many.msg_hdr, 0, TUCK_FOREVER);
}

static void wait_sendmmsg(void *arg)
{
	(void)arg;
	tuck_sendmmsg(dgram[0], &many, 1, 0, TUCK_FOREVER);
}

static void wait_unix_send(void *arg)
{
	tuck_unix_send(dgram[0], arg, 1, dgram, 2, TUCK_FOREVER);
}

static void wait_connect(void *arg)
{
	(void)arg;
	tuck_connect(unix_text, NULL, TUCK_FOREVER);
}

static void wait_connect_tcp(void *arg)
{
	tuck_connect(arg, NULL, TUCK_FOREVER);
}

static void wait_splice_from(void *arg)
{
	(void)arg;
	tuck_splice(pipes[0], fd[0], 1000, TUCK_FOREVER);
}

static void wait_sendfile(void *arg)
{
	static int64_t offset;

	while (tuck_sendfile(fd[0], *(int *)arg, &offset, 1, TUCK_FOREVER) == 1)
		;
}

static void only_yield(void *arg)
{
	(void)arg;
	for (;;)
		tuck_yield();
}

static void fill(void)
{
	while (send(fd[0], junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
}

static bool at_once(void)
{
	return true;
}

/*
 * Of a tasklet that waits in fn, and those it has, from when on it does so:
 * tucked by another one.
 */
static size_t parked_bytes_from(bool (*waits)(void), uint64_t n,
				void (*fn)(void *), void *arg)
{
	struct tuck_stats stats;
	tuck_id id = tuck_go(fn, arg), other;

	CHECK(id > 0);
	tuck_yield();
	while (!waits())
		tuck_sleep(tuck_after(TUCK_MS(1)));
	other = tuck_go(wait_block, NULL);	/* takes the only slot */
	CHECK(other > 0);
	tuck_yield();
	CHECK_EQ(tuck_stats(&stats), 0);
	CHECK_EQ(stats.slices, n);
	CHECK_EQ(tuck_drop(id), 0);
	CHECK_EQ(tuck_drop(other), 0);
	return stats.slice_bytes;
}

static size_t parked_bytes_of(uint64_t n, void (*fn)(void *), void *arg)
{
	return parked_bytes_from(at_once, n, fn, arg);
}

static size_t parked_bytes(void (*fn)(void *), void *arg)
{
	return parked_bytes_of(1, fn, arg);
}

/* What n bytes on x86-64, where they were counted, may be here. */
static size_t most(size_t n)
{
#ifdef __arm__
	/* 64 bits take two registers; what is left goes on the stack. */
	n += 64;
#endif
#ifdef __SSP_STRONG__
	n += 16;	/* a canary in the test's frame */
#endif
#ifdef __aarch64__
	n += 16;	/* registers are saved in pairs */
#endif
#ifdef __s390x__
	/* A frame has 160 bytes; with five arguments no call is the last. */
	n += 5 * 160;
#endif
#ifdef __i386__
	/* Arguments lie on the stack, and often keep a call from being last. */
	return 2 * n + 128;
#elif defined(__powerpc64__)
	/* gcc makes no tail call to another file, whose TOC might differ. */
	return 3 * n + TUCK__ARCH_FRAME - 64;
#else
	return TUCK__ARCH_FRAME > 64 ? n + TUCK__ARCH_FRAME - 64 : n;
#endif
}

static void begin(void)
{
	const struct tuck_config one_slot = { .stack_slots = 1 };

	if (getenv("TUCK_SEED") || getenv("TUCK_POLICY"))
		SKIP("the order is a policy's");
	needs_usual_frames();
	unsetenv("TUCK_STACK_SLOTS");
	CHECK_EQ(tuck_config_set(&one_slot), 0);
	chan = tuck_chan_new(sizeof(long), 0);
	CHECK(chan);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	listener = tuck_tcp_listen("127.0.0.1:0", 0);
	CHECK(listener >= 0);
}

TEST(waits_for_tasklets_keep_little)
{
	begin();
	CHECK(parked_bytes(wait_block, NULL) <= most(112));
	CHECK(parked_bytes(wait_sleep, NULL) <= most(112));
	CHECK(parked_bytes(only_yield, NULL) <= most(112));
	CHECK(parked_bytes(wait_join, (void *)(intptr_t)tuck_self()) <=
	      most(176));
	CHECK(parked_bytes(wait_transfer,
			   (void *)(intptr_t)tuck_go(wait_block, NULL)) <=
	      most(192));
}

static void live_on(void *arg)
{
	__atomic_store_n((tuck_id *)arg, tuck_self(), __ATOMIC_RELEASE);
	tuck_block(TUCK_FOREVER);
}

static struct tuck_pool *pool;

static void wait_pool(void *arg)
{
	(void)arg;
	tuck_pool_wait(pool, TUCK_FOREVER);
}

static void wait_pool_free(void *arg)
{
	(void)arg;
	tuck_pool_free(pool, TUCK_FOREVER);
}

TEST(a_wait_for_a_proc_keeps_little)
{
	static tuck_id id, in_pool;
	int proc;

	begin();
	proc = tuck_proc_start(NULL, live_on, &id);
	CHECK(proc >= 0);
	while (!__atomic_load_n(&id, __ATOMIC_ACQUIRE))
		tuck_sleep(tuck_after(TUCK_MS(1)));
	CHECK(parked_bytes(wait_proc, (void *)(intptr_t)proc) <= most(224));
	CHECK(parked_bytes(wait_join, (void *)(intptr_t)id) <= most(240));
	CHECK_EQ(tuck_pool_new(&pool, 1), 0);
	CHECK(tuck_pool_go(pool, live_on, &in_pool) > 0);
	CHECK(parked_bytes(wait_pool, NULL) <= most(176));
	CHECK(parked_bytes(wait_pool_free, NULL) <= most(240));
	while (tuck_unblock(__atomic_load_n(&in_pool, __ATOMIC_ACQUIRE)) < 0)
		tuck_sleep(tuck_after(TUCK_MS(1)));
	CHECK_EQ(tuck_pool_free(pool, TUCK_FOREVER), 0);
	while (tuck_unblock(id) < 0)
		tuck_sleep(tuck_after(TUCK_MS(1)));
	CHECK_EQ(tuck_proc_join(proc, TUCK_FOREVER), 0);
}

static int read_byte(void *arg)
{
	char byte;

	return (int)read(*(int *)arg, &byte, 1);
}

static void wait_offloaded(void *arg)
{
	tuck_offload(read_byte, arg, sizeof(int), TUCK_FOREVER);
}

static void wait_file_read(void *arg)
{
	char buf[16384];

	tuck_file_read(*(int *)arg, buf, sizeof(buf), TUCK_FOREVER);
}

static void wait_file_pread(void *arg)
{
	char buf[16384];

	tuck_file_pread(*(int *)arg, buf, sizeof(buf), 0, TUCK_FOREVER);
}

static void wait_file_write(void *arg)
{
	static char much[1 << 17];

	tuck_file_write(*(int *)arg, much, sizeof(much), TUCK_FOREVER);
}

static void wait_open(void *arg)
{
	tuck_file_open(arg, O_RDONLY, 0, TUCK_FOREVER);
}

static void wait_stat(void *arg)
{
	struct tuck_file_info info;

	tuck_file_stat(arg, &info, TUCK_FOREVER);
}

static void wait_load(void *arg)
{
	void *data;

	tuck_file_load(arg, 100, &data, TUCK_FOREVER);
}

static void wait_save(void *arg)
{
	tuck_file_save(arg, "x", 1, 0600, TUCK_FOREVER);
}

static void wait_name(void *arg)
{
	static struct tuck_addr addr;

	tuck_resolve(arg, NULL, &addr, 1, TUCK_FOREVER);
}

static void wait_connect_name(void *arg)
{
	tuck_connect(arg, NULL, TUCK_FOREVER);
}

static void wait_listen_name(void *arg)
{
	tuck_listen(arg, NULL);
}

static void wait_list(void *arg)
{
	struct tuck_dir *dir;

	tuck_dir_read(arg, &dir, TUCK_FOREVER);
}

static char *const sleeper[] = { "sleep", "1000", NULL };

static void wait_process(void *arg)
{
	tuck_process_wait(arg, NULL, TUCK_FOREVER);
}

static void wait_run(void *arg)
{
	static char in[1 << 20];
	struct tuck_process_result result;

	tuck_process_run(NULL, sleeper, in, *(size_t *)arg, &result,
			 TUCK_FOREVER);
}

TEST(waits_for_children_keep_little)
{
	struct tuck_process *p;
	size_t much = 1 << 20, none = 0;

	if (UNDER_VALGRIND)
		SKIP("it knows no pidfd");
	begin();
	CHECK_EQ(tuck_process_spawn(&p, NULL, sleeper), 0);
	CHECK(parked_bytes(wait_process, p) <= most(160));
	tuck_process_free(p);
	/* And its two readers; gcc needs some 40 bytes less than clang. */
	CHECK(parked_bytes_of(3, wait_run, &none) <= 3 * most(224));
	/* And who ends its write. */
	CHECK(parked_bytes_of(4, wait_run, &much) <= 4 * most(240));
}

/* All behind one whose thread is the only one and waits for input. */
TEST(offloaded_calls_keep_little)
{
	char path[] = "/no/such", name[] = "localhost:1";
	int in[2];

	begin();
	CHECK_EQ(pipe(in), 0);
	CHECK_EQ(tuck_offload_limit(1, 0), 0);
	CHECK(parked_bytes(wait_offloaded, &in[0]) <= most(112));
	CHECK(parked_bytes(wait_file_read, &in[0]) <= most(208));
	CHECK(parked_bytes(wait_file_pread, &in[0]) <= most(208));
	CHECK(parked_bytes(wait_file_write, &in[1]) <= most(176));
	CHECK(parked_bytes(wait_open, path) <= most(112));
	CHECK(parked_bytes(wait_stat, path) <= most(192));
	CHECK(parked_bytes(wait_load, path) <= most(176));
	CHECK(parked_bytes(wait_save, path) <= most(112));
	CHECK(parked_bytes(wait_list, path) <= most(128));
	CHECK(parked_bytes(wait_name, name) <= most(192));
	CHECK(parked_bytes(wait_connect_name, name) <= most(240));
	CHECK(parked_bytes(wait_listen_name, name) <= most(240));
}

TEST(waits_on_channels_keep_little)
{
	begin();
	CHECK(parked_bytes(wait_send, NULL) <= most(128));
	CHECK(parked_bytes(wait_recv, NULL) <= most(128));
	CHECK(parked_bytes(wait_select, NULL) <= most(256));
}

/* An address of a local in a callee's hands, and the frames would stay. */
TEST(waits_on_shared_channels_keep_little)
{
	begin();
	CHECK_EQ(tuck_chan_share(chan), 0);
	CHECK(parked_bytes(wait_send, NULL) <= most(176));
	CHECK(parked_bytes(wait_recv, NULL) <= most(176));
	CHECK(parked_bytes(wait_select, NULL) <= most(320));
}

static struct tuck_chan *far_chan;
static _Atomic(int) made, may_end;

/* A home that does not look. */
static void make_and_compute(void *arg)
{
	(void)arg;
	far_chan = tuck_chan_new(sizeof(long), 0);
	made = 1;
	while (!may_end)
		usleep(100);
}

static void wait_for_home(void *arg)
{
	long elem;

	(void)arg;
	tuck_chan_recv(far_chan, &elem, TUCK_FOREVER);
}

static void select_at_home(void *arg)
{
	long elem;
	struct tuck_case c = { .chan = far_chan,
			       .op = TUCK_RECV,
			       .elem = &elem };

	(void)arg;
	tuck_select(&c, 1, TUCK_FOREVER);
}

TEST(waits_for_a_channels_home_keep_little)
{
	int proc;

	begin();
	proc = tuck_proc_start(NULL, make_and_compute, NULL);
	CHECK(proc >= 0);
	while (!made)
		usleep(100);
	CHECK(parked_bytes(wait_for_home, NULL) <= most(288));
	CHECK(parked_bytes(select_at_home, NULL) <= most(384));
	may_end = 1;
	CHECK_EQ(tuck_proc_join(proc, TUCK_FOREVER), 0);
}

static struct tuck_mutex mutex;
static struct tuck_rwlock rwlock;
static struct tuck_cond cond;
static struct tuck_sem sem;
static struct tuck_waitgroup group;
static struct tuck_once once;
static struct tuck_event event;
static struct tuck_barrier barrier = TUCK_BARRIER_INIT(2);

static void wait_lock(void *arg)
{
	(void)arg;
	tuck_mutex_lock(&mutex, TUCK_FOREVER);
}

static void wait_rdlock(void *arg)
{
	(void)arg;
	tuck_rwlock_rdlock(&rwlock, TUCK_FOREVER);
}

static void wait_wrlock(void *arg)
{
	(void)arg;
	tuck_rwlock_wrlock(&rwlock, TUCK_FOREVER);
}

static void wait_cond(void *arg)
{
	struct tuck_mutex *its = arg;

	tuck_mutex_lock(its, TUCK_FOREVER);
	tuck_cond_wait(&cond, its, TUCK_FOREVER);
}

static void wait_sem(void *arg)
{
	(void)arg;
	tuck_sem_wait(&sem, TUCK_FOREVER);
}

static void wait_group(void *arg)
{
	(void)arg;
	tuck_waitgroup_wait(&group, TUCK_FOREVER);
}

static void wait_once(void *arg)
{
	tuck_once(&once, wait_once, arg, TUCK_FOREVER);
}

static void wait_signal(void *arg)
{
	(void)arg;
	tuck_event_wait(&event, TUCK_FOREVER);
}

static void wait_barrier(void *arg)
{
	(void)arg;
	tuck_barrier_wait(&barrier, TUCK_FOREVER);
}

static void waits_on_sync(void *arg)
{
	static struct tuck_mutex its;

	(void)arg;
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_rwlock_wrlock(&rwlock, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_waitgroup_add(&group, 1), 0);
	CHECK(parked_bytes(wait_lock, NULL) <= most(112));
	CHECK(parked_bytes(wait_rdlock, NULL) <= most(112));
	CHECK(parked_bytes(wait_wrlock, NULL) <= most(112));
	CHECK(parked_bytes(wait_sem, NULL) <= most(112));
	CHECK(parked_bytes(wait_group, NULL) <= most(112));
	CHECK(parked_bytes(wait_signal, NULL) <= most(112));
	CHECK(parked_bytes(wait_barrier, NULL) <= most(112));
	CHECK(parked_bytes(wait_once, NULL) <= most(160));
	CHECK(parked_bytes(wait_cond, &its) <= most(160));
}

TEST(waits_on_sync_keep_little)
{
	begin();
	CHECK_EQ(tuck_once(&once, waits_on_sync, NULL, TUCK_FOREVER), 0);
}

static void wait_child(void *arg)
{
	tuck_process_wait(arg, NULL, TUCK_FOREVER);
}

TEST(a_wait_for_a_child_keeps_little)
{
	struct tuck_process *p;

	if (UNDER_VALGRIND)
		SKIP("it knows no pidfd");
	begin();
	CHECK_EQ(tuck_process_spawn(&p, NULL,
				    (char *[]){ "sleep", "1000", NULL }),
		 0);
	CHECK(parked_bytes(wait_child, p) <= most(192));
	tuck_process_free(p);
}

TEST(waits_for_descriptors_keep_little)
{
	begin();
	CHECK(parked_bytes(wait_read, NULL) <= most(192));
	CHECK(parked_bytes(wait_read_full, NULL) <= most(224));
	CHECK(parked_bytes(wait_readv, NULL) <= most(192));
	CHECK(parked_bytes(wait_event, NULL) <= most(192));
	CHECK(parked_bytes(wait_accept, NULL) <= most(192));
	fill();
	CHECK(parked_bytes(wait_write, NULL) <= most(192));
	CHECK(parked_bytes(wait_write_full, junk) <= most(192));
	CHECK(parked_bytes(wait_writev, junk) <= most(192));
}

static void full_dgram(void)
{
	while (send(dgram[0], junk, 1, MSG_DONTWAIT) == 1)
		;
}

static void full_backlog(void)
{
	struct tuck_socket_attr attr = { .backlog = 1 };

	unix_listener = tuck_listen("unix:", &attr);
	CHECK_EQ(tuck_addr_local(unix_listener, &unix_addr), 0);
	tuck_addr_format(&unix_addr, unix_text, sizeof(unix_text));
	while (tuck_connect(unix_text, NULL, TUCK_NOWAIT) >= 0)
		;
}

/* 127.0.0.1, a port that does not answer. */
static void full_tcp_backlog(char *ret_text)
{
	struct tuck_addr addr;
	int deaf = tuck_tcp_listen("127.0.0.1:0", 1);

	CHECK_EQ(tuck_addr_local(deaf, &addr), 0);
	tuck_addr_format(&addr, ret_text, TUCK_ADDR_TEXT);
	for (int late = 0, i = 0; late < 2; i++) {
		if (i == 20)
			SKIP("a backlog without end");
		late += tuck_connect(ret_text, NULL, tuck_after(TUCK_MS(50))) <
			0;
	}
}

static int first_free;

/* The lookup is over, and there is a socket. */
static bool connects(void)
{
	return fcntl(first_free, F_GETFD) >= 0;
}

TEST(waits_for_a_connection_keep_little)
{
	char text[TUCK_ADDR_TEXT], name[TUCK_ADDR_TEXT];

	begin();
	full_tcp_backlog(text);
	snprintf(name, sizeof(name), "localhost%s", strchr(text, ':'));
	CHECK(parked_bytes(wait_connect_tcp, text) <= most(240));
	first_free = dup(listener);
	close(first_free);
	CHECK(parked_bytes_from(connects, 1, wait_connect_tcp, name) <=
	      most(240));
}

TEST(waits_for_messages_keep_little)
{
	begin();
	CHECK_EQ(tuck_unix_pair(SOCK_DGRAM, dgram), 0);
	many.msg_hdr = (struct msghdr){ .msg_iov = &junk_iov, .msg_iovlen = 1 };
	CHECK(parked_bytes(wait_recv_from, NULL) <= most(208));
	CHECK(parked_bytes(wait_recvmmsg, NULL) <= most(192));
	CHECK(parked_bytes(wait_recvmsg, NULL) <= most(208));
	CHECK(parked_bytes(wait_unix_recv, junk) <= most(208));
	many.msg_hdr.msg_iov = &junk_iov;
	full_dgram();
	CHECK(parked_bytes(wait_send_to, junk) <= most(192));
	CHECK(parked_bytes(wait_sendmsg, junk) <= most(192));
	CHECK(parked_bytes(wait_sendmmsg, junk) <= most(192));
	CHECK(parked_bytes(wait_unix_send, junk) <= most(208));
	dgram[0] = tuck_bind("unix:", NULL);
	dgram[1] = tuck_bind("unix:", NULL);
	CHECK_EQ(tuck_addr_local(dgram[1], &full_addr), 0);
	while (sendto(dgram[0], junk, 1, MSG_DONTWAIT,
		      (const void *)&full_addr.sa, full_addr.len) == 1)
		;
	CHECK(parked_bytes(wait_send_named, junk) <= most(256));
}

TEST(waits_to_connect_or_to_move_keep_little)
{
	static int zero;

	begin();
	CHECK_EQ(pipe(pipes), 0);
	zero = open("/dev/zero", O_RDONLY);
	full_backlog();
	CHECK(parked_bytes(wait_connect, NULL) <= most(256));
	CHECK(parked_bytes(wait_splice_from, NULL) <= most(192));
	fill();
	CHECK(parked_bytes(wait_sendfile, &zero) <= most(208));
}
