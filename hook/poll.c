/* SPDX-License-Identifier: MIT */
/*
 * poll, select, epoll_wait and their kin: each is asked without a time first,
 * and again after each wake-up, so what it returns is the kernel's word.
 *
 * A signal mask belongs to the thread, and so to all its tasklets: while one
 * waits with a mask of its own, its signals are looked for every STEP.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "hook/hook.h"

#define STEP TUCK_MS(10)

static const struct timespec zero;

static bool valid(const struct timespec *t)
{
	return !t ||
	       (t->tv_sec >= 0 && t->tv_nsec >= 0 && t->tv_nsec < TUCK_SEC(1));
}

static tuck_ns after_ms(int ms)
{
	return ms < 0 ? TUCK_FOREVER : tuck_after(TUCK_MS((tuck_ns)ms));
}

/*
 * Nothing is ready: 0 to look again, or the result: 0 that the time is over
 * (in *ret_over), -1 with errno.
 */
static int wait_more(const struct pollfd *fds, nfds_t n, tuck_ns deadline,
		     const sigset_t *mask, bool *ret_over)
{
	tuck_ns step = mask ? tuck_after(STEP) : deadline;
	int r;

	if (deadline <= tuck_now()) {
		*ret_over = true;
		tuck_yield();	/* who asks in a loop waits for somebody */
		return 0;
	}
	if (step > deadline)
		step = deadline;
	r = tuck__hook_wait(fds, n, step);
	if (r == 0 || (r == -ETIMEDOUT && step < deadline))
		return 0;
	*ret_over = true;
	if (r == -ETIMEDOUT)
		return 0;	/* but look once more */
	errno = -r;
	return -1;
}

static int poll_until(struct pollfd *fds, nfds_t n, tuck_ns deadline,
		      const sigset_t *mask)
{
	bool over = false;
	int r;

	for (;;) {
		r = __real_ppoll(fds, n, &zero, mask);
		if (r != 0 || over)
			return r;
		r = wait_more(fds, n, deadline, mask, &over);
		if (r < 0)
			return r;
	}
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int ms)
{
	if (!tuck__hook_on())
		return __real_poll(fds, n, ms);
	return poll_until(fds, n, after_ms(ms), NULL);
}

int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *limit,
		 const sigset_t *mask)
{
	if (!tuck__hook_on() || !valid(limit))
		return __real_ppoll(fds, n, limit, mask);
	return poll_until(fds, n, tuck__hook_deadline(limit), mask);
}

int __wrap___poll_chk(struct pollfd *fds, nfds_t n, int ms, size_t room)
{
	return room / sizeof(*fds) < n ? __real___poll_chk(fds, n, ms, room) :
					 __wrap_poll(fds, n, ms);
}

int __wrap___ppoll_chk(struct pollfd *fds, nfds_t n,
		       const struct timespec *limit, const sigset_t *mask,
		       size_t room)
{
	return room / sizeof(*fds) < n ?
		       __real___ppoll_chk(fds, n, limit, mask, room) :
		       __wrap_ppoll(fds, n, limit, mask);
}

/* -- select -- */

enum { IN, OUT, URGENT, SETS };

static const short events_of[SETS] = { POLLIN, POLLOUT, POLLPRI };

/* What was asked for, since each look overwrites it. */
struct asked {
	size_t bytes;		/* of a set */
	fd_set *to[SETS];	/* the caller's */
	char *sets;		/* copies, one after the other */
	nfds_t n;
	struct pollfd fds[];
};

static bool has(const fd_set *set, int fd)
{
	const unsigned long *words = (const void *)set;
	const int bits = 8 * sizeof(*words);

	return set && words[fd / bits] >> (fd % bits) & 1;
}

static size_t bytes_of(int n)
{
	const size_t bits = 8 * sizeof(long);

	return ((size_t)n + bits - 1) / bits * sizeof(long);
}

static void note(struct asked *a, int fd)
{
	short events = 0;

	for (int i = 0; i < SETS; i++)
		if (has(a->to[i], fd))
			events |= events_of[i];
	if (events)
		a->fds[a->n++] = (struct pollfd){ .fd = fd, .events = events };
}

/* How many descriptors there is room for. */
static tuck__noinline int table_size(int otherwise)
{
	char text[4096];
	const char *line;
	ssize_t r = -1;
	int fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return otherwise;
	r = __real_read(fd, text, sizeof(text) - 1);
	__real_close(fd);
	text[r < 0 ? 0 : r] = 0;
	line = strstr(text, "FDSize:");
	return line ? atoi(line + strlen("FDSize:")) : otherwise;
}

/*
 * The kernel looks at no more of a set than there may be descriptors, so n may
 * be larger than what is there: getdtablesize() is, for an fd_set.
 */
static int within_table(int n)
{
	int most = n > FD_SETSIZE ? table_size(n) : n;

	return n < most ? n : most;
}

