/* SPDX-License-Identifier: MIT */
/*
 * A call of libc's that may wait does so alone: it has begun, it has not
 * ended, and another tasklet runs, which is what lets it end.
 */
#ifndef ALONE_H
#define ALONE_H

#include <time.h>

#include "hooked.h"

static struct {
	const struct call *call;
	tuck_id id;
	int began, ended;
} waiting;

/* What is set up first, what waits, and what ends that; NULL: a cancel. */
struct call {
	const char *name;
	void (*prepare)(void), (*wait)(void), (*let_go)(void);
};

static inline void make_call(void *arg)
{
	(void)arg;
	waiting.began = 1;
	waiting.call->wait();
	waiting.ended = 1;
}

static inline void check_alone(const struct call *call)
{
	waiting.call = call;
	waiting.began = waiting.ended = 0;
	if (call->prepare)
		call->prepare();
	waiting.id = go(make_call, NULL);
	settle();
	if (!waiting.began || waiting.ended)
		check_fail(CHECK_AT, "%s does not wait", call->name);
	if (call->let_go)
		call->let_go();
	else
		CHECK_EQ(tuck_cancel(waiting.id), 0);
	WAIT_FOR(waiting.ended);
}

#define CHECK_ALONE(calls) do {						\
	for (size_t i = 0; i < sizeof(calls) / sizeof((calls)[0]); i++)	\
		check_alone(&(calls)[i]);				\
} while (0)

/* Where a call stops its thread, it is not for ever. */
static inline struct timespec long_time(void)
{
	return (struct timespec){ check_limit_s() / 2, 0 };
}

static inline struct timespec late(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_sec += check_limit_s() / 2;
	return t;
}

#endif
