/* SPDX-License-Identifier: MIT */
/* Procs: start, attributes, join, tables of their own, foreign threads. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <tuck.h>
#include <unistd.h>

#include "proc/proc.h"
#include "procs.h"

static void nothing(void *arg)
{
	(void)arg;
}

static void count_up(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void wait_for_word(void *arg)
{
	atomic_store((_Atomic(tuck_id) *)arg, tuck_self());
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
}

static void give_word(_Atomic(tuck_id) *id)
{
	WAIT_FOR(atomic_load(id));
	CHECK_EQ(tuck_unblock(atomic_load(id)), 0);
}

/* -- start and join -- */

TEST(a_proc_runs_and_is_joined)
{
	atomic_int n = 0;
	int proc = start(count_up, &n);

	join(proc);
	CHECK_EQ(n, 1);
	CHECK_EQ(tuck_proc_join(proc, TUCK_FOREVER), -ESRCH);
}

static void sleep_and_count(void *arg)
{
	for (int i = 0; i < 3; i++)
		tuck_sleep(tuck_after(TUCK_MS(5)));
	count_up(arg);
}

static void leave_others_behind(void *arg)
{
	for (int i = 0; i < 10; i++)
		CHECK(tuck_go(sleep_and_count, arg) > 0);
}

TEST(a_proc_ends_with_its_last_tasklet)
{
	atomic_int n = 0;

	join(start(leave_others_behind, &n));
	CHECK_EQ(n, 10);
}

static void run_on_another_thread(void *arg)
{
	*(pthread_t *)arg = pthread_self();
}

TEST(a_proc_is_a_thread_of_its_own)
{
	pthread_t thread = pthread_self();

	join(start(run_on_another_thread, &thread));
	CHECK(!pthread_equal(thread, pthread_self()));
}

