/* SPDX-License-Identifier: MIT */
/* Joining tasklets of other procs. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <tuck.h>

#include "base/mem.h"
#include "sockets.h"
#include "task/task.h"

/* A proc with a tasklet to be joined, which ends when it is told to. */
struct target {
	_Atomic(tuck_id) id, main;
	int proc, passed;
	atomic_int go_on, left;
	void (*end)(void);
};

static void live(void *arg)
{
	struct target *t = arg;

	atomic_store(&t->id, tuck_self());
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	t->passed++;
	if (t->end)
		t->end();
}

/* How many wait for the end of a tasklet of this proc. */
static int waiting_for(tuck_id id)
{
	struct tuck__sched *home;
	struct tuck__tasklet *t = tuck__find(id, &home);
	const struct tuck__extra *extra = t ? t->extra : NULL;
	int n = 0;

	if (!extra)
		return 0;
	for (struct tuck__link *l = extra->joiners.next; l != &extra->joiners;
	     l = l->next)
		n++;
	return n;
}

static void have_target(void *arg)
{
	struct target *t = arg;

	CHECK(tuck_go(live, t) > 0);
	atomic_store(&t->main, tuck_self());
	while (!atomic_load(&t->go_on))
		tuck_sleep(tuck_after(TUCK_MS(1)));
	tuck_block(TUCK_NOWAIT);	/* looks: what was asked is done */
	atomic_store(&t->left, waiting_for(t->id));
}

static void start(struct target *t)
{
	t->proc = tuck_proc_start(NULL, have_target, t);
	CHECK(t->proc >= 0);
	WAIT_FOR(atomic_load(&t->id) && atomic_load(&t->main));
}

/* Its proc ends, and its tasklet before that. */
static void finish_target(struct target *t)
{
	atomic_store(&t->go_on, 1);
	tuck_unblock(t->id);
	CHECK_EQ(tuck_proc_join(t->proc, patience()), 0);
}

struct joiner {
	tuck_id target;
	tuck_ns deadline;
	atomic_int result;
};

static void join_it(void *arg)
{
	struct joiner *j = arg;

	atomic_store(&j->result, tuck_join(j->target, j->deadline));
}

static tuck_id go_join(struct joiner *j, const struct target *t)
{
	tuck_id id;

	j->target = t->id;
	j->deadline = TUCK_FOREVER;
	atomic_store(&j->result, 99);
	id = tuck_go(join_it, j);
	CHECK(id > 0);
	settle();
	CHECK_EQ(j->result, 99);
	return id;
}

/* -- ends -- */

TEST(an_end_elsewhere_is_waited_for)
{
	struct target t = { .passed = 0 };
	struct joiner j[20];

	start(&t);
	for (int i = 0; i < 20; i++)
		go_join(&j[i], &t);
	CHECK_EQ(tuck_unblock(t.id), 0);
	finish(t.id);
	CHECK_EQ(t.passed, 1);
	for (int i = 0; i < 20; i++)
		WAIT_FOR(j[i].result == 0);
	CHECK_EQ(tuck_join(t.id, TUCK_FOREVER), -ESRCH);
	finish_target(&t);
}

static void exit_there(void)
{
	tuck_exit();
}

TEST(exits_kills_and_drops_are_ends)
{
	struct target t = { .end = exit_there };

	start(&t);
	CHECK_EQ(tuck_unblock(t.id), 0);
	finish(t.id);
	CHECK_EQ(t.passed, 1);
	finish_target(&t);
	t = (struct target){ .passed = 0 };
	start(&t);
	CHECK_EQ(tuck_kill(t.id), 0);
	finish(t.id);
	CHECK_EQ(t.passed, 0);
	finish_target(&t);
}

static void leave_a_tasklet(void *arg)
{
	struct target *t = arg;

	CHECK(tuck_go(live, t) > 0);
	while (!atomic_load(&t->go_on))
		tuck_sleep(tuck_after(TUCK_MS(1)));
	CHECK_EQ(tuck_drop(t->id), 0);
}

TEST(a_drop_there_is_an_end)
{
	struct target t = { .passed = 0 };
	struct joiner j;

	t.proc = tuck_proc_start(NULL, leave_a_tasklet, &t);
	WAIT_FOR(atomic_load(&t.id));
	go_join(&j, &t);
	atomic_store(&t.go_on, 1);
	WAIT_FOR(j.result == 0);
	CHECK_EQ(t.passed, 0);
	CHECK_EQ(tuck_proc_join(t.proc, patience()), 0);
}

TEST(a_main_tasklet_ends_with_its_proc)
{
	struct target t = { .passed = 0 };
	struct joiner j = { .deadline = TUCK_FOREVER, .result = 99 };

	start(&t);
	j.target = t.main;
	CHECK(tuck_go(join_it, &j) > 0);
	settle();
	CHECK_EQ(j.result, 99);
	atomic_store(&t.go_on, 1);
	settle();		/* its function has returned */
	CHECK_EQ(j.result, 99);
	CHECK_EQ(tuck_unblock(t.id), 0);
	WAIT_FOR(j.result == 0);
	CHECK_EQ(t.passed, 1);
	CHECK_EQ(tuck_proc_join(t.proc, patience()), 0);
}

