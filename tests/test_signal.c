/* SPDX-License-Identifier: MIT */
/* Signals as channels: what they say, to whom they come, what is put back. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <tuck.h>

#include "procs.h"
#include "sockets.h"
#include "trace.h"

static struct tuck_chan *signals_of(int signum)
{
	struct tuck_chan *chan = tuck_signal_chan(signum);

	CHECK(chan);
	return chan;
}

static struct tuck_signal next_signal(struct tuck_chan *chan)
{
	struct tuck_signal s = { .signum = 0 };

	CHECK_EQ(tuck_chan_recv(chan, &s, patience()), 0);
	return s;
}

static void send_value(int signum, int value)
{
	CHECK_EQ(sigqueue(getpid(), signum, (union sigval){ value }), 0);
}

static void (*disposition(int signum))(int)
{
	struct sigaction now;

	CHECK_EQ(sigaction(signum, NULL, &now), 0);
	return now.sa_handler;
}

/* -- one proc -- */

TEST(who_sent_it)
{
	struct tuck_chan *chan = signals_of(SIGUSR1);
	struct tuck_signal s;

	CHECK_EQ(kill(getpid(), SIGUSR1), 0);
	s = next_signal(chan);
	CHECK_EQ(s.signum, SIGUSR1);
	CHECK_EQ(s.code, SI_USER);
	CHECK_EQ(s.pid, getpid());
	CHECK_EQ(s.uid, getuid());
	CHECK_EQ(s.missed, 0);
	tuck_chan_free(chan);
}

TEST(what_it_carries)
{
	struct tuck_chan *chan = signals_of(SIGRTMIN);
	struct tuck_signal s;

	send_value(SIGRTMIN, 4711);
	s = next_signal(chan);
	CHECK_EQ(s.signum, SIGRTMIN);
	CHECK_EQ(s.code, SI_QUEUE);
	CHECK_EQ(s.pid, getpid());
	CHECK_EQ(s.value.number, 4711);
	tuck_chan_free(chan);
}

TEST(which_child)
{
	struct tuck_chan *chan = signals_of(SIGCHLD);
	struct tuck_signal s;
	pid_t pid = fork();

	if (pid == 0)
		_exit(7);
	s = next_signal(chan);
	CHECK_EQ(s.code, CLD_EXITED);
	CHECK_EQ(s.pid, pid);
	CHECK_EQ(s.status, 7);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);	/* it is still the program's */
	tuck_chan_free(chan);
}

TEST(queued_ones_come_in_order)
{
	struct tuck_chan *chan = signals_of(SIGRTMIN + 1);

	NOT_UNDER_TSAN("it keeps one signal of several");
	for (int i = 0; i < TUCK_SIGNALS_KEPT; i++)
		send_value(SIGRTMIN + 1, i);
	for (int i = 0; i < TUCK_SIGNALS_KEPT; i++)
		CHECK_EQ(next_signal(chan).value.number, i);
	CHECK_EQ(tuck_chan_count(chan), 0);
	tuck_chan_free(chan);
}

TEST(what_there_is_no_room_for_is_counted)
{
	struct tuck_chan *chan = signals_of(SIGRTMIN);
	struct tuck_signal s;

	NOT_UNDER_TSAN("it keeps one signal of several");
	for (int i = 0; i < TUCK_SIGNALS_KEPT + 6; i++)
		send_value(SIGRTMIN, i);
	settle();			/* the channel is full */
	send_value(SIGRTMIN, 1000);
	settle();
	for (int i = 0; i < TUCK_SIGNALS_KEPT; i++) {
		s = next_signal(chan);
		CHECK_EQ(s.value.number, i);
		CHECK_EQ(s.missed, 0);
	}
	CHECK_EQ(tuck_chan_recv(chan, &s, TUCK_NOWAIT), -EAGAIN);
	send_value(SIGRTMIN, 1001);
	s = next_signal(chan);
	CHECK_EQ(s.value.number, 1001);
	CHECK_EQ(s.missed, 7);
	tuck_chan_free(chan);
}

