/* SPDX-License-Identifier: MIT */
/*
 * What the files of libtuck-tls share. It stands on Tuck's public calls only.
 *
 * Invariants:
 * 1. No tasklet is switched away inside a call of OpenSSL: its input and
 *    output never wait (wire.c). So an SSL needs no lock, OpenSSL's queue of
 *    errors belongs to one tasklet at a time, and a kill never unwinds
 *    through it.
 * 2. OpenSSL never has half a record to write: what the socket does not take
 *    is in `out`, in order. So a read that must write (KeyUpdate, an alert)
 *    cannot come between the halves of a write.
 * 3. While there is a reader, only it takes bytes from the socket, since it
 *    would not learn that somebody else has given OpenSSL what it waits for.
 *    One that was dropped is noticed by who wants its place, or closes.
 * 4. users counts the calls that are under way; whoever brings it to 0 after
 *    the close frees.
 */
#ifndef TUCK__TLS_H
#define TUCK__TLS_H

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <tuck/io.h>
#include <tuck/task.h>
#include <tuck/tls.h>

#define tuck__noinline __attribute__((__noinline__))

#define TUCK__TLS_SESSIONS 128	/* that a client's context keeps */

/* A host and port that a session was made with. */
struct tuck__tls_session {
	char *peer;
	SSL_SESSION *session;
};

struct tuck_tls_ctx {
	atomic_int refs;
	SSL_CTX *ssl;
	SSL_CTX **more;		/* certificates after the first */
	size_t n_more;
	char **alpn;		/* the strings of wire_alpn */
	size_t n_alpn;
	unsigned char *wire_alpn;
	unsigned wire_alpn_n;
	bool server, verifies, resumes;
	int (*choose)(void *arg, const char *name, tuck_ns deadline,
		      struct tuck_tls_ctx **ret_ctx);
	void *choose_arg;
	struct tuck__tls_session sessions[TUCK__TLS_SESSIONS];
	unsigned next_session;
};

/* Bytes from at on, to n. */
struct tuck__tls_bytes {
	unsigned char *p;
	size_t at, n;
};

struct tuck_tls {
	SSL *ssl;
	struct tuck_tls_ctx *ctx;
	int fd;
	int broken;		/* not 0: what every call returns, */
	char *why;		/* and its sentence */
	int io_error;		/* of the wire, inside a call of OpenSSL */
	unsigned users;
	unsigned run;		/* calls without a wait */
	tuck_id reader;		/* or 0 */
	bool closed, shut;
	bool more;		/* the socket may have more to read */
	bool eof;
	bool asked;		/* choose was called, and said: */
	int chosen;
	bool in_kept;		/* in.p is ours */
	struct tuck__tls_bytes in;	/* ciphertext that was read already */
	struct tuck__tls_bytes out;	/* that the socket did not take */
	size_t out_room;
	char *peer;		/* names its sessions; NULL: it keeps none */
};

/* What a try says besides 0, a count or an error. */
enum {
	TUCK__TLS_INPUT = -EAGAIN,	/* more input, then try again */
	TUCK__TLS_NAME = -EINPROGRESS	/* choose, then try again */
};

static inline size_t tuck__tls_left(const struct tuck__tls_bytes *b)
{
	return b->n - b->at;
}

/* Whether a wait failed in a way that leaves the connection as it was. */
static inline bool tuck__tls_passing(int r)
{
	return r == -ETIMEDOUT || r == -EAGAIN || r == -ECANCELED ||
	       r == -ETIME || r == -ENOMEM || r == -EDEADLK || r == -EINVAL;
}

/*
 * For a static mutex: a fork finds it free, and so does the child. Not in the
 * table of base/fork.h, which is libtuck's own; inside of these no lock of
 * libtuck's is taken.
 */
#define TUCK__TLS_FORK_GUARD(lock)					\
	static void lock##_before_fork(void)				\
	{								\
		pthread_mutex_lock(&lock);				\
	}								\
	static void lock##_after_fork(void)				\
	{								\
		pthread_mutex_unlock(&lock);				\
	}								\
	__attribute__((__constructor__)) static void lock##_guard(void)	\
	{								\
		pthread_atfork(lock##_before_fork, lock##_after_fork,	\
			       lock##_after_fork);			\
	}

/* -- error.c: each notes the caller's sentence, and returns r -- */

/* A failure that has no more to say than its number. */
int tuck__tls_fail(int r);
int tuck__tls_fail_with(int r, const char *what, const char *detail);

/* What OpenSSL's queue says of a file or setting; empties the queue. */
int tuck__tls_fail_setup(const char *what);

/* The connection is of no more use; or was not before, which is said again. */
int tuck__tls_break(struct tuck_tls *tls, int r);
int tuck__tls_again(const struct tuck_tls *tls);

/* Before a call of OpenSSL; and why one ended with result, a try's value. */
void tuck__tls_enter(struct tuck_tls *tls);
int tuck__tls_outcome(struct tuck_tls *tls, int result);

/* -- wire.c -- */

/* Connect OpenSSL with the socket: 0 or -ENOMEM. */
int tuck__tls_wire(struct tuck_tls *tls);

/* Send what is left over. 0: all is gone; -EAGAIN; an error of send(2). */
int tuck__tls_flush(struct tuck_tls *tls);

/* The same, waiting for room. */
int tuck__tls_drain(struct tuck_tls *tls, tuck_ns deadline);

void tuck__tls_unwire(struct tuck_tls *tls);

/* -- session.c -- */

/* Have sessions of ssl's context kept in ctx. */
void tuck__tls_keep_sessions(struct tuck_tls_ctx *ctx);

/* Name tls's peer, and offer a session that was made with it, if any. */
int tuck__tls_offer_session(struct tuck_tls *tls, const char *host);
void tuck__tls_forget_sessions(struct tuck_tls_ctx *ctx);

/* -- ctx.c -- */

struct tuck_tls_ctx *tuck__tls_ctx_hold(struct tuck_tls_ctx *ctx);

/* Have a server show that of ctx which is for the name that was asked for. */
void tuck__tls_show_cert(SSL *ssl, const struct tuck_tls_ctx *ctx);

/* -- conn.c -- */

/* Whether somebody reads; the use of one who is no more ends here. */
bool tuck__tls_is_read(struct tuck_tls *tls);

/* The end of a call that was counted in users. */
void tuck__tls_leave(struct tuck_tls *tls);

#endif
