/* SPDX-License-Identifier: MIT */
/*
 * Finds C++'s exception globals of the calling thread: which exceptions are
 * being caught, and how many are on their way (Itanium C++ ABI, 2.2.2).
 *
 * They belong to the C++ runtime, which nothing obliges a program to have.
 * One that it was linked with is bound to the weak symbol here. One that
 * came by dlopen(), as what a plugin needs, is looked for by its name. It
 * then stays loaded, since what it keeps is used from here on.
 *
 * Not seen, so that there a tasklet must not switch inside a catch, or inside
 * a destructor while an exception is on its way:
 * - a runtime that is loaded after the thread became a proc; threads that
 *   become procs after that see it;
 * - one that is linked statically into a plugin, or loaded by dlmopen();
 * - a second one, as libc++abi beside libstdc++.
 *
 * Why not otherwise: to look again at each switch for a runtime that was not
 * there costs more than the switch does. dlopen() without a look at what is
 * loaded searches the file system, and leaves a dlerror() behind.
 */
#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "base/fork.h"
#include "ctx/ctx.h"

typedef struct tuck__eh *globals_fn(void);
typedef void *open_fn(const char *name, int how);

globals_fn __cxa_get_globals __attribute__((__weak__));

static int find_runtime(struct dl_phdr_info *info, size_t bytes, void *ret_name)
{
	static const char *const names[] = { "libstdc++.so.6",
					     "libc++abi.so.1" };

	(void)bytes;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (info->dlpi_name && strstr(info->dlpi_name, names[i])) {
			*(const char **)ret_name = names[i];
			return 1;
		}
	}
	return 0;
}

/*
 * glibc's fork() leaves the child the lock in which dl_iterate_phdr() runs, so
 * it has to wait for those who look. They do not wait for each other: one may
 * be in somebody's dl_iterate_phdr() already. How many look, or FORKING.
 */
static atomic_int lookers;

#define FORKING INT_MIN

static void await_lookers(void)
{
	atomic_fetch_or(&lookers, FORKING);
	while (atomic_load(&lookers) != FORKING)
		sched_yield();
}

static void let_others_look(void)
{
	atomic_store(&lookers, 0);
}

TUCK__AT_FORK(TUCK__FORK_LOADER, await_lookers, let_others_look, NULL)

static void begin_look(void)
{
	int n = 0;

	while (!atomic_compare_exchange_weak(&lookers, &n, n + 1))
		if (n < 0) {
			sched_yield();
			n = 0;
		}
}

static const char *name_of_loaded(void)
{
	const char *name = NULL;

	begin_look();
	dl_iterate_phdr(find_runtime, &name);
	atomic_fetch_sub(&lookers, 1);
	return name;
}

static globals_fn *find_loaded(void)
{
	const char *name = name_of_loaded();
	void *runtime = NULL;
	open_fn *open;

	if (!name)
		return NULL;
	/* Named outright, it makes linkers warn in each static program. */
	open = (open_fn *)dlsym(RTLD_DEFAULT, "dlopen");
	if (open)
		runtime = open(name, RTLD_LAZY | RTLD_NOLOAD);
	if (!runtime)
		return NULL;
	return (globals_fn *)dlsym(runtime, "__cxa_get_globals");
}

struct tuck__eh *tuck__cxx_globals(void)
{
	globals_fn *fn = __cxa_get_globals;

	if (!fn)
		fn = find_loaded();
	return fn ? fn() : NULL;
}
