/* SPDX-License-Identifier: MIT */
/* Bytes of the program's that travel with contexts: context slots. */
#ifndef TUCK__CARRY_H
#define TUCK__CARRY_H

#include <stddef.h>
#include <stdint.h>

#define TUCK__CARRY_MAX	256u

struct tuck__carried {
	char bytes[TUCK__CARRY_MAX];
};

extern size_t tuck__carry_total;

/* How many bytes travel. */
static inline size_t tuck__carry_bytes(void)
{
	return tuck__carry_total;
}

/* Keep the thread's bytes, unless kept is NULL, and set the initial ones. */
void tuck__carry_out(struct tuck__carried *kept);
void tuck__carry_in(struct tuck__carried *kept);

/* From now on none can be added. */
void tuck__carry_freeze(void);

#endif