static void *leave_it_behind(void *arg)
{
	leave_a_tasklet(arg);
	return NULL;
}

static void *forget_it(void *arg)
{
	struct target *t = arg;

	CHECK(tuck_go(live, t) > 0);
	while (!atomic_load(&t->go_on))
		tuck_sleep(tuck_after(TUCK_MS(1)));
	return NULL;
}

/* Its tasklets are forgotten then, and who joins them is told. */
TEST(a_foreign_thread_ends_while_others_join_its_tasklets)
{
	void *(*const ways[])(void *) = { leave_it_behind, forget_it };

	for (int i = 0; i < 2; i++) {
		struct target t = { .passed = 0 };
		pthread_t thread;
		struct joiner j;

		CHECK_EQ(pthread_create(&thread, NULL, ways[i], &t), 0);
		WAIT_FOR(atomic_load(&t.id));
		go_join(&j, &t);
		atomic_store(&t.go_on, 1);
		WAIT_FOR(j.result == 0);
		CHECK_EQ(t.passed, 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(tuck_join(t.id, TUCK_FOREVER), -ESRCH);
	}
}

/* -- those who leave first -- */

TEST(errors_of_a_join_elsewhere)
{
	struct target t = { .passed = 0 };
	tuck_ns soon;

	start(&t);
	CHECK_EQ(tuck_join(t.id, -1), -EINVAL);
	CHECK_EQ(tuck_join(t.id, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_join(t.id, 1), -ETIMEDOUT);
	soon = tuck_after(TUCK_MS(20));
	CHECK_EQ(tuck_join(t.id, soon), -ETIMEDOUT);
	CHECK(tuck_now() >= soon);
	CHECK_EQ(tuck_transfer(t.id), -EXDEV);
	CHECK_EQ(tuck_drop(t.id), -EXDEV);
	CHECK_EQ(tuck_cancel(tuck_self()), 0);
	CHECK_EQ(tuck_join(t.id, TUCK_FOREVER), -ECANCELED);
	CHECK_EQ(tuck_uncancel(), 1);
	CHECK_EQ(t.passed, 0);
	finish_target(&t);
	CHECK_EQ(t.passed, 1);
}

TEST(who_gives_up_leaves_nothing_there)
{
	struct target t = { .passed = 0 };
	struct joiner j[3];
	tuck_id id[3];

	start(&t);
	for (int i = 0; i < 2000; i++)
		CHECK_EQ(tuck_join(t.id, 1), -ETIMEDOUT);
	for (int i = 0; i < 3; i++)
		id[i] = go_join(&j[i], &t);
	CHECK_EQ(tuck_kill(id[0]), 0);
	CHECK_EQ(tuck_drop(id[1]), 0);
	CHECK_EQ(tuck_cancel(id[2]), 0);
	WAIT_FOR(j[2].result == -ECANCELED);
	CHECK_EQ(j[0].result, 99);
	/* What they asked for is done before this is. */
	CHECK_EQ(tuck_join(t.id, tuck_after(TUCK_MS(20))), -ETIMEDOUT);
	atomic_store(&t.left, -1);
	atomic_store(&t.go_on, 1);
	WAIT_FOR(atomic_load(&t.left) >= 0);
	CHECK_EQ(t.left, 0);
	finish_target(&t);
	CHECK_EQ(j[0].result, 99);
	CHECK_EQ(j[1].result, 99);
}

static void join_and_leave(void *arg)
{
	struct joiner *j = arg;

	CHECK(tuck_go(join_it, j) > 0);
	tuck_yield();
	CHECK_EQ(tuck_drop(tuck_go(join_it, j)), 0);
	tuck_exit();
}

static void *leave_with_joiners(void *arg)
{
	struct joiner *j = arg;

	CHECK(tuck_go(join_it, j) > 0);
	tuck_yield();
	CHECK_EQ(tuck_join(j->target, tuck_after(TUCK_MS(5))), -ETIMEDOUT);
	return NULL;
}

TEST(the_proc_of_who_joins_ends)
{
	struct target t = { .passed = 0 };
	struct joiner j = { .deadline = TUCK_FOREVER, .result = 99 };
	pthread_t thread;
	int proc;

	start(&t);
	j.target = t.id;
	CHECK_EQ(pthread_create(&thread, NULL, leave_with_joiners, &j), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(j.result, 99);
	proc = tuck_proc_start(NULL, join_and_leave, &j);
	CHECK_EQ(tuck_unblock(t.id), 0);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	CHECK(j.result == 0 || j.result == -ESRCH);
	finish_target(&t);
}

/* A proc that does not look: the wait ends all the same. */
static void compute(void *arg)
{
	struct target *t = arg;

	CHECK(tuck_go(live, t) > 0);
	while (!atomic_load(&t->id))
		tuck_yield();
	while (!atomic_load(&t->go_on))
		usleep(1000);
}

TEST(a_proc_that_never_looks)
{
	struct target t = { .passed = 0 };

	t.proc = tuck_proc_start(NULL, compute, &t);
	while (!atomic_load(&t.id))
		usleep(1000);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(tuck_join(t.id, 1 + i % 2), -ETIMEDOUT);
	finish_target(&t);
	CHECK_EQ(t.passed, 1);
}

/* -- all at once -- */

static struct {
	_Atomic(tuck_id) id[16];
	atomic_int stop, met[3];
} mortals;

static void die_soon(void *arg)
{
	if ((intptr_t)arg % 2)
		tuck_block(tuck_after(TUCK_US(30)));
}

static void breed(void *arg)
{
	(void)arg;
	for (intptr_t n = 0; !atomic_load(&mortals.stop); n++) {
		tuck_id id = tuck_go(die_soon, (void *)n);

		CHECK(id > 0);
		atomic_store(&mortals.id[n % 16], id);
		if (n % 5 == 0)
			CHECK_EQ(tuck_drop(id), 0);
		if (n % 8 == 7)
			tuck_yield();
	}
}

static void join_mortals(void *arg)
{
	for (unsigned n = 0; !atomic_load(&mortals.stop); n++) {
		tuck_ns end = n % 3 ? tuck_after(TUCK_US(n % 50)) :
				      TUCK_FOREVER;
		int r = tuck_join(atomic_load(&mortals.id[n % 16]), end);

		CHECK(r == 0 || r == -ESRCH || r == -ETIMEDOUT ||
		      r == -ECANCELED);
		atomic_fetch_add(&mortals.met[r == 0	  ? 0 :
					      r == -ESRCH ? 1 :
							    2],
				 1);
		tuck_uncancel();
		tuck_yield();
	}
	(void)arg;
}

static void join_many(void *arg)
{
	tuck_id id[8];

	for (int i = 0; i < 8; i++)
		id[i] = tuck_go(join_mortals, arg);
	for (unsigned n = 0; !atomic_load(&mortals.stop); n++) {
		tuck_cancel(id[n % 4]);
		if (n % 16 == 0) {
			CHECK_EQ(tuck_kill(id[7]), 0);
			id[7] = tuck_go(join_mortals, arg);
		}
		tuck_sleep(tuck_after(TUCK_US(50)));
	}
}

TEST(ends_and_joins_at_the_same_time)
{
	tuck_ns end = tuck_after(TUCK_MS(500));
	int proc[3];

	proc[0] = tuck_proc_start(NULL, breed, NULL);
	proc[1] = tuck_proc_start(NULL, join_many, NULL);
	proc[2] = tuck_proc_start(NULL, join_many, NULL);
	WAIT_FOR(tuck_now() > end && mortals.met[0] && mortals.met[1] &&
		 mortals.met[2]);
	atomic_store(&mortals.stop, 1);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_proc_join(proc[i], patience()), 0);
}

/* Whole procs end. */
static void *come_and_go(void *arg)
{
	struct target *t = arg;
	tuck_id id = tuck_go(live, t);

	while (!atomic_load(&t->id))
		tuck_yield();
	if (id & 1)
		tuck_unblock(id);
	return NULL;
}

TEST(procs_end_while_others_join)
{
	static struct target t;
	int met = 0;

	for (int n = 0; n < 300 || !met; n++) {
		pthread_t thread;
		int r;

		t.id = 0;
		CHECK_EQ(pthread_create(&thread, NULL, come_and_go, &t), 0);
		while (!atomic_load(&t.id))
			sched_yield();
		r = tuck_join(t.id, TUCK_FOREVER);
		CHECK(r == 0 || r == -ESRCH);
		met += r == 0;
		pthread_join(thread, NULL);
	}
}

/* -- what is told of it -- */

static tuck_id first;

static void join_first(void *arg)
{
	int r;

	atomic_store((_Atomic(tuck_id) *)arg, tuck_self());
	r = tuck_join(first, TUCK_FOREVER);
	CHECK(r == 0 || r == -EDEADLK);
}

TEST(a_cycle_of_joins_is_a_deadlock)
{
	NOT_UNDER_TSAN("after a fork it has a second thread of its own");
	CHECK_DIES(0, "waits for the end of a tasklet", {
		_Atomic(tuck_id) id = 0;
		int r;

		first = tuck_self();
		CHECK(tuck_proc_start(NULL, join_first, &id) >= 0);
		WAIT_FOR(atomic_load(&id));
		r = tuck_join(id, TUCK_FOREVER);
		CHECK(r == -EDEADLK || r == 0);	/* if the other noticed */
	});
}

/* -- without memory -- */

TEST(a_join_without_memory)
{
	struct target t = { .passed = 0 };
	int r;

	start(&t);
	tuck__fault_set(1, 1);		/* for its own part */
	CHECK_EQ(tuck_join(t.id, TUCK_FOREVER), -ENOMEM);
	tuck__fault_set(0, 0);
	CHECK_EQ(tuck_join(t.id, 1), -ETIMEDOUT);
	CHECK_EQ(tuck_unblock(t.id), 0);
	r = tuck_join(t.id, patience());
	CHECK(r == 0 || r == -ESRCH);
	finish_target(&t);
}
