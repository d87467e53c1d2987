/* SPDX-License-Identifier: MIT */
/*
 * What the tests of TLS share: certificates made on the spot, in files that
 * only this process has, and both ends of a connection.
 */
#ifndef TLS_H
#define TLS_H

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <tuck/tls.h>

#include "sockets.h"

#define DAY_S 86400

/* -- OpenSSL's memory -- */

/* Blocks that it has; which request fails, or none; of ours, or of all. */
static atomic_long live_blocks, requests;
static long failing;
static int failing_on, failing_all;

/* Not NULL: the first to do so in that file takes its time, for a fork. */
static const char *_Atomic slow_malloc, *_Atomic slow_free;
static atomic_int slow, forked;
static __thread int was_slow;

/*
 * Where it is over with that file it waits for the fork: a child must not find
 * locks of OpenSSL's taken, which has no handlers for it.
 */
static void be_slow(const char *where, const char *file)
{
	int there = where && strstr(file, where);

	while (was_slow && !there && !forked)
		usleep(1000);
	was_slow = was_slow && there;
	if (there && atomic_exchange(&slow, 1) == 0) {
		was_slow = 1;
		usleep(300000);
	}
}

static int fails(const char *file)
{
	long nth;

	if (!failing || !(failing_all || strstr(file, "src/tls/")))
		return 0;
	nth = atomic_fetch_add(&requests, 1) + 1;
	return nth == failing || (failing_on && nth > failing);
}

static void *count_malloc(size_t n, const char *file, int line)
{
	void *p = fails(file) ? NULL : malloc(n);

	(void)line;
	be_slow(slow_malloc, file);
	live_blocks += p != NULL;
	return p;
}

static void count_free(void *p, const char *file, int line)
{
	(void)line;
	be_slow(slow_free, file);
	live_blocks -= p != NULL;
	free(p);
}

static void *count_realloc(void *p, size_t n, const char *file, int line)
{
	if (p && !n) {
		count_free(p, file, line);
		return NULL;
	}
	if (fails(file))
		return NULL;
	live_blocks += p == NULL;
	return realloc(p, n);
}

__attribute__((constructor)) static void count_memory(void)
{
	CHECK_EQ(CRYPTO_set_mem_functions(count_malloc, count_realloc,
					  count_free),
		 1);
}

/* -- certificates -- */

/* Those made so far, for who looks for leaks. */
static struct cert *made;

struct cert {
	struct cert *next;
	X509 *x509;
	EVP_PKEY *key;
	char file[32];		/* both of them */
};

static struct cert root, stranger;	/* whom tests trust, and do not */

/* A file that has a path for as long as this process lives. */
static FILE *file_of_ours(char path[32])
{
	int fd = memfd_create("tls", MFD_CLOEXEC);

	CHECK(fd >= 0);
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fdopen(fd, "w");
}

static void add_extension(X509 *x509, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	CHECK(e);
	CHECK_EQ(X509_add_ext(x509, e, -1), 1);
	X509_EXTENSION_free(e);
}

static void set_name(X509 *x509, const char *name)
{
	X509_NAME *subject = X509_get_subject_name(x509);

	CHECK_EQ(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
					    (const unsigned char *)name, -1, -1,
					    0),
		 1);
}

/*
 * One for names ("DNS:a,IP:1.2.3.4"; NULL: an authority), signed by issuer, or
 * by itself, that ends so many days from now.
 */
static void make_cert(struct cert *ret_cert, const char *names,
		      const struct cert *issuer, int days)
{
	static long serial;
	struct cert *c = ret_cert;
	struct cert *kept = malloc(sizeof(*kept));
	FILE *f = file_of_ours(c->file);

	c->key = EVP_EC_gen("P-256");
	c->x509 = X509_new();
	CHECK(c->key && c->x509);
	X509_set_version(c->x509, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c->x509), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(c->x509), -30L * DAY_S);
	X509_gmtime_adj(X509_getm_notAfter(c->x509), (long)days * DAY_S);
	X509_set_pubkey(c->x509, c->key);
	set_name(c->x509, names	 ? names :
			  issuer ? "signed by the root" :
				   "the root of a test");
	if (names)
		add_extension(c->x509, NID_subject_alt_name, names);
	else
		add_extension(c->x509, NID_basic_constraints,
			      "critical,CA:TRUE");
	X509_set_issuer_name(c->x509, X509_get_subject_name(
					      issuer ? issuer->x509 : c->x509));
	CHECK(X509_sign(c->x509, issuer ? issuer->key : c->key, EVP_sha256()));
	CHECK_EQ(PEM_write_X509(f, c->x509), 1);
	CHECK_EQ(PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL), 1);
	CHECK_EQ(fflush(f), 0);
	*kept = *c;
	kept->next = made;
	made = kept;
}

