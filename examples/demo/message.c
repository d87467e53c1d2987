/* SPDX-License-Identifier: MIT */
/* What the demo's client sends: other bytes on each connection each time. */
#include <string.h>

#include "load.h"

/* Sebastiano Vigna's splitmix64: all bits of x bear on all of the result. */
static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

uint64_t message_seed(long conn, int number)
{
	return mix((uint64_t)conn << 16 | (unsigned)number);
}

size_t message_bytes(uint64_t seed)
{
	if (seed % 16)
		return MESSAGE_BYTES;
	return MESSAGE_BYTES + seed / 16 % (MESSAGE_MAX - MESSAGE_BYTES + 1);
}

void message_fill(char *buf, size_t n, uint64_t seed, size_t from)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = from + i;

		buf[i] = (char)(mix(seed + at / 8) >> at % 8 * 8);
	}
}

bool message_matches(const char *buf, size_t n, uint64_t seed, size_t from)
{
	char expected[PIECE];

	message_fill(expected, n, seed, from);
	return memcmp(buf, expected, n) == 0;
}
