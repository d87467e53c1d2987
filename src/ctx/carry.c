/* SPDX-License-Identifier: MIT */
/*
 * Context slots: bytes of the program's that travel with contexts. They are
 * kept in the frame that waits for a context's turn, since a slice holds that
 * anyway.
 *
 * Invariant: the list does not change once there is a context, so it is read
 * without a lock.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <tuck/ctx.h>

#include "base/check.h"
#include "base/fork.h"
#include "base/mem.h"
#include "ctx/carry.h"

#define CARRIERS_MAX 8

static struct carrier {
	size_t bytes;
	void *(*where)(void);
} carriers[CARRIERS_MAX];

static int carriers_n;
static struct tuck__carried initial;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
TUCK__AT_FORK_MUTEX(TUCK__FORK_CARRIERS, lock, NULL)
static bool frozen;

size_t tuck__carry_total;

static int add(size_t bytes, void *(*where)(void), const void *now)
{
	if (frozen)
		return -EBUSY;
	if (carriers_n == CARRIERS_MAX ||
	    bytes > TUCK__CARRY_MAX - tuck__carry_total)
		return -ENOSPC;
	memcpy(initial.bytes + tuck__carry_total, now, bytes);
	carriers[carriers_n++] = (struct carrier){ bytes, where };
	tuck__carry_total += bytes;
	return 0;
}

int tuck_context_slot_add(size_t bytes, void *(*where)(void))
{
	const void *now;
	int r;

	TUCK__REQUIRE(bytes > 0 && where, -EINVAL);
	now = where();		/* without the lock: it may call Tuck */
	pthread_mutex_lock(&lock);
	r = add(bytes, where, now);
	pthread_mutex_unlock(&lock);
	return r;
}

void tuck__carry_freeze(void)
{
	pthread_mutex_lock(&lock);
	frozen = true;
	pthread_mutex_unlock(&lock);
}

void tuck__carry_out(struct tuck__carried *kept)
{
	size_t at = 0;

	tuck__calls_out++;
	for (int i = 0; i < carriers_n; i++) {
		size_t n = carriers[i].bytes;
		void *bytes = carriers[i].where();

		if (kept)
			memcpy(kept->bytes + at, bytes, n);
		memcpy(bytes, initial.bytes + at, n);
		at += n;
	}
	tuck__calls_out--;
}

void tuck__carry_in(struct tuck__carried *kept)
{
	size_t at = 0;

	tuck__calls_out++;
	for (int i = 0; i < carriers_n; i++) {
		memcpy(carriers[i].where(), kept->bytes + at,
		       carriers[i].bytes);
		at += carriers[i].bytes;
	}
	tuck__calls_out--;
}
