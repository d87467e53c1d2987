/* SPDX-License-Identifier: MIT */
/* A channel inside: what plain operations and select have in common. */
#ifndef TUCK__CHAN_H
#define TUCK__CHAN_H

#include <errno.h>
#include <tuck/chan.h>

#include "task/task.h"

struct tuck_chan {
	uint32_t magic;
	uint32_t elem_bytes;
	size_t capacity, count, first;	/* of the ring, in elements */
	struct tuck__link senders, receivers;
	tuck_id home;			/* its proc's main tasklet */
	uint8_t prefer;
	bool closed;
	char *ring;
};

/* What a select is woken with: the index of the case, and this if closed. */
#define TUCK__CASE_CLOSED (1 << 30)

/* 0, or what is wrong with a channel that s wants to use. */
int tuck__chan_check(const struct tuck_chan *chan, const struct tuck__sched *s);

/* Whether an operation would neither wait nor be refused for waiting. */
bool tuck__chan_can(const struct tuck_chan *chan, enum tuck_op op);

/* Do one that can go: 0, or -EPIPE. May switch; chan may be gone then. */
int tuck__chan_do(struct tuck__sched *s, struct tuck_chan *chan,
		  enum tuck_op op, void *elem);

#endif
