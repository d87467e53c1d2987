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
 *    never read. Those of the first 128 procs are made before the first proc
 *    gets a descriptor table of its own, and so are in every table under the
 *    same number.
 *
 * Why not otherwise: level-triggered registrations need a system call for
 * each wait; io_uring would write into buffers on stacks that have moved
 * (rule S3). A signal as wake-up would need no descriptor, but the program's
 * consent.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <tuck/io.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/poller.h"
#include "io/socket.h"

#define CHUNK		256	/* descriptors */
#define EVENTS		256	/* of one epoll_wait */
#define WAKES		128	/* procs while there are own tables */
#define RUN_MAX		64	/* calls before others get a turn */
#define ASK_AGAIN	TUCK_MS(2)	/* what no edge tells of */

#define IN_EVENTS	(EPOLLIN | EPOLLRDHUP | EPOLLPRI)
#define HUNG_EVENTS	(EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)

struct tuck__poller {
	struct tuck__fd **chunks;
	uint32_t chunks_n;
	int epoll, wake;
	struct tuck__link for_room;	/* for any descriptor to close */
	struct epoll_event events[EVENTS];
};

static pthread_mutex_t wakes_lock = PTHREAD_MUTEX_INITIALIZER;
static int wakes[WAKES];		/* eventfd + 1; 0: not made */

/* -- wake-ups -- */

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

	if (proc >= WAKES) {
		r = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		return r < 0 ? -errno : r;
	}
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

static void poller_kick(void *arg)
{
	const struct tuck__poller *p = arg;
	uint64_t one = 1;

	while (write(p->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void wake_waiters(struct tuck__sched *s, struct tuck__link *queue,
			 int result)
{
	while (!tuck__list_empty(queue))
		tuck__wake(s, tuck__tasklet_of(queue->next), result);
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

static struct tuck__fd *known(const struct tuck__poller *p, int fd)
{
	uint32_t chunk = (uint32_t)fd / CHUNK;

	if (fd < 0 || chunk >= p->chunks_n || !p->chunks[chunk])
		return NULL;
	return &p->chunks[chunk][fd % CHUNK];
}

static void deliver(struct tuck__sched *s, struct tuck__poller *p,
		    const struct epoll_event *e)
{
	struct tuck__fd *f = known(p, (int)(uint32_t)e->data.u64);

	if (!f || f->gen != e->data.u64 >> 32)
		return;
	if (e->events & HUNG_EVENTS)
		f->bits |= TUCK__FD_HUNG;
	if (e->events & (IN_EVENTS | HUNG_EVENTS)) {
		f->bits &= ~(uint32_t)TUCK__FD_EMPTY;
		wake_waiters(s, &f->readers, tuck__fd_seen(f));
	}
	if (e->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
		wake_waiters(s, &f->writers, tuck__fd_seen(f));
		wake_either(s, f);
	}
}

static int wait_events(struct tuck__poller *p, tuck_ns deadline)
{
	struct timespec t = { 0, 0 }, *limit = &t;
	tuck_ns left;
	int r;

	if (deadline == TUCK_NOWAIT)
		return epoll_wait(p->epoll, p->events, EVENTS, 0);
	if (deadline == TUCK_FOREVER)
		return epoll_wait(p->epoll, p->events, EVENTS, -1);
	left = deadline - tuck_now();
	if (left > 0) {
		t.tv_sec = left / TUCK_SEC(1);
		t.tv_nsec = left % TUCK_SEC(1);
	}
	r = epoll_pwait2(p->epoll, p->events, EVENTS, limit, NULL);
	if (r < 0 && errno == ENOSYS) {
		left = left > 0 ? (left + TUCK_MS(1) - 1) / TUCK_MS(1) : 0;
		r = epoll_wait(p->epoll, p->events, EVENTS,
			       left < 3600000 ? (int)left : 3600000);
	}
	return r;
}

static void poller_wait(struct tuck__sched *s, void *arg, tuck_ns deadline)
{
	struct tuck__poller *p = arg;
	int err = errno, cancel, n;

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
	if (s->number >= WAKES)
		close(p->wake);
	for (uint32_t i = 0; i < p->chunks_n; i++)
		tuck__free(p->chunks[i]);
	tuck__free(p->chunks);
	tuck__free(p);
	s->io = NULL;
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
	int r;

	tuck__link_init(&p->for_room);
	p->wake = wake_of(s->number);
	if (p->wake < 0)
		return p->wake;
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = p->epoll < 0 ? -errno : poller_add(p, p->wake, UINT32_MAX, EPOLLIN);
	if (r == 0)
		return 0;
	if (p->epoll >= 0)
		close(p->epoll);
	if (s->number >= WAKES)
		close(p->wake);
	return r;
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

/* -- what is known of descriptors -- */

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
	fds = tuck__alloc(CHUNK * sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	for (int i = 0; i < CHUNK; i++) {
		tuck__link_init(&fds[i].readers);
		tuck__link_init(&fds[i].writers);
	}
	p->chunks[chunk] = fds;
	return 0;
}

/* The entry of a number, used or not. */
static int entry(struct tuck__sched *s, int fd, struct tuck__fd **ret_fd)
{
	struct tuck__poller *p;
	int r;

	if (fd < 0)
		return -EBADF;
	r = tuck__poller(s, &p);
	if (r < 0)
		return r;
	if (tuck__unlikely(!known(p, fd))) {
		if (fcntl(fd, F_GETFD) < 0)
			return -errno;
		r = make_chunk(p, (uint32_t)fd / CHUNK);
		if (r < 0)
			return r;
	}
	*ret_fd = known(p, fd);
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

int tuck__fd_get_again(struct tuck__sched *s, int fd, int last,
		       struct tuck__fd **ret_fd)
{
	int r = entry(s, fd, ret_fd);

	if (r == 0 && last != TUCK__FD_FIRST && last != tuck__fd_seen(*ret_fd))
		return -EBADF;
	if (tuck__unlikely(r == 0 && !((*ret_fd)->bits & TUCK__FD_KNOWN)))
		r = get_to_know(fd, *ret_fd);
	return r;
}

/* Whatever was known of the number is no more. */
static void forget(struct tuck__sched *s, struct tuck__fd *f)
{
	wake_waiters(s, &f->readers, -EBADF);
	wake_waiters(s, &f->writers, -EBADF);
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
	struct tuck__fd *f = known(s->io, fd);

	if (f)
		f->bits &= ~(uint32_t)TUCK__FD_OURS;
}

static tuck__noinline int add(struct tuck__sched *s, int fd, struct tuck__fd *f)
{
	int r = poller_add(s->io, fd, f->gen, IN_EVENTS | EPOLLOUT);

	if (r == 0)
		f->bits |= TUCK__FD_ADDED;
	return r;
}

int tuck__fd_park(struct tuck__sched *s, int fd, int events, tuck_ns deadline)
{
	struct tuck__fd *f = known(s->io, fd);
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
	const struct tuck__fd *f = known(s->io, fd);
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

int tuck_fd_close(int fd)
{
	struct tuck__sched *s = tuck__tls;
	struct tuck__poller *p = s ? s->io : NULL;
	struct tuck__fd *f = p ? known(p, fd) : NULL;

	if (f && (f->bits & (TUCK__FD_ADDED | TUCK__FD_OURS)) == TUCK__FD_ADDED)
		epoll_ctl(p->epoll, EPOLL_CTL_DEL, fd, NULL);
	if (f)
		forget(s, f);
	if (p)
		wake_waiters(s, &p->for_room, 0);
	return close(fd) < 0 ? -errno : 0;
}
