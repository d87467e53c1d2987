/* SPDX-License-Identifier: MIT */
/* What the tests of offloaded calls share: a gate that calls wait at. */
#ifndef OFFLOADS_H
#define OFFLOADS_H

#include <stdatomic.h>
#include <tuck.h>

#include "sockets.h"
#include "trace.h"

static atomic_int gate_open, at_gate, passed_gate;

/* Blocks its thread until the gate is open. */
static inline int wait_at_gate(void *arg)
{
	(void)arg;
	atomic_fetch_add(&at_gate, 1);
	while (!atomic_load(&gate_open))
		usleep(200);
	atomic_fetch_add(&passed_gate, 1);
	return 7;
}

static inline void go_through_gate(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_offload(wait_at_gate, NULL, 0, TUCK_FOREVER), 7);
}

/* The only thread there may be is busy. */
static inline void close_gate(void)
{
	CHECK_EQ(tuck_offload_limit(1, 0), 0);
	go(go_through_gate, NULL);
	WAIT_FOR(atomic_load(&at_gate) == 1);
}

static inline void open_gate(void)
{
	atomic_store(&gate_open, 1);
}

static inline struct tuck_offload_stats offloads(void)
{
	struct tuck_offload_stats stats;

	CHECK_EQ(tuck_offload_stats(&stats), 0);
	return stats;
}

/* All is done, and forgotten where nobody waited for it. */
static inline void no_call_is_left(void)
{
	WAIT_FOR(offloads().running == 0);
	CHECK_EQ(offloads().queued, 0);
}

#endif
