/* SPDX-License-Identifier: MIT */
/*
 * What the works on signals share: an interrupt is raised in the thread that
 * handles it, or sent by another one while that sleeps, and it is measured
 * until the flow that waits for it runs.
 */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "bench.h"

#define SLEEP_US 60		/* until it sleeps for sure */

static pthread_t signal_target;
static atomic_long signal_armed;
static _Atomic(int64_t) signal_sent, signal_sum;

static inline void signal_handle(void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler,
				    .sa_flags = SA_RESTART };

	BENCH_CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
}

/* The flow has run. */
static inline void signal_seen(void)
{
	signal_sum += bench_clock_ns(CLOCK_MONOTONIC) - signal_sent;
}

static inline void *signal_send(void *rounds)
{
	for (long i = 1; i <= (long)(intptr_t)rounds; i++) {
		while (signal_armed < i)
			usleep(10);
		usleep(SLEEP_US);
		signal_sent = bench_clock_ns(CLOCK_MONOTONIC);
		pthread_kill(signal_target, SIGUSR1);
	}
	return NULL;
}

/* Nanoseconds from the sending until wait_for_it() has called signal_seen(). */
static inline double signal_wake(long rounds, void (*wait_for_it)(void))
{
	pthread_t sender;

	signal_target = pthread_self();
	BENCH_CHECK(pthread_create(&sender, NULL, signal_send,
				   (void *)(intptr_t)rounds) == 0);
	for (long i = 1; i <= rounds; i++) {
		signal_armed = i;
		wait_for_it();
	}
	pthread_join(sender, NULL);
	return (double)signal_sum / (double)rounds;
}

#endif
