/* SPDX-License-Identifier: MIT */
/*
 * Intrusive circular list. A link that is in no list points to itself, so
 * taking it out is always allowed.
 */
#ifndef TUCK__LIST_H
#define TUCK__LIST_H

#include <stdbool.h>
#include <stddef.h>

struct tuck__link {
	struct tuck__link *next, *prev;
};

static inline void tuck__link_init(struct tuck__link *l)
{
	l->next = l->prev = l;
}

static inline bool tuck__list_empty(const struct tuck__link *head)
{
	return head->next == head;
}

/* Put l before where: at the end, if where is the list's head. */
static inline void tuck__link_before(struct tuck__link *where,
				     struct tuck__link *l)
{
	l->prev = where->prev;
	l->next = where;
	where->prev->next = l;
	where->prev = l;
}

/* Take l out and leave its own pointers stale: for one that moves at once. */
static inline void tuck__link_cut(struct tuck__link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
}

static inline void tuck__link_remove(struct tuck__link *l)
{
	tuck__link_cut(l);
	tuck__link_init(l);
}

#endif
