/* SPDX-License-Identifier: MIT */
/*
 * Descriptors: what a proc knows of them, waits for them, and their end.
 *
 * Invariants:
 * 1. What stands in an entry is right from the descriptor's first use here up
 *    to tuck_fd_close(). A number closed otherwise is noticed when we make or
 *    receive a descriptor of that number.
 * 2. OURS is set only while no duplicate of a descriptor is known of. Closing
 *    any other takes it out of epoll first, a system call more: else its
 *    description, if it lives on, would go on to report events, which are
 *    dropped, and nobody could stop that any more. What fork() copied is not
 *    known of.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <tuck/io.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/calls.h"
#include "io/poller.h"
#include "io/socket.h"

#define RUN_MAX		64	/* calls before others get a turn */
#define ASK_AGAIN	TUCK_MS(2)	/* what no edge tells of */

static int make_chunk(struct tuck__poller *p, uint32_t chunk)
{
	struct tuck__fd *fds;

	if (chunk >= p->chunks_n) {
		uint32_t n = chunk + 1 > 2 * p->chunks_n ? chunk + 1 :
							   2 * p->chunks_n;
		struct tuck__fd **chunks;

		chunks = tuck__resize(p->chunks, n * sizeof(chunks[0]));
		if (!chunks)
			return -ENOMEM;
		memset(chunks + p->chunks_n, 0,
		       (n - p->chunks_n) * sizeof(chunks[0]));
		p->chunks = chunks;
		p->chunks_n = n;
	}
	fds = tuck__alloc(TUCK__FD_CHUNK * sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	for (int i = 0; i < TUCK__FD_CHUNK; i++) {
		tuck__link_init(&fds[i].readers);
		tuck__link_init(&fds[i].writers);
	}
	p->chunks[chunk] = fds;
	return 0;
}

/* The entry of a number, used or not. */
static int entry(struct tuck__sched *s, int fd, struct tuck__fd **ret_fd)
{
	struct tuck__poller *p = s->io;
	int r;

	if (fd < 0)
		return -EBADF;
	if (!p) {
		r = tuck__poller(s, &p);
		if (r < 0)
			return r;
	}
	if (!tuck__fd_known(p, fd)) {
		if (fcntl(fd, F_GETFD) < 0)
			return -errno;
		r = make_chunk(p, (uint32_t)fd / TUCK__FD_CHUNK);
		if (r < 0)
			return r;
	}
	*ret_fd = tuck__fd_known(p, fd);
	return 0;
}

static int socket_option(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 :
								      value;
}

uint32_t tuck__socket_bits(int family, int kind)
{
	if (family == AF_UNIX)
		return TUCK__FD_SOCKET | TUCK__FD_DEAF;
	return TUCK__FD_SOCKET | (kind == SOCK_STREAM ? TUCK__FD_STREAM : 0);
}

static uint32_t bits_of_socket(int fd, int kind)
{
	int family = socket_option(fd, SO_DOMAIN);

	if (family != AF_UNIX && socket_option(fd, SO_PROTOCOL) != IPPROTO_TCP)
		return TUCK__FD_SOCKET;
	return tuck__socket_bits(family, kind);
}

/* Whether read(2) and write(2) of it may wait for others. */
static bool may_block(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || S_ISFIFO(st.st_mode) ||
	       S_ISCHR(st.st_mode) || !(st.st_mode & S_IFMT);
}

static int get_to_know(int fd, struct tuck__fd *f)
{
	int flags = fcntl(fd, F_GETFL), kind;

	if (flags < 0)
		return -errno;
	kind = socket_option(fd, SO_TYPE);
	f->bits = TUCK__FD_KNOWN;
	if (kind >= 0)
		f->bits |= bits_of_socket(fd, kind);
	if (!(flags & O_NONBLOCK) && (kind >= 0 || may_block(fd)))
		f->bits |= TUCK__FD_BLOCKS;
	return 0;
}

int tuck__fd_unblock(int fd, struct tuck__fd *f)
{
	int flags;

	if (tuck__likely(!(f->bits & TUCK__FD_BLOCKS)))
		return 0;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	f->bits &= ~(uint32_t)TUCK__FD_BLOCKS;
	return 0;
}

int tuck__fd_look_up(struct tuck__sched *s, int fd, int last,
		     struct tuck__fd **ret_fd)
{
	int r = entry(s, fd, ret_fd);

	if (r == 0 && last != TUCK__FD_FIRST && last != tuck__fd_seen(*ret_fd))
		return -EBADF;
	if (r == 0 && !((*ret_fd)->bits & TUCK__FD_KNOWN))
		r = get_to_know(fd, *ret_fd);
	return r;
}

int tuck__fd_closing(int fd, int last)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck__fd *f;
	int r = s ? entry(s, fd, &f) : tuck__sched_error();

	if (r < 0)
		return r;
	r = tuck__fd_seen(f);
	return last == TUCK__FD_FIRST || last == r ? r : -EBADF;
}

