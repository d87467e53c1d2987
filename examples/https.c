/* SPDX-License-Identifier: MIT */
/*
 * An HTTPS server of the smallest kind: each request of a connection gets what
 * was agreed on as its answer.
 *
 *	examples/https CHAIN.pem KEY.pem [ADDRESS:PORT]	(default 127.0.0.1:7443)
 *	curl --cacert CHAIN.pem https://localhost:7443
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <tuck.h>
#include <tuck/tls.h>

#include "serve.h"

#define IDLE TUCK_SEC(60)

static struct tuck_tls_ctx *ctx;

static int answer(struct tuck_tls *tls)
{
	char body[256], head[400];
	struct tuck_tls_info info;
	int n;

	tuck_tls_info(tls, &info);
	n = snprintf(body, sizeof(body), "%s %s for %s%s\n", info.version,
		     info.cipher, info.name ? info.name : "nobody",
		     info.resumed ? ", resumed" : "");
	n = snprintf(head, sizeof(head),
		     "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
		     "Content-Length: %d\r\n\r\n%s",
		     n, body);
	return (int)tuck_tls_write_full(tls, head, (size_t)n, tuck_after(IDLE));
}

/* The length of the first request in buf, up to its empty line; or 0. */
static size_t request_in(const char *buf, size_t n)
{
	const char *end = memmem(buf, n, "\r\n\r\n", 4);

	return end ? (size_t)(end - buf) + 4 : 0;
}

static void answer_all(struct tuck_tls *tls)
{
	char buf[8192];
	size_t n = 0, request;
	ssize_t r;

	while (n < sizeof(buf)) {
		r = tuck_tls_read(tls, buf + n, sizeof(buf) - n,
				  tuck_after(IDLE));
		if (r <= 0)
			return;
		n += (size_t)r;
		while ((request = request_in(buf, n)) > 0) {
			if (answer(tls) < 0)
				return;
			n -= request;
			memmove(buf, buf + request, n);
		}
	}
}

static void serve(void *arg)
{
	struct tuck_tls *tls;
	int fd = (int)(intptr_t)arg;

	if (tuck_tls_accept(&tls, ctx, fd, tuck_after(TUCK_SEC(10))) < 0) {
		fprintf(stderr, "https: %s\n", tuck_tls_error());
		return;
	}
	answer_all(tls);
	tuck_tls_close(tls, tuck_after(TUCK_SEC(1)));
}

static int make_context(const char *chain, const char *key)
{
	static const char *const alpn[] = { "http/1.1", NULL };
	struct tuck_tls_cert cert = { chain, key };
	struct tuck_tls_config config = {
		.certs = &cert,
		.n_certs = 1,
		.alpn = alpn,
	};

	return tuck_tls_server_new(&ctx, &config);
}

int main(int argc, char **argv)
{
	const char *where = argc > 3 ? argv[3] : "127.0.0.1:7443";

	if (argc < 3) {
		fprintf(stderr, "usage: https CHAIN.pem KEY.pem [ADDR:PORT]\n");
		return 2;
	}
	if (make_context(argv[1], argv[2]) < 0) {
		fprintf(stderr, "https: %s\n", tuck_tls_error());
		return 1;
	}
	return serve_at(where, serve);
}
