/* SPDX-License-Identifier: MIT */
/* TLS: reading, writing, and all the ways in which that ends. */
#include <dlfcn.h>
#include <malloc.h>

#include "tls.h"

#define USUAL ((struct tuck_tls_config){ 0 })
#define OLD ((struct tuck_tls_config){ .max_version = TUCK_TLS_1_2 })

static const struct tuck_tls_config versions[] = {
	{ .max_version = TUCK_TLS_1_2 }, { .max_version = TUCK_TLS_1_3 }
};

static struct ends e;

/* -- many bytes -- */

#define MUCH 3000000

struct flow {
	struct tuck_tls *tls;
	size_t n, part;
	unsigned seed;
	ssize_t result;
	int done;
};

static void write_flow(void *arg)
{
	struct flow *f = arg;
	char *all = malloc(f->n);
	size_t done = 0;

	fill(all, f->n, 0, f->seed);
	while (done < f->n) {
		size_t left = f->n - done;
		size_t n = left < f->part ? left : f->part;

		f->result = f->part % 2 ?
				    tuck_tls_write(f->tls, all + done, n,
						   patience()) :
				    tuck_tls_write_full(f->tls, all + done, n,
							patience());
		if (f->result <= 0)
			break;
		done += (size_t)f->result;
	}
	free(all);
	f->done = 1;
}

static void read_flow(void *arg)
{
	struct flow *f = arg;
	char *all = malloc(f->n);
	size_t done = 0;

	while (done < f->n) {
		size_t left = f->n - done;

		f->result = tuck_tls_read(f->tls, all + done,
					  left < f->part ? left : f->part,
					  patience());
		if (f->result <= 0)
			break;
		done += (size_t)f->result;
	}
	CHECK_EQ((long)done, (long)f->n);
	check_filled(all, f->n, 0, f->seed);
	free(all);
	f->done = 1;
}

static void check_flows(size_t n, size_t write_part, size_t read_part)
{
	static struct flow f[4];

	f[0] = (struct flow){ e.client, n, write_part, 1, 0, 0 };
	f[1] = (struct flow){ e.server, n, read_part, 1, 0, 0 };
	f[2] = (struct flow){ e.server, n, write_part, 2, 0, 0 };
	f[3] = (struct flow){ e.client, n, read_part, 2, 0, 0 };
	for (int i = 0; i < 4; i++)
		CHECK(tuck_go(i % 2 ? read_flow : write_flow, &f[i]) > 0);
	WAIT_FOR(f[0].done && f[1].done && f[2].done && f[3].done);
}

/* Each end is read and written at once, in parts of all sizes. */
TEST(both_ways_at_once)
{
	size_t n = SANITIZED ? MUCH / 10 : MUCH;

	for (int i = 0; i < 2; i++) {
		meet_as_usual(&e, versions[i]);
		check_flows(n, 70000, 100000);
		check_flows(n, 16385, 5000);
		check_flows(n / 10, 1001, 200000);
		check_flows(3000, 1, 1);
		check_flows(50000, 50000, 1);
		part(&e);
	}
}