static inline struct tuck_tls_cert files_of(const struct cert *c)
{
	return (struct tuck_tls_cert){ .chain_file = c->file };
}

static inline void make_roots(void)
{
	if (root.x509)
		return;
	make_cert(&root, NULL, NULL, 1);
	make_cert(&stranger, NULL, NULL, 1);
}

/* -- contexts -- */

/* All that were made: a test need not free them, a connection it must. */
static struct tuck_tls_ctx *contexts[400];
static size_t n_contexts;

static inline struct tuck_tls_ctx *note(struct tuck_tls_ctx *ctx)
{
	CHECK(n_contexts < sizeof(contexts) / sizeof(contexts[0]));
	return contexts[n_contexts++] = ctx;
}

/* A server's, that shows a certificate of these names. */
static inline struct tuck_tls_ctx *server_for(const char *names,
					      struct tuck_tls_config config)
{
	struct tuck_tls_ctx *ctx;
	struct tuck_tls_cert own;
	struct cert c;

	make_roots();
	if (!config.certs) {
		make_cert(&c, names, &root, 1);
		own = files_of(&c);
		config.certs = &own;
		config.n_certs = 1;
	}
	CHECK_EQ(tuck_tls_server_new(&ctx, &config), 0);
	return note(ctx);
}

/* A client's, that trusts the root. */
static inline struct tuck_tls_ctx *client_with(struct tuck_tls_config config)
{
	struct tuck_tls_ctx *ctx;

	make_roots();
	if (!config.ca_file)
		config.ca_file = root.file;
	CHECK_EQ(tuck_tls_client_new(&ctx, &config), 0);
	return note(ctx);
}

/* -- both ends -- */

struct ends {
	struct tuck_tls *client, *server;
	int client_r, server_r;		/* what their handshakes gave */
	char client_said[200], server_said[200];
};

struct accepting {
	struct ends *ends;
	struct tuck_tls_ctx *ctx;
	int fd, done;
};

/* Not 0: over a socket that is full once it is, where TCP may find room. */
static int over_unix;

static void accept_end(void *arg)
{
	struct accepting *a = arg;
	struct ends *e = a->ends;

	e->server_r = tuck_tls_accept(&e->server, a->ctx, a->fd, patience());
	if (e->server_r < 0)
		snprintf(e->server_said, sizeof(e->server_said), "%s",
			 tuck_tls_error());
	a->done = 1;
}

/*
 * Do the handshake over a connection made here. In memory that stays where it
 * is, as all that two tasklets share.
 */
static inline void meet(struct ends *e, struct tuck_tls_ctx *client,
			struct tuck_tls_ctx *server, const char *host)
{
	static struct accepting a;
	int fd[2];

	memset(e, 0, sizeof(*e));
	if (over_unix)
		stream_pair(fd);
	else
		tcp_pair(fd);
	a = (struct accepting){ e, server, fd[1], 0 };
	CHECK(tuck_go(accept_end, &a) > 0);
	e->client_r = tuck_tls_connect_fd(&e->client, client, fd[0], host,
					  patience());
	if (e->client_r < 0)
		snprintf(e->client_said, sizeof(e->client_said), "%s",
			 tuck_tls_error());
	WAIT_FOR(a.done);
}

static inline void part(struct ends *e)
{
	if (e->client)
		tuck_tls_close(e->client, TUCK_NOWAIT);
	if (e->server)
		tuck_tls_close(e->server, TUCK_NOWAIT);
	memset(e, 0, sizeof(*e));
}

/* The usual two: "a.test", trusted. */
static inline void meet_as_usual(struct ends *e, struct tuck_tls_config config)
{
	struct tuck_tls_ctx *client = client_with(config);
	struct tuck_tls_ctx *server = server_for("DNS:a.test", config);

	meet(e, client, server, "a.test");
	if (e->client_r < 0)
		check_fail(CHECK_AT, "client: %s", e->client_said);
	if (e->server_r < 0)
		check_fail(CHECK_AT, "server: %s", e->server_said);
	tuck_tls_ctx_free(client);	/* they live on in their connections */
	tuck_tls_ctx_free(server);
}

static inline void say(struct tuck_tls *from, struct tuck_tls *to,
		       const char *text)
{
	ssize_t n = (ssize_t)strlen(text);
	char got[64];

	CHECK_EQ(tuck_tls_write_full(from, text, (size_t)n, patience()), n);
	CHECK_EQ(tuck_tls_read_full(to, got, (size_t)n, patience()), n);
	CHECK_MEM(got, text, (size_t)n);
}

#endif
