/* SPDX-License-Identifier: MIT */
/*
 * TLS with the 1st, 2nd, 3rd ... of our requests for memory failing, once and
 * for good: an error on the side that was hit, nothing left behind, and all
 * works afterwards. Of OpenSSL's own the first 400 and each 7th: that nothing
 * crashes.
 */
#include "tls.h"

#define USUAL ((struct tuck_tls_config){ 0 })
#define TRIES_MAX 60

static const char *const web[] = { "h2", "http/1.1", NULL };

static struct ends e;
static struct tuck_tls_ctx *client, *server;

/* What OpenSSL makes once, for all, is made. */
static void set_up(void)
{
	client = client_with((struct tuck_tls_config){ .no_resumption = 1 });
	server = server_for("DNS:a.test", USUAL);
	for (int i = 0; i < 3; i++) {
		meet(&e, client, server, "a.test");
		say(e.client, e.server, "hello");
		part(&e);
	}
}

static void set_failing(long nth, int on)
{
	requests = 0;
	failing = nth;
	failing_on = on;
}

/* A request that fails: may be told, must not be in the way afterwards. */
static void check_works(void)
{
	set_failing(0, 0);
	meet(&e, client, server, "a.test");
	if (e.client_r < 0)
		check_fail(CHECK_AT, "client: %s", e.client_said);
	say(e.client, e.server, "hello");
	say(e.server, e.client, "hello");
	part(&e);
}

/* Whether a client's context was made. */
static int make_context(void)
{
	struct tuck_tls_config config = { .ca_file = root.file, .alpn = web };
	struct tuck_tls_ctx *ctx = NULL;
	int r = tuck_tls_client_new(&ctx, &config);

	CHECK((r == 0) == (ctx != NULL));
	tuck_tls_ctx_free(ctx);
	return r;
}

static int make_server(void)
{
	struct tuck_tls_cert own[2] = { files_of(made), files_of(made) };
	struct tuck_tls_config config = { .certs = own,
					  .n_certs = 2,
					  .alpn = web };
	struct tuck_tls_ctx *ctx = NULL;
	int r = tuck_tls_server_new(&ctx, &config);

	CHECK((r == 0) == (ctx != NULL));
	tuck_tls_ctx_free(ctx);
	return r;
}

static int do_handshake(void)
{
	int r;

	meet(&e, client, server, "a.test");
	r = e.client_r < 0 ? e.client_r : e.server_r;
	CHECK((e.client_r == 0) == (e.client != NULL));
	CHECK((e.server_r == 0) == (e.server != NULL));
	part(&e);
	return r;
}

/* OpenSSL's own requests, which it does not always tell or give back. */
static void check_theirs(int (*fn)(void), long step)
{
	int told = 0, fds = count_fds();

	failing_all = 1;
	for (long nth = 1; nth < 10000; nth += nth < 400 ? 1 : step) {
		set_failing(nth, 0);
		told += fn() < 0;
		if (requests < nth)
			break;
	}
	failing_all = 0;
	CHECK(told > 5);
	CHECK_EQ(count_fds(), fds);
	check_works();
}

static void check_all(int (*fn)(void))
{
	int told = 0, fds;
	long nth, live;

	set_up();
	live = live_blocks;
	fds = count_fds();
	for (int on = 0; on < 2; on++) {
		for (nth = 1; nth < TRIES_MAX; nth++) {
			int r;

			set_failing(nth, on);
			r = fn();
			if (requests < nth)
				break;
			set_failing(0, 0);
			CHECK(r == 0 || r == -ENOMEM || r == -ECONNABORTED ||
			      r == -ECONNRESET);
			told += r < 0;
			CHECK_EQ(count_fds(), fds);
			if (live_blocks != live)
				check_fail(CHECK_AT, "%ld: %ld blocks more",
					   nth, live_blocks - live);
		}
		CHECK(nth < TRIES_MAX);
		check_works();
	}
	CHECK(told > 1);
	check_theirs(fn, 7);
}

TEST_LIMIT(contexts_of_clients, 240)
{
	check_all(make_context);
}

TEST_LIMIT(contexts_of_servers, 240)
{
	check_all(make_server);
}

TEST_LIMIT(handshakes, 240)
{
	check_all(do_handshake);
}

/* What the socket does not take has no place to be kept in. */
TEST(writing_more_than_goes_out)
{
	static char mega[1 << 16];
	ssize_t r;

	set_up();
	meet(&e, client, server, "a.test");
	set_failing(1, 1);
	do
		r = tuck_tls_write(e.client, mega, sizeof(mega), TUCK_NOWAIT);
	while (r > 0);
	CHECK_EQ(r, -ENOMEM);
	CHECK_EQ(tuck_tls_write(e.client, mega, 1, TUCK_NOWAIT), -ENOMEM);
	set_failing(0, 0);
	CHECK_EQ(tuck_tls_write(e.client, mega, 1, TUCK_NOWAIT), -ENOMEM);
	CHECK_EQ(tuck_tls_close(e.client, patience()), -ENOMEM);
	e.client = NULL;
	part(&e);
	check_works();
}

/* Ciphertext that OpenSSL cannot take at once has no place, either. */
TEST(reading_more_than_fits)
{
	static char mega[1 << 16], got[1 << 16];
	ssize_t r = 1;

	set_up();
	meet(&e, client, server, "a.test");
	CHECK_EQ(tuck_tls_read(e.server, got, 1, TUCK_NOWAIT), -EAGAIN);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(tuck_tls_write_full(e.client, mega, 3000, patience()),
			 3000);
	set_failing(1, 1);
	for (int i = 0; i < 30 && r > 0; i++)
		r = tuck_tls_read(e.server, got, sizeof(got), TUCK_NOWAIT);
	set_failing(0, 0);
	CHECK(r == -EAGAIN || r == -ENOMEM);
	part(&e);
	check_works();
}