TEST(start_errors)
{
	const int fds[1] = { 0 };
	const struct tuck_proc_attr bad[] = {
		{ .cpu = -1 },
		{ .cpu = 1 << 30 },
		{ .cpu = CPU_SETSIZE },
		{ .own_fds = 1, .n_fds = -1, .fds = fds },
		{ .own_fds = 1, .n_fds = 1 },
	};
	int first;

	CHECK_EQ(tuck_proc_start(NULL, NULL, NULL), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_EQ(tuck_proc_start(&bad[i], nothing, NULL), -EINVAL);
	first = start(nothing, NULL);
	CHECK_EQ(first, 0);		/* they left no number behind */
	join(first);
}

/* A number that is no descriptor must not close what is none of its. */
TEST(negative_number_among_kept_descriptors)
{
	const int fds[2] = { -1, 5 };
	struct tuck_proc_attr attr = { .own_fds = 1, .fds = fds, .n_fds = 2 };

	CHECK(tuck_proc_start(&attr, nothing, NULL) < 0);
}

TEST(join_errors)
{
	_Atomic(tuck_id) id = 0;
	int proc = start(wait_for_word, &id);
	tuck_ns soon = tuck_after(TUCK_MS(20));

	CHECK_EQ(tuck_proc_join(proc + 1, TUCK_FOREVER), -ESRCH);
	CHECK_EQ(tuck_proc_join(-1, TUCK_FOREVER), -ESRCH);
	CHECK_EQ(tuck_proc_join(TUCK_PROCS_MAX, TUCK_FOREVER), -ESRCH);
	CHECK_EQ(tuck_proc_join(INT32_MAX, TUCK_FOREVER), -ESRCH);
	CHECK_EQ(tuck_proc_join(INT32_MIN, TUCK_FOREVER), -ESRCH);
	CHECK_EQ(tuck_proc_join(proc, -1), -EINVAL);
	CHECK_EQ(tuck_proc_join(proc, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_proc_join(proc, 1), -ETIMEDOUT);
	CHECK_EQ(tuck_proc_join(proc, soon), -ETIMEDOUT);
	CHECK(tuck_now() >= soon);
	give_word(&id);
	join(proc);
}

static void join_self(void *arg)
{
	atomic_int *number = arg;

	WAIT_FOR(atomic_load(number) >= 0);
	CHECK_EQ(tuck_proc_join(*number, TUCK_NOWAIT), -EDEADLK);
	CHECK_EQ(tuck_proc_join(*number, TUCK_FOREVER), -EDEADLK);
	atomic_store(number, -2);
}

TEST(a_proc_cannot_join_itself)
{
	atomic_int number = -1;
	int proc = start(join_self, &number);

	atomic_store(&number, proc);
	WAIT_FOR(atomic_load(&number) == -2);
	join(proc);
}

struct joiner {
	int proc, result;
};

static void be_joiner(void *arg)
{
	struct joiner *j = arg;

	j->result = tuck_proc_join(j->proc, TUCK_FOREVER);
}

/* -- one whose scheduler is another's before it has ended -- */

static atomic_int in_between, may_end;

static void stay_in_between(void *arg)
{
	(void)arg;
	atomic_store(&in_between, 1);
	while (!atomic_load(&may_end))
		usleep(100);
}

static void *join_in_vain(void *arg)
{
	CHECK_EQ(tuck__proc_join(*(int *)arg, true, TUCK_NOWAIT), -EAGAIN);
	return NULL;
}

TEST(who_runs_in_its_place_is_another)
{
	int proc = tuck__proc_start(NULL, nothing, NULL, stay_in_between);
	pthread_t thread;

	CHECK(proc >= 0);
	while (!atomic_load(&in_between))
		usleep(100);
	CHECK_EQ(pthread_create(&thread, NULL, join_in_vain, &proc), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	atomic_store(&may_end, 1);
	CHECK_EQ(tuck__proc_join(proc, true, patience()), 0);
}

TEST(only_one_joins)
{
	_Atomic(tuck_id) id = 0;
	struct joiner j = { .result = 99 };

	j.proc = start(wait_for_word, &id);
	CHECK(tuck_go(be_joiner, &j) > 0);
	settle();
	CHECK_EQ(tuck_proc_join(j.proc, TUCK_FOREVER), -EBUSY);
	CHECK_EQ(tuck_proc_join(j.proc, TUCK_NOWAIT), -EBUSY);
	give_word(&id);
	WAIT_FOR(j.result != 99);
	CHECK_EQ(j.result, 0);
	CHECK_EQ(tuck_proc_join(j.proc, TUCK_FOREVER), -ESRCH);
}

TEST(who_gave_up_joins_no_more)
{
	_Atomic(tuck_id) id = 0;
	struct joiner j = { .result = 99 };

	j.proc = start(wait_for_word, &id);
	CHECK_EQ(tuck_proc_join(j.proc, tuck_after(TUCK_MS(2))), -ETIMEDOUT);
	CHECK(tuck_go(be_joiner, &j) > 0);
	settle();
	CHECK_EQ(j.result, 99);
	give_word(&id);
	WAIT_FOR(j.result == 0);
}

TEST(who_was_dropped_joins_no_more)
{
	_Atomic(tuck_id) id = 0;
	struct joiner j = { .result = 99 };
	tuck_id joiner;

	j.proc = start(wait_for_word, &id);
	joiner = tuck_go(be_joiner, &j);
	settle();
	CHECK_EQ(tuck_drop(joiner), 0);
	CHECK_EQ(tuck_proc_join(j.proc, TUCK_NOWAIT), -EAGAIN);
	give_word(&id);
	join(j.proc);
}

static void linger(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_block(patience()), 0);
}

static void join_and_linger(void *arg)
{
	CHECK_EQ(tuck_defer(linger, NULL), 0);
	be_joiner(arg);
	check_fail(CHECK_AT, "it was killed");
}

/* Its cleanups may take their time, or need that another one joins. */
TEST(who_was_killed_joins_no_more)
{
	_Atomic(tuck_id) id = 0;
	struct joiner j = { .result = 99 };
	tuck_id joiner;

	j.proc = start(wait_for_word, &id);
	joiner = tuck_go(join_and_linger, &j);
	settle();
	CHECK_EQ(tuck_proc_join(j.proc, TUCK_NOWAIT), -EBUSY);
	CHECK_EQ(tuck_kill(joiner), 0);
	settle();
	CHECK_EQ(tuck_proc_join(j.proc, TUCK_NOWAIT), -EAGAIN);
	give_word(&id);
	join(j.proc);
	CHECK_EQ(tuck_unblock(joiner), 0);
	finish(joiner);
}

static void join_from_elsewhere(void *arg)
{
	be_joiner(arg);
}

TEST(a_third_proc_joins)
{
	_Atomic(tuck_id) id = 0;
	struct joiner j = { .result = 99 };
	int other;

	j.proc = start(wait_for_word, &id);
	other = start(join_from_elsewhere, &j);
	give_word(&id);
	join(other);
	CHECK_EQ(j.result, 0);
}

/* The others of the joiner's proc go on. */
TEST(join_waits_in_one_tasklet_only)
{
	_Atomic(tuck_id) id = 0;
	struct joiner j = { .result = 99 };

	j.proc = start(wait_for_word, &id);
	CHECK(tuck_go(be_joiner, &j) > 0);
	for (int i = 0; i < 10; i++)
		settle();
	CHECK_EQ(j.result, 99);
	give_word(&id);
	WAIT_FOR(j.result == 0);
}

TEST(numbers_are_used_again_after_join)
{
	for (int i = 0; i < 300; i++) {
		atomic_int n = 0;
		int proc = start(count_up, &n);

		CHECK_EQ(proc, 0);
		join(proc);
		CHECK_EQ(n, 1);
	}
}

TEST(as_many_procs_as_there_may_be)
{
	static _Atomic(tuck_id) id[TUCK_PROCS_MAX];
	int proc[TUCK_PROCS_MAX], fds = count_fds();

	for (int i = 0; i < TUCK_PROCS_MAX; i++)
		proc[i] = start(wait_for_word, &id[i]);
	CHECK_EQ(tuck_proc_start(NULL, nothing, NULL), -EAGAIN);
	for (int i = 0; i < TUCK_PROCS_MAX; i++)
		give_word(&id[i]);
	for (int i = 0; i < TUCK_PROCS_MAX; i++)
		join(proc[i]);
	CHECK_EQ(count_fds(), fds);
	join(start(nothing, NULL));
}

/* -- attributes -- */

static void read_name(void *arg)
{
	prctl(PR_GET_NAME, arg);
}

TEST(name_of_the_thread)
{
	static const char *const names[][2] = {
		{ "worker", "worker" },
		{ "a name that is too long", "a name that is " },
		{ "123456789012345", "123456789012345" },
		{ "", "" },
	};
	char name[32] = "";

	for (int i = 0; i < 4; i++) {
		struct tuck_proc_attr attr = { .name = names[i][0] };
		int proc = tuck_proc_start(&attr, read_name, name);

		attr.name = NULL;	/* it was read already */
		join(proc);
		CHECK_STR(name, names[i][1]);
	}
}

static void read_cpus(void *arg)
{
	CHECK_EQ(sched_getaffinity(0, sizeof(cpu_set_t), arg), 0);
}

TEST(cpu_of_the_thread)
{
	cpu_set_t all, one;

	CHECK_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		struct tuck_proc_attr attr = { .cpu = cpu + 1 };

		if (!CPU_ISSET(cpu, &all))
			continue;
		join(tuck_proc_start(&attr, read_cpus, &one));
		CHECK_EQ(CPU_COUNT(&one), 1);
		CHECK(CPU_ISSET(cpu, &one));
	}
	join(start(read_cpus, &one));
	CHECK(CPU_EQUAL(&one, &all));
}

/* -- a table of its own -- */

struct table {
	int kept, other;
	_Atomic(tuck_id) id;
	atomic_int seen;
};

static void use_kept(void *arg)
{
	struct table *t = arg;
	char c;

	t->seen = count_fds();
	CHECK_EQ(fcntl(t->other, F_GETFD), -1);
	CHECK(fcntl(0, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0);
	CHECK_EQ(tuck_read(t->kept, &c, 1, TUCK_FOREVER), 1);
	CHECK_EQ(tuck_write(t->kept, &c, 1, TUCK_FOREVER), 1);
	CHECK_EQ(tuck_fd_close(t->kept), 0);
}

static void needs_tables(void)
{
	NOT_UNDER_TSAN("it takes equal numbers for equal descriptors");
}

TEST(own_table_keeps_what_it_was_told)
{
	int kept[2], other[2];
	struct table t = { .id = 0 };
	struct tuck_proc_attr attr = { .own_fds = 1,
				       .fds = &t.kept,
				       .n_fds = 1 };
	char c = 0;
	int proc;

	needs_tables();
	stream_pair(kept);
	stream_pair(other);
	t.kept = kept[0];
	t.other = other[0];
	proc = tuck_proc_start(&attr, use_kept, &t);
	CHECK(proc >= 0);
	CHECK_EQ(tuck_fd_close(kept[0]), 0);
	raw_write(kept[1], "x", 1);
	CHECK_EQ(tuck_read(kept[1], &c, 1, TUCK_FOREVER), 1);
	CHECK_EQ(c, 'x');
	CHECK_EQ(tuck_read(kept[1], &c, 1, TUCK_FOREVER), 0);
	join(proc);
	/* Here nothing was closed. */
	CHECK(fcntl(other[0], F_GETFD) >= 0);
	CHECK(fcntl(kept[1], F_GETFD) >= 0);
}

static void wait_in_table(void *arg)
{
	struct table *t = arg;

	wait_for_word(&t->id);
}

TEST(connection_closed_by_the_starter_is_closed)
{
	struct tuck_proc_attr attr = { .own_fds = 1 };
	struct table t = { .id = 0 };
	int fd[2], proc;
	char c;

	needs_tables();
	tcp_pair(fd);
	proc = tuck_proc_start(&attr, wait_in_table, &t);
	CHECK(proc >= 0);
	CHECK_EQ(tuck_fd_close(fd[0]), 0);
	CHECK_EQ(tuck_read(fd[1], &c, 1, patience()), 0);
	give_word(&t.id);
	join(proc);
}

static void check_table_is_shared(void *arg)
{
	const int *fd = arg;
	char c;

	CHECK_EQ(tuck_read(fd[0], &c, 1, TUCK_FOREVER), 1);
	CHECK_EQ(tuck_fd_close(fd[0]), 0);
}

TEST(without_the_attribute_the_table_is_shared)
{
	int fd[2], proc;

	stream_pair(fd);
	proc = start(check_table_is_shared, fd);
	raw_write(fd[1], "x", 1);
	join(proc);
	CHECK_EQ(fcntl(fd[0], F_GETFD), -1);
}

/* To and fro: each blocks till the other unblocks it. */
struct pair {
	_Atomic(tuck_id) id[2];
	int rounds, io;
};

static void play(struct pair *p, int me)
{
	int fd[2];
	char c;

	if (p->io) {		/* so that it waits in a poller */
		pipe_pair(fd);
		CHECK_EQ(tuck_read(fd[0], &c, 1, 1), -ETIMEDOUT);
	}
	atomic_store(&p->id[me], tuck_self());
	WAIT_FOR(atomic_load(&p->id[!me]));
	for (int i = 0; i < p->rounds; i++) {
		if (me == 0)
			CHECK_EQ(tuck_unblock(p->id[1]), 0);
		CHECK_EQ(tuck_block(patience()), 0);
		if (me == 1)
			CHECK_EQ(tuck_unblock(p->id[0]), 0);
	}
	if (p->io) {
		tuck_fd_close(fd[0]);
		tuck_fd_close(fd[1]);
	}
}

static void play_0(void *arg)
{
	play(arg, 0);
}

static void play_1(void *arg)
{
	play(arg, 1);
}

TEST(wake_ups_between_tables)
{
	struct tuck_proc_attr own = { .own_fds = 1 };

	needs_tables();
	for (int io = 0; io < 2; io++) {
		struct pair p = { .rounds = 500, .io = io };
		int proc = tuck_proc_start(&own, play_1, &p), other;

		play_0(&p);
		join(proc);
		p.id[0] = p.id[1] = 0;
		proc = tuck_proc_start(&own, play_0, &p);
		other = tuck_proc_start(&own, play_1, &p);
		join(proc);
		join(other);
	}
}

static void start_more_tables(void *arg)
{
	struct tuck_proc_attr own = { .own_fds = 1 };
	struct pair p = { .rounds = 100, .io = 1 };
	int proc = tuck_proc_start(&own, play_1, &p);

	(void)arg;
	CHECK(proc >= 0);
	play_0(&p);
	join(proc);
}

TEST(a_table_from_a_table)
{
	struct tuck_proc_attr own = { .own_fds = 1 };
	struct pair p = { .rounds = 100, .io = 1 };
	int proc, other;

	needs_tables();
	proc = tuck_proc_start(&own, start_more_tables, NULL);
	other = start(play_1, &p);
	play_0(&p);
	join(proc);
	join(other);
}

/* Each opens as many as a table may hold. */
static void open_all(void *arg)
{
	atomic_int *n = arg;

	while (dup(2) >= 0)
		count_up(n);
	CHECK_EQ(errno, EMFILE);
	tuck_sleep(tuck_after(TUCK_MS(20)));
}

TEST(each_table_has_a_limit_of_its_own)
{
	struct tuck_proc_attr own = { .own_fds = 1 };
	atomic_int n[3] = { 0 };
	int proc[3];

	needs_tables();
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 400, 400 });
	for (int i = 0; i < 3; i++) {
		proc[i] = tuck_proc_start(&own, open_all, &n[i]);
		CHECK(proc[i] >= 0);
	}
	for (int i = 0; i < 3; i++)
		join(proc[i]);
	for (int i = 0; i < 3; i++)
		CHECK(n[i] > 200);
}

