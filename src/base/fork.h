/* SPDX-License-Identifier: MIT */
/*
 * fork(2): what each part of the library does about it, and in which order.
 *
 * Before a fork the locks of all parts are taken, so that the child finds none
 * that a thread held which is gone; the parent gives them back. The child does
 * so too, each after that part has seen to what the others left.
 */
#ifndef TUCK__FORK_H
#define TUCK__FORK_H

#include <pthread.h>
#include <stdint.h>

#include "base/check.h"

/*
 * In the order in which their locks are taken. They are given back in the
 * reverse one: so in the child a part may use those that stand below it, which
 * have been seen to.
 */
enum tuck__fork_part {
	TUCK__FORK_SIGNALS,		/* rings, once tasklets are there */
	TUCK__FORK_OFFLOADS,		/* calls end, and so waits */
	TUCK__FORK_PROCS,		/* whose tasklets are there */
	TUCK__FORK_RENDEZVOUS,		/* who is there to be met */
	TUCK__FORK_TASKLETS,		/* the lock of all owners */
	/* Inside of these no other one is taken. */
	TUCK__FORK_REGISTRY,
	TUCK__FORK_WAKES,
	TUCK__FORK_CHANNELS,
	TUCK__FORK_LOCALS,
	TUCK__FORK_CPUS,
	TUCK__FORK_CARRIERS,
	TUCK__FORK_LOADER,
	TUCK__FORK_CONFIG,
	TUCK__FORK_PARTS
};

/* in_child, which may be NULL, is called between lock and unlock. */
struct tuck__at_fork {
	void (*lock)(void), (*unlock)(void), (*in_child)(void);
};

/*
 * Filled in at the program's start, from where the locks are: an object that
 * had nothing but its entry would not be linked from an archive.
 */
extern struct tuck__at_fork tuck__at_fork[TUCK__FORK_PARTS];

#define TUCK__AT_FORK(part, ...)					\
	__attribute__((__constructor__)) static void part##_enter(void)	\
	{								\
		tuck__at_fork[part] =					\
			(struct tuck__at_fork){ __VA_ARGS__ };		\
	}

/* The same for a part that has a mutex. */
#define TUCK__AT_FORK_MUTEX(part, mutex, in_child)			\
	static void part##_lock(void)					\
	{								\
		pthread_mutex_lock(&(mutex));				\
	}								\
	static void part##_unlock(void)					\
	{								\
		pthread_mutex_unlock(&(mutex));				\
	}								\
	TUCK__AT_FORK(part, part##_lock, part##_unlock, in_child)

/* How often the process was made by a fork since it was started. */
extern uint32_t tuck__forks;

/*
 * Whether what was made when tuck__forks was so is the parent's: other procs
 * that it belongs to are gone, and may have left it locked.
 */
static inline bool tuck__forked_since(uint32_t forks)
{
	return tuck__unlikely(forks != tuck__forks);
}

#endif
