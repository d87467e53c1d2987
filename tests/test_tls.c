/* SPDX-License-Identifier: MIT */
/* TLS: who is believed, what is agreed on, what a handshake's failure says. */
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tls.h"

#define USUAL ((struct tuck_tls_config){ 0 })

static struct ends e;

static void check_info(const struct tuck_tls *tls,
		       struct tuck_tls_info *ret_info)
{
	CHECK_EQ(tuck_tls_info(tls, ret_info), 0);
}

static int resumed(const struct tuck_tls *tls)
{
	struct tuck_tls_info info;

	check_info(tls, &info);
	return info.resumed;
}

/* -- what is agreed on -- */

TEST(two_meet_and_talk)
{
	struct tuck_tls_info info;

	meet_as_usual(&e, USUAL);
	say(e.client, e.server, "hello");
	say(e.server, e.client, "and to you");
	check_info(e.client, &info);
	CHECK_STR(info.version, "TLSv1.3");
	CHECK(strncmp(info.cipher, "TLS_", 4) == 0);
	CHECK_STR(info.name, "a.test");
	CHECK(!info.alpn);
	CHECK_EQ(info.resumed, 0);
	CHECK_EQ(info.verified, 1);
	check_info(e.server, &info);
	CHECK_STR(info.version, "TLSv1.3");
	CHECK_STR(info.name, "a.test");
	CHECK_EQ(info.verified, 0);
	CHECK_STR(tuck_tls_error(), "");
	part(&e);
}

TEST(versions_have_bounds)
{
	struct tuck_tls_config old = { .max_version = TUCK_TLS_1_2 };
	struct tuck_tls_config new = { .min_version = TUCK_TLS_1_3 };
	struct tuck_tls_info info;

	meet_as_usual(&e, old);
	say(e.client, e.server, "hello");
	check_info(e.client, &info);
	CHECK_STR(info.version, "TLSv1.2");
	part(&e);
	meet(&e, client_with(old), server_for("DNS:a.test", new), "a.test");
	CHECK_EQ(e.client_r, -EPROTO);
	CHECK_EQ(e.server_r, -EPROTO);
	CHECK(strstr(e.client_said, "alert protocol version"));
	CHECK(strstr(e.server_said, "unsupported protocol"));
}

static const char *const web[] = { "h2", "http/1.1", NULL };
static const char *const old_web[] = { "http/1.0", "http/1.1", NULL };
static const char *const mail[] = { "imap", NULL };

TEST(server_chooses_the_protocol)
{
	struct tuck_tls_config ours = { .alpn = web }, theirs = { .alpn = web };
	struct tuck_tls_info info;

	for (int version = TUCK_TLS_1_2; version <= TUCK_TLS_1_3; version++) {
		ours.max_version = (enum tuck_tls_version)version;
		theirs.alpn = old_web;
		meet(&e, client_with(ours), server_for("DNS:a.test", theirs),
		     "a.test");
		check_info(e.client, &info);
		CHECK_STR(info.alpn, "http/1.1");
		check_info(e.server, &info);
		CHECK_STR(info.alpn, "http/1.1");
		part(&e);

		theirs.alpn = NULL;
		meet(&e, client_with(ours), server_for("DNS:a.test", theirs),
		     "a.test");
		check_info(e.client, &info);
		CHECK(!info.alpn);
		part(&e);

		theirs.alpn = mail;
		meet(&e, client_with(ours), server_for("DNS:a.test", theirs),
		     "a.test");
		CHECK_EQ(e.client_r, -EPROTO);
		CHECK_EQ(e.server_r, -EPROTO);
		CHECK(strstr(e.client_said, "no application protocol"));
	}
}

/* -- who is believed -- */

