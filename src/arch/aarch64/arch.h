/* SPDX-License-Identifier: MIT */
/*
 * The contract of an architecture, here 64-bit ARM (AAPCS64). Every port is
 * a folder with the same files and the same names; nothing else in the
 * library knows registers.
 */
#ifndef TUCK__ARCH_H
#define TUCK__ARCH_H

#include <stdbool.h>
#include <stdint.h>

/* Alignment of a stack pointer at a call. */
#define TUCK__ARCH_ALIGN 16

/*
 * Bytes that a suspended context's registers take, from its stack pointer
 * up. They hold no address of their own place, so they may be kept elsewhere
 * and put back.
 */
#define TUCK__ARCH_FRAME 176

/* Bytes that tuck__arch_prepare() lays below a base. */
#define TUCK__ARCH_FIRST 176

/* Where a switch goes on, and what it returns there. */
struct tuck__landing {
	void *sp;
	int value;
};

typedef struct tuck__landing tuck__arch_fn(void *a, void *b);

/*
 * Push what the ABI says a call preserves, store the stack pointer in
 * *ret_sp, take the stack pointer sp, pop and return value there.
 */
int tuck__arch_switch(void **ret_sp, void *sp, int value);

/*
 * The same, but in between call via(a, b) on this stack below both the saved
 * stack pointer and low, so that it may overwrite anything above; its answer
 * says where to go on, and with which value.
 */
int tuck__arch_switch_via(void **ret_sp, void *low, tuck__arch_fn *via, void *a,
			  void *b);

/*
 * Where the first frame starts, past its nop: unwinders look for a caller
 * before where it goes on. Never called.
 */
void tuck__arch_entry(void);

/*
 * Lay a first frame below base, which is aligned, and return the stack
 * pointer for it: it calls enter() if that is not null, then fn(arg), then
 * after(), which must not return.
 */
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

/* The same for a call that tuck__arch_prepare_call() lays. */
void tuck__arch_interject(void);

/*
 * Write the TUCK__ARCH_FIRST bytes that, put below the suspended frame at sp,
 * make it call fn(arg) first and then go on where it was, with what fn
 * returned; their address is its new stack pointer. For unwinders, whoever
 * was suspended called fn. old is that frame, or a copy of it.
 */
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

/*
 * Whether the CPU keeps return addresses where a slice cannot take them: a
 * guarded control stack.
 */
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

#endif
