/* SPDX-License-Identifier: MIT */
/* x86-64's floating-point control beyond C's; see tests/torture.h. */

/* Rounding, flush to zero, denormals are zero of MXCSR; x87's precision. */
static inline uint32_t get_control(void)
{
	uint32_t mxcsr = 0;	/* MemorySanitizer does not know that */
	uint16_t x87 = 0;	/* assembly writes them */

	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "+m"(mxcsr), "+m"(x87));
	return (mxcsr & 0xe040) | (uint32_t)(x87 & 0x300) << 16;
}

static inline uint32_t set_control(uint32_t random)
{
	uint32_t mxcsr = 0;	/* MemorySanitizer does not know that */
	uint16_t x87 = 0;	/* assembly writes them */

	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "+m"(mxcsr), "+m"(x87));
	mxcsr = (mxcsr & ~0x8040u) | (random & 0x8040);
	x87 = (uint16_t)((x87 & ~0x300) | (random & 1 ? 0x300 : 0x200));
	__asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(x87));
	return get_control();
}