static void check_rejected(const struct cert *cert, const char *host,
			   const char *why)
{
	struct tuck_tls_cert own = files_of(cert);
	struct tuck_tls_config config = { .certs = &own, .n_certs = 1 };

	meet(&e, client_with(USUAL), server_for(NULL, config), host);
	CHECK(!e.client);
	if (e.client_r != -EKEYREJECTED || !strstr(e.client_said, why))
		check_fail(CHECK_AT, "%s", e.client_said);
	if (e.server_r < 0)	/* TLS 1.3: may be done before the alert */
		CHECK_EQ(e.server_r, -EPROTO);
	part(&e);
}

TEST(bad_certificates_are_rejected)
{
	struct cert c, self;

	make_roots();
	make_cert(&c, "DNS:a.test,DNS:*.b.test", &root, 1);
	check_rejected(&c, "c.test", "ostname mismatch");
	check_rejected(&c, "b.test", "ostname mismatch");
	check_rejected(&c, "a.b.b.test", "ostname mismatch");
	check_rejected(&c, "127.0.0.1", "IP address mismatch");
	make_cert(&c, "DNS:a*.b.test", &root, 1);	/* RFC 6125, 7.2 */
	check_rejected(&c, "ab.b.test", "ostname mismatch");
	make_cert(&c, "DNS:a.test", &root, -1);
	check_rejected(&c, "a.test", "expired");
	make_cert(&c, "DNS:a.test", &stranger, 1);
	check_rejected(&c, "a.test", "signature failure");
	make_cert(&self, "DNS:a.test", NULL, 1);
	check_rejected(&self, "a.test", "self-signed");
}

TEST(good_certificates_are_believed)
{
	static const char *const hosts[] = { "a.test", "A.TEST", "x.b.test",
					     "127.0.0.1", "::1" };
	const char *names = "DNS:a.test,DNS:*.b.test,IP:127.0.0.1,IP:::1";
	struct tuck_tls_ctx *server = server_for(names, USUAL);
	struct tuck_tls_info info;

	for (size_t i = 0; i < 5; i++) {
		meet(&e, client_with(USUAL), server, hosts[i]);
		CHECK_EQ(e.client_r, 0);
		check_info(e.server, &info);
		if (i < 3)
			CHECK_STR(info.name, hosts[i]);
		else
			CHECK(!info.name);	/* addresses are not sent */
		part(&e);
	}
}

/* Signed by one whom the root has signed, whose certificate is shown, too. */
TEST(a_chain_leads_to_the_root)
{
	struct cert between, c;
	struct tuck_tls_cert own;
	struct tuck_tls_config config = { .certs = &own, .n_certs = 1 };
	FILE *f;

	make_roots();
	make_cert(&between, NULL, &root, 1);
	make_cert(&c, "DNS:a.test", &between, 1);
	check_rejected(&c, "a.test", "issuer");
	f = fopen(c.file, "a");
	CHECK_EQ(PEM_write_X509(f, between.x509), 1);
	fclose(f);
	own = files_of(&c);
	meet(&e, client_with(USUAL), server_for(NULL, config), "a.test");
	if (e.client_r < 0)
		check_fail(CHECK_AT, "%s", e.client_said);
	part(&e);
}

TEST(nobody_is_asked_only_where_that_was_said)
{
	struct tuck_tls_config none = { .verify = TUCK_TLS_VERIFY_NONE };
	struct tuck_tls_ctx *server = server_for("DNS:other.test", USUAL);
	struct tuck_tls_info info;
	struct tuck_tls *tls;
	int fd[2];

	meet(&e, client_with(none), server, "a.test");
	CHECK_EQ(e.client_r, 0);
	check_info(e.client, &info);
	CHECK_EQ(info.verified, 0);
	part(&e);
	meet(&e, client_with(none), server, NULL);
	CHECK_EQ(e.client_r, 0);
	part(&e);
	tcp_pair(fd);
	CHECK_EQ(tuck_tls_connect_fd(&tls, client_with(USUAL), fd[0], NULL,
				     TUCK_FOREVER),
		 -EINVAL);
	CHECK_EQ(close(fd[0]), -1);	/* it was taken over */
}

