/* SPDX-License-Identifier: MIT */
/* fork(2): the child keeps the proc that called it, and that works. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <tuck.h>

#include "base/fork.h"
#include "sockets.h"

/* Run in a child; what fails there fails here. */
#define IN_CHILD(...) do {						\
	pid_t child_pid = fork();					\
	CHECK(child_pid >= 0);						\
	if (child_pid == 0) {						\
		alarm(60);						\
		__VA_ARGS__						\
		_exit(0);						\
	}								\
	wait_for_child(child_pid);					\
} while (0)

static void wait_for_child(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid)
		tuck_sleep(tuck_after(TUCK_MS(1)));
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		check_fail(CHECK_AT, "the child ended with %d", status);
}

static void needs_fork(void)
{
	NOT_UNDER_TSAN("it does not go through a fork with threads");
}

static void count(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

/* A proc that lives until it is told to end. */
struct other {
	_Atomic(tuck_id) main, id;
	atomic_int stop;
	int proc;
};

static void block(void *arg)
{
	atomic_store((_Atomic(tuck_id) *)arg, tuck_self());
	tuck_block(TUCK_FOREVER);
}

static void be_other(void *arg)
{
	struct other *o = arg;

	CHECK(tuck_go(block, &o->id) > 0);
	atomic_store(&o->main, tuck_self());
	while (!atomic_load(&o->stop))
		tuck_sleep(tuck_after(TUCK_MS(1)));
	tuck_unblock(o->id);
}

static void start_other(struct other *o)
{
	*o = (struct other){ .stop = 0 };
	o->proc = tuck_proc_start(NULL, be_other, o);
	CHECK(o->proc >= 0);
	WAIT_FOR(atomic_load(&o->id) && atomic_load(&o->main));
}

static void end_other(struct other *o)
{
	atomic_store(&o->stop, 1);
	CHECK_EQ(tuck_proc_join(o->proc, patience()), 0);
}

/* All that a program may want to do in the child. */
static void do_everything(void)
{
	static atomic_int n;	/* tasklets may share this stack */
	struct tuck_pool *pool;
	int fd[2], proc;
	char c;

	n = 0;
	for (int i = 0; i < 10; i++)
		CHECK(tuck_go(count, &n) > 0);
	WAIT_FOR(n == 10);
	pipe_pair(fd);
	CHECK_EQ(tuck_read(fd[0], &c, 1, tuck_after(TUCK_MS(1))), -ETIMEDOUT);
	raw_write(fd[1], "x", 1);
	CHECK_EQ(tuck_read(fd[0], &c, 1, patience()), 1);
	proc = tuck_proc_start(NULL, count, &n);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	CHECK_EQ(tuck_pool_new(&pool, 2), 0);
	for (int i = 0; i < 10; i++)
		CHECK(tuck_pool_go(pool, count, &n) > 0);
	CHECK_EQ(tuck_pool_free(pool, patience()), 0);
	CHECK_EQ(n, 21);
}

TEST(the_child_has_all_its_tasklets)
{
	_Atomic(tuck_id) id = 0;
	tuck_id self = tuck_self();

	needs_fork();
	CHECK(tuck_go(block, &id) > 0);
	WAIT_FOR(atomic_load(&id));
	IN_CHILD({
		CHECK_EQ(tuck_self(), self);
		CHECK_EQ(tuck_unblock(id), 0);
		CHECK_EQ(tuck_join(id, patience()), 0);
		do_everything();
	});
	CHECK_EQ(tuck_unblock(id), 0);
	CHECK_EQ(tuck_join(id, patience()), 0);
}

TEST(the_others_are_gone)
{
	struct other o;

	needs_fork();
	start_other(&o);
	IN_CHILD({
		tuck_id id[] = { o.id, o.main };

		for (int i = 0; i < 2; i++) {
			CHECK_EQ(tuck_unblock(id[i]), -ESRCH);
			CHECK_EQ(tuck_cancel(id[i]), -ESRCH);
			CHECK_EQ(tuck_kill(id[i]), -ESRCH);
			CHECK_EQ(tuck_join(id[i], TUCK_FOREVER), -ESRCH);
		}
		CHECK_EQ(tuck_proc_join(o.proc, TUCK_FOREVER), -ESRCH);
		do_everything();
		CHECK_EQ(tuck_unblock(o.id), -ESRCH);
	});
	CHECK_EQ(tuck_join(o.id, 1), -ETIMEDOUT);
	end_other(&o);
}

static struct waits {
	struct other o;
	atomic_int joined, proc_joined;
} waits;

static void join_tasklet(void *arg)
{
	struct waits *w = arg;

	w->joined = tuck_join(w->o.id, TUCK_FOREVER);
}

static void join_proc(void *arg)
{
	struct waits *w = arg;

	w->proc_joined = tuck_proc_join(w->o.proc, TUCK_FOREVER);
}

TEST(who_waits_for_others_is_told)
{
	needs_fork();
	start_other(&waits.o);
	waits.joined = waits.proc_joined = 99;
	CHECK(tuck_go(join_tasklet, &waits) > 0);
	CHECK(tuck_go(join_proc, &waits) > 0);
	settle();
	IN_CHILD({
		WAIT_FOR(waits.joined != 99 && waits.proc_joined != 99);
		CHECK_EQ(waits.joined, -ESRCH);
		CHECK_EQ(waits.proc_joined, -ESRCH);
	});
	CHECK_EQ(waits.joined, 99);
	atomic_store(&waits.o.stop, 1);
	WAIT_FOR(waits.joined != 99 && waits.proc_joined != 99);
	CHECK_EQ(waits.joined, 0);
	CHECK_EQ(waits.proc_joined, 0);
}

/* -- the poller -- */

struct reader {
	int fd;
	atomic_int got;
};

static void read_one(void *arg)
{
	struct reader *r = arg;
	char c;

	r->got = (int)tuck_read(r->fd, &c, 1, TUCK_FOREVER);
}

TEST(each_of_both_has_a_poller)
{
	struct reader r[2] = { { .got = 99 }, { .got = 99 } };
	int a[2], b[2];

	needs_fork();
	pipe_pair(a);
	pipe_pair(b);
	r[0].fd = a[0];
	r[1].fd = b[0];
	CHECK(tuck_go(read_one, &r[0]) > 0);
	CHECK(tuck_go(read_one, &r[1]) > 0);
	settle();
	IN_CHILD({
		/* One that both wait for, and one that is closed here alone. */
		raw_write(a[1], "xx", 2);
		WAIT_FOR(r[0].got != 99);
		CHECK_EQ(r[0].got, 1);
		CHECK_EQ(tuck_fd_close(b[0]), 0);
		WAIT_FOR(r[1].got != 99);
		CHECK_EQ(r[1].got, -EBADF);
		do_everything();
	});
	CHECK_EQ(r[1].got, 99);
	raw_write(b[1], "x", 1);
	WAIT_FOR(r[0].got != 99 && r[1].got != 99);
	CHECK_EQ(r[0].got, 1);
	CHECK_EQ(r[1].got, 1);
}

/* What the child registers under the same number is none of the parent's. */
TEST(what_the_child_registers_is_its_own)
{
	struct reader r = { .got = 99 };
	int a[2], b[2], fds;

	needs_fork();
	pipe_pair(a);
	r.fd = a[0];
	CHECK(tuck_go(read_one, &r) > 0);
	settle();
	fds = count_fds();
	pipe_pair(b);
	IN_CHILD({
		char c;

		CHECK_EQ(tuck_fd_close(a[0]), 0);
		CHECK_EQ(dup2(b[0], a[0]), a[0]);
		CHECK_EQ(tuck_read(a[0], &c, 1, 1), -ETIMEDOUT);
		raw_write(b[1], "x", 1);
		CHECK_EQ(tuck_read(a[0], &c, 1, patience()), 1);
	});
	CHECK_EQ(r.got, 99);
	raw_write(a[1], "x", 1);
	WAIT_FOR(r.got == 1);
	close(b[0]);
	close(b[1]);
	CHECK_EQ(count_fds(), fds);
}

/* -- from a tasklet -- */

static void fork_here(void *arg)
{
	volatile char pad[3000];

	memset((char *)pad, 7, sizeof(pad));
	KEEP(pad);
	IN_CHILD({
		do_everything();
		CHECK_EQ(pad[1234], 7);
	});
	IN_CHILD({
		execl("/bin/true", "true", NULL);
		_exit(1);
	});
	count(arg);
}

TEST(tasklets_fork)
{
	atomic_int n = 0;

	needs_fork();
	share_slots(1);
	for (int i = 0; i < 3; i++) {
		_Atomic(tuck_id) other = 0;

		CHECK(tuck_go(block, &other) > 0);
		finish(tuck_go(fork_here, &n));
		CHECK_EQ(tuck_kill(other), 0);
	}
	CHECK_EQ(n, 3);
}

static void have_child(void *arg)
{
	fork_here(arg);
}

TEST(other_procs_fork)
{
	atomic_int n = 0;
	int proc[3];

	NOT_UNDER_SANITIZERS(
		"its locks do not go through a fork with busy threads");
	for (int i = 0; i < 3; i++)
		proc[i] = tuck_proc_start(NULL, have_child, &n);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_proc_join(proc[i], patience()), 0);
	CHECK_EQ(n, 3);
}

