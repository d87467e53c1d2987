/* SPDX-License-Identifier: MIT */
/* Looking in: figures, dumps, and what is told of a deadlock. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <tuck.h>

#include "sockets.h"

static struct tuck_stats stats(void)
{
	struct tuck_stats now;

	CHECK_EQ(tuck_stats(&now), 0);
	return now;
}

static void block(void *arg)
{
	int *left = arg;

	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	if (left)
		--*left;
}

static void nothing(void *arg)
{
	(void)arg;
}

/* -- figures -- */

TEST(figures_of_a_proc_that_just_began)
{
	struct tuck_stats s = stats();

	CHECK_EQ(s.tasklets, 1);
	CHECK_EQ(s.ready, 0);
	CHECK_EQ(s.started, 1);
	CHECK_EQ(s.switches, 0);
	CHECK_EQ(s.slices + s.slice_bytes + s.slice_bytes_max, 0);
	CHECK_EQ(s.copied_bytes + s.switches_copied, 0);
	CHECK_EQ(s.slots, 0);
	CHECK_EQ(tuck_stats(NULL), -EINVAL);
}

TEST(figures_of_tasklets)
{
	tuck_id id[10];
	int left = 10;

	for (int i = 0; i < 10; i++)
		id[i] = tuck_go(block, &left);
	CHECK_EQ(stats().tasklets, 11);
	CHECK_EQ(stats().ready, 10);
	settle();
	CHECK_EQ(stats().ready, 0);
	CHECK_EQ(stats().started, 11);
	CHECK_EQ(stats().slots, 10);
	for (int i = 0; i < 4; i++)
		tuck_unblock(id[i]);
	CHECK_EQ(stats().ready, 4);
	WAIT_FOR(left == 6);
	CHECK_EQ(stats().tasklets, 7);
	CHECK_EQ(stats().started, 11);
	CHECK_EQ(stats().slots, 6);
	for (int i = 4; i < 10; i++)
		CHECK_EQ(tuck_drop(id[i]), 0);
	CHECK_EQ(stats().tasklets, 1);
	CHECK_EQ(stats().slots, 0);
}

TEST(who_never_ran_was_not_started)
{
	struct tuck_attr paused = { .paused = 1 };
	tuck_id id = tuck_go_with(&paused, nothing, NULL);

	tuck_go(nothing, NULL);
	CHECK_EQ(stats().started, 1);
	settle();
	CHECK_EQ(stats().started, 2);
	CHECK_EQ(stats().tasklets, 2);
	CHECK_EQ(stats().ready, 0);
	CHECK_EQ(tuck_drop(id), 0);
	CHECK_EQ(stats().started, 2);
}

static void yield_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++)
		tuck_yield();
}

TEST(figures_of_switches)
{
	struct tuck_stats before = stats(), after;
	tuck_id id = tuck_go(yield_often, NULL);

	for (int i = 0; i < 100; i++)
		tuck_yield();
	finish(id);
	after = stats();
	/* There and back each time; in a random order perhaps not. */
	CHECK(after.switches - before.switches >= 2);
	CHECK(after.switches - before.switches <= 204);
	if (!seeded())
		CHECK(after.switches - before.switches >= 200);
}

static void block_deep(void *arg)
{
	volatile char deep[3000];

	for (size_t i = 0; i < sizeof(deep); i++)
		deep[i] = (char)i;
	block(arg);
	for (size_t i = 0; i < sizeof(deep); i++)
		CHECK_EQ(deep[i], (char)i);
}