TEST(start_leaks_no_descriptor)
{
	struct tuck_proc_attr own = { .own_fds = 1 };
	struct pair p = { .rounds = 5, .io = 1 };
	int proc, fds = 0;

	needs_tables();
	for (int i = 0; i < 20; i++) {
		p.id[0] = p.id[1] = 0;
		proc = tuck_proc_start(i & 1 ? &own : NULL, play_1, &p);
		play_0(&p);
		join(proc);
		if (i == 2)
			fds = count_fds();
	}
	CHECK_EQ(count_fds(), fds);
}

static void *use_poller(void *arg)
{
	int fd[2];
	char c;

	(void)arg;
	pipe_pair(fd);
	CHECK_EQ(tuck_read(fd[0], &c, 1, tuck_after(TUCK_US(10))), -ETIMEDOUT);
	tuck_fd_close(fd[0]);
	tuck_fd_close(fd[1]);
	return NULL;
}

static void *be_strange_proc(void *arg)
{
	use_poller(NULL);
	wait_for_word(arg);
	return NULL;
}

static void end_strange_proc(pthread_t thread, _Atomic(tuck_id) *id)
{
	give_word(id);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* Of a proc with a higher number no table but its own knows the wake-up. */
TEST(own_table_is_refused_while_there_are_too_many_threads)
{
	enum { N = TUCK_PROCS_MAX + 2 };
	static _Atomic(tuck_id) id[N];
	struct tuck_proc_attr own = { .own_fds = 1 };
	int fds = count_fds();
	pthread_t thread[N];

	for (int i = 0; i < N; i++) {
		CHECK_EQ(pthread_create(&thread[i], NULL, be_strange_proc,
					&id[i]),
			 0);
		WAIT_FOR(atomic_load(&id[i]));
	}
	end_strange_proc(thread[0], &id[0]);	/* its number is free then */
	CHECK_EQ(tuck_proc_start(&own, nothing, NULL), -EAGAIN);
	for (int i = 1; i < N; i++)
		end_strange_proc(thread[i], &id[i]);
	join(tuck_proc_start(&own, nothing, NULL));
	CHECK_EQ(count_fds(), fds + N + 1);	/* wake-ups stay, main's too */
}

/* -- threads that Tuck did not start -- */

static void *be_proc(void *arg)
{
	atomic_int n = 0;

	for (int i = 0; i < 3; i++)
		CHECK(tuck_go(count_up, &n) > 0);
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_US(100))), 0);
	WAIT_FOR(n == 3);
	tuck_go(sleep_and_count, arg);	/* is forgotten at the end */
	count_up(arg);
	return NULL;
}

