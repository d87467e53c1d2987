/* SPDX-License-Identifier: MIT */
/* s390x's floating-point control beyond C's; see tests/torture.h. */

/* A caller keeps so much for its callees, who are suspended there. */
#define CALLEE_AREA 160

/* Rounding of binary and of decimal numbers. */
static inline uint32_t get_control(void)
{
	uint32_t fpc;

	__asm__ volatile("efpc %0" : "=r"(fpc));
	return fpc & 0x73;
}

static inline uint32_t set_control(uint32_t random)
{
	uint32_t fpc;

	__asm__ volatile("efpc %0" : "=r"(fpc));
	fpc &= ~0x70u;
	fpc |= (random & 1) << 4 | (random >> 6 & 1) << 5 |
	       (random >> 15 & 1) << 6;
	__asm__ volatile("sfpc %0" : : "r"(fpc));
	return get_control();
}
