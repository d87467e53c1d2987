/* SPDX-License-Identifier: MIT */
/*
 * C++ in tasklets: what is being caught and what is on its way belongs to a
 * tasklet, through every kind of switch.
 */
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <tuck.h>

extern "C" {
#include "base/mem.h"
}
#include "counted.h"
#include "trace.h"

static int ended;	/* tasklets that came to their end */

static void run(void (*fn)(void *), void *arg)
{
	CHECK_EQ(tuck_join(go(fn, arg), TUCK_FOREVER), 0);
}

/* fn(1) and fn(2), in turn at each switch. */
static void run_two(void (*fn)(void *))
{
	tuck_id one = go(fn, (void *)1), two = go(fn, (void *)2);

	CHECK_EQ(tuck_join(one, TUCK_FOREVER), 0);
	tuck_join(two, TUCK_FOREVER);
	CHECK_EQ(std::uncaught_exceptions(), 0);
	CHECK(!std::current_exception());
	CHECK_EQ(alive, 0);
}

static int number(void *arg)
{
	return (int)(intptr_t)arg;
}

/* -- thrown and caught inside -- */

/* noinline: so that there are frames to unwind. */
static __attribute__((noinline)) int descend(int n)
{
	counted here(n);

	if (n == 0)
		throw std::out_of_range("the bottom");
	return descend(n - 1) + here.n;
}

static void catch_from_below(void *)
{
	try {
		descend(30);
		CHECK(!"reached");
	} catch (const std::runtime_error &) {
		CHECK(!"reached");
	} catch (const std::logic_error &e) {
		CHECK_STR(e.what(), "the bottom");
	}
	CHECK_EQ(alive, 0);
}

TEST(an_exception_crosses_frames)
{
	for (int i = 0; i < 100; i++)
		run(catch_from_below, NULL);
}

static int compare_or_throw(const void *a, const void *b)
{
	int x = *static_cast<const int *>(a), y = *static_cast<const int *>(b);
	counted here(x);

	tuck_yield();
	if (x == 13 || y == 13)
		throw counted(x + y - 13);
	return x - y;
}

/* glibc has its sort compiled with -fexceptions, for this. */
static void throw_through_qsort(void *arg)
{
	int values[] = { 9, 4, 7, number(arg), 2, 8, 6 };

	try {
		qsort(values, 7, sizeof(int), compare_or_throw);
		CHECK(number(arg) != 13);
	} catch (const counted &) {
		CHECK_EQ(number(arg), 13);
		ended++;
		return;
	}
	CHECK(std::is_sorted(values, values + 7));
	ended++;
}

TEST(an_exception_crosses_frames_of_c)
{
	use_slots(2);
	for (int i = 0; i < 20; i++)
		go(throw_through_qsort, (void *)(intptr_t)(i % 2 ? i : 13));
	while (ended < 20)
		tuck_yield();
	CHECK_EQ(alive, 0);
}

/* -- switches inside catch -- */

static void rethrow_after_yields(void *arg)
{
	int n = number(arg);

	try {
		try {
			throw counted(n);
		} catch (counted &e) {
			for (int i = 0; i < 5; i++) {
				std::exception_ptr p = std::current_exception();

				tuck_yield();
				CHECK_EQ(e.n, n);
				CHECK(p == std::current_exception());
				CHECK_EQ(std::uncaught_exceptions(), 0);
			}
			tuck_yield();
			throw;
		}
	} catch (const counted &e) {
		tuck_yield();
		CHECK_EQ(e.n, n);
		CHECK_EQ(caught_now(), n);
	}
	CHECK_EQ(caught_now(), -1);
	tuck_yield();
	CHECK_EQ(caught_now(), -1);
}

TEST(a_switch_inside_catch)
{
	run_two(rethrow_after_yields);
}

TEST(a_switch_inside_catch_on_one_stack)
{
	use_slots(1);
	run_two(rethrow_after_yields);
}

static void nest(int n, int depth)
{
	try {
		throw counted(n + depth);
	} catch (const counted &) {
		tuck_yield();
		CHECK_EQ(caught_now(), n + depth);
		if (depth > 0)
			nest(n, depth - 1);
		CHECK_EQ(caught_now(), n + depth);
		tuck_yield();
		CHECK_EQ(caught_now(), n + depth);
	}
}

