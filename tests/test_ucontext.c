/* SPDX-License-Identifier: MIT */
/* The calls of ucontext.h, one by one. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <tuck/ucontext.h>

#include "check.h"

#define STACK 65536

static struct tuck_ucontext here, there;
static char stack[STACK] __attribute__((aligned(16)));
static volatile int trace;

/* Ready to run fn on the static stack, then to go on at link. */
static void make_on(struct tuck_ucontext *u, void *memory, void (*fn)(void),
		    struct tuck_ucontext *link)
{
	CHECK_EQ(tuck_getcontext(u), 0);
	u->uc_stack.ss_sp = memory;
	u->uc_stack.ss_size = STACK;
	u->uc_link = link;
	tuck_makecontext(u, fn, 0);
}

/* Without a stack: from the caller's frame downwards. */
static void make_sliced(struct tuck_ucontext *u, void (*fn)(void),
			struct tuck_ucontext *link)
{
	CHECK_EQ(tuck_getcontext(u), 0);
	u->uc_stack.ss_sp = NULL;
	u->uc_base = __builtin_frame_address(0);
	u->uc_link = link;
	tuck_makecontext(u, fn, 0);
}

static void step(void)
{
	trace = trace * 10 + 1;
	CHECK_EQ(tuck_swapcontext(&there, &here), 0);
	trace = trace * 10 + 2;
	CHECK_EQ(tuck_swapcontext(&there, &here), 0);
	trace = trace * 10 + 3;
}

static void three_steps(void)
{
	trace = 0;
	for (int i = 1; i <= 3; i++) {
		CHECK_EQ(tuck_swapcontext(&here, &there), 0);
		CHECK_EQ(trace % 10, i);
	}
	CHECK_EQ(trace, 123);
}

TEST(swap_goes_to_and_fro_and_link_goes_on)
{
	make_on(&there, stack, step, &here);
	three_steps();
}

TEST(a_context_without_a_stack_is_sliced)
{
	make_sliced(&there, step, &here);
	three_steps();
}

TEST(one_that_ended_is_made_again_and_also_just_started_again)
{
	make_on(&there, stack, step, &here);
	three_steps();
	make_on(&there, stack, step, &here);
	three_steps();
	make_sliced(&there, step, &here);
	three_steps();
}

TEST(one_that_waits_is_made_anew)
{
	for (int i = 0; i < 100; i++) {
		if (i % 2)
			make_sliced(&there, step, &here);
		else
			make_on(&there, stack, step, &here);
		trace = 0;
		CHECK_EQ(tuck_swapcontext(&here, &there), 0);
		CHECK_EQ(trace, 1);
	}
	CHECK_EQ(tuck_dropcontext(&there), 0);
}

/* -- arguments -- */

static uintptr_t args[TUCK_UCONTEXT_ARGS];

static void take(uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d,
		 uintptr_t e, uintptr_t f, uintptr_t g, uintptr_t h)
{
	const uintptr_t got[] = { a, b, c, d, e, f, g, h };

	memcpy(args, got, sizeof(got));
}

TEST(eight_words_are_passed_whole)
{
	const uintptr_t big = UINTPTR_MAX / 3 * 2;

	make_on(&there, stack, NULL, &here);
	tuck_makecontext(&there, (void (*)(void))(uintptr_t)take, 8, big,
			 big + 1, big + 2, big + 3, big + 4, big + 5, big + 6,
			 big + 7);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	for (uintptr_t i = 0; i < 8; i++)
		CHECK(args[i] == big + i);
}

static int ints[3];

static void take_ints(int a, int b, int c)
{
	ints[0] = a;
	ints[1] = b;
	ints[2] = c;
}

TEST(ints_are_passed_with_their_sign)
{
	make_on(&there, stack, NULL, &here);
	tuck_makecontext(&there, (void (*)(void))(uintptr_t)take_ints, 3, -1, 7,
			 INT32_MIN);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	CHECK_EQ(ints[0], -1);
	CHECK_EQ(ints[1], 7);
	CHECK_EQ(ints[2], INT32_MIN);
}

