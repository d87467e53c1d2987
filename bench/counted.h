/* SPDX-License-Identifier: MIT */
/* Works that never yield. */
#ifndef COUNTED_H
#define COUNTED_H

#include <stdint.h>

struct work {
	const char *name;
	uint64_t (*fn)(void);
};

enum { WORKS = 5 };

extern const struct work works[WORKS];

#endif
