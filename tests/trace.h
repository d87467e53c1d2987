/* SPDX-License-Identifier: MIT */
/*
 * What tests of tasklets have in common: a trace of who ran in which order,
 * and configurations.
 */
#ifndef TRACE_H
#define TRACE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <tuck/base.h>
#include <tuck/chan.h>
#include <tuck/debug.h>
#include <tuck/task.h>
#include <unistd.h>

#include "check.h"

static char trace_text[1024];
static size_t trace_used;

static inline void mark(int c)
{
	CHECK(trace_used < sizeof(trace_text) - 1);
	trace_text[trace_used++] = (char)c;
	trace_text[trace_used] = 0;
}

/* The marks must be these, since the last time. */
#define CHECK_TRACE(text) do {						\
	CHECK_STR(trace_text, text);					\
	trace_used = 0;							\
	trace_text[0] = 0;						\
} while (0)

#define SIXTEEN_NUMBERS							\
	" %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d"

/* qemu-user says that there are none. */
static inline bool threads_are_counted(void)
{
	long n = -1;
	FILE *f = fopen("/proc/self/stat", "r");

	CHECK(f);
	CHECK_EQ(fscanf(f, "%*[^)]) %*s" SIXTEEN_NUMBERS " %ld", &n), 1);
	fclose(f);
	return n > 0;
}

static inline void *use_tuck_and_pause(void *began)
{
	tuck_self();
	__atomic_store_n((bool *)began, true, __ATOMIC_RELEASE);
	for (;;)
		pause();
	return NULL;
}

/*
 * Where threads are not counted, those that do not use Tuck, or not yet, are
 * nobody to it, and a wait for one is taken for a deadlock unless a proc is
 * awake.
 */
static inline void keep_hope(void)
{
	static bool began;
	pthread_t thread;

	if (threads_are_counted())
		return;
	CHECK_EQ(pthread_create(&thread, NULL, use_tuck_and_pause, &began), 0);
	while (!__atomic_load_n(&began, __ATOMIC_ACQUIRE))
		usleep(1000);
}

static inline int has_policy(void)
{
	return getenv("TUCK_SEED") || getenv("TUCK_POLICY");
}

/* The order is the one of docs/scheduling.md only without a policy. */
static inline void needs_fifo(void)
{
	if (has_policy())
		SKIP("the order is a policy's");
}

/* A channel: one that all procs share, if the environment says so. */
static inline struct tuck_chan *chan_new(size_t elem_bytes, size_t capacity)
{
	struct tuck_chan *chan = tuck_chan_new(elem_bytes, capacity);

	if (chan && getenv("TEST_SHARED"))
		CHECK_EQ(tuck_chan_share(chan), 0);
	return chan;
}

/* To be called before anything else of Tuck. */
static inline void use_slots(size_t n)
{
	struct tuck_config config = { n, 0, 0, 0, 0 };

	CHECK_EQ(tuck_config_set(&config), 0);
}

/* A tasklet that leaves its letter. */
static inline void letter(void *name)
{
	mark(*(const char *)name);
}

/* Until all others of this proc wait, or have ended. */
static inline void let_others_wait(void)
{
	struct tuck_stats stats;

	do {
		tuck_yield();
		CHECK_EQ(tuck_stats(&stats), 0);
	} while (stats.ready > 0);
}

static inline tuck_id go(void (*fn)(void *), void *arg)
{
	tuck_id id = tuck_go(fn, arg);

	CHECK(id > 0);
	return id;
}

static inline tuck_id go_letter(const char *name)
{
	return go(letter, (void *)(uintptr_t)name);
}

static inline void on_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, fn, arg), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* xorshift32; every sequence from its own state. */
static inline uint32_t next_random(uint32_t *state)
{
	uint32_t x = *state;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

#endif