TEST(roots_of_a_folder)
{
	char dir[] = "/tmp/tls-XXXXXX", path[64];
	struct tuck_tls_config config = { .ca_dir = dir };
	struct tuck_tls_ctx *client;
	FILE *f;

	make_roots();
	CHECK(mkdtemp(dir));
	CHECK_EQ(tuck_tls_client_new(&client, &config), 0);
	snprintf(path, sizeof(path), "%s/%08lx.0", dir,
		 X509_subject_name_hash(root.x509));
	f = fopen(path, "w");
	PEM_write_X509(f, root.x509);
	fclose(f);
	meet(&e, client, server_for("DNS:a.test", USUAL), "a.test");
	unlink(path);
	rmdir(dir);
	tuck_tls_ctx_free(client);
	CHECK_EQ(e.client_r, 0);
	part(&e);
}

TEST(clients_show_certificates_if_asked)
{
	struct tuck_tls_config server = { .verify = TUCK_TLS_VERIFY_REQUIRED };
	struct tuck_tls_config client = { .n_certs = 1 };
	unsigned char der[2048], want[2048], *p = want;
	struct tuck_tls_cert own;
	struct tuck_tls_info info;
	struct cert c;
	ssize_t n;

	make_roots();
	server.ca_file = root.file;
	make_cert(&c, "DNS:me.test", &root, 1);
	own = files_of(&c);
	client.certs = &own;
	meet(&e, client_with(client), server_for("DNS:a.test", server),
	     "a.test");
	CHECK_EQ(e.server_r, 0);
	check_info(e.server, &info);
	CHECK_EQ(info.verified, 1);
	n = tuck_tls_peer_cert(e.server, der, sizeof(der));
	CHECK_EQ(n, i2d_X509(c.x509, &p));
	CHECK_MEM(der, want, (size_t)n);
	CHECK_EQ(tuck_tls_peer_cert(e.server, NULL, 0), n);
	CHECK_EQ(tuck_tls_peer_cert(e.server, der, 5), -ENOSPC);
	part(&e);

	make_cert(&c, "DNS:me.test", &stranger, 1);
	own = files_of(&c);
	meet(&e, client_with(client), server_for("DNS:a.test", server),
	     "a.test");
	CHECK_EQ(e.server_r, -EKEYREJECTED);
	part(&e);
	meet(&e, client_with(USUAL), server_for("DNS:a.test", server),
	     "a.test");
	CHECK_EQ(e.server_r, -EPROTO);
	CHECK(strstr(e.server_said, "did not return a certificate"));
	part(&e);
	server.verify = TUCK_TLS_VERIFY_IF_GIVEN;
	meet(&e, client_with(USUAL), server_for("DNS:a.test", server),
	     "a.test");
	CHECK_EQ(e.server_r, 0);
	check_info(e.server, &info);
	CHECK_EQ(info.verified, 0);
	CHECK_EQ(tuck_tls_peer_cert(e.server, NULL, 0), -ENOENT);
	part(&e);
}

/* -- names of a server -- */

static void check_shown(const struct cert *c)
{
	unsigned char der[2048], want[2048], *p = want;
	ssize_t n;

	CHECK_EQ(e.client_r, 0);
	n = tuck_tls_peer_cert(e.client, der, sizeof(der));
	CHECK_EQ(n, i2d_X509(c->x509, &p));
	CHECK_MEM(der, want, (size_t)n);
	part(&e);
}

