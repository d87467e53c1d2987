/* SPDX-License-Identifier: MIT */
/*
 * TLS over a stream socket, by OpenSSL: a library of its own, -ltuck-tls, that
 * tuck.h does not take in. Calls wait as those of io.h do; while one waits,
 * OpenSSL is not inside any call, so other tasklets may use the connection:
 * one reader, any number of writers, one who closes. A connection belongs to
 * the proc that made it, which no call checks; a context to all of them. A
 * tasklet that was killed in a call has left it. One that was dropped
 * (tuck_drop()) leaves its place as the reader to others, until the close
 * returns; in any other call, or later, it keeps what the connection has in
 * memory, also after the close, or in a handshake the socket, too.
 *
 * A failure's sentence is tuck_tls_error(). These are what TLS adds:
 * -EKEYREJECTED  the peer's certificate is not accepted
 * -EPROTO        the peer speaks no TLS, no version or cipher or protocol in
 *                common, its bytes were damaged, or it sent an alert
 * -ECONNABORTED  the stream ended without the peer's close_notify: what was
 *                read may not be all
 * After one of them, or an error of the socket, the connection says the same
 * again and is good for tuck_tls_close() only. Where it can be, the peer was
 * told by an alert.
 */
#ifndef TUCK_TLS_H
#define TUCK_TLS_H

#include <sys/types.h>
#include <tuck/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tuck_tls;		/* a connection */
struct tuck_tls_ctx;		/* what connections have in common */
struct ssl_st;			/* OpenSSL's SSL, */
struct ssl_ctx_st;		/* SSL_CTX */

enum tuck_tls_verify {
	TUCK_TLS_VERIFY_DEFAULT,	/* client: REQUIRED; server: NONE */
	TUCK_TLS_VERIFY_NONE,		/* a client's peer may be anybody */
	TUCK_TLS_VERIFY_IF_GIVEN,	/* server: clients may have none */
	TUCK_TLS_VERIFY_REQUIRED
};

enum tuck_tls_version { TUCK_TLS_1_2 = 0x0303, TUCK_TLS_1_3 = 0x0304 };

/* A certificate in PEM, and those that link it to a root, after it. */
struct tuck_tls_cert {
	const char *chain_file;
	const char *key_file;	/* NULL: chain_file has the key, too */
};

/*
 * A field that is 0 means its default. Of several certificates a server shows
 * the first whose names match the one that the client asks for, else the first
 * of all. alpn lists protocols, the best first, NULL after the last one.
 *
 * choose is called in tuck_tls_accept() for a client that names a server, and
 * may wait. It gives a context whose certificates are shown, or NULL for those
 * of this one; all else stays this one's. A negative value ends the handshake,
 * and is what tuck_tls_accept() returns.
 */
struct tuck_tls_config {
	enum tuck_tls_verify verify;
	const char *ca_file;	/* whom to trust, PEM; both NULL: */
	const char *ca_dir;	/* the system's. Hashed, see openssl-rehash */
	const struct tuck_tls_cert *certs;
	size_t n_certs;
	const char *const *alpn;
	enum tuck_tls_version min_version;	/* TLS 1.2 */
	enum tuck_tls_version max_version;	/* the newest */
	int no_resumption;	/* not 0: a full handshake each time */
	int (*choose)(void *arg, const char *name, tuck_ns deadline,
		      struct tuck_tls_ctx **ret_ctx);
	void *choose_arg;
};

/* -- contexts -- */

/*
 * Make a context for clients; config may be NULL. Files are read at once,
 * which stops the proc for that time. Sessions that servers offer are kept in
 * it, for a later connection to the same name and port.
 * Switches: no.
 * Errors: -EINVAL for what no client can have; those of open(2); -EBADMSG
 * for files without what they should hold, or a key of another certificate;
 * -ENOMEM.
 */
int tuck_tls_client_new(struct tuck_tls_ctx **ret_ctx,
			const struct tuck_tls_config *config);

/*
 * The same for servers, which need a certificate. Sessions are resumed by
 * tickets, whose keys are the context's own.
 * Switches: no. Errors: as tuck_tls_client_new().
 */
int tuck_tls_server_new(struct tuck_tls_ctx **ret_ctx,
			const struct tuck_tls_config *config);

/*
 * Give a context back; its connections go on. NULL is left in peace.
 * Switches: no. Errors: none.
 */
void tuck_tls_ctx_free(struct tuck_tls_ctx *ctx);

/*
 * OpenSSL's object, for what is not in struct tuck_tls_config; to be set
 * before the first connection. Its application data, certificate, ALPN and
 * new-session callbacks are Tuck's. It lives as long as ctx.
 * Switches: no. Errors: none.
 */
struct ssl_ctx_st *tuck_tls_ctx_openssl(struct tuck_tls_ctx *ctx);

/* -- connections -- */

/*
 * Connect to addr, as tuck_tcp_connect(), and do the handshake. host is the
 * name that the certificate must have and that the server is told, or an IP
 * address that the certificate must have; NULL: as in addr.
 * Switches: may.
 * Errors: those of tuck_tcp_connect() and of the head of this file. Nothing
 * stays open after an error, nor after a kill.
 */
int tuck_tls_connect(struct tuck_tls **ret_tls, struct tuck_tls_ctx *ctx,
		     const char *addr, const char *host, tuck_ns deadline);

