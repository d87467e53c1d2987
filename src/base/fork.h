/* SPDX-License-Identifier: MIT */
/* fork(2): a lock that nobody else holds at that time, nor in the child. */
#ifndef TUCK__FORK_H
#define TUCK__FORK_H

#include <pthread.h>

/*
 * For a static mutex inside which no other of these is taken. Where there is
 * no memory for it at the program's start, it is left out.
 */
#define TUCK__FORK_GUARD(lock)						\
	static void lock##_before_fork(void)				\
	{								\
		pthread_mutex_lock(&lock);				\
	}								\
	static void lock##_after_fork(void)				\
	{								\
		pthread_mutex_unlock(&lock);				\
	}								\
	__attribute__((__constructor__)) static void lock##_guard(void)	\
	{								\
		pthread_atfork(lock##_before_fork, lock##_after_fork,	\
			       lock##_after_fork);			\
	}

#endif
