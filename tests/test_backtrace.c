/* SPDX-License-Identifier: MIT */
/*
 * A backtrace of a tasklet is whole and ends at its entry: by glibc, by the
 * unwinder that C++ uses, in a signal handler, before and after its bytes
 * were copied. Functions are known by where their unwind entry begins.
 */
#include <execinfo.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <tuck.h>
#include <unwind.h>

#include "arch/arch.h"
#include "trace.h"

#define DEPTH	40
#define FRAMES	(DEPTH + 20)

struct backtrace {
	void *pc[FRAMES];
	int n;
};

static int ended;

/* -- two ways to ask -- */

static void ask_glibc(struct backtrace *b)
{
	b->n = backtrace(b->pc, FRAMES);
}

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *c, void *arg)
{
	struct backtrace *b = arg;
	void *pc = (void *)_Unwind_GetIP(c);

	CHECK(b->n < FRAMES);
	if (pc)		/* libgcc calls once more at the end */
		b->pc[b->n++] = pc;
	return _URC_NO_REASON;
}

static void ask_unwinder(struct backtrace *b)
{
#ifdef __arm__		/* there, an entry that cannot be unwound */
	const _Unwind_Reason_Code end = _URC_FAILURE;
#else
	const _Unwind_Reason_Code end = _URC_END_OF_STACK;
#endif

	b->n = 0;
	CHECK_EQ(_Unwind_Backtrace(add_frame, b), end);
}

/* -- what the frames must be -- */

static void dig(int depth);
static void body(void *arg);

/* A call that no compiler inlines, nor makes a function of its own for. */
static void (*volatile call_dig)(int depth) = dig;

static void *function_at(void *pc)
{
#ifdef __arm__
	(void)pc;
	SKIP("EHABI's unwinder cannot say which function this is");
#else
	return _Unwind_FindEnclosingFunction((char *)pc - 1);
#endif
}

/* From the innermost dig() on; what is below belongs to the asking. */
static void check_frames(const struct backtrace *b)
{
	int i = 0;

	while (i < b->n && function_at(b->pc[i]) != (void *)dig)
		i++;
	CHECK_EQ(b->n - i, DEPTH + 3);
	for (int k = 0; k <= DEPTH; k++)
		CHECK(function_at(b->pc[i++]) == (void *)dig);
	CHECK(function_at(b->pc[i++]) == (void *)body);
	CHECK(function_at(b->pc[i]) == (void *)tuck__arch_entry);
}

static void ask(void)
{
	struct backtrace b;

	ask_glibc(&b);
	check_frames(&b);
	ask_unwinder(&b);
	check_frames(&b);
}

/*
 * Whether unwinders know the frame that a signal lays. On POWER its unwind
 * entry is in the kernel's vDSO, which qemu-user 7.2 has none of.
 */
static bool sees_through_signals(void)
{
#ifdef __powerpc64__
	return getauxval(AT_SYSINFO_EHDR) != 0;
#else
	return true;
#endif
}

static void on_signal(int sig)
{
	(void)sig;
	if (sees_through_signals())
		ask();
}

static __attribute__((noinline)) void ask_in_handler(void)
{
	raise(SIGUSR1);
	__asm__ volatile("");
}

/* The asm keeps the last call from becoming a jump. */
static void dig(int depth)
{
	if (depth > 0) {
		call_dig(depth - 1);
	} else {
		for (int i = 0; i < 3; i++) {
			ask();
			ask_in_handler();
			tuck_yield();
		}
		ask();
	}
	__asm__ volatile("");
}

static void body(void *arg)
{
	(void)arg;
	call_dig(DEPTH);
	ended++;
}

static void run(const struct tuck_attr *attr)
{
	signal(SIGUSR1, on_signal);
	for (int i = 0; i < 3; i++)
		CHECK(tuck_go_with(attr, body, NULL) > 0);
	while (ended < 3)
		tuck_yield();
}

TEST(a_backtrace_on_a_slot)
{
	run(NULL);
}

TEST(a_backtrace_after_copying)
{
	use_slots(1);
	run(NULL);
}

TEST(a_backtrace_on_an_own_stack)
{
	const struct tuck_attr own = { .stack_bytes = 262144 };

	run(&own);
}

/* The first frame of all: nothing but its entry is above it. */
static __attribute__((noinline)) void ask_at_once(void *arg)
{
	struct backtrace b;
	int i = 0;

	(void)arg;
	ask_unwinder(&b);
	while (i < b.n && function_at(b.pc[i]) != (void *)ask_at_once)
		i++;
	CHECK_EQ(b.n - i, 2);
	CHECK(function_at(b.pc[i + 1]) == (void *)tuck__arch_entry);
	ended++;
}

TEST(a_backtrace_at_the_start)
{
	go(ask_at_once, NULL);
	while (!ended)
		tuck_yield();
}

/* main() was called by others. */
TEST(the_main_tasklet_has_no_entry_frame)
{
	struct backtrace b;

	go_letter("a");
	tuck_yield();
	ask_unwinder(&b);
	CHECK(b.n > 3);
	for (int i = 0; i < b.n; i++)
		CHECK(function_at(b.pc[i]) != (void *)tuck__arch_entry);
}
