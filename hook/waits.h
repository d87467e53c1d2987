/* SPDX-License-Identifier: MIT */
/*
 * Who waits for which descriptors: proc.c has what belongs to a proc, pump.c
 * what wakes, wait.c what waits, and the invariants.
 */
#ifndef TUCK__HOOK_WAITS_H
#define TUCK__HOOK_WAITS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <tuck/sync.h>

#include "base/list.h"
#include "hook/hook.h"

#define BUCKETS	1024

/* A descriptor that somebody waits for. */
struct waiter {
	struct tuck__link link;	/* in a bucket */
	struct wait *wait;
	int fd;
	uint32_t events;
};

struct wait {
	struct tuck__link link;	/* in its proc's */
	struct tuck_sem sem;
	struct hooked *in;
	tuck_id of;
	bool fired;
	int result;
	size_t n;
	struct waiter fds[];
};

/* Of a thread that is a proc. */
struct hooked {
	struct tuck__link link;	/* in all */
	pthread_mutex_t lock;
	int set;
	struct tuck__link entered;	/* all waits */
	atomic_int waits;	/* that have not fired */
	tuck_id pump;		/* 0: there is none */
	int interrupt;		/* eventfd that a signal handler writes to */
	atomic_bool interrupted, restarts;
	tuck_id main;		/* whose wait that ends */
	struct wait *of_main;
	struct tuck__link buckets[BUCKETS];
};

extern atomic_int tuck__waits_n;	/* that all procs have entered */

static inline struct tuck__link *bucket_of(struct hooked *h, int fd)
{
	return &h->buckets[(unsigned)fd % BUCKETS];
}

static inline struct waiter *waiter_of(struct tuck__link *l)
{
	return tuck__container(l, struct waiter, link);
}

/* -- proc.c -- */

/* The calling thread's; NULL before its first wait. */
extern __thread struct hooked *tuck__hooked;

/* Have one: 0 or an error. */
int tuck__hooked_make(void);

/* -- pump.c; but for the first, under the lock -- */

/* Have a tasklet that wakes those who wait: 0 or an error. */
int tuck__pump_start(struct hooked *h);

void tuck__wait_fire(struct wait *w, int result);

/* Out of the table, and freed. */
void tuck__wait_discard(struct wait *w);

/* Those of tasklets that were dropped, or all. Takes the lock. */
void tuck__waits_discard(struct hooked *h, bool everybody);

/* For what they want who wait for fd: 0 or an error. */
int tuck__waits_arm(struct hooked *h, int fd);

/* Descriptors first to last are closed. */
void tuck__waits_close(struct hooked *h, unsigned first, unsigned last);

#endif
