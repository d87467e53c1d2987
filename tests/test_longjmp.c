/* SPDX-License-Identifier: MIT */
/*
 * longjmp() inside a tasklet, over switches: the C library's fortified one,
 * which compares stack pointers, where the compiler optimizes.
 */
#if defined(__OPTIMIZE__) && !defined(_FORTIFY_SOURCE)
#define _FORTIFY_SOURCE 2
#endif

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <tuck.h>

#include "base/sanitize.h"
#include "trace.h"

static int ended;

/* -- up, over frames that switched -- */

static __attribute__((noinline)) void sink(jmp_buf env, int depth, int value)
{
	volatile char pad[300];

	if (depth < 0)
		return;
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] = (char)value;
	tuck_yield();
	if (depth == 0)
		longjmp(env, value);
	sink(env, depth - 1, value);
	CHECK_EQ(pad[sizeof(pad) - 1], (char)value);
}

static void jump_up(void *arg)
{
	volatile int n = (int)(intptr_t)arg, jumps = 0;
	jmp_buf env;
	int r;

	r = setjmp(env);
	CHECK_EQ(r, jumps == 0 ? 0 : n + jumps);
	tuck_yield();
	jumps++;
	if (jumps < 5)
		sink(env, n % 20, n + jumps);
	CHECK_EQ(n, (intptr_t)arg);
	ended++;
}

static void jump_up_in_many(void)
{
	for (int i = 0; i < 50; i++)
		go(jump_up, (void *)(intptr_t)i);
	while (ended < 50)
		tuck_yield();
}

TEST(a_jump_over_frames_that_switched)
{
	jump_up_in_many();
}

TEST(a_jump_on_one_stack)
{
	use_slots(1);
	jump_up_in_many();
}

TEST(a_jump_on_own_stacks)
{
	const struct tuck_attr own = { .stack_bytes = 65536 };

	for (int i = 0; i < 10; i++)
		CHECK(tuck_go_with(&own, jump_up, (void *)(intptr_t)i) > 0);
	while (ended < 10)
		tuck_yield();
}

/* -- what comes along -- */

static volatile sig_atomic_t signals;

static void count_signal(int sig)
{
	(void)sig;
	signals++;
}

static sigset_t mask_now(void)
{
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	return mask;
}

static void jump_with_mask(void *arg)
{
	sigset_t usr1, mask;
	sigjmp_buf env;
	volatile int jumps = 0;

	(void)arg;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigsetjmp(env, 1);
	mask = mask_now();
	CHECK(!sigismember(&mask, SIGUSR1));
	if (jumps++ < 3) {
		sigprocmask(SIG_BLOCK, &usr1, NULL);
		raise(SIGUSR1);
		CHECK_EQ(signals, jumps - 1);
		siglongjmp(env, 1);
	}
	CHECK_EQ(signals, 3);
}

TEST(a_jump_that_restores_the_signal_mask)
{
	signal(SIGUSR1, count_signal);
	CHECK_EQ(tuck_join(go(jump_with_mask, NULL), TUCK_FOREVER), 0);
}

/* Out of a handler that runs on the tasklet's stack. */
static sigjmp_buf out_of_handler;

static void leave_handler(int sig)
{
	siglongjmp(out_of_handler, sig);
}

static void jump_out_of_a_handler(void *arg)
{
	(void)arg;
	for (volatile int i = 0; i < 10; i++) {
		if (sigsetjmp(out_of_handler, 1) == 0) {
			raise(SIGUSR1);
			CHECK(!"reached");
		}
		tuck_yield();
	}
	ended++;
}

static void other(void *arg)
{
	(void)arg;
	while (ended == 0)
		tuck_yield();
}

TEST(a_jump_out_of_a_signal_handler)
{
	use_slots(1);
	signal(SIGUSR1, leave_handler);
	go(jump_out_of_a_handler, NULL);
	go(other, NULL);
	while (ended == 0)
		tuck_yield();
}

/* The overflow handler's alternate stack must not confuse the check. */
static void jump_from_an_alternate_stack(void *arg)
{
	struct sigaction action = { .sa_handler = leave_handler,
				    .sa_flags = SA_ONSTACK };

	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	jump_out_of_a_handler(arg);
}

TEST(a_jump_from_an_alternate_stack)
{
	use_slots(1);
	go(jump_from_an_alternate_stack, NULL);
	go(other, NULL);
	while (ended == 0)
		tuck_yield();
}

/* -- what must not be done is noticed -- */

static jmp_buf outside;

static void jump_out(void *arg)
{
	(void)arg;
	longjmp(outside, 1);
}

static void leave_a_tasklet(void)
{
	go(jump_out, NULL);
	if (setjmp(outside) == 0)
		tuck_yield();
	else
		tuck_yield();	/* on a stack that is not the current one's */
}

TEST(a_jump_out_of_a_tasklet_is_noticed)
{
	if (TUCK__ASAN)
		SKIP("AddressSanitizer meets it first");
	needs_fifo();
	CHECK_DIES(-SIGABRT, "longjmp", leave_a_tasklet(););
}

static jmp_buf gone;

static __attribute__((noinline)) void set_and_return(void)
{
	if (setjmp(gone) != 0)
		_Exit(3);
}

static __attribute__((noinline)) void set_below(void)
{
	char pad[2000];

	__asm__ volatile("" : : "r"(pad) : "memory");
	set_and_return();
	__asm__ volatile("" : : "r"(pad) : "memory");
}

/* Into a frame that has returned. */
static void jump_down(void *arg)
{
	(void)arg;
	set_below();
	tuck_yield();
	longjmp(gone, 1);
}

TEST(a_jump_into_a_frame_that_returned_is_noticed)
{
#if !defined(_FORTIFY_SOURCE)
	SKIP("longjmp() is not fortified");
#endif
	/* By "longjmp causes uninitialized stack frame", but not on armhf. */
	CHECK_DIES(-SIGABRT, "***: terminated",
		   tuck_join(go(jump_down, NULL), TUCK_FOREVER););
}
