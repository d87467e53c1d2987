/* SPDX-License-Identifier: MIT */
/* The contract of arch.h for x86-64 (System V ABI). */
#ifndef TUCK__PORT_H
#define TUCK__PORT_H

#define TUCK__ARCH_ALIGN 16
#define TUCK__ARCH_FRAME 64
#define TUCK__ARCH_FIRST 80

static inline void *tuck__arch_prepare(void *base, void (*enter)(void),
				       void (*fn)(void *), void *arg,
				       void (*after)(void))
{
	uintptr_t *frame = (uintptr_t *)base - TUCK__ARCH_FIRST / 8;

	frame[0] = 0x037f00001f80;	/* x87 and MXCSR control, as at exec */
	frame[1] = (uintptr_t)enter;	/* r15 */
	frame[2] = (uintptr_t)after;	/* r14 */
	frame[3] = (uintptr_t)arg;	/* r13 */
	frame[4] = (uintptr_t)fn;	/* r12 */
	frame[5] = 0;			/* rbx */
	frame[6] = 0;			/* rbp: no outer frame */
	frame[7] = (uintptr_t)tuck__arch_entry + 1;
	frame[8] = 0;
	frame[9] = 0;
	return frame;
}

static inline void tuck__arch_prepare_call(void *ret_bytes, const void *old,
					   void *sp, int (*fn)(void *),
					   void *arg)
{
	uintptr_t *frame = ret_bytes;

	__builtin_memset(frame, 0, TUCK__ARCH_FIRST);
	frame[0] = *(const uintptr_t *)old;	/* its control words */
	frame[3] = (uintptr_t)arg;		/* r13 */
	frame[4] = (uintptr_t)fn;		/* r12 */
	frame[5] = (uintptr_t)sp;		/* rbx */
	frame[7] = (uintptr_t)tuck__arch_interject + 1;
}

static inline bool tuck__arch_has_shadow_stack(void)
{
	uint64_t ssp = 0;

	/* rdsspq: without a shadow stack it is a no-op. */
	__asm__ volatile("rdsspq %0" : "+r"(ssp));
	return ssp != 0;
}

static inline uintptr_t tuck__arch_sp(void)
{
	uintptr_t sp;

	__asm__ volatile("movq %%rsp, %0" : "=r"(sp));
	return sp;
}

static inline void tuck__arch_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

#endif