TEST(read_gives_what_is_there)
{
	char buf[40000];

	meet_as_usual(&e, USUAL);
	CHECK_EQ(tuck_tls_write(e.client, "hello", 5, patience()), 5);
	CHECK_EQ(tuck_tls_read(e.server, buf, 2, patience()), 2);
	CHECK_EQ(tuck_tls_read(e.server, buf + 2, sizeof(buf), TUCK_NOWAIT), 3);
	CHECK_MEM(buf, "hello", 5);
	CHECK_EQ(tuck_tls_read(e.server, buf, 9, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_tls_write(e.client, "ab", 2, patience()), 2);
	CHECK_EQ(tuck_tls_write(e.client, "cd", 2, patience()), 2);
	CHECK_EQ(tuck_tls_read_full(e.server, buf, 4, patience()), 4);
	CHECK_MEM(buf, "abcd", 4);
	CHECK_EQ(tuck_tls_write(e.client, "e", 1, patience()), 1);
	CHECK_EQ(tuck_tls_close(e.client, patience()), 0);
	CHECK_EQ(tuck_tls_read_full(e.server, buf, 9, patience()), 1);
	e.client = NULL;
	part(&e);
}

/* -- the end of a stream -- */

TEST(close_is_told_from_a_cut)
{
	char c;

	for (int i = 0; i < 2; i++) {
		meet_as_usual(&e, versions[i]);
		say(e.server, e.client, "x");	/* with it, the tickets */
		CHECK_EQ(tuck_tls_close(e.client, patience()), 0);
		for (int again = 0; again < 2; again++)
			CHECK_EQ(tuck_tls_read(e.server, &c, 1, patience()), 0);
		CHECK_EQ(tuck_tls_close(e.server, patience()), 0);

		meet_as_usual(&e, versions[i]);
		say(e.server, e.client, "x");
		CHECK_EQ(shutdown(tuck_tls_fd(e.client), SHUT_RDWR), 0);
		for (int again = 0; again < 2; again++) {
			CHECK_EQ(tuck_tls_read(e.server, &c, 1, patience()),
				 -ECONNABORTED);
			CHECK_STR(tuck_tls_error(),
				  "the stream ended without close_notify");
		}
		CHECK_EQ(tuck_tls_write(e.server, &c, 1, patience()),
			 -ECONNABORTED);
		part(&e);
	}
}

/* Closed with input in the socket, the kernel would reset the connection. */
TEST(a_close_with_input_unread_is_no_reset)
{
	char c;

	for (int i = 0; i < 2; i++) {
		meet_as_usual(&e, versions[i]);
		say(e.server, e.client, "x");	/* with it, the tickets */
		CHECK_EQ(tuck_tls_write_full(e.client, "ab", 2, patience()), 2);
		arrives(tuck_tls_fd(e.server));
		CHECK_EQ(tuck_tls_close(e.server, patience()), 0);
		e.server = NULL;
		CHECK_EQ(tuck_tls_read(e.client, &c, 1, patience()), 0);
		arrives(tuck_tls_fd(e.client));
		CHECK_EQ(recv(tuck_tls_fd(e.client), &c, 1, 0), 0);
		part(&e);
	}
}

TEST(one_way_can_end_alone)
{
	char c;

	meet_as_usual(&e, USUAL);
	CHECK_EQ(tuck_tls_shutdown(e.client, patience()), 0);
	CHECK_EQ(tuck_tls_shutdown(e.client, patience()), 0);
	CHECK_EQ(tuck_tls_write(e.client, "x", 1, patience()), -EPIPE);
	CHECK_EQ(tuck_tls_read(e.server, &c, 1, patience()), 0);
	say(e.server, e.client, "still here");
	CHECK_EQ(tuck_tls_shutdown(e.server, patience()), 0);
	CHECK_EQ(tuck_tls_read(e.client, &c, 1, patience()), 0);
	part(&e);
}

/* Whoever meant to end the process would do so here. */
TEST(writing_to_one_who_is_gone_is_no_signal)
{
	signal(SIGPIPE, SIG_DFL);
	over_unix = 1;
	meet_as_usual(&e, USUAL);
	tuck_fd_close(tuck_tls_fd(e.client));
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(tuck_tls_write(e.server, "x", 1, patience()), -EPIPE);
		CHECK_STR(tuck_tls_error(), "Broken pipe");
	}
	CHECK_EQ(tuck_tls_close(e.server, patience()), -EPIPE);
}

/* -- what is no TLS -- */

static int accept_r;
static char accept_said[200];

static void accept_raw(void *arg)
{
	static struct tuck_tls_ctx *ctx;
	struct tuck_tls *tls;

	if (!ctx)
		ctx = server_for("DNS:a.test", USUAL);
	accept_r = 1;
	accept_r = tuck_tls_accept(&tls, ctx, *(int *)arg, patience());
	snprintf(accept_said, sizeof(accept_said), "%s", tuck_tls_error());
}

TEST(garbage_is_refused)
{
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";
	static char noise[70000];
	int fd[2];

	fill(noise, sizeof(noise), 0, 7);
	for (int i = 0; i < 4; i++) {
		tcp_pair(fd);
		if (i == 0)
			raw_write(fd[0], request, sizeof(request) - 1);
		else if (i == 1)
			raw_write(fd[0], noise, sizeof(noise));
		else if (i == 2)	/* the head of a record, and no more */
			raw_write(fd[0], "\x16\x03\x01\x40\x00", 5);
		if (i >= 2)
			shutdown(fd[0], SHUT_WR);
		CHECK(tuck_go(accept_raw, &fd[1]) > 0);
		accept_r = 1;
		WAIT_FOR(accept_r < 0);
		CHECK_EQ(accept_r, i < 2 ? -EPROTO : -ECONNABORTED);
		if (i == 0)
			CHECK(strstr(accept_said, "http request"));
		close(fd[0]);
	}
}

TEST(damaged_bytes_are_noticed)
{
	static char record[100] = "\x17\x03\x03\x00\x40";
	char c;

	for (int i = 0; i < 2; i++) {
		meet_as_usual(&e, versions[i]);
		say(e.server, e.client, "x");
		raw_write(tuck_tls_fd(e.client), record, 69);
		CHECK_EQ(tuck_tls_read(e.server, &c, 1, patience()), -EPROTO);
		CHECK(strstr(tuck_tls_error(), "bad record mac"));
		/* The other side is told by an alert. */
		CHECK_EQ(tuck_tls_read(e.client, &c, 1, patience()), -EPROTO);
		CHECK(strstr(tuck_tls_error(), "alert bad record mac"));
		part(&e);
	}
}

