/* SPDX-License-Identifier: MIT */
/*
 * Contexts: OpenSSL's, with the defaults that a program should not have to
 * know of: the peer is verified, nothing below TLS 1.2, no renegotiation (a
 * TLS 1.2 peer that asks is told no, and goes on), and buffers given back
 * while a connection is idle.
 *
 * Each certificate after a server's first has an SSL_CTX of its own, which is
 * how OpenSSL swaps one on a connection; names are matched when a client
 * asks, so there is no table to be kept in step with the certificates.
 */
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "tls/tls.h"

/* -- protocols of the application -- */

static size_t count(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static bool alpn_valid(const char *const *list)
{
	size_t sum = 0;

	for (; list && *list; list++) {
		size_t n = strlen(*list);

		sum += n + 1;
		if (n < 1 || n > 255 || sum > 65535)
			return false;
	}
	return true;
}

/* Copy the list, and write it as it stands in a hello. */
static int copy_alpn(struct tuck_tls_ctx *ctx, const char *const *list)
{
	size_t n = count(list), bytes = 0;
	unsigned char *p;

	if (n == 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		bytes += strlen(list[i]) + 1;
	ctx->alpn = OPENSSL_zalloc(n * sizeof(ctx->alpn[0]));
	ctx->wire_alpn = p = OPENSSL_malloc(bytes);
	if (!ctx->alpn || !p)
		return -ENOMEM;
	ctx->wire_alpn_n = (unsigned)bytes;
	for (; ctx->n_alpn < n; ctx->n_alpn++) {
		const char *name = list[ctx->n_alpn];
		size_t len = strlen(name);

		ctx->alpn[ctx->n_alpn] = OPENSSL_strdup(name);
		if (!ctx->alpn[ctx->n_alpn])
			return -ENOMEM;
		*p++ = (unsigned char)len;
		memcpy(p, name, len);
		p += len;
	}
	return 0;
}

/* The server's best that the client has, too. */
static int select_alpn(SSL *ssl, const unsigned char **ret_name,
		       unsigned char *ret_n, const unsigned char *theirs,
		       unsigned n, void *arg)
{
	const struct tuck_tls *tls = SSL_get_app_data(ssl);
	unsigned char *name;

	(void)arg;
	if (!tls->ctx->wire_alpn)
		return SSL_TLSEXT_ERR_NOACK;
	if (SSL_select_next_proto(&name, ret_n, tls->ctx->wire_alpn,
				  tls->ctx->wire_alpn_n, theirs,
				  n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret_name = name;
	return SSL_TLSEXT_ERR_OK;
}

/* -- certificates -- */

static int use_cert(SSL_CTX *ssl, const struct tuck_tls_cert *cert)
{
	const char *key = cert->key_file ? cert->key_file : cert->chain_file;

	if (SSL_CTX_use_certificate_chain_file(ssl, cert->chain_file) != 1)
		return tuck__tls_fail_setup(cert->chain_file);
	if (SSL_CTX_use_PrivateKey_file(ssl, key, SSL_FILETYPE_PEM) != 1)
		return tuck__tls_fail_setup(key);
	return 0;
}

static int add_cert(struct tuck_tls_ctx *ctx, const struct tuck_tls_cert *cert)
{
	SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());

	if (!ssl)
		return tuck__tls_fail_setup("a certificate");
	ctx->more[ctx->n_more++] = ssl;
	SSL_CTX_set_alpn_select_cb(ssl, select_alpn, NULL);
	return use_cert(ssl, cert);
}

static int load_certs(struct tuck_tls_ctx *ctx,
		      const struct tuck_tls_config *config)
{
	int r = 0;

	if (config->n_certs > 0)
		r = use_cert(ctx->ssl, &config->certs[0]);
	if (r < 0 || config->n_certs < 2)
		return r;
	ctx->more = OPENSSL_zalloc((config->n_certs - 1) *
				   sizeof(ctx->more[0]));
	if (!ctx->more)
		return tuck__tls_fail(-ENOMEM);
	for (size_t i = 1; i < config->n_certs && r == 0; i++)
		r = add_cert(ctx, &config->certs[i]);
	return r;
}

static bool serves(SSL_CTX *ssl, const char *name)
{
	X509 *cert = SSL_CTX_get0_certificate(ssl);

	return cert && X509_check_host(cert, name, 0, 0, NULL) == 1;
}

void tuck__tls_show_cert(SSL *ssl, const struct tuck_tls_ctx *ctx)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	SSL_CTX *best = ctx->ssl;

	for (size_t i = 0; name && i < ctx->n_more; i++) {
		if (serves(best, name))
			break;
		if (serves(ctx->more[i], name))
			best = ctx->more[i];
	}
	SSL_set_SSL_CTX(ssl, best);
}

/* OpenSSL's callback: 1 goes on, 0 fails, -1 comes back when choose has run. */
static int name_known(SSL *ssl, void *arg)
{
	const struct tuck_tls *tls = SSL_get_app_data(ssl);

	(void)arg;
	if (tls->ctx->choose && !tls->asked &&
	    SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name))
		return -1;
	if (tls->chosen < 0)
		return 0;
	if (!tls->asked)
		tuck__tls_show_cert(ssl, tls->ctx);
	return 1;
}

/* -- verification -- */

static int trust(struct tuck_tls_ctx *ctx, const struct tuck_tls_config *config)
{
	const char *file = config->ca_file, *dir = config->ca_dir;

	if (!file && !dir)
		return SSL_CTX_set_default_verify_paths(ctx->ssl) == 1 ?
			       0 :
			       tuck__tls_fail_setup("the system's roots");
	if (SSL_CTX_load_verify_locations(ctx->ssl, file, dir) != 1)
		return tuck__tls_fail_setup(file ? file : dir);
	if (ctx->server && file)	/* a hint for clients with many */
		SSL_CTX_set_client_CA_list(ctx->ssl,
					   SSL_load_client_CA_file(file));
	return 0;
}

static int set_verify(struct tuck_tls_ctx *ctx,
		      const struct tuck_tls_config *config)
{
	int verify = config->verify, mode = SSL_VERIFY_NONE;

	if (verify == TUCK_TLS_VERIFY_DEFAULT)
		verify = ctx->server ? TUCK_TLS_VERIFY_NONE :
				       TUCK_TLS_VERIFY_REQUIRED;
	if (verify == TUCK_TLS_VERIFY_IF_GIVEN)
		mode = SSL_VERIFY_PEER;
	else if (verify == TUCK_TLS_VERIFY_REQUIRED)
		mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ctx->ssl, mode, NULL);
	ctx->verifies = mode != SSL_VERIFY_NONE;
	return ctx->verifies ? trust(ctx, config) : 0;
}

