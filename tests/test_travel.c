/* SPDX-License-Identifier: MIT */
/*
 * What travels with a context, as a program in C sees it: each tasklet sets
 * its own, and finds it again after the others have set theirs. C++'s part is
 * in test_cxx.cpp; test_frames.c mixes all of it at random.
 */
#include <errno.h>
#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <tuck.h>

#include "rounding.h"
#include "trace.h"

#define MANY 12

static int ended;

/* On stacks of their own and on one that is copied. */
static void run_many(void (*fn)(void *))
{
	const struct tuck_attr own = { .stack_bytes = 65536 };

	for (intptr_t i = 0; i < MANY; i++) {
		go(fn, (void *)i);
		CHECK(tuck_go_with(&own, fn, (void *)i) > 0);
	}
	while (ended < 2 * MANY)
		tuck_yield();
}

/* -- errno -- */

static void keep_errno(void *arg)
{
	int mine = 100 + (int)(intptr_t)arg;

	CHECK_EQ(errno, 0);
	errno = mine;
	tuck_yield();
	CHECK_EQ(errno, mine);
	CHECK_EQ(tuck_sleep(tuck_after(1)), 0);
	CHECK_EQ(errno, mine);
	CHECK_EQ(tuck_block(tuck_after(TUCK_US(10))), -ETIMEDOUT);
	CHECK_EQ(errno, mine);
	ended++;
}

TEST(errno_travels)
{
	use_slots(1);
	go_letter("a");	/* the first call may set it */
	errno = 7;
	run_many(keep_errno);
	CHECK_EQ(errno, 7);
}

/* -- rounding, by <fenv.h> -- */

/*
 * volatile: computed when it is asked for, in the mode of that time, and cut
 * to the size of a double, which x87's registers exceed.
 */
static double third(void)
{
	volatile double one = 1, three = 3, quotient = one / three;

	return quotient;
}

static double minus_third(void)
{
	volatile double one = -1, three = 3, quotient = one / three;

	return quotient;
}

static void keep_rounding(void *arg)
{
	int mode = modes[(size_t)(intptr_t)arg % MODES];
	double up, down;

	CHECK_EQ(fegetround(), FE_TONEAREST);
	CHECK_EQ(fesetround(mode), 0);
	up = third();
	down = minus_third();
	for (int i = 0; i < 10; i++) {
		tuck_yield();
		CHECK_EQ(fegetround(), mode);
		CHECK(third() == up);
		CHECK(minus_third() == down);
	}
	ended++;
}

TEST(the_rounding_mode_travels)
{
	double nearest = third();

	fesetround(modes[1 % MODES]);
	use_slots(1);
	run_many(keep_rounding);
	CHECK_EQ(fegetround(), modes[1 % MODES]);
	fesetround(FE_TONEAREST);
	CHECK(third() == nearest);
}

/* -- which exceptions trap -- */

#if defined(__GLIBC__)
static void keep_traps(void *arg)
{
	int traps = (intptr_t)arg % 2 ? FE_DIVBYZERO : FE_OVERFLOW;

	CHECK_EQ(fegetexcept(), 0);
	if (feenableexcept(traps) < 0 || fegetexcept() != traps)
		SKIP("this machine does not trap");
	for (int i = 0; i < 10; i++) {
		tuck_yield();
		CHECK_EQ(fegetexcept(), traps);
	}
	ended++;
}

TEST(traps_travel)
{
	use_slots(1);
	run_many(keep_traps);
	CHECK_EQ(fegetexcept(), 0);
}
#endif

/* -- x86: the x87's precision, and what SSE does with tiny numbers -- */

#if defined(__i386__) || defined(__x86_64__)
static void set_x87(uint16_t precision)
{
	uint16_t control;

	__asm__ volatile("fnstcw %0" : "=m"(control));
	control = (uint16_t)((control & ~0x300) | precision);
	__asm__ volatile("fldcw %0" : : "m"(control));
}

/* Of 1 / 3, how far a long double's digits go. */
static long double x87_third(void)
{
	volatile long double one = 1, three = 3;

	return one / three;
}

static void keep_precision(void *arg)
{
	static const uint16_t precisions[] = { 0x000, 0x200, 0x300 };
	int n = (int)(intptr_t)arg % 3;
	long double mine;

	set_x87(precisions[n]);
	mine = x87_third();
	CHECK((mine == (long double)(1.0f / 3)) == (n == 0));
	CHECK((mine == (long double)(1.0 / 3)) == (n == 1));
	for (int i = 0; i < 10; i++) {
		tuck_yield();
		CHECK(x87_third() == mine);
	}
	ended++;
}

TEST(the_x87s_precision_travels)
{
	long double full = x87_third();

	use_slots(1);
	run_many(keep_precision);
	CHECK(x87_third() == full);
}
#endif

#if defined(__SSE2__)
static void keep_tiny_numbers(void *arg)
{
	volatile double tiny = 0x1p-1060, half = 0.5;
	unsigned int flush = (intptr_t)arg % 2 ? 0x8040 : 0;

	__builtin_ia32_ldmxcsr((__builtin_ia32_stmxcsr() & ~0x8040u) | flush);
	for (int i = 0; i < 10; i++) {
		CHECK((tiny * half == 0) == (flush != 0));
		tuck_yield();
	}
	ended++;
}

TEST(flushing_to_zero_travels)
{
	use_slots(1);
	run_many(keep_tiny_numbers);
}
#endif