/* -- points -- */

TEST(a_point_is_gone_on_with_again_and_again)
{
	struct tuck_ucontext point;
	volatile int times = 0;

	CHECK_EQ(tuck_getcontext(&point), 0);
	if (times++ < 1000)
		CHECK_EQ(tuck_setcontext(&point), 0);
	CHECK_EQ(times, 1001);
}

static struct tuck_ucontext top;

static void fall(int depth)
{
	volatile char pad[500];

	memset((char *)(uintptr_t)pad, depth, sizeof(pad));
	if (depth)
		fall(depth - 1);
	else
		tuck_setcontext(&top);
	CHECK(pad[0] != depth);		/* never reached */
}

TEST(a_point_is_reached_from_deep_frames)
{
	volatile int times = 0;

	CHECK_EQ(tuck_getcontext(&top), 0);
	if (times++ < 50)
		fall(20);
	CHECK_EQ(times, 51);
}

/* Goes to a point of the main context that never waited there. */
static void jump_out(void)
{
	trace++;
	tuck_setcontext(&top);
}

static void jump_into_main(bool sliced)
{
	volatile int times = 0;
	volatile char pad[300];

	memset((char *)(uintptr_t)pad, 0x5a, sizeof(pad));
	trace = 0;
	CHECK_EQ(tuck_getcontext(&top), 0);
	if (times++ < 20) {
		if (sliced)
			make_sliced(&there, jump_out, NULL);
		else
			make_on(&there, stack, jump_out, NULL);
		tuck_swapcontext(&here, &there);
		CHECK(!"it jumped past this");
	}
	CHECK_EQ(trace, 20);
	for (size_t i = 0; i < sizeof(pad); i++)
		CHECK_EQ(pad[i], 0x5a);
	CHECK_EQ(tuck_dropcontext(&there), 0);
}

TEST(a_point_of_another_context_is_jumped_to)
{
	jump_into_main(false);
	jump_into_main(true);
}

static struct tuck_ucontext left;

static void keep_point_and_leave(void)
{
	CHECK_EQ(tuck_getcontext(&left), 0);
}

static int many_small_arrays(int n)
{
	volatile char small[8];

	small[n % 8] = (char)n;
	if (n == 0)
		return tuck_setcontext(&here);	/* for good */
	return many_small_arrays(n - 1) + small[n % 8];
}

static void dive(void)
{
	CHECK(many_small_arrays(100) < 0);
}

static void fill_large_array(void)
{
	volatile char large[8192];

	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = 1;
	trace = large[0];
}

/* The same memory for another struct, which AddressSanitizer does not mind. */
TEST(the_stack_of_one_that_was_forgotten_is_used_again)
{
	static struct tuck_ucontext forgotten;
	volatile bool left_it = false;

	CHECK_EQ(tuck_getcontext(&here), 0);
	if (!left_it) {
		left_it = true;
		make_on(&forgotten, stack, dive, NULL);
		tuck_setcontext(&forgotten);
		CHECK(!"reached");
	}
	trace = 0;
	make_on(&there, stack, fill_large_array, &here);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	CHECK_EQ(trace, 1);
}

TEST(points_that_are_not_there_are_refused)
{
	struct tuck_ucontext never = { .uc_link = NULL };

	CHECK_EQ(tuck_setcontext(&never), -EINVAL);
	CHECK_EQ(tuck_swapcontext(&here, &never), -EINVAL);
	CHECK_EQ(tuck_setcontext(NULL), -EINVAL);
	make_on(&there, stack, keep_point_and_leave, &here);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	CHECK_EQ(tuck_setcontext(&left), -EINVAL);	/* its context ended */
}

