/* SPDX-License-Identifier: MIT */
/*
 * The poller: edge-triggered epoll, one registration for each descriptor,
 * for both directions, at its first wait. After that waiting costs no
 * epoll_ctl.
 *
 * Invariants:
 * 1. A tasklet waits for an edge only after a call said EAGAIN, or after a
 *    short read of a stream (FD_EMPTY), with no poller_wait in between: so
 *    the next edge cannot have passed unseen.
 * 2. FD_EMPTY is never set once a hang-up was seen, for its edge is over.
 * 3. An event carries its descriptor's generation; one that comes late, for
 *    a descriptor that was closed meanwhile, is dropped.
 * 4. Wake-ups go through eventfds registered edge-triggered, so they are
 *    never read, and never closed, for whoever kicks may come late. Those of
 *    the first 128 procs are made before the first proc gets a descriptor
 *    table of its own, and so are in every table under the same number.
 *
 * Why not otherwise: level-triggered registrations need a system call for
 * each wait; io_uring would write into buffers on stacks that have moved
 * (rule S3). A signal as wake-up would need no descriptor, but the program's
 * consent.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/mem.h"
#include "io/poller.h"

#define WAKES		128	/* procs while there are own tables */

#define IN_EVENTS	(EPOLLIN | EPOLLRDHUP | EPOLLPRI)
#define HUNG_EVENTS	(EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)

static pthread_mutex_t wakes_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int wakes[TUCK__SCHEDS_MAX];	/* eventfd + 1; 0: not made */

/* -- wake-ups -- */

/* A fork's child would wake its parent by those that it has from it. */
static void forget_wakes_of_parent(void)
{
	for (uint32_t i = 0; i < TUCK__SCHEDS_MAX; i++) {
		if (wakes[i])
			close(wakes[i] - 1);
		wakes[i] = 0;
	}
}

TUCK__AT_FORK_MUTEX(TUCK__FORK_WAKES, wakes_lock, forget_wakes_of_parent)

static int make_wake(uint32_t i)
{
	int fd;

	if (wakes[i])
		return 0;
	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	wakes[i] = fd + 1;
	return 0;
}

static int wake_of(uint32_t proc)
{
	int r;

	pthread_mutex_lock(&wakes_lock);
	r = make_wake(proc);
	pthread_mutex_unlock(&wakes_lock);
	return r < 0 ? r : wakes[proc] - 1;
}

int tuck__poller_share_wakes(void)
{
	int r = 0;

	pthread_mutex_lock(&wakes_lock);
	for (uint32_t i = 0; i < WAKES && r == 0; i++)
		r = make_wake(i);
	pthread_mutex_unlock(&wakes_lock);
	return r < 0 ? r : tuck__registry_limit(WAKES);
}

size_t tuck__poller_wakes(int *ret_fds)
{
	size_t n = 0;

	pthread_mutex_lock(&wakes_lock);
	for (uint32_t i = 0; i < WAKES; i++)
		if (wakes[i])
			ret_fds[n++] = wakes[i] - 1;
	pthread_mutex_unlock(&wakes_lock);
	return n;
}

/* -- the idle hook -- */

static bool poller_busy(void *arg)
{
	(void)arg;
	return tuck__tls->fd_waiters > 0;
}

static void poller_kick(struct tuck__sched *s)
{
	int fd = atomic_load(&wakes[s->number]) - 1;
	uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* Among the readers are those that output would serve as well. */
static void wake_either(struct tuck__sched *s, struct tuck__fd *f)
{
	struct tuck__link *l = f->readers.next, *next;

	for (; l != &f->readers; l = next) {
		struct tuck__tasklet *t = tuck__tasklet_of(l);

		next = l->next;
		if (t->w.bits & TUCK__EITHER)
			tuck__wake(s, t, tuck__fd_seen(f));
	}
}

static void deliver(struct tuck__sched *s, struct tuck__poller *p,
		    const struct epoll_event *e)
{
	struct tuck__fd *f = tuck__fd_known(p, (int)(uint32_t)e->data.u64);

	if (!f || f->gen != e->data.u64 >> 32)
		return;
	if (e->events & HUNG_EVENTS)
		f->bits |= TUCK__FD_HUNG;
	if (e->events & (IN_EVENTS | HUNG_EVENTS)) {
		f->bits &= ~(uint32_t)TUCK__FD_EMPTY;
		tuck__wake_all(s, &f->readers, tuck__fd_seen(f));
	}
	if (e->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
		tuck__wake_all(s, &f->writers, tuck__fd_seen(f));
		wake_either(s, f);
	}
}

static int wait_events(struct tuck__poller *p, tuck_ns deadline)
{
	struct timespec t = { 0, 0 }, *limit = &t;
	tuck_ns left;
	int r;

	if (deadline == TUCK_NOWAIT)
		return epoll_wait(p->epoll, p->events, TUCK__EVENTS, 0);
	if (deadline == TUCK_FOREVER)
		return epoll_wait(p->epoll, p->events, TUCK__EVENTS, -1);
	left = deadline - tuck_now();
	if (left > 0) {
		t.tv_sec = left / TUCK_SEC(1);
		t.tv_nsec = left % TUCK_SEC(1);
	}
	r = epoll_pwait2(p->epoll, p->events, TUCK__EVENTS, limit, NULL);
	/* EPERM is of a filter that does not know the call, as Docker had. */
	if (r < 0 && (errno == ENOSYS || errno == EPERM)) {
		left = left > 0 ? (left + TUCK_MS(1) - 1) / TUCK_MS(1) : 0;
		r = epoll_wait(p->epoll, p->events, TUCK__EVENTS,
			       left < 3600000 ? (int)left : 3600000);
	}
	return r;
}

static int poller_add(const struct tuck__poller *p, int fd, uint32_t gen,
		      uint32_t events)
{
	struct epoll_event e = {
		.events = events | EPOLLET,
		.data.u64 = (uint64_t)gen << 32 | (uint32_t)fd,
	};

	if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &e) == 0)
		return 0;
	/* Closed here before, but alive by a duplicate that came back. */
	if (errno == EEXIST && epoll_ctl(p->epoll, EPOLL_CTL_MOD, fd, &e) == 0)
		return 0;
	return -errno;
}