/* -- deadlines -- */

TEST(handshakes_end_at_their_deadline)
{
	struct tuck_tls_ctx *client = client_with(USUAL);
	struct tuck_tls_ctx *server = server_for("DNS:a.test", USUAL);
	int fds = count_fds(), fd[2];
	struct tuck_tls *tls;
	tuck_ns at;

	for (int i = 0; i < 4; i++) {
		tcp_pair(fd);
		at = i < 2 ? tuck_after(TUCK_MS(5)) : TUCK_NOWAIT;
		if (i % 2)
			CHECK_EQ(tuck_tls_accept(&tls, server, fd[0], at),
				 i < 2 ? -ETIMEDOUT : -EAGAIN);
		else
			CHECK_EQ(tuck_tls_connect_fd(&tls, client, fd[0],
						     "a.test", at),
				 i < 2 ? -ETIMEDOUT : -EAGAIN);
		CHECK(tuck_now() >= at);
		CHECK_STR(tuck_tls_error(),
			  tuck_strerror(i < 2 ? -ETIMEDOUT : -EAGAIN));
		close(fd[1]);
	}
	CHECK(count_fds() <= fds + 2);	/* the poller's */
}

/* The first bytes of a client, as long as it hears nothing. */
static ssize_t first_flight(char *bytes, size_t n)
{
	struct tuck_tls *tls;
	ssize_t r;
	int fd[2];

	stream_pair(fd);
	CHECK_EQ(tuck_tls_connect_fd(&tls, client_with(USUAL), fd[0], "a.test",
				     TUCK_NOWAIT),
		 -EAGAIN);
	r = read(fd[1], bytes, n);
	CHECK(r > 0 && (size_t)r < n);
	close(fd[1]);
	return r;
}

/* The peer neither reads nor says anything more. */
TEST(handshakes_that_cannot_write_end_at_their_deadline)
{
	struct tuck_tls_ctx *server = server_for("DNS:a.test", USUAL);
	struct tuck_tls_ctx *client = client_with(USUAL);
	char hello[4096];
	size_t n = (size_t)first_flight(hello, sizeof(hello));
	struct tuck_tls *tls;

	for (int i = 0; i < 4; i++) {
		tuck_ns at = i < 2 ? tuck_after(TUCK_MS(5)) : TUCK_NOWAIT;
		int fd[2], kept, left = -1, r;

		stream_pair(fd);
		kept = dup(fd[0]);	/* the call closes the other one */
		stuff(fd[0]);
		if (i % 2) {
			raw_write(fd[1], hello, n);
			r = tuck_tls_accept(&tls, server, fd[0], at);
		} else {
			r = tuck_tls_connect_fd(&tls, client, fd[0], "a.test",
						at);
		}
		CHECK_EQ(r, i < 2 ? -ETIMEDOUT : -EAGAIN);
		CHECK(tuck_now() >= at);
		CHECK_EQ(ioctl(kept, FIONREAD, &left), 0);
		CHECK_EQ(left, 0);	/* it had come to its answer */
		close(kept);
		close(fd[1]);
	}
}

TEST(reading_goes_on_after_a_deadline)
{
	char c;

	meet_as_usual(&e, USUAL);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(tuck_tls_read(e.client, &c, 1, tuck_after(1)),
			 -ETIMEDOUT);
		CHECK_EQ(tuck_tls_read_full(e.client, &c, 1, TUCK_NOWAIT),
			 -EAGAIN);
		say(e.server, e.client, "hello");
	}
	part(&e);
}

/* Until nothing more is taken: how many bytes were. */
static size_t write_until_full(struct tuck_tls *tls, unsigned seed)
{
	static char part_of[10000];
	size_t sum = 0;
	ssize_t r;

	do {
		while (under_way(tuck_tls_fd(tls)))
			usleep(1000);	/* each acknowledgement makes room */
		fill(part_of, sizeof(part_of), sum, seed);
		r = tuck_tls_write(tls, part_of, sizeof(part_of), TUCK_NOWAIT);
		if (r > 0)
			sum += (size_t)r;
	} while (r > 0 || under_way(tuck_tls_fd(tls)));
	CHECK_EQ(r, -EAGAIN);
	return sum;
}