static tuck__noinline struct asked *ask(int n, fd_set *const sets[SETS])
{
	size_t bytes = bytes_of(n);
	struct asked *a = calloc(1, sizeof(*a) + (size_t)n * sizeof(a->fds[0]) +
					    SETS * bytes);

	if (!a)
		return NULL;
	a->bytes = bytes;
	a->sets = (char *)&a->fds[n];
	memcpy(a->to, sets, sizeof(a->to));
	for (int i = 0; i < SETS; i++)
		if (sets[i])
			memcpy(a->sets + (size_t)i * bytes, sets[i], bytes);
	for (int fd = 0; fd < n; fd++)
		note(a, fd);
	return a;
}

static void forget(struct asked **a)
{
	free(*a);
}

static void restore(const struct asked *a)
{
	for (int i = 0; i < SETS; i++)
		if (a->to[i])
			memcpy(a->to[i], a->sets + (size_t)i * a->bytes,
			       a->bytes);
}

static tuck__noinline int look(const struct asked *a, int n,
			       const sigset_t *mask)
{
	restore(a);
	return __real_pselect(n, a->to[IN], a->to[OUT], a->to[URGENT], &zero,
			      mask);
}

static int select_until(int all, fd_set *const sets[SETS], tuck_ns deadline,
			const sigset_t *mask)
{
	int n = within_table(all), r;
	struct asked *a __attribute__((__cleanup__(forget))) = ask(n, sets);
	bool over = false;

	if (!a) {
		errno = ENOMEM;
		return -1;
	}
	for (;;) {
		r = look(a, n, mask);
		if (r != 0 || over)
			return r;
		r = wait_more(a->fds, a->n, deadline, mask, &over);
		if (r < 0) {
			restore(a);	/* many call again with them */
			return r;
		}
	}
}

int __wrap_pselect(int n, fd_set *in, fd_set *out, fd_set *urgent,
		   const struct timespec *limit, const sigset_t *mask)
{
	fd_set *const sets[SETS] = { in, out, urgent };

	if (!tuck__hook_on() || n < 0 || !valid(limit))
		return __real_pselect(n, in, out, urgent, limit, mask);
	return select_until(n, sets, tuck__hook_deadline(limit), mask);
}

/* Linux says in limit how much of it was left. */
int __wrap_select(int n, fd_set *in, fd_set *out, fd_set *urgent,
		  struct timeval *limit)
{
	fd_set *const sets[SETS] = { in, out, urgent };
	struct timespec t;
	tuck_ns deadline, left;
	int r;

	if (!tuck__hook_on() || n < 0 ||
	    (limit && (limit->tv_sec < 0 || limit->tv_usec < 0)))
		return __real_select(n, in, out, urgent, limit);
	if (!limit)
		return select_until(n, sets, TUCK_FOREVER, NULL);
	t = (struct timespec){ limit->tv_sec + limit->tv_usec / 1000000,
			       limit->tv_usec % 1000000 * 1000 };
	deadline = tuck__hook_deadline(&t);
	r = select_until(n, sets, deadline, NULL);
	left = deadline - tuck_now();
	if (left < 0)
		left = 0;
	limit->tv_sec = left / TUCK_SEC(1);
	limit->tv_usec = left % TUCK_SEC(1) / TUCK_US(1);
	return r;
}

/* -- epoll -- */

/* With a mask, its signals first: epoll_pwait would not look without a wait. */
static tuck__noinline int look_into(int fd, struct epoll_event *events, int n,
				    const sigset_t *mask)
{
	if (mask && __real_ppoll(NULL, 0, &zero, mask) < 0)
		return -1;
	return __real_epoll_wait(fd, events, n, 0);
}

static int epoll_until(int fd, struct epoll_event *events, int n,
		       tuck_ns deadline, const sigset_t *mask)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	bool over = false;
	int r;

	for (;;) {
		r = look_into(fd, events, n, mask);
		if (r != 0 || over)
			return r;
		r = wait_more(&p, 1, deadline, mask, &over);
		if (r < 0)
			return r;
	}
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int n, int ms)
{
	if (!tuck__hook_on())
		return __real_epoll_wait(fd, events, n, ms);
	return epoll_until(fd, events, n, after_ms(ms), NULL);
}

int __wrap_epoll_pwait(int fd, struct epoll_event *events, int n, int ms,
		       const sigset_t *mask)
{
	if (!tuck__hook_on())
		return __real_epoll_pwait(fd, events, n, ms, mask);
	return epoll_until(fd, events, n, after_ms(ms), mask);
}

int __wrap_epoll_pwait2(int fd, struct epoll_event *events, int n,
			const struct timespec *limit, const sigset_t *mask)
{
	if (!tuck__hook_on() || !valid(limit))
		return __real_epoll_pwait2(fd, events, n, limit, mask);
	return epoll_until(fd, events, n, tuck__hook_deadline(limit), mask);
}
