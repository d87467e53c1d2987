/* SPDX-License-Identifier: MIT */
/*
 * Where the loader's lock is held nobody switches (rule S7): what waits in a
 * constructor, a destructor or a callback waits as the thread.
 */
#include <dlfcn.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "hooked.h"

static int fds[2], ran, reads, unloads_read;
static atomic_int reader;	/* the thread that reads, by its number */

void at_load(void);
void at_unload(void);

static void run(void *arg)
{
	(void)arg;
	ran++;
}

/* Asleep in the kernel, on its own or since no tasklet of it can run. */
static bool sleeps(int tid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	CHECK(f);
	CHECK_EQ(fscanf(f, "%*[^)]) %c", &state), 1);
	fclose(f);
	return state == 'S';
}

static void *write_to_sleeper(void *arg)
{
	tuck_ns end = patience();
	int tid;

	(void)arg;
	while (!(tid = atomic_load(&reader)) || !sleeps(tid)) {
		CHECK(tuck_now() < end);
		usleep(200);
	}
	raw_write(fds[1], "x", 1);
	return NULL;
}

/* The other tasklet is ready all the time. */
static void read_alone(void)
{
	pthread_t writer;
	char c = 0;

	ran = 0;
	atomic_store(&reader, 0);
	CHECK_EQ(pthread_create(&writer, NULL, write_to_sleeper, NULL), 0);
	go(run, NULL);
	atomic_store(&reader, (int)syscall(SYS_gettid));
	CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_EQ(c, 'x');
	CHECK_EQ(pthread_join(writer, NULL), 0);
	CHECK_EQ(ran, 0);
	reads++;
}

void at_load(void)
{
	read_alone();
}

void at_unload(void)
{
	if (unloads_read)
		read_alone();
}

static int in_callback(struct dl_phdr_info *info, size_t n, void *arg)
{
	(void)info;
	(void)n;
	(void)arg;
	read_alone();
	return 9;
}

static void set_up(void)
{
	pipe_pair(fds);
	unloads_read = 1;
}

HOOKED_TEST(a_callback_of_the_loader_does_not_switch)
{
	set_up();
	CHECK_EQ(dl_iterate_phdr(in_callback, NULL), 9);
	WAIT_FOR(ran);
	CHECK_EQ(reads, 1);
}

HOOKED_TEST(constructors_and_destructors_do_not_switch)
{
	void *module;

	set_up();
	module = dlopen(MODULE, RTLD_NOW);
	CHECK(module);
	CHECK_EQ(reads, 1);
	WAIT_FOR(ran);		/* it waits as a tasklet again */
	CHECK_EQ(dlclose(module), 0);
	CHECK_EQ(reads, 2);
	WAIT_FOR(ran);
}

static int loads;

static void load(void *arg)
{
	*(void **)arg = dlopen(MODULE, RTLD_NOW);
	loads++;
}

/* Not only the main tasklet's. */
HOOKED_TEST(neither_do_those_of_another_tasklet)
{
	void *module = NULL;

	set_up();
	go(load, &module);
	WAIT_FOR(loads);
	CHECK(module);
	CHECK_EQ(reads, 1);
	unloads_read = 0;
	CHECK_EQ(dlclose(module), 0);
}
