/* SPDX-License-Identifier: MIT */
/*
 * Connections: handshake, close_notify, the end.
 *
 * A handshake is done by one tasklet, that of the call which makes the
 * connection; nobody else knows it before the call returns. If that tasklet
 * is killed meanwhile, cleanups of this file's frames give all back.
 */
#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <tuck/net.h>

#include "tls/tls.h"

#define NAME_MAX_BYTES 256
#define DISCARDS 16

/* -- the end -- */

static void release(struct tuck_tls *tls)
{
	SSL_free(tls->ssl);
	ERR_clear_error();
	tuck__tls_unwire(tls);
	tuck_tls_ctx_free(tls->ctx);
	OPENSSL_free(tls->peer);
	OPENSSL_free(tls->why);
	OPENSSL_free(tls);
}

void tuck__tls_leave(struct tuck_tls *tls)
{
	if (--tls->users == 0 && tls->closed)
		release(tls);
}

bool tuck__tls_is_read(struct tuck_tls *tls)
{
	if (tls->reader && tuck_join(tls->reader, TUCK_NOWAIT) == -ESRCH) {
		tls->reader = 0;
		tls->users--;
	}
	return tls->reader != 0;
}

/*
 * What came and nobody has read: closed with it in the socket, the kernel
 * would send a reset, which may cost the peer what it has not read yet.
 */
