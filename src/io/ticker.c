/* SPDX-License-Identifier: MIT */
/*
 * Tickers and timers as channels: an alarm that sends the time that it was
 * set for. The next time is counted from that, not from now, so that a ticker
 * does not drift.
 */
#include <tuck/event.h>

#include "base/mem.h"
#include "io/feed.h"

struct ticker {
	struct tuck__feed feed;
	tuck_ns at, period;		/* period 0: once */
};

static tuck_ns later(tuck_ns at, tuck_ns by)
{
	return __builtin_add_overflow(at, by, &at) ? TUCK_FOREVER : at;
}

/* Send the last tick that is due; those before it are missed. */
static void tick(struct tuck__sched *s, struct tuck__alarm *a)
{
	struct ticker *t = tuck__container(tuck__feed_of(a), struct ticker,
					   feed);
	tuck_ns late = tuck_now() - t->at, due;

	due = late > 0 ? t->at + late / t->period * t->period : t->at;
	t->at = later(due, t->period);
	tuck__chan_offer(s, t->feed.chan, &due);
	tuck__alarm_again(s, a, t->at);
}

/* The last one closes the channel behind it, which ends the feed. */
static void fire(struct tuck__sched *s, struct tuck__alarm *a)
{
	struct ticker *t = tuck__container(tuck__feed_of(a), struct ticker,
					   feed);

	tuck__chan_offer(s, t->feed.chan, &t->at);
	tuck__chan_end(s, t->feed.chan);
}

static void gone(struct tuck__feed *feed)
{
	tuck__free(tuck__container(feed, struct ticker, feed));
}

static const struct tuck__feed_kind ticks = { tick, NULL, gone };
static const struct tuck__feed_kind fires = { fire, NULL, gone };

static struct tuck_chan *begin(const struct tuck__feed_kind *kind, tuck_ns at,
			       tuck_ns period)
{
	struct ticker *t = tuck__alloc(sizeof(*t));

	if (!t)
		return NULL;
	t->at = at;
	t->period = period;
	if (tuck__feed_begin(&t->feed, kind, sizeof(tuck_ns), 1, at) == 0)
		return t->feed.chan;
	tuck__free(t);
	return NULL;
}

struct tuck_chan *tuck_ticker(tuck_ns period)
{
	if (period <= 0)
		return NULL;
	return begin(&ticks, tuck_after(period), period);
}

struct tuck_chan *tuck_timer_chan(tuck_ns deadline)
{
	return deadline < 0 ? NULL : begin(&fires, deadline, 0);
}
