/* SPDX-License-Identifier: MIT */
/* A feed: what sends events to a channel of its own, while that lives. */
#ifndef TUCK__FEED_H
#define TUCK__FEED_H

#include "chan/chan.h"

struct tuck__feed {
	struct tuck__alarm alarm;	/* on home */
	struct tuck__source source;
	struct tuck__request stop;
	struct tuck_chan *chan;
	struct tuck__sched *home;
	bool live;			/* home's: its alarm may ring */
	atomic_int users;		/* home, and chan until it is closed */
	const struct tuck__feed_kind *kind;
};

/*
 * - ring: the alarm's, on home.
 * - closed: the channel has been closed or freed; in any thread. May be NULL.
 * - gone: nobody uses the feed any more; in any thread.
 */
struct tuck__feed_kind {
	void (*ring)(struct tuck__sched *s, struct tuck__alarm *a);
	void (*closed)(struct tuck__feed *feed);
	void (*gone)(struct tuck__feed *feed);
};

/*
 * Begin: a channel for elements of that size and number, fed by the caller's
 * proc; the alarm rings at that time. 0, or an error and nothing has begun.
 */
int tuck__feed_begin(struct tuck__feed *feed,
		     const struct tuck__feed_kind *kind, size_t elem_bytes,
		     size_t capacity, tuck_ns at);

static inline struct tuck__feed *tuck__feed_of(struct tuck__alarm *a)
{
	return tuck__container(a, struct tuck__feed, alarm);
}

#endif