/* Neither vfork(2) nor what is built on it knows of any of this. */
TEST(programs_are_spawned)
{
	char *const argv[] = { "true", NULL };
	struct other o;
	int status;
	pid_t pid;

	needs_fork();
	start_other(&o);
	CHECK_EQ(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, NULL), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(system("exit 0"), 0);
	CHECK_EQ(tuck_join(o.id, 1), -ETIMEDOUT);
	end_other(&o);
}

/* -- pools -- */

static struct tuck_pool *pool;

static void use_lost_pool(atomic_int *n)
{
	CHECK_EQ(tuck_pool_go(pool, count, n), -ESRCH);
	CHECK_EQ(tuck_pool_wait(pool, TUCK_FOREVER), -ESRCH);
	CHECK_EQ(tuck_pool_procs(pool), 0);
	CHECK_EQ(tuck_pool_free(pool, TUCK_FOREVER), 0);
	do_everything();
}

static atomic_int hog_runs, hog_stop;

static void hog(void *arg)
{
	(void)arg;
	atomic_store(&hog_runs, 1);
	while (!atomic_load(&hog_stop))
		sched_yield();
}

TEST(a_pool_is_gone_in_the_child)
{
	atomic_int n = 0;
	tuck_id id[2];

	needs_fork();
	CHECK_EQ(tuck_pool_new(&pool, 1), 0);
	id[0] = tuck_pool_go(pool, hog, NULL);
	WAIT_FOR(atomic_load(&hog_runs));
	id[1] = tuck_pool_go(pool, count, &n);	/* waits for its start */
	IN_CHILD({
		for (int i = 0; i < 2; i++)
			CHECK_EQ(tuck_join(id[i], TUCK_FOREVER), -ESRCH);
		use_lost_pool(&n);
	});
	atomic_store(&hog_stop, 1);
	CHECK_EQ(tuck_pool_free(pool, patience()), 0);
	CHECK_EQ(n, 1);
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Those of a pool's procs, which nobody could join, are free. */
static void take_all_numbers(void)
{
	int n = 0;

	while (tuck_proc_start(NULL, nothing, NULL) >= 0)
		n++;
	CHECK_EQ(n, TUCK_PROCS_MAX);
}

TEST(a_lost_pool_keeps_no_numbers)
{
	needs_fork();
	CHECK_EQ(tuck_pool_new(&pool, 3), 0);
	IN_CHILD({
		CHECK_EQ(tuck_pool_free(pool, TUCK_FOREVER), 0);
		take_all_numbers();
	});
	CHECK_EQ(tuck_pool_free(pool, patience()), 0);
}

static void wait_for_end(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_block(patience()), -ECANCELED);
}