TEST(what_cannot_be_made_is_told_when_it_is_gone_on_with)
{
	CHECK_EQ(tuck_getcontext(&there), 0);
	there.uc_stack.ss_sp = NULL;
	there.uc_base = NULL;
	tuck_makecontext(&there, step, 0);
	CHECK_EQ(tuck_swapcontext(&here, &there), -EINVAL);
	there.uc_base = stack;			/* not on this stack */
	tuck_makecontext(&there, step, 0);
	CHECK_EQ(tuck_setcontext(&there), -EINVAL);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = 100;
	tuck_makecontext(&there, step, 0);
	CHECK_EQ(tuck_setcontext(&there), -EINVAL);
	there.uc_stack.ss_size = STACK;
	tuck_makecontext(&there, step, TUCK_UCONTEXT_ARGS + 1);
	CHECK_EQ(tuck_setcontext(&there), -EINVAL);
	tuck_makecontext(&there, NULL, 0);
	CHECK_EQ(tuck_setcontext(&there), -EINVAL);
}

static int drop_self;

static void try_to_drop(void)
{
	drop_self = tuck_dropcontext(&there);
}

TEST(the_running_one_is_not_dropped)
{
	make_on(&there, stack, try_to_drop, &here);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	CHECK_EQ(drop_self, -EBUSY);
	CHECK_EQ(tuck_dropcontext(&there), 0);
	CHECK_EQ(tuck_dropcontext(NULL), 0);
}

static void make_itself(void)
{
	tuck_makecontext(&there, step, 0);
	tuck_swapcontext(&there, &here);
	trace = 5;
}

TEST(the_running_one_is_not_made_anew)
{
	make_on(&there, stack, make_itself, &here);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	CHECK_EQ(trace, 5);
}

/* It waits at another place now, by the other calls. */
static struct tuck_ctx *hub_ctx;

static void wait_in_two_ways(void)
{
	CHECK_EQ(tuck_swapcontext(&there, &here), 0);
	if (trace++ == 0)
		CHECK_EQ(tuck_ctx_switch(hub_ctx, NULL, NULL), 0);
	trace += 10;
}

TEST(a_point_where_nobody_waits_any_more_is_jumped_to)
{
	trace = 0;
	hub_ctx = tuck_ctx_self();
	make_on(&there, stack, wait_in_two_ways, &here);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);	/* now the other way */
	CHECK_EQ(trace, 1);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	CHECK_EQ(trace, 12);		/* from the point, to the end */
}

static struct tuck_ucontext early;

static void keep_early(void)
{
	CHECK_EQ(tuck_swapcontext(&early, &here), 0);
}

TEST(points_of_an_earlier_life_are_refused)
{
	make_on(&there, stack, keep_early, &here);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	CHECK_EQ(tuck_swapcontext(&here, &early), 0);	/* to its end */
	make_on(&there, stack, step, &here);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	CHECK_EQ(tuck_setcontext(&early), -EINVAL);
	CHECK_EQ(tuck_dropcontext(&there), 0);
}

static void keep_early_and_come_back(void)
{
	static bool again;

	if (!again) {
		again = true;
		CHECK_EQ(tuck_getcontext(&early), 0);
		return;
	}
	CHECK_EQ(tuck_setcontext(&early), -EINVAL);
	trace = 1;
}

/* Also in the context that runs, in its next life. */
TEST(a_context_cannot_jump_to_its_earlier_life)
{
	trace = 0;
	for (int i = 0; i < 2; i++) {
		make_on(&there, stack, keep_early_and_come_back, &here);
		CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	}
	CHECK_EQ(trace, 1);
}

static struct tuck_ucontext guest;

static void host_a_guest(void)
{
	make_sliced(&guest, step, &there);
	CHECK_EQ(tuck_swapcontext(&there, &here), 0);
	CHECK_EQ(tuck_dropcontext(&guest), 0);
}

TEST(a_stack_with_guests_is_not_given_back)
{
	make_on(&there, stack, host_a_guest, &here);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	CHECK_EQ(tuck_dropcontext(&there), -EBUSY);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);	/* the guest goes */
	CHECK_EQ(tuck_dropcontext(&there), 0);
	make_on(&there, stack, host_a_guest, &here);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	tuck_makecontext(&there, step, 0);
	CHECK_EQ(tuck_setcontext(&there), -EBUSY);
	CHECK_EQ(tuck_dropcontext(&guest), 0);
	CHECK_EQ(tuck_dropcontext(&there), 0);
}

