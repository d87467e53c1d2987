/* SPDX-License-Identifier: MIT */
/*
 * C++ in the contexts of ctx.h: what is being caught and what is on its way
 * belongs to a context, on each kind of stack, through every kind of switch.
 */
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <unistd.h>
#include <vector>

#include "counted.h"
#include "ring.h"

static void check_nothing_caught()
{
	CHECK_EQ(std::uncaught_exceptions(), 0);
	CHECK_EQ(caught_now(), -1);
}

/* In all contexts at once; each begins and ends without exceptions. */
static void (*in_each)(int n);

static void clean_outside(int n)
{
	check_nothing_caught();
	in_each(n);
	check_nothing_caught();
}

static void run_in_each(void (*body)(int n))
{
	int outside = alive;

	in_each = body;
	run_ring(clean_outside);
	CHECK_EQ(alive, outside);
}

/* -- thrown and caught inside -- */

static int descend(int n, int depth)
{
	counted here(depth);

	if (depth == 0)
		throw counted(n);
	if (depth % 7 == n % 7)
		change_places();
	return descend(n, depth - 1) + here.n;
}

static void catch_from_below(int n)
{
	for (int i = 0; i < 5; i++) {
		try {
			descend(n, 20 + n);
			CHECK(!"reached");
		} catch (const counted &e) {
			CHECK_EQ(e.n, n);
		}
		check_nothing_caught();
	}
}

TEST(an_exception_crosses_frames_that_switched)
{
	run_in_each(catch_from_below);
}

/* -- switches inside catch -- */

static void stay_caught(int n, int turns)
{
	const std::exception_ptr caught = std::current_exception();
	const int on_the_way = std::uncaught_exceptions();

	for (int i = 0; i < turns; i++) {
		change_places();
		CHECK(std::current_exception() == caught);
		CHECK_EQ(caught_now(), n);
		CHECK_EQ(std::uncaught_exceptions(), on_the_way);
	}
}

/* Of different depths, so that they leave their handlers out of step. */
static void nest(int n, int depth)
{
	try {
		throw counted(n + depth);
	} catch (const counted &e) {
		stay_caught(n + depth, 1 + n % 3);
		if (depth > 0)
			nest(n, depth - 1);
		stay_caught(n + depth, 1);
		CHECK_EQ(e.n, n + depth);
	}
}

static void nest_and_rethrow(int n)
{
	try {
		try {
			throw counted(n);
		} catch (const counted &) {
			nest(100 * n, n);
			stay_caught(n, 2);
			throw;
		}
	} catch (const counted &e) {
		stay_caught(n, 2);
		CHECK_EQ(e.n, n);
	}
	change_places();
	check_nothing_caught();
}

TEST(a_switch_inside_nested_catches)
{
	run_in_each(nest_and_rethrow);
}

/* -- switches while an exception is on its way -- */

struct switches_at_end {
	int on_the_way, turns;

	~switches_at_end()
	{
		for (int i = 0; i < turns; i++) {
			CHECK_EQ(std::uncaught_exceptions(), on_the_way);
			change_places();
		}
		CHECK_EQ(std::uncaught_exceptions(), on_the_way);
	}
};

/* A destructor that itself throws, catches and switches. */
struct throws_inside {
	int n;

	~throws_inside()
	{
		try {
			switches_at_end here = { 2, n % 4 };

			throw counted(n + 1000);
		} catch (const counted &e) {
			change_places();
			CHECK_EQ(std::uncaught_exceptions(), 1);
			CHECK_EQ(e.n, n + 1000);
			CHECK_EQ(caught_now(), n + 1000);
		}
		change_places();
		CHECK_EQ(std::uncaught_exceptions(), 1);
	}
};

static void unwind_with_switches(int n)
{
	for (int i = 0; i < 3; i++) {
		try {
			switches_at_end outer = { 1, 2 };
			throws_inside middle = { n };
			switches_at_end inner = { 1, n % 3 };

			change_places();
			CHECK_EQ(std::uncaught_exceptions(), 0);
			throw counted(n);
		} catch (const counted &e) {
			stay_caught(n, i);
			CHECK_EQ(e.n, n);
		}
		if (n % 2)	/* out of step */
			change_places();
	}
}