static int poller_open(struct tuck__sched *s, struct tuck__poller *p)
{
	int wake = wake_of(s->number), r;

	if (wake < 0)
		return wake;
	p->forks = tuck__forks;
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (p->epoll < 0)
		return -errno;
	r = poller_add(p, wake, UINT32_MAX, EPOLLIN);
	if (r < 0)
		close(p->epoll);
	return r;
}

/* Who waits for f is registered again, all others when they wait. */
static void register_again(struct tuck__sched *s, struct tuck__poller *p,
			   int fd, struct tuck__fd *f)
{
	if (!(f->bits & TUCK__FD_ADDED))
		return;
	f->bits &= ~(uint32_t)TUCK__FD_ADDED;
	if (tuck__list_empty(&f->readers) && tuck__list_empty(&f->writers))
		return;
	if (poller_add(p, fd, f->gen, IN_EVENTS | EPOLLOUT) == 0) {
		f->bits |= TUCK__FD_ADDED;
		return;
	}
	tuck__wake_all(s, &f->readers, tuck__fd_seen(f));	/* it fails */
	tuck__wake_all(s, &f->writers, tuck__fd_seen(f));	/* for them */
}

/*
 * epoll's list belongs to parent and child: what the child entered there would
 * be the parent's. Not at once, for most children call exec.
 */
static tuck__noinline bool renew(struct tuck__sched *s, struct tuck__poller *p)
{
	int r;

	close(p->epoll);
	r = poller_open(s, p);
	if (r < 0)
		tuck__fatal("a poller after fork(): %s", tuck_strerror(r));
	for (int fd = 0; (uint32_t)fd < p->chunks_n * TUCK__FD_CHUNK; fd++)
		if (tuck__fd_known(p, fd))
			register_again(s, p, fd, tuck__fd_known(p, fd));
	return true;
}

static inline bool renew_after_fork(struct tuck__sched *s,
				    struct tuck__poller *p)
{
	return tuck__forked_since(p->forks) && renew(s, p);
}

static void poller_wait(struct tuck__sched *s, void *arg, tuck_ns deadline)
{
	struct tuck__poller *p = arg;
	int err = errno, cancel, n;

	if (renew_after_fork(s, p))
		deadline = TUCK_NOWAIT;	/* a kick may have gone astray */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	n = wait_events(p, deadline);
	pthread_setcancelstate(cancel, NULL);

	if (n < 0 && errno != EINTR)
		tuck__fatal("epoll_wait: %s", tuck_strerror(-errno));
	for (int i = 0; i < n; i++)
		deliver(s, p, &p->events[i]);
	errno = err;
}

static const struct tuck__idle hook = { poller_wait, poller_busy, poller_kick };

/* -- a poller's beginning and end -- */

static void poller_close(struct tuck__sched *s)
{
	struct tuck__poller *p = s->io;

	tuck__sched_set_idle(s, NULL, NULL);
	close(p->epoll);
	for (uint32_t i = 0; i < p->chunks_n; i++)
		tuck__free(p->chunks[i]);
	tuck__free(p->chunks);
	tuck__free(p);
	s->io = NULL;
}

int tuck__poller(struct tuck__sched *s, struct tuck__poller **ret_poller)
{
	struct tuck__poller *p = s->io;
	int r;

	if (tuck__likely(p != NULL)) {
		*ret_poller = p;
		return 0;
	}
	p = tuck__alloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	tuck__link_init(&p->for_room);
	r = poller_open(s, p);
	if (r < 0) {
		tuck__free(p);
		return r;
	}
	s->io = p;
	s->io_fini = poller_close;
	tuck__sched_set_idle(s, &hook, p);
	*ret_poller = p;
	return 0;
}

int tuck__poller_add(const struct tuck__poller *p, int fd, uint32_t gen)
{
	renew_after_fork(tuck__tls, tuck__tls->io);
	return poller_add(p, fd, gen, IN_EVENTS | EPOLLOUT);
}

void tuck__poller_remove(const struct tuck__poller *p, int fd)
{
	renew_after_fork(tuck__tls, tuck__tls->io);
	epoll_ctl(p->epoll, EPOLL_CTL_DEL, fd, NULL);
}
