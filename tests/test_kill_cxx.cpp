/* SPDX-License-Identifier: MIT */
/*
 * Kill in C++: destructors run, catch (...) must rethrow, and what cannot be
 * passed (noexcept, a catch (...) that keeps it) ends the process by name.
 */
#include <cxxabi.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <tuck.h>

#include "trace.h"

static int alive;	/* objects that want a destructor */

struct counted {
	counted()
	{
		alive++;
	}
	counted(const counted &)
	{
		alive++;
	}
	~counted()
	{
		alive--;
	}
};

/* Leaves its letter when it is destroyed. */
struct letter_at_end {
	char c;

	explicit letter_at_end(char of) : c(of)
	{
	}
	~letter_at_end()
	{
		mark(c);
	}
};

static void settle()
{
	struct tuck_stats stats;

	do {
		tuck_sleep(tuck_after(TUCK_MS(2)));
		CHECK_EQ(tuck_stats(&stats), 0);
	} while (stats.ready > 0);
}

static void ignore(void *)
{
}

/* Wait for the end of a tasklet, which may have come already. */
static void finish(tuck_id id)
{
	int r = tuck_join(id, TUCK_FOREVER);

	CHECK(r == 0 || r == -ESRCH);
}

/* Kill fn where it waits; with one slot, when another has had it. */
static void kill_in(void (*fn)(void *))
{
	tuck_id id = go(fn, NULL);

	settle();
	finish(go(ignore, NULL));
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_EQ(alive, 0);
	CHECK(!strchr(trace_text, '-'));
	CHECK_EQ(std::uncaught_exceptions(), 0);
	CHECK(!std::current_exception());
}

/* -- destructors -- */

static __attribute__((noinline)) void wait_below(int n)
{
	counted here;
	std::string held(100, 'x');

	if (n == 0)
		tuck_block(TUCK_FOREVER);
	else
		wait_below(n - 1);
	mark('-');		/* not reached */
}

static void hold_much(void *)
{
	auto p = std::make_unique<std::vector<counted>>(10);

	wait_below(20);
	CHECK(p);
}

TEST(destructors_run)
{
	for (int i = 0; i < 100; i++)
		kill_in(hold_much);
}

TEST(destructors_run_on_one_slot)
{
	use_slots(1);
	for (int i = 0; i < 100; i++)
		kill_in(hold_much);
}

TEST(destructors_run_at_exit)
{
	finish(go(
		[](void *) {
			counted here;

			tuck_exit();
		},
		NULL));
	CHECK_EQ(alive, 0);
}

static void mark_it(void *arg)
{
	mark(*static_cast<const char *>(arg));
}

/* Inlined without optimization too: it is the caller's cleanup. */
static inline __attribute__((always_inline)) void defer(const char *c)
{
	CHECK_EQ(tuck_defer(mark_it, const_cast<char *>(c)), 0);
}

static __attribute__((noinline)) void inner_frame()
{
	letter_at_end i('i');

	defer("3");
	tuck_block(TUCK_FOREVER);
}

/* Of a frame, first its destructors run, then what it deferred. */
TEST(destructors_and_deferred_cleanups_alternate)
{
	kill_in([](void *) {
		letter_at_end o('o');

		defer("1");
		defer("2");
		inner_frame();
	});
	CHECK_TRACE("i3o21");
}

/* -- catch -- */

TEST(catch_all_that_rethrows)
{
	kill_in([](void *) {
		letter_at_end o('o');

		try {
			letter_at_end i('i');

			tuck_block(TUCK_FOREVER);
		} catch (...) {
			mark('c');
			throw;
		}
	});
	CHECK_TRACE("ico");
}

TEST(catch_all_that_waits_and_rethrows)
{
	use_slots(1);
	kill_in([](void *) {
		letter_at_end o('o');

		try {
			tuck_block(TUCK_FOREVER);
		} catch (...) {
			mark('(');
			CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(3))), 0);
			mark(')');
			throw;
		}
	});
	CHECK_TRACE("()o");
}

TEST(catch_all_twice)
{
	kill_in([](void *) {
		try {
			try {
				tuck_block(TUCK_FOREVER);
			} catch (...) {
				mark('1');
				throw;
			}
		} catch (...) {
			mark('2');
			throw;
		}
	});
	CHECK_TRACE("12");
}

TEST(other_catches_are_passed)
{
	kill_in([](void *) {
		letter_at_end o('o');

		try {
			tuck_block(TUCK_FOREVER);
		} catch (const std::exception &) {
			mark('e');
		} catch (int) {
			mark('n');
		}
	});
	CHECK_TRACE("o");
}

static void wait_in_catch(void *)
{
	letter_at_end o('o');

	try {
		throw counted();
	} catch (const counted &) {
		letter_at_end i('i');

		tuck_block(TUCK_FOREVER);
	}
}

/* What was being caught is destroyed on the way. */
TEST(killed_inside_catch)
{
	kill_in(wait_in_catch);
	CHECK_TRACE("io");
}

TEST(killed_inside_catch_tucked)
{
	use_slots(1);
	for (int i = 0; i < 50; i++) {
		kill_in(wait_in_catch);
		CHECK_TRACE("io");
	}
}