TEST(each_name_has_its_certificate)
{
	struct tuck_tls_config client = { .alpn = web };
	struct tuck_tls_config server = { .alpn = web, .n_certs = 3 };
	struct tuck_tls_cert own[3];
	struct tuck_tls_ctx *ctx;
	struct tuck_tls_info info;
	struct cert c[3];

	make_roots();
	make_cert(&c[0], "DNS:a.test", &root, 1);
	make_cert(&c[1], "DNS:b.test,DNS:*.b.test", &root, 1);
	make_cert(&c[2], "DNS:c.test,DNS:b.test", &root, 1);
	for (int i = 0; i < 3; i++)
		own[i] = files_of(&c[i]);
	server.certs = own;
	ctx = server_for(NULL, server);
	for (int version = TUCK_TLS_1_2; version <= TUCK_TLS_1_3; version++) {
		client.max_version = (enum tuck_tls_version)version;
		for (int again = 0; again < 2; again++) {
			meet(&e, client_with(client), ctx, "a.test");
			check_shown(&c[0]);
			meet(&e, client_with(client), ctx, "www.b.test");
			check_info(e.client, &info);
			CHECK_STR(info.alpn, "h2");
			check_shown(&c[1]);
			meet(&e, client_with(client), ctx, "b.test");
			check_shown(&c[1]);
			meet(&e, client_with(client), ctx, "c.test");
			check_shown(&c[2]);
		}
	}
	client.verify = TUCK_TLS_VERIFY_NONE;
	meet(&e, client_with(client), ctx, "d.test");
	check_shown(&c[0]);
}

static struct tuck_tls_ctx *other;
static int waits;

/* As if it asked a slow peer. */
static int choose(void *arg, const char *name, tuck_ns deadline,
		  struct tuck_tls_ctx **ret_ctx)
{
	CHECK(arg == &other && deadline > tuck_now() &&
	      deadline < TUCK_FOREVER);
	waits++;
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(5))), 0);
	if (strcmp(name, "gone.test") == 0)
		return -ENOENT;
	if (strcmp(name, "b.test") == 0)
		*ret_ctx = other;
	return 0;
}

TEST(certificates_are_chosen_by_a_function_that_waits)
{
	struct tuck_tls_config config = { .choose = choose,
					  .choose_arg = &other };
	struct tuck_tls_ctx *server = server_for("DNS:a.test", config);
	struct tuck_tls_ctx *client = client_with(USUAL);

	other = server_for("DNS:b.test", USUAL);
	meet(&e, client, server, "a.test");
	CHECK_EQ(e.client_r, 0);
	part(&e);
	meet(&e, client, server, "b.test");
	tuck_tls_ctx_free(other);
	CHECK_EQ(e.client_r, 0);
	say(e.client, e.server, "hello");
	part(&e);
	CHECK_EQ(waits, 2);
	meet(&e, client, server, "gone.test");
	CHECK_EQ(e.server_r, -ENOENT);
	CHECK_EQ(e.client_r, -EPROTO);
	CHECK(strstr(e.client_said, "alert"));
	/* Nobody is asked for a client that names no server. */
	meet(&e, client, server, "127.0.0.1");
	CHECK_EQ(waits, 3);
	CHECK_EQ(e.client_r, -EKEYREJECTED);
	part(&e);
}

/* -- sessions -- */

static void shake_hands(struct tuck_tls_ctx *client,
			struct tuck_tls_ctx *server, const int fd[2],
			const char *host)
{
	static struct accepting a;

	memset(&e, 0, sizeof(e));
	a = (struct accepting){ &e, server, fd[1], 0 };
	CHECK(tuck_go(accept_end, &a) > 0);
	CHECK_EQ(tuck_tls_connect_fd(&e.client, client, fd[0], host,
				     patience()),
		 0);
	WAIT_FOR(a.done);
	CHECK_EQ(e.server_r, 0);
}

/* Of TLS 1.3 they come with the first bytes. */
static int meets_again(struct tuck_tls_ctx *client, struct tuck_tls_ctx *server,
		       int fd[2], const char *host)
{
	int r;

	shake_hands(client, server, fd, host);
	say(e.server, e.client, "x");
	r = resumed(e.client);
	CHECK_EQ(resumed(e.server), r);
	part(&e);
	return r;
}

/* Connections to the same port, as sessions are kept by it. */
static void pair_at(int listener, int fd[2])
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	CHECK_EQ(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(connect(fd[0], (struct sockaddr *)&addr, len), 0);
	fd[1] = accept(listener, NULL, NULL);
	CHECK(fd[1] >= 0);
}

