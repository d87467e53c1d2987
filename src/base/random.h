/* SPDX-License-Identifier: MIT */
/* Random numbers that are no secret: xorshift64*, Vigna 2016. */
#ifndef TUCK__RANDOM_H
#define TUCK__RANDOM_H

#include <stdint.h>

/* The next of a sequence; its state is not 0. */
static inline uint64_t tuck__random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1d;
}

/* The state that begins the sequence of a seed. */
static inline uint64_t tuck__random_from(uint64_t seed)
{
	return seed * 0x9e3779b97f4a7c15 + 1;
}

#endif
