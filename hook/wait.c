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
 *    pump looks for such every LOOK, and no tasklet outlives its proc.
 *
 * Why not otherwise: Tuck's own poller makes descriptors non-blocking for
 * everybody who shares them, and knows them until they are closed through it;
 * both would be seen by code that knows of no Tuck.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <tuck/debug.h>
#include <tuck/io.h>
#include <tuck/sync.h>
#include <unistd.h>

#include "base/list.h"
#include "hook/hook.h"

#define BUCKETS	1024
#define EVENTS	32		/* of one look at the set */
#define ALWAYS	(EPOLLERR | EPOLLHUP)
#define LOOK	TUCK_SEC(1)

/* A descriptor that somebody waits for. */
struct waiter {
	struct tuck__link link;	/* in a bucket */
	struct wait *wait;
	int fd;
	uint32_t events;
};

struct wait {
	struct tuck__link link;	/* in its proc's */
	struct tuck_sem sem;
	struct hooked *in;
	tuck_id of;
	bool fired;
	int result;
	size_t n;
	struct waiter fds[];
};

/* Of a thread that is a proc. */
struct hooked {
	struct tuck__link link;	/* in all */
	pthread_mutex_t lock;
	int set;
	struct tuck__link entered;	/* all waits */
	atomic_int waits;	/* that have not fired */
	tuck_id pump;		/* 0: there is none */
	int interrupt;		/* eventfd that a signal handler writes to */
	atomic_bool interrupted, restarts;
	tuck_id main;		/* whose wait that ends */
	struct wait *of_main;
	struct tuck__link buckets[BUCKETS];
};

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tuck__link all = { &all, &all };
static atomic_int waits_n;	/* of all procs */
static pthread_key_t key;
static atomic_int process;	/* 0: nobody has waited */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static __thread struct hooked *mine;

static struct tuck__link *bucket_of(struct hooked *h, int fd)
{
	return &h->buckets[(unsigned)fd % BUCKETS];
}

static struct waiter *waiter_of(struct tuck__link *l)
{
	return tuck__container(l, struct waiter, link);
}

/* -- a proc's part -- */

/* Out of the table and freed, under the lock. */
static void discard(struct wait *w)
{
	struct hooked *h = w->in;

	for (size_t i = 0; i < w->n; i++)
		tuck__link_cut(&w->fds[i].link);
	tuck__link_cut(&w->link);
	if (h->of_main == w)
		h->of_main = NULL;
	if (!w->fired) {
		atomic_fetch_sub(&waits_n, 1);
		h->waits--;
	}
	free(w);
}

static bool was_dropped(const struct wait *w)
{
	return tuck_join(w->of, TUCK_NOWAIT) == -ESRCH;
}

static void discard_dropped(struct hooked *h, bool everybody)
{
	struct tuck__link *l, *next;

	__real_pthread_mutex_lock(&h->lock);
	for (l = h->entered.next; l != &h->entered; l = next) {
		struct wait *w = tuck__container(l, struct wait, link);

		next = l->next;
		if (everybody || was_dropped(w))
			discard(w);
	}
	__real_pthread_mutex_unlock(&h->lock);
}

static void close_set(const struct hooked *h)
{
	if (h->set >= 0)
		__real_close(h->set);
	if (h->interrupt >= 0)
		__real_close(h->interrupt);
}

/* A main tasklet cannot be killed, and ends when its proc has. */
static bool has_ended(const struct hooked *h)
{
	return tuck_kill(h->main) == -ESRCH;
}

/* At the end of its thread; if Tuck's part has not ended yet, a round later. */
static void end_thread(void *arg)
{
	struct hooked *h = arg;

	if (!has_ended(h)) {
		pthread_setspecific(key, h);
		return;
	}
	mine = NULL;
	__real_pthread_mutex_lock(&all_lock);
	tuck__link_cut(&h->link);
	__real_pthread_mutex_unlock(&all_lock);
	discard_dropped(h, true);
	close_set(h);
	free(h);
}

