/* SPDX-License-Identifier: MIT */
/*
 * Read and write: ask OpenSSL, and where it wants input, wait and ask again.
 *
 * A reader waits in tuck_read(), for ciphertext, into its caller's buffer: so
 * the buffer is a hole of its slice, and a request costs one recv(2). The
 * bytes go from there to OpenSSL's buffer before any clear text comes back.
 *
 * Each try is a function of its own, whose frame is gone while the tasklet
 * waits (rule S5).
 */
#include "tls/tls.h"

#define RECORD	16384	/* clear bytes of one */
#define BURST	(8 * RECORD)	/* of a write, before the socket is asked */
#define RUN_MAX	64	/* calls before others get a turn */

static int begin(struct tuck_tls *tls, const void *buf, size_t n,
		 tuck_ns deadline)
{
	if (!tls || deadline < 0)
		return tuck__tls_fail(-EINVAL);
	if (!buf && n)
		return tuck__tls_fail(-EFAULT);
	if (tls->closed)
		return tuck__tls_fail(-EBADF);
	return tls->broken ? tuck__tls_again(tls) : 0;
}

/* The last thing of each call: note why it failed, let others run. */
static ssize_t end(struct tuck_tls *tls, ssize_t r)
{
	if (r < 0 && r != tls->broken)
		return tuck__tls_fail((int)r);
	if (++tls->run >= RUN_MAX) {
		tls->run = 0;
		tuck_yield();
	}
	return r;
}

static void leave(struct tuck_tls *const *tls)
{
	tuck__tls_leave(*tls);
}

/* -- reading -- */

static void leave_reading(struct tuck_tls *const *tls)
{
	(*tls)->reader = 0;
	tuck__tls_leave(*tls);
}

static tuck__noinline ssize_t try_read(struct tuck_tls *tls, void *buf,
				       size_t n)
{
	int r;

	if (tls->closed)
		return -EBADF;
	if (tls->broken)
		return tuck__tls_again(tls);
	tuck__tls_enter(tls);
	r = SSL_read(tls->ssl, buf, n < RECORD ? (int)n : RECORD);
	return r > 0 ? r : tuck__tls_outcome(tls, r);
}

/* What tuck_read() gave: for the next try. */
static tuck__noinline int took(struct tuck_tls *tls, void *buf, size_t asked,
			       ssize_t r)
{
	tls->run = 0;
	if (tls->closed)
		return -EBADF;
	if (r < 0 && tuck__tls_passing((int)r))
		return (int)r;
	if (tls->broken)
		return tuck__tls_again(tls);
	if (r < 0)
		return tuck__tls_break(tls, tuck__tls_fail((int)r));
	tls->in = (struct tuck__tls_bytes){ buf, 0, (size_t)r };
	tls->more = (size_t)r == asked;
	tls->eof = r == 0;
	return 0;
}

/* With output left over, such as a KeyUpdate of ours: whichever comes first. */
static int wait_either(struct tuck_tls *tls, tuck_ns deadline)
{
	int r = tuck_fd_wait(tls->fd, TUCK_READABLE | TUCK_WRITABLE, deadline);

	tls->run = 0;
	if (tls->closed)
		return -EBADF;
	if (r < 0)
		return r;
	tls->more = tls->more || (r & TUCK_READABLE);
	if (!(r & TUCK_WRITABLE))
		return 0;
	r = tuck__tls_flush(tls);
	return r == -EAGAIN ? 0 : r;
}

/* Without a chance for others between one try and the next. */
static inline ssize_t read_some(struct tuck_tls *tls, void *buf, size_t n,
				tuck_ns deadline)
{
	size_t asked = n < RECORD ? n : RECORD;
	ssize_t r;

	while ((r = try_read(tls, buf, n)) == TUCK__TLS_INPUT) {
		if (tls->out.p)
			r = wait_either(tls, deadline);
		else
			r = took(tls, buf, asked,
				 tuck_read(tls->fd, buf, asked, deadline));
		if (r < 0)
			break;
	}
	return r;
}

static int begin_read(struct tuck_tls *tls, const void *buf, size_t n,
		      tuck_ns deadline)
{
	int r = begin(tls, buf, n, deadline);

	if (r < 0)
		return r;
	if (tuck__tls_is_read(tls))
		return tuck__tls_fail_with(-EBUSY, "another tasklet reads", "");
	tls->reader = tuck_self();
	tls->users++;
	return 0;
}