static int resumes(int listener, struct tuck_tls_ctx *client,
		   struct tuck_tls_ctx *server, const char *host)
{
	int fd[2];

	pair_at(listener, fd);
	return meets_again(client, server, fd, host);
}

TEST(sessions_are_resumed)
{
	struct sockaddr_in addr;
	int at = raw_listen(&addr), elsewhere = raw_listen(&addr);

	for (int version = TUCK_TLS_1_2; version <= TUCK_TLS_1_3; version++) {
		struct tuck_tls_config config = {
			.max_version = (enum tuck_tls_version)version
		};
		struct tuck_tls_ctx *client = client_with(config);
		struct tuck_tls_ctx *server = server_for(
			"DNS:a.test,DNS:b.test", config);

		CHECK_EQ(resumes(at, client, server, "a.test"), 0);
		for (int i = 0; i < 5; i++)
			CHECK_EQ(resumes(at, client, server, "a.test"), 1);
		/* Neither for another name nor at another port. */
		CHECK_EQ(resumes(at, client, server, "b.test"), 0);
		CHECK_EQ(resumes(elsewhere, client, server, "a.test"), 0);
		CHECK_EQ(resumes(at, client, server, "b.test"), 1);
		/* Nor with another context, on either side. */
		CHECK_EQ(resumes(at, client_with(config), server, "a.test"), 0);
		CHECK_EQ(resumes(at, client, server_for("DNS:a.test", config),
				 "a.test"),
			 0);
		tuck_tls_ctx_free(client);
		tuck_tls_ctx_free(server);
	}
}

/* A server of TLS 1.3 sends two, which come to be known by a read. */
TEST(sessions_of_new_tls_are_for_one_use)
{
	struct tuck_tls_ctx *client = client_with(USUAL);
	struct tuck_tls_ctx *server = server_for("DNS:a.test", USUAL);
	struct sockaddr_in addr;
	int at = raw_listen(&addr), fd[2];

	CHECK_EQ(resumes(at, client, server, "a.test"), 0);
	for (int i = 0; i < 3; i++) {
		pair_at(at, fd);
		shake_hands(client, server, fd, "a.test");
		CHECK_EQ(resumed(e.client), i < 2);
		part(&e);
	}
}

TEST(sessions_are_not_kept_if_that_was_said)
{
	struct tuck_tls_config no = { .no_resumption = 1 };
	struct tuck_tls_ctx *client = client_with(USUAL);
	struct tuck_tls_ctx *server = server_for("DNS:a.test", no);
	struct sockaddr_in addr;
	int at = raw_listen(&addr);

	for (int i = 0; i < 3; i++)
		CHECK_EQ(resumes(at, client, server, "a.test"), 0);
	client = client_with(no);
	server = server_for("DNS:a.test", USUAL);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(resumes(at, client, server, "a.test"), 0);
}

TEST(the_newest_sessions_are_kept)
{
	struct tuck_tls_config old = { .max_version = TUCK_TLS_1_2 };
	struct tuck_tls_ctx *client = client_with(old);
	struct tuck_tls_ctx *server = server_for("DNS:*.a.test", old);
	struct sockaddr_in addr;
	int at = raw_listen(&addr), last = 130;
	char host[20];

	for (int i = 0; i < last; i++) {	/* 128 are kept */
		snprintf(host, sizeof(host), "%d.a.test", i);
		CHECK_EQ(resumes(at, client, server, host), 0);
	}
	CHECK_EQ(resumes(at, client, server, "2.a.test"), 1);
	CHECK_EQ(resumes(at, client, server, "129.a.test"), 1);
	CHECK_EQ(resumes(at, client, server, "0.a.test"), 0);
}

/* -- by address -- */

static int listener;
static struct tuck_tls_ctx *serving;
static int served;

