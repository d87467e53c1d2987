/* SPDX-License-Identifier: MIT */
/*
 * The procs of the demo's client, as many as the server has, each with its
 * share of the connections: a tasklet for each.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

/* -- in each proc -- */

static void make_channels(struct load *load)
{
	load->pending = tuck_chan_new(1, PENDING_MAX);
	for (int i = 0; i < PHASES; i++)
		load->gates[i] = tuck_chan_new(1, 0);
}

static void free_channels(struct load *load)
{
	tuck_chan_free(load->pending);
	for (int i = 0; i < PHASES; i++)
		tuck_chan_free(load->gates[i]);
}

static void start_connections(struct load *load)
{
	for (long i = 0; i < load->n_conns; i++) {
		struct conn *c = &load->conns[i];
		tuck_id id = tuck_go(conn_live, c);

		if (id > 0)
			continue;
		conn_failed(c, "starting", (int)id);
		for (int phase = 0; phase < PHASES; phase++)
			conn_through(load, phase);
	}
}

static void run_load(void *arg)
{
	struct load *load = arg;

	load->id = tuck_self();
	make_channels(load);
	start_connections(load);
	for (int phase = TALK; phase < PHASES; phase++) {
		while (load->run->phase < phase)
			tuck_block(TUCK_FOREVER);
		tuck_chan_close(load->gates[phase]);
	}
	while (load->through[CLOSE] < load->n_conns)
		tuck_block(TUCK_FOREVER);
	free_channels(load);
}

/* -- in the main one -- */

static int start_one(struct load *load, long first, long n)
{
	const struct tuck_proc_attr attr = { .name = "load", .own_fds = 1 };

	load->n_conns = n;
	load->conns = calloc((size_t)n, sizeof(*load->conns));
	if (!load->conns)
		return -ENOMEM;
	for (long i = 0; i < n; i++)
		load->conns[i] = (struct conn){
			.load = load,
			.where = load->where[i % LISTENERS],
			.number = first + i,
			.fd = -1,
		};
	load->proc = tuck_proc_start(&attr, run_load, load);
	if (load->proc >= 0)
		return 0;
	free(load->conns);
	return load->proc;
}

int load_start(struct run *run, const char *const *where, int n)
{
	int r = 0;

	run->loads = calloc((size_t)n, sizeof(*run->loads));
	if (!run->loads)
		return -ENOMEM;
	for (run->n_loads = 0; run->n_loads < n && r == 0; run->n_loads++) {
		struct load *load = &run->loads[run->n_loads];
		long first = run->conns * run->n_loads / n;
		long next = run->conns * (run->n_loads + 1) / n;

		load->run = run;
		load->where = &where[run->n_loads * LISTENERS];
		r = start_one(load, first, next - first);
	}
	return r;
}

void load_enter(struct run *run, enum phase phase)
{
	run->phase = phase;
	for (int i = 0; i < run->n_loads; i++)
		tuck_unblock(run->loads[i].id);
}

long load_through(const struct run *run, enum phase phase)
{
	long n = 0;

	for (int i = 0; i < run->n_loads; i++)
		n += run->loads[i].through[phase];
	return n;
}

long load_count(const struct run *run, enum phase phase)
{
	long n = 0;

	for (int i = 0; i < run->n_loads; i++) {
		const struct load *load = &run->loads[i];

		n += phase == CONNECT ? load->connected :
		     phase == TALK    ? load->answered :
					load->through[CLOSE];
	}
	return n;
}

void load_result(const struct run *run, struct result *ret_result)
{
	struct result sum = { 0 };

	for (int i = run->n_loads - 1; i >= 0; i--) {
		const struct load *load = &run->loads[i];

		sum.connected += load->connected;
		sum.answered += load->answered;
		sum.bytes += load->bytes;
		sum.surplus += load->surplus;
		if (load->first_failure[0])
			snprintf(sum.first_failure, sizeof(sum.first_failure),
				 "%s", load->first_failure);
	}
	*ret_result = sum;
}

int load_join(struct run *run)
{
	int r = 0;

	for (int i = 0; i < run->n_loads && r == 0; i++) {
		r = tuck_proc_join(run->loads[i].proc, tuck_after(TUCK_SEC(5)));
		if (r == 0)
			free(run->loads[i].conns);
	}
	if (r == 0)
		free(run->loads);
	return r;
}