/* Else each generation of children had fewer. */
TEST(a_lost_proc_keeps_its_number_in_one_child)
{
	int proc;

	needs_fork();
	proc = tuck_proc_start(NULL, wait_for_end, NULL);
	CHECK(proc >= 0);
	IN_CHILD({
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			alarm(60);
			take_all_numbers();
			_exit(0);
		}
		wait_for_child(pid);
	});
	CHECK_EQ(tuck_proc_cancel(proc), 0);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
}

/* What it started and nobody took goes on with it. */
static void fork_in_pool(void *arg)
{
	atomic_int *n = arg;
	pid_t pid;
	int status;
	tuck_id id[3];

	for (int i = 0; i < 3; i++)
		id[i] = tuck_pool_go(pool, count, n);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		alarm(60);
		for (int i = 0; i < 3; i++)
			finish(id[i]);
		CHECK_EQ(*n, 3);
		CHECK_EQ(tuck_pool_go(pool, count, n), -ESRCH);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

TEST(a_proc_of_a_pool_forks)
{
	atomic_int n = 0;

	needs_fork();
	CHECK_EQ(tuck_pool_new(&pool, 1), 0);
	CHECK(tuck_pool_go(pool, fork_in_pool, &n) > 0);
	CHECK_EQ(tuck_pool_free(pool, patience()), 0);
	CHECK_EQ(n, 3);
}

static void free_pool(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_pool_free(pool, TUCK_FOREVER), 0);
}

