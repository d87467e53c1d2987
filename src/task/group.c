/* SPDX-License-Identifier: MIT */
/*
 * Groups: structured concurrency.
 *
 * Invariants:
 * 1. A group lies on the heap, for its members touch it while its maker is
 *    suspended (rule S1).
 * 2. Each member that has not ended is in group->members; whoever ends is
 *    taken out before its memory is used again.
 * 3. A member is SCOPED if its group has a deadline: then its waits take the
 *    longer way, and remember in OUTER whose deadline it is that ends them.
 */
#include <errno.h>
#include <tuck/group.h>

#include "base/mem.h"
#include "task/task.h"

struct tuck_group {
	struct tuck__sched *home;
	tuck_id home_id;
	tuck_ns deadline;
	struct tuck__link members, waiters;
	int count, first_error;
	bool closed;		/* cancelled or killed */
};

static int check(const struct tuck_group *g)
{
	TUCK__REQUIRE(g, -EINVAL);
	return tuck__tls && tuck__tls->main_id == g->home_id ? 0 : -EXDEV;
}

static inline struct tuck_group *group_of(const struct tuck__tasklet *t)
{
	return t->extra ? t->extra->group : NULL;
}

tuck_ns tuck__group_deadline(const struct tuck__tasklet *t)
{
	return group_of(t)->deadline;
}

int tuck_group_new(struct tuck_group **ret_group, tuck_ns deadline)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck_group *g, *outer;

	TUCK__REQUIRE(ret_group && deadline >= 0, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	g = tuck__alloc(sizeof(*g));
	if (!g)
		return -ENOMEM;
	outer = group_of(s->current);
	g->home = s;
	g->home_id = s->main_id;
	g->deadline = outer && outer->deadline < deadline ? outer->deadline :
							    deadline;
	tuck__link_init(&g->members);
	tuck__link_init(&g->waiters);
	*ret_group = g;
	return 0;
}

/* -- members -- */

static void run_member(void *arg)
{
	struct tuck__tasklet *self = arg;
	struct tuck__extra *extra = self->extra;

	extra->result = extra->fn(extra->arg);
}

tuck_id tuck_group_go(struct tuck_group *g, int (*fn)(void *), void *arg)
{
	struct tuck__tasklet *t;
	struct tuck__extra *extra;
	int r = check(g);

	if (r < 0)
		return r;
	TUCK__REQUIRE(fn, -EINVAL);
	if (g->closed)
		return -ECANCELED;
	t = tuck__task_new(g->home, run_member);
	extra = t ? tuck__extra(g->home, t) : NULL;
	if (!extra) {
		if (t)
			tuck__drop(g->home, t);
		return -ENOMEM;
	}
	extra->fn = fn;
	extra->arg = arg;
	extra->result = -ECANCELED;	/* unless fn returns */
	extra->group = g;
	tuck__link_before(&g->members, &extra->member);
	g->count++;
	if (g->deadline != TUCK_FOREVER)
		t->w.bits |= TUCK__SCOPED;
	return tuck__id(t);
}

static void wake_waiters(struct tuck_group *g)
{
	while (!tuck__list_empty(&g->waiters))
		tuck__wake(g->home, tuck__tasklet_of(g->waiters.next), 0);
}

void tuck__group_leave(struct tuck__extra *extra)
{
	struct tuck_group *g = extra->group;

	tuck__link_cut(&extra->member);
	extra->group = NULL;
	g->count--;
	if (extra->result < 0 && !g->first_error && !g->closed)
		g->first_error = extra->result;
	if (g->count == 0 || g->first_error)
		wake_waiters(g);
}

/* -- all of them -- */

static bool over(const struct tuck_group *g, enum tuck_group_wait until)
{
	return g->count == 0 || (until == TUCK_GROUP_ERROR && g->first_error);
}

static int wait_in(struct tuck_group *g, tuck_ns deadline)
{
	tuck__link_before(&g->waiters, &g->home->current->w.link);
	return tuck__wait(g->home, TUCK__WHY_GROUP, g, deadline);
}

int tuck_group_wait(struct tuck_group *g, enum tuck_group_wait until,
		    tuck_ns deadline)
{
	int r = check(g);

	if (r < 0)
		return r;
	TUCK__REQUIRE((unsigned)until <= TUCK_GROUP_ERROR && deadline >= 0,
		      -EINVAL);
	TUCK__REQUIRE(group_of(g->home->current) != g, -EDEADLK);
	while (!over(g, until)) {
		if (deadline == TUCK_NOWAIT)
			return -EAGAIN;
		r = wait_in(g, deadline);
		if (r < 0)
			return r;
	}
	return g->first_error;
}

static struct tuck__tasklet *member_at(const struct tuck__link *l)
{
	return tuck__container(l, struct tuck__extra, member)->self;
}

int tuck_group_cancel(struct tuck_group *g)
{
	int r = check(g);

	if (r < 0)
		return r;
	g->closed = true;
	for (struct tuck__link *l = g->members.next; l != &g->members;
	     l = l->next)
		tuck__cancel(g->home, member_at(l));
	return 0;
}

int tuck_group_kill(struct tuck_group *g)
{
	struct tuck__link *l, *next;
	bool self = false;
	int r = check(g);

	if (r < 0)
		return r;
	g->closed = true;
	for (l = g->members.next; l != &g->members; l = next) {
		struct tuck__tasklet *t = member_at(l);

		next = l->next;		/* a new one ends at once */
		if (t == g->home->current)
			self = true;
		else
			tuck__kill(g->home, t);
	}
	if (self)
		tuck__raise(g->home);
	return 0;
}

int tuck_group_count(const struct tuck_group *g)
{
	int r = check(g);

	return r < 0 ? r : g->count;
}

int tuck_group_free(struct tuck_group *g)
{
	struct tuck__tasklet *self;
	uint8_t bits;
	int r;

	if (!g)
		return 0;
	r = check(g);
	if (r < 0)
		return r;
	self = g->home->current;
	TUCK__REQUIRE(group_of(self) != g, -EDEADLK);
	tuck_group_kill(g);
	/* To be cancelled, or late, is no reason to leave members alone. */
	bits = self->w.bits & (TUCK__CANCELED | TUCK__SCOPED);
	self->w.bits &= (uint8_t)~bits;
	while (g->count > 0)
		wait_in(g, TUCK_FOREVER);
	self->w.bits |= bits;
	r = g->first_error;
	tuck__free(g);
	return r;
}