static void receive_signals(void *arg)
{
	struct tuck_signal s;

	while (tuck_chan_recv(arg, &s, patience()) == 0)
		mark('s');
	mark('e');
}

TEST(receivers_of_one_channel_share)
{
	struct tuck_chan *chan = signals_of(SIGUSR1);
	tuck_id id[2];

	for (int i = 0; i < 2; i++)
		id[i] = go(receive_signals, chan);
	settle();
	for (int i = 0; i < 3; i++) {
		raise(SIGUSR1);
		settle();
	}
	CHECK_TRACE("sss");
	tuck_chan_free(chan);
	for (int i = 0; i < 2; i++)
		finish(id[i]);
	CHECK_TRACE("ee");
}

TEST(each_channel_gets_each_signal)
{
	struct tuck_chan *one = signals_of(SIGUSR1), *two = signals_of(SIGUSR1),
			 *other = signals_of(SIGUSR2);

	raise(SIGUSR1);
	CHECK_EQ(next_signal(one).signum, SIGUSR1);
	CHECK_EQ(next_signal(two).signum, SIGUSR1);
	CHECK_EQ(tuck_chan_count(other), 0);
	tuck_chan_free(one);
	raise(SIGUSR1);			/* does not end the process */
	CHECK_EQ(next_signal(two).signum, SIGUSR1);
	tuck_chan_free(two);
	tuck_chan_free(other);
}

TEST(a_select_of_signals)
{
	struct tuck_chan *one = signals_of(SIGUSR1), *two = signals_of(SIGUSR2);
	struct tuck_signal s;
	struct tuck_case cases[] = {
		{ .chan = one, .op = TUCK_RECV, .elem = &s },
		{ .chan = two, .op = TUCK_RECV, .elem = &s },
	};

	raise(SIGUSR2);
	CHECK_EQ(tuck_select(cases, 2, patience()), 1);
	CHECK_EQ(s.signum, SIGUSR2);
	raise(SIGUSR1);
	CHECK_EQ(tuck_select(cases, 2, patience()), 0);
	CHECK_EQ(s.signum, SIGUSR1);
	tuck_chan_free(one);
	tuck_chan_free(two);
}

TEST(errno_is_kept)
{
	struct tuck_chan *chan = signals_of(SIGUSR1);

	errno = ERANGE;
	for (int i = 0; i < 100; i++)
		raise(SIGUSR1);
	CHECK_EQ(errno, ERANGE);
	tuck_chan_free(chan);
}

/* -- dispositions -- */

static atomic_int handled;

static void count(int signum)
{
	(void)signum;
	handled++;
}

TEST(what_was_set_before_is_put_back)
{
	struct tuck_chan *one, *two;

	signal(SIGUSR1, count);
	one = signals_of(SIGUSR1);
	two = signals_of(SIGUSR1);
	raise(SIGUSR1);
	settle();
	CHECK_EQ(handled, 0);
	CHECK_EQ(tuck_chan_close(one), 0);
	raise(SIGUSR1);
	CHECK_EQ(handled, 0);
	CHECK_EQ(tuck_chan_close(two), 0);
	raise(SIGUSR1);
	CHECK_EQ(handled, 1);
	CHECK_EQ(next_signal(one).signum, SIGUSR1);
	CHECK_EQ(tuck_chan_recv(one, &(struct tuck_signal){ 0 }, patience()),
		 -EPIPE);
	tuck_chan_free(one);
	tuck_chan_free(two);
	CHECK(disposition(SIGUSR1) == count);
}

TEST(an_ignored_signal_is_ignored_again)
{
	struct tuck_chan *chan;

	signal(SIGUSR1, SIG_IGN);
	chan = signals_of(SIGUSR1);
	raise(SIGUSR1);
	CHECK_EQ(next_signal(chan).signum, SIGUSR1);
	tuck_chan_free(chan);
	CHECK(disposition(SIGUSR1) == SIG_IGN);
}

