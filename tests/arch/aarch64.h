/* SPDX-License-Identifier: MIT */
/* 64-bit ARM's floating-point control beyond C's; see tests/torture.h. */

/* Rounding, flush to zero, default NaN, alternative half-precision. */
static inline uint32_t get_control(void)
{
	uint64_t fpcr;

	__asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
	return fpcr & 0x7c00000;
}

static inline uint32_t set_control(uint32_t random)
{
	uint64_t fpcr;

	__asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
	fpcr &= ~UINT64_C(0x7000000);
	fpcr |= (random & 1) << 24 | (random >> 6 & 1) << 25 |
		(random >> 15 & 1) << 26;
	__asm__ volatile("msr fpcr, %0" : : "r"(fpcr));
	return get_control();
}
