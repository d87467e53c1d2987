/* SPDX-License-Identifier: MIT */
/*
 * Feeds: the life of what sends to a channel without being a tasklet.
 *
 * The channel is all that the program has of a feed: to close or free it, in
 * any proc, ends the feed. The proc that made it sends, between two turns of
 * its tasklets; it ends the feed too, and closes the channel, when it ends.
 *
 * Invariants:
 * 1. live, and the alarm, are touched by home alone. The end of the channel
 *    elsewhere comes to it as a request.
 * 2. A feed has two users: home while it is live, and its channel until that
 *    has told that it is closed. The last one gives it back.
 * 3. The channel's memory stays until then.
 */
#include "io/feed.h"

static void drop(struct tuck__feed *feed)
{
	struct tuck_chan *chan = feed->chan;

	if (atomic_fetch_sub(&feed->users, 1) > 1)
		return;
	feed->kind->gone(feed);
	tuck__chan_unref(chan);
}

/* By home, or when there can be none any more. */
static void silence(struct tuck__feed *feed)
{
	if (!feed->live)
		return;
	feed->live = false;
	tuck__alarm_stop(feed->home, &feed->alarm);
	drop(feed);
}

static void run_stop(struct tuck__sched *s, struct tuck__request *r)
{
	struct tuck__feed *feed = tuck__container(r, struct tuck__feed, stop);

	(void)s;
	silence(feed);
	drop(feed);
}

static void on_close(struct tuck__source *source)
{
	struct tuck__feed *feed = tuck__container(source, struct tuck__feed,
						  source);

	if (feed->kind->closed)
		feed->kind->closed(feed);
	feed->stop.run = run_stop;
	if (feed->home == tuck__tls)
		run_stop(feed->home, &feed->stop);
	else if (!tuck__request(feed->home, &feed->stop))
		drop(feed);		/* home has ended, and so its part */
}

static void on_end(struct tuck__sched *s, struct tuck__alarm *a)
{
	struct tuck__feed *feed = tuck__feed_of(a);
	struct tuck_chan *chan = feed->chan;

	tuck__chan_ref(chan);
	silence(feed);
	tuck__chan_end(s, chan);
	tuck__chan_unref(chan);
}

int tuck__feed_begin(struct tuck__feed *feed,
		     const struct tuck__feed_kind *kind, size_t elem_bytes,
		     size_t capacity, tuck_ns at)
{
	struct tuck__sched *s = tuck__sched();

	TUCK__REQUIRE(s, tuck__sched_error());
	feed->chan = tuck_chan_new(elem_bytes, capacity);
	TUCK__REQUIRE(feed->chan, -ENOMEM);
	feed->alarm.ring = kind->ring;
	feed->alarm.ended = on_end;
	if (tuck__alarm_set(s, &feed->alarm, at) < 0) {
		tuck_chan_free(feed->chan);
		return -ENOMEM;
	}
	feed->kind = kind;
	feed->home = s;
	feed->live = true;
	feed->users = 2;
	feed->source.closed = on_close;
	tuck__chan_ref(feed->chan);
	atomic_store(&feed->chan->source, &feed->source);
	return 0;
}