/* Each byte that was taken arrives, once, though its deadline had passed. */
TEST(nothing_is_lost_or_sent_twice_at_a_deadline)
{
	static char got[1 << 24];
	size_t n;

	over_unix = 1;
	for (int i = 0; i < 2; i++) {
		meet_as_usual(&e, versions[i]);
		n = write_until_full(e.client, 3);
		CHECK(n > 0 && n < sizeof(got));
		CHECK_EQ(tuck_tls_write(e.client, "x", 1, tuck_after(1)),
			 -ETIMEDOUT);
		CHECK_EQ(tuck_tls_write_full(e.client, "x", 1, tuck_after(1)),
			 -ETIMEDOUT);
		CHECK_EQ(tuck_tls_shutdown(e.client, tuck_after(1)),
			 -ETIMEDOUT);
		static struct flow f;
		f = (struct flow){ e.server, n, 50000, 3, 0, 0 };
		CHECK(tuck_go(read_flow, &f) > 0);
		CHECK_EQ(tuck_tls_shutdown(e.client, patience()), 0);
		WAIT_FOR(f.done);
		CHECK_EQ(tuck_tls_read(e.server, got, 1, patience()), 0);
		part(&e);
	}
}

/* A call that has written all waits until the socket has it. */
TEST(what_was_written_needs_no_further_call)
{
	static struct flow f[2];
	size_t n;

	over_unix = 1;
	meet_as_usual(&e, USUAL);
	n = write_until_full(e.client, 3);
	part(&e);
	meet_as_usual(&e, USUAL);	/* as much, and again a part is left */
	f[0] = (struct flow){ e.client, n, 10000, 3, 0, 0 };
	f[1] = (struct flow){ e.server, n, 10000, 3, 0, 0 };
	CHECK(tuck_go(write_flow, &f[0]) > 0);
	settle();
	CHECK_EQ(f[0].done, 0);
	CHECK(tuck_go(read_flow, &f[1]) > 0);
	WAIT_FOR(f[0].done && f[1].done);
	part(&e);
}

/* -- a read that must write -- */

/* The peer's new keys, and its wish that we change ours. */
TEST(keys_are_changed_on_the_way)
{
	meet_as_usual(&e, USUAL);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(SSL_key_update(tuck_tls_openssl(e.client),
					SSL_KEY_UPDATE_REQUESTED),
			 1);
		say(e.client, e.server, "a");
		say(e.server, e.client, "b");
	}
	part(&e);
}

/*
 * The answer to a wish for new keys comes between the bytes that a writer
 * could not send, and those that a reader waits for.
 */
TEST(keys_are_changed_while_the_socket_is_full)
{
	static struct flow f;
	static char got[1 << 20];
	size_t n, done = 0;
	char c;

	over_unix = 1;
	meet_as_usual(&e, USUAL);
	n = write_until_full(e.server, 5);
	CHECK(n > 150000 && n < sizeof(got));
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(SSL_key_update(tuck_tls_openssl(e.client),
					SSL_KEY_UPDATE_REQUESTED),
			 1);
		CHECK_EQ(tuck_tls_write(e.client, "a", 1, patience()), 1);
		CHECK_EQ(tuck_tls_read(e.server, &c, 1, patience()), 1);
		/* Room: the next answer must not overtake what is left. */
		CHECK_EQ(tuck_tls_read_full(e.client, got + done, 50000,
					    patience()),
			 50000);
		done += 50000;
	}
	f = (struct flow){ e.server, 1, 1, 6, 0, 0 };
	CHECK(tuck_go(read_flow, &f) > 0);
	settle();
	/* Only the reader is there to send what is left over. */
	CHECK_EQ(tuck_tls_read_full(e.client, got + done, n - done, patience()),
		 (ssize_t)(n - done));
	check_filled(got, n, 0, 5);
	fill(&c, 1, 0, 6);
	CHECK_EQ(tuck_tls_write(e.client, &c, 1, patience()), 1);
	WAIT_FOR(f.done);
	say(e.server, e.client, "after");
	part(&e);
}

/* A peer that is answered and does not read: it is not served for ever. */
TEST(a_flood_of_wishes_ends)
{
	char c;
	ssize_t r = 1;

	over_unix = 1;
	meet_as_usual(&e, USUAL);
	write_until_full(e.server, 5);
	for (int i = 0; i < 30000 && r > 0; i++) {
		CHECK_EQ(SSL_key_update(tuck_tls_openssl(e.client),
					SSL_KEY_UPDATE_REQUESTED),
			 1);
		if (tuck_tls_write(e.client, "a", 1, patience()) != 1)
			break;
		r = tuck_tls_read(e.server, &c, 1, patience());
	}
	CHECK(r == -ENOBUFS || r == -EPROTO);
	part(&e);
}

static int renegotiated;

