/* SPDX-License-Identifier: MIT */
/*
 * The demo's server: echoes what comes, a tasklet for each connection, on as
 * many procs as it is told, each with a descriptor table of its own.
 *
 * It writes the address of a control port to standard output. There it is
 * asked by a line, and answers by a line:
 *	where	the addresses of the procs, to connect to
 *	measure	its figures of now: see figures.c
 * It ends when that connection does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "demo.h"

/*
 * Enough, since with thousands of connections a proc each wake-up finds its
 * stack taken by another one anyway. A slot's resident pages, up to 20 KB
 * here, are a fixed cost, not one of a connection; those of the default,
 * 1,024 slots a proc, would still come to 900 bytes for each of 30,000
 * connections. To compare: TUCK_STACK_SLOTS=1024 make demo
 */
#define STACK_SLOTS	16

enum order { NONE, START, MEASURE, STOP };

static struct proc {
	_Atomic(enum order) order;	/* set by main, NONE when done */
	tuck_id id;			/* of its main tasklet */
	int number;
	int err;			/* 0, or why it cannot listen */
	int listeners[LISTENERS];
	char where[LISTENERS][TUCK_ADDR_TEXT];
	struct tuck_stats stats;
} procs[PROCS_MAX];
static int n_procs;
static tuck_id main_id;

/* -- in each proc -- */

/* Serve a connection. All of the demo is about this function. */
static void serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[READ_BUFFER];
	ssize_t n;

	while ((n = tuck_read(fd, buf, sizeof(buf), TUCK_FOREVER)) > 0)
		if (tuck_write_full(fd, buf, (size_t)n, TUCK_FOREVER) < 0)
			break;
	tuck_fd_close(fd);
}

static void accept_all(void *arg)
{
	int listener = *(const int *)arg, fd;

	/* Other errors pass: no descriptor left, for one. */
	while ((fd = tuck_accept(listener, NULL, TUCK_FOREVER)) != -EBADF)
		if (fd >= 0 && tuck_go(serve, (void *)(intptr_t)fd) < 0)
			tuck_fd_close(fd);
}

static int open_listener(int *ret_fd, char where[TUCK_ADDR_TEXT])
{
	struct tuck_addr addr;
	tuck_id id;
	int r;

	*ret_fd = tuck_tcp_listen("127.0.0.1:0", 0);
	if (*ret_fd < 0)
		return *ret_fd;
	r = tuck_addr_local(*ret_fd, &addr);
	if (r < 0)
		return r;
	tuck_addr_format(&addr, where, TUCK_ADDR_TEXT);
	id = tuck_go(accept_all, ret_fd);
	return id < 0 ? (int)id : 0;
}

static enum order next_order(struct proc *p)
{
	atomic_store(&p->order, NONE);
	tuck_unblock(main_id);
	while (atomic_load(&p->order) == NONE)
		tuck_block(TUCK_FOREVER);
	return atomic_load(&p->order);
}

static void run_proc(void *arg)
{
	struct proc *p = arg;

	p->id = tuck_self();
	for (int i = 0; i < LISTENERS && p->err == 0; i++)
		p->err = open_listener(&p->listeners[i], p->where[i]);
	while (next_order(p) != STOP)
		tuck_stats(&p->stats);
	for (int i = 0; i < LISTENERS; i++)
		tuck_fd_close(p->listeners[i]);
	/* The proc ends when its last connection has. */
}

/* -- in the main one -- */

static void fail(const char *what, int err)
{
	fprintf(stderr, "demo server: %s: %s\n", what, tuck_strerror(err));
	exit(1);
}

static void wait_for_all(void)
{
	for (int i = 0; i < n_procs; i++)
		while (atomic_load(&procs[i].order) != NONE)
			tuck_block(TUCK_FOREVER);
}

static void order_all(enum order order)
{
	for (int i = 0; i < n_procs; i++) {
		atomic_store(&procs[i].order, order);
		tuck_unblock(procs[i].id);
	}
}

