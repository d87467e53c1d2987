/* SPDX-License-Identifier: MIT */
/* The contract of arch.h for s390x (ELF ABI). */
#ifndef TUCK__PORT_H
#define TUCK__PORT_H

#define TUCK__ARCH_ALIGN 8
#define TUCK__ARCH_FRAME 160
#define TUCK__ARCH_FIRST 160

static inline void *tuck__arch_prepare(void *base, void (*enter)(void),
				       void (*fn)(void *), void *arg,
				       void (*after)(void))
{
	uintptr_t *frame = (uintptr_t *)base - TUCK__ARCH_FIRST / 8;

	/* No back chain, and floating-point control as at exec. */
	__builtin_memset(frame, 0, TUCK__ARCH_FIRST);
	frame[6] = (uintptr_t)enter;		/* r6 */
	frame[7] = (uintptr_t)fn;		/* r7 */
	frame[8] = (uintptr_t)arg;		/* r8 */
	frame[9] = (uintptr_t)after;		/* r9 */
	frame[14] = (uintptr_t)tuck__arch_entry + 2;	/* r14 */
	return frame;
}

static inline void tuck__arch_prepare_call(void *ret_bytes, const void *old,
					   void *sp, int (*fn)(void *),
					   void *arg)
{
	uintptr_t *frame = ret_bytes;

	__builtin_memset(frame, 0, TUCK__ARCH_FIRST);
	frame[0] = (uintptr_t)sp;		/* back chain */
	frame[7] = (uintptr_t)fn;		/* r7 */
	frame[8] = (uintptr_t)arg;		/* r8 */
	frame[11] = (uintptr_t)sp;		/* r11 */
	frame[14] = (uintptr_t)tuck__arch_interject + 2;	/* r14 */
	frame[15] = ((const uintptr_t *)old)[15];	/* control */
}

static inline bool tuck__arch_has_shadow_stack(void)
{
	return false;	/* the architecture has no such thing */
}

static inline uintptr_t tuck__arch_sp(void)
{
	uintptr_t sp;

	__asm__ volatile("lgr %0, %%r15" : "=r"(sp));
	return sp;
}

static inline void tuck__arch_relax(void)
{
	/* It has none. */
	__asm__ volatile("" : : : "memory");
}

#endif
