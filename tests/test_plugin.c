/* SPDX-License-Identifier: MIT */
/*
 * A program in C that loads C++ by dlopen(), as an interpreter does: its
 * tasklets may switch inside a catch of the plugin.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <tuck.h>

#include "trace.h"

typedef int catch_fn(int n, void (*fn)(void));

static int ended;

static catch_fn *load(void **ret_handle)
{
	void *handle;
	catch_fn *fn;

	if (dlsym(RTLD_DEFAULT, "__cxa_get_globals"))
		SKIP("this program has C++ from the start");
	handle = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		check_fail(CHECK_AT, "%s", dlerror());
	fn = (catch_fn *)dlsym(handle, "plugin_catch");
	CHECK(fn != NULL);
	if (ret_handle)
		*ret_handle = handle;
	return fn;
}

static catch_fn *catch_around;

static void catch_and_yield(void *arg)
{
	CHECK(catch_around((int)(intptr_t)arg, tuck_yield));
	ended++;
}

static void run_some(void)
{
	ended = 0;
	for (int i = 0; i < 20; i++)
		go(catch_and_yield, (void *)(intptr_t)i);
	while (ended < 20)
		tuck_yield();
}

TEST(a_switch_inside_a_plugins_catch)
{
	catch_around = load(NULL);
	run_some();
}

TEST(a_switch_inside_a_plugins_catch_on_one_stack)
{
	use_slots(1);
	catch_around = load(NULL);
	run_some();
}

/* Even the runtime's last user goes: its globals are still in use here. */
TEST(the_runtime_stays_when_the_plugin_goes)
{
	void *handle;

	catch_around = load(&handle);
	run_some();
	CHECK_EQ(dlclose(handle), 0);
	for (int i = 0; i < 20; i++)
		go_letter("a");
	while (trace_used < 20)
		tuck_yield();
	catch_around = load(&handle);
	run_some();
}

static void *run_in_thread(void *arg)
{
	(void)arg;
	run_some();
	return NULL;
}

/* What the first proc did not see, a later one does. */
TEST(a_later_proc_sees_the_plugin)
{
	go_letter("a");
	catch_around = load(NULL);
	on_thread(run_in_thread, NULL);
}

TEST(no_error_of_the_search_is_left)
{
	go_letter("a");
	CHECK(dlerror() == NULL);
}