/*
 * The parent's sets are not the child's to change. The child of a tasklet has
 * to exec, and until then its calls are libc's.
 */
static void in_child(void)
{
	process = getpid();
	tuck__hook_flags_in_child();
	all_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	tuck__link_init(&all);
	atomic_store(&waits_n, 0);
	if (!mine)
		return;
	mine->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	tuck__link_init(&mine->link);
	atomic_store(&waits_n, mine->waits);
	tuck__hold_waits++;
}

static void make_key(void)
{
	process = getpid();
	pthread_key_create(&key, end_thread);
	pthread_atfork(NULL, NULL, in_child);
}

/* Else it is a child of vfork(2), in our memory. */
static bool ours(void)
{
	return getpid() == process;
}

/* In a signal handler. */
static void handled(bool restarts)
{
	const uint64_t one = 1;
	int err = errno;

	if (!mine)
		return;
	atomic_store(&mine->restarts, restarts);
	atomic_store(&mine->interrupted, true);
	while (__real_write(mine->interrupt, &one, sizeof(one)) < 0 &&
	       errno == EINTR)
		;
	errno = err;
}

static int find_main(const struct tuck_task_info *info, void *arg)
{
	*(tuck_id *)arg = info->main;
	return 1;
}

/* The eventfd is never read: each write is an edge. */
static int open_set(struct hooked *h)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	int r;

	h->set = epoll_create1(EPOLL_CLOEXEC);
	h->interrupt = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	e.data.fd = h->interrupt;
	if (h->set < 0 || h->interrupt < 0 ||
	    epoll_ctl(h->set, EPOLL_CTL_ADD, h->interrupt, &e) < 0)
		r = -errno;
	else
		r = -pthread_setspecific(key, h);
	if (r < 0)
		close_set(h);
	return r;
}

static tuck__cold int make(void)
{
	struct hooked *h;
	int r;

	__real_pthread_once(&once, make_key);
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	r = open_set(h);
	if (r < 0) {
		free(h);
		return r;
	}
	pthread_mutex_init(&h->lock, NULL);
	tuck__link_init(&h->entered);
	for (int i = 0; i < BUCKETS; i++)
		tuck__link_init(&h->buckets[i]);
	__real_pthread_mutex_lock(&all_lock);
	tuck__link_before(&all, &h->link);
	__real_pthread_mutex_unlock(&all_lock);
	tuck_each(find_main, &h->main);
	mine = h;
	atomic_store(&tuck__handled, handled);
	return 0;
}

/* -- arming and firing, under the lock -- */

static void fire(struct wait *w, int result)
{
	if (w->fired)
		return;
	w->fired = true;
	w->result = result;
	w->in->waits--;
	atomic_fetch_sub(&waits_n, 1);
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

static int arm(struct hooked *h, int fd)
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
			fire(w->wait, result);
	}
}

static void fire_everybody(struct hooked *h, int result)
{
	__real_pthread_mutex_lock(&h->lock);
	for (int i = 0; i < BUCKETS; i++) {
		struct tuck__link *head = &h->buckets[i], *l;

		for (l = head->next; l != head; l = l->next)
			fire(waiter_of(l)->wait, result);
	}
	if (h->of_main)
		fire(h->of_main, result);
	__real_pthread_mutex_unlock(&h->lock);
}

/* Unless the signal came before its wait began. */
static void interrupt(struct hooked *h)
{
	if (h->of_main && atomic_exchange(&h->interrupted, false))
		fire(h->of_main, -EINTR);
}

/* -- the pump -- */

static int start_pump(struct hooked *h);

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
		r = arm(h, fd);		/* for those who want others */
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
	r = (*h)->waits > 0 ? start_pump(*h) : 0;
	if (r < 0)
		fire_everybody(*h, r);
}

