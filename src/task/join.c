/* SPDX-License-Identifier: MIT */
/*
 * Waiting for the end of a tasklet, of any proc.
 *
 * On the same proc who joins is in the list of those who do, in the target's
 * extra block, by its own link. From elsewhere it leaves a block and asks the
 * target's proc, by a request, to put that into the list; then it waits.
 * The end takes the block's wait and wakes by the tasklet's id. Whoever gives
 * up before that has the block taken out again, by another request.
 *
 * Invariants:
 * 1. A block has two users: who joins, whose part goes on to the second
 *    request when it gives up; and the target's proc, from the first request
 *    to the end, or to whichever request finds that nobody waits any more.
 *    The last one frees it.
 * 2. Only the target's proc uses the link. It is out of the list when that
 *    proc's inbox closes, for all its tasklets have ended by then; so where
 *    a proc that came after it runs the request instead, there is nothing to
 *    take out.
 * 3. Of the end and the giving up one wins, by a compare-and-swap.
 *
 * Why not otherwise: a table of all who wait for ends elsewhere, under a lock,
 * would need no request, but a look at each end. Without the second request
 * who asks again and again with a short deadline would leave a block each
 * time, as long as the target lives.
 */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "task/task.h"

struct far_join {
	struct tuck__far far;
	struct tuck__watch watch;	/* in the target's list, or in none */
	struct tuck__request enter, leave;
	tuck_id target, joiner;
	int result;
	atomic_int users;
};

/* -- watches -- */

int tuck__watch_add(struct tuck__sched *s, struct tuck__tasklet *t,
		    struct tuck__watch *w)
{
	struct tuck__extra *extra = tuck__extra(s, t);

	if (!extra)
		return -ENOMEM;
	w->is_case = TUCK__WATCH;
	tuck__link_before(&extra->joiners, &w->link);
	return 0;
}

void tuck__tell_end(struct tuck__sched *s, struct tuck__extra *extra)
{
	struct tuck__link *l;
	struct tuck__watch *w;

	while (!tuck__list_empty(&extra->joiners)) {
		l = extra->joiners.next;
		w = tuck__container(l, struct tuck__watch, link);
		if (tuck__likely(w->is_case != TUCK__WATCH)) {
			tuck__wake(s, tuck__tasklet_of(l), 0);
			continue;
		}
		tuck__link_remove(l);
		w->ended(w);
	}
}

/* -- on the target's proc -- */

static void let_go(struct far_join *j)
{
	if (atomic_fetch_sub(&j->users, 1) == 1)
		tuck__free(j);
}

/* The target's proc has done its part. */
static void settle(struct far_join *j, int result)
{
	uint32_t state = TUCK__FAR_WAITS;
	tuck_id joiner = j->joiner;
	bool waits;

	j->result = result;
	waits = atomic_compare_exchange_strong(&j->far.state, &state,
					       TUCK__FAR_OVER);
	let_go(j);
	if (waits)
		tuck__far_wake(joiner);
}

static void on_end(struct tuck__watch *w)
{
	settle(tuck__container(w, struct far_join, watch), 0);
}

static void run_enter(struct tuck__sched *s, struct tuck__request *r)
{
	struct far_join *j = tuck__container(r, struct far_join, enter);
	struct tuck__sched *home;
	struct tuck__tasklet *t = tuck__find(j->target, &home);
	int result = 0;

	if (t && atomic_load(&j->far.state) == TUCK__FAR_WAITS)
		result = tuck__watch_add(s, t, &j->watch);
	if (tuck__list_empty(&j->watch.link))
		settle(j, result);
}

static void run_leave(struct tuck__sched *s, struct tuck__request *r)
{
	struct far_join *j = tuck__container(r, struct far_join, leave);

	(void)s;
	if (!tuck__list_empty(&j->watch.link)) {
		tuck__link_remove(&j->watch.link);
		let_go(j);
	}
	let_go(j);
}

/* -- on the joiner's -- */

static void over(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct far_join *j = t->what;
	uint32_t state = TUCK__FAR_WAITS;
	struct tuck__sched *home = tuck__registry_at(tuck__proc_of(j->target));

	(void)s;
	if (!atomic_compare_exchange_strong(&j->far.state, &state,
					    TUCK__FAR_OVER))
		t->result = j->result;
	else if (tuck__request(home, &j->leave))
		return;
	let_go(j);
}

void tuck__join_catch_up(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct far_join *j = t->what;

	j->result = -ESRCH;
	atomic_store(&j->far.state, TUCK__FAR_OVER);
	let_go(j);
	tuck__wake(s, t, 0);
}

static void text(const struct tuck__far *far, char *text, size_t n)
{
	const struct far_join *j = tuck__container(far, struct far_join, far);

	snprintf(text, n, " %lld", (long long)j->target);
}

static const struct tuck__far_kind kind = { over, text };

static struct far_join *new_join(struct tuck__sched *s, tuck_id target)
{
	struct far_join *j = tuck__alloc(sizeof(*j));

	if (!j)
		return NULL;
	j->far.kind = &kind;
	j->watch.ended = on_end;
	tuck__link_init(&j->watch.link);
	j->enter.run = run_enter;
	j->leave.run = run_leave;
	j->target = target;
	j->joiner = tuck__id(s->current);
	j->users = 2;
	return j;
}

/* Apart, for its frame would lie in that of a join at home (rule S5). */
static tuck__noinline int join_far(struct tuck__sched *s,
				   struct tuck__sched *home, tuck_id id,
				   tuck_ns deadline)
{
	struct far_join *j;
	int r;

	TUCK__REQUIRE(deadline != TUCK_NOWAIT, -EAGAIN);
	r = tuck__far_begin(s, deadline);
	if (r < 0)
		return r;
	j = new_join(s, id);
	if (j && tuck__request(home, &j->enter)) {
		tuck__wait_for(s, TUCK__WHY_FAR_JOIN, j);
		return tuck__park(s);
	}
	tuck__far_undo(s);
	tuck__free(j);
	return j ? 0 : -ENOMEM;		/* 0: it ended just now */
}

int tuck_join(tuck_id id, tuck_ns deadline)
{
	struct tuck__sched *s = tuck__sched(), *home;
	struct tuck__extra *extra;
	struct tuck__tasklet *t;

	TUCK__REQUIRE(deadline >= 0, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	t = tuck__find(id, &home);
	if (!t)
		return -ESRCH;
	if (home != s)
		return join_far(s, home, id, deadline);
	TUCK__REQUIRE(t != s->current, -EDEADLK);
	TUCK__REQUIRE(deadline != TUCK_NOWAIT, -EAGAIN);
	extra = tuck__extra(s, t);
	if (!extra)
		return -ENOMEM;
	tuck__link_before(&extra->joiners, &s->current->w.link);
	return tuck__wait(s, TUCK__WHY_JOIN, t, deadline);
}
