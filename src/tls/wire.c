/* SPDX-License-Identifier: MIT */
/*
 * Between OpenSSL and the socket: a BIO that never waits.
 *
 * Input comes from what a reader has read into its caller's buffer (rw.c),
 * and then from the socket itself if that filled the buffer, or somebody has
 * seen that there is input. Output goes to the socket, and what it does not
 * take is kept.
 *
 * Why not otherwise: OpenSSL's own socket BIO leaves the rest of a record in
 * the SSL, where a read that must write finds it in its way; a pair of memory
 * BIOs holds 17 KB for each idle connection, and copies all once more.
 */
#include <openssl/bio.h>
#include <sys/socket.h>

#include "tls/tls.h"

/*
 * A write leaves a record. More is what a peer makes us answer without
 * reading it.
 */
#define OUT_MAX (1 << 18)

/* -- input -- */

static void drop(struct tuck__tls_bytes *b)
{
	OPENSSL_free(b->p);
	*b = (struct tuck__tls_bytes){ 0 };
}

/* What is left lies in the caller's buffer, where clear text will come. */
static int keep_rest(struct tuck_tls *tls)
{
	struct tuck__tls_bytes *in = &tls->in;
	unsigned char *p = OPENSSL_memdup(in->p + in->at, tuck__tls_left(in));

	if (!p)
		return -ENOMEM;
	*in = (struct tuck__tls_bytes){ p, 0, tuck__tls_left(in) };
	tls->in_kept = true;
	return 0;
}

static int read_given(struct tuck_tls *tls, char *buf, size_t n)
{
	struct tuck__tls_bytes *in = &tls->in;

	if (n > tuck__tls_left(in))
		n = tuck__tls_left(in);
	memcpy(buf, in->p + in->at, n);
	in->at += n;
	if (tuck__tls_left(in) == 0) {
		if (tls->in_kept)
			drop(in);
		*in = (struct tuck__tls_bytes){ 0 };
		tls->in_kept = false;
	} else if (!tls->in_kept && keep_rest(tls) < 0) {
		tls->io_error = -ENOMEM;
		return -1;
	}
	return (int)n;
}

static int read_socket(struct tuck_tls *tls, BIO *bio, char *buf, size_t n)
{
	ssize_t r;

	do
		r = recv(tls->fd, buf, n, MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	tls->more = r == (ssize_t)n;
	tls->eof = r == 0;
	if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		BIO_set_retry_read(bio);
	else if (r < 0)
		tls->io_error = -errno;
	return (int)r;
}

static int wire_read(BIO *bio, char *buf, int n)
{
	struct tuck_tls *tls = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (tuck__tls_left(&tls->in) > 0)
		return read_given(tls, buf, (size_t)n);
	if (tls->more)
		return read_socket(tls, bio, buf, (size_t)n);
	if (tls->eof)
		return 0;
	BIO_set_retry_read(bio);
	return -1;
}

/* -- output -- */

/* What the socket takes of it now: a count, 0 for none, or an error. */
static ssize_t send_now(int fd, const void *p, size_t n)
{
	ssize_t r;

	do
		r = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	return r;
}

static int keep_output(struct tuck_tls *tls, const char *p, size_t n)
{
	struct tuck__tls_bytes *out = &tls->out;
	unsigned char *grown = out->p;

	if (out->n + n > OUT_MAX)
		return -ENOBUFS;
	if (out->n + n > tls->out_room) {
		grown = OPENSSL_realloc(out->p, out->n + n);
		if (!grown)
			return -ENOMEM;
		tls->out_room = out->n + n;
	}
	memcpy(grown + out->n, p, n);
	out->p = grown;
	out->n += n;
	return 0;
}

static int wire_write(BIO *bio, const char *buf, int n)
{
	struct tuck_tls *tls = BIO_get_data(bio);
	size_t len = (size_t)n;
	ssize_t sent = 0;
	int r = 0;

	BIO_clear_retry_flags(bio);
	if (!tls->out.p)
		sent = send_now(tls->fd, buf, len);
	if (sent < 0)
		r = (int)sent;
	else if ((size_t)sent < len)
		r = keep_output(tls, buf + sent, len - (size_t)sent);
	if (r < 0)
		tls->io_error = r;
	return r < 0 ? -1 : n;
}

int tuck__tls_flush(struct tuck_tls *tls)
{
	struct tuck__tls_bytes *out = &tls->out;
	ssize_t r;

	while (tuck__tls_left(out) > 0) {
		r = send_now(tls->fd, out->p + out->at, tuck__tls_left(out));
		if (r < 0)
			return tuck__tls_break(tls, tuck__tls_fail((int)r));
		if (r == 0)
			return -EAGAIN;
		out->at += (size_t)r;
	}
	drop(out);
	tls->out_room = 0;
	return 0;
}

/* Others may have flushed, added to it, or closed, in each wait. */
int tuck__tls_drain(struct tuck_tls *tls, tuck_ns deadline)
{
	int r = 0;

	while (r >= 0 && tls->out.p) {
		r = tls->closed ? -EBADF : tuck__tls_flush(tls);
		if (r == -EAGAIN)
			r = tuck_fd_wait(tls->fd, TUCK_WRITABLE, deadline);
	}
	return r < 0 ? r : 0;
}

/* -- the BIO -- */

static long wire_ctrl(BIO *bio, int cmd, long n, void *p)
{
	const struct tuck_tls *tls = BIO_get_data(bio);

	(void)n, (void)p;
	if (cmd == BIO_CTRL_EOF)
		return tls->eof;
	return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;
static pthread_mutex_t method_lock = PTHREAD_MUTEX_INITIALIZER;
TUCK__TLS_FORK_GUARD(method_lock)

static BIO_METHOD *make_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(),
				     "tuck");

	if (m && BIO_meth_set_read(m, wire_read) &&
	    BIO_meth_set_write(m, wire_write) &&
	    BIO_meth_set_ctrl(m, wire_ctrl))
		return m;
	BIO_meth_free(m);
	return NULL;
}

int tuck__tls_wire(struct tuck_tls *tls)
{
	BIO *bio;

	pthread_mutex_lock(&method_lock);
	if (!method)
		method = make_method();
	pthread_mutex_unlock(&method_lock);
	bio = method ? BIO_new(method) : NULL;
	if (!bio)
		return -ENOMEM;
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_bio(tls->ssl, bio, bio);
	return 0;
}

void tuck__tls_unwire(struct tuck_tls *tls)
{
	if (tls->in_kept)
		drop(&tls->in);
	drop(&tls->out);
}
