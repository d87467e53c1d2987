/* SPDX-License-Identifier: MIT */
/*
 * Fetches a page by HTTPS, a number of times one after the other, and prints
 * it once; on standard error, what was agreed on each time.
 *
 *	examples/fetch ADDRESS:PORT NAME PATH [ROOTS.pem [TIMES]]
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <tuck.h>
#include <tuck/tls.h>

#define LIMIT TUCK_SEC(30)

/* The answer, up to its end, to f; 0 or an error. */
static int copy(struct tuck_tls *tls, FILE *f, tuck_ns deadline)
{
	char buf[16384];
	ssize_t n;

	while ((n = tuck_tls_read(tls, buf, sizeof(buf), deadline)) > 0)
		if (f)
			fwrite(buf, 1, (size_t)n, f);
	return (int)n;
}

static void describe(const struct tuck_tls *tls)
{
	struct tuck_tls_info info;

	tuck_tls_info(tls, &info);
	fprintf(stderr, "%s %s%s%s%s\n", info.version, info.cipher,
		info.alpn ? " " : "", info.alpn ? info.alpn : "",
		info.resumed ? ", resumed" : "");
}

static int talk(struct tuck_tls *tls, const char *name, const char *path,
		FILE *f, tuck_ns deadline)
{
	char request[1024];
	int n = snprintf(request, sizeof(request),
			 "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", path, name);
	int r = -E2BIG;

	if (n < (int)sizeof(request))
		r = (int)tuck_tls_write_full(tls, request, (size_t)n, deadline);
	if (r >= 0)
		r = copy(tls, f, deadline);
	describe(tls);
	return r;
}

static int fetch(struct tuck_tls_ctx *ctx, char **argv, FILE *f)
{
	tuck_ns deadline = tuck_after(LIMIT);
	struct tuck_tls *tls;
	int r = tuck_tls_connect(&tls, ctx, argv[1], argv[2], deadline);

	if (r < 0)
		return r;
	r = talk(tls, argv[2], argv[3], f, deadline);
	tuck_tls_close(tls, tuck_after(TUCK_SEC(1)));
	return r;
}

int main(int argc, char **argv)
{
	static const char *const alpn[] = { "http/1.1", "http/1.0", NULL };
	struct tuck_tls_config config = { .alpn = alpn };
	int times = argc > 5 ? atoi(argv[5]) : 1, r;
	struct tuck_tls_ctx *ctx;

	if (argc < 4) {
		fprintf(stderr, "usage: fetch ADDRESS:PORT NAME PATH"
				" [ROOTS.pem [TIMES]]\n");
		return 2;
	}
	config.ca_file = argc > 4 ? argv[4] : NULL;
	r = tuck_tls_client_new(&ctx, &config);
	for (int i = 0; i < times && r >= 0; i++)
		r = fetch(ctx, argv, i == 0 ? stdout : NULL);
	if (r >= 0)
		tuck_tls_ctx_free(ctx);
	else
		fprintf(stderr, "fetch: %s\n", tuck_tls_error());
	return r < 0;
}
