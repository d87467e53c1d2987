/* SPDX-License-Identifier: MIT */
/* RISC-V has no floating-point control beyond C's; see tests/torture.h. */

static inline uint32_t get_control(void)
{
	uint32_t mode;

	__asm__ volatile("frrm %0" : "=r"(mode));
	return mode;
}

static inline uint32_t set_control(uint32_t random)
{
	(void)random;
	return get_control();
}