static void start_procs(void)
{
	const struct tuck_proc_attr attr = { .name = "serve", .own_fds = 1 };

	main_id = tuck_self();
	for (int i = 0; i < n_procs; i++) {
		struct proc *p = &procs[i];

		p->order = START;
		p->number = tuck_proc_start(&attr, run_proc, p);
		if (p->number < 0)
			fail("starting a proc", p->number);
	}
	wait_for_all();
	for (int i = 0; i < n_procs; i++)
		if (procs[i].err < 0)
			fail("listening", procs[i].err);
}

static long microseconds(struct timeval t)
{
	return t.tv_sec * 1000000 + t.tv_usec;
}

static struct figures measure(void)
{
	struct rusage usage;
	struct figures f = { .resident_bytes = resident_bytes() };

	getrusage(RUSAGE_SELF, &usage);
	f.user_us = microseconds(usage.ru_utime);
	f.kernel_us = microseconds(usage.ru_stime);
	order_all(MEASURE);
	wait_for_all();
	for (int i = 0; i < n_procs; i++) {
		const struct tuck_stats *s = &procs[i].stats;

		f.slices += (long)s->slices;
		f.slice_bytes += (long)s->slice_bytes;
		f.slots += (long)s->slots;
		if (f.slice_max < (long)s->slice_bytes_max)
			f.slice_max = (long)s->slice_bytes_max;
	}
	return f;
}

static int list_addresses(char line[LINE_BYTES])
{
	int n = 0;

	for (int i = 0; i < n_procs * LISTENERS; i++)
		n += snprintf(line + n, LINE_BYTES - (size_t)n, "%s ",
			      procs[i / LISTENERS].where[i % LISTENERS]);
	line[n - 1] = '\n';
	return n;
}

static void answer_questions(int fd, tuck_ns deadline)
{
	char line[LINE_BYTES];

	while (read_line(fd, line, deadline) > 0) {
		struct figures f;
		int n;

		if (strcmp(line, "where") == 0) {
			n = list_addresses(line);
		} else {
			f = measure();
			n = figures_format(&f, line);
		}
		if (tuck_write_full(fd, line, (size_t)n, deadline) < 0)
			break;
	}
	tuck_fd_close(fd);
}

/* The one client's connection. */
static int accept_control(tuck_ns deadline)
{
	int listener = tuck_tcp_listen("127.0.0.1:0", 0), fd;
	char where[TUCK_ADDR_TEXT];
	struct tuck_addr addr;

	if (listener < 0)
		fail("listening", listener);
	tuck_addr_local(listener, &addr);
	puts(tuck_addr_format(&addr, where, sizeof(where)));
	fflush(stdout);
	fd = tuck_accept(listener, NULL, deadline);
	if (fd < 0)
		fail("waiting for the client", fd);
	tuck_fd_close(listener);
	return fd;
}

static void stop_procs(tuck_ns deadline)
{
	order_all(STOP);
	for (int i = 0; i < n_procs; i++) {
		int r = tuck_proc_join(procs[i].number, deadline);

		if (r < 0)
			fail("ending", r);
	}
}

int main(int argc, char **argv)
{
	const struct tuck_config config = { .stack_slots = STACK_SLOTS };
	unsigned seconds;
	tuck_ns deadline;

	n_procs = argc == 2 ? atoi(argv[1]) : 0;
	if (n_procs < 1 || n_procs > PROCS_MAX) {
		fprintf(stderr, "usage: demo_server PROCS\n");
		return 2;
	}
	seconds = SECONDS_MAX +
		  (unsigned)n_procs * (CONNS_A_PROC / CONNS_A_SECOND);
	deadline = tuck_after(TUCK_SEC(seconds));
	alarm(seconds + 5);		/* whatever happens */
	tuck_config_set(&config);
	start_procs();
	answer_questions(accept_control(deadline), deadline);
	stop_procs(tuck_after(TUCK_SEC(5)));
	return 0;
}