static tuck__noinline void discard(int fd)
{
	char junk[4096];
	int n = DISCARDS;

	while (n-- > 0 && recv(fd, junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
}

/* Of a connection that the caller uses, which ends that use. */
static void finish(struct tuck_tls *const *tls)
{
	if (!*tls)
		return;
	if (!(*tls)->closed) {
		(*tls)->closed = true;
		discard((*tls)->fd);
		tuck_fd_close((*tls)->fd);
	}
	tuck__tls_is_read(*tls);	/* nobody looks later */
	tuck__tls_leave(*tls);
}

/* -- the beginning -- */

static int check_socket(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return -errno;
	return type == SOCK_STREAM ? 0 : -EPROTOTYPE;
}

static bool is_address(const char *host)
{
	struct in6_addr any;

	return inet_pton(AF_INET, host, &any) == 1 ||
	       inet_pton(AF_INET6, host, &any) == 1;
}

static int name_peer(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	X509_VERIFY_PARAM_set_hostflags(param,
					X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (is_address(host))
		return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1 ?
			       0 :
			       -ENOMEM;
	return SSL_set1_host(ssl, host) == 1 &&
			       SSL_set_tlsext_host_name(ssl, host) == 1 ?
		       0 :
		       -ENOMEM;
}

static int set_peer(struct tuck_tls *tls, const char *host)
{
	int r = 0;

	if (tls->ctx->server) {
		SSL_set_accept_state(tls->ssl);
		return 0;
	}
	SSL_set_connect_state(tls->ssl);
	if (host)
		r = name_peer(tls->ssl, host);
	return r == 0 && host ? tuck__tls_offer_session(tls, host) : r;
}

/* A connection over fd, which is its own even if the call fails. */
static tuck__noinline int open_over(struct tuck_tls **ret_tls,
				    struct tuck_tls_ctx *ctx, int fd,
				    const char *host)
{
	struct tuck_tls *tls;
	int r = check_socket(fd);

	ERR_clear_error();
	tls = r == 0 ? OPENSSL_zalloc(sizeof(*tls)) : NULL;
	if (!tls) {
		tuck_fd_close(fd);
		return tuck__tls_fail(r < 0 ? r : -ENOMEM);
	}
	tls->fd = fd;
	tls->more = true;
	tls->users = 1;
	tls->ctx = tuck__tls_ctx_hold(ctx);
	tls->ssl = SSL_new(ctx->ssl);
	r = tls->ssl ? tuck__tls_wire(tls) : -ENOMEM;
	if (r == 0 && SSL_set_app_data(tls->ssl, tls) != 1)
		r = -ENOMEM;
	if (r == 0)
		r = set_peer(tls, host);
	if (r < 0) {
		finish(&tls);
		return tuck__tls_fail(r);
	}
	*ret_tls = tls;
	return 0;
}

/* -- handshake -- */

static tuck__noinline int try_handshake(struct tuck_tls *tls)
{
	int r;

	if (tls->closed)
		return -EBADF;
	tuck__tls_enter(tls);
	r = SSL_do_handshake(tls->ssl);
	return r == 1 ? 0 : tuck__tls_outcome(tls, r);
}

/* Ask the program which certificates to show; it may wait. */
static int choose(struct tuck_tls *tls, tuck_ns deadline)
{
	const struct tuck_tls_ctx *ctx = tls->ctx;
	const char *name = SSL_get_servername(tls->ssl,
					      TLSEXT_NAMETYPE_host_name);
	struct tuck_tls_ctx *chosen = NULL;
	int r = ctx->choose(ctx->choose_arg, name, deadline, &chosen);

	if (r >= 0 && chosen && !chosen->server)
		r = -EINVAL;
	if (r >= 0)
		tuck__tls_show_cert(tls->ssl, chosen ? chosen : ctx);
	tls->asked = true;
	tls->chosen = r;
	return 0;
}

static int wait_handshake(struct tuck_tls *tls, tuck_ns deadline)
{
	int r = tuck_fd_wait(tls->fd, TUCK_READABLE, deadline);

	tls->more = true;
	return r;
}

static int handshake(struct tuck_tls *tls, tuck_ns deadline)
{
	int r;

	do {
		r = try_handshake(tls);
		if (r == 0 || r == TUCK__TLS_INPUT) {
			int sent = tuck__tls_drain(tls, deadline);

			r = sent < 0 ? sent : r;
			if (r != TUCK__TLS_INPUT || sent < 0)
				return r;
			r = wait_handshake(tls, deadline);
		} else if (r == TUCK__TLS_NAME) {
			r = choose(tls, deadline);
		} else {
			return tls->chosen < 0 ? tls->chosen : r;
		}
	} while (r >= 0);
	return r;
}

/* OpenSSL's and the socket's failures have been noted with their reason. */
static int start(struct tuck_tls **ret_tls, struct tuck_tls_ctx *ctx, int fd,
		 const char *host, tuck_ns deadline)
{
	struct tuck_tls *tls __attribute__((__cleanup__(finish))) = NULL;
	int r = open_over(&tls, ctx, fd, host);

	if (r < 0)
		return r;
	r = handshake(tls, deadline);
	if (r < 0)
		return r == tls->broken ? r : tuck__tls_fail(r);
	tls->users = 0;
	*ret_tls = tls;
	tls = NULL;
	return 0;
}

/* Close fd, for a caller who had no right to call. */
static int refuse(int fd)
{
	tuck_fd_close(fd);
	return tuck__tls_fail(-EINVAL);
}

static bool host_valid(const struct tuck_tls_ctx *ctx, const char *host)
{
	if (!host)
		return !ctx->verifies;
	return *host && strlen(host) < NAME_MAX_BYTES;
}

int tuck_tls_connect_fd(struct tuck_tls **ret_tls, struct tuck_tls_ctx *ctx,
			int fd, const char *host, tuck_ns deadline)
{
	if (!ret_tls || !ctx || ctx->server || deadline < 0 ||
	    !host_valid(ctx, host))
		return refuse(fd);
	return start(ret_tls, ctx, fd, host, deadline);
}

int tuck_tls_accept(struct tuck_tls **ret_tls, struct tuck_tls_ctx *ctx, int fd,
		    tuck_ns deadline)
{
	if (!ret_tls || !ctx || !ctx->server || deadline < 0)
		return refuse(fd);
	return start(ret_tls, ctx, fd, NULL, deadline);
}

/* The part of addr before the port, without brackets. */
static tuck__noinline int host_of(const char *addr, char *ret_host)
{
	const char *colon = strrchr(addr, ':'), *end = colon;

	if (!colon)
		return -EINVAL;
	if (addr[0] == '[' && colon > addr + 1 && colon[-1] == ']') {
		addr++;
		end--;
	}
	if (end == addr || end - addr >= NAME_MAX_BYTES)
		return -EINVAL;
	memcpy(ret_host, addr, (size_t)(end - addr));
	ret_host[end - addr] = 0;
	return 0;
}

static tuck__noinline int connect_as_in(struct tuck_tls **ret_tls,
					struct tuck_tls_ctx *ctx,
					const char *addr, tuck_ns deadline)
{
	char host[NAME_MAX_BYTES];

	if (host_of(addr, host) < 0)
		return tuck__tls_fail(-EINVAL);
	return tuck_tls_connect(ret_tls, ctx, addr, host, deadline);
}

int tuck_tls_connect(struct tuck_tls **ret_tls, struct tuck_tls_ctx *ctx,
		     const char *addr, const char *host, tuck_ns deadline)
{
	int fd;

	if (!ret_tls || !ctx || ctx->server || !addr)
		return tuck__tls_fail(-EINVAL);
	if (!host)
		return connect_as_in(ret_tls, ctx, addr, deadline);
	if (!host_valid(ctx, host))
		return tuck__tls_fail(-EINVAL);
	fd = tuck_tcp_connect(addr, deadline);
	if (fd < 0)
		return tuck__tls_fail(fd);
	return start(ret_tls, ctx, fd, host, deadline);
}

/* -- close_notify -- */

/* Once; what the socket does not take of it is kept as all output is. */
static tuck__noinline int try_shutdown(struct tuck_tls *tls)
{
	int r;

	if (tls->closed)
		return -EBADF;
	if (tls->broken)
		return tuck__tls_again(tls);
	if (tls->shut)
		return 0;
	tuck__tls_enter(tls);
	r = SSL_shutdown(tls->ssl);
	tls->shut = r >= 0;
	return r >= 0 ? 0 : tuck__tls_outcome(tls, r);
}

static void leave(struct tuck_tls *const *tls)
{
	tuck__tls_leave(*tls);
}

/* What was written before goes first, and what the socket has no room for. */
static int say_goodbye(struct tuck_tls *tls, tuck_ns deadline)
{
	int r = try_shutdown(tls);

	if (r == 0)
		r = tuck__tls_drain(tls, deadline);
	return r < 0 && r != tls->broken ? tuck__tls_fail(r) : r;
}

int tuck_tls_shutdown(struct tuck_tls *tls, tuck_ns deadline)
{
	if (!tls || deadline < 0)
		return tuck__tls_fail(-EINVAL);
	struct tuck_tls *used __attribute__((__cleanup__(leave))) = tls;

	used->users++;
	return say_goodbye(used, deadline);
}

int tuck_tls_close(struct tuck_tls *tls, tuck_ns deadline)
{
	struct tuck_tls *used __attribute__((__cleanup__(finish))) = tls;

	if (!used)
		return 0;
	used->users++;
	return say_goodbye(used, deadline < 0 ? TUCK_NOWAIT : deadline);
}