TEST(six_hundred_threads_one_after_another)
{
	atomic_int n = 0;
	pthread_t thread;
	int fds = count_fds();

	for (int i = 0; i < 600; i++) {
		CHECK_EQ(pthread_create(&thread, NULL, be_proc, &n), 0);
		pthread_join(thread, NULL);
	}
	CHECK_EQ(n, 600);
	CHECK_EQ(count_fds(), fds);
}

TEST(a_hundred_threads_at_once)
{
	atomic_int n = 0;
	pthread_t thread[100];

	for (int i = 0; i < 100; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, be_proc, &n), 0);
	for (int i = 0; i < 100; i++)
		pthread_join(thread[i], NULL);
	CHECK_EQ(n, 100);
}

TEST(threads_leave_no_descriptor_behind)
{
	pthread_t thread;
	int fds = 0;

	for (int i = 0; i < 30; i++) {
		CHECK_EQ(pthread_create(&thread, NULL, use_poller, NULL), 0);
		pthread_join(thread, NULL);
		if (i == 0)
			fds = count_fds();
	}
	CHECK_EQ(count_fds(), fds);
}

/* -- tuck_exit -- */

static void exit_now(void *arg)
{
	count_up(arg);
	tuck_exit();
}

static void exit_in_both(void *arg)
{
	CHECK(tuck_go(exit_now, arg) > 0);
	leave_others_behind(arg);
	exit_now(arg);
}

