/* SPDX-License-Identifier: MIT */
/* Waking those who wait for descriptors. */
#include <stdlib.h>
#include <sys/epoll.h>
#include <tuck/io.h>

#include "hook/waits.h"

#define EVENTS		32	/* of one look at the set */
#define ALWAYS		(EPOLLERR | EPOLLHUP)

/* When the pump looks for who was dropped, with nothing else to do. */
#define LOOK_MIN	TUCK_SEC(1)
#define LOOK_MAX	TUCK_SEC(60)

atomic_int tuck__waits_n;

void tuck__wait_fire(struct wait *w, int result)
{
	if (w->fired)
		return;
	w->fired = true;
	w->result = result;
	w->in->waits--;
	tuck_sem_post(&w->sem);
}

/* What those want who still wait for it; 0 if nobody does. */
static uint32_t wanted(struct hooked *h, int fd)
{
	struct tuck__link *head = bucket_of(h, fd), *l;
	uint32_t events = 0;

	for (l = head->next; l != head; l = l->next) {
		struct waiter *w = waiter_of(l);

		if (w->fd != fd || w->wait->fired)
			continue;
		events |= w->events | EPOLLONESHOT;
	}
	return events;
}

int tuck__waits_arm(struct hooked *h, int fd)
{
	struct epoll_event e = { .events = wanted(h, fd), .data.fd = fd };

	if (!e.events || epoll_ctl(h->set, EPOLL_CTL_MOD, fd, &e) == 0)
		return 0;
	if (errno == ENOENT && epoll_ctl(h->set, EPOLL_CTL_ADD, fd, &e) == 0)
		return 0;
	return -errno;
}

static void fire_all(struct hooked *h, int fd, uint32_t events, int result)
{
	struct tuck__link *head = bucket_of(h, fd), *l;

	for (l = head->next; l != head; l = l->next) {
		struct waiter *w = waiter_of(l);

		if (w->fd == fd && events & (w->events | ALWAYS))
			tuck__wait_fire(w->wait, result);
	}
}

static void fire_everybody(struct hooked *h, int result)
{
	__real_pthread_mutex_lock(&h->lock);
	for (int i = 0; i < BUCKETS; i++) {
		struct tuck__link *head = &h->buckets[i], *l;

		for (l = head->next; l != head; l = l->next)
			tuck__wait_fire(waiter_of(l)->wait, result);
	}
	if (h->of_main)
		tuck__wait_fire(h->of_main, result);
	__real_pthread_mutex_unlock(&h->lock);
}

/* Unless the signal came before its wait began. */
static void interrupt(struct hooked *h)
{
	if (h->of_main && atomic_exchange(&h->interrupted, false))
		tuck__wait_fire(h->of_main, -EINTR);
}

/* One who was woken, and has not run yet, would look at who comes next. */
static void end_closed(struct wait *w)
{
	tuck__wait_fire(w, -EBADF);
	w->result = -EBADF;
}

/* A bucket has those of every 1,024th number. */
void tuck__waits_close(struct hooked *h, unsigned first, unsigned last)
{
	for (unsigned i = 0; i < BUCKETS && i <= last - first; i++) {
		struct tuck__link *head = bucket_of(h, (int)(first + i)), *l;

		for (l = head->next; l != head; l = l->next) {
			struct waiter *w = waiter_of(l);

			if ((unsigned)w->fd >= first && (unsigned)w->fd <= last)
				end_closed(w->wait);
		}
	}
}

/* -- those that are over -- */

void tuck__wait_discard(struct wait *w)
{
	struct hooked *h = w->in;

	for (size_t i = 0; i < w->n; i++)
		tuck__link_cut(&w->fds[i].link);
	tuck__link_cut(&w->link);
	if (h->of_main == w)
		h->of_main = NULL;
	atomic_fetch_sub(&tuck__waits_n, 1);
	if (!w->fired)
		h->waits--;
	free(w);
}

void tuck__waits_discard(struct hooked *h, bool everybody)
{
	struct tuck__link *l, *next;

	__real_pthread_mutex_lock(&h->lock);
	for (l = h->entered.next; l != &h->entered; l = next) {
		struct wait *w = tuck__container(l, struct wait, link);

		next = l->next;
		if (everybody || tuck__ended(w->of))
			tuck__wait_discard(w);
	}
	__real_pthread_mutex_unlock(&h->lock);
}

/* -- the pump -- */

static bool deliver(struct hooked *h)
{
	struct epoll_event events[EVENTS];
	int n = __real_epoll_wait(h->set, events, EVENTS, 0);

	__real_pthread_mutex_lock(&h->lock);
	for (int i = 0; i < n; i++) {
		int fd = events[i].data.fd, r;

		if (fd == h->interrupt) {
			interrupt(h);
			continue;
		}
		fire_all(h, fd, events[i].events, 0);
		r = tuck__waits_arm(h, fd); /* for who wants others */
		if (r < 0)
			fire_all(h, fd, ~0u, r == -EBADF ? r : 0);
	}
	__real_pthread_mutex_unlock(&h->lock);
	return n == EVENTS;
}

/*
 * It may be killed, by those who kill all there are, while cleanups of others
 * wait, or are about to: they get another one.
 */
static void pump_ended(struct hooked **h)
{
	int r;

	(*h)->pump = 0;
	r = (*h)->waits > 0 ? tuck__pump_start(*h) : 0;
	if (r < 0)
		fire_everybody(*h, r);
}

static tuck_ns longer(tuck_ns look)
{
	return 2 * look < LOOK_MAX ? 2 * look : LOOK_MAX;
}

/* Its last waiter cancels it; there may be another one by then. */
static void pump(void *arg)
{
	struct hooked *h __attribute__((__cleanup__(pump_ended))) = arg;

	tuck_ns look = LOOK_MIN;

	while (h->waits > 0) {
		int r = tuck_fd_wait(h->set, TUCK_READABLE, tuck_after(look));

		look = r == -ETIMEDOUT ? longer(look) : LOOK_MIN;
		if (r == -ETIMEDOUT) {
			tuck__waits_discard(h, false);
		} else if (r < 0) {
			tuck_uncancel();
			tuck_yield();	/* no memory, perhaps */
		}
		while (deliver(h))
			;
	}
}

/* One that was killed before it ran has not said so. */
int tuck__pump_start(struct hooked *h)
{
	const struct tuck_attr attr = { .name = "hook" };
	tuck_id id;

	if (h->pump && !tuck__ended(h->pump))
		return 0;
	id = tuck_go_with(&attr, pump, h);
	if (id < 0)
		return (int)id;
	h->pump = id;
	return 0;
}
