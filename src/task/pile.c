/* SPDX-License-Identifier: MIT */
/*
 * A pairing heap (Fredman, Sedgewick, Sleator and Tarjan, 1986).
 *
 * Invariants:
 * 1. No entity comes before the one above it.
 * 2. PREV of a first child is the entity above it, of another child the one
 *    left of it; of the first of all it is NULL, and so is NEXT.
 *
 * Why not otherwise: the timers' heap is an array, which has to grow just
 * when somebody becomes ready, where nobody can be told that there is no
 * memory. A bitmap of priorities has no place for ages.
 */
#include <stddef.h>

#include "task/pile.h"

#define CHILD	links[0]
#define NEXT	links[1]
#define PREV	links[2]
#define KEY	words[0]
#define SEQ	words[1]

static int before(const struct tuck_entity *a, const struct tuck_entity *b)
{
	if (a->KEY != b->KEY)
		return (int64_t)(a->KEY - b->KEY) < 0;
	return (int64_t)(a->SEQ - b->SEQ) < 0;
}

/* Two heaps made one, either of which may be empty. */
static struct tuck_entity *meld(struct tuck_entity *a, struct tuck_entity *b)
{
	struct tuck_entity *top;

	if (!a || !b)
		return a ? a : b;
	top = before(b, a) ? b : a;
	b = top == a ? b : a;
	b->PREV = top;
	b->NEXT = top->CHILD;
	if (b->NEXT)
		b->NEXT->PREV = b;
	top->CHILD = b;
	return top;
}

/* Siblings made one heap: two by two, then all, the last pair first. */
static struct tuck_entity *merge(struct tuck_entity *e)
{
	struct tuck_entity *pairs = NULL, *all = NULL, *a, *b;

	while (e) {
		a = e;
		b = a->NEXT;
		e = b ? b->NEXT : NULL;
		a = meld(a, b);
		a->NEXT = pairs;
		pairs = a;
	}
	while (pairs) {
		a = pairs;
		pairs = a->NEXT;
		all = meld(a, all);
	}
	return all;
}

static void make_first(struct tuck__pile *p, struct tuck_entity *e)
{
	p->first = e;
	if (e)
		e->NEXT = e->PREV = NULL;
}

void tuck__pile_add(struct tuck__pile *p, struct tuck_entity *e, uint64_t key)
{
	e->KEY = key;
	e->SEQ = p->seq++;
	e->CHILD = NULL;
	make_first(p, meld(p->first, e));
}

void tuck__pile_remove(struct tuck__pile *p, struct tuck_entity *e)
{
	struct tuck_entity *below = merge(e->CHILD);

	if (e == p->first) {
		make_first(p, below);
		return;
	}
	if (e->PREV->CHILD == e)
		e->PREV->CHILD = e->NEXT;
	else
		e->PREV->NEXT = e->NEXT;
	if (e->NEXT)
		e->NEXT->PREV = e->PREV;
	make_first(p, meld(p->first, below));
}