TEST(exit_in_main_tasklet_of_a_proc)
{
	atomic_int n = 0;

	join(start(exit_now, &n));
	CHECK_EQ(n, 1);
	join(start(exit_in_both, &n));
	CHECK_EQ(n, 13);
}

static void exit_thread(void *arg)
{
	count_up(arg);
	pthread_exit(NULL);
}

static void leave_to_another(void *arg)
{
	CHECK(tuck_go(exit_thread, arg) > 0);
	tuck_block(TUCK_FOREVER);
	CHECK(!"it is forgotten");
}

/* Its stack is not the one that the proc's function runs on. */
TEST(a_tasklet_that_ends_its_thread_ends_its_proc)
{
	atomic_int n = 0;

	NOT_UNDER_TSAN("it loses track of a thread that ends on a fiber");
	join(start(leave_to_another, &n));
	CHECK_EQ(n, 1);
	join(start(exit_thread, &n));
	CHECK_EQ(n, 2);
}

static void *exit_in_thread(void *arg)
{
	exit_in_both(arg);
	return NULL;
}

TEST(exit_in_a_foreign_thread)
{
	atomic_int n = 0;
	pthread_t thread;

	for (int i = 1; i <= 5; i++) {
		CHECK_EQ(pthread_create(&thread, NULL, exit_in_thread, &n), 0);
		pthread_join(thread, NULL);
		CHECK_EQ(n, 12 * i);
	}
}