/* -- a context's beginning and end -- */

static bool version_valid(int version)
{
	return version == 0 || version == TUCK_TLS_1_2 ||
	       version == TUCK_TLS_1_3;
}

static bool valid(const struct tuck_tls_config *config, bool server)
{
	int max = config->max_version;

	for (size_t i = 0; i < config->n_certs; i++)
		if (!config->certs || !config->certs[i].chain_file)
			return false;
	if (!version_valid(config->min_version) || !version_valid(max) ||
	    (max && max < (int)config->min_version) ||
	    !alpn_valid(config->alpn) ||
	    config->verify > TUCK_TLS_VERIFY_REQUIRED)
		return false;
	if (server)
		return config->n_certs > 0 || config->choose;
	return config->n_certs <= 1 && !config->choose &&
	       config->verify != TUCK_TLS_VERIFY_IF_GIVEN;
}

static void set_common(SSL_CTX *ssl, const struct tuck_tls_config *config)
{
	int min = config->min_version;

	SSL_CTX_set_min_proto_version(ssl, min ? min : TLS1_2_VERSION);
	SSL_CTX_set_max_proto_version(ssl, config->max_version);
	SSL_CTX_set_options(ssl,
			    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ssl, 1);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
}

/* Tickets of this context are of no use to another one. */
static int set_tickets(struct tuck_tls_ctx *ctx)
{
	unsigned char id[16];

	if (RAND_bytes(id, sizeof(id)) != 1)
		return -EIO;
	SSL_CTX_set_session_id_context(ctx->ssl, id, sizeof(id));
	for (size_t i = 0; i < ctx->n_more; i++)
		SSL_CTX_set_session_id_context(ctx->more[i], id, sizeof(id));
	return 0;
}

