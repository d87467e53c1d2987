/* SPDX-License-Identifier: MIT */
/*
 * MemorySanitizer and Valgrind know what is defined on a stack that was
 * tucked away and put back (rule S10), whatever others left in its place.
 */
#include <stdlib.h>
#include <string.h>
#include <tuck.h>

#include "base/sanitize.h"
#include "check.h"

#define PAD 2000

/* A compiler must not see what is defined. */
static char *opaque(char *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

/* Near the stack pointer bytes are copied in another way than elsewhere. */
static const size_t places[] = { 8, 64, PAD / 2 };
static size_t place;
static int used;

/* Its bytes are defined where arg is not null. */
static void use_later(void *arg)
{
	char pad[PAD], *p = opaque(pad);

	if (arg)
		memset(p, 1, PAD);
	tuck_yield();		/* tucked away and back */
	if (opaque(pad)[place] == 1)
		used++;
}

/* In its place, everything is defined. */
static void define(void *arg)
{
	char pad[2 * PAD];

	(void)arg;
	memset(opaque(pad), 2, sizeof(pad));
	tuck_yield();
}

/* In its place, nothing is. */
static void define_nothing(void *arg)
{
	char pad[2 * PAD];

	(void)arg;
	opaque(pad);
	tuck_yield();
}

/* Below it there is more of the stack than it ever had. */
static void be_shallow(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		tuck_yield();
}

static void share_a_slot(void (*fn)(void *), void *arg, void (*other)(void *))
{
	const struct tuck_config one_slot = { .stack_slots = 1 };
	tuck_id id;

	tuck_config_set(&one_slot);
	id = tuck_go(fn, arg);
	tuck_go(other, NULL);
	for (int i = 0; i < 5; i++)
		tuck_yield();	/* so that they are put back from here, too */
	tuck_join(id, TUCK_FOREVER);
	exit(0);
}

/* The exit status with which a use of what is undefined ends. */
static int status(void)
{
#if TUCK__MSAN
	return 1;
#elif TUCK__VALGRIND
	if (RUNNING_ON_VALGRIND)
		return 99;	/* by its --error-exitcode */
#endif
	SKIP("neither MemorySanitizer nor Valgrind");
}

TEST(what_is_defined_stays_so)
{
	void (*const others[])(void *) = { define_nothing, be_shallow };

	status();
	for (size_t i = 0; i < 6; i++) {
		place = places[i % 3];
		CHECK_DIES(0, "", {
			share_a_slot(use_later, (void *)(intptr_t)1,
				     others[i / 3]);
		});
	}
}

TEST(what_is_undefined_stays_so)
{
	int found = status();

	for (size_t i = 0; i < 3; i++) {
		place = places[i];
		CHECK_DIES(found,
			   TUCK__MSAN ? "use-of-uninitialized-value" : "",
			   { share_a_slot(use_later, NULL, define); });
	}
}
