/* SPDX-License-Identifier: MIT */
/*
 * Entities ordered by a key and, where that is equal, by when they came: a
 * pairing heap in their own links, so that nothing can fail.
 */
#ifndef TUCK__PILE_H
#define TUCK__PILE_H

#include <tuck/policy.h>

struct tuck__pile {
	struct tuck_entity *first;	/* of the least key; NULL: empty */
	uint64_t seq;
};

/* Keys may wrap around: of two, at most 2^63 - 1 apart, one is less. */
void tuck__pile_add(struct tuck__pile *p, struct tuck_entity *e, uint64_t key);
void tuck__pile_remove(struct tuck__pile *p, struct tuck_entity *e);

/* The key that e was last added with; 0 if it never was. */
static inline uint64_t tuck__pile_key(const struct tuck_entity *e)
{
	return e->words[0];
}

/* Of one that is in no pile. */
static inline void tuck__pile_set_key(struct tuck_entity *e, uint64_t key)
{
	e->words[0] = key;
}

#endif
