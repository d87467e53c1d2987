/* SPDX-License-Identifier: MIT */
/* C++ that computes, compiled so that it is pre-empted. */
#include "objects.h"

#include <condition_variable>
#include <mutex>
#include <string>

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

static __attribute__((__noinline__)) void never_ends(const std::string &text)
{
	volatile unsigned sum = 0;

	for (;;) {
		std::string copy = text + text;

		for (char c : copy)
			sum = sum + (unsigned char)c;
		dawdle(3);
	}
}

/* Not seen through, or the compiler would know that it throws nothing. */
static void (*volatile compute)(const std::string &) = never_ends;

void holds_an_object(void *count)
{
	object o(static_cast<int *>(count));

	compute("a text that is too long for no allocation at all");
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
