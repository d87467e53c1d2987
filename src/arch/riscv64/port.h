/* SPDX-License-Identifier: MIT */
/* The contract of arch.h for 64-bit RISC-V (psABI, LP64D). */
#ifndef TUCK__PORT_H
#define TUCK__PORT_H

#define TUCK__ARCH_ALIGN 16
#define TUCK__ARCH_FRAME 208
#define TUCK__ARCH_FIRST 208

static inline void *tuck__arch_prepare(void *base, void (*enter)(void),
				       void (*fn)(void *), void *arg,
				       void (*after)(void))
{
	uintptr_t *frame = (uintptr_t *)base - TUCK__ARCH_FIRST / 8;

	/* fcsr is 0, as at exec; so is s0: no outer frame. */
	__builtin_memset(frame, 0, TUCK__ARCH_FIRST);
	frame[0] = (uintptr_t)tuck__arch_entry + 4;
	frame[3] = (uintptr_t)enter;		/* s1 */
	frame[4] = (uintptr_t)fn;		/* s2 */
	frame[5] = (uintptr_t)arg;		/* s3 */
	frame[6] = (uintptr_t)after;		/* s4 */
	return frame;
}

static inline void tuck__arch_prepare_call(void *ret_bytes, const void *old,
					   void *sp, int (*fn)(void *),
					   void *arg)
{
	uintptr_t *frame = ret_bytes;

	__builtin_memset(frame, 0, TUCK__ARCH_FIRST);
	frame[0] = (uintptr_t)tuck__arch_interject + 4;
	frame[1] = ((const uintptr_t *)old)[1];	/* its fcsr */
	frame[3] = (uintptr_t)sp;		/* s1 */
	frame[4] = (uintptr_t)fn;		/* s2 */
	frame[5] = (uintptr_t)arg;		/* s3 */
}

/*
 * Zicfiss is enabled only where every object is marked for it, and the switch
 * is not. To ask it (ssrdp) is an illegal instruction on CPUs without Zimop.
 */
static inline bool tuck__arch_has_shadow_stack(void)
{
	return false;
}

static inline uintptr_t tuck__arch_sp(void)
{
	uintptr_t sp;

	__asm__ volatile("mv %0, sp" : "=r"(sp));
	return sp;
}

static inline void tuck__arch_relax(void)
{
	/* pause, which other CPUs take for a fence of nothing. */
	__asm__ volatile(".4byte 0x0100000f" : : : "memory");
}

#endif