TEST(what_was_set_since_stays)
{
	struct tuck_chan *chan = signals_of(SIGUSR1);

	signal(SIGUSR1, count);
	tuck_chan_free(chan);
	CHECK(disposition(SIGUSR1) == count);
}

TEST(without_a_channel_a_signal_kills)
{
	CHECK_DIES(-SIGUSR1, "", {
		struct tuck_chan *chan = signals_of(SIGUSR1);

		raise(SIGUSR1);
		next_signal(chan);
		tuck_chan_free(chan);
		raise(SIGUSR1);
	});
}

TEST(masks_stay_as_they_are)
{
	struct tuck_chan *chan;
	sigset_t before, now, set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	chan = signals_of(SIGUSR1);
	raise(SIGUSR1);
	settle();
	CHECK_EQ(tuck_chan_count(chan), 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	next_signal(chan);
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	CHECK_EQ(sigismember(&now, SIGUSR1), 0);
	tuck_chan_free(chan);
}

/* Who is interrupted goes on, and may be on a stack that is nearly full. */
TEST(handlers_restart_calls_and_use_the_alternate_stack)
{
	const int both = SA_RESTART | SA_ONSTACK;
	struct tuck_chan *chan = signals_of(SIGUSR1);
	struct sigaction now;

	CHECK_EQ(sigaction(SIGUSR1, NULL, &now), 0);
	CHECK_EQ(now.sa_flags & both, both);
	tuck_chan_free(chan);
}

TEST(signals_that_are_refused)
{
	static const int refused[] = { SIGKILL,	  SIGSTOP, SIGSEGV,  SIGBUS,
				       SIGFPE,	  SIGILL,  SIGTRAP,  SIGSYS,
				       SIGVTALRM, 0,	   -1,	     65,
				       32,	  33,	   INT32_MAX };

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		CHECK(!tuck_signal_chan(refused[i]));
}

/* -- no deadlock -- */

TEST(a_wait_for_a_signal_is_no_deadlock)
{
	struct tuck_chan *chan = signals_of(SIGUSR1);
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
				  .sigev_signo = SIGUSR1,
				  .sigev_value = { 17 } };
	struct itimerspec when = { .it_value = { 0, TUCK_MS(300) } };
	struct tuck_signal s;
	timer_t id;

	CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &id), 0);
	CHECK_EQ(timer_settime(id, 0, &when, NULL), 0);
	CHECK_EQ(tuck_chan_recv(chan, &s, TUCK_FOREVER), 0);
	CHECK_EQ(s.code, SI_TIMER);
	CHECK_EQ(s.value.number, 17);
	tuck_chan_free(chan);
}

static void is_told(void)
{
	handled++;
}