TEST(figures_of_slices)
{
	struct tuck_stats s;
	tuck_id id[10];
	int left = 10;

	share_slots(1);
	for (int i = 0; i < 10; i++)
		id[i] = tuck_go(i == 3 ? block_deep : block, &left);
	settle();
	s = stats();
	CHECK_EQ(s.slots, 1);
	CHECK(s.slices == 9 || s.slices == 10);
	CHECK(s.slice_bytes_max > 0 && s.slice_bytes_max <= s.slice_bytes);
	CHECK(s.slice_bytes_max < 6000);
	CHECK(s.slice_bytes < (s.slices - 1) * 1500 + 6000);
	CHECK(s.slice_pool_bytes >= s.slice_bytes);
	CHECK(s.copied_bytes >= s.slice_bytes);
	CHECK(s.switches_copied >= s.slices - 1);
	CHECK(s.switches_copied <= s.switches);
	if (!seeded())		/* else the deep one may be resident */
		CHECK(s.slice_bytes_max >= 3000);
	for (int i = 0; i < 10; i++)
		tuck_unblock(id[i]);
	WAIT_FOR(left == 0);
	CHECK_EQ(stats().slices, 0);
	CHECK_EQ(stats().slice_bytes, 0);
	CHECK(stats().copied_bytes > s.copied_bytes);
}

static void look_elsewhere(void *arg)
{
	*(struct tuck_stats *)arg = stats();
}

TEST(figures_are_those_of_one_proc)
{
	struct tuck_stats other;
	int proc;

	for (int i = 0; i < 5; i++)
		tuck_go(nothing, NULL);
	proc = tuck_proc_start(NULL, look_elsewhere, &other);
	CHECK_EQ(tuck_proc_join(proc, TUCK_FOREVER), 0);
	CHECK_EQ(other.tasklets, 1);
	CHECK_EQ(other.ready, 0);
	CHECK_EQ(other.slots, 0);
}

/* -- dumps -- */

static char text[65536];

static const char *dump(void)
{
	char name[] = "/tmp/tuck-dump-XXXXXX";
	int fd = mkstemp(name);
	ssize_t n;

	CHECK(fd >= 0);
	unlink(name);
	CHECK_EQ(tuck_dump(fd), 0);
	n = pread(fd, text, sizeof(text) - 1, 0);
	CHECK(n > 0);
	text[n] = 0;
	close(fd);
	return text;
}

/* The line of a tasklet. */
static const char *line_of(tuck_id id)
{
	static char line[300];
	char start[64];
	const char *at;

	snprintf(start, sizeof(start), "  tasklet %lld ", (long long)id);
	at = strstr(dump(), start);
	CHECK(at);
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
	return line;
}

static void check_line(tuck_id id, const char *words)
{
	const char *line = line_of(id);

	if (!strstr(line, words))
		check_fail(CHECK_AT, "no \"%s\" in: %s", words, line);
}

static tuck_id go_named(const char *name, void (*fn)(void *), void *arg)
{
	struct tuck_attr attr = { .name = name };
	tuck_id id = tuck_go_with(&attr, fn, arg);

	CHECK(id > 0);
	return id;
}

static void join_it(void *arg)
{
	tuck_join(*(tuck_id *)arg, TUCK_FOREVER);
}

static void sleep_long(void *arg)
{
	(void)arg;
	tuck_sleep(tuck_after(TUCK_SEC(100)));
}

static void read_it(void *arg)
{
	char c;

	tuck_read(*(int *)arg, &c, 1, TUCK_FOREVER);
}

static void write_it(void *arg)
{
	static char mega[1 << 20];

	tuck_write_full(*(int *)arg, mega, sizeof(mega), TUCK_FOREVER);
}

static void send_it(void *arg)
{
	tuck_chan_send(arg, "x", TUCK_FOREVER);
}

static void receive_it(void *arg)
{
	char c;

	tuck_chan_recv(arg, &c, TUCK_FOREVER);
}

static void select_it(void *arg)
{
	char c;
	struct tuck_case cases[2] = {
		{ .chan = arg, .op = TUCK_RECV, .elem = &c },
		{ .chan = arg, .op = TUCK_RECV, .elem = &c },
	};

	tuck_select(cases, 2, TUCK_FOREVER);
}