static int set_role(struct tuck_tls_ctx *ctx)
{
	if (!ctx->resumes) {
		SSL_CTX_set_options(ctx->ssl, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ctx->ssl, 0);
	}
	if (ctx->server) {
		SSL_CTX_set_alpn_select_cb(ctx->ssl, select_alpn, NULL);
		SSL_CTX_set_cert_cb(ctx->ssl, name_known, NULL);
		return set_tickets(ctx);
	}
	if (ctx->resumes)
		tuck__tls_keep_sessions(ctx);
	if (ctx->wire_alpn && SSL_CTX_set_alpn_protos(ctx->ssl, ctx->wire_alpn,
						      ctx->wire_alpn_n) != 0)
		return -ENOMEM;
	return 0;
}

static int fill(struct tuck_tls_ctx *ctx, const struct tuck_tls_config *config)
{
	int r = copy_alpn(ctx, config->alpn);

	ctx->choose = config->choose;
	ctx->choose_arg = config->choose_arg;
	ctx->resumes = !config->no_resumption;
	if (r < 0)
		return tuck__tls_fail(r);
	set_common(ctx->ssl, config);
	r = load_certs(ctx, config);
	if (r == 0)
		r = set_verify(ctx, config);
	if (r < 0)
		return r;
	r = set_role(ctx);
	return r < 0 ? tuck__tls_fail(r) : 0;
}

static int make(struct tuck_tls_ctx **ret_ctx,
		const struct tuck_tls_config *config, bool server)
{
	static const struct tuck_tls_config none;
	struct tuck_tls_ctx *ctx;
	int r;

	config = config ? config : &none;
	if (!ret_ctx || !valid(config, server))
		return tuck__tls_fail(-EINVAL);
	ERR_clear_error();
	ctx = OPENSSL_zalloc(sizeof(*ctx));
	if (!ctx)
		return tuck__tls_fail(-ENOMEM);
	ctx->refs = 1;
	ctx->server = server;
	ctx->ssl = SSL_CTX_new(server ? TLS_server_method() :
					TLS_client_method());
	r = ctx->ssl ? fill(ctx, config) : tuck__tls_fail(-ENOMEM);
	ERR_clear_error();
	if (r == 0)
		*ret_ctx = ctx;
	else
		tuck_tls_ctx_free(ctx);
	return r;
}

int tuck_tls_client_new(struct tuck_tls_ctx **ret_ctx,
			const struct tuck_tls_config *config)
{
	return make(ret_ctx, config, false);
}

int tuck_tls_server_new(struct tuck_tls_ctx **ret_ctx,
			const struct tuck_tls_config *config)
{
	return make(ret_ctx, config, true);
}

struct tuck_tls_ctx *tuck__tls_ctx_hold(struct tuck_tls_ctx *ctx)
{
	atomic_fetch_add(&ctx->refs, 1);
	return ctx;
}

void tuck_tls_ctx_free(struct tuck_tls_ctx *ctx)
{
	if (!ctx || atomic_fetch_sub(&ctx->refs, 1) > 1)
		return;
	tuck__tls_forget_sessions(ctx);
	for (size_t i = 0; i < ctx->n_more; i++)
		SSL_CTX_free(ctx->more[i]);
	for (size_t i = 0; i < ctx->n_alpn; i++)
		OPENSSL_free(ctx->alpn[i]);
	SSL_CTX_free(ctx->ssl);
	OPENSSL_free(ctx->more);
	OPENSSL_free(ctx->alpn);
	OPENSSL_free(ctx->wire_alpn);
	OPENSSL_free(ctx);
}

struct ssl_ctx_st *tuck_tls_ctx_openssl(struct tuck_tls_ctx *ctx)
{
	return ctx->ssl;
}
