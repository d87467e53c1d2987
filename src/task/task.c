/* SPDX-License-Identifier: MIT */
/* The life of a tasklet: go, self, exit, drop. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "task/waitq.h"

#define STACK_MIN 16384

/* -- beginning -- */

struct tuck__extra *tuck__extra(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct tuck__extra *extra = t->extra;
	uint32_t cls;

	if (extra)
		return extra;
	extra = tuck__slice_get(&s->cache.slices, sizeof(*extra), &cls);
	if (!extra)
		return NULL;
	extra->exit = NULL;
	extra->name[0] = 0;
	extra->self = t;
	extra->defers = NULL;
	extra->group = NULL;
	extra->entity = NULL;
	extra->locals = NULL;
	extra->held = NULL;
	extra->switches = 0;
	extra->cpu = 0;
	extra->slice_class = cls;
	tuck__link_init(&extra->joiners);
	t->extra = extra;
	return extra;
}

int tuck__hold(struct tuck__sched *s, struct tuck__held *held)
{
	struct tuck__extra *extra = tuck__extra(s, s->current);

	if (!extra)
		return -ENOMEM;
	held->next = extra->held;
	extra->held = held;
	return 0;
}

void tuck__let_go(struct tuck__extra *extra)
{
	struct tuck__held *held = extra->held;

	extra->held = held->next;
	held->release(held);
}

static tuck__noinline void free_block(struct tuck__sched *s,
				      struct tuck__extra *extra)
{
	struct tuck__defer *d;

	while ((d = extra->defers) != NULL) {
		extra->defers = d->next;
		tuck__slice_put(&s->cache.slices, d, d->slice_class);
	}
	while (extra->held)
		tuck__let_go(extra);
	tuck__locals_forget(s, extra);
	if (extra->exit)
		tuck__slice_put(&s->cache.slices, extra->exit,
				extra->exit->slice_class);
	tuck__slice_put(&s->cache.slices, extra->entity, extra->entity_class);
	tuck__slice_put(&s->cache.slices, extra, extra->slice_class);
}

static inline void free_extra(struct tuck__sched *s, struct tuck__tasklet *t)
{
	if (tuck__unlikely(t->extra != NULL))
		free_block(s, t->extra);
	t->extra = NULL;
}

static void forget_place(struct tuck__sched *s, struct tuck__tasklet *t)
{
	tuck_id id = tuck__id(t);

	free_extra(s, t);
	atomic_store(&t->id, 0);
	tuck__table_free(s, t, id);
}

/* What one with attributes has, or any where there is a policy. */
static tuck__noinline int take_attr(struct tuck__sched *s,
				    struct tuck__tasklet *t,
				    const struct tuck_attr *attr)
{
	if (attr && attr->name && tuck__name_set(s, t, attr->name) < 0)
		return -ENOMEM;
	return tuck__policy_admit(s, t, attr);
}

static inline int take_any_attr(struct tuck__sched *s, struct tuck__tasklet *t,
				const struct tuck_attr *attr)
{
	return tuck__unlikely(attr || s->policy) ? take_attr(s, t, attr) : 0;
}

static int admit(struct tuck__sched *s, struct tuck__tasklet *t,
		 const struct tuck_attr *attr, void (*fn)(void *), void *arg)
{
	if (tuck__unlikely(attr && attr->stack_bytes))
		return tuck__ctx_admit_own(&s->cache, &t->ctx,
					   attr->stack_bytes, fn, arg);
	return tuck__ctx_admit(&s->cache, &t->ctx, &s->current->ctx, fn, arg);
}

static inline void enlist(struct tuck__sched *s, struct tuck__tasklet *t,
			  const struct tuck_attr *attr)
{
	s->alive++;
	if (tuck__unlikely(attr && attr->paused)) {
		t->w.why = TUCK__WHY_PAUSED;
		t->ctx.note = s->now_ms;
		tuck__link_init(&t->w.link);
	} else {
		tuck__link_before(&s->ready, &t->w.link);
	}
}

static bool valid(const struct tuck_attr *attr)
{
	return (!attr->stack_bytes || attr->stack_bytes >= STACK_MIN) &&
	       tuck__policy_valid(attr);
}

tuck_id tuck_go_with(const struct tuck_attr *attr, void (*fn)(void *),
		     void *arg)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck__tasklet *t;

	TUCK__REQUIRE(fn && (!attr || valid(attr)), -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	t = tuck__table_new(s);
	if (tuck__unlikely(!t))
		return -ENOMEM;
	if (tuck__unlikely(take_any_attr(s, t, attr) < 0 ||
			   admit(s, t, attr, fn, arg) < 0)) {
		forget_place(s, t);
		return -ENOMEM;
	}
	enlist(s, t, attr);
	return tuck__id(t);
}

struct tuck__tasklet *tuck__task_make(struct tuck__sched *s, void (*fn)(void *),
				      void *arg)
{
	struct tuck__tasklet *t = tuck__table_new(s);

	if (!t)
		return NULL;
	if (take_any_attr(s, t, NULL) < 0 || admit(s, t, NULL, fn, arg) < 0) {
		forget_place(s, t);
		return NULL;
	}
	return t;
}

struct tuck__tasklet *tuck__task_stub(struct tuck__sched *s)
{
	struct tuck__tasklet *t = tuck__table_new(s);

	if (t)
		tuck__ctx_init_none(&t->ctx);
	return t;
}