TEST(dump_says_what_each_waits_on)
{
	struct tuck_attr paused = { .name = "paused", .paused = 1 };
	struct tuck_chan *full = tuck_chan_new(1, 0);
	struct tuck_chan *empty = tuck_chan_new(1, 0);
	char words[128];
	tuck_id id[9], blocked;
	int fd[2], out[2];

	stream_pair(fd);
	stream_pair(out);
	blocked = go_named("blocked", block, NULL);
	id[0] = go_named("joins", join_it, &blocked);
	id[1] = go_named("sleeps", sleep_long, NULL);
	id[2] = go_named("reads", read_it, &fd[0]);
	id[3] = go_named("writes", write_it, &out[0]);
	id[4] = go_named("sends", send_it, full);
	id[5] = go_named("receives", receive_it, empty);
	id[6] = go_named("selects", select_it, empty);
	id[7] = tuck_go_with(&paused, block, NULL);
	settle();
	id[8] = go_named("ready", block, NULL);
	check_line(tuck_self(), "\"main\" runs");
	check_line(blocked, "\"blocked\" waits for an unblock since ");
	snprintf(words, sizeof(words),
		 "\"joins\" waits for the end of a "
		 "tasklet %lld since",
		 (long long)blocked);
	check_line(id[0], words);
	check_line(id[1], "\"sleeps\" waits for a time since");
	snprintf(words, sizeof(words),
		 "\"reads\" waits for input on descriptor %d since", fd[0]);
	check_line(id[2], words);
	snprintf(words, sizeof(words),
		 "\"writes\" waits for room for output "
		 "on descriptor %d since",
		 out[0]);
	check_line(id[3], words);
	snprintf(words, sizeof(words),
		 "\"sends\" waits for a receiver on channel %p", (void *)full);
	check_line(id[4], words);
	snprintf(words, sizeof(words),
		 "\"receives\" waits for a sender on channel %p",
		 (void *)empty);
	check_line(id[5], words);
	snprintf(words, sizeof(words),
		 "\"selects\" waits for several channels (2): "
		 "receive on %p, receive on %p since",
		 (void *)empty, (void *)empty);
	check_line(id[6], words);
	check_line(id[7], "\"paused\" waits for its start since");
	check_line(id[8], "\"ready\" is ready");
}

/* -- and of what several procs use -- */

static void select_five(void *arg)
{
	char c = 0;
	struct tuck_case cases[6] = { { .chan = NULL } };

	for (int i = 1; i < 6; i++)
		cases[i] = (struct tuck_case){ .chan = arg,
					       .op = i == 1 ? TUCK_SEND :
							      TUCK_RECV,
					       .elem = &c };
	tuck_select(cases, 6, TUCK_FOREVER);
}

static void fail_it(void *arg)
{
	tuck_chan_fail(arg, -EIO, TUCK_FOREVER);
}

static void meet_it(void *arg)
{
	tuck_rendezvous(arg, NULL, NULL, TUCK_FOREVER);
}

static struct tuck_chan *foreign;
static atomic_int step;

static void make_and_compute(void *arg)
{
	(void)arg;
	foreign = tuck_chan_new(1, 0);
	atomic_store(&step, 1);
	while (atomic_load(&step) < 2)
		usleep(100);
}

static void check_channel(tuck_id id, const char *before, const void *chan)
{
	char words[128];

	snprintf(words, sizeof(words), "%s%p since", before, chan);
	check_line(id, words);
}