static void *other_thread(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_setcontext(&here), -EXDEV);
	CHECK_EQ(tuck_setcontext(&there), -EXDEV);
	return NULL;
}

TEST(other_threads_are_refused)
{
	pthread_t t;

	make_on(&there, stack, step, &here);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	CHECK_EQ(pthread_create(&t, NULL, other_thread, NULL), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(tuck_dropcontext(&there), 0);
}

static void end(void)
{
	trace = 77;
}

static void *ends_by_its_context(void *arg)
{
	make_on(&there, stack, end, NULL);
	tuck_setcontext(&there);
	return arg;		/* not reached */
}

TEST(without_a_link_the_thread_ends)
{
	pthread_t t;
	void *result = &t;

	CHECK_EQ(pthread_create(&t, NULL, ends_by_its_context, NULL), 0);
	CHECK_EQ(pthread_join(t, &result), 0);
	CHECK(result == NULL);
	CHECK_EQ(trace, 77);
}

/* -- what travels -- */

static int blocks(int sig)
{
	sigset_t set;

	sigprocmask(SIG_SETMASK, NULL, &set);
	return sigismember(&set, sig);
}

static void block(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	if (sig)
		sigaddset(&set, sig);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

static void change_mask(void)
{
	block(SIGUSR1);
	tuck_swapcontext(&there, &here);
	trace = blocks(SIGUSR1);
	block(SIGUSR2);
}

static void swap_masks(int travels)
{
	block(0);
	CHECK_EQ(tuck_ucontext_sigmask(travels), 0);
	make_on(&there, stack, change_mask, &here);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	CHECK_EQ(blocks(SIGUSR1), !travels);
	block(0);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	CHECK_EQ(trace, travels);
	CHECK_EQ(blocks(SIGUSR2), !travels);
	block(0);
	CHECK_EQ(tuck_ucontext_sigmask(0), travels);
}

TEST(a_point_kept_without_a_mask_leaves_it_alone)
{
	volatile bool again = false;
	sigset_t before, after;

	memset(&here, 0xff, sizeof(here));
	CHECK_EQ(tuck_getcontext(&here), 0);
	if (!again) {
		again = true;
		CHECK_EQ(tuck_ucontext_sigmask(1), 0);
		tuck_setcontext(&here);
	}
	sigprocmask(SIG_SETMASK, NULL, &after);
	sigemptyset(&before);
	for (int sig = 1; sig < 32; sig++)
		CHECK_EQ(sigismember(&after, sig), sigismember(&before, sig));
}

TEST(signal_masks_travel_if_asked_to)
{
	swap_masks(1);
	swap_masks(0);
}

static void set_errno(void)
{
	errno = 5;
	tuck_swapcontext(&there, &here);
	trace = errno;
}

TEST(errno_travels)
{
	make_on(&there, stack, set_errno, &here);
	errno = 9;
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	CHECK_EQ(errno, 9);
	CHECK_EQ(tuck_swapcontext(&here, &there), 0);
	CHECK_EQ(errno, 9);
	CHECK_EQ(trace, 5);
}

/* -- many -- */

#define MANY 200

static struct tuck_ucontext many[MANY], hub;
static int turn, sums[MANY];

static void count(void)
{
	int me = turn;
	volatile char pad[200];

	memset((char *)(uintptr_t)pad, me, sizeof(pad));
	for (int i = 0; i < 10; i++) {
		sums[me] += i;
		CHECK_EQ(tuck_swapcontext(&many[me], &hub), 0);
		for (size_t k = 0; k < sizeof(pad); k++)
			CHECK_EQ(pad[k], (char)me);
	}
}

TEST(hundreds_share_the_native_stack)
{
	for (int i = 0; i < MANY; i++) {
		make_sliced(&many[i], count, &hub);
		sums[i] = 0;
	}
	for (int round = 0; round < 11; round++)
		for (turn = 0; turn < MANY; turn++)
			CHECK_EQ(tuck_swapcontext(&hub, &many[turn]), 0);
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(sums[i], 45);
}