TEST(a_deadlock_is_found_when_no_signal_can_end_it)
{
	struct tuck_chan *chan = signals_of(SIGUSR1),
			 *silent = tuck_chan_new(1, 0);
	char c;

	NOT_UNDER_TSAN("it has a thread of its own");
	tuck_on_deadlock(is_told);
	tuck_chan_free(chan);
	CHECK_EQ(tuck_chan_recv(silent, &c, TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(handled, 1);
	tuck_chan_free(silent);
}

/* -- several procs -- */

static struct tuck_chan *everywhere;
static atomic_int received, missed;
static atomic_bool enough, ready;

static void receive_everywhere(void *arg)
{
	struct tuck_signal s;

	(void)arg;
	while (tuck_chan_recv(everywhere, &s, patience()) == 0) {
		received++;
		missed += (int)s.missed;
	}
}

TEST(procs_share_a_channel)
{
	int proc[2], sent;
	tuck_ns end = patience();

	NOT_UNDER_TSAN("it keeps one signal of several");
	everywhere = signals_of(SIGRTMIN);
	for (int i = 0; i < 2; i++)
		proc[i] = start(receive_everywhere, NULL);
	for (sent = 0; sent < 1000; sent++) {
		send_value(SIGRTMIN, sent);
		if (sent % 10 == 0)
			tuck_yield();
	}
	while (received + missed != sent) {	/* the next one tells */
		CHECK(tuck_now() < end);
		send_value(SIGRTMIN, sent++);
		settle();
	}
	CHECK(received > TUCK_SIGNALS_KEPT);
	tuck_chan_free(everywhere);
	for (int i = 0; i < 2; i++)
		join(proc[i]);
}

static void subscribe_and_end(void *arg)
{
	(void)arg;
	everywhere = signals_of(SIGUSR1);
	CHECK_EQ(tuck_chan_share(everywhere), 0);
	ready = true;
	WAIT_FOR(enough);
}

TEST(the_proc_that_made_it_ends)
{
	struct tuck_signal s;
	int proc;

	signal(SIGUSR1, count);
	proc = start(subscribe_and_end, NULL);
	WAIT_FOR(ready);
	raise(SIGUSR1);
	CHECK_EQ(next_signal(everywhere).signum, SIGUSR1);
	enough = true;
	join(proc);
	CHECK_EQ(tuck_chan_recv(everywhere, &s, patience()), -EPIPE);
	CHECK(disposition(SIGUSR1) == count);
	tuck_chan_free(everywhere);
}

static void close_it(void *arg)
{
	(void)arg;
	next_signal(everywhere);
	tuck_chan_free(everywhere);
}

TEST(closed_by_another_proc)
{
	signal(SIGUSR1, count);
	everywhere = signals_of(SIGUSR1);
	raise(SIGUSR1);
	join(start(close_it, NULL));
	CHECK(disposition(SIGUSR1) == count);
	raise(SIGUSR1);
	CHECK_EQ(handled, 1);
}

/* -- storms -- */

static void *send_signals(void *arg)
{
	(void)arg;
	while (!enough) {
		kill(getpid(), SIGUSR1);
		raise(SIGUSR1);
		sched_yield();
	}
	return NULL;
}

static void subscribe_often(void *arg)
{
	struct tuck_signal s;

	(void)arg;
	for (int i = 0; i < 300 / PATIENCE; i++) {
		struct tuck_chan *chan = signals_of(SIGUSR1);

		if (i % 3)
			next_signal(chan);
		if (i % 5 == 0)
			tuck_yield();
		CHECK_EQ(tuck_chan_close(chan), 0);
		while (tuck_chan_recv(chan, &s, patience()) == 0)
			CHECK_EQ(s.signum, SIGUSR1);
		tuck_chan_free(chan);
	}
}

TEST(subscriptions_come_and_go_in_a_storm)
{
	pthread_t thread[2];
	int proc[2];

	NOT_UNDER_MSAN("it changes a handler and its kind one by one");
	signal(SIGUSR1, count);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, send_signals, NULL),
			 0);
	for (int i = 0; i < 2; i++)
		proc[i] = start(subscribe_often, NULL);
	subscribe_often(NULL);
	for (int i = 0; i < 2; i++)
		join(proc[i]);
	enough = true;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	CHECK(disposition(SIGUSR1) == count);
}

/* Their memory is used again. */
TEST(subscriptions_take_no_more_memory)
{
	for (int i = 0; i < 20000 / PATIENCE; i++)
		tuck_chan_free(signals_of(SIGUSR2));
}

/* -- fork -- */

TEST(a_forked_child_has_its_own)
{
	struct tuck_chan *chan = signals_of(SIGUSR1);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		raise(SIGUSR1);
		_exit(next_signal(chan).pid == getpid() ? 3 : 4);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 3);
	settle();
	CHECK_EQ(tuck_chan_count(chan), 0);
	tuck_chan_free(chan);
}

/* The child has a minute, its parent too. */
static void child_ends_with(pid_t pid, int how)
{
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid)
		tuck_sleep(tuck_after(TUCK_MS(1)));
	if (status != how)
		check_fail(CHECK_AT, "the child ended with %#x", status);
}

static void needs_fork(void)
{
	NOT_UNDER_TSAN("it does not go through a fork with threads");
}