TEST(dump_says_what_each_waits_on_with_other_procs)
{
	struct tuck_chan *shared = tuck_chan_new(1, 0);
	struct tuck_chan *full = tuck_chan_new(1, 0);
	tuck_id id[5];
	int proc = tuck_proc_start(NULL, make_and_compute, NULL);

	CHECK(proc >= 0);
	CHECK_EQ(tuck_chan_share(shared), 0);
	CHECK_EQ(tuck_chan_share(full), 0);
	while (atomic_load(&step) < 1)
		usleep(100);
	id[0] = go_named("receives", receive_it, shared);
	id[1] = go_named("selects", select_five, tuck_chan_new(1, 0));
	id[2] = go_named("fails", fail_it, full);
	id[3] = go_named("meets", meet_it, &step);
	id[4] = go_named("asks", receive_it, foreign);
	settle();
	check_channel(id[0],
		      "\"receives\" waits for channels of several procs (1): "
		      "receive on ",
		      shared);
	check_line(id[1],
		   "\"selects\" waits for several channels (6): send on");
	check_line(id[1], ", ... since");
	check_channel(id[2],
		      "\"fails\" waits for channels of several procs (1): "
		      "send on ",
		      full);
	check_channel(id[3],
		      "\"meets\" waits for the other one of a rendezvous of "
		      "tag ",
		      &step);
	check_channel(id[4], "\"asks\" waits for the proc that made a channel ",
		      foreign);
	atomic_store(&step, 2);
	CHECK_EQ(tuck_proc_join(proc, TUCK_FOREVER), 0);
}

TEST(dump_begins_with_the_number_of_tasklets)
{
	size_t lines = 0;

	for (int i = 0; i < 50; i++)
		tuck_go(block, NULL);
	CHECK(strncmp(dump(), "tuck: proc ", 11) == 0);
	CHECK(strstr(text, ", 51 tasklets\n"));
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	CHECK_EQ(lines, 52);
}

TEST(dump_cuts_a_long_name)
{
	tuck_id id = go_named("0123456789012345678901234567890123456789", block,
			      NULL);

	check_line(id, "\"0123456789012345678901234567890\"");
	id = tuck_go(block, NULL);
	check_line(id, " \"\" ");
}

TEST(dump_says_since_when)
{
	tuck_id id = tuck_go(block, NULL);
	double since = 0;

	settle();
	tuck_sleep(tuck_after(TUCK_MS(120)));
	CHECK_EQ(sscanf(strstr(line_of(id), "since"), "since %lf s", &since),
		 1);
	CHECK(since > 0.1 && since < 50);
	/* Also when the caller has not waited in between. */
	for (tuck_ns end = tuck_after(TUCK_MS(200)); tuck_now() < end;)
		;
	CHECK_EQ(sscanf(strstr(line_of(id), "since"), "since %lf s", &since),
		 1);
	CHECK(since > 0.3 && since < 50);
}

static void wait_for_proc(void *arg)
{
	tuck_proc_join(*(int *)arg, TUCK_FOREVER);
}

static _Atomic(tuck_id) waiting;

static void wait_for_word(void *arg)
{
	waiting = tuck_self();
	block(arg);
}

TEST(dump_names_the_proc_that_is_joined)
{
	int proc = tuck_proc_start(NULL, wait_for_word, NULL);
	char words[64];
	tuck_id id = tuck_go(wait_for_proc, &proc);

	settle();
	snprintf(words, sizeof(words), "waits for the end of a proc %d since",
		 proc);
	check_line(id, words);
	WAIT_FOR(waiting);
	CHECK_EQ(tuck_unblock(waiting), 0);
	finish(id);
}

TEST(dump_errors)
{
	int fd[2];

	CHECK_EQ(tuck_dump(-1), -EBADF);
	signal(SIGPIPE, SIG_IGN);
	pipe_pair(fd);
	close(fd[0]);
	CHECK_EQ(tuck_dump(fd[1]), -EPIPE);
}

/* -- deadlock -- */

static int told;
static tuck_id sleeper;

static void note(void)
{
	told++;
}

