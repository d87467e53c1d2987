/* SPDX-License-Identifier: MIT */
/*
 * Contexts on stacks of each kind that run in turn, the main one among them:
 * those of a kind lie where the others of it lay.
 */
#ifndef RING_H
#define RING_H

#include "stacks.h"

#define RING (2 * KINDS + 1)

static struct tuck_ctx ring_made[RING], *ring[RING];	/* 0: the main one */
static void (*ring_body)(int n);
static int ring_ended;

static inline int ring_place(void)
{
	const struct tuck_ctx *self = tuck_ctx_self();
	int i = 0;

	while (ring[i] != self)
		i++;
	return i;
}

/* Until all others have had a turn. */
static inline void change_places(void)
{
	int i = ring_place();

	do
		i = (i + 1) % RING;
	while (!suspended(ring[i]));
	pass(ring[i], NULL);
}

static inline struct tuck_ctx *ring_live(void *arg)
{
	ring_body((int)(intptr_t)arg);
	ring_ended++;
	return ring[0];
}

static inline void ring_start(void (*body)(int n))
{
	const struct tuck_config one = { 1, 0, 0, 0, 0 };

	CHECK_EQ(tuck_config_set(&one), 0);
	ring[0] = tuck_ctx_self();
	ring_body = body;
	ring_ended = 0;
	for (int i = 1; i < RING; i++) {
		ring[i] = &ring_made[i];
		init(ring[i], (enum kind)(i % KINDS));
	}
	for (int i = 1; i < RING; i++)
		start(ring[i], ring_live, (void *)(intptr_t)i);
}

static inline void ring_finish(void)
{
	while (ring_ended < RING - 1)
		change_places();
	for (int i = 1; i < RING; i++)
		fini(ring[i]);
	free_stacks();
}

/* body(1), body(2) and so on, each in a context of its own. */
static inline void run_ring(void (*body)(int n))
{
	ring_start(body);
	ring_finish();
}

#endif