static void *exit_before_any_call(void *arg)
{
	exit_now(arg);
	return NULL;
}

TEST(exit_in_a_thread_that_never_called_before)
{
	atomic_int n = 0;
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, exit_before_any_call, &n), 0);
	pthread_join(thread, NULL);
	CHECK_EQ(n, 1);
}

static void exit_deep(void *arg)
{
	tuck_sleep(tuck_after(TUCK_MS(1)));
	exit_now(arg);
}

TEST(exit_in_a_tasklet)
{
	atomic_int n = 0;
	tuck_id id[20];

	for (int i = 0; i < 20; i++)
		id[i] = tuck_go(i & 1 ? exit_now : exit_deep, &n);
	for (int i = 0; i < 20; i++)
		finish(id[i]);
	CHECK_EQ(n, 20);
	CHECK_EQ(tuck_unblock(id[0]), -ESRCH);
}

static void say_late(void *arg)
{
	(void)arg;
	tuck_sleep(tuck_after(TUCK_MS(20)));
	fputs("so late\n", stderr);
}

TEST(exit_in_the_first_thread)
{
	NOT_UNDER_TSAN("pthread_exit() in main after a fork hangs");
	CHECK_DIES(0, "so late", {
		tuck_go(say_late, NULL);
		tuck_exit();
	});
}

