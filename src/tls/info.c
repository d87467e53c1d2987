/* SPDX-License-Identifier: MIT */
/* What a handshake has come to, and OpenSSL's own objects. */
#include "tls/tls.h"

/* What was agreed on is one of our own list, or of a context's like it. */
static const char *alpn_of(const struct tuck_tls *tls)
{
	const unsigned char *name;
	unsigned n;

	SSL_get0_alpn_selected(tls->ssl, &name, &n);
	for (size_t i = 0; name && i < tls->ctx->n_alpn; i++) {
		const char *ours = tls->ctx->alpn[i];

		if (strlen(ours) == n && memcmp(ours, name, n) == 0)
			return ours;
	}
	return NULL;
}

static int verified(const struct tuck_tls *tls)
{
	return tls->ctx->verifies && SSL_get0_peer_certificate(tls->ssl) &&
	       SSL_get_verify_result(tls->ssl) == X509_V_OK;
}

int tuck_tls_info(const struct tuck_tls *tls, struct tuck_tls_info *ret_info)
{
	if (!tls || !ret_info)
		return tuck__tls_fail(-EINVAL);
	*ret_info = (struct tuck_tls_info){
		.version = SSL_get_version(tls->ssl),
		.cipher = SSL_get_cipher_name(tls->ssl),
		.alpn = alpn_of(tls),
		.name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name),
		.resumed = SSL_session_reused(tls->ssl),
		.verified = verified(tls),
	};
	return 0;
}

ssize_t tuck_tls_peer_cert(const struct tuck_tls *tls, void *ret_der, size_t n)
{
	unsigned char *p = ret_der;
	X509 *cert;
	int len;

	if (!tls || (n > 0 && !p))
		return tuck__tls_fail(-EINVAL);
	cert = SSL_get0_peer_certificate(tls->ssl);
	if (!cert)
		return tuck__tls_fail(-ENOENT);
	len = i2d_X509(cert, NULL);
	if (len < 0)
		return tuck__tls_fail(-ENOMEM);
	if (n > 0 && n < (size_t)len)
		return tuck__tls_fail(-ENOSPC);
	return n > 0 ? i2d_X509(cert, &p) : len;
}

int tuck_tls_fd(const struct tuck_tls *tls)
{
	return tls ? tls->fd : tuck__tls_fail(-EINVAL);
}

struct ssl_st *tuck_tls_openssl(struct tuck_tls *tls)
{
	return tls->ssl;
}
