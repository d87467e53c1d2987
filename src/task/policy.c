/* SPDX-License-Identifier: MIT */
/*
 * The scheduler's side of policies. The ready ring stays the set of all who
 * are ready, in the order in which they became so; the policy holds the
 * same tasklets in an order of its own, and names the next by id.
 *
 * Invariants:
 * 1. TOLD is set in just those of the ring that the policy was told and has
 *    not given back; s->told is their number.
 * 2. Those who are TOLD are adjacent in the ring: who becomes ready is put
 *    before or behind all. So nobody needs to tell the policy at once, and
 *    the paths that make ready know nothing of it.
 * 3. With a policy each tasklet of the proc has an entity: so nothing on the
 *    way of a switch allocates.
 * 4. look_every is 0 with a policy: each switch takes the long way, each
 *    hand-over is a mere wake, and looks have a count of their own.
 *
 * Why not otherwise: told at once, a policy would cost each wake a test; a
 * ring that the policy replaces, as in Linux's classes, would make the
 * FIFO one of many and pay an indirect call at each yield. A policy that
 * gives pointers back could not be checked.
 */
#include <errno.h>
#include <string.h>

#include "task/task.h"

/* So often may the eldest be passed over before the policy is searched. */
#define PATIENCE ((uint64_t)1 << 20)

/* -- entities -- */

struct tuck_entity *tuck__entity(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct tuck__extra *extra = tuck__extra(s, t);
	struct tuck_entity *e;

	if (!extra || extra->entity)
		return extra ? extra->entity : NULL;
	e = tuck__slice_get(&s->cache.slices, sizeof(*e), &extra->entity_class);
	if (!e)
		return NULL;
	*e = (struct tuck_entity){
		.id = tuck__id(t),
		.due = TUCK_FOREVER,
		.weight = TUCK_WEIGHT_DEFAULT,
	};
	return extra->entity = e;
}

static bool priority_valid(int priority)
{
	return priority >= -TUCK_PRIORITY_MAX && priority <= TUCK_PRIORITY_MAX;
}

bool tuck__policy_valid(const struct tuck_attr *attr)
{
	return priority_valid(attr->priority) &&
	       attr->weight <= TUCK_WEIGHT_MAX && attr->due >= 0;
}

int tuck__policy_admit(struct tuck__sched *s, struct tuck__tasklet *t,
		       const struct tuck_attr *attr)
{
	struct tuck_entity *e;
	bool said = attr && (attr->priority || attr->weight || attr->due);

	if (!s->policy && !said)
		return 0;
	e = tuck__entity(s, t);
	if (!e)
		return -ENOMEM;
	if (!attr)
		return 0;
	e->priority = attr->priority;
	if (attr->weight)
		e->weight = attr->weight;
	if (attr->due)
		e->due = attr->due;
	return 0;
}

/* Invariant 3. */
static int admit_all(struct tuck__sched *s)
{
	uint32_t n = atomic_load(&s->table.n);

	for (uint32_t i = 0; i < n; i++) {
		struct tuck__tasklet *t = tuck__table_at(s, i);

		if (atomic_load(&t->id) && !tuck__entity(s, t))
			return -ENOMEM;
	}
	return 0;
}

/* What another policy left in the entities. */
static void clear_all(struct tuck__sched *s)
{
	uint32_t n = atomic_load(&s->table.n);

	for (uint32_t i = 0; i < n; i++) {
		struct tuck__tasklet *t = tuck__table_at(s, i);
		struct tuck_entity *e;

		if (!atomic_load(&t->id))
			continue;
		e = t->extra->entity;
		memset(e->links, 0, sizeof(e->links));
		memset(e->words, 0, sizeof(e->words));
	}
}

/* -- calls of the policy -- */

void tuck__policy_misbehaves(const struct tuck__sched *s)
{
	tuck__fatal("the policy \"%s\" switches, or drops a tasklet, inside "
		    "one of its functions",
		    s->asking->name);
}

/* What is to be as it was when a function of the policy returns. */
struct before {
	uint64_t switches;
	int err;
};

