/* SPDX-License-Identifier: MIT */
/* The contract of arch.h for 64-bit POWER (ELFv2, little-endian). */
#ifndef TUCK__PORT_H
#define TUCK__PORT_H

#if !defined(_CALL_ELF) || _CALL_ELF != 2 || !defined(__LITTLE_ENDIAN__)
#error "this port is for the little-endian ELFv2 ABI"
#endif

#define TUCK__ARCH_ALIGN 16
#define TUCK__ARCH_FRAME 528

/* With the entry's linkage area, where callees keep their return address. */
#define TUCK__ARCH_FIRST (TUCK__ARCH_FRAME + 32)

static inline void *tuck__arch_prepare(void *base, void (*enter)(void),
				       void (*fn)(void *), void *arg,
				       void (*after)(void))
{
	uintptr_t *frame = (uintptr_t *)base - TUCK__ARCH_FIRST / 8;

	/* FPSCR is 0, as at exec; so is the back chain: no outer frame. */
	__builtin_memset(frame, 0, TUCK__ARCH_FIRST);
	frame[2] = (uintptr_t)tuck__arch_entry + 4;
	frame[6] = (uintptr_t)enter;		/* r14 */
	frame[7] = (uintptr_t)fn;		/* r15 */
	frame[8] = (uintptr_t)arg;		/* r16 */
	frame[9] = (uintptr_t)after;		/* r17 */
	return frame;
}

static inline void tuck__arch_prepare_call(void *ret_bytes, const void *old,
					   void *sp, int (*fn)(void *),
					   void *arg)
{
	const uintptr_t *suspended = old;
	uintptr_t *frame = ret_bytes;

	__builtin_memset(frame, 0, TUCK__ARCH_FIRST);
	frame[2] = (uintptr_t)tuck__arch_interject + 4;
	frame[3] = suspended[3];		/* its TOC */
	frame[4] = suspended[4];		/* its FPSCR */
	frame[6] = (uintptr_t)sp;		/* r14 */
	frame[7] = (uintptr_t)fn;		/* r15 */
	frame[8] = (uintptr_t)arg;		/* r16 */
	frame[TUCK__ARCH_FRAME / 8] =		/* its caller's frame */
		(uintptr_t)sp + TUCK__ARCH_FRAME;
}

static inline bool tuck__arch_has_shadow_stack(void)
{
	return false;
}

static inline uintptr_t tuck__arch_sp(void)
{
	uintptr_t sp;

	__asm__ volatile("mr %0, 1" : "=r"(sp));
	return sp;
}

static inline void tuck__arch_relax(void)
{
	/* yield */
	__asm__ volatile("or 27, 27, 27" : : : "memory");
}

#endif