/* What it still had to join are others' numbers in the child. */
TEST(a_pool_is_being_freed)
{
	tuck_id id;

	needs_fork();
	CHECK_EQ(tuck_pool_new(&pool, 2), 0);
	CHECK(tuck_pool_go(pool, nothing, NULL) > 0);
	CHECK_EQ(tuck_pool_wait(pool, patience()), 0);
	id = tuck_go(free_pool, NULL);
	tuck_yield();
	IN_CHILD({
		int proc = tuck_proc_start(NULL, wait_for_end, NULL);

		CHECK(proc >= 0);
		finish(id);
		CHECK_EQ(tuck_proc_cancel(proc), 0);
		CHECK_EQ(tuck_proc_join(proc, patience()), 0);
		take_all_numbers();
	});
	finish(id);
}

/* -- channels and rendezvous -- */

static struct tuck_chan *lost;

static void receive_lost(void *arg)
{
	int elem;

	atomic_fetch_add((atomic_int *)arg, 1);
	CHECK_EQ(tuck_chan_recv(lost, &elem, TUCK_FOREVER), -ECANCELED);
}

static void meet_lost(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	CHECK_EQ(tuck_rendezvous(arg, NULL, NULL, patience()), -ECANCELED);
}

static void be_home(void *arg)
{
	lost = tuck_chan_new(sizeof(int), 0);
	CHECK(tuck_go(receive_lost, arg) > 0);
	CHECK(tuck_go(meet_lost, arg) > 0);
	CHECK_EQ(tuck_block(patience()), -ECANCELED);
	tuck_chan_free(lost);
}

/* Who waited there does not run in the child, nor take what is sent. */
TEST(who_waited_elsewhere_is_not_met)
{
	atomic_int waiting = 0;
	int proc, elem = 1;

	needs_fork();
	proc = tuck_proc_start(NULL, be_home, &waiting);
	CHECK(proc >= 0);
	WAIT_FOR(waiting == 2);
	settle();
	IN_CHILD({
		CHECK_EQ(tuck_chan_send(lost, &elem, tuck_after(TUCK_MS(5))),
			 -ETIMEDOUT);
		CHECK_EQ(tuck_chan_close(lost), 0);
		tuck_chan_free(lost);
	});
	IN_CHILD({
		CHECK_EQ(tuck_chan_close(lost), 0);
		CHECK_EQ(tuck_chan_recv(lost, &elem, patience()), -EPIPE);
		tuck_chan_free(lost);
	});
	IN_CHILD({
		tuck_chan_free(lost);
		settle();
	});
	IN_CHILD({
		CHECK_EQ(tuck_rendezvous(&waiting, NULL, NULL, TUCK_NOWAIT),
			 -EAGAIN);
	});
	CHECK_EQ(tuck_proc_cancel(proc), 0);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
}

static void meet_in_vain(void *stop)
{
	while (!atomic_load((atomic_int *)stop))
		CHECK_EQ(tuck_rendezvous(stop, NULL, NULL, TUCK_NOWAIT),
			 -EAGAIN);
}

/* Other tags than the one at which another proc just is. */
TEST(forks_while_others_meet)
{
	static const char tags[1000];
	atomic_int stop = 0;
	int proc;

	needs_fork();
	proc = tuck_proc_start(NULL, meet_in_vain, &stop);
	CHECK(proc >= 0);
	for (int i = 0; i < 200; i++)
		IN_CHILD({
			for (size_t n = 0; n < sizeof(tags); n++)
				CHECK_EQ(tuck_rendezvous(&tags[n], NULL, NULL,
							 TUCK_NOWAIT),
					 -EAGAIN);
		});
	atomic_store(&stop, 1);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
}

/* -- at any time -- */

static struct storm {
	atomic_int stop;
	_Atomic(tuck_id) target;
} storm;

static void *come_and_go(void *arg)
{
	(void)arg;
	while (!atomic_load(&storm.stop)) {
		tuck_unblock(atomic_load(&storm.target));
		tuck_yield();
	}
	return NULL;
}

static void *use_poller_once(void *arg)
{
	int fd[2];
	char c;

	pipe_pair(fd);
	CHECK_EQ(tuck_read(fd[0], &c, 1, 1), -ETIMEDOUT);
	tuck_fd_close(fd[0]);
	tuck_fd_close(fd[1]);
	return arg;
}

static void *make_threads(void *arg)
{
	pthread_t thread;

	while (!atomic_load(&storm.stop)) {
		int r = tuck_join(atomic_load(&storm.target), 1);

		CHECK(r == -ETIMEDOUT || atomic_load(&storm.stop));
		CHECK_EQ(pthread_create(&thread, NULL, use_poller_once, arg),
			 0);
		pthread_join(thread, NULL);
	}
	return NULL;
}

