/* SPDX-License-Identifier: MIT */
/* What the parts of the demo's client share about its connections. */
#ifndef LOAD_H
#define LOAD_H

#include "demo.h"

/*
 * Connections that may wait for the server to accept them, in each proc:
 * below the shortest queue that systems have for them, so that none is
 * dropped.
 */
#define PENDING_MAX	64
#define PIECE		4096	/* bytes sent or checked at a time */

struct conn {
	struct load *load;
	const char *where;
	long number;
	int message;		/* the number of the one under way */
	int fd;
};

/* A proc of connections. */
struct load {
	struct run *run;
	const char *const *where; /* LISTENERS addresses */
	int proc;		/* its number */
	_Atomic(tuck_id) id;	/* of its main tasklet */
	struct conn *conns;
	long n_conns;
	struct tuck_chan *pending; /* as full as connections are pending */
	struct tuck_chan *gates[PHASES]; /* closed to let all pass */
	_Atomic(long) through[PHASES];
	_Atomic(long) connected, answered, bytes, surplus;
	char first_failure[128];
};

/* -- message.c -- */

uint64_t message_seed(long conn, int number);
size_t message_bytes(uint64_t seed);

/* Write, or compare with, n bytes of a message, from a place on. */
void message_fill(char *buf, size_t n, uint64_t seed, size_t from);
bool message_matches(const char *buf, size_t n, uint64_t seed, size_t from);

/* -- conn.c -- */

/* The life of a connection: the function of its tasklet. */
void conn_live(void *conn);

/* Remember the first failure, for the table. */
void conn_failed(const struct conn *c, const char *doing, int err);

/* Count a connection as through with a phase. */
void conn_through(struct load *load, enum phase phase);

#endif
