/* SPDX-License-Identifier: MIT */
/* Loops that never end nor yield: compiled so that they are pre-empted. */
#include "loops.h"

/* Without anything in it, gcc would not count it. */
static void empty(void *arg)
{
	(void)arg;
	for (;;)
		__asm__ volatile("");
}

static void counts(void *arg)
{
	volatile unsigned n = 0;

	(void)arg;
	for (;;)
		n++;
}

static __attribute__((__noinline__)) int callee(int n)
{
	__asm__ volatile("" : "+r"(n));
	return n;
}

static void calls(void *arg)
{
	(void)arg;
	while (callee(1))
		;
}

static void waits_for_a_flag(void *arg)
{
	volatile int *flag = arg;

	while (!*flag)
		;
}

static void nested(void *arg)
{
	volatile int *flag = arg;

	for (;;) {
		do {
			if (*flag == 2)
				continue;
			if (*flag == 3)
				break;
		} while (*flag);
	}
}

const struct loop loops[LOOPS] = {
	{ "all but empty", empty }, { "counts", counts },
	{ "calls", calls },	    { "waits for a flag", waits_for_a_flag },
	{ "nested", nested },
};

static int flag;

/* In a signal handler. */
void long_handler(int sig)
{
	volatile int n = 0;

	(void)sig;
	while (n < 10000)
		n++;
	__atomic_fetch_add(&flag, n == 10000, __ATOMIC_RELAXED);
}

int long_handlers(void)
{
	return __atomic_load_n(&flag, __ATOMIC_RELAXED);
}

static int chosen_one(void)
{
	return 1;
}

/* A resolver runs before the program is relocated. */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
static __attribute__((__used__)) int (*choose(void))(void)
{
	return chosen_one;
}

int chosen(void) __attribute__((__ifunc__("choose")));
#else
int chosen(void)
{
	return chosen_one();
}
#endif
