/* SPDX-License-Identifier: MIT */
/*
 * What the programs have in common that use a blocking library from many
 * tasklets of one thread. Nothing in them knows of the hook.
 */
#ifndef CROWD_H
#define CROWD_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <tuck.h>

/* One request, from nothing to the end: what it says must be right. */
typedef void request_fn(int number);

static struct {
	request_fn *fn;
	int ended;
} crowd;

static inline void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "not so: %s\n", what);
	exit(1);
}

static inline int threads(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = -2;	/* . and .. */

	must(d != NULL, "/proc/self/task");
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static inline void one_of_crowd(void *number)
{
	crowd.fn((int)(intptr_t)number);
	crowd.ended++;
}

/* All n at once: whoever serves them sees that. */
static inline void run_crowd(int n, request_fn *fn)
{
	crowd.fn = fn;
	for (intptr_t i = 0; i < n; i++)
		must(tuck_go(one_of_crowd, (void *)i) > 0, "tuck_go");
	while (crowd.ended < n)
		must(tuck_sleep(tuck_after(TUCK_MS(1))) == 0, "tuck_sleep");
	printf("%d requests, %d threads\n", n, threads());
}

#endif
