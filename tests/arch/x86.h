/* SPDX-License-Identifier: MIT */
/* i386's floating-point control beyond C's; see tests/torture.h. */

/* Whether the CPU has an MXCSR. */
static inline int has_sse(void)
{
	return __builtin_cpu_supports("sse") != 0;
}

static inline uint32_t get_mxcsr(void)
{
	uint32_t mxcsr = 0x1f80;

	if (has_sse())
		__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	return mxcsr;
}

/* Rounding, flush to zero of MXCSR; x87's precision. */
static inline uint32_t get_control(void)
{
	uint16_t x87;

	__asm__ volatile("fnstcw %0" : "=m"(x87));
	return (get_mxcsr() & 0xe000) | (uint32_t)(x87 & 0x300) << 16;
}

static inline uint32_t set_control(uint32_t random)
{
	uint32_t mxcsr = (get_mxcsr() & ~0x8000u) | (random & 0x8000);
	uint16_t x87;

	if (has_sse())
		__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(x87));
	x87 = (uint16_t)((x87 & ~0x300) | (random & 1 ? 0x200 : 0x300));
	__asm__ volatile("fldcw %0" : : "m"(x87));
	return get_control();
}