/* Two at once, each with what it catches. */
TEST(two_killed_inside_catch)
{
	tuck_id a, b;

	use_slots(1);
	a = go(wait_in_catch, NULL);
	b = go(wait_in_catch, NULL);
	settle();
	CHECK_EQ(alive, 2);
	CHECK_EQ(tuck_kill(b), 0);
	finish(b);
	CHECK_EQ(alive, 1);
	CHECK_EQ(tuck_kill(a), 0);
	finish(a);
	CHECK_EQ(alive, 0);
	CHECK_TRACE("ioio");
}

TEST(catch_all_that_exits_again)
{
	kill_in([](void *) {
		letter_at_end o('o');

		try {
			tuck_block(TUCK_FOREVER);
		} catch (...) {
			mark('c');
			tuck_exit();
		}
	});
	CHECK_TRACE("co");
}

struct waits_at_end {
	~waits_at_end()
	{
		mark('(');
		CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(3))), 0);
		CHECK_EQ(tuck_block(tuck_after(TUCK_MS(1))), -ETIMEDOUT);
		mark(')');
	}
};

static void wait_with_slow_destructor(void *)
{
	letter_at_end o('o');
	waits_at_end w;

	tuck_block(TUCK_FOREVER);
}

/* Killed once more in it, and cancelled: it goes on. */
TEST(a_destructor_may_wait)
{
	tuck_id id = go(wait_with_slow_destructor, NULL);

	settle();
	CHECK_EQ(tuck_kill(id), 0);
	while (trace_used < 1)
		tuck_yield();
	CHECK_EQ(tuck_kill(id), -EALREADY);
	CHECK_EQ(tuck_cancel(id), 0);
	finish(id);
	CHECK_TRACE("()o");
}

TEST(a_destructor_may_wait_on_one_slot)
{
	use_slots(1);
	kill_in(wait_with_slow_destructor);
	CHECK_TRACE("()o");
}

/* An exception may be thrown and caught in a cleanup. */
struct throws_inside {
	~throws_inside()
	{
		try {
			tuck_yield();
			throw counted();
		} catch (const counted &) {
			mark('t');
			tuck_yield();
		}
	}
};

TEST(a_destructor_may_throw_inside)
{
	kill_in([](void *) {
		letter_at_end o('o');
		throws_inside t;

		tuck_block(TUCK_FOREVER);
	});
	CHECK_TRACE("to");
}

TEST(it_has_no_cxx_type)
{
	kill_in([](void *) {
		try {
			tuck_block(TUCK_FOREVER);
		} catch (...) {
			CHECK(!abi::__cxa_current_exception_type());
			mark('c');
			throw;
		}
	});
	CHECK_TRACE("c");
}

/* -- through C -- */

static int compare_and_block(const void *a, const void *b)
{
	counted here;

	tuck_block(TUCK_FOREVER);
	return *static_cast<const int *>(a) - *static_cast<const int *>(b);
}

TEST(through_qsort)
{
	kill_in([](void *) {
		int values[] = { 3, 1, 2 };
		counted here;

		qsort(values, 3, sizeof(int), compare_and_block);
	});
}

TEST(through_sort)
{
	kill_in([](void *) {
		std::vector<int> values = { 3, 1, 2 };

		std::sort(values.begin(), values.end(), [](int a, int b) {
			counted here;

			tuck_block(TUCK_FOREVER);
			return a < b;
		});
	});
}

/* -- what cannot be passed -- */

static void swallow(void *)
{
	try {
		tuck_block(TUCK_FOREVER);
	} catch (...) {
	}
	CHECK(!"reached");
}

static void block_noexcept(void *) noexcept
{
	tuck_block(TUCK_FOREVER);
}

struct blocks_at_end {
	~blocks_at_end()
	{
		tuck_block(TUCK_FOREVER);
	}
};

/* At a normal end of its scope: destructors are noexcept. */
static void block_in_destructor(void *)
{
	blocks_at_end here;
}

static void nested_catch(void *)
{
	try {
		throw 1;
	} catch (int) {
		try {
			tuck_block(TUCK_FOREVER);
		} catch (...) {
			throw;
		}
	}
}

TEST(catch_all_that_keeps_it_is_named)
{
	CHECK_DIES(-SIGABRT, "must rethrow", { kill_in(swallow); });
}

TEST(noexcept_terminates)
{
	CHECK_DIES(-SIGABRT, "terminate", { kill_in(block_noexcept); });
}

TEST(a_wait_in_a_destructor_terminates)
{
	CHECK_DIES(-SIGABRT, "terminate", { kill_in(block_in_destructor); });
}

/* A limit of libstdc++: no catch (...) for it inside another catch. */
TEST(catch_all_inside_another_catch_terminates)
{
	CHECK_DIES(-SIGABRT, "terminate", { kill_in(nested_catch); });
}

/* -- many -- */

static void catch_and_wait(void *arg)
{
	try {
		throw counted();
	} catch (const counted &) {
		hold_much(arg);
	}
}

TEST_LIMIT(thousands, 60)
{
	std::vector<tuck_id> ids;

	use_slots(4);
	for (int i = 0; i < (UNDER_TSAN ? 600 : 3000); i++)
		ids.push_back(go(i % 2 ? catch_and_wait : hold_much, NULL));
	settle();
	for (auto id : ids) {
		CHECK_EQ(tuck_kill(id), 0);
		if (id % 16 == 0)
			finish(id);
	}
	for (auto id : ids)
		finish(id);
	CHECK_EQ(alive, 0);
	CHECK_TRACE("");
}