/* Its functions run on behalf of a tasklet, whose errno they may change. */
static struct before enter(struct tuck__sched *s, const struct tuck_policy *p)
{
	tuck__policy_outside(s);
	s->asking = p;
	return (struct before){ s->switches, errno };
}

/* Not each switch asks a policy: none does while the first one begins. */
static void leave(struct tuck__sched *s, struct before before)
{
	if (tuck__unlikely(s->switches != before.switches))
		tuck__policy_misbehaves(s);
	s->asking = NULL;
	errno = before.err;
}

static bool told(const struct tuck__link *l)
{
	return ((const struct tuck__waiter *)(const void *)l)->bits &
	       TUCK__TOLD;
}

static void tell(struct tuck__sched *s, struct tuck__tasklet *t)
{
	t->w.bits |= TUCK__TOLD;
	s->told++;
	s->policy->ready(s->policy_state, t->extra->entity);
}

static void untell(struct tuck__sched *s, struct tuck__tasklet *t)
{
	t->w.bits &= (uint8_t)~TUCK__TOLD;
	s->told--;
}

/* Of the new ones at the head of the ring, which is not empty, and its end. */
static void tell_all(struct tuck__sched *s)
{
	struct tuck__link *l;

	for (l = s->ready.next; l != &s->ready && !told(l); l = l->next)
		tell(s, tuck__tasklet_of(l));
	for (l = &s->ready; !told(l->prev); l = l->prev)
		;
	for (; l != &s->ready; l = l->next)
		tell(s, tuck__tasklet_of(l));
}

static tuck__noreturn tuck__cold void chose_nobody(const struct tuck__sched *s)
{
	const struct tuck__link *l = s->ready.next;
	const struct tuck__tasklet *t;

	while (!told(l))
		l = l->next;
	t = (const void *)l;
	tuck__fatal("the policy \"%s\" forgot tasklet %lld \"%s\", which is "
		    "ready",
		    s->policy->name, (long long)tuck__id(t), tuck__name(s, t));
}

static tuck__noreturn tuck__cold void chose_badly(struct tuck__sched *s,
						  tuck_id id)
{
	struct tuck__tasklet *t;

	if (tuck__find_here(s, id, &t) < 0)
		tuck__fatal("the policy \"%s\" chose %lld, which is no tasklet "
			    "of this proc",
			    s->policy->name, (long long)id);
	tuck__fatal("the policy \"%s\" chose tasklet %lld \"%s\", which is not "
		    "ready",
		    s->policy->name, (long long)id, tuck__name(s, t));
}

static struct tuck__tasklet *choose(struct tuck__sched *s)
{
	tuck_id id = s->policy->next(s->policy_state);
	struct tuck__tasklet *t;

	if (tuck__unlikely(!id))
		chose_nobody(s);
	if (tuck__unlikely(tuck__find_here(s, id, &t) < 0 || !told(&t->w.link)))
		chose_badly(s, id);
	untell(s, t);
	return t;
}

/*
 * A tasklet that waits for very long may be out of luck, or forgotten: take
 * all out, where a forgotten one shows, and tell of them anew.
 */
static tuck__cold void search(struct tuck__sched *s)
{
	while (s->told > 0)
		choose(s);
	tell_all(s);
}

/* The eldest of the ready is at the head of the ring. */
static void watch(struct tuck__sched *s)
{
	if (s->oldest != s->ready.next) {
		s->oldest = s->ready.next;
		s->passed_over = 0;
	} else if (tuck__unlikely(s->passed_over++ > PATIENCE + 4 * s->told)) {
		s->oldest = NULL;
		search(s);
	}
}

struct tuck__tasklet *tuck__policy_next(struct tuck__sched *s)
{
	struct before before = enter(s, s->policy);
	struct tuck__tasklet *t;

	tell_all(s);
	watch(s);
	t = choose(s);
	tuck__link_cut(&t->w.link);
	leave(s, before);
	return t;
}

void tuck__policy_forget(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct before before = enter(s, s->policy);

	untell(s, t);
	s->policy->removed(s->policy_state, t->extra->entity);
	leave(s, before);
}

/* -- which one -- */

