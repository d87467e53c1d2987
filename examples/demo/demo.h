/* SPDX-License-Identifier: MIT */
/* What the parts of the demo share. */
#ifndef DEMO_H
#define DEMO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <tuck.h>

#define READ_BUFFER	16384	/* on the stack of each handler */
#define MESSAGES	10	/* per connection, besides its first one */
#define MESSAGE_BYTES	64	/* of most; one in 16 is larger */
#define MESSAGE_MAX	20000
/*
 * Addresses of each proc of the server. A connection to an address takes a
 * local port, and the kernel looks for one at length when half are in use.
 */
#define LISTENERS	4
#define SECONDS_MAX	50	/* for everything, */
#define CONNS_A_SECOND	1000	/* and at this pace for many */
#define CONNS_A_PROC	20000	/* of the server, or somewhat more */
#define PROCS_MAX	100	/* of the server */
#define LINE_BYTES	16384	/* of what server and client tell each other */

/* -- figures.c: what the server measures of itself, and how it tells -- */

struct figures {
	long slices;		/* stacks tucked away now */
	long slice_bytes;	/* in all of them */
	long slice_max;		/* in the largest */
	long slots;		/* stacks that tasklets share */
	long resident_bytes;	/* anonymous memory of the process */
	long user_us, kernel_us; /* CPU time of the process */
};

int figures_format(const struct figures *figures, char line[LINE_BYTES]);
bool figures_parse(struct figures *ret_figures, const char *line);

/* Read a line; returns its length, or 0 at the end of the stream. */
ssize_t read_line(int fd, char line[LINE_BYTES], tuck_ns deadline);

/* The number after name in a file of /proc, in bytes, where that is in kB. */
long proc_bytes(const char *file, const char *name);

/* This process's resident memory that no file backs. */
long resident_bytes(void);

#define THREADS 64

/* What a thread that does a handler's work takes, of THREADS; 0 if unknown. */
long thread_bytes(void);

/* -- load.c: the client's procs and their connections -- */

enum phase { CONNECT, TALK, CLOSE, PHASES };

struct load;

struct run {
	long conns;
	bool self_check;	/* damage a byte that came, to see it noticed */
	tuck_ns deadline;
	tuck_id main;		/* is unblocked at the end of a phase */
	struct load *loads;
	int n_loads;
	_Atomic(int) phase;
};

/* What came of it: sums over all procs. */
struct result {
	long connected, answered, bytes, surplus;
	char first_failure[128];
};

/*
 * Start a proc for each of the server's n, with its share of the connections
 * to the LISTENERS addresses that each of these has.
 */
int load_start(struct run *run, const char *const *where, int n);

/* Let every connection enter a phase after CONNECT. */
void load_enter(struct run *run, enum phase phase);

/* How many connections are through with a phase. */
long load_through(const struct run *run, enum phase phase);

/* How far a phase is: connections, answered messages, ended connections. */
long load_count(const struct run *run, enum phase phase);

void load_result(const struct run *run, struct result *ret_result);

/* Wait for the procs' end. */
int load_join(struct run *run);

/* -- table.c: for the reader -- */

struct table {
	const struct run *run;
	struct result result;
	struct figures start, idle, talked;	/* the server's, in time */
	long kernel_bytes;			/* its growth by connections */
	long thread_bytes;
	long requests;				/* answered in talking */
	tuck_ns connecting, talking;		/* how long */
};

void progress(const char *what, long done, long all, bool last);
long table_failures(const struct table *table);
void table_print(const struct table *table);

#endif