/* Of different depths, so that they leave their handlers out of step. */
static void nest_by_number(void *arg)
{
	nest(100 * number(arg), 2 + 3 * number(arg));
	CHECK_EQ(caught_now(), -1);
}

TEST(switches_inside_nested_catches)
{
	use_slots(1);
	run_two(nest_by_number);
}

/* -- switches while an exception is on its way -- */

struct yields_at_end {
	int on_the_way;

	~yields_at_end()
	{
		for (int i = 0; i < 3; i++) {
			CHECK_EQ(std::uncaught_exceptions(), on_the_way);
			tuck_yield();
		}
		CHECK_EQ(std::uncaught_exceptions(), on_the_way);
	}
};

static void unwind_with_yields(void *arg)
{
	int n = number(arg);

	for (int i = 0; i < 3; i++) {
		try {
			yields_at_end outer = { 1 };
			yields_at_end inner = { 1 };

			tuck_yield();
			CHECK_EQ(std::uncaught_exceptions(), 0);
			throw counted(n);
		} catch (const counted &e) {
			CHECK_EQ(std::uncaught_exceptions(), 0);
			CHECK_EQ(e.n, n);
			CHECK_EQ(caught_now(), n);
		}
		if (n == 2)	/* out of step */
			tuck_yield();
	}
	ended++;
}

TEST(a_switch_while_unwinding)
{
	run_two(unwind_with_yields);
}

TEST(a_switch_while_unwinding_on_one_stack)
{
	use_slots(1);
	run_two(unwind_with_yields);
}

/* A destructor that itself throws, catches and switches. */
struct throws_inside {
	int n;

	~throws_inside()
	{
		CHECK_EQ(std::uncaught_exceptions(), 1);
		try {
			yields_at_end here = { 2 };

			throw counted(n + 1);
		} catch (const counted &e) {
			tuck_yield();
			CHECK_EQ(std::uncaught_exceptions(), 1);
			CHECK_EQ(e.n, n + 1);
		}
		tuck_yield();
		CHECK_EQ(std::uncaught_exceptions(), 1);
	}
};

static void throw_while_unwinding(void *arg)
{
	int n = 10 * number(arg);

	try {
		throws_inside here = { n };

		throw counted(n);
	} catch (const counted &e) {
		tuck_yield();
		CHECK_EQ(e.n, n);
	}
}

TEST(a_switch_with_two_exceptions_on_their_way)
{
	use_slots(1);
	run_two(throw_while_unwinding);
}

/* -- hundreds of tasklets, in any order -- */

#define PROGRAMS 300

/* A random program of calls, exceptions and switches. */
struct program {
	uint32_t random;
	int ops = 40, depth = 0;
	int catching = 0, on_the_way = 0;	/* what C++ should say */
	int innermost = -1;			/* the one being caught */
	std::exception_ptr kept;
	int kept_n = -1;

	uint32_t dice(uint32_t n)
	{
		return next_random(&random) % n;
	}
	void change_places()
	{
		if (dice(4))
			tuck_yield();
		else
			CHECK_EQ(tuck_sleep(1), 0);
		CHECK_EQ(std::uncaught_exceptions(), on_the_way);
		CHECK_EQ(caught_now(), innermost);
	}
	void run();
	void call();
	void catch_below();
	void keep();
	void rethrow_kept();
};

/* In a frame that an exception may leave. */
struct frame {
	program *p;
	std::string text;
	std::unique_ptr<counted> heap;
	int outside;

	explicit frame(program *of)
	    : p(of), text(p->dice(60), (char)('a' + p->dice(26))),
	      heap(new counted((int)text.size())), outside(p->on_the_way)
	{
	}
	~frame()
	{
		int was = p->on_the_way;

		CHECK_EQ(heap->n, (int)text.size());
		p->on_the_way = std::uncaught_exceptions();
		CHECK(p->on_the_way == outside || p->on_the_way == outside + 1);
		if (p->dice(2)) {
			/* Nothing that leaves a destructor is thrown here. */
			try {
				p->run();
			} catch (const counted &) {
			}
		}
		p->on_the_way = was;
	}
};

