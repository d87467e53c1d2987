/* SPDX-License-Identifier: MIT */
/*
 * Calls out of a library's constructor, with the dynamic linker's lock held:
 * no lock of ours may be held while that is waited for.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <tuck.h>

#include "sockets.h"

void on_load(void);

static int nothing(void *arg)
{
	return arg != NULL;
}

static int offload_nothing(void)
{
	return tuck_offload(nothing, NULL, 0, patience());
}

static atomic_int begun;

/* It waits for the dynamic linker, or not at all. */
static void *offload_elsewhere(void *arg)
{
	(void)arg;
	begun = 1;
	CHECK_EQ(offload_nothing(), 0);
	return NULL;
}

static pthread_t thread;

void on_load(void)
{
	CHECK_EQ(pthread_create(&thread, NULL, offload_elsewhere, NULL), 0);
	while (!begun)
		sched_yield();
	usleep(100000);
	CHECK_EQ(offload_nothing(), 0);
}

TEST(a_constructor_offloads_while_another_thread_does)
{
	void *handle = dlopen(LOADED, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		check_fail(CHECK_AT, "%s", dlerror());
	CHECK_EQ(pthread_join(thread, NULL), 0);
	dlclose(handle);
}