/* Whatever was known of the number is no more. */
static void forget(struct tuck__sched *s, struct tuck__fd *f)
{
	tuck__wake_all(s, &f->readers, -EBADF);
	tuck__wake_all(s, &f->writers, -EBADF);
	f->gen++;
	f->bits = 0;
}

void tuck__fd_adopt(struct tuck__sched *s, int fd, uint32_t bits)
{
	struct tuck__fd *f;

	if (entry(s, fd, &f) < 0)
		return;
	forget(s, f);	/* if the number was closed behind our back */
	f->bits = bits;
}

void tuck__fd_share(struct tuck__sched *s, int fd)
{
	struct tuck__fd *f = tuck__fd_of(s, fd);

	if (f)
		f->bits &= ~(uint32_t)TUCK__FD_OURS;
}

void tuck__fd_lend(struct tuck__sched *s, int fd)
{
	struct tuck__fd *f = tuck__fd_of(s, fd);
	int flags;

	if (!f || !(f->bits & TUCK__FD_OURS))
		return;
	f->bits &= ~(uint32_t)TUCK__FD_OURS;
	flags = fcntl(fd, F_GETFL);
	if (flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0)
		f->bits |= TUCK__FD_BLOCKS;
}

static tuck__noinline int add(struct tuck__sched *s, int fd, struct tuck__fd *f)
{
	int r = tuck__poller_add(s->io, fd, f->gen);

	if (r == 0)
		f->bits |= TUCK__FD_ADDED;
	return r;
}

int tuck__fd_park(struct tuck__sched *s, int fd, int events, tuck_ns deadline)
{
	struct tuck__fd *f = tuck__fd_known(s->io, fd);
	bool reads = events & TUCK_READABLE;
	int r;

	if (tuck__unlikely(!(f->bits & TUCK__FD_ADDED))) {
		r = add(s, fd, f);
		if (r < 0)
			return r;
	}
	s->run = 0;
	s->fd_waiters++;
	s->current->w.bits &= (uint8_t)~TUCK__EITHER;
	if (tuck__unlikely(events == (TUCK_READABLE | TUCK_WRITABLE)))
		s->current->w.bits |= TUCK__EITHER;
	tuck__link_before(reads ? &f->readers : &f->writers,
			  &s->current->w.link);
	return tuck__wait(s, reads ? TUCK__WHY_READ : TUCK__WHY_WRITE,
			  (void *)(intptr_t)fd, deadline);
}

/*
 * Not among its writers: each try that fails there gives back a buffer, which
 * is an edge, so that it would be tried for ever. Any close ends this wait.
 */
static int park_deaf(struct tuck__sched *s, int fd, tuck_ns deadline)
{
	struct tuck__poller *p = s->io;

	s->run = 0;
	s->fd_waiters++;
	tuck__link_before(&p->for_room, &s->current->w.link);
	return tuck__wait(s, TUCK__WHY_WRITE, (void *)(intptr_t)fd, deadline);
}

int tuck__fd_park_named(struct tuck__sched *s, int fd, tuck_ns deadline)
{
	const struct tuck__fd *f = tuck__fd_known(s->io, fd);
	tuck_ns again = tuck_after(ASK_AGAIN);
	int seen = tuck__fd_seen(f), r;

	if (!(f->bits & TUCK__FD_DEAF))
		return tuck__fd_park(s, fd, TUCK_WRITABLE, deadline);
	r = park_deaf(s, fd, again < deadline ? again : deadline);
	return r == 0 || (r == -ETIMEDOUT && again < deadline) ? seen : r;
}

int tuck__fd_room(struct tuck__sched *s, tuck_ns deadline)
{
	struct tuck__poller *p = s->io;

	tuck__link_before(&p->for_room, &s->current->w.link);
	return tuck__wait(s, TUCK__WHY_FD_ROOM, NULL, deadline);
}

ssize_t tuck__breathe(ssize_t result)
{
	struct tuck__sched *s = tuck__tls;

	if (tuck__unlikely(s && ++s->run >= RUN_MAX)) {
		s->run = 0;
		tuck_yield();
	}
	return result;
}

static void retire(struct tuck__sched *s, int fd, bool stays_open)
{
	struct tuck__fd *f = s ? tuck__fd_of(s, fd) : NULL;

	if (!f)
		return;
	if ((f->bits & TUCK__FD_ADDED) &&
	    (stays_open || !(f->bits & TUCK__FD_OURS)))
		tuck__poller_remove(s->io, fd);
	forget(s, f);
}

void tuck__fd_retire(int fd)
{
	retire(tuck__tls, fd, true);
}

int tuck_fd_close(int fd)
{
	struct tuck__sched *s = tuck__tls;
	struct tuck__poller *p = s ? s->io : NULL;

	retire(s, fd, false);
	if (p)
		tuck__wake_all(s, &p->for_room, 0);
	if (tuck__calls_close(fd))
		return 0;
	return close(fd) < 0 ? -errno : 0;
}
