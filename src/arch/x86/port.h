/* SPDX-License-Identifier: MIT */
/* The contract of arch.h for i386 (System V ABI). */
#ifndef TUCK__PORT_H
#define TUCK__PORT_H

#define TUCK__ARCH_ALIGN 16
#define TUCK__ARCH_FRAME 32
#define TUCK__ARCH_FIRST 48

static inline void *tuck__arch_prepare(void *base, void (*enter)(void),
				       void (*fn)(void *), void *arg,
				       void (*after)(void))
{
	uintptr_t *frame = (uintptr_t *)base - TUCK__ARCH_FIRST / 4;

	frame[0] = 0x1f80;		/* MXCSR, as at exec */
	frame[1] = 0x037f;		/* x87 control word, as at exec */
	frame[2] = 0;
	frame[3] = (uintptr_t)after;	/* edi */
	frame[4] = (uintptr_t)arg;	/* esi */
	frame[5] = (uintptr_t)fn;	/* ebx */
	frame[6] = 0;			/* ebp: no outer frame */
	frame[7] = (uintptr_t)tuck__arch_entry + 1;
	frame[8] = (uintptr_t)enter;	/* where entry's stack pointer is */
	frame[9] = 0;
	frame[10] = 0;
	frame[11] = 0;
	return frame;
}

static inline void tuck__arch_prepare_call(void *ret_bytes, const void *old,
					   void *sp, int (*fn)(void *),
					   void *arg)
{
	uintptr_t *frame = ret_bytes;

	__builtin_memset(frame, 0, TUCK__ARCH_FIRST);
	__builtin_memcpy(frame, old, 8);	/* its control words */
	frame[3] = (uintptr_t)fn;		/* edi */
	frame[4] = (uintptr_t)arg;		/* esi */
	frame[5] = (uintptr_t)sp;		/* ebx */
	frame[7] = (uintptr_t)tuck__arch_interject + 1;
}

static inline bool tuck__arch_has_shadow_stack(void)
{
	uint32_t ssp = 0;

	/* rdsspd: without a shadow stack it is a no-op. */
	__asm__ volatile("rdsspd %0" : "+r"(ssp));
	return ssp != 0;
}

static inline uintptr_t tuck__arch_sp(void)
{
	uintptr_t sp;

	__asm__ volatile("movl %%esp, %0" : "=r"(sp));
	return sp;
}

static inline void tuck__arch_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

#endif
