/* SPDX-License-Identifier: MIT */
/* The contract of arch.h for 64-bit ARM (AAPCS64). */
#ifndef TUCK__PORT_H
#define TUCK__PORT_H

#define TUCK__ARCH_ALIGN 16
#define TUCK__ARCH_FRAME 176
#define TUCK__ARCH_FIRST 176

static inline void *tuck__arch_prepare(void *base, void (*enter)(void),
				       void (*fn)(void *), void *arg,
				       void (*after)(void))
{
	uintptr_t *frame = (uintptr_t *)base - TUCK__ARCH_FIRST / 8;

	__builtin_memset(frame, 0, TUCK__ARCH_FIRST);	/* FPCR, as at exec */
	frame[1] = (uintptr_t)tuck__arch_entry + 4;		/* x30 */
	frame[2] = (uintptr_t)enter;			/* x19 */
	frame[3] = (uintptr_t)fn;			/* x20 */
	frame[4] = (uintptr_t)arg;			/* x21 */
	frame[5] = (uintptr_t)after;			/* x22 */
	return frame;
}

static inline void tuck__arch_prepare_call(void *ret_bytes, const void *old,
					   void *sp, int (*fn)(void *),
					   void *arg)
{
	uintptr_t *frame = ret_bytes;

	__builtin_memset(frame, 0, TUCK__ARCH_FIRST);
	frame[0] = (uintptr_t)sp;		/* x29: its frame record */
	frame[1] = (uintptr_t)tuck__arch_interject + 4;	/* x30 */
	frame[2] = (uintptr_t)sp;		/* x19 */
	frame[3] = (uintptr_t)fn;		/* x20 */
	frame[4] = (uintptr_t)arg;		/* x21 */
	frame[20] = ((const uintptr_t *)old)[20];	/* FPCR */
}

/* That would be a guarded control stack. */
static inline bool tuck__arch_has_shadow_stack(void)
{
	register uint64_t off __asm__("x16") = 1;

	/* chkfeat x16: it clears a bit; without the feature it is a no-op. */
	__asm__ volatile("hint #40" : "+r"(off));
	return !off;
}

static inline uintptr_t tuck__arch_sp(void)
{
	uintptr_t sp;

	__asm__ volatile("mov %0, sp" : "=r"(sp));
	return sp;
}

static inline void tuck__arch_relax(void)
{
	/* yield does nothing on most. */
	__asm__ volatile("isb" : : : "memory");
}

#endif