void program::call()
{
	frame here(this);

	change_places();
	run();
}

void program::catch_below()
{
	int was = innermost, way = on_the_way, n = (int)dice(1000000), got;

	try {
		try {
			if (dice(3)) {
				frame here(this);

				throw counted(n);
			}
			call();
		} catch (const counted &e) {
			on_the_way = way;
			innermost = got = e.n;
			change_places();
			run();
			CHECK_EQ(e.n, got);
			change_places();
			innermost = was;
			if (dice(2))
				throw;
		}
	} catch (const counted &e) {
		on_the_way = way;
		innermost = e.n;
		change_places();
		innermost = was;
	}
	CHECK_EQ(caught_now(), was);
}

void program::keep()
{
	kept_n = (int)dice(1000000);
	kept = std::make_exception_ptr(counted(kept_n));
}

void program::rethrow_kept()
{
	int was = innermost;

	if (!kept)
		return;
	try {
		std::rethrow_exception(kept);
	} catch (const counted &e) {
		innermost = e.n;
		change_places();
		CHECK_EQ(e.n, kept_n);
		innermost = was;
	}
}

void program::run()
{
	if (depth >= 6)
		return;
	depth++;
	while (ops-- > 0) {
		switch (dice(7)) {
		case 0: call(); break;
		case 1:
		case 2: catch_below(); break;
		case 3: keep(); break;
		case 4: rethrow_kept(); break;
		case 5: change_places(); break;
		default: depth--; return;
		}
	}
	depth--;
}

static void run_program(void *arg)
{
	program p;

	p.random = (uint32_t)(uintptr_t)arg | 1;
	while (p.ops > 0) {
		p.depth = 0;
		p.run();
	}
	ended++;
}

static void run_programs(size_t slots)
{
	uint32_t random = (uint32_t)slots * 2654435761u + 1;

	if (slots)
		use_slots(slots);
	for (int i = 0; i < PROGRAMS; i++)
		go(run_program, (void *)(uintptr_t)next_random(&random));
	while (ended < PROGRAMS)
		tuck_yield();
	CHECK_EQ(alive, 0);
}

TEST(programs_of_exceptions)
{
	run_programs(0);
}

TEST(programs_of_exceptions_on_one_stack)
{
	run_programs(1);
}

TEST(programs_of_exceptions_on_five_stacks)
{
	run_programs(5);
}

/* -- exceptions that leave their tasklet -- */

static void throw_to_channel(void *chan)
{
	for (int i = 0; i < 10; i++) {
		auto *p = new std::exception_ptr;

		try {
			throw counted(i);
		} catch (...) {
			*p = std::current_exception();
			tuck_yield();
		}
		CHECK_EQ(tuck_chan_send((tuck_chan *)chan, &p, TUCK_FOREVER),
			 0);
	}
}

TEST(an_exception_is_carried_to_another_tasklet)
{
	tuck_chan *chan;

	use_slots(1);
	chan = tuck_chan_new(sizeof(std::exception_ptr *), 3);
	go(throw_to_channel, chan);
	for (int i = 0; i < 10; i++) {
		std::exception_ptr *p;

		CHECK_EQ(tuck_chan_recv(chan, &p, TUCK_FOREVER), 0);
		try {
			std::rethrow_exception(*p);
		} catch (const counted &e) {
			tuck_yield();
			CHECK_EQ(e.n, i);
			CHECK_EQ(caught_now(), i);
		}
		delete p;
	}
	CHECK_EQ(alive, 0);
	tuck_chan_free(chan);
}

/* The same object is being caught by two at once. */
static std::exception_ptr shared;

static void rethrow_shared(void *)
{
	for (int i = 0; i < 5; i++) {
		try {
			yields_at_end here = { 1 };

			std::rethrow_exception(shared);
		} catch (const counted &e) {
			tuck_yield();
			CHECK_EQ(e.n, 77);
		}
	}
	if (++ended == 2)
		shared = nullptr;
}

