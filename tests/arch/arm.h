/* SPDX-License-Identifier: MIT */
/* ARM's floating-point control beyond C's; see tests/torture.h. */

/* Rounding, flush to zero, default NaN, alternative half-precision. */
static inline uint32_t get_control(void)
{
	uint32_t fpscr;

	__asm__ volatile("vmrs %0, fpscr" : "=r"(fpscr));
	return fpscr & 0x07c00000;
}

/* Flush to zero, default NaN, alternative half-precision. */
static inline uint32_t set_control(uint32_t random)
{
	uint32_t fpscr;

	__asm__ volatile("vmrs %0, fpscr" : "=r"(fpscr));
	fpscr &= ~0x07000000u;
	fpscr |= (random & 1) << 24 | (random >> 6 & 1) << 25 |
		 (random >> 15 & 1) << 26;
	__asm__ volatile("vmsr fpscr, %0" : : "r"(fpscr));
	return get_control();
}