static int begin_policy(struct tuck__sched *s, const struct tuck_policy *p,
			const void *arg, void **ret_state)
{
	struct before before;
	int r;

	if (!p || !p->init)
		return 0;
	before = enter(s, p);
	r = p->init(ret_state, arg);
	leave(s, before);
	return r > 0 ? -EINVAL : r;
}

static void end_policy(struct tuck__sched *s, const struct tuck_policy *p,
		       void *state)
{
	struct before before;

	if (!p->fini)
		return;
	before = enter(s, p);
	p->fini(state);
	leave(s, before);
}

/* The ring is as it was before there was a policy. */
void tuck__policy_fini(struct tuck__sched *s)
{
	if (!s->policy)
		return;
	for (struct tuck__link *l = s->ready.next; l != &s->ready; l = l->next)
		tuck__tasklet_of(l)->w.bits &= (uint8_t)~TUCK__TOLD;
	end_policy(s, s->policy, s->policy_state);
	s->policy = NULL;
	s->policy_state = NULL;
	s->oldest = NULL;
	s->told = 0;
}

int tuck__policy_set(struct tuck__sched *s, const struct tuck_policy *policy,
		     const void *arg)
{
	void *state = NULL;
	int r = begin_policy(s, policy, arg, &state);

	if (r < 0)
		return r;
	if (policy && admit_all(s) < 0) {
		end_policy(s, policy, state);
		return -ENOMEM;
	}
	tuck__policy_fini(s);
	if (policy)
		clear_all(s);
	s->policy = policy;
	s->policy_state = state;
	s->until_look = s->look_every = policy ? 0 : TUCK__LOOK_EVERY;
	s->until_policy_look = TUCK__LOOK_EVERY;
	return 0;
}

static bool usable(const struct tuck_policy *p)
{
	return !p || (p->name && p->ready && p->next && p->removed);
}

int tuck_policy_set(const struct tuck_policy *policy, const void *arg)
{
	struct tuck__sched *s = tuck__sched();

	TUCK__REQUIRE(usable(policy), -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	TUCK__REQUIRE(!s->asking, -EBUSY);
	return tuck__policy_set(s, policy, arg);
}

/* -- attributes -- */

/* The policy sees a change as if the tasklet had become ready after it. */
struct change {
	struct tuck__sched *s;
	struct tuck__tasklet *t;
	struct tuck_entity *e;
	bool told;
};

static int begin(tuck_id id, struct change *c)
{
	int r;

	c->s = tuck__sched();
	TUCK__REQUIRE(c->s, tuck__sched_error());
	TUCK__REQUIRE(!c->s->asking, -EBUSY);
	r = tuck__find_here(c->s, id, &c->t);
	if (r < 0)
		return r;
	c->e = tuck__entity(c->s, c->t);
	if (!c->e)
		return -ENOMEM;
	c->told = told(&c->t->w.link);
	if (c->told)
		tuck__policy_forget(c->s, c->t);
	return 0;
}

static void end(const struct change *c)
{
	struct before before;

	if (!c->told)
		return;
	before = enter(c->s, c->s->policy);
	tell(c->s, c->t);
	leave(c->s, before);
}

int tuck_priority_set(tuck_id id, int priority)
{
	struct change c;
	int r;

	TUCK__REQUIRE(priority_valid(priority), -EINVAL);
	r = begin(id, &c);
	if (r < 0)
		return r;
	c.e->priority = priority;
	end(&c);
	return 0;
}

int tuck_weight_set(tuck_id id, uint32_t weight)
{
	struct change c;
	int r;

	TUCK__REQUIRE(weight > 0 && weight <= TUCK_WEIGHT_MAX, -EINVAL);
	r = begin(id, &c);
	if (r < 0)
		return r;
	c.e->weight = weight;
	end(&c);
	return 0;
}

int tuck_due_set(tuck_id id, tuck_ns due)
{
	struct change c;
	int r;

	TUCK__REQUIRE(due > 0, -EINVAL);
	r = begin(id, &c);
	if (r < 0)
		return r;
	c.e->due = due;
	end(&c);
	return 0;
}