TEST(a_switch_inside_destructors_while_unwinding)
{
	run_in_each(unwind_with_switches);
}

/* -- whoever starts contexts handles exceptions of its own -- */

struct runs_contexts {
	~runs_contexts()
	{
		run_in_each(unwind_with_switches);
		CHECK_EQ(std::uncaught_exceptions(), 1);
	}
};

TEST(a_context_begins_without_its_starters_exceptions)
{
	try {
		runs_contexts here;

		throw counted(5);
	} catch (const counted &) {
		run_in_each(nest_and_rethrow);
		CHECK_EQ(caught_now(), 5);
	}
	check_nothing_caught();
	CHECK_EQ(alive, 0);
}

/* -- what an injected function throws -- */

static void throw_number(void *arg)
{
	counted here(0);

	CHECK(tuck_ctx_self() != ring[0]);
	throw counted((int)(intptr_t)arg);
}

static void throw_into(int i, int n)
{
	CHECK_EQ(tuck_ctx_inject(ring[i], throw_number, (void *)(intptr_t)n),
		 0);
}

static int injected;

/* The innermost handler around the switch has it. */
static __attribute__((noinline)) void wait_for_injected(int n)
{
	try {
		counted here(n);

		change_places();
		CHECK(!"reached");
	} catch (const counted &e) {
		CHECK_EQ(e.n, 100 + n);
		stay_caught(100 + n, 1);
		injected++;
	}
}

struct waits_at_end {
	int n;

	~waits_at_end()
	{
		wait_for_injected(n);
		CHECK_EQ(std::uncaught_exceptions(), 1);
	}
};

/* Outside of handlers, in one, and in a destructor. */
static void wait_everywhere(int n)
{
	wait_for_injected(n);
	check_nothing_caught();
	change_places();
	try {
		throw counted(n);
	} catch (const counted &) {
		wait_for_injected(n);
		CHECK_EQ(caught_now(), n);
		stay_caught(n, 1);
	}
	check_nothing_caught();
	try {
		waits_at_end here = { n };

		throw counted(n);
	} catch (const counted &e) {
		CHECK_EQ(e.n, n);
	}
}

static void inject_into_all()
{
	for (int i = 1; i < RING; i++)
		throw_into(i, 100 + i);
}

TEST(what_an_injected_function_throws_is_caught_where_it_waits)
{
	in_each = wait_everywhere;
	ring_start(clean_outside);
	inject_into_all();
	change_places();
	CHECK_EQ(injected, 0);		/* all are in stay_caught() */
	change_places();
	CHECK_EQ(injected, RING - 1);
	try {
		throw counted(7);
	} catch (const counted &) {	/* the main context's own */
		change_places();
		inject_into_all();
		change_places();
		CHECK_EQ(caught_now(), 7);
	}
	change_places();
	CHECK_EQ(injected, 2 * (RING - 1));
	change_places();
	inject_into_all();
	ring_finish();
	CHECK_EQ(injected, 3 * (RING - 1));
	check_nothing_caught();
	CHECK_EQ(alive, 0);
}

/* -- exceptions that nobody catches -- */

static struct tuck_ctx one;

static struct tuck_ctx *escape(void *arg)
{
	counted here(3);

	change_places();
	throw std::runtime_error((const char *)arg);
}

static struct tuck_ctx *wait_for_ever(void *)
{
	counted here(3);

	for (;;)
		change_places();
	return NULL;
}

static void throw_text(void *arg)
{
	throw std::runtime_error((const char *)arg);
}