static void serve_one(void *arg)
{
	struct tuck_tls *tls;
	int fd = tuck_accept(listener, NULL, patience());

	(void)arg;
	CHECK(fd >= 0);
	if (tuck_tls_accept(&tls, serving, fd, patience()) == 0) {
		CHECK_EQ(tuck_tls_write(tls, "x", 1, patience()), 1);
		tuck_tls_close(tls, patience());
	}
	served++;
}

TEST(connect_by_address)
{
	char text[TUCK_ADDR_TEXT];
	struct tuck_tls_ctx *client = client_with(USUAL);
	struct tuck_addr addr;
	struct tuck_tls *tls;
	char c;

	serving = server_for("DNS:a.test,IP:127.0.0.1", USUAL);
	listener = tuck_tcp_listen("127.0.0.1:0", 0);
	CHECK_EQ(tuck_addr_local(listener, &addr), 0);
	tuck_addr_format(&addr, text, sizeof(text));
	for (int i = 0; i < 2; i++) {
		CHECK(tuck_go(serve_one, NULL) > 0);
		CHECK_EQ(tuck_tls_connect(&tls, client, text,
					  i ? "a.test" : NULL, patience()),
			 0);
		CHECK_EQ(tuck_tls_read(tls, &c, 1, patience()), 1);
		CHECK_EQ(tuck_tls_read(tls, &c, 1, patience()), 0);
		CHECK_EQ(tuck_tls_close(tls, patience()), 0);
	}
	CHECK(tuck_go(serve_one, NULL) > 0);
	CHECK_EQ(tuck_tls_connect(&tls, client, text, "b.test", patience()),
		 -EKEYREJECTED);
	settle();
	CHECK_EQ(tuck_fd_close(listener), 0);
	CHECK_EQ(tuck_tls_connect(&tls, client, text, NULL, patience()),
		 -ECONNREFUSED);
	CHECK_STR(tuck_tls_error(), "Connection refused");
	CHECK_EQ(tuck_tls_connect(&tls, client, "nonsense", NULL, patience()),
		 -EINVAL);
	CHECK_EQ(tuck_tls_connect(&tls, client, ":80", NULL, patience()),
		 -EINVAL);
	CHECK_EQ(tuck_tls_connect(&tls, serving, text, NULL, patience()),
		 -EINVAL);
}

/* -- arguments -- */

static int client_r(struct tuck_tls_config config)
{
	struct tuck_tls_ctx *ctx = NULL;
	int r = tuck_tls_client_new(&ctx, &config);

	CHECK((r == 0) == (ctx != NULL));
	tuck_tls_ctx_free(ctx);
	CHECK_EQ((long)ERR_peek_error(), 0);
	return r;
}

static int server_r(const char *chain, const char *key)
{
	struct tuck_tls_cert own = { chain, key };
	struct tuck_tls_config config = { .certs = &own, .n_certs = 1 };
	struct tuck_tls_ctx *ctx = NULL;
	int r = tuck_tls_server_new(&ctx, &config);

	CHECK((r == 0) == (ctx != NULL));
	tuck_tls_ctx_free(ctx);
	CHECK_EQ((long)ERR_peek_error(), 0);
	return r;
}

TEST(settings_that_cannot_be)
{
	static const char *const empty[] = { "", NULL };
	struct tuck_tls_config config = { 0 };
	struct tuck_tls_ctx *ctx;

	CHECK_EQ(client_r(USUAL), 0);
	CHECK_EQ(tuck_tls_client_new(&ctx, NULL), 0);
	tuck_tls_ctx_free(ctx);
	CHECK_EQ(tuck_tls_client_new(NULL, NULL), -EINVAL);
	CHECK_EQ(tuck_tls_server_new(&ctx, NULL), -EINVAL);
	config.alpn = empty;
	CHECK_EQ(client_r(config), -EINVAL);
	config = (struct tuck_tls_config){ .min_version = TUCK_TLS_1_3,
					   .max_version = TUCK_TLS_1_2 };
	CHECK_EQ(client_r(config), -EINVAL);
	config = (struct tuck_tls_config){ .n_certs = 1 };
	CHECK_EQ(client_r(config), -EINVAL);
	config = (struct tuck_tls_config){ .choose = choose };
	CHECK_EQ(client_r(config), -EINVAL);
	tuck_tls_ctx_free(NULL);
}

