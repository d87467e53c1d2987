/* SPDX-License-Identifier: MIT */
/*
 * What travels with the contexts of ctx.h, on each kind of stack: registers,
 * floating-point control, errno; longjmp() and backtrace(3) stay within them.
 */
#if defined(__OPTIMIZE__) && !defined(_FORTIFY_SOURCE)
#define _FORTIFY_SOURCE 2	/* its longjmp() compares stack pointers */
#endif

#include <errno.h>
#include <execinfo.h>
#include <fenv.h>
#include <setjmp.h>

#include "arch/arch.h"
#include "ring.h"
#include "rounding.h"
#include "torture.h"

/* -- registers -- */

static void change_places_for(void *arg)
{
	(void)arg;
	change_places();
}

static void keep_registers(int n)
{
	for (int i = 0; i < 20; i++) {
		uintptr_t seed = (uintptr_t)(n * 7919 + i) * 2654435761u;

		CHECK_EQ(torture(seed, change_places_for, NULL), 0);
	}
}

TEST(registers_travel)
{
	run_ring(keep_registers);
}

/* -- floating-point control and errno -- */

/* volatile: computed when it is asked for, in the mode of that time. */
static double third(double one)
{
	volatile double dividend = one, three = 3, quotient = dividend / three;

	return quotient;
}

static uint32_t at_exec;	/* control bits */

/* Bits 0, 6 and 15 are what set_control() looks at. */
static uint32_t bits_of(int n)
{
	return (n & 1 ? 1u : 0) | (n & 2 ? 0x40u : 0) | (n & 4 ? 0x8000u : 0);
}

static void keep_control(int n)
{
	int mode = modes[(size_t)n % MODES];
	double up, down;
	uint32_t control;

	CHECK_EQ(fegetround(), FE_TONEAREST);
	CHECK_EQ(get_control(), at_exec);
	CHECK_EQ(fesetround(mode), 0);
	control = set_control(bits_of(n));
	up = third(1);
	down = third(-1);
	errno = n;
	for (int i = 0; i < 10; i++) {
		change_places();
		CHECK_EQ(fegetround(), mode);
		CHECK_EQ(get_control(), control);
		CHECK(third(1) == up);
		CHECK(third(-1) == down);
		CHECK_EQ(errno, n);
	}
}

TEST(floating_point_control_and_errno_travel)
{
	double nearest = third(1);
	uint32_t control;

	at_exec = get_control();
	tuck_ctx_self();	/* may set errno */
	CHECK_EQ(fesetround(modes[1 % MODES]), 0);
	control = set_control(bits_of(7));
	errno = 77;
	run_ring(keep_control);
	CHECK_EQ(errno, 77);
	CHECK_EQ(get_control(), control);
	CHECK_EQ(fegetround(), modes[1 % MODES]);
	fesetround(FE_TONEAREST);
	set_control(0);
	CHECK(third(1) == nearest);
}

/* -- longjmp() -- */

/* For all that the compiler knows, it returns. */
static void (*volatile jump)(jmp_buf env, int value) = longjmp;

static __attribute__((noinline)) void sink(jmp_buf env, int n, int depth,
					   bool switches)
{
	volatile unsigned char pad[300];

	fill(pad, sizeof(pad), (uint32_t)(n + depth));
	if (switches)
		change_places();
	verify(pad, sizeof(pad), (uint32_t)(n + depth));
	if (depth > 0)
		sink(env, n, depth - 1, switches);
	else
		jump(env, n);
	verify(pad, sizeof(pad), (uint32_t)(n + depth));
}

