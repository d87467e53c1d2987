/* SPDX-License-Identifier: MIT */
/*
 * Failures: from OpenSSL's queue to a number, and to a sentence that is the
 * tasklet's own, since the queue is the thread's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <tuck/task.h>

#include "tls/tls.h"

#define TEXT_BYTES 256

static struct tuck_local said = { .end = free };

const char *tuck_tls_error(void)
{
	const char *text = tuck_local_get(&said);

	return text ? text : "";
}

/* The caller's buffer, NULL without memory: then it has nothing to say. */
static char *text_of_caller(void)
{
	char *text = tuck_local_get(&said);

	if (text)
		return text;
	text = calloc(1, TEXT_BYTES);
	if (text && tuck_local_set(&said, text) < 0) {
		free(text);
		text = NULL;
	}
	return text;
}

tuck__noinline int tuck__tls_fail_with(int r, const char *what,
				       const char *detail)
{
	char *text = text_of_caller();

	if (text)
		snprintf(text, TEXT_BYTES, "%s%s%s", what, *detail ? ": " : "",
			 detail);
	ERR_clear_error();
	return r;
}

int tuck__tls_fail(int r)
{
	return tuck__tls_fail_with(r, tuck_strerror(r), "");
}

static const char *reason_of(unsigned long e)
{
	const char *text = ERR_reason_error_string(e);

	return text ? text : "no reason given";
}

static int is_reason(unsigned long e, int lib, int reason)
{
	return ERR_GET_LIB(e) == lib && ERR_GET_REASON(e) == reason;
}

int tuck__tls_fail_setup(const char *what)
{
	unsigned long e = ERR_peek_error();

	if (ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE)
		return tuck__tls_fail_with(-ENOMEM, what, "out of memory");
	if (ERR_SYSTEM_ERROR(e))
		return tuck__tls_fail_with(
			-(int)ERR_GET_REASON(e), what,
			tuck_strerror(-(int)ERR_GET_REASON(e)));
	return tuck__tls_fail_with(-EBADMSG, what, reason_of(e));
}

static int rejected(const SSL *ssl)
{
	long why = SSL_get_verify_result(ssl);

	return tuck__tls_fail_with(-EKEYREJECTED,
				   "the peer's certificate is not accepted",
				   X509_verify_cert_error_string(why));
}

/* The last entry is of TLS; those before it may be of what it called. */
static int why_broken(const struct tuck_tls *tls)
{
	unsigned long e = ERR_peek_last_error();

	if (tls->io_error)
		return tuck__tls_fail(tls->io_error);
	if (is_reason(e, ERR_LIB_SSL, SSL_R_CERTIFICATE_VERIFY_FAILED))
		return rejected(tls->ssl);
	if (tls->eof && (!e || is_reason(e, ERR_LIB_SSL,
					 SSL_R_UNEXPECTED_EOF_WHILE_READING)))
		return tuck__tls_fail_with(
			-ECONNABORTED, "the stream ended without close_notify",
			"");
	if (ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE)
		return tuck__tls_fail(-ENOMEM);
	return tuck__tls_fail_with(-EPROTO, "TLS failed", reason_of(e));
}

int tuck__tls_break(struct tuck_tls *tls, int r)
{
	if (!tls->broken)
		tls->why = OPENSSL_strdup(tuck_tls_error());
	return tls->broken = r;
}

tuck__noinline int tuck__tls_again(const struct tuck_tls *tls)
{
	return tuck__tls_fail_with(tls->broken, tls->why ? tls->why : "", "");
}

void tuck__tls_enter(struct tuck_tls *tls)
{
	ERR_clear_error();
	tls->io_error = 0;
}

tuck__noinline int tuck__tls_outcome(struct tuck_tls *tls, int result)
{
	switch (SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_WANT_READ: return TUCK__TLS_INPUT;
	case SSL_ERROR_WANT_X509_LOOKUP: return TUCK__TLS_NAME;
	case SSL_ERROR_ZERO_RETURN: return 0;
	default: return tuck__tls_break(tls, why_broken(tls));
	}
}