/* -- several procs on one descriptor -- */

struct acceptor {
	int fd;
	atomic_int served;
};

static void serve(void *arg)
{
	struct acceptor *a = arg;
	char c;
	int fd;

	while ((fd = tuck_accept(a->fd, NULL, TUCK_FOREVER)) >= 0) {
		CHECK_EQ(tuck_read(fd, &c, 1, TUCK_FOREVER), 1);
		CHECK_EQ(tuck_write(fd, &c, 1, TUCK_FOREVER), 1);
		CHECK_EQ(tuck_fd_close(fd), 0);
		atomic_fetch_add(&a->served, 1);
	}
	CHECK_EQ(fd, -EINVAL);	/* it listens no more */
}

TEST(procs_accept_from_one_listener)
{
	struct acceptor a = { .served = 0 };
	char text[TUCK_ADDR_TEXT], c;
	struct tuck_addr addr;
	int proc[3];

	a.fd = tuck_tcp_listen("127.0.0.1:0", 0);
	CHECK_EQ(tuck_addr_local(a.fd, &addr), 0);
	tuck_addr_format(&addr, text, sizeof(text));
	for (int i = 0; i < 3; i++)
		proc[i] = start(serve, &a);
	for (int i = 0; i < 300; i++) {
		int fd = tuck_tcp_connect(text, patience());

		CHECK(fd >= 0);
		c = (char)i;
		CHECK_EQ(tuck_write(fd, &c, 1, TUCK_FOREVER), 1);
		c = 0;
		CHECK_EQ(tuck_read(fd, &c, 1, patience()), 1);
		CHECK_EQ(c, (char)i);
		CHECK_EQ(tuck_fd_close(fd), 0);
	}
	CHECK_EQ(shutdown(a.fd, SHUT_RDWR), 0);
	for (int i = 0; i < 3; i++)
		join(proc[i]);
	CHECK_EQ(a.served, 300);
}

/* -- destructors of thread-specific data, which run when a proc ends -- */

static pthread_key_t key;

static void set_key(void *arg)
{
	CHECK_EQ(pthread_setspecific(key, arg), 0);
}

static atomic_int ticks, ended;

/* Not before the others went on, unless they never do. */
static void end_slowly(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10000 && ticks < 10; i++)
		usleep(1000);
	ended = 1;
}

static void tick(void *arg)
{
	(void)arg;
	for (;;) {
		tuck_sleep(tuck_after(TUCK_MS(1)));
		ticks++;
	}
}

TEST(a_thread_that_ends_slowly_holds_up_only_its_joiner)
{
	tuck_id id;

	CHECK_EQ(pthread_key_create(&key, end_slowly), 0);
	id = tuck_go(tick, NULL);
	join(start(set_key, &key));
	if (ended)		/* the join need not wait for it */
		CHECK(ticks >= 10);
	WAIT_FOR(ended);
	CHECK_EQ(tuck_drop(id), 0);
}