static void be_woken(void *arg)
{
	(void)arg;
	atomic_store(&storm.target, tuck_self());
	while (!atomic_load(&storm.stop))
		tuck_block(tuck_after(TUCK_MS(1)));
}

/* Whatever the others have in their hands, the child does not miss it. */
TEST_LIMIT(forks_at_any_time, 120)
{
	pthread_t thread[3];
	tuck_id id;

	NOT_UNDER_SANITIZERS(
		"its locks do not go through a fork with busy threads");
	id = tuck_go(be_woken, NULL);
	WAIT_FOR(atomic_load(&storm.target));
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL,
					i ? come_and_go : make_threads, NULL),
			 0);
	for (int i = 0; i < 60; i++)
		IN_CHILD({
			atomic_store(&storm.stop, 1);
			CHECK(tuck_join(id, patience()) == 0);
			do_everything();
		});
	atomic_store(&storm.stop, 1);
	finish(id);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
}

static void *become_proc(void *arg)
{
	CHECK(tuck_self() > 0);
	return arg;
}

static void *make_procs(void *stop)
{
	pthread_t thread;

	while (!atomic_load((atomic_int *)stop)) {
		CHECK_EQ(pthread_create(&thread, NULL, become_proc, NULL), 0);
		pthread_join(thread, NULL);
	}
	return NULL;
}

/* In libc, too, they have locks in their hands then. */
TEST(forks_while_threads_become_procs)
{
	pthread_t thread[2];
	atomic_int stop = 0;

	NOT_UNDER_SANITIZERS(
		"its locks do not go through a fork with busy threads");
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, make_procs, &stop),
			 0);
	for (int i = 0; i < 300; i++)
		IN_CHILD({
			CHECK_EQ(pthread_create(&thread[0], NULL, become_proc,
						NULL),
				 0);
			pthread_join(thread[0], NULL);
		});
	atomic_store(&stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
}

/* -- descriptors -- */

static void read_either(void *arg)
{
	char c;

	CHECK_EQ(tuck_read(*(int *)arg, &c, 1, TUCK_FOREVER), 1);
}

/* Whoever cannot wait any more in the child tries again. */
TEST(who_waits_for_what_the_child_has_replaced)
{
	static int fd[2];
	tuck_id id;

	needs_fork();
	pipe_pair(fd);
	id = tuck_go(read_either, &fd[0]);
	CHECK(id > 0);
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(1))), 0);
	IN_CHILD({
		int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

		CHECK_EQ(dup2(file, fd[0]), fd[0]);
		CHECK_EQ(tuck_join(id, patience()), 0);
	});
	raw_write(fd[1], "x", 1);
	CHECK_EQ(tuck_join(id, patience()), 0);
}

/* -- the order -- */

static char order[32];

static void note(const char *what)
{
	strcat(order, what);
}

/* A part that has only a lock; what it does is noted by its letter. */
#define NOTED(name, letter)						\
	static struct tuck__at_fork name;				\
	static void name##_lock(void)					\
	{								\
		note("+" letter);					\
		name.lock();						\
	}								\
	static void name##_unlock(void)					\
	{								\
		name.unlock();						\
		note("-" letter);					\
	}								\
	static void name##_in_child(void)				\
	{								\
		note("=" letter);					\
	}								\
	static void note_##name(struct tuck__at_fork *at_fork)		\
	{								\
		name = *at_fork;					\
		CHECK(name.lock && name.unlock && !name.in_child);	\
		*at_fork = (struct tuck__at_fork){			\
			name##_lock, name##_unlock, name##_in_child	\
		};							\
	}

NOTED(registry, "r")
NOTED(cpus, "p")
NOTED(config, "c")

/* What is locked last is seen to first in the child. */
TEST(locks_are_taken_in_order_and_given_back_in_reverse)
{
	uint32_t forks = tuck__forks;

	needs_fork();
	tuck_self();
	note_config(&tuck__at_fork[TUCK__FORK_CONFIG]);
	note_registry(&tuck__at_fork[TUCK__FORK_REGISTRY]);
	note_cpus(&tuck__at_fork[TUCK__FORK_CPUS]);
	IN_CHILD({
		CHECK_STR(order, "+r+p+c=c-c=p-p=r-r");
		CHECK(tuck__forked_since(forks));
	});
	CHECK_STR(order, "+r+p+c-c-p-r");
	CHECK(!tuck__forked_since(forks));
}
