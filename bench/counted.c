/* SPDX-License-Identifier: MIT */
/* What is compiled with each way of counting ticks, and without. */
#include "counted.h"

#include "../tests/preempt/images.c"

static uint64_t loop(void)
{
	uint64_t x = 1;

	for (int i = 0; i < 40000000; i++) {
		x = x * 6364136223846793005 + 1442695040888963407;
		__asm__ volatile("" : "+r"(x));
	}
	return x;
}

static uint64_t sieve(void)
{
	static unsigned char composite[2000000];
	const int n = sizeof(composite);
	uint64_t primes = 0;

	for (int i = 0; i < n; i++)
		composite[i] = 0;
	for (int i = 2; i < n; i++) {
		if (composite[i])
			continue;
		primes++;
		for (int j = 2 * i; j < n; j += i)
			composite[j] = 1;
	}
	return primes;
}

static __attribute__((__noinline__)) uint64_t fib(int n)
{
	return n < 2 ? (uint64_t)n : fib(n - 1) + fib(n - 2);
}

static uint64_t fib_32(void)
{
	return fib(32);
}

static uint64_t png(void)
{
	uint64_t h = 0;

	for (uint32_t i = 0; i < 10; i++)
		h ^= image_as_png(i);
	return h;
}

static uint64_t jpeg(void)
{
	uint64_t h = 0;

	for (uint32_t i = 0; i < 30; i++)
		h ^= image_as_jpeg(i);
	return h;
}

const struct work works[WORKS] = {
	{ "loop", loop }, { "sieve", sieve }, { "fib", fib_32 },
	{ "png", png },	  { "jpeg", jpeg },
};