/* The handlers of whoever runs it are another context's. */
static void run_alone(enum kind kind, tuck_ctx_fn *fn, bool inject)
{
	static char text[] = "nobody wants me";

	ring[0] = tuck_ctx_self();
	for (int i = 1; i < RING; i++)
		ring[i] = &one;
	try {
		init(&one, kind);
		start(&one, fn, text);
		if (inject)
			CHECK_EQ(tuck_ctx_inject(&one, throw_text, text), 0);
		pass(&one, NULL);
	} catch (...) {
		_exit(3);
	}
	_exit(4);
}

#define WHAT "what():  nobody wants me"

TEST(an_exception_that_escapes_terminates)
{
	for (int kind = 0; kind < KINDS; kind++)
		CHECK_DIES(-SIGABRT, WHAT,
			   run_alone((enum kind)kind, escape, false););
}

TEST(an_injected_exception_that_escapes_terminates)
{
	for (int kind = 0; kind < KINDS; kind++)
		CHECK_DIES(-SIGABRT, WHAT,
			   run_alone((enum kind)kind, wait_for_ever, true););
}

static void say_and_leave()
{
	fprintf(stderr, "own handler: %d alive\n", alive);
	_exit(tuck_ctx_self() == &one ? 9 : 5);
}

/* Nothing is unwound, so a core file shows where it was thrown. */
TEST(a_terminate_handler_runs_in_the_context)
{
	std::set_terminate(say_and_leave);
	for (int kind = 0; kind < KINDS; kind++)
		CHECK_DIES(9, "own handler: 1 alive",
			   run_alone((enum kind)kind, escape, false););
}

/* -- contexts that end or are given back inside catch -- */

/* Nobody releases it; LeakSanitizer need not know. */
static auto &unreleased = *new std::vector<void *>;

struct stays : counted {
	stays() : counted(1)
	{
		unreleased.push_back(this);
	}
};

static struct tuck_ctx *stop_inside_catch(void *arg)
{
	check_nothing_caught();
	try {
		throw stays();
	} catch (const counted &) {
		pass((struct tuck_ctx *)arg, NULL);
		CHECK_EQ(caught_now(), 1);
		tuck_ctx_leave((struct tuck_ctx *)arg, NULL);
	}
	return NULL;
}

/* For all that compilers know, it returns: else the handler is left out. */
static void (*volatile leave)(struct tuck_ctx *, void *) = tuck_ctx_leave;

struct stops_at_end {
	struct tuck_ctx *to;

	~stops_at_end()
	{
		pass(to, NULL);
		CHECK_EQ(std::uncaught_exceptions(), 1);
		leave(to, NULL);
	}
};

static struct tuck_ctx *stop_while_unwinding(void *arg)
{
	check_nothing_caught();
	try {
		stops_at_end here = { (struct tuck_ctx *)arg };

		throw stays();
	} catch (const counted &) {
		CHECK(!"reached");
	}
	return NULL;
}

/* Given back where they wait; or ended, and started again. */
static void stop_all(tuck_ctx_fn *fn, int caught)
{
	struct tuck_ctx *self = tuck_ctx_self();

	for (int kind = 0; kind < KINDS; kind++)
		for (int ends = 0; ends < 2; ends++) {
			init(&one, (enum kind)kind);
			start(&one, fn, self);
			CHECK_EQ(caught_now(), caught);
			if (ends) {
				pass(&one, NULL);
				CHECK_EQ(caught_now(), caught);
				start(&one, fn, self);
			}
			fini(&one);
			CHECK_EQ(caught_now(), caught);
			CHECK_EQ(std::uncaught_exceptions(), 0);
		}
}

TEST(contexts_stop_while_exceptions_are_handled)
{
	stop_all(stop_inside_catch, -1);
	stop_all(stop_while_unwinding, -1);
	try {
		throw counted(8);
	} catch (const counted &e) {
		stop_all(stop_inside_catch, 8);
		stop_all(stop_while_unwinding, 8);
		CHECK_EQ(e.n, 8);
	}
	check_nothing_caught();
	CHECK_EQ(alive, (int)unreleased.size());
	run_in_each(nest_and_rethrow);
	free_stacks();
}