static void start_another(void *arg)
{
	(void)arg;
	usleep(20000);
	join(start(nothing, NULL));
}

TEST(a_destructor_may_start_procs)
{
	CHECK_EQ(pthread_key_create(&key, start_another), 0);
	join(start(set_key, &key));
}

/* -- what does not cross procs -- */

static void cross_over(void *arg)
{
	tuck_id id = *(tuck_id *)arg;

	CHECK_EQ(tuck_drop(id), -EXDEV);
	CHECK_EQ(tuck_transfer(id), -EXDEV);
	CHECK_EQ(tuck_unblock(id), 0);
}

static void block_once(void *arg)
{
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	count_up(arg);
}

TEST(what_belongs_to_a_proc_stays_there)
{
	atomic_int n = 0;
	tuck_id id = tuck_go(block_once, &n);

	join(start(cross_over, &id));
	finish(id);
	CHECK_EQ(n, 1);
}

/* -- everybody waits -- */

static void block_for_ever(void *arg)
{
	int r;

	atomic_store((_Atomic(tuck_id) *)arg, tuck_self());
	r = tuck_block(TUCK_FOREVER);
	CHECK(r == 0 || r == -EDEADLK);
}

/* Whoever notices first: the main one is told in the end. */
TEST(deadlock_of_two_procs_is_told)
{
	NOT_UNDER_TSAN("after a fork it has a second thread of its own");
	CHECK_DIES(0, "waits for an unblock", {
		_Atomic(tuck_id) id = 0;
		int proc = start(block_for_ever, &id);

		CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
		tuck_unblock(id);
		join(proc);
	});
}

static void *unblock_later(void *arg)
{
	usleep(400000);
	CHECK_EQ(tuck_unblock(*(tuck_id *)arg), 0);
	return NULL;
}

static void wait_for_stranger(void)
{
	tuck_id self = tuck_self();
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, unblock_later, &self), 0);
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	pthread_join(thread, NULL);
}

TEST(a_plain_thread_may_unblock_yet)
{
	wait_for_stranger();
}

/* What cannot be asked is not taken for an answer. */
TEST(a_plain_thread_may_unblock_yet_without_descriptors)
{
	struct rlimit before, none;
	int fd = dup(2);

	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = (rlim_t)fd;
	setrlimit(RLIMIT_NOFILE, &none);
	wait_for_stranger();
	setrlimit(RLIMIT_NOFILE, &before);	/* for LeakSanitizer */
}

/* -- a number that nobody has been told yet -- */

static atomic_int looking, looked, told;

static void look_at_numbers(void *arg)
{
	(void)arg;
	do {
		for (int n = 1; n < 8; n++) {
			int r = tuck_proc_join(n, TUCK_NOWAIT);

			CHECK(r == -EAGAIN || r == -ESRCH);
		}
		atomic_store(&looking, 1);
		sched_yield();
	} while (!atomic_load(&looked));
}

static void last_until_told(void *arg)
{
	(void)arg;
	while (!atomic_load(&told))
		usleep(1000);
}

/* For ThreadSanitizer: of a proc that is starting, by another one. */
TEST(a_stale_number_may_be_asked_while_it_is_given_anew)
{
	int procs[6];
	int looker = tuck_proc_start(NULL, look_at_numbers, NULL);

	CHECK_EQ(looker, 0);
	WAIT_FOR(atomic_load(&looking));
	for (int i = 0; i < 6; i++) {
		procs[i] = tuck_proc_start(NULL, last_until_told, NULL);
		CHECK(procs[i] > 0);
	}
	atomic_store(&looked, 1);
	CHECK_EQ(tuck_proc_join(looker, patience()), 0);
	atomic_store(&told, 1);
	for (int i = 0; i < 6; i++)
		CHECK_EQ(tuck_proc_join(procs[i], patience()), 0);
}