TEST(deadlock_is_told_and_ends_the_wait_of_main)
{
	struct tuck_chan *chan = tuck_chan_new(1, 0);
	char c;

	CHECK_EQ(tuck_on_deadlock(note), 0);
	for (int i = 0; i < 3; i++) {
		tuck_go(receive_it, chan);
		CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
		CHECK_EQ(told, 2 * i + 1);
		CHECK_EQ(tuck_chan_recv(chan, &c, TUCK_FOREVER), -EDEADLK);
		CHECK_EQ(told, 2 * i + 2);
	}
	tuck_chan_free(chan);
}

TEST(deadlock_is_dumped_by_default)
{
	CHECK_DIES(0, "\"lonely\" waits for a sender on channel", {
		go_named("lonely", receive_it, tuck_chan_new(1, 0));
		CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
	});
	CHECK_DIES(0, "\"main\" waits for an unblock", {
		CHECK_EQ(tuck_on_deadlock(note), 0);
		CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
		CHECK_EQ(tuck_on_deadlock(NULL), 0);
		CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
		CHECK_EQ(told, 1);
	});
}

struct stuck {
	tuck_id id;
	atomic_int thread;
};

static void be_stuck(void *arg)
{
	struct stuck *p = arg;

	p->id = tuck_self();
	p->thread = gettid();
	tuck_block(TUCK_FOREVER);
}

/* Whichever of the two is the last to wait reports both. */
TEST(deadlock_names_the_thread_of_each_proc)
{
	struct stuck p = { 0 };
	char name[] = "/tmp/tuck-deadlock-XXXXXX", words[64];
	int fd, proc, r;

	NOT_UNDER_TSAN("in a fork that makes a thread it has two of its own");
	fd = mkstemp(name);
	CHECK(fd >= 0);
	unlink(name);
	CHECK_EQ(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	proc = tuck_proc_start(NULL, be_stuck, &p);
	r = tuck_proc_join(proc, TUCK_FOREVER);
	if (r == -EDEADLK) {
		CHECK_EQ(tuck_unblock(p.id), 0);
		r = tuck_proc_join(proc, TUCK_FOREVER);
	}
	CHECK_EQ(r, 0);
	CHECK(pread(fd, text, sizeof(text) - 1, 0) > 0);
	snprintf(words, sizeof(words),
		 "proc in thread %d, 1 tasklets\n  "
		 "tasklet %lld ",
		 p.thread, (long long)p.id);
	CHECK(strstr(text, words));
	snprintf(words, sizeof(words),
		 "proc in thread %d, 1 tasklets\n  "
		 "tasklet %lld ",
		 gettid(), (long long)tuck_self());
	CHECK(strstr(text, words));
}

static void sleep_and_unblock(void *arg)
{
	tuck_sleep(tuck_after(TUCK_MS(20)));
	tuck_unblock(*(tuck_id *)arg);
}

TEST(no_deadlock_while_a_timer_runs)
{
	tuck_id self = tuck_self();

	tuck_on_deadlock(note);
	tuck_go(sleep_and_unblock, &self);
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	CHECK_EQ(tuck_block(tuck_after(TUCK_MS(1))), -ETIMEDOUT);
	CHECK_EQ(told, 0);
}

/* A descriptor may bring something for ever. */
TEST(no_deadlock_while_a_descriptor_is_waited_for)
{
	int fd[2];
	char c;

	CHECK_DIES(-SIGALRM, "", {
		tuck_on_deadlock(note);
		pipe_pair(fd);
		alarm(1);
		tuck_read(fd[0], &c, 1, TUCK_FOREVER);
	});
}

/* What the function did counts, though main is woken all the same. */
static void unblock_sleeper(void)
{
	told++;
	CHECK_EQ(tuck_unblock(sleeper), 0);
	CHECK(stats().tasklets == 2);
	CHECK(strstr(dump(), "\"main\" waits for an unblock"));
}

TEST(deadlock_function_may_look_and_unblock)
{
	int left = 1;

	tuck_on_deadlock(unblock_sleeper);
	sleeper = tuck_go(block, &left);
	CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
	WAIT_FOR(left == 0);
	CHECK_EQ(told, 1);
}