static atomic_bool over;

static void *subscribe_on(void *arg)
{
	while (!atomic_load(&over))
		tuck_chan_free(tuck_signal_chan(SIGUSR2));
	return arg;
}

/* However busy other threads are with subscriptions. */
TEST(a_forked_child_can_subscribe)
{
	pthread_t thread;
	pid_t pid;

	NOT_UNDER_SANITIZERS(
		"its locks do not go through a fork with busy threads");
	tuck_self();
	CHECK_EQ(pthread_create(&thread, NULL, subscribe_on, NULL), 0);
	for (int i = 0; i < 300; i++) {
		pid = fork();
		if (pid == 0) {
			alarm(20);
			tuck_chan_free(signals_of(SIGUSR1));
			_exit(0);
		}
		child_ends_with(pid, 0);
	}
	atomic_store(&over, true);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void *signal_on(void *arg)
{
	while (!atomic_load(&over))
		raise(SIGUSR1);
	return arg;
}

static pid_t fork_and_signal(struct tuck_chan *chan)
{
	struct tuck_signal s = { .signum = 0 };
	pid_t pid = fork();

	if (pid == 0) {
		alarm(20);
		do {		/* there may be no room left by the parent's */
			raise(SIGUSR1);
			tuck_chan_recv(chan, &s, tuck_after(TUCK_MS(1)));
		} while (s.pid != getpid());
		_exit(0);
	}
	return pid;
}

/* Wherever the handlers of other threads were. */
TEST(a_forked_child_hears_its_own)
{
	struct tuck_chan *chan = signals_of(SIGUSR1);
	pthread_t thread;

	needs_fork();
	CHECK_EQ(pthread_create(&thread, NULL, signal_on, NULL), 0);
	for (int i = 0; i < 500; i++)
		child_ends_with(fork_and_signal(chan), 0);
	atomic_store(&over, true);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	tuck_chan_free(chan);
}

static atomic_int phase;

static void subscribe_and_stay(void *arg)
{
	struct tuck_chan *chan = signals_of(SIGUSR1);

	(void)arg;
	atomic_store(&phase, 1);
	while (atomic_load(&phase) == 1)
		tuck_sleep(tuck_after(TUCK_MS(1)));
	tuck_chan_free(chan);
}

/* Who would have taken them is gone. */
TEST(a_forked_child_has_not_those_of_other_procs)
{
	int proc;
	pid_t pid;

	needs_fork();
	proc = tuck_proc_start(NULL, subscribe_and_stay, NULL);
	CHECK(proc >= 0);
	WAIT_FOR(atomic_load(&phase));
	pid = fork();
	if (pid == 0) {
		alarm(20);
		CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
		raise(SIGUSR1);
		_exit(0);
	}
	child_ends_with(pid, SIGUSR1);
	CHECK(disposition(SIGUSR1) != SIG_DFL);
	atomic_store(&phase, 2);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	CHECK(disposition(SIGUSR1) == SIG_DFL);
}

static void receive_on(void *arg)
{
	struct tuck_signal s;

	while (tuck_chan_recv(arg, &s, TUCK_NOWAIT) != -EPIPE)
		;
}

/* What has come is not handed out before that: a lock may be held for ever. */
TEST(a_fork_does_not_wait_for_other_procs)
{
	struct tuck_chan *chan = signals_of(SIGUSR1);
	int proc;
	pid_t pid;

	NOT_UNDER_SANITIZERS(
		"its locks do not go through a fork with busy threads");
	CHECK_EQ(tuck_chan_share(chan), 0);
	proc = tuck_proc_start(NULL, receive_on, chan);
	CHECK(proc >= 0);
	for (int i = 0; i < 300; i++) {
		raise(SIGUSR1);
		pid = fork();
		if (pid == 0)
			_exit(0);
		child_ends_with(pid, 0);
	}
	CHECK_EQ(tuck_chan_close(chan), 0);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	tuck_chan_free(chan);
}