TEST(two_catch_one_exception)
{
	use_slots(1);
	shared = std::make_exception_ptr(counted(77));
	run_two(rethrow_shared);
}

/* -- an exception that nobody catches -- */

static void escape(void *arg)
{
	counted here(3);

	tuck_yield();
	throw std::runtime_error((const char *)arg);
}

TEST(an_exception_that_escapes_terminates)
{
	CHECK_DIES(-SIGABRT, "what():  nobody wants me",
		   run(escape, (void *)"nobody wants me"););
}

TEST(an_exception_that_escapes_a_copied_tasklet_terminates)
{
	CHECK_DIES(-SIGABRT, "what():  nobody wants me", use_slots(1);
		   run(escape, (void *)"nobody wants me"););
}

static void say_and_leave()
{
	try {
		throw;
	} catch (const std::exception &e) {
		fprintf(stderr, "own handler: %s, %d on the way, %d alive\n",
			e.what(), std::uncaught_exceptions(), alive);
	}
	_exit(9);
}

/* Nothing is unwound, so a core file shows where it was thrown. */
TEST(a_terminate_handler_sees_what_escaped)
{
	std::set_terminate(say_and_leave);
	CHECK_DIES(9, "own handler: lost, 0 on the way, 1 alive",
		   run(escape, (void *)"lost"););
}

struct throws_at_end {
	~throws_at_end() noexcept(false)
	{
		tuck_yield();
		throw counted(5);
	}
};

static void throw_out_of_a_destructor(void *)
{
	try {
		throws_at_end here;

		throw counted(4);
	} catch (...) {
	}
}

static void leave_with_8()
{
	_exit(8);
}

TEST(a_second_exception_while_unwinding_terminates)
{
	std::set_terminate(leave_with_8);
	CHECK_DIES(8, "", go(rethrow_after_yields, (void *)1);
		   run(throw_out_of_a_destructor, NULL););
}

/* Another's exception on its way must not make this one the second. */
static void throw_out_of_a_lone_destructor(void *)
{
	for (int i = 0; i < 20; i++) {
		try {
			throws_at_end here;
		} catch (const counted &e) {
			CHECK_EQ(e.n, 5);
		}
	}
	ended++;
}

TEST(an_exception_of_another_tasklet_is_not_a_second)
{
	use_slots(1);
	go(unwind_with_yields, (void *)1);
	go(throw_out_of_a_lone_destructor, NULL);
	while (ended < 2)
		tuck_yield();
	CHECK_EQ(alive, 0);
}

/* -- beginnings and ends beside a catch -- */

static void begin_clean(void *)
{
	CHECK_EQ(std::uncaught_exceptions(), 0);
	CHECK_EQ(caught_now(), -1);
	tuck_yield();
	catch_from_below(NULL);
	CHECK_EQ(caught_now(), -1);
	ended++;
}

struct starts_another {
	~starts_another()
	{
		int outside = alive;

		alive = 0;
		run(begin_clean, NULL);
		alive = outside;
		CHECK_EQ(std::uncaught_exceptions(), 1);
	}
};

TEST(a_tasklet_begins_without_its_starters_exceptions)
{
	use_slots(1);
	try {
		starts_another here;

		throw counted(6);
	} catch (const counted &) {
		int outside = alive;

		alive = 0;
		run(begin_clean, NULL);
		alive = outside;
		CHECK_EQ(caught_now(), 6);
	}
	CHECK_EQ(ended, 2);
	CHECK_EQ(alive, 0);
}

/* Who ends inside its catch does not release what it caught. */
static auto &unreleased = *new std::vector<std::exception_ptr>;

static void throw_and_catch(void (*then)())
{
	try {
		throw counted(1);
	} catch (const counted &) {
		unreleased.push_back(std::current_exception());
		tuck_yield();
		then();
	}
}

static void end_inside_catch(void *)
{
	throw_and_catch(tuck_exit);
}

static void sleep_inside_catch(void *)
{
	throw_and_catch([] { tuck_block(TUCK_FOREVER); });
}

