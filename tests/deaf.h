/* SPDX-License-Identifier: MIT */
/* Procs that wait in one way or the other, and only for a kick. */
#ifndef DEAF_H
#define DEAF_H

#include <tuck.h>

#include "sockets.h"
#include "task/task.h"

/* So that the proc waits in a poller from now on, not on a futex. */
static inline void have_poller(int fd[2])
{
	char c;

	pipe_pair(fd);
	CHECK_EQ(tuck_read(fd[0], &c, 1, 1), -ETIMEDOUT);
}

/*
 * Procs that wait look around now and then, so a wake-up that gets lost is a
 * pause, which the machine may be to blame for as well. But in this idle hook
 * it is a hang.
 */
struct deaf {
	const struct tuck__idle *idle;
	void *arg;
};

/* The hooks that the deaf ones stand for, by the number of their proc. */
static const struct tuck__idle *kicked[TUCK__SCHEDS_MAX];

static inline void wait_for_a_kick(struct tuck__sched *s, void *arg,
				   tuck_ns deadline)
{
	struct deaf *d = arg;

	if (deadline != TUCK_NOWAIT)
		deadline = TUCK_FOREVER;
	d->idle->wait(s, d->arg, deadline);
}

static inline bool deaf_busy(void *arg)
{
	struct deaf *d = arg;

	return d->idle->busy(d->arg);
}

static inline void deaf_kick(struct tuck__sched *s)
{
	kicked[s->number]->kick(s);
}

static inline void become_deaf(struct deaf *d)
{
	static const struct tuck__idle hook = { wait_for_a_kick, deaf_busy,
						deaf_kick };

	*d = (struct deaf){ tuck__tls->idle, tuck__tls->idle_arg };
	kicked[tuck__tls->number] = d->idle;
	tuck__sched_set_idle(tuck__tls, &hook, d);
}

static inline void hear_again(const struct deaf *d)
{
	tuck__sched_set_idle(tuck__tls, d->idle, d->arg);
}

#endif