static void renegotiate(void *arg)
{
	struct tuck_tls *tls = arg;
	char c;

	SSL_clear_options(tuck_tls_openssl(tls), SSL_OP_NO_RENEGOTIATION);
	CHECK_EQ(SSL_renegotiate(tuck_tls_openssl(tls)), 1);
	/* OpenSSL does not go on where it is told no. */
	CHECK(tuck_tls_write(tls, "a", 1, patience()) < 0 ||
	      tuck_tls_read(tls, &c, 1, patience()) == -EPROTO);
	CHECK(strstr(tuck_tls_error(), "no renegotiation"));
	renegotiated = 1;
}

TEST(renegotiation_is_refused)
{
	char c;
	ssize_t r;

	meet_as_usual(&e, OLD);
	CHECK(tuck_go(renegotiate, e.client) > 0);
	r = tuck_tls_read(e.server, &c, 1, patience());
	CHECK(r == -EPROTO || r == -ECONNABORTED || r == 1);
	WAIT_FOR(renegotiated);
	part(&e);
}

/* -- more than one on a connection -- */

static int turns, enough;

static void take_turns(void *arg)
{
	(void)arg;
	for (; !enough; turns++)
		tuck_yield();
}

TEST(one_who_always_finds_data_lets_others_run)
{
	char c, all[1000] = "";
	int before;

	meet_as_usual(&e, USUAL);
	CHECK_EQ(tuck_tls_write_full(e.client, all, 1000, patience()), 1000);
	CHECK_EQ(tuck_tls_read(e.server, &c, 1, patience()), 1);
	CHECK(tuck_go(take_turns, NULL) > 0);
	before = turns;
	for (int i = 1; i < 1000; i++)
		CHECK_EQ(tuck_tls_read(e.server, &c, 1, patience()), 1);
	CHECK(turns > before);
	enough = 1;
	part(&e);
}

static int read_result;

static void read_in_vain(void *arg)
{
	char c;

	read_result = 1;
	read_result = (int)tuck_tls_read(arg, &c, 1, TUCK_FOREVER);
}

TEST(one_reader_at_a_time)
{
	tuck_id id;
	char c;

	meet_as_usual(&e, USUAL);
	id = tuck_go(read_in_vain, e.client);
	settle();
	CHECK_EQ(tuck_tls_read(e.client, &c, 1, patience()), -EBUSY);
	CHECK_STR(tuck_tls_error(), "another tasklet reads");
	say(e.client, e.server, "writing goes on");
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	say(e.server, e.client, "as does reading");
	part(&e);
}

static int write_result;

static void write_in_vain(void *arg)
{
	write_result = 1;
	write_result = (int)tuck_tls_write_full(arg, "x", 1, TUCK_FOREVER);
}

/*
 * A stand-in by which a write wants input, as it does while half of a
 * handshake message is here, until the reader has had its turn.
 */
static int wants_input;

int SSL_write(SSL *ssl, const void *buf, int n)
{
	int (*real)(SSL *, const void *, int);
	char c;

	if (wants_input)
		return SSL_peek(ssl, &c, 1);
	*(void **)&real = dlsym(RTLD_NEXT, "SSL_write");
	return real(ssl, buf, n);
}

static void read_what_a_write_wants(void *arg)
{
	char c;

	read_result = (int)tuck_tls_read(arg, &c, 1, patience());
	wants_input = 0;
}

TEST(a_write_does_not_starve_the_reader_that_it_waits_for)
{
	const struct tuck_attr urgent = { .priority = 10 };
	const uint32_t strict = 0;
	tuck_id reader, writer;

	meet_as_usual(&e, USUAL);
	CHECK_EQ(tuck_policy_set(tuck_policy_priority(), &strict), 0);
	reader = tuck_go(read_what_a_write_wants, e.client);
	settle();
	wants_input = 1;
	writer = tuck_go_with(&urgent, write_in_vain, e.client);
	settle();
	CHECK_EQ(write_result, 1);
	wants_input = 0;		/* not of this end */
	CHECK_EQ(tuck_tls_write(e.server, "x", 1, TUCK_NOWAIT), 1);
	wants_input = 1;
	finish(reader);
	finish(writer);
	CHECK_EQ(read_result, 1);
	CHECK_EQ(write_result, 1);
	CHECK_EQ(tuck_policy_set(NULL, NULL), 0);
	part(&e);
}

/* Nothing is unwound then: the next reader takes its place, or the close. */
TEST(a_dropped_reader_is_in_nobodys_way)
{
	tuck_id id;

	meet_as_usual(&e, USUAL);
	for (int i = 0; i < 3; i++) {
		id = tuck_go(read_in_vain, e.client);
		settle();
		CHECK_EQ(tuck_drop(id), 0);
		if (i < 2)
			say(e.server, e.client, "reading goes on");
	}
	part(&e);
}

