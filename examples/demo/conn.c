/* SPDX-License-Identifier: MIT */
/* A connection of the demo's client, from its opening to its end. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "load.h"

void conn_failed(const struct conn *c, const char *doing, int err)
{
	char *text = c->load->first_failure;

	if (!text[0])
		snprintf(text, sizeof(c->load->first_failure),
			 "connection %ld, message %d, %s: %s", c->number,
			 c->message, doing,
			 err == -EILSEQ ? "wrong bytes" : tuck_strerror(err));
}

void conn_through(struct load *load, enum phase phase)
{
	if (++load->through[phase] == load->n_conns) {
		tuck_unblock(load->run->main);
		tuck_unblock(load->id);
	}
}

static size_t piece(size_t left)
{
	return left < PIECE ? left : PIECE;
}

static int send_message(const struct conn *c, uint64_t seed)
{
	size_t bytes = message_bytes(seed), n;
	char buf[PIECE];
	ssize_t r;

	for (size_t done = 0; done < bytes; done += n) {
		n = piece(bytes - done);
		message_fill(buf, n, seed, done);
		r = tuck_write_full(c->fd, buf, n, c->load->run->deadline);
		if (r < 0)
			return (int)r;
	}
	return 0;
}

/* 0, or a negative error: -EPIPE for an early end, -EILSEQ a wrong byte. */
static int receive_message(const struct conn *c, uint64_t seed, bool damage)
{
	size_t bytes = message_bytes(seed), n;
	char buf[PIECE];
	int result = 0;
	ssize_t r;

	for (size_t done = 0; done < bytes; done += n) {
		r = tuck_read(c->fd, buf, piece(bytes - done),
			      c->load->run->deadline);
		if (r <= 0)
			return r < 0 ? (int)r : -EPIPE;
		n = (size_t)r;
		buf[n / 2] ^= damage;
		if (!message_matches(buf, n, seed, done))
			result = -EILSEQ;
	}
	return result;
}

static bool open_connection(struct conn *c)
{
	struct load *load = c->load;
	tuck_ns deadline = load->run->deadline;
	char token = 0;
	int r = tuck_chan_send(load->pending, &token, deadline);

	if (r == 0) {
		r = c->fd = tuck_tcp_connect(c->where, deadline);
		tuck_chan_recv(load->pending, &token, deadline);
	}
	if (r < 0) {
		conn_failed(c, "connecting", r);
		return false;
	}
	load->connected++;
	return true;
}

/* Send a message and get it back; whether the connection is still of use. */
static bool exchange(struct conn *c, int message)
{
	struct load *load = c->load;
	uint64_t seed = message_seed(c->number, message);
	bool damage = load->run->self_check && c->number == 0 && message == 1;
	int r;

	c->message = message;
	r = send_message(c, seed);
	if (r == 0)
		r = receive_message(c, seed, damage);
	if (r < 0) {
		conn_failed(c, "echo", r);
		return r == -EILSEQ;
	}
	load->answered++;
	load->bytes += (long)message_bytes(seed);
	return true;
}

/* Nothing may come that was not sent. */
static void hang_up(const struct conn *c)
{
	char buf[PIECE];
	ssize_t r;

	shutdown(c->fd, SHUT_WR);
	r = tuck_read(c->fd, buf, sizeof(buf), c->load->run->deadline);
	if (r != 0) {
		c->load->surplus++;
		conn_failed(c, "after it", r < 0 ? (int)r : -EILSEQ);
	}
}

/* Wait until all may enter the next phase. */
static void next_phase(const struct conn *c, enum phase phase)
{
	char token;

	conn_through(c->load, phase - 1);
	tuck_chan_recv(c->load->gates[phase], &token, c->load->run->deadline);
}

void conn_live(void *arg)
{
	struct conn *c = arg;
	bool ok = open_connection(c) && exchange(c, 0);

	next_phase(c, TALK);
	for (int i = 1; ok && i <= MESSAGES; i++)
		ok = exchange(c, i);
	next_phase(c, CLOSE);
	if (ok)
		hang_up(c);
	if (c->fd >= 0)
		tuck_fd_close(c->fd);
	conn_through(c->load, CLOSE);
}
