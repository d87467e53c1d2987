/* SPDX-License-Identifier: MIT */
/*
 * The poller of a proc, and what it knows of descriptors.
 *
 * A back end is these calls: poller_open, poller_close, poller_add,
 * poller_remove, poller_wait, poller_kick; here Linux's epoll.
 */
#ifndef TUCK__POLLER_H
#define TUCK__POLLER_H

#include <sys/epoll.h>

#include "task/task.h"

enum {
	TUCK__FD_KNOWN = 1,	/* what stands here without "was" is right */
	TUCK__FD_SOCKET = 2,
	TUCK__FD_STREAM = 4,	/* a short read means that it is empty */
	TUCK__FD_ADDED = 8,	/* was registered with the poller */
	TUCK__FD_OURS = 16,	/* no other has its open file description */
	TUCK__FD_EMPTY = 32,	/* was read dry since its last event */
	TUCK__FD_HUNG = 64,	/* hang-up, error or urgent data was seen */
	TUCK__FD_BLOCKS = 128,	/* O_NONBLOCK is not set: borrowed.c */
	TUCK__FD_POLLED = 256,	/* a BLOCKS without RWF_NOWAIT, it was seen */
	TUCK__FD_DEAF = 512,	/* Unix: no edge when a name has room */
	TUCK__FD_PIPE = 1024,	/* to a child: writing raises no SIGPIPE */
	TUCK__FD_NEW = TUCK__FD_KNOWN | TUCK__FD_OURS	/* and its kind */
};

struct tuck__fd {
	struct tuck__link readers, writers;
	uint32_t gen;		/* of the number: how often it was closed */
	uint32_t bits;
};

/* What a wait for it gives, and which closing of the number was the last. */
static inline int tuck__fd_seen(const struct tuck__fd *f)
{
	return (int)(f->gen & INT32_MAX);
}

#define TUCK__EVENTS	256	/* of one epoll_wait */
#define TUCK__FD_CHUNK	256	/* descriptors */

struct tuck__poller {
	struct tuck__fd **chunks;
	uint32_t chunks_n;
	int epoll;
	uint32_t forks;			/* when it was made */
	struct tuck__link for_room;	/* for any descriptor to close */
	struct epoll_event events[TUCK__EVENTS];
};

/* -- poller.c -- */

/* The calling proc's poller, made at its first use: 0 or an error. */
int tuck__poller(struct tuck__sched *s, struct tuck__poller **ret_poller);

/*
 * Have the events of fd delivered, of this closing of its number: 0 or an
 * error. Or not any more, where closing it is not the end of them.
 */
int tuck__poller_add(const struct tuck__poller *p, int fd, uint32_t gen);
void tuck__poller_remove(const struct tuck__poller *p, int fd);

/*
 * Make the wake-up descriptors of all procs that may ever be, so that they
 * are in the tables of procs that get their own after this call.
 */
int tuck__poller_share_wakes(void);

/* Those made so far: their number, at most TUCK_PROCS_MAX. */
size_t tuck__poller_wakes(int *ret_fds);

/* -- descriptor.c -- */

/* The entry of a number, if there is one. */
static inline struct tuck__fd *tuck__fd_known(const struct tuck__poller *p,
					      int fd)
{
	uint32_t chunk = (uint32_t)fd / TUCK__FD_CHUNK;

	if (fd < 0 || chunk >= p->chunks_n || !p->chunks[chunk])
		return NULL;
	return &p->chunks[chunk][fd % TUCK__FD_CHUNK];
}

/* The same, of a proc that need not have a poller yet. */
static inline struct tuck__fd *tuck__fd_of(const struct tuck__sched *s, int fd)
{
	const struct tuck__poller *p = s->io;

	return tuck__likely(p != NULL) ? tuck__fd_known(p, fd) : NULL;
}

static inline void tuck__wake_all(struct tuck__sched *s,
				  struct tuck__link *queue, int result)
{
	while (!tuck__list_empty(queue))
		tuck__wake(s, tuck__tasklet_of(queue->next), result);
}

#define TUCK__FD_FIRST (-1)

/* get_again() where it is not at hand. */
int tuck__fd_look_up(struct tuck__sched *s, int fd, int last,
		     struct tuck__fd **ret_fd);

/*
 * What is known of fd; makes it known. 0 or an error. last is TUCK__FD_FIRST,
 * or what the last wait gave: then -EBADF if the descriptor was closed in
 * between, even if the number is in use again.
 */
static inline int tuck__fd_get_again(struct tuck__sched *s, int fd, int last,
				     struct tuck__fd **ret_fd)
{
	struct tuck__fd *f = tuck__fd_of(s, fd);

	if (tuck__unlikely(
		    !f || !(f->bits & TUCK__FD_KNOWN) ||
		    (last != TUCK__FD_FIRST && last != tuck__fd_seen(f))))
		return tuck__fd_look_up(s, fd, last, ret_fd);
	*ret_fd = f;
	return 0;
}

/*
 * fd is new, whatever was known of its number: bits, with TUCK__FD_KNOWN, or 0
 * to be found out at its first use, as it also is without memory.
 */
void tuck__fd_adopt(struct tuck__sched *s, int fd, uint32_t bits);

/* From now on others have the open file description of fd, too. */
void tuck__fd_share(struct tuck__sched *s, int fd);

/*
 * The same for a program that is not made for O_NONBLOCK: what we have made
 * blocks from now on, and is borrowed here as what came so.
 */
void tuck__fd_lend(struct tuck__sched *s, int fd);

/*
 * Which closing of the number was the last one here; or an error, -EBADF if
 * that was not last, which is TUCK__FD_FIRST or what a call before gave. For
 * what is not waited for, so that nothing else need be known of it.
 */
int tuck__fd_closing(int fd, int last);

/* As tuck_fd_close(), but to close the number is left to the caller. */
void tuck__fd_retire(int fd);

/* O_NONBLOCK for calls that have no flag to that end: 0 or an error. */
int tuck__fd_unblock(int fd, struct tuck__fd *f);

/*
 * Wait for one of events (TUCK_READABLE | TUCK_WRITABLE) of a descriptor that
 * tuck__fd_get_again() knows: a value for another try, -ETIMEDOUT, -EBADF
 * when it was closed, or an error of epoll_ctl(2).
 */
int tuck__fd_park(struct tuck__sched *s, int fd, int events, tuck_ns deadline);

/*
 * The same for room to send to a name, or to connect to it. Where no edge
 * tells of that, the value comes after 2 ms at the latest.
 */
int tuck__fd_park_named(struct tuck__sched *s, int fd, tuck_ns deadline);

/* Wait until a descriptor is closed, at most until the deadline. */
int tuck__fd_room(struct tuck__sched *s, tuck_ns deadline);

/*
 * The last thing of each call: let others run if there were many without a
 * wait. Returns result.
 */
ssize_t tuck__breathe(ssize_t result);

#endif
