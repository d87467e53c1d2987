/* SPDX-License-Identifier: MIT */
/* C++ that computes, compiled so that it is pre-empted. */
#include "objects.h"

#include <condition_variable>
#include <mutex>

static __attribute__((__noinline__)) void dawdle(int n)
{
	for (volatile int i = 0; i < n; i++)
		;
}

struct object {
	int *count;

	explicit object(int *of) : count(of)
	{
		++*count;
	}
	~object()
	{
		--*count;
	}
	object(const object &) = delete;
	object &operator=(const object &) = delete;
};

/* Not seen through, or the compiler would know that these throw nothing. */
static void never_ends(int n);
static void (*volatile compute)(int) = never_ends,
		       (*volatile wait)(int) = dawdle;

/* With objects of its own, whose destructors it loses. */
static int lost;

static void never_ends(int n)
{
	for (;;) {
		object a(&lost);

		wait(n);
		object b(&lost);

		dawdle(n);
	}
}

void holds_an_object(void *count)
{
	object o(static_cast<int *>(count));

	compute(3);
}

int static_builds;

static int build()
{
	static_builds++;
	dawdle(10000);
	return 42;
}

int slow_static()
{
	static const int value = build();

	return value;
}

/* Each with an object and a function of its own. */
int calls_once(int n)
{
	int right = 0;

	for (int i = 0; i < n; i++) {
		std::once_flag flag;
		int mine = 0;

		std::call_once(flag, [&] {
			dawdle(i % 7);
			mine = n;
		});
		right += mine == n;
	}
	return right;
}

static std::mutex mutex;
static std::condition_variable changed;
static int stock, taken;

void produces(void *n)
{
	for (int i = 0; i < *static_cast<int *>(n); i++) {
		std::unique_lock<std::mutex> lock(mutex);

		dawdle(20);
		stock++;
		if (i % 2)
			changed.notify_one();
		else
			changed.notify_all();
	}
}

void consumes(void *n)
{
	for (int i = 0; i < *static_cast<int *>(n); i++) {
		std::unique_lock<std::mutex> lock(mutex);

		while (stock == 0)
			changed.wait(lock);
		dawdle(20);
		stock--;
		taken++;
	}
}

int has_taken()
{
	std::unique_lock<std::mutex> lock(mutex);

	return taken;
}
