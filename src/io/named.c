/* SPDX-License-Identifier: MIT */
/*
 * Connections to names: races of their addresses, as RFC 8305 has them ("Happy
 * Eyeballs"). Both families have their turns; an attempt begins 250 ms after
 * the one before, or at once when that has failed; who is connected first is
 * kept. If all try in vain, what the first one says is told, for it is the
 * best.
 *
 * Invariants:
 * 1. What a connect has while it waits is in a struct race, which its tasklet
 *    holds: in whichever way the call ends, descriptors and addresses go with
 *    it, but for the descriptor that is returned.
 * 2. A tasklet waits for one descriptor, so of several one is made, by epoll:
 *    their bell. Most races have no second attempt, and so no bell.
 * 3. A bell is never changed. When others take part, another one is made, for
 *    after a fork it is the child's, too.
 *
 * Why not otherwise: a tasklet for each attempt has a stack, a place in the
 * order of the others, and no share in the deadline of its starter's group.
 * Places in the queues of several descriptors, as a select has them of
 * channels, would be one more question for each event that the poller delivers.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/mem.h"
#include "io/socket.h"
#include "io/try.h"

/* Between an attempt and the next, as RFC 8305 (5) has it. */
#define DELAY		TUCK_MS(250)
#define DELAY_MIN	TUCK_MS(10)

struct race {
	struct tuck__held held;
	struct tuck__addrs *addrs;	/* of a name */
	tuck_ns next_at;		/* the next one begins, if any */
	int begun, pending;
	int first;			/* what the first one said */
	int bell;			/* -1: none */
	int fds[];			/* those begun; -1: has failed */
};

/* -- who takes part -- */

static void close_one(int *fd)
{
	if (*fd >= 0)
		tuck_fd_close(*fd);
	*fd = -1;
}

static void release(struct tuck__held *held)
{
	struct race *race = tuck__container(held, struct race, held);

	close_one(&race->bell);
	for (int i = 0; i < race->begun; i++)
		close_one(&race->fds[i]);
	tuck__free(race->addrs);
	tuck__free(race);
}

/* Of these addresses, which are its own then; held. 0 or -ENOMEM. */
static tuck__noinline int race_new(struct tuck__addrs *addrs,
				   struct race **ret_race)
{
	size_t fds = (size_t)addrs->n * sizeof(int);
	struct race *race = tuck__alloc(sizeof(*race) + fds);

	if (race)
		race->held.release = release;
	if (!race || tuck__hold(tuck__tls, &race->held) < 0) {
		tuck__free(race);
		tuck__free(addrs);
		return -ENOMEM;
	}
	race->addrs = addrs;
	race->bell = -1;
	*ret_race = race;
	return 0;
}

/* As its call returns, or is killed. */
static void leave(struct race **race)
{
	if (*race)
		tuck__let_go(tuck__tls->current->extra);
}

static void add(struct race *race, int fd)
{
	race->fds[race->begun++] = fd;
	race->pending += fd >= 0;
	close_one(&race->bell);
}

/* It is the caller's. */
static int take(struct race *race, int i)
{
	int fd = race->fds[i];

	race->fds[i] = -1;
	race->pending--;
	return fd;
}

/* -- in which order, and when -- */

/* The next address to try: of the other family than the last, if there is. */
static tuck__noinline void alternate(struct tuck__addrs *addrs, int next)
{
	struct tuck_addr *a = addrs->addr, found;
	int i = next;

	if (next == 0)
		return;
	while (i < addrs->n && a[i].sa.ss_family == a[next - 1].sa.ss_family)
		i++;
	if (i == addrs->n)
		return;
	found = a[i];
	memmove(&a[next + 1], &a[next], (size_t)(i - next) * sizeof(*a));
	a[next] = found;
}

/*
 * Of the local address's family, for others cannot be connected from there; a
 * text that is no address comes to light with the first one.
 */
static tuck__noinline int family_of(const struct tuck_socket_attr *attr)
{
	struct tuck_addr local;

	if (!attr->local || tuck__addr_of(&local, attr->local) < 0)
		return 0;
	return local.sa.ss_family == AF_INET || local.sa.ss_family == AF_INET6 ?
		       local.sa.ss_family :
		       0;
}

/* The whole has until then. */
static tuck_ns end_of(tuck_ns deadline)
{
	const struct tuck__tasklet *self = tuck__tls->current;
	tuck_ns outer = TUCK_FOREVER;

	if (self->w.bits & TUCK__SCOPED)
		outer = tuck__group_deadline(self);
	return deadline < outer ? deadline : outer;
}

