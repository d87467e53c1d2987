/* SPDX-License-Identifier: MIT */
/*
 * Waiting for descriptors that Tuck does not own: each proc has a set of epoll
 * for them, and, while anybody waits, a tasklet that waits for the set, the
 * pump.
 *
 * Invariants:
 * 1. Every wait arms its descriptors anew (EPOLLONESHOT). So nothing that was
 *    known of a number outlives the wait: libc may close a descriptor where
 *    nobody sees it, and give its number to another one.
 * 2. An event that comes for an earlier descriptor of a number is a wake-up
 *    without a reason, at most one for each arming; callers look again.
 * 3. What is linked into a table lies on the heap (rule S1).
 * 4. A proc's table is changed under its lock, for any thread may close a
 *    descriptor; only the proc itself arms, and has a pump.
 * 5. A wait is freed by its tasklet, but for that of one that was dropped: the
 *    pump looks for such now and then, and no tasklet outlives its proc.
 *
 * Why not otherwise: Tuck's own poller makes descriptors non-blocking for
 * everybody who shares them, and knows them until they are closed through it;
 * both would be seen by code that knows of no Tuck.
 */
#include <stdlib.h>

#include "hook/waits.h"

static void leave(struct wait **wait)
{
	struct wait *w = *wait;
	struct hooked *h;
	bool none;

	if (!w)
		return;
	h = w->in;
	__real_pthread_mutex_lock(&h->lock);
	tuck__wait_discard(w);
	none = h->waits == 0;
	__real_pthread_mutex_unlock(&h->lock);
	/* Which has not seen it yet; or was killed before it ran. */
	if (none && h->pump && tuck_cancel(h->pump) == -ESRCH)
		h->pump = 0;
}

/*
 * What cannot be armed has no other state than it had when it was looked at,
 * like a file; or it is gone, which the next look tells.
 */
static int add(struct wait *w, const struct pollfd *p)
{
	struct waiter *one = &w->fds[w->n];
	int r;

	if (p->fd < 0)
		return 0;
	*one = (struct waiter){ .wait = w,
				.fd = p->fd,
				.events = (uint16_t)p->events };
	tuck__link_before(bucket_of(w->in, p->fd), &one->link);
	w->n++;
	if (p->revents == TUCK__HOOK_HELD)
		return 0;
	r = tuck__waits_arm(w->in, p->fd);
	if (r == -EBADF)
		tuck__wait_fire(w, 0);
	return r == -EPERM || r == -EBADF ? 0 : r;
}

/* *ret_wait is to be left in any case. */
static tuck__noinline int enter(struct wait **ret_wait,
				const struct pollfd *fds, nfds_t n)
{
	int r = tuck__hooked ? 0 : tuck__hooked_make();
	struct hooked *h = tuck__hooked;
	struct wait *w;

	if (r < 0)
		return r;
	w = calloc(1, sizeof(*w) + n * sizeof(w->fds[0]));
	if (!w)
		return -ENOMEM;
	w->in = h;
	w->of = tuck_self();
	*ret_wait = w;
	__real_pthread_mutex_lock(&h->lock);
	tuck__link_before(&h->entered, &w->link);
	h->waits++;
	atomic_fetch_add(&tuck__waits_n, 1);
	if (h->main == w->of) {
		h->of_main = w;
		atomic_store(&h->interrupted, false);
	}
	for (nfds_t i = 0; i < n && r == 0; i++)
		r = add(w, &fds[i]);
	__real_pthread_mutex_unlock(&h->lock);
	return r == 0 && (w->n > 0 || h->of_main == w) ? tuck__pump_start(h) :
							 r;
}

/* A wake-up may have come with the deadline. */
static tuck__noinline int outcome(struct wait *w, int r)
{
	if (r != 0 && r != -ETIMEDOUT)
		return r;
	__real_pthread_mutex_lock(&w->in->lock);
	if (w->fired)
		r = w->result;
	__real_pthread_mutex_unlock(&w->in->lock);
	return r;
}

/* What it is given must stay its own, so it is copied. */
static tuck__noinline int wait_as_thread(const struct pollfd *fds, nfds_t n)
{
	bool tells = n == 1 && fds[0].revents != TUCK__HOOK_HELD;
	struct pollfd p = { .fd = -1 };

	if (tells)
		p = fds[0];
	__real_poll(&p, 1, tells ? -1 : 1);
	return 0;
}

int tuck__hook_wait(const struct pollfd *fds, nfds_t n, tuck_ns deadline)
{
	struct wait *w __attribute__((__cleanup__(leave))) = NULL;
	int r;

	if (!tuck__hook_ours())
		return wait_as_thread(fds, n);
	r = enter(&w, fds, n);
	return r < 0 ? r : outcome(w, tuck_sem_wait(&w->sem, deadline));
}
