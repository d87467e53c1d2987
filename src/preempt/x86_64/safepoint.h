/* SPDX-License-Identifier: MIT */
/*
 * How code that was interrupted is made to call tuck__safepoint() first, on
 * x86-64.
 */
#ifndef TUCK__SAFEPOINT_H
#define TUCK__SAFEPOINT_H

#include <cpuid.h>
#include <stdint.h>
#include <ucontext.h>

#define TUCK__RED_ZONE 128

/* Called by tuck__safepoint_entry, with all registers saved. */
void tuck__safepoint(void);
extern const char tuck__safepoint_entry[];

/* Bytes that XSAVE needs. */
extern uint64_t tuck__xsave_bytes;

static inline void tuck__safepoint_init(void)
{
	unsigned int a, b = 0, c, d;

	/* What is not known of is not computed with, either. */
	if (__get_cpuid_count(0xd, 0, &a, &b, &c, &d))
		tuck__xsave_bytes = b;
}

/* Without XSAVE, as under some emulators, nobody is diverted. */
static inline void tuck__divert(ucontext_t *context)
{
	greg_t *r = context->uc_mcontext.gregs;
	uintptr_t sp = (uintptr_t)r[REG_RSP] - TUCK__RED_ZONE - 8;

	if (!tuck__xsave_bytes)
		return;
	*(greg_t *)sp = r[REG_RIP];
	r[REG_RSP] = (greg_t)sp;
	r[REG_RIP] = (greg_t)(uintptr_t)tuck__safepoint_entry;
}

#endif
