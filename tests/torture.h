/* SPDX-License-Identifier: MIT */
/* What a port brings for tests, in tests/arch/CPU.S and tests/arch/CPU.h. */
#ifndef TORTURE_H
#define TORTURE_H

#include <stdint.h>

/*
 * Call call(arg) with a pattern from seed in every register that a call
 * preserves, floating-point control included. Returns a bit for each of them
 * that does not hold its pattern afterwards: 0 if all is right.
 */
uint64_t torture(uintptr_t seed, void (*call)(void *), void *arg);

/*
 * static uint32_t get_control(void): floating-point control bits that a call
 * preserves, those of fesetround() and others.
 * static uint32_t set_control(uint32_t random): set the others from the bits
 * 0, 6 and 15 of random, and return get_control(). If there are no others,
 * it sets nothing.
 */
#include CPU_H

/*
 * Bytes from its stack pointer up that a caller keeps for whom it calls, if
 * a context is suspended there and not below.
 */
#ifndef CALLEE_AREA
#define CALLEE_AREA 0
#endif

#endif
