/* SPDX-License-Identifier: MIT */
/*
 * The sessions that a client's context keeps: by host and port, since a
 * session stands for a certificate that was checked for that host. One of TLS
 * 1.3 is offered once, as RFC 8446 (C.4) has it, for servers send new ones; one
 * of TLS 1.2 until it is pushed out.
 *
 * A ring: who is in the way of the newest is given up. 128 names are compared
 * in less time than a thousandth of a handshake takes.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "tls/tls.h"

/* Of all contexts, so that a fork can find it free; it is held shortly. */
static pthread_mutex_t sessions_lock = PTHREAD_MUTEX_INITIALIZER;
TUCK__TLS_FORK_GUARD(sessions_lock)

static void give_up(struct tuck__tls_session *kept)
{
	SSL_SESSION_free(kept->session);
	OPENSSL_free(kept->peer);
	*kept = (struct tuck__tls_session){ NULL, NULL };
}

static void keep(struct tuck_tls_ctx *ctx, char *peer, SSL_SESSION *session)
{
	struct tuck__tls_session *kept;

	pthread_mutex_lock(&sessions_lock);
	kept = &ctx->sessions[ctx->next_session++ % TUCK__TLS_SESSIONS];
	give_up(kept);
	*kept = (struct tuck__tls_session){ peer, session };
	pthread_mutex_unlock(&sessions_lock);
}

/* The caller's own reference; and the last one, if it is for one use. */
static SSL_SESSION *use(struct tuck__tls_session *kept)
{
	SSL_SESSION *session = kept->session;

	SSL_SESSION_up_ref(session);
	if (SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION)
		give_up(kept);
	return session;
}

/* The newest of peer, or NULL. */
static SSL_SESSION *take(struct tuck_tls_ctx *ctx, const char *peer)
{
	SSL_SESSION *found = NULL;

	pthread_mutex_lock(&sessions_lock);
	for (unsigned i = 1; i <= TUCK__TLS_SESSIONS && !found; i++) {
		struct tuck__tls_session *kept =
			&ctx->sessions[(ctx->next_session - i) %
				       TUCK__TLS_SESSIONS];

		if (kept->peer && strcmp(kept->peer, peer) == 0)
			found = use(kept);
	}
	pthread_mutex_unlock(&sessions_lock);
	return found;
}

/* OpenSSL has a session: 1 keeps its reference. */
static int came(SSL *ssl, SSL_SESSION *session)
{
	const struct tuck_tls *tls = SSL_get_app_data(ssl);
	char *peer = tls && tls->peer ? OPENSSL_strdup(tls->peer) : NULL;

	if (!peer)
		return 0;
	keep(tls->ctx, peer, session);
	return 1;
}

void tuck__tls_keep_sessions(struct tuck_tls_ctx *ctx)
{
	SSL_CTX_set_session_cache_mode(
		ctx->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx->ssl, came);
}

static unsigned port_of(int fd)
{
	struct sockaddr_storage sa = { 0 };
	const struct sockaddr_in *v4 = (const void *)&sa;
	const struct sockaddr_in6 *v6 = (const void *)&sa;
	socklen_t len = sizeof(sa);

	if (getpeername(fd, (struct sockaddr *)&sa, &len) < 0)
		return 0;
	if (sa.ss_family == AF_INET)
		return ntohs(v4->sin_port);
	return sa.ss_family == AF_INET6 ? ntohs(v6->sin6_port) : 0;
}

int tuck__tls_offer_session(struct tuck_tls *tls, const char *host)
{
	size_t n = strlen(host) + sizeof(" 65535");
	SSL_SESSION *session;

	if (!tls->ctx->resumes)
		return 0;
	tls->peer = OPENSSL_malloc(n);
	if (!tls->peer)
		return -ENOMEM;
	snprintf(tls->peer, n, "%s %u", host, port_of(tls->fd));
	session = take(tls->ctx, tls->peer);
	if (!session)
		return 0;
	SSL_set_session(tls->ssl, session);
	SSL_SESSION_free(session);
	return 0;
}

void tuck__tls_forget_sessions(struct tuck_tls_ctx *ctx)
{
	for (unsigned i = 0; i < TUCK__TLS_SESSIONS; i++)
		give_up(&ctx->sessions[i]);
}
