/* SPDX-License-Identifier: MIT */
/*
 * splice: one end is a pipe, for which there is a flag; the other does not
 * block for the time of the call, as in connect.c. Which of them it was that
 * would have blocked is asked afterwards. As much goes as goes at once, which
 * may be less than a call that stops its thread would move.
 */
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "hook/hook.h"

struct splicing {
	int in, out;
	off64_t *in_at, *out_at;
	size_t n;
	unsigned flags;
};

static tuck__noinline bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

static tuck__noinline ssize_t try_splice(const struct splicing *s)
{
	int other = is_pipe(s->in) ? s->out : s->in;
	int was = tuck__hook_unblock(other);
	ssize_t r = __real_splice(s->in, s->in_at, s->out, s->out_at, s->n,
				  s->flags | SPLICE_F_NONBLOCK);

	tuck__hook_block(other, was);
	return r;
}

static bool blocks_if_pipe(int fd)
{
	return !is_pipe(fd) || tuck__hook_blocks(fd);
}

/* The caller's flag is about pipes only, and so is the O_NONBLOCK of either. */
static bool pipes_block(const struct splicing *s)
{
	return !(s->flags & SPLICE_F_NONBLOCK) && blocks_if_pipe(s->in) &&
	       blocks_if_pipe(s->out);
}

static bool is_unix(int fd)
{
	int domain = AF_UNSPEC;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       domain == AF_UNIX;
}

/* A Unix socket's input heeds the flag, too. */
static bool may_block(const struct splicing *s, int fd)
{
	if (is_pipe(fd))
		return pipes_block(s);
	return !(s->flags & SPLICE_F_NONBLOCK && fd == s->in && is_unix(fd));
}

static bool again(const struct splicing *s, int fd, short events,
		  tuck_ns *until)
{
	bool blocks = may_block(s, fd);
	int other = fd == s->in ? s->out : s->in;

	errno = EAGAIN;
	return blocks && tuck__hook_again_with(fd, events, other, until);
}

/* Neither would block, but did: what poll() takes for room is too little. */
static bool wait_for_either(const struct splicing *s, tuck_ns until[2])
{
	bool blocks;

	if (tuck__hook_would_block(s->in, POLLIN, O_WRONLY))
		return again(s, s->in, POLLIN, &until[0]);
	if (tuck__hook_would_block(s->out, POLLOUT, O_RDONLY))
		return again(s, s->out, POLLOUT, &until[1]);
	blocks = pipes_block(s) && tuck__hook_blocks(s->in);
	errno = EAGAIN;
	return blocks &&
	       tuck__hook_later_with(s->out, POLLOUT, s->in, &until[1]);
}

ssize_t __wrap_splice(int in, off64_t *in_at, int out, off64_t *out_at,
		      size_t n, unsigned flags)
{
	const struct splicing s = { in, out, in_at, out_at, n, flags };
	tuck_ns until[2] = { 0, 0 };
	ssize_t r;

	if (!tuck__hook_on() || n == 0)
		return __real_splice(in, in_at, out, out_at, n, flags);
	do
		r = try_splice(&s);
	while (r < 0 && errno == EAGAIN && wait_for_either(&s, until));
	return r;
}