/* Its last waiter cancels it; there may be another one by then. */
static void pump(void *arg)
{
	struct hooked *h __attribute__((__cleanup__(pump_ended))) = arg;

	while (h->waits > 0) {
		int r = tuck_fd_wait(h->set, TUCK_READABLE, tuck_after(LOOK));

		if (r == -ETIMEDOUT) {
			discard_dropped(h, false);
		} else if (r < 0) {
			tuck_uncancel();
			tuck_yield();	/* no memory, perhaps */
		}
		while (deliver(h))
			;
	}
}

/* One that was killed before it ran has not said so. */
static int start_pump(struct hooked *h)
{
	const struct tuck_attr attr = { .name = "hook" };
	tuck_id id;

	if (h->pump && tuck_join(h->pump, TUCK_NOWAIT) != -ESRCH)
		return 0;
	id = tuck_go_with(&attr, pump, h);
	if (id < 0)
		return (int)id;
	h->pump = id;
	return 0;
}

/* -- a wait -- */

static void leave(struct wait **wait)
{
	struct wait *w = *wait;
	struct hooked *h;
	bool none;

	if (!w)
		return;
	h = w->in;
	__real_pthread_mutex_lock(&h->lock);
	discard(w);
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
	r = arm(w->in, p->fd);
	if (r == -EBADF)
		fire(w, 0);
	return r == -EPERM || r == -EBADF ? 0 : r;
}

/* *ret_wait is to be left in any case. */
static tuck__noinline int enter(struct wait **ret_wait,
				const struct pollfd *fds, nfds_t n)
{
	int r = mine ? 0 : make();
	struct hooked *h = mine;
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
	atomic_fetch_add(&waits_n, 1);
	if (h->main == w->of) {
		h->of_main = w;
		atomic_store(&h->interrupted, false);
	}
	for (nfds_t i = 0; i < n && r == 0; i++)
		r = add(w, &fds[i]);
	__real_pthread_mutex_unlock(&h->lock);
	return r == 0 && (w->n > 0 || h->of_main == w) ? start_pump(h) : r;
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
	struct pollfd p = { .fd = -1 };

	if (n == 1)
		p = fds[0];
	__real_poll(&p, 1, n == 1 ? -1 : 1);
	return 0;
}

int tuck__hook_wait(const struct pollfd *fds, nfds_t n, tuck_ns deadline)
{
	struct wait *w __attribute__((__cleanup__(leave))) = NULL;
	int r;

	if (process && !ours())
		return wait_as_thread(fds, n);
	r = enter(&w, fds, n);
	return r < 0 ? r : outcome(w, tuck_sem_wait(&w->sem, deadline));
}

bool tuck__hook_interruptible(void)
{
	return (mine || make() == 0) && mine->main == tuck_self();
}

bool tuck__hook_restarts(void)
{
	return atomic_load(&mine->restarts);
}

/* -- closing -- */

bool tuck__hook_ours(void)
{
	return !process || ours();
}

/* A bucket has those of every 1,024th number. */
static void close_in(struct hooked *h, unsigned first, unsigned last)
{
	for (unsigned i = 0; i < BUCKETS && i <= last - first; i++) {
		struct tuck__link *head = bucket_of(h, (int)(first + i)), *l;

		for (l = head->next; l != head; l = l->next) {
			struct waiter *w = waiter_of(l);

			if ((unsigned)w->fd >= first && (unsigned)w->fd <= last)
				fire(w->wait, -EBADF);
		}
	}
}

bool tuck__hook_closing(unsigned first, unsigned last)
{
	struct tuck__link *l;

	if (!process || !ours() || tuck__handling())
		return true;
	if (mine && first == last &&
	    ((int)first == mine->set || (int)first == mine->interrupt))
		return false;
	if (tuck__likely(atomic_load(&waits_n) == 0))
		return true;
	__real_pthread_mutex_lock(&all_lock);
	for (l = all.next; l != &all; l = l->next) {
		struct hooked *h = tuck__container(l, struct hooked, link);

		__real_pthread_mutex_lock(&h->lock);
		if (h->waits > 0)
			close_in(h, first, last);
		__real_pthread_mutex_unlock(&h->lock);
	}
	__real_pthread_mutex_unlock(&all_lock);
	return true;
}