TEST(close_wakes_who_waits)
{
	int fds;

	over_unix = 1;
	meet_as_usual(&e, USUAL);
	write_until_full(e.client, 1);
	CHECK(tuck_go(read_in_vain, e.client) > 0);
	CHECK(tuck_go(write_in_vain, e.client) > 0);
	settle();
	fds = count_fds();
	CHECK_EQ(tuck_tls_close(e.client, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(count_fds(), fds - 1);
	WAIT_FOR(read_result < 0 && write_result < 0);
	CHECK_EQ(read_result, -EBADF);
	CHECK_EQ(write_result, -EBADF);
	e.client = NULL;
	part(&e);
}

static int close_result;

static void close_in_time(void *tls)
{
	close_result = tuck_tls_close(tls, patience());
}

/* The close waits for room when the reader goes. */
TEST(a_reader_dropped_during_the_close_leaves_nothing)
{
	struct tuck_tls_ctx *server = server_for("DNS:a.test", USUAL);
	struct tuck_tls_ctx *client = client_with(USUAL);
	tuck_id reader;
	long live = 0;

	over_unix = 1;
	for (int i = 0; i < 3; i++) {	/* the first ones make what stays */
		live = live_blocks;
		meet(&e, client, server, "a.test");
		write_until_full(e.client, 1);
		reader = tuck_go(read_in_vain, e.client);
		settle();
		close_result = 1;
		CHECK(tuck_go(close_in_time, e.client) > 0);
		settle();
		CHECK_EQ(close_result, 1);
		CHECK_EQ(tuck_drop(reader), 0);
		e.client = NULL;
		part(&e);		/* the peer's end, too */
		WAIT_FOR(close_result != 1);
	}
	CHECK_EQ(live_blocks, live);
}

/* -- kill and cancel, in each state -- */

static struct tuck_tls_ctx *client_ctx, *server_ctx;
static int slow_choice;

static int choose_slowly(void *arg, const char *name, tuck_ns deadline,
			 struct tuck_tls_ctx **ret_ctx)
{
	(void)arg, (void)name, (void)ret_ctx;
	slow_choice = 1;
	return tuck_sleep(deadline);
}

static struct state {
	struct ends ends;
	int fd[2];
	struct tuck_tls *tls;
	int result, left;
} now;

static void handshake_as_client(struct state *s)
{
	s->result = tuck_tls_connect_fd(&s->tls, client_ctx, s->fd[0], "a.test",
					TUCK_FOREVER - 1);
}

static void handshake_as_server(struct state *s)
{
	s->result = tuck_tls_accept(&s->tls, server_ctx, s->fd[0],
				    TUCK_FOREVER - 1);
}

static void connect_and_handshake(struct state *s)
{
	char text[TUCK_ADDR_TEXT];
	struct tuck_addr addr;

	CHECK_EQ(tuck_addr_local(s->fd[0], &addr), 0);
	s->result = tuck_tls_connect(&s->tls, client_ctx,
				     tuck_addr_format(&addr, text,
						      sizeof(text)),
				     "a.test", TUCK_FOREVER - 1);
}

static void read_some(struct state *s)
{
	char buf[1000];

	s->result = (int)tuck_tls_read(s->tls, buf, sizeof(buf),
				       TUCK_FOREVER - 1);
}

static void read_all(struct state *s)
{
	char buf[1000];

	s->result = (int)tuck_tls_read_full(s->tls, buf, sizeof(buf),
					    TUCK_FOREVER - 1);
}

static void write_some(struct state *s)
{
	s->result = (int)tuck_tls_write(s->tls, "x", 1, TUCK_FOREVER - 1);
}

static void write_all(struct state *s)
{
	static char mega[1 << 20];

	s->result = (int)tuck_tls_write_full(s->tls, mega, sizeof(mega),
					     TUCK_FOREVER - 1);
}

static void say_goodbye(struct state *s)
{
	s->result = tuck_tls_shutdown(s->tls, TUCK_FOREVER - 1);
}

static void close_slowly(struct state *s)
{
	struct tuck_tls *tls = s->tls;

	s->tls = NULL;
	s->result = tuck_tls_close(tls, TUCK_FOREVER - 1);
}

/* -- how each begins -- */

static void with_socket(struct state *s)
{
	tcp_pair(s->fd);
}

/* Whoever connects is in the backlog, and hears nothing. */
static void with_listener(struct state *s)
{
	struct sockaddr_in addr;

	s->fd[0] = raw_listen(&addr);
	s->fd[1] = -1;
}

static void accept_until_choice(void *arg)
{
	struct state *s = arg;

	handshake_as_client(s);
}

/* A client that has said hello, to a server that has not made its choice. */
static void with_hello(struct state *s)
{
	static struct state peer;

	tcp_pair(s->fd);
	peer.fd[0] = s->fd[1];
	s->fd[1] = -1;
	slow_choice = 0;
	CHECK(tuck_go(accept_until_choice, &peer) > 0);
	settle();
}

static void with_connection(struct state *s)
{
	meet(&s->ends, client_ctx, server_ctx, "127.0.0.1");
	CHECK_EQ(s->ends.client_r, 0);
	s->tls = s->ends.client;
	s->fd[0] = s->fd[1] = -1;
}

static void with_full_socket(struct state *s)
{
	over_unix = 1;
	with_connection(s);
	over_unix = 0;
	write_until_full(s->tls, 1);
}

static const struct {
	const char *name;
	void (*begin)(struct state *s);
	void (*wait)(struct state *s);
} states[] = {
	{ "client's handshake", with_socket, handshake_as_client },
	{ "server's handshake", with_socket, handshake_as_server },
	{ "server's choice", with_hello, handshake_as_server },
	{ "connect", with_listener, connect_and_handshake },
	{ "read", with_connection, read_some },
	{ "read_full", with_connection, read_all },
	{ "write", with_full_socket, write_some },
	{ "write_full", with_full_socket, write_all },
	{ "shutdown", with_full_socket, say_goodbye },
	{ "close", with_full_socket, close_slowly },
};

static void count_left(void *arg)
{
	((struct state *)arg)->left++;
}

static void wait_in_state(void *arg)
{
	int i = *(int *)arg;

	CHECK_EQ(tuck_defer(count_left, &now), 0);
	states[i].wait(&now);
}

static void end_state(struct state *s)
{
	if (s->tls)
		tuck_tls_close(s->tls, TUCK_NOWAIT);
	if (s->ends.server)
		tuck_tls_close(s->ends.server, TUCK_NOWAIT);
	if (s->fd[1] >= 0)
		close(s->fd[1]);
	if (states[3].begin == with_listener && s->fd[0] >= 0)
		close(s->fd[0]);
}

static void set_up_states(void)
{
	struct tuck_tls_config config = { .choose = choose_slowly };

	/* Sessions that are kept would look like leaks. */
	client_ctx = client_with(
		(struct tuck_tls_config){ .no_resumption = 1 });
	server_ctx = server_for("DNS:a.test,IP:127.0.0.1", config);
}

/* Begin state i, and wait until a tasklet is in it. */
static tuck_id enter(int *i)
{
	tuck_id id;

	memset(&now, 0, sizeof(now));
	now.result = 1;
	states[*i].begin(&now);
	id = tuck_go(wait_in_state, i);
	settle();
	if (now.result != 1 || now.left)
		check_fail(CHECK_AT, "%s: %d", states[*i].name, now.result);
	if (states[*i].begin == with_hello)
		WAIT_FOR(slow_choice == 1);
	return id;
}

/* The socket that a failed or killed handshake had is closed by it. */
static void leave(int i, int taken)
{
	if (taken && i < 3)
		now.fd[0] = -1;
	end_state(&now);
	settle();
}

/* Three rounds: the first ones make what stays, tables and the like. */
TEST_LIMIT(killed_in_each_state, 120)
{
	long live = 0;
	int fds;

	set_up_states();
	for (int round = 0; round < 3; round++) {
		fds = count_fds();
		live = live_blocks;
		for (int i = 0; i < (int)(sizeof(states) / sizeof(states[0]));
		     i++) {
			tuck_id id = enter(&i);

			CHECK_EQ(tuck_kill(id), 0);
			finish(id);
			CHECK_EQ(now.left, 1);
			CHECK_EQ(now.result, 1);
			leave(i, 1);
			if (round)
				WAIT_FOR(count_fds() == fds);
		}
	}
	WAIT_FOR(live_blocks == live);
}

TEST_LIMIT(cancelled_in_each_state, 120)
{
	int fds;

	set_up_states();
	for (int round = 0; round < 2; round++) {
		fds = count_fds();
		for (int i = 0; i < (int)(sizeof(states) / sizeof(states[0]));
		     i++) {
			tuck_id id = enter(&i);

			CHECK_EQ(tuck_cancel(id), 0);
			finish(id);
			if (now.result != -ECANCELED)
				check_fail(CHECK_AT, "%s: %d", states[i].name,
					   now.result);
			if (now.tls && states[i].begin == with_connection)
				say(now.ends.server, now.tls, "goes on");
			leave(i, 1);
			if (round)
				WAIT_FOR(count_fds() == fds);
		}
	}
}

/* What was waited in before can be used again. */
TEST(connection_outlives_a_kill)
{
	static struct flow f;
	size_t n;

	set_up_states();
	for (int i = 4; i < 7; i++) {
		tuck_id id = enter(&i);

		CHECK_EQ(tuck_kill(id), 0);
		finish(id);
		say(now.ends.server, now.tls, "hello");
		if (i == 6)
			break;
		say(now.tls, now.ends.server, "hello");
		leave(i, 0);
	}
	n = 1;
	f = (struct flow){ now.ends.server, n, 1, 1, 0, 0 };
	CHECK(tuck_go(read_flow, &f) > 0);
	WAIT_FOR(f.done);
	leave(6, 0);
}

/* -- what they cost -- */

static void block(void *arg)
{
	(void)arg;
	tuck_block(TUCK_FOREVER);
}

/* The slice of a tasklet that waits in state i, tucked by another one. */
static size_t parked_bytes(int i)
{
	struct tuck_stats stats;
	tuck_id id = enter(&i), other = tuck_go(block, NULL);

	settle();			/* it takes the only slot */
	CHECK_EQ(tuck_stats(&stats), 0);
	CHECK_EQ(stats.slices, 1);
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_EQ(tuck_drop(other), 0);
	leave(i, 1);
	return stats.slice_bytes;
}

/* Frames of a call that waits, under one that has 1,000 bytes to read into. */
TEST(slices_are_small)
{
	needs_usual_frames();
	share_slots(1);
	set_up_states();
	for (int i = 0; i < (int)(sizeof(states) / sizeof(states[0])); i++) {
		size_t n;

		if (states[i].begin == with_hello)
			continue;	/* its peer waits, too */
		n = parked_bytes(i);
		fprintf(stderr, "# %s: %zu bytes\n", states[i].name, n);
		CHECK(n <=
		      (states[i].wait == connect_and_handshake ? 640 : 448));
	}
}

/* -- many -- */

struct crowd {
	struct tuck_tls *tls;
	int fd, is_server, n, result;
};

static int crowd_done;

static void be_one_of_many(void *arg)
{
	struct crowd *c = arg;
	char buf[16384];

	c->result = c->is_server ?
			    tuck_tls_accept(&c->tls, server_ctx, c->fd,
					    patience()) :
			    tuck_tls_connect_fd(&c->tls, client_ctx, c->fd,
						"a.test", patience());
	for (int i = 0; c->result == 0 && i < 3; i++) {
		fill(buf, 1000, 0, (unsigned)(c->n + i));
		if (!c->is_server)
			tuck_tls_write_full(c->tls, buf, 1000, patience());
		c->result = 1000 - (int)tuck_tls_read_full(c->tls, buf, 1000,
							   patience());
		check_filled(buf, 1000, 0, (unsigned)(c->n + i));
		if (c->is_server)
			tuck_tls_write_full(c->tls, buf, 1000, patience());
	}
	crowd_done++;
}

TEST_LIMIT(five_hundred_at_once, 240)
{
	int n = UNDER_TSAN ? 50 : 500, fds = 0;
	struct crowd *c = calloc((size_t)n * 2, sizeof(*c));
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	share_slots(8);
	client_ctx = client_with(USUAL);
	server_ctx = server_for("DNS:a.test", USUAL);
	for (int i = 0; i < 2 * n; i += 2) {
		int fd[2];

		tcp_pair(fd);
		for (int k = 0; k < 2; k++) {
			c[i + k].fd = fd[k];
			c[i + k].is_server = k;
			c[i + k].n = i;
			CHECK(tuck_go(be_one_of_many, &c[i + k]) > 0);
		}
		fds = fd[1];
	}
	CHECK(fds >= 2 * n);
	WAIT_FOR(crowd_done == 2 * n);
	for (int i = 0; i < 2 * n; i++) {
		CHECK_EQ(c[i].result, 0);
		tuck_tls_close(c[i].tls, TUCK_NOWAIT);
	}
	free(c);
}

/*
 * What one holds while nothing comes: OpenSSL's SSL is some 8 KB, and its keys
 * 6 KB, but there are no buffers of records, which are 17 KB each.
 */
TEST(idle_connections_are_small)
{
	enum { N = 100 };
	static struct ends idle[N];
	struct tuck_tls_ctx *client = client_with(USUAL);
	struct tuck_tls_ctx *server = server_for("DNS:a.test", USUAL);
	size_t each;

	if (SANITIZED)
		SKIP("memory is counted in builds as users have them");
	for (int i = 0; i < N; i++) {
		meet(&idle[i], client, server, "a.test");
		say(idle[i].server, idle[i].client, "x");
		say(idle[i].client, idle[i].server, "x");
	}
	each = mallinfo2().uordblks;
	for (int i = 0; i < N; i++)
		part(&idle[i]);
	each = (each - mallinfo2().uordblks) / N / 2;
	fprintf(stderr, "# %zu bytes an end of a connection\n", each);
	CHECK(each < 20000);
}
