/* SPDX-License-Identifier: MIT */
/* The contract of arch.h for 32-bit ARM (AAPCS, hard-float). */
#ifndef TUCK__PORT_H
#define TUCK__PORT_H

#define TUCK__ARCH_ALIGN 8
#define TUCK__ARCH_FRAME 104

/* With zeros where unwinders look for the outermost return address. */
#define TUCK__ARCH_FIRST 112

static inline void *tuck__arch_prepare(void *base, void (*enter)(void),
				       void (*fn)(void *), void *arg,
				       void (*after)(void))
{
	uintptr_t *frame = (uintptr_t *)base - TUCK__ARCH_FIRST / 4;

	__builtin_memset(frame, 0, TUCK__ARCH_FIRST);	/* FPSCR, as at exec */
	frame[16] = (uintptr_t)enter;	/* r4 */
	frame[17] = (uintptr_t)after;	/* r5 */
	frame[18] = (uintptr_t)arg;	/* r6 */
	frame[19] = (uintptr_t)fn;	/* r7 */
	frame[25] = (uintptr_t)tuck__arch_entry + 4;
	return frame;
}

static inline void tuck__arch_prepare_call(void *ret_bytes, const void *old,
					   void *sp, int (*fn)(void *),
					   void *arg)
{
	uintptr_t *frame = ret_bytes;

	__builtin_memset(frame, 0, TUCK__ARCH_FIRST);
	frame[16] = (uintptr_t)fn;		/* r4 */
	frame[17] = (uintptr_t)arg;		/* r5 */
	frame[18] = (uintptr_t)sp;		/* r6 */
	frame[24] = ((const uintptr_t *)old)[24];	/* its FPSCR */
	frame[25] = (uintptr_t)tuck__arch_interject + 4;
}

static inline bool tuck__arch_has_shadow_stack(void)
{
	return false;
}

static inline uintptr_t tuck__arch_sp(void)
{
	uintptr_t sp;

	__asm__ volatile("mov %0, sp" : "=r"(sp));
	return sp;
}

static inline void tuck__arch_relax(void)
{
	__asm__ volatile("yield" : : : "memory");
}

#endif
