/* SPDX-License-Identifier: MIT */
/*
 * The contract of an architecture. Every port is a folder with the same
 * files, port.h among them, which has the inline ones of these; nothing else
 * in the library knows registers. docs/porting.md says how one is made.
 */
#ifndef TUCK__ARCH_H
#define TUCK__ARCH_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The port has numbers, too:
 * - TUCK__ARCH_ALIGN: the alignment of a stack pointer at a call.
 * - TUCK__ARCH_FRAME: bytes that a suspended context's registers take, from
 *   its stack pointer up. They hold no address of their own place, so they
 *   may be kept elsewhere and put back.
 * - TUCK__ARCH_FIRST: bytes that tuck__arch_prepare() lays below a base.
 */

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

/* The same for a call that tuck__arch_prepare_call() lays. */
void tuck__arch_interject(void);

/*
 * Lay a first frame below base, which is aligned, and return the stack
 * pointer for it: it calls enter() if that is not null, then fn(arg), then
 * after(), which must not return. Its control words are those at exec.
 */
static inline void *tuck__arch_prepare(void *base, void (*enter)(void),
				       void (*fn)(void *), void *arg,
				       void (*after)(void));

/*
 * Write the TUCK__ARCH_FIRST bytes that, put below the suspended frame at sp,
 * make it call fn(arg) first and then go on where it was, with what fn
 * returned; their address is its new stack pointer. For unwinders, whoever
 * was suspended called fn. old is that frame, or a copy of it.
 */
static inline void tuck__arch_prepare_call(void *ret_bytes, const void *old,
					   void *sp, int (*fn)(void *),
					   void *arg);

/* Whether the CPU keeps return addresses where a slice cannot take them. */
static inline bool tuck__arch_has_shadow_stack(void);

/* The stack pointer, or what the caller's frame has near it. */
static inline __attribute__((__always_inline__)) uintptr_t tuck__arch_sp(void);

/* Between two looks at a word that another CPU is about to change. */
static inline void tuck__arch_relax(void);

#include "port.h"

_Static_assert(TUCK__ARCH_FIRST >= TUCK__ARCH_FRAME &&
		       TUCK__ARCH_FIRST % TUCK__ARCH_ALIGN == 0 &&
		       TUCK__ARCH_FRAME % TUCK__ARCH_ALIGN == 0,
	       "stack pointers stay aligned");

#endif
