/* SPDX-License-Identifier: MIT */
/* POWER's floating-point control beyond C's; see tests/torture.h. */

union fpscr {
	double d;
	uint64_t u;
};

/* FPSCR: the modes of decimal rounding, of binary rounding. */
static inline uint32_t get_control(void)
{
	union fpscr r;

	__asm__ volatile("mffs %0" : "=d"(r.d));
	return (uint32_t)(r.u >> 32 << 8 | (r.u & 3));
}

static inline uint32_t set_control(uint32_t random)
{
	uint64_t decimal = random & 1;
	union fpscr r;

	decimal |= random >> 5 & 2;
	decimal |= random >> 13 & 4;
	__asm__ volatile("mffs %0" : "=d"(r.d));
	r.u = decimal << 32 | (uint32_t)r.u;
	__asm__ volatile("mtfsf 255, %0, 1, 0" : : "d"(r.d));
	return get_control();
}
