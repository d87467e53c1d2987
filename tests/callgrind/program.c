/* SPDX-License-Identifier: MIT */
/*
 * Small works whose instructions are counted, see count.py.
 * Usage: program WORK ROUNDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tuck.h>

#include "base/config.h"
#include "ctx/ctx.h"

static void start(void (*fn)(void *), void *arg)
{
	if (tuck_go(fn, arg) < 0)
		exit(1);
}

/* -- a switch of two contexts, without a scheduler -- */

static const struct tuck__host nobody;
static struct tuck__cache cache;
static struct tuck__ctx main_ctx, other_ctx;

static void switch_back(void *arg)
{
	(void)arg;
	for (;;)
		tuck__ctx_switch(&cache, &other_ctx, &main_ctx, 0);
}

/* A round is two switches; the caller counts for half. */
static void work_switch(long rounds)
{
	struct tuck_config config;

	tuck__config_get(&config);
	tuck__cache_init(&cache, &nobody, &config);
	tuck__ctx_init_native(&cache, &main_ctx);
	if (tuck__ctx_admit(&cache, &other_ctx, &main_ctx, switch_back, NULL))
		exit(1);
	for (rounds /= 2; rounds > 0; rounds--)
		tuck__ctx_switch(&cache, &main_ctx, &other_ctx, 0);
}

/* The same by the public call, which any C stack may make. */
static struct tuck_ctx *public_main, public_other;

static struct tuck_ctx *public_back(void *arg)
{
	(void)arg;
	for (;;)
		tuck_ctx_switch(public_main, NULL, NULL);
	return public_main;
}

static void work_public(long rounds)
{
	public_main = tuck_ctx_self();
	if (tuck_ctx_init(&public_other, NULL, NULL) < 0 ||
	    tuck_ctx_start(&public_other, public_back, NULL, NULL) < 0)
		exit(1);
	for (rounds /= 2; rounds > 0; rounds--)
		tuck_ctx_switch(&public_other, NULL, NULL);
}

/* -- tasklets -- */

static void yield_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		tuck_yield();
}

static void work_yield(long rounds)
{
	start(yield_for_ever, NULL);
	for (rounds /= 2; rounds > 0; rounds--)
		tuck_yield();
}

static struct tuck_chan *there, *back;

static void answer(void *arg)
{
	int word;

	(void)arg;
	for (;;) {
		tuck_chan_recv(there, &word, TUCK_FOREVER);
		tuck_chan_send(back, &word, TUCK_FOREVER);
	}
}

/* A round is one message; two go to and fro. */
static void work_message(long rounds)
{
	int word = 1;

	there = tuck_chan_new(sizeof(word), 0);
	back = tuck_chan_new(sizeof(word), 0);
	start(answer, NULL);
	for (rounds /= 2; rounds > 0; rounds--) {
		tuck_chan_send(there, &word, TUCK_FOREVER);
		tuck_chan_recv(back, &word, TUCK_FOREVER);
	}
}

static void end_at_once(void *arg)
{
	(void)arg;
}

static void work_spawn(long rounds)
{
	for (; rounds > 0; rounds--) {
		start(end_at_once, NULL);
		tuck_yield();
	}
}

/*
 * Two share the one slot, so that each switch tucks one and brings the other
 * back. A round is one switch.
 */
static long left;
static tuck_id main_id;

static void yield_with_bytes(void *arg)
{
	volatile char bytes[128];	/* with the frames below some 200 */

	(void)arg;
	for (bytes[0] = bytes[127] = 1; left-- > 0; bytes[0]++)
		tuck_yield();
	tuck_unblock(main_id);
}

static void work_copied(long rounds)
{
	const struct tuck_config one_slot = { .stack_slots = 1 };

	tuck_config_set(&one_slot);
	left = rounds;
	main_id = tuck_self();
	start(yield_with_bytes, NULL);
	start(yield_with_bytes, NULL);
	tuck_block(TUCK_FOREVER);
}

static const struct {
	const char *name;
	void (*fn)(long rounds);
} works[] = {
	{ "switch", work_switch }, { "tuck_ctx_switch", work_public },
	{ "yield", work_yield },   { "message", work_message },
	{ "spawn", work_spawn },   { "copied", work_copied },
};

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
		if (strcmp(argv[1], works[i].name) == 0) {
			works[i].fn(atol(argv[2]));
			return 0;
		}
	}
	return 2;
}
