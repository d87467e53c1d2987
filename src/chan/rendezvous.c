/* SPDX-License-Identifier: MIT */
/*
 * Rendezvous, after Plan 9: two tasklets that name the same tag meet and swap
 * values. Who comes first waits in a bucket of a hash of tags, by a block as
 * at a shared channel (shared_wait.c); all procs meet in the same buckets, for
 * those who meet know of no proc.
 */
#include <stdio.h>

#include "base/fork.h"
#include "chan/chan.h"
#include "task/waitq.h"

#define BUCKETS 64u

static struct bucket {
	_Alignas(64) atomic_int lock;
	struct tuck__link first;	/* set up when it is first needed */
} buckets[BUCKETS];

struct meeting {
	struct tuck__far far;
	struct tuck__link link;		/* under the bucket's lock */
	struct bucket *bucket;
	const void *tag;
	void *value;			/* then the other one's, */
	void **ret_value;		/* for here */
	tuck_id id;
	uint32_t slice_class;
};

static struct bucket *bucket_of(const void *tag)
{
	uint64_t hash = (uint64_t)(uintptr_t)tag * 0x9e3779b97f4a7c15;

	return &buckets[hash >> 58];
}

_Static_assert(BUCKETS == 1u << (64 - 58), "as many as the hash tells apart");

/* Its bucket's lock ends the race with who comes to meet it. */
static void meeting_over(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct meeting *m = t->what;

	tuck__spin_lock(&m->bucket->lock);
	tuck__link_remove(&m->link);
	tuck__spin_unlock(&m->bucket->lock);
	if (m->far.state == TUCK__FAR_OVER) {
		if (m->ret_value)
			tuck__elem_give(t, m->ret_value, &m->value,
					sizeof(m->value));
		t->result = 0;
	}
	tuck__slice_put(&s->cache.slices, m, m->slice_class);
}

static void meeting_text(const struct tuck__far *far, char *text, size_t n)
{
	const struct meeting *m = tuck__container(far, struct meeting, far);

	snprintf(text, n, " of tag %p", m->tag);
}

static const struct tuck__far_kind kind = { meeting_over, meeting_text };

/* Locked: the one who came first to a tag, and is not met yet. */
static struct meeting *find(struct bucket *b, const void *tag)
{
	if (!b->first.next)
		tuck__link_init(&b->first);
	for (struct tuck__link *l = b->first.next; l != &b->first;
	     l = l->next) {
		struct meeting *m = tuck__container(l, struct meeting, link);

		if (m->tag == tag)
			return m;
	}
	return NULL;
}

/* Locked: swap values with the one who waits; whom to wake, or 0. */
static tuck_id swap(struct bucket *b, const void *tag, void *value,
		    void **ret_value)
{
	struct meeting *m = find(b, tag);
	tuck_id id = m ? m->id : 0;
	void *theirs;

	if (!m)
		return 0;
	theirs = m->value;
	tuck__link_remove(&m->link);
	m->value = value;
	m->far.state = TUCK__FAR_OVER;
	if (ret_value)
		*ret_value = theirs;
	return id;
}

static struct meeting *meeting_new(struct tuck__sched *s, const void *tag,
				   void *value, void **ret_value)
{
	struct meeting *m;
	uint32_t cls;

	m = tuck__slice_get(&s->cache.slices, sizeof(*m), &cls);
	if (!m)
		return NULL;
	*m = (struct meeting){ .far = { TUCK__FAR_WAITS, &kind },
			       .bucket = bucket_of(tag),
			       .tag = tag,
			       .value = value,
			       .ret_value = ret_value,
			       .id = tuck__id(s->current),
			       .slice_class = cls };
	return m;
}

/* Whom to wake; or 0, and m is in the bucket, if there is one. */
static tuck_id swap_or_enter(struct bucket *b, const void *tag, void *value,
			     void **ret_value, struct meeting *m)
{
	tuck_id id;

	tuck__spin_lock(&b->lock);
	id = swap(b, tag, value, ret_value);
	if (!id && m)
		tuck__link_before(&b->first, &m->link);
	tuck__spin_unlock(&b->lock);
	return id;
}

/* Nobody was there. */
static int come_first(struct tuck__sched *s, struct bucket *b, const void *tag,
		      void *value, void **ret_value, tuck_ns deadline)
{
	struct meeting *m;
	tuck_id id;
	int r = tuck__far_begin(s, deadline);

	if (r < 0)
		return r;
	m = meeting_new(s, tag, value, ret_value);
	id = m ? swap_or_enter(b, tag, value, ret_value, m) : 0;
	if (m && !id) {
		tuck__wait_for(s, TUCK__WHY_RENDEZVOUS, m);
		return tuck__park(s);
	}
	tuck__far_undo(s);
	if (!m)
		return -ENOMEM;
	tuck__slice_put(&s->cache.slices, m, m->slice_class);
	tuck__far_wake(id);
	return 0;
}

/* -- fork -- */

static void lock_all(void)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		tuck__spin_lock(&buckets[i].lock);
}

static void unlock_all(void)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		tuck__spin_unlock(&buckets[i].lock);
}

/* Nobody is to meet those who are gone. */
static void forget_lost(struct bucket *b)
{
	struct tuck__sched *home;
	struct tuck__link *l, *next;

	for (l = b->first.next; l && l != &b->first; l = next) {
		struct meeting *m = tuck__container(l, struct meeting, link);

		next = l->next;
		if (!tuck__find(m->id, &home))
			tuck__link_remove(l);
	}
}

static void in_child(void)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		forget_lost(&buckets[i]);
}

TUCK__AT_FORK(TUCK__FORK_RENDEZVOUS, lock_all, unlock_all, in_child)

/* -- the call -- */

int tuck_rendezvous(const void *tag, void *value, void **ret_value,
		    tuck_ns deadline)
{
	struct tuck__sched *s = tuck__sched();
	struct bucket *b = bucket_of(tag);
	tuck_id id;

	TUCK__REQUIRE(deadline >= 0, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	id = swap_or_enter(b, tag, value, ret_value, NULL);
	if (id)
		tuck__far_wake(id);
	else if (deadline == TUCK_NOWAIT)
		return -EAGAIN;
	else
		return come_first(s, b, tag, value, ret_value, deadline);
	return 0;
}