ssize_t tuck_tls_read(struct tuck_tls *tls, void *buf, size_t n,
		      tuck_ns deadline)
{
	ssize_t r = begin_read(tls, buf, n, deadline);

	if (r < 0)
		return r;
	struct tuck_tls *used __attribute__((__cleanup__(leave_reading))) = tls;

	return end(used, n ? read_some(used, buf, n, deadline) : 0);
}

ssize_t tuck_tls_read_full(struct tuck_tls *tls, void *buf, size_t n,
			   tuck_ns deadline)
{
	ssize_t r = begin_read(tls, buf, n, deadline);
	size_t done = 0;

	if (r < 0)
		return r;
	struct tuck_tls *used __attribute__((__cleanup__(leave_reading))) = tls;

	while (done < n) {
		r = read_some(used, (char *)buf + done, n - done, deadline);
		if (r <= 0)
			break;
		done += (size_t)r;
	}
	return end(used, r < 0 ? r : (ssize_t)done);
}

/* -- writing -- */

/*
 * Records until the socket is full: how many bytes are in them, or why there
 * is none. TUCK__TLS_INPUT while half of a handshake message is here.
 */
static tuck__noinline ssize_t try_write(struct tuck_tls *tls, const char *buf,
					size_t n)
{
	size_t done = 0;
	int r = 0;

	if (tls->closed)
		return -EBADF;
	if (tls->broken)
		return tuck__tls_again(tls);
	if (tls->shut)
		return -EPIPE;
	tuck__tls_enter(tls);
	n = n < BURST ? n : BURST;
	while (done < n && !tls->out.p) {
		size_t left = n - done;

		r = SSL_write(tls->ssl, buf + done,
			      left < RECORD ? (int)left : RECORD);
		if (r <= 0)
			break;
		done += (size_t)r;
	}
	if (done == 0 && n > 0) {
		r = tuck__tls_outcome(tls, r);
		return r == 0 ? -EPIPE : r;
	}
	ERR_clear_error();	/* what stopped it, the next one meets too */
	return (ssize_t)done;
}

/* Its reader did not get its turn: a policy may have it wait for us. */
static int give_way(tuck_ns deadline)
{
	tuck_ns again = tuck_after(TUCK_MS(1));
	int r;

	if (deadline == TUCK_NOWAIT)
		return -EAGAIN;
	r = tuck_sleep(again < deadline ? again : deadline);
	return r == 0 && deadline <= again ? -ETIMEDOUT : r;
}

/* Input that a reader takes if there is one, else the next try. */
static int wait_input(struct tuck_tls *tls, tuck_ns deadline)
{
	int r = tuck_fd_wait(tls->fd, TUCK_READABLE, deadline);

	if (r < 0)
		return r;
	if (!tuck__tls_is_read(tls)) {
		tls->more = true;
		return 0;
	}
	tuck_yield();
	if (tls->closed || !tuck__tls_is_read(tls) ||
	    tuck_fd_wait(tls->fd, TUCK_READABLE, TUCK_NOWAIT) < 0)
		return 0;
	return give_way(deadline);
}

/* Take some bytes, once those before are on their way. */
static inline ssize_t take_some(struct tuck_tls *tls, const char *buf, size_t n,
				tuck_ns deadline)
{
	ssize_t r;

	do {
		r = tuck__tls_drain(tls, deadline);
		if (r < 0)
			return r;
		r = try_write(tls, buf, n);
	} while (r == TUCK__TLS_INPUT && (r = wait_input(tls, deadline)) >= 0);
	return r;
}

ssize_t tuck_tls_write(struct tuck_tls *tls, const void *buf, size_t n,
		       tuck_ns deadline)
{
	ssize_t taken = begin(tls, buf, n, deadline);
	int r;

	if (taken < 0)
		return taken;
	struct tuck_tls *used __attribute__((__cleanup__(leave))) = tls;

	used->users++;
	taken = take_some(used, buf, n, deadline);
	if (taken < 0)
		return end(used, taken);
	r = tuck__tls_drain(used, deadline);
	return end(used, r < 0 && !tuck__tls_passing(r) ? r : taken);
}

ssize_t tuck_tls_write_full(struct tuck_tls *tls, const void *buf, size_t n,
			    tuck_ns deadline)
{
	ssize_t r = begin(tls, buf, n, deadline);
	size_t done = 0;

	if (r < 0)
		return r;
	struct tuck_tls *used __attribute__((__cleanup__(leave))) = tls;

	used->users++;
	while (r >= 0 && done < n) {
		r = take_some(used, (const char *)buf + done, n - done,
			      deadline);
		if (r > 0)
			done += (size_t)r;
	}
	if (r >= 0)
		r = tuck__tls_drain(used, deadline);
	return end(used, r < 0 ? r : (ssize_t)done);
}