/* Sooner where the rest could not begin in time otherwise. */
static tuck_ns time_of_next(const struct race *race, tuck_ns deadline)
{
	int left = race->addrs->n - race->begun;
	tuck_ns now = tuck_now(), delay;

	if (left == 0)
		return TUCK_FOREVER;
	delay = (end_of(deadline) - now) / (left + 1);
	if (delay < DELAY_MIN)
		delay = DELAY_MIN;
	return now + (delay < DELAY ? delay : DELAY);
}

/* Attempt i is over. If it was the last one to begin, the next is due now. */
static void fail(struct race *race, int i, int err)
{
	if (race->fds[i] >= 0) {
		close_one(&race->fds[i]);
		close_one(&race->bell);
		race->pending--;
	}
	if (i == 0)
		race->first = err;
	if (i == race->begun - 1 && race->begun < race->addrs->n)
		race->next_at = 0;
}

static bool is_due(const struct race *race)
{
	return race->next_at <= tuck_now();
}

/* -- attempts -- */

/* A connection, or -EINPROGRESS: one more has begun, or has failed at once. */
static int begin_next(struct race *race, const struct tuck_socket_attr *attr,
		      tuck_ns deadline)
{
	int fd = -1, i = race->begun, r;

	alternate(race->addrs, i);
	r = tuck__connect_start(&race->addrs->addr[i], attr, &fd);
	if (r == 0)
		return fd;
	if (r == -EAGAIN)		/* no Unix listener's */
		close_one(&fd);
	add(race, fd);
	race->next_at = time_of_next(race, deadline);
	if (fd < 0)
		fail(race, i, r);
	return -EINPROGRESS;
}

/* A connection, or -EINPROGRESS: those that are over have failed. */
static int look(struct race *race)
{
	for (int i = 0; i < race->begun; i++) {
		int r;

		if (race->fds[i] < 0)
			continue;
		r = tuck__ready_events(race->fds[i], TUCK_WRITABLE);
		if (r == -EAGAIN)
			continue;
		if (r > 0)
			r = tuck__connect_outcome(race->fds[i]);
		if (r == 0)
			return take(race, i);
		fail(race, i, r);
	}
	return -EINPROGRESS;
}

static int make_bell(struct race *race)
{
	struct epoll_event e = { .events = EPOLLOUT };
	int fd = epoll_create1(EPOLL_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	tuck__fd_adopt(tuck__tls, fd, TUCK__FD_NEW);
	for (int i = 0; i < race->begun && r == 0; i++)
		if (race->fds[i] >= 0)
			r = epoll_ctl(fd, EPOLL_CTL_ADD, race->fds[i], &e);
	if (r < 0)
		return tuck__close_with(fd, -errno);
	race->bell = fd;
	return 0;
}

static int last_of(const struct race *race)
{
	int i = race->begun - 1;

	while (race->fds[i] < 0)
		i--;
	return i;
}

/* Who cannot be waited for has failed. */
static void watch(struct race *race)
{
	int r;

	while (race->pending > 1 && race->bell < 0) {
		r = make_bell(race);
		if (r < 0)
			fail(race, last_of(race), r);
	}
}

/* A connection, an error, or -EINPROGRESS: to be waited for. */
static tuck__noinline int advance(struct race *race,
				  const struct tuck_socket_attr *attr,
				  tuck_ns deadline)
{
	int r = look(race);

	while (r == -EINPROGRESS) {
		watch(race);
		if (!is_due(race))
			return race->pending ? r : race->first;
		r = begin_next(race, attr, deadline);
	}
	return r;
}

/* Until there is something to look at, or the next one is due. */
static int wait_for_any(const struct race *race, tuck_ns deadline)
{
	tuck_ns at = deadline < race->next_at ? deadline : race->next_at;
	int r;

	if (race->bell >= 0)
		r = tuck_fd_wait(race->bell, TUCK_READABLE, at);
	else
		r = tuck_fd_wait(race->fds[last_of(race)], TUCK_WRITABLE, at);
	return r == -ETIMEDOUT && at < deadline ? 0 : r;
}

int tuck__connect_named(const char *text, const struct tuck_socket_attr *attr,
			tuck_ns deadline)
{
	const struct tuck_resolve_attr want = { .family = family_of(attr),
						.kind = attr->kind };
	struct race *race __attribute__((__cleanup__(leave))) = NULL;
	struct tuck__addrs *addrs;
	int r = tuck__addrs_of(&addrs, text, &want, deadline);

	if (r >= 0)
		r = race_new(addrs, &race);
	while (r >= 0) {
		r = advance(race, attr, deadline);
		if (r != -EINPROGRESS)
			break;
		r = wait_for_any(race, deadline);
	}
	return r;
}
