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
	tuck_ns deadline, own;	/* own: as it was asked for */
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
	struct tuck_group *g;
	tuck_ns outer;

	TUCK__REQUIRE(ret_group && deadline >= 0, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	g = tuck__alloc(sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->home = s;
	g->home_id = s->main_id;
	g->deadline = g->own = deadline;
	if (s->current->w.bits & TUCK__SCOPED) {
		outer = group_of(s->current)->deadline;
		g->deadline = outer < deadline ? outer : deadline;
	}
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

static bool over(const struct tuck_group *g, enum tuck_group_wait until)
{
	return g->count == 0 || (until == TUCK_GROUP_ERROR && g->first_error);
}

/* Those who were woken do not touch the group again: it may be freed. */
static void wake_waiters(struct tuck_group *g)
{
	struct tuck__link *l, *next;

	for (l = g->waiters.next; l != &g->waiters; l = next) {
		struct tuck__tasklet *t = tuck__tasklet_of(l);

		next = l->next;
		if (over(g, (enum tuck_group_wait)(intptr_t)t->elem))
			tuck__wake(g->home, t, g->first_error);
	}
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

static int wait_in(struct tuck_group *g, enum tuck_group_wait until,
		   tuck_ns deadline)
{
	struct tuck__tasklet *self = g->home->current;

	self->elem = (void *)(intptr_t)until;
	tuck__link_before(&g->waiters, &self->w.link);
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
	if (over(g, until))
		return g->first_error;
	TUCK__REQUIRE(deadline != TUCK_NOWAIT, -EAGAIN);
	return wait_in(g, until, deadline);
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
	struct tuck__link seen, *l;
	bool self = false;
	int r = check(g);

	if (r < 0)
		return r;
	g->closed = true;
	/* A new one ends at once, and others may by posts from elsewhere. */
	tuck__link_init(&seen);
	while (!tuck__list_empty(&g->members)) {
		l = g->members.next;
		tuck__link_cut(l);
		tuck__link_before(&seen, l);
		if (tuck__runs(g->home, member_at(l)))
			self = true;
		else
			tuck__kill(g->home, member_at(l));
	}
	tuck__link_before(&seen, &g->members);
	tuck__link_cut(&seen);
	if (self)
		tuck__raise(g->home);
	return 0;
}

int tuck_group_count(const struct tuck_group *g)
{
	int r = check(g);

	return r < 0 ? r : g->count;
}

int tuck_group_expired(const struct tuck_group *g)
{
	int r = check(g);

	return r < 0 ? r : g->own <= tuck_now();
}

/*
 * Until all have ended; or -ENOMEM or -EDEADLK. To be cancelled, or late, is no
 * reason to leave members alone.
 */
static int wait_for_all(struct tuck_group *g)
{
	struct tuck__tasklet *self = g->home->current;
	uint8_t bits = 0;
	int r = 0;

	while (g->count > 0 && r != -ENOMEM && r != -EDEADLK) {
		bits |= self->w.bits & (TUCK__CANCELED | TUCK__SCOPED);
		self->w.bits &= (uint8_t) ~(TUCK__CANCELED | TUCK__SCOPED);
		r = wait_in(g, TUCK_GROUP_ALL, TUCK_FOREVER);
	}
	self->w.bits |= bits;
	return g->count > 0 ? r : 0;
}

/* When its wait is over, or the caller was killed in it. */
static void free_group(struct tuck_group *const *at)
{
	struct tuck_group *g = *at;

	if (g && wait_for_all(g) == 0)
		tuck__free(g);
}

int tuck_group_free(struct tuck_group *g)
{
	struct tuck_group *mine __attribute__((__cleanup__(free_group))) = NULL;
	int r;

	if (!g)
		return 0;
	r = check(g);
	if (r < 0)
		return r;
	TUCK__REQUIRE(group_of(g->home->current) != g, -EDEADLK);
	tuck_group_kill(g);
	mine = g;
	r = wait_for_all(g);
	if (r == 0)
		return g->first_error;
	mine = NULL;
	return r;
}