void tuck__task_unmake(struct tuck__sched *s, struct tuck__tasklet *t)
{
	tuck__ctx_retire(&s->cache, &t->ctx);
	forget_place(s, t);
}

struct tuck__tasklet *tuck__task_new(struct tuck__sched *s, void (*fn)(void *))
{
	struct tuck__tasklet *t = tuck__task_make(s, fn, NULL);

	if (!t)
		return NULL;
	t->ctx.arg = t;
	enlist(s, t, NULL);
	return t;
}

tuck_id tuck_go(void (*fn)(void *), void *arg)
{
	return tuck_go_with(NULL, fn, arg);
}

tuck_id tuck_self(void)
{
	struct tuck__sched *s = tuck__sched();

	TUCK__REQUIRE(s, tuck__sched_error());
	return tuck__id(s->current);
}

/* -- end -- */

/* The name dies first: nobody can post to t from here on. */
static tuck_id end_id(struct tuck__sched *s, struct tuck__tasklet *t)
{
	tuck_id id = tuck__id(t);
	int64_t word = id;

	while (!atomic_compare_exchange_strong(&t->id, &word, 0)) {
		sched_yield();		/* its poster may be about to push */
		tuck__inbox_drain(s);
		word = id;
	}
	if (tuck__unlikely(t->ctx.mark))
		tuck__waitq_orphan(id);
	return id;
}

/* Tell those who wait for the end of t. */
static void announce_end(struct tuck__sched *s, struct tuck__tasklet *t)
{
	if (tuck__unlikely(t->extra != NULL)) {
		if (t->extra->group)
			tuck__group_leave(t->extra);
		tuck__tell_end(s, t->extra);
	}
	if (--s->alive == 1 && s->main->w.why == TUCK__WHY_END)
		tuck__wake(s, s->main, 0);
}

static void give_back(struct tuck__sched *s, struct tuck__tasklet *t,
		      tuck_id id)
{
	tuck__ctx_retire(&s->cache, &t->ctx);
	free_extra(s, t);
	tuck__table_free(s, t, id);
}

/* The caller, which has a block, runs no more. */
static tuck__noinline void finish(struct tuck__sched *s)
{
	tuck__at_end(s);
	if (s->cache.watched)
		tuck__account(s, s->current);
}

/* The caller has ended: its successor runs, and nothing here after that. */
void tuck__task_after(void)
{
	struct tuck__sched *s = tuck__tls;
	struct tuck__tasklet *self = s->current, *next;
	struct tuck__stack *stack = self->ctx.stack;
	char *base = self->ctx.base;
	tuck_id id;

	if (tuck__unlikely(self->extra != NULL))
		finish(s);
	id = end_id(s, self);
	announce_end(s, self);
	self->w.why = TUCK__WHY_ENDING;
	next = tuck__next(s);
	give_back(s, self, id);
	s->current = next;
	s->switches++;
	tuck__ctx_leave(&s->cache, stack, base, &next->ctx, next->result);
}

void tuck_exit(void)
{
	struct tuck__sched *s = tuck__sched();

	if (s && s->current->extra && !(s->current->w.bits & TUCK__KILLED))
		s->current->extra->result = 0;
	if (s && s->current != s->main)
		tuck__raise(s);
	if (s)
		tuck__sched_run_out(s);
	pthread_exit(NULL);
}

void tuck__drop(struct tuck__sched *s, struct tuck__tasklet *t)
{
	tuck_id id;

	tuck__policy_outside(s);
	t->w.bits |= TUCK__KILLED;	/* by a post meanwhile: not twice */
	if (t->w.why != TUCK__WHY_NONE)
		tuck__unwait(s, t);
	else
		tuck__unready(s, t);
	if (tuck__waitq_granted(t))
		tuck__waitq_pass_on(t, tuck__id(t));
	id = end_id(s, t);
	announce_end(s, t);
	give_back(s, t, id);
}

int tuck_drop(tuck_id id)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck__tasklet *t;
	int r;

	TUCK__REQUIRE(s, tuck__sched_error());
	r = tuck__find_here(s, id, &t);
	if (r < 0)
		return r;
	TUCK__REQUIRE(t != s->current && t != s->main, -EINVAL);
	if (t->w.why == TUCK__WHY_JOB && !tuck__job_take_back(t))
		return -EXDEV;
	tuck__drop(s, t);
	return 0;
}

void tuck__task_drop_all(struct tuck__sched *s)
{
	uint32_t n = atomic_load(&s->table.n);
	tuck_id id;

	if (s->current != s->main) {
		tuck__tell("tasklet %lld \"%s\" called pthread_exit(): its "
			   "proc ends",
			   (long long)tuck__id(s->current),
			   tuck__name(s, s->current));
		tuck__link_init(&s->current->w.link);
		if (s->main->w.why > TUCK__WHY_ENDING)
			tuck__unwait(s, s->main);	/* others see it */
	}
	for (uint32_t i = 0; i < n; i++) {
		struct tuck__tasklet *t = tuck__table_at(s, i);

		if (atomic_load(&t->id) && t != s->main)
			tuck__drop(s, t);
	}
	if (tuck__waitq_granted(s->main))
		tuck__waitq_pass_on(s->main, s->main_id);
	id = end_id(s, s->main);
	if (s->main->extra)
		tuck__tell_end(s, s->main->extra);
	give_back(s, s->main, id);
}