/* Up, over frames that switched, and over frames that did not. */
static void jump_up(int n)
{
	volatile unsigned char pad[100];
	volatile int jumps = 0;
	jmp_buf env;
	int r;

	fill(pad, sizeof(pad), (uint32_t)n);
	r = setjmp(env);
	CHECK_EQ(r, jumps == 0 ? 0 : n + jumps);
	verify(pad, sizeof(pad), (uint32_t)n);
	change_places();
	verify(pad, sizeof(pad), (uint32_t)n);
	jumps++;
	if (jumps < 8)
		sink(env, n + jumps, 3 * n % 10, jumps % 2);
	CHECK_EQ(jumps, 8);
}

TEST(jumps_inside_contexts)
{
	run_ring(jump_up);
}

/* Out of an injected call, which runs with its context's control words. */
static jmp_buf where[RING];

static void jump_there(void *arg)
{
	longjmp(*(jmp_buf *)arg, 5);
}

static void be_jumped(int n)
{
	volatile unsigned char pad[700];
	volatile uint32_t control = set_control(bits_of(n));

	fill(pad, sizeof(pad), (uint32_t)n);
	if (setjmp(where[n]) == 0) {
		change_places();
		CHECK(!"reached");
	}
	CHECK_EQ(get_control(), control);
	verify(pad, sizeof(pad), (uint32_t)n);
	change_places();
	verify(pad, sizeof(pad), (uint32_t)n);
}

TEST(a_jump_out_of_an_injected_call)
{
	ring_start(be_jumped);
	for (int i = 1; i < RING; i++)
		CHECK_EQ(tuck_ctx_inject(ring[i], jump_there, &where[i]), 0);
	ring_finish();
}

static jmp_buf gone[RING];	/* each on its own stack, as the check wants */

static __attribute__((noinline)) void set_and_return(int n)
{
	if (setjmp(gone[n]) != 0)
		_Exit(3);
}

static __attribute__((noinline)) void set_below(int n)
{
	char pad[2000];

	__asm__ volatile("" : : "r"(pad) : "memory");
	set_and_return(n);
	__asm__ volatile("" : : "r"(pad) : "memory");
}

/* Into a frame that has returned. */
static void jump_down(int n)
{
	set_below(n);
	change_places();
	longjmp(gone[n], 1);
}

TEST(a_jump_into_a_frame_that_returned_is_noticed)
{
#if !defined(_FORTIFY_SOURCE)
	SKIP("longjmp() is not fortified");
#endif
	CHECK_DIES(-SIGABRT, "***: terminated", run_ring(jump_down););
}

/* -- backtrace(3) -- */

#define DEPTH 12
#define PCS   64

/* Where a context's dig()s return to, the innermost first. */
struct digging {
	void *returns[DEPTH + 1];
};

/* Its own frames, then what this layer began with, and no more. */
static __attribute__((noinline)) void check_backtrace(const struct digging *d)
{
	void *pcs[PCS];
	int n = backtrace(pcs, PCS), at = 0;

	while (at < n && pcs[at] != d->returns[0])
		at++;
	CHECK(at + DEPTH + 1 < n);
	CHECK(at < 6);
	for (int i = 0; i <= DEPTH; i++)
		CHECK(pcs[at + i] == d->returns[i]);
	CHECK((uintptr_t)pcs[n - 1] - (uintptr_t)tuck__arch_entry < 64);
	CHECK(n <= at + DEPTH + 5);
}

static void dig(struct digging *d, int depth);

/* A call that no compiler inlines, nor makes a function of its own for. */
static void (*volatile call_dig)(struct digging *d, int depth) = dig;

/* The asm keeps the last call from becoming a jump. */
static void dig(struct digging *d, int depth)
{
	d->returns[DEPTH - depth] = RETURN_ADDRESS();
	if (depth < DEPTH)
		call_dig(d, depth + 1);
	else
		for (int i = 0; i < 3; i++) {
			check_backtrace(d);
			change_places();
		}
	__asm__ volatile("");
}

static void dig_and_look(int n)
{
	struct digging d;

	(void)n;
	call_dig(&d, 0);
}

TEST(a_backtrace_ends_where_its_context_begins)
{
	run_ring(dig_and_look);
}
