/* SPDX-License-Identifier: MIT */
/*
 * policy: runs jobs of given lengths, the shortest first.
 *
 * Shows a policy of the program's own. A job says how long it expects to be
 * by its weight; the policy keeps those who are ready in a list, by that
 * number. For comparison the same jobs run in the order in which they came:
 * no order makes the mean time until a job is done shorter than the shortest
 * job first (Smith, 1956).
 *
 *	build/plain/examples/policy 30 10 20
 */
#include <stdio.h>
#include <stdlib.h>
#include <tuck.h>

/* -- the policy -- */

static struct tuck_entity *shortest;	/* of the ready; links[0] is the next */

static void ready(void *state, struct tuck_entity *job)
{
	struct tuck_entity **at = &shortest;

	(void)state;
	while (*at && (*at)->weight <= job->weight)
		at = &(*at)->links[0];
	job->links[0] = *at;
	*at = job;
}

static void removed(void *state, struct tuck_entity *job)
{
	struct tuck_entity **at = &shortest;

	(void)state;
	while (*at != job)
		at = &(*at)->links[0];
	*at = job->links[0];
}

static tuck_id next(void *state)
{
	struct tuck_entity *job = shortest;

	if (job)
		removed(state, job);
	return job ? job->id : 0;
}

static const struct tuck_policy shortest_first = {
	.name = "shortest first",
	.ready = ready,
	.next = next,
	.removed = removed,
};

/* -- the jobs -- */

/* In the unit of the lengths; the sum over all jobs of when they were done. */
static double clock_now, done_sum;

/* A job only says that time passes. */
static void job(void *arg)
{
	int length = *(const int *)arg;

	printf(" %d", length);
	clock_now += length;
	done_sum += clock_now;
}

static void die(const char *what, int err)
{
	fprintf(stderr, "%s: %s\n", what, tuck_strerror(err));
	exit(1);
}

/* They start when this tasklet waits. */
static void run(const char *name, int *lengths, int n)
{
	tuck_id *ids = calloc((size_t)n, sizeof(*ids));

	clock_now = done_sum = 0;
	printf("%s:", name);
	for (int i = 0; i < n && ids; i++) {
		struct tuck_attr attr = { .weight = (uint32_t)lengths[i] };

		ids[i] = tuck_go_with(&attr, job, &lengths[i]);
		if (ids[i] < 0)
			die("start", (int)ids[i]);
	}
	for (int i = 0; i < n && ids; i++)
		tuck_join(ids[i], TUCK_FOREVER);
	free(ids);
	printf(", done after %.1f on average\n", done_sum / n);
}

static int *read_lengths(char **args, int n)
{
	int *lengths = n > 0 ? calloc((size_t)n, sizeof(*lengths)) : NULL;

	for (int i = 0; i < n && lengths; i++) {
		lengths[i] = atoi(args[i]);
		if (lengths[i] < 1 || lengths[i] > TUCK_WEIGHT_MAX) {
			fprintf(stderr, "a length is from 1 to %d\n",
				TUCK_WEIGHT_MAX);
			free(lengths);
			exit(2);
		}
	}
	return lengths;
}

int main(int argc, char **argv)
{
	int n = argc - 1, *lengths = read_lengths(argv + 1, n), r;

	if (!lengths) {
		fprintf(stderr, "usage: %s LENGTH...\n", argv[0]);
		return 2;
	}
	run("first in, first out", lengths, n);
	r = tuck_policy_set(&shortest_first, NULL);
	if (r < 0)
		die("policy", r);
	run("the shortest first", lengths, n);
	free(lengths);
	return fflush(stdout) != 0;
}
