/* SPDX-License-Identifier: MIT */
/*
 * The poller of a proc, and what it knows of descriptors.
 *
 * A back end is these calls: poller_open, poller_close, poller_add,
 * poller_wait, poller_kick; here Linux's epoll.
 */
#ifndef TUCK__POLLER_H
#define TUCK__POLLER_H

#include "task/task.h"

enum {
	TUCK__FD_KNOWN = 1,	/* does not block; the next two are right */
	TUCK__FD_SOCKET = 2,
	TUCK__FD_STREAM = 4,	/* a short read means that it is empty */
	TUCK__FD_ADDED = 8,	/* registered with the poller */
	TUCK__FD_EMPTY = 32,	/* was read dry since its last event */
	TUCK__FD_HUNG = 64	/* hang-up, error or urgent data seen */
};

struct tuck__fd {
	struct tuck__link readers, writers;
	uint32_t gen;		/* of the number: how often it was closed */
	uint32_t bits;
};

struct tuck__poller;

/* The calling proc's poller, made at its first use: 0 or an error. */
int tuck__poller(struct tuck__sched *s, struct tuck__poller **ret_poller);

#define TUCK__FD_FIRST (-1)

/*
 * What is known of fd; makes it known and non-blocking. 0 or an error. last
 * is TUCK__FD_FIRST, or what the last wait gave: then -EBADF if the descriptor
 * was closed in between, even if the number is in use again.
 */
int tuck__fd_get_again(struct tuck__sched *s, int fd, int last,
		       struct tuck__fd **ret_fd);

/* The same at once for a new descriptor of ours, whose kind is known. */
int tuck__fd_adopt(struct tuck__sched *s, int fd, uint32_t bits);

/*
 * Wait for one of events (TUCK_READABLE | TUCK_WRITABLE) of a descriptor that
 * tuck__fd_get_again() knows: a value for another try, -ETIMEDOUT, -EBADF
 * when it was closed, or an error of epoll_ctl(2).
 */
int tuck__fd_park(struct tuck__sched *s, int fd, int events, tuck_ns deadline);

/* A connection that was accepted when there was no memory for it. */
struct tuck__stray {
	int listener;
	int fd;			/* plus 1; 0: there is none */
};

/* The place for one; there is a poller already. */
struct tuck__stray *tuck__fd_stray(struct tuck__sched *s);

/* Wait until a descriptor is closed, at most until the deadline. */
int tuck__fd_room(struct tuck__sched *s, tuck_ns deadline);

/*
 * The last thing of each call: let others run if there were many without a
 * wait. Returns result.
 */
ssize_t tuck__breathe(ssize_t result);

/*
 * Make the wake-up descriptors of all procs that may ever be, so that they
 * are in the tables of procs that get their own after this call.
 */
int tuck__poller_share_wakes(void);

/* Those made so far: their number, at most TUCK_PROCS_MAX. */
size_t tuck__poller_wakes(int *ret_fds);

#endif
