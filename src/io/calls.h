/* SPDX-License-Identifier: MIT */
/*
 * Jobs for threads that may block, inside: what offload.c asks of calls.c. Both
 * it and workers.c know tasklets by their ids only.
 */
#ifndef TUCK__CALLS_H
#define TUCK__CALLS_H

#include <stddef.h>
#include <tuck/offload.h>

#include "task/task.h"

enum tuck__call_phase {
	TUCK__CALL_NEW,
	TUCK__CALL_QUEUED,
	TUCK__CALL_WITHDRAWN,	/* never runs */
	TUCK__CALL_RUNNING,
	TUCK__CALL_ENDED	/* has a result; nobody else knows of it */
};

struct tuck__lane;

/* Whoever comes last, tasklet or worker, frees it. */
struct tuck__call {
	struct tuck__far far;
	struct tuck__held held;
	struct tuck__link link;		/* of its lane, or those that run */
	struct tuck__lane *lane;	/* while it is queued */
	tuck_id id;
	int (*fn)(void *arg);
	void (*discard)(void *arg, int result);
	void *arg;			/* what fn gets: the block, or not */
	void *user;			/* where the output goes, */
	const void *out;		/* where it is in the block, */
	size_t out_bytes;		/* and how much of it: fn may say */
	int result;
	int fd;				/* that fn uses, or -1 */
	uint32_t fd_table;		/* once it runs */
	bool closes;			/* fd, when it has ended */
	bool left;			/* nobody waits for it */
	bool remote;			/* waits for another machine */
	_Atomic(uint8_t) phase;
	_Alignas(max_align_t) char block[];
};

/*
 * The caller's proc's place among those of its pool, for calls of either kind:
 * NULL without memory.
 */
struct tuck__lane *tuck__lane(struct tuck__sched *s, bool remote);

/*
 * Have a new call run: 0, or -ENOMEM or -EAGAIN when there is no thread for it
 * and none can be made. From then on any thread may end its wait.
 */
int tuck__call_submit(struct tuck__call *call);

/* If it has not begun: it never will. */
void tuck__call_withdraw(struct tuck__call *call);

/*
 * Calls that are queued for fd, of the calling thread's table, end with -EBADF,
 * for soon the number may be another's. Whether one that runs uses it: then the
 * last of them closes it, for until then the number must not be another's.
 */
bool tuck__calls_close(int fd);

/* Nobody waits any more; it is freed now, or when it has ended. */
void tuck__call_leave(struct tuck__call *call);

static inline struct tuck__call *tuck__call_of(void *block)
{
	return tuck__container(block, struct tuck__call, block);
}

static inline uint8_t tuck__call_phase(const struct tuck__call *call)
{
	return atomic_load_explicit(&call->phase, memory_order_acquire);
}

#endif