TEST(files_that_are_not_what_they_should_be)
{
	struct tuck_tls_config config = { .ca_file = "/nowhere/roots.pem" };
	struct cert a, b;
	char junk[32];

	fputs("no certificate\n", file_of_ours(junk));
	make_roots();
	make_cert(&a, "DNS:a.test", &root, 1);
	make_cert(&b, "DNS:b.test", &root, 1);
	CHECK_EQ(server_r(a.file, NULL), 0);
	CHECK_EQ(server_r(a.file, a.file), 0);
	CHECK_EQ(server_r("/nowhere/a.pem", NULL), -ENOENT);
	CHECK(strstr(tuck_tls_error(), "/nowhere/a.pem"));
	CHECK_EQ(server_r(a.file, "/nowhere/a.key"), -ENOENT);
	CHECK_EQ(server_r(junk, NULL), -EBADMSG);
	CHECK_EQ(server_r(a.file, junk), -EBADMSG);
	CHECK_EQ(server_r(a.file, b.file), -EBADMSG);
	CHECK(strstr(tuck_tls_error(), "mismatch"));
	CHECK_EQ(client_r(config), -ENOENT);
	config.ca_file = junk;
	CHECK_EQ(client_r(config), -EBADMSG);
}

TEST(arguments_that_cannot_be)
{
	struct tuck_tls_ctx *client = client_with(USUAL);
	struct tuck_tls *tls = NULL;
	int fds[2], n = count_fds();
	char c;

	stream_pair(fds);
	CHECK_EQ(tuck_tls_accept(&tls, client, fds[0], TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_tls_connect_fd(&tls, client, fds[1], "", TUCK_FOREVER),
		 -EINVAL);
	CHECK_EQ(count_fds(), n);
	pipe_pair(fds);
	CHECK_EQ(tuck_tls_connect_fd(&tls, client, fds[0], "a", TUCK_FOREVER),
		 -ENOTSOCK);
	CHECK_EQ(tuck_tls_connect_fd(&tls, client, fds[1], "a", -1), -EINVAL);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	CHECK_EQ(tuck_tls_connect_fd(&tls, client, fds[0], "a", TUCK_FOREVER),
		 -EPROTOTYPE);
	CHECK_EQ(close(fds[1]), 0);
	CHECK_EQ(tuck_tls_connect_fd(&tls, client, fds[1], "a", TUCK_FOREVER),
		 -EBADF);
	CHECK(count_fds() <= n + 1);	/* and the poller's */
	CHECK(!tls);
	CHECK_EQ(tuck_tls_read(NULL, &c, 1, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_tls_write(NULL, &c, 1, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_tls_shutdown(NULL, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_tls_close(NULL, TUCK_FOREVER), 0);
	meet_as_usual(&e, USUAL);
	CHECK_EQ(tuck_tls_read(e.client, &c, 1, -1), -EINVAL);
	CHECK_EQ(tuck_tls_write(e.client, &c, 1, -1), -EINVAL);
	CHECK_EQ(tuck_tls_read(e.client, NULL, 1, TUCK_FOREVER), -EFAULT);
	CHECK_EQ(tuck_tls_write(e.client, NULL, 1, TUCK_FOREVER), -EFAULT);
	CHECK_EQ(tuck_tls_write_full(e.client, NULL, 1, TUCK_FOREVER), -EFAULT);
	CHECK_EQ(tuck_tls_read(e.client, &c, 0, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_tls_write(e.client, &c, 0, TUCK_FOREVER), 0);
	part(&e);
}

/* -- sentences -- */

static void fail_to_load(void *arg)
{
	struct tuck_tls_config config = { .ca_file = arg };

	CHECK_STR(tuck_tls_error(), "");
	CHECK_EQ(client_r(config), -ENOENT);
	tuck_yield();
	CHECK(strstr(tuck_tls_error(), arg));
	*(char *)arg = 0;
}

TEST(each_tasklet_has_its_own_sentence)
{
	static char a[] = "/nowhere/a", b[] = "/nowhere/b";

	CHECK(tuck_go(fail_to_load, a) > 0);
	CHECK(tuck_go(fail_to_load, b) > 0);
	WAIT_FOR(!*a && !*b);
	CHECK_STR(tuck_tls_error(), "");
}

/* -- more than one proc -- */

static struct tuck_tls_ctx *connecting;

static void connect_elsewhere(void *arg)
{
	char text[TUCK_ADDR_TEXT], c;
	struct tuck_addr addr;
	struct tuck_tls *tls;

	CHECK_EQ(tuck_addr_local(listener, &addr), 0);
	tuck_addr_format(&addr, text, sizeof(text));
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(tuck_tls_connect(&tls, connecting, text, "a.test",
					  patience()),
			 0);
		CHECK_EQ(tuck_tls_read(tls, &c, 1, patience()), 1);
		CHECK_EQ(tuck_tls_read(tls, &c, 1, patience()), 0);
		tuck_tls_close(tls, patience());
		++*(int *)arg;
	}
}

static int threads(void)
{
	struct stat st;

	CHECK_EQ(stat("/proc/self/task", &st), 0);
	return (int)st.st_nlink - 2;
}

TEST(contexts_serve_all_procs)
{
	static int done[2];
	int proc[2], before = threads();

	connecting = client_with(USUAL);
	serving = server_for("DNS:a.test", USUAL);
	listener = tuck_tcp_listen("127.0.0.1:0", 0);
	for (int i = 0; i < 40; i++)
		CHECK(tuck_go(serve_one, NULL) > 0);
	for (int i = 0; i < 2; i++) {
		proc[i] = tuck_proc_start(NULL, connect_elsewhere, &done[i]);
		CHECK(proc[i] >= 0);
	}
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(tuck_proc_join(proc[i], patience()), 0);
		CHECK_EQ(done[i], 20);
	}
	/*
	 * OpenSSL frees what a thread has as that ends, and not at exit. TSan
	 * starts a thread of its own with the first.
	 */
	WAIT_FOR(served == 40 && threads() <= before + UNDER_TSAN);
	tuck_tls_ctx_free(connecting);
	tuck_tls_ctx_free(serving);
}

/* -- fork -- */

static void *talk_elsewhere(void *arg)
{
	static struct ends there;

	(void)arg;
	meet(&there, connecting, serving, "a.test");
	CHECK_EQ(there.client_r, 0);
	say(there.server, there.client, "hello");
	part(&there);
	return NULL;
}

/* A child that is born while another thread is in OpenSSL's memory. */
static void fork_inside(const char *_Atomic *slow_at, const char *where)
{
	pthread_t thread;
	int status;
	pid_t pid;

	NOT_UNDER_TSAN("it does not go through a fork with threads");
	connecting = client_with(USUAL);
	serving = server_for("DNS:a.test", USUAL);
	*slow_at = where;
	CHECK_EQ(pthread_create(&thread, NULL, talk_elsewhere, NULL), 0);
	while (!slow)
		sched_yield();
	pid = fork();
	CHECK(pid >= 0);
	forked = 1;
	if (pid == 0) {
		alarm(30);
		talk_elsewhere(NULL);
		_exit(0);
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

TEST(a_fork_while_the_first_connection_is_made)
{
	fork_inside(&slow_malloc, "bio_meth.c");
}

TEST(a_fork_while_a_session_is_kept)
{
	fork_inside(&slow_free, "tls/session.c");
}
