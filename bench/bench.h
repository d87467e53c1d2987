/* SPDX-License-Identifier: MIT */
/*
 * What the benchmark programs share: clocks, memory in use, calibration of
 * a loop to about 0.2 s, and main(), which runs one work and prints its
 * figure. A program is called as "program WORK [N]"; it exits with 77 when
 * its runtime, or the machine, cannot do the work.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BENCH_LACKING = 77, BENCH_SECONDS_MAX = 120 };

/* A sleeper's waits: 1 to 101 ms, the same in every runtime. */
enum { BENCH_SLEEPS = 10 };
#define BENCH_SLEEP_US(i, k) (1000 + ((i) * 7919 + (k) * 104729) % 100000)

/* The 30th of Fibonacci's numbers; up to the 14th in one go. */
enum {
	BENCH_TREE = 30,
	BENCH_TREE_LEAF = 14,
	BENCH_TREE_RESULT = 832040,
	BENCH_TREE_TASKLETS = 5167
};

#define BENCH_CHECK(ok) \
	((ok) ? (void)0 : bench_fail(__FILE__, __LINE__, #ok))

struct bench_work {
	const char *name;
	long n;			/* default of the second argument */
	double (*run)(long n);	/* the figure; below 0: cannot do it */
};

static inline void bench_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
	exit(1);
}

static inline int64_t bench_clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/*
 * None of these works waits for anything but the CPU, so the time that its
 * thread ran is what it takes on a machine with nothing else to do.
 */
static clockid_t bench_clock = CLOCK_THREAD_CPUTIME_ID;

static inline int64_t bench_now(void)
{
	return bench_clock_ns(bench_clock);
}

/* CPU seconds of the process so far, all threads, user and kernel. */
static inline double bench_cpu_s(void)
{
	return (double)bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
}

/* Bytes of memory that the process occupies. */
static inline double bench_resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long pages = 0;

	BENCH_CHECK(f && fscanf(f, "%*d %ld", &pages) == 1);
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* Whether the machine has that many bytes of memory to spare, and a few. */
static inline int bench_has_room(double bytes)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	double kb = 0;

	BENCH_CHECK(f);
	while (!kb && fgets(line, sizeof(line), f))
		if (!strncmp(line, "MemAvailable:", 13))
			kb = strtod(line + 13, NULL);
	fclose(f);
	return kb * 1024 > bytes * 1.25;
}

/* Nanoseconds per operation, where batch(n) does n * ops of them. */
static inline double bench_per_op(void (*batch)(long n), long ops)
{
	int64_t t;
	long n;

	batch(1);
	for (n = 1;; n *= 2) {
		t = bench_now();
		batch(n);
		t = bench_now() - t;
		if (t > 20000000)
			break;
	}
	if (t < 150000000) {
		n = (long)((double)n * 200e6 / (double)t);
		t = bench_now();
		batch(n);
		t = bench_now() - t;
	}
	return (double)t / ((double)n * (double)ops);
}

static inline int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/*
 * The same by the clock, for works of several threads: whoever else wants the
 * CPUs takes one of them away in some bursts, so what nine of ten exceed
 * stands for all.
 */
static inline double bench_per_op_bursts(void (*batch)(long n), long ops)
{
	enum { BURST = 1000, BURSTS_MAX = 500 };
	static double took[BURSTS_MAX];
	int64_t t, end;
	int n = 0;

	bench_clock = CLOCK_MONOTONIC;
	batch(BURST);
	end = bench_now() + 500000000;
	do {
		t = bench_now();
		batch(BURST);
		took[n++] = (double)(bench_now() - t) /
			    ((double)BURST * (double)ops);
	} while (n < BURSTS_MAX && bench_now() < end);
	qsort(took, (size_t)n, sizeof(took[0]), bench_compare);
	return took[n / 10];
}

static inline int bench_main(int argc, char **argv,
			     const struct bench_work *work)
{
	double figure;
	long n;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: %s WORK [N]\n", argv[0]);
		return 2;
	}
	while (work->name && strcmp(work->name, argv[1]))
		work++;
	if (!work->name)
		return BENCH_LACKING;
	n = argc == 3 ? strtol(argv[2], NULL, 10) : work->n;
	BENCH_CHECK(n > 0);
	alarm(BENCH_SECONDS_MAX);
	figure = work->run(n);
	if (figure < 0)
		return BENCH_LACKING;
	printf("%.6g\n", figure);
	return 0;
}

#endif