/*
 * The same over a connected socket, which is the connection's from now on,
 * and closed if the call fails. host may be NULL only if nothing is verified.
 * Switches: may.
 * Errors: -EINVAL, also for a server's context; -ENOTSOCK, -EPROTOTYPE for
 * what is no stream socket; those of send(2) and recv(2), -EBADF also when
 * closed meanwhile, -ETIMEDOUT, -EAGAIN for TUCK_NOWAIT, and those of the
 * head of this file.
 */
int tuck_tls_connect_fd(struct tuck_tls **ret_tls, struct tuck_tls_ctx *ctx,
			int fd, const char *host, tuck_ns deadline);

/*
 * Do a server's handshake over a socket that tuck_accept() gave, which is the
 * connection's from now on, and closed if the call fails.
 * Switches: may. Errors: as tuck_tls_connect_fd(), and those of choose.
 */
int tuck_tls_accept(struct tuck_tls **ret_tls, struct tuck_tls_ctx *ctx, int fd,
		    tuck_ns deadline);

/*
 * Read up to n bytes, waiting for the first; at most 16,384 come at a time. 0
 * is the peer's close_notify. What buf held before is not kept if the call
 * waits, as with tuck_read(), and so an idle reader costs no buffer.
 * Switches: may.
 * Errors: -EBUSY while another tasklet reads, -EBADF when closed meanwhile,
 * those of recv(2), -ETIMEDOUT, -EAGAIN for TUCK_NOWAIT, -EINVAL for a
 * negative deadline, and those of the head of this file.
 */
ssize_t tuck_tls_read(struct tuck_tls *tls, void *buf, size_t n,
		      tuck_ns deadline);

/*
 * Read until n bytes are there or the peer's close_notify; returns how many.
 * After an error with some bytes read, these are lost to the caller.
 * Switches: may. Errors: as tuck_tls_read().
 */
ssize_t tuck_tls_read_full(struct tuck_tls *tls, void *buf, size_t n,
			   tuck_ns deadline);

/*
 * Write up to n bytes; returns how many were taken. What was taken is on its
 * way, but at the deadline 16,384 bytes of it may still be waiting for room
 * in the socket: the next call on the connection sends them, and a write
 * takes no more before. No SIGPIPE.
 * Switches: may. Errors: those of send(2) and as tuck_tls_read() but -EBUSY;
 * nothing was taken then.
 */
ssize_t tuck_tls_write(struct tuck_tls *tls, const void *buf, size_t n,
		       tuck_ns deadline);

/*
 * Write all n bytes, until the socket has them; returns n. After an error
 * some may have been written. Of two tasklets that write at once the parts
 * may mix.
 * Switches: may. Errors: as tuck_tls_write().
 */
ssize_t tuck_tls_write_full(struct tuck_tls *tls, const void *buf, size_t n,
			    tuck_ns deadline);

/*
 * Say close_notify: the peer's reads end, and nothing can be written any
 * more (-EPIPE); reading goes on. Once more is no error.
 * Switches: may. Errors: as tuck_tls_write(). After -ETIMEDOUT and its like
 * the next call, as this one again, goes on with it.
 */
int tuck_tls_shutdown(struct tuck_tls *tls, tuck_ns deadline);

/*
 * Say close_notify, unless the connection is broken, and give everything
 * back, also when killed in here. Who waits on the connection is woken with
 * -EBADF. NULL is left in peace.
 * Switches: may, but for TUCK_NOWAIT.
 * Errors: why the peer was not told; the connection is gone all the same.
 */
int tuck_tls_close(struct tuck_tls *tls, tuck_ns deadline);

/* -- what came out of it -- */

struct tuck_tls_info {
	const char *version;	/* "TLSv1.3" */
	const char *cipher;	/* "TLS_AES_256_GCM_SHA384" */
	const char *alpn;	/* "h2"; NULL: none was agreed on */
	const char *name;	/* server that the client asked for, or NULL */
	int resumed;		/* no certificates were sent */
	int verified;		/* the peer has a certificate, accepted */
};

/*
 * What was agreed on; the strings live as long as the connection.
 * Switches: no. Errors: -EINVAL for NULL.
 */
int tuck_tls_info(const struct tuck_tls *tls, struct tuck_tls_info *ret_info);

/*
 * Copy the peer's certificate, in DER, into n bytes; returns its length. With
 * n 0 it only tells the length.
 * Switches: no. Errors: -ENOENT where the peer has shown none, -ENOSPC,
 * -EINVAL for NULL.
 */
ssize_t tuck_tls_peer_cert(const struct tuck_tls *tls, void *ret_der, size_t n);

/*
 * The socket, for its options and addresses. It is not to be read, written
 * or closed.
 * Switches: no. Errors: -EINVAL for NULL.
 */
int tuck_tls_fd(const struct tuck_tls *tls);

/*
 * OpenSSL's object, to be asked for more; not to be read from, written to or
 * freed. It lives as long as the connection.
 * Switches: no. Errors: none.
 */
struct ssl_st *tuck_tls_openssl(struct tuck_tls *tls);

/*
 * What the caller's last failed call of this header would say, with OpenSSL's
 * and the certificate's reasons; "" if none has failed. Each tasklet has its
 * own, until its next failure or its end. OpenSSL's queue of errors, which is
 * the thread's, is left empty by every call here.
 * Switches: no. Errors: none.
 */
const char *tuck_tls_error(void);

#ifdef __cplusplus
}
#endif

#endif
