/* SPDX-License-Identifier: MIT */
/*
 * The demo's client: reads the address of the server's control port from
 * standard input, opens CONNS connections, lets all be idle while the server
 * measures itself, then sends messages over all of them at the same time and
 * checks every byte that comes back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

#define LOOK_EVERY	TUCK_MS(100)	/* for the progress line */
#define GRACE		TUCK_SEC(3)	/* for all to notice the deadline */

static void fail(const char *what, int err)
{
	fprintf(stderr, "\ndemo: %s: %s\n", what, tuck_strerror(err));
	exit(1);
}

/* -- the control connection -- */

static int find_server(tuck_ns deadline)
{
	char line[LINE_BYTES];
	ssize_t r = read_line(STDIN_FILENO, line, deadline);
	int fd;

	if (r <= 0) {
		fputs("demo: the server did not start\n", stderr);
		exit(1);
	}
	fd = tuck_tcp_connect(line, deadline);
	if (fd < 0)
		fail("connecting to the server's control port", fd);
	return fd;
}

/* Send a question, and put the answer in its place. */
static void ask(int control, char line[LINE_BYTES], tuck_ns deadline)
{
	ssize_t r = tuck_write_full(control, line, strlen(line), deadline);

	if (r >= 0)
		r = read_line(control, line, deadline);
	if (r < 0)
		fail("asking the server", (int)r);
	if (r == 0) {
		fputs("\ndemo: the server has ended\n", stderr);
		exit(1);
	}
}

static struct figures measure(int control, tuck_ns deadline)
{
	char line[LINE_BYTES] = "measure\n";
	struct figures figures;

	ask(control, line, deadline);
	if (!figures_parse(&figures, line)) {
		fprintf(stderr, "\ndemo: the server said: %s\n", line);
		exit(1);
	}
	return figures;
}

/* Start a proc of connections for each of the server's. */
static void start_load(struct run *run, int control)
{
	static char line[LINE_BYTES] = "where\n"; /* the load looks there */
	static const char *where[PROCS_MAX * LISTENERS];
	char *rest = line;
	int n = 0, r;

	ask(control, line, run->deadline);
	while (n < PROCS_MAX * LISTENERS &&
	       (where[n] = strtok_r(rest, " ", &rest)))
		n++;
	r = load_start(run, where, n / LISTENERS);
	if (r < 0)
		fail("starting the connections", r);
}

/* -- the course of it -- */

/* Wait until all connections are through with a phase; how long it took. */
static tuck_ns watch(const struct run *run, enum phase phase)
{
	static const char *const doing[PHASES] = { "connecting", "messages",
						   "closing" };
	long all = run->conns * (phase == TALK ? MESSAGES + 1 : 1);
	tuck_ns start = tuck_now();

	while (load_through(run, phase) < run->conns &&
	       tuck_now() < run->deadline + GRACE) {
		progress(doing[phase], load_count(run, phase), all, false);
		tuck_block(tuck_after(LOOK_EVERY));
	}
	progress(doing[phase], load_count(run, phase), all, true);
	return tuck_now() - start;
}

static void run_all(struct run *run, struct table *table)
{
	int control = find_server(run->deadline);
	long kernel = proc_bytes("/proc/meminfo", "Slab:");

	table->start = measure(control, run->deadline);
	start_load(run, control);
	table->connecting = watch(run, CONNECT);
	table->idle = measure(control, run->deadline);
	table->kernel_bytes = proc_bytes("/proc/meminfo", "Slab:") - kernel;
	table->requests = -load_count(run, TALK);
	load_enter(run, TALK);
	table->talking = watch(run, TALK);
	table->requests += load_count(run, TALK);
	table->talked = measure(control, run->deadline);
	load_enter(run, CLOSE);
	watch(run, CLOSE);
	load_result(run, &table->result);
	tuck_fd_close(control);
}

static bool parse_arguments(int argc, char **argv, struct run *run)
{
	run->self_check = argc > 1 && strcmp(argv[1], "--self-check") == 0;
	if (argc != 2 + run->self_check)
		return false;
	run->conns = atol(argv[argc - 1]);
	return run->conns > 0;
}

int main(int argc, char **argv)
{
	struct run run = { 0 };
	struct table table = { .run = &run };
	unsigned seconds;
	int r;

	if (!parse_arguments(argc, argv, &run)) {
		fputs("usage: demo_client [--self-check] CONNS\n", stderr);
		return 2;
	}
	seconds = SECONDS_MAX + (unsigned)(run.conns / CONNS_A_SECOND);
	run.deadline = tuck_after(TUCK_SEC(seconds));
	alarm(seconds + 8);		/* whatever happens */
	run.main = tuck_self();
	table.thread_bytes = thread_bytes();
	run_all(&run, &table);
	table_print(&table);
	r = load_join(&run);
	if (r < 0)
		fail("ending", r);
	return table_failures(&table) != 0;
}
