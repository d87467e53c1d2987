/* SPDX-License-Identifier: MIT */
/* What the files of sync.h's calls share. */
#ifndef TUCK__SYNC_H
#define TUCK__SYNC_H

#include <errno.h>
#include <tuck/sync.h>

#include "ctx/slots.h"
#include "task/waitq.h"

/* The queue in an object: the caller's memory as the library sees it. */
#define TUCK__QUEUE(object) ((struct tuck__waitq *)(void *)(object))

/* What is in a word besides flags. */
#define TUCK__COUNT(word) ((int64_t)((word) & INT32_MAX))

static inline int tuck__sync_init(void *object, size_t bytes, int64_t word)
{
	TUCK__REQUIRE(object, -EINVAL);
	TUCK__REQUIRE(!tuck__tls ||
			      !tuck__slots_hold(&tuck__tls->cache, object),
		      -EINVAL);
	__builtin_memset(object, 0, bytes);
	TUCK__QUEUE(object)->word = word;
	return 0;
}

/* An object is done with, unless somebody waits, or holds it. */
static inline int tuck__sync_fini(void *object, bool held)
{
	struct tuck__waitq *q = TUCK__QUEUE(object);

	TUCK__REQUIRE(q, -EINVAL);
	TUCK__REQUIRE(!held && !(q->word & TUCK__WAITERS), -EBUSY);
	return 0;
}

/* Of a call that may wait: its arguments, and that there is a scheduler. */
static inline int tuck__sync_check(const void *object, tuck_ns deadline)
{
	TUCK__REQUIRE(object && deadline >= 0, -EINVAL);
	TUCK__REQUIRE(tuck__sched(), tuck__sched_error());
	return 0;
}

#endif