TEST(a_tasklet_ends_while_exceptions_are_handled)
{
	use_slots(1);
	run(end_inside_catch, NULL);
	CHECK_EQ(caught_now(), -1);
	try {
		throw counted(8);
	} catch (const counted &e) {
		tuck_id sleeper = go(sleep_inside_catch, NULL);

		for (int i = 0; i < 5; i++)
			run(end_inside_catch, NULL);
		CHECK_EQ(tuck_drop(sleeper), 0);
		CHECK_EQ(e.n, 8);
		CHECK_EQ(caught_now(), 8);
	}
	CHECK_EQ(caught_now(), -1);
	CHECK_EQ(alive, 7);
}

/* The bytes of so large a frame need a mapping, which is refused. */
static void catch_without_memory(void *arg)
{
	char large[100000];
	int n = number(arg);

	memset(large, n, sizeof(large));
	__asm__ volatile("" : : "r"(large) : "memory");
	try {
		throw counted(n);
	} catch (const counted &) {
		tuck__fault_set(1, 1);
		for (int i = 0; i < 3; i++) {
			tuck_yield();
			CHECK_EQ(tuck__fault_count(), i + 1);
			CHECK_EQ(caught_now(), n);
		}
		tuck__fault_set(0, 0);
		tuck_yield();
		CHECK_EQ(caught_now(), n);
	}
	CHECK_EQ(large[99999], (char)n);
	ended++;
}

TEST(a_refused_switch_inside_catch)
{
	needs_fifo();
	use_slots(1);
	for (int i = 0; i < 3; i++)
		go(catch_without_memory, (void *)(intptr_t)i);
	while (ended < 3)
		tuck_yield();
	CHECK_EQ(alive, 0);
}

/* -- objects -- */

/* Locals of all kinds live on, and end when their scope does. */
static void use_containers(void *arg)
{
	uint32_t random = (uint32_t)(uintptr_t)arg | 1;
	std::vector<std::string> words;
	std::map<int, counted> numbers;
	std::function<bool(const std::string &, const std::string &)> less;

	less = [&words](const std::string &a, const std::string &b) {
		if (a.size() % 8 == 0)
			tuck_yield();
		return a < b && !words.empty();
	};
	for (int i = 0; i < 40; i++) {
		words.push_back(std::string(next_random(&random) % 40, 'x') +
				std::to_string(next_random(&random)));
		numbers.emplace((int)(next_random(&random) % 1000), counted(i));
		if (i % 4 == 0)
			tuck_yield();
	}
	std::sort(words.begin(), words.end(), less);
	CHECK(std::is_sorted(words.begin(), words.end()));
	CHECK_EQ(words.size(), 40);
	CHECK(alive >= (int)numbers.size());
	ended++;
}

TEST(containers_and_their_ends)
{
	use_slots(3);
	for (int i = 0; i < 100; i++)
		go(use_containers, (void *)(intptr_t)(i * 7919 + 1));
	while (ended < 100)
		tuck_yield();
	tuck_yield();
	CHECK_EQ(alive, 0);
}

static int made, unmade;

struct per_thread {
	int uses = 0;

	per_thread()
	{
		__atomic_fetch_add(&made, 1, __ATOMIC_SEQ_CST);
	}
	~per_thread()
	{
		__atomic_fetch_add(&unmade, 1, __ATOMIC_SEQ_CST);
	}
};

static thread_local per_thread mine;

static void use_thread_local(void *)
{
	per_thread *first = &mine;

	for (int i = 0; i < 10; i++) {
		mine.uses++;
		tuck_yield();
		CHECK(first == &mine);
	}
}

static void use_from_many()
{
	CHECK_EQ(mine.uses, 0);
	for (int i = 0; i < 10; i++)
		go(use_thread_local, NULL);
	while (mine.uses < 100)
		tuck_yield();
}

TEST(a_thread_local_object_is_its_procs)
{
	use_slots(2);
	for (int i = 1; i <= 3; i++) {
		std::thread(use_from_many).join();
		CHECK_EQ(made, i);
		CHECK_EQ(unmade, i);
	}
}

/* Each proc has globals of its own. */
TEST(procs_catch_side_by_side)
{
	std::thread other([] { run_two(rethrow_after_yields); });

	other.join();
	run_two(rethrow_after_yields);
}
