/* SPDX-License-Identifier: MIT */
/*
 * TLS in a server: Tuck's, with a tasklet a connection, or OpenSSL's own
 * blocking calls, one connection after the other. The client is the same: an
 * OS thread with blocking calls. Printed is what the server's thread had of
 * the CPU.
 *
 *	bench_tls_WHO handshakes N	microseconds a handshake
 *	bench_tls_WHO bulk N		milliseconds a MB (N MB), to the client
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#if TUCK_SIDE
#include <tuck.h>
#include <tuck/tls.h>
#endif

#include "bench.h"

#define PART 65536	/* bytes of a write */

static struct sockaddr_in addr;
static long parts;	/* to send on each connection */
static char bytes[PART];
static char cert_file[32];

/* -- a certificate -- */

static void make_cert(void)
{
	int fd = memfd_create("cert", 0);
	FILE *f = fdopen(fd, "w");
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x509 = X509_new();

	BENCH_CHECK(f && key && x509);
	X509_set_version(x509, 2);
	X509_gmtime_adj(X509_getm_notBefore(x509), 0);
	X509_gmtime_adj(X509_getm_notAfter(x509), 86400);
	X509_set_pubkey(x509, key);
	BENCH_CHECK(X509_sign(x509, key, EVP_sha256()));
	PEM_write_X509(f, x509);
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fflush(f);
	X509_free(x509);
	EVP_PKEY_free(key);
	snprintf(cert_file, sizeof(cert_file), "/proc/self/fd/%d", fd);
}

/* -- the client -- */

static int connect_one(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	BENCH_CHECK(connect(fd, (void *)&addr, sizeof(addr)) == 0);
	return fd;
}

static void run_one(SSL_CTX *ctx)
{
	static char buf[PART];
	int fd = connect_one();
	SSL *ssl = SSL_new(ctx);

	SSL_set_fd(ssl, fd);
	BENCH_CHECK(SSL_connect(ssl) == 1);
	while (SSL_read(ssl, buf, sizeof(buf)) > 0)
		;
	SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
}

static void *run_client(void *arg)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	long n = *(const long *)arg;

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	for (long i = 0; i < n; i++)
		run_one(ctx);
	SSL_CTX_free(ctx);
	return NULL;
}

/* -- the servers -- */

#if TUCK_SIDE
static struct tuck_tls_ctx *ctx;
static long served;

static void serve(void *arg)
{
	struct tuck_tls *tls;

	BENCH_CHECK(tuck_tls_accept(&tls, ctx, (int)(intptr_t)arg,
				    TUCK_FOREVER) == 0);
	for (long i = 0; i < parts; i++)
		BENCH_CHECK(tuck_tls_write_full(tls, bytes, PART,
						TUCK_FOREVER) == PART);
	tuck_tls_close(tls, TUCK_FOREVER);
	served++;
}

static void begin(void)
{
	struct tuck_tls_cert own = { cert_file, NULL };
	struct tuck_tls_config config = { .certs = &own, .n_certs = 1 };

	BENCH_CHECK(tuck_tls_server_new(&ctx, &config) == 0);
}

static void serve_all(int listener, long n)
{
	for (long i = 0; i < n; i++) {
		int fd = tuck_accept(listener, NULL, TUCK_FOREVER);

		BENCH_CHECK(fd >= 0);
		BENCH_CHECK(tuck_go(serve, (void *)(intptr_t)fd) > 0);
	}
	while (served < n)
		tuck_sleep(tuck_after(TUCK_MS(1)));
}
#else
static SSL_CTX *ctx;

static void begin(void)
{
	ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	BENCH_CHECK(SSL_CTX_use_certificate_chain_file(ctx, cert_file) == 1);
	BENCH_CHECK(SSL_CTX_use_PrivateKey_file(ctx, cert_file,
						SSL_FILETYPE_PEM) == 1);
}

static void serve(int fd)
{
	SSL *ssl = SSL_new(ctx);
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	SSL_set_fd(ssl, fd);
	BENCH_CHECK(SSL_accept(ssl) == 1);
	for (long i = 0; i < parts; i++)
		BENCH_CHECK(SSL_write(ssl, bytes, PART) == PART);
	SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
}

static void serve_all(int listener, long n)
{
	for (long i = 0; i < n; i++)
		serve(accept(listener, NULL, NULL));
}
#endif

/* Seconds of CPU for n connections. */
static double serve_some(long n)
{
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t client;
	int64_t at;

	signal(SIGPIPE, SIG_IGN);
	make_cert();
	addr.sin_family = AF_INET;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	BENCH_CHECK(bind(listener, (void *)&addr, len) == 0 &&
		    listen(listener, 100) == 0 &&
		    getsockname(listener, (void *)&addr, &len) == 0);
	begin();
	at = bench_now();
	BENCH_CHECK(pthread_create(&client, NULL, run_client, &n) == 0);
	serve_all(listener, n);
	at = bench_now() - at;
	pthread_join(client, NULL);
	return (double)at / 1e9;
}

static double handshakes(long n)
{
	return serve_some(n) * 1e6 / (double)n;
}

static double bulk(long n)
{
	parts = n * (1 << 20) / PART;
	return serve_some(1) * 1e3 / (double)n;
}

static const struct bench_work works[] = {
	{ "handshakes", 1000, handshakes },
	{ "bulk", 1000, bulk },
	{ NULL, 0, NULL },
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, works);
}
