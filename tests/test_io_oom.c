/* SPDX-License-Identifier: MIT */
/*
 * Each call of the I/O and proc layers with the 1st, 2nd, 3rd ... request for
 * memory failing, once and for good: a clean error, nothing left open, and
 * all works afterwards. Each try is a thread of its own, and then a process
 * of its own, so that the beginning of a proc and of all is among what fails.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <tuck.h>

#include "base/mem.h"
#include "sockets.h"

#define TRIES_MAX 60

/* Says 0, or the first error; leaves nothing open either way. */
typedef int scenario(void);

struct attempt {
	scenario *fn;
	long nth;
	int lasting;
	int result;
	long seen;
};

static void *attempt(void *arg)
{
	struct attempt *a = arg;

	tuck__fault_set(a->nth, a->lasting);
	a->result = a->fn();
	a->seen = tuck__fault_count();
	tuck__fault_set(0, 0);
	/* The same proc goes on as if nothing had happened. */
	CHECK_EQ(a->fn(), 0);
	return NULL;
}

/* The thread that reaps a child has one until then. */
static void wait_for_fds(int n)
{
	tuck_ns end = patience();

	while (count_fds() != n && tuck_now() < end)
		usleep(1000);
	CHECK_EQ(count_fds(), n);
}

static void try_in_thread(struct attempt *a)
{
	pthread_t thread;
	int fds = count_fds();

	CHECK_EQ(pthread_create(&thread, NULL, attempt, a), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	if (a->nth)
		wait_for_fds(fds);
}

static void try_in_process(struct attempt *a)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		attempt(a);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

/* Fail every request in turn; the number of those that were told. */
static int fail_each(struct attempt *a, void (*try)(struct attempt *a))
{
	int told = 0;

	for (a->nth = 1; a->nth < TRIES_MAX; a->nth++) {
		try(a);
		if (a->result == 0 && a->seen < a->nth)
			break;		/* it has no more requests */
		if (a->result != 0)
			CHECK_EQ(a->result, -ENOMEM);
		told += a->result != 0;
	}
	CHECK(a->nth < TRIES_MAX);
	return told;
}

static void check_all(scenario *fn)
{
	struct attempt *a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	a->fn = fn;
	for (a->lasting = 0; a->lasting < 2; a->lasting++)
		CHECK(fail_each(a, try_in_process) > 2);
	a->nth = 0;
	try_in_thread(a);		/* what only the first one makes */
	for (a->lasting = 0; a->lasting < 2; a->lasting++)
		fail_each(a, try_in_thread);
	munmap(a, sizeof(*a));
}

/* -- scenarios -- */

static int first_error(int a, int b)
{
	return a < 0 ? a : b;
}

static void close_both(int fd[2])
{
	tuck_fd_close(fd[0]);
	tuck_fd_close(fd[1]);
}

static int read_at_once(void)
{
	char c;
	int fd[2], r;

	stream_pair(fd);
	raw_write(fd[1], "x", 1);
	r = (int)tuck_read(fd[0], &c, 1, TUCK_FOREVER);
	close_both(fd);
	return r < 0 ? r : 0;
}

TEST(reading)
{
	check_all(read_at_once);
}

static int read_too_late(void)
{
	char c;
	int fd[2], r;

	tcp_pair(fd);
	r = (int)tuck_read(fd[0], &c, 1, tuck_after(TUCK_US(10)));
	close_both(fd);
	return r == -ETIMEDOUT ? 0 : r;
}

TEST(reading_until_a_deadline)
{
	check_all(read_too_late);
}

static int wait_for_output(void)
{
	int fd[2], r, w;

	stream_pair(fd);
	r = tuck_fd_wait(fd[0], TUCK_READABLE, tuck_after(TUCK_US(10)));
	w = tuck_fd_wait(fd[0], TUCK_WRITABLE, TUCK_FOREVER);
	close_both(fd);
	r = r == -ETIMEDOUT ? 0 : r;
	return first_error(r, w < 0 ? w : 0);
}

TEST(waiting_for_a_descriptor)
{
	check_all(wait_for_output);
}

static int write_too_much(void)
{
	static char mega[1 << 22];
	int fd[2], r;

	stream_pair(fd);
	r = (int)tuck_write_full(fd[0], mega, sizeof(mega),
				 tuck_after(TUCK_MS(1)));
	close_both(fd);
	return r == -ETIMEDOUT ? 0 : r;
}

TEST(writing)
{
	check_all(write_too_much);
}

static int listen_and_close(void)
{
	int fd = tuck_tcp_listen("127.0.0.1:0", 0);

	return fd < 0 ? fd : tuck_fd_close(fd);
}

TEST(listening)
{
	check_all(listen_and_close);
}

static int refuse(void)
{
	int r = tuck_tcp_connect("127.0.0.1:1", TUCK_FOREVER);

	return r == -ECONNREFUSED ? 0 : r;
}

TEST(connecting_in_vain)
{
	check_all(refuse);
}

static int raw_client(const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK_EQ(connect(fd, (const void *)addr, sizeof(*addr)), 0);
	return fd;
}

static int accept_one(void)
{
	struct sockaddr_in addr;
	int listener = raw_listen(&addr), client = raw_client(&addr), r;

	r = tuck_accept(listener, NULL, TUCK_FOREVER);
	if (r >= 0)
		CHECK_EQ(tuck_fd_close(r), 0);
	tuck_fd_close(listener);
	close(client);
	return r < 0 ? r : 0;
}

TEST(accepting)
{
	check_all(accept_one);
}

static int connect_one(void)
{
	struct sockaddr_in addr;
	int listener = raw_listen(&addr), r;
	char text[64];

	snprintf(text, sizeof(text), "127.0.0.1:%d", ntohs(addr.sin_port));
	r = tuck_tcp_connect(text, patience());
	if (r >= 0)
		CHECK_EQ(tuck_fd_close(r), 0);
	close(listener);
	return r < 0 ? r : 0;
}

TEST(connecting)
{
	check_all(connect_one);
}

/* High numbers, so that what is known of descriptors has to grow. */
static int accept_high(void)
{
	int low[300], n = 0, r;

	while (n < 300)
		low[n++] = dup(2);
	r = accept_one();
	while (n > 0)
		close(low[--n]);
	return r;
}

TEST(accepting_high_numbers)
{
	check_all(accept_high);
}

static int connect_high(void)
{
	int low[300], n = 0, r;

	while (n < 300)
		low[n++] = dup(2);
	r = connect_one();
	while (n > 0)
		close(low[--n]);
	return r;
}

TEST(connecting_high_numbers)
{
	check_all(connect_high);
}

/* -- messages -- */

static int receive_too_late(void)
{
	struct tuck_addr from;
	char c;
	int fd = tuck_udp_bind("127.0.0.1:0"), r;

	if (fd < 0)
		return fd;
	r = (int)tuck_recv_from(fd, &c, 1, &from, tuck_after(TUCK_US(10)));
	tuck_fd_close(fd);
	return r == -ETIMEDOUT ? 0 : r;
}

TEST(receiving_a_datagram)
{
	check_all(receive_too_late);
}

static int pass_on(int fd[2])
{
	int own[2] = { 2, 2 }, got[2], n = 2, r;
	char c;

	r = (int)tuck_unix_send(fd[0], "x", 1, own, 2, TUCK_FOREVER);
	if (r < 0)
		return r;
	r = (int)tuck_unix_recv(fd[1], &c, 1, got, &n, TUCK_FOREVER);
	if (r == 1)
		close_both(got);
	return r < 0 ? r : 0;
}

static int pass_descriptors(void)
{
	int fd[2], r = tuck_unix_pair(SOCK_STREAM, fd);

	if (r < 0)
		return r;
	r = pass_on(fd);
	close_both(fd);
	return r;
}

TEST(passing_descriptors)
{
	check_all(pass_descriptors);
}

/* Their numbers are higher than what is known of. */
static int pass_high(void)
{
	int low[300], n = 0, r;

	while (n < 300)
		low[n++] = dup(2);
	r = pass_descriptors();
	while (n > 0)
		close(low[--n]);
	return r;
}

TEST(passing_descriptors_of_high_numbers)
{
	check_all(pass_high);
}

static int send_to_the_full(void)
{
	int from = tuck_bind("unix:", NULL), fd = tuck_bind("unix:", NULL);
	struct tuck_addr to;
	int r = first_error(from, fd);

	while (r >= 0 && tuck_addr_local(fd, &to) == 0)
		r = (int)tuck_send_to(from, "x", 1, &to,
				      tuck_after(TUCK_MS(3)));
	tuck_fd_close(from);
	tuck_fd_close(fd);
	return r == -ETIMEDOUT ? 0 : r;
}

TEST(sending_to_one_without_room)
{
	check_all(send_to_the_full);
}

static int splice_too_late(void)
{
	int in[2], out[2], r;

	CHECK_EQ(pipe(in), 0);
	stream_pair(out);
	r = (int)tuck_splice(in[0], out[0], 1, tuck_after(TUCK_US(10)));
	close_both(in);
	close_both(out);
	return r == -ETIMEDOUT ? 0 : r;
}

TEST(splicing)
{
	check_all(splice_too_late);
}

static int listen_and_connect(void)
{
	char where[TUCK_ADDR_TEXT];
	int fd, r;

	snprintf(where, sizeof(where), "unix:@tuck-oom-%d", (int)getpid());
	fd = tuck_listen(where, NULL);
	if (fd < 0)
		return fd;
	r = tuck_connect(where, NULL, TUCK_FOREVER);
	tuck_fd_close(fd);
	return r < 0 ? r : tuck_fd_close(r);
}

TEST(connecting_to_a_unix_listener)
{
	check_all(listen_and_connect);
}

static int connect_to_a_full_one(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	int first = socket(AF_UNIX, SOCK_STREAM, 0), r;
	socklen_t len = sizeof(sa_family_t);
	struct tuck_addr addr = { .len = sizeof(addr.sa) };
	char text[TUCK_ADDR_TEXT];

	CHECK_EQ(bind(listener, (const void *)&sun, len), 0);
	CHECK_EQ(listen(listener, 0), 0);
	CHECK_EQ(getsockname(listener, (void *)&addr.sa, &addr.len), 0);
	CHECK_EQ(connect(first, (const void *)&addr.sa, addr.len), 0);
	r = tuck_connect(tuck_addr_format(&addr, text, sizeof(text)), NULL,
			 tuck_after(TUCK_US(10)));
	close(listener);
	close(first);
	return r == -ETIMEDOUT ? 0 : r;
}

TEST(connecting_to_a_full_unix_listener)
{
	check_all(connect_to_a_full_one);
}

static void count_up(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static int start_and_join(const struct tuck_proc_attr *attr)
{
	atomic_int n = 0;
	int proc = tuck_proc_start(attr, count_up, &n), r;

	if (proc < 0) {
		CHECK_EQ(n, 0);
		return proc;
	}
	/* A join that fails leaves the proc to be joined. */
	r = tuck_proc_join(proc, TUCK_FOREVER);
	if (r < 0) {
		tuck__fault_set(0, 0);
		CHECK_EQ(tuck_proc_join(proc, TUCK_FOREVER), 0);
	}
	CHECK_EQ(n, 1);
	return r;
}

static int start_proc(void)
{
	return start_and_join(NULL);
}

TEST(starting_a_proc)
{
	check_all(start_proc);
}

static int start_own_table(void)
{
	const int fds[1] = { 2 };
	struct tuck_proc_attr attr = { .own_fds = 1, .fds = fds, .n_fds = 1 };

	return start_and_join(&attr);
}

TEST(starting_a_proc_with_its_own_table)
{
	check_all(start_own_table);
}

/* -- a hole ends with a wait that cannot begin -- */

static void scribble(void *arg)
{
	volatile char deep[20000];

	(void)arg;
	for (size_t i = 0; i < sizeof(deep); i++)
		deep[i] = (char)0xee;
}

static void read_without_memory(void *arg)
{
	char buf[1000];

	tuck__fault_set(1, 1);
	CHECK_EQ(tuck_read(*(int *)arg, buf, sizeof(buf), patience()), -ENOMEM);
	tuck__fault_set(0, 0);
	fill(buf, sizeof(buf), 0, 4);
	for (int i = 0; i < 5; i++)
		tuck_yield();
	check_filled(buf, sizeof(buf), 0, 4);
}

TEST(buffer_is_kept_after_a_wait_without_memory)
{
	tuck_id id;
	int fd[2];

	share_slots(1);
	stream_pair(fd);
	/* The poller and the entry are there; the timer is not. */
	CHECK_EQ(tuck_fd_wait(fd[0], TUCK_WRITABLE, TUCK_FOREVER),
		 TUCK_WRITABLE);
	id = tuck_go(read_without_memory, &fd[0]);
	for (int i = 0; i < 3; i++)
		tuck_go(scribble, NULL);
	CHECK_EQ(tuck_join(id, TUCK_FOREVER), 0);
}

/* -- who waits already when memory runs out -- */

static void read_one(void *arg)
{
	int *fd = arg;
	char buf[5000];

	if (tuck_read(*fd, buf, sizeof(buf), TUCK_FOREVER) == 3)
		*fd = -1;
}

TEST(those_who_wait_are_woken_without_memory)
{
	int fd[20][2], in[20];

	share_slots(2);
	for (int i = 0; i < 20; i++) {
		stream_pair(fd[i]);
		in[i] = fd[i][0];
		CHECK(tuck_go(read_one, &in[i]) > 0);
	}
	settle();
	tuck__fault_set(1, 1);
	for (int i = 0; i < 20; i++)
		raw_write(fd[i][1], "abc", 3);
	settle();
	settle();
	tuck__fault_set(0, 0);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(in[i], -1);
}

/* The connection is in the backlog still: it is not lost. */
TEST(connection_is_not_lost_by_an_accept_without_memory)
{
	struct sockaddr_in addr;
	int listener = raw_listen(&addr), client, low[300], n = 0, r;
	char c;

	CHECK_EQ(tuck_accept(listener, NULL, TUCK_NOWAIT), -EAGAIN);
	while (n < 300)
		low[n++] = dup(2);
	client = raw_client(&addr);
	tuck__fault_set(1, 1);
	r = tuck_accept(listener, NULL, TUCK_NOWAIT);
	tuck__fault_set(0, 0);
	CHECK(r >= 0);			/* known of when it is first read */
	raw_write(client, "x", 1);
	CHECK_EQ(tuck_read(r, &c, 1, patience()), 1);
	while (n > 0)
		close(low[--n]);
}

/* A proc that cannot begin at all. */
static void *accept_without_proc(void *arg)
{
	int fd = *(int *)arg, pair[2] = { -1, -1 };

	tuck__fault_set(1, 1);
	CHECK_EQ(tuck_accept(fd, NULL, TUCK_FOREVER), -ENOMEM);
	CHECK_EQ(tuck_shed(fd, pair), -ENOMEM);
	CHECK_EQ(tuck_tcp_connect("127.0.0.1:1", TUCK_FOREVER), -ENOMEM);
	CHECK_EQ(tuck_tcp_listen("127.0.0.1:0", 0), -ENOMEM);
	CHECK_EQ(tuck_fd_wait(fd, TUCK_READABLE, TUCK_FOREVER), -ENOMEM);
	CHECK_EQ(tuck_udp_bind("127.0.0.1:0"), -ENOMEM);
	CHECK_EQ(tuck_unix_pair(SOCK_STREAM, pair), -ENOMEM);
	CHECK_EQ(tuck_splice(fd, fd, 1, TUCK_FOREVER), -ENOMEM);
	CHECK_EQ(tuck_recv_from(fd, pair, 1, NULL, TUCK_FOREVER), -ENOMEM);
	CHECK_EQ(tuck_proc_join(0, TUCK_FOREVER), -ENOMEM);
	CHECK_EQ(tuck_dump(2), -ENOMEM);
	CHECK_EQ(tuck_stats(&(struct tuck_stats){ 0 }), -ENOMEM);
	tuck__fault_set(0, 0);
	return NULL;
}

TEST(a_thread_that_cannot_become_a_proc)
{
	struct sockaddr_in addr;
	int fd = raw_listen(&addr);
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, accept_without_proc, &fd), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* -- events -- */

static int tick_once(void)
{
	struct tuck_chan *chan = tuck_ticker(TUCK_US(10));
	tuck_ns at;
	int r;

	if (!chan)
		return -ENOMEM;
	r = tuck_chan_recv(chan, &at, patience());
	tuck_chan_free(chan);
	return r;
}

TEST(ticking)
{
	check_all(tick_once);
}

static int fire_once(void)
{
	struct tuck_chan *chan = tuck_timer_chan(tuck_after(TUCK_US(10)));
	tuck_ns at;
	int r;

	if (!chan)
		return -ENOMEM;
	r = tuck_chan_recv(chan, &at, patience());
	if (r == 0)
		CHECK_EQ(tuck_chan_recv(chan, &at, TUCK_NOWAIT), -EPIPE);
	tuck_chan_free(chan);
	return r;
}

TEST(timing)
{
	check_all(fire_once);
}

static int signal_once(void)
{
	struct tuck_chan *chan = tuck_signal_chan(SIGUSR1);
	struct tuck_signal s;
	int r;

	if (!chan)
		return -ENOMEM;
	raise(SIGUSR1);
	r = tuck_chan_recv(chan, &s, patience());
	tuck_chan_free(chan);
	return r;
}

TEST(signalling)
{
	check_all(signal_once);
}

static int spawn_and_wait(void)
{
	struct tuck_process_attr attr = { .in = TUCK_PIPE, .owned = 1 };
	struct tuck_process *p;
	int r = tuck_process_spawn(&p, &attr, (char *[]){ "cat", NULL });

	if (r < 0)
		return r;
	CHECK_EQ(tuck_process_close(p, 0), 0);
	r = tuck_process_wait(p, NULL, patience());
	tuck_process_free(p);
	return r;
}

TEST_LIMIT(spawning, 200)
{
	check_all(spawn_and_wait);
	CHECK(waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOHANG | WNOWAIT) <
	      0);
}

static int run_program(void)
{
	struct tuck_process_result result;
	int r = tuck_process_run(NULL, (char *[]){ "cat", NULL }, "word", 4,
				 &result, patience());

	if (r < 0)
		return r;
	CHECK_STR(result.out, "word");
	tuck_process_result_free(&result);
	return 0;
}

TEST_LIMIT(running, 200)
{
	check_all(run_program);
}
