/* SPDX-License-Identifier: MIT */
/*
 * What runs in a library's constructors, or in a callback of
 * dl_iterate_phdr(), runs under the dynamic loader's lock, which belongs to
 * the thread: it does not switch, but waits as the thread (rule S7).
 *
 * A name without a slash is looked up where the caller's own DT_RUNPATH says,
 * which libc knows by the return address; so that call is left as it is, and
 * what its constructors call may switch.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "base/sanitize.h"
#include "hook/hook.h"

static tuck__no_tsan void let_go(const int *held)
{
	tuck__hold_waits -= *held;
}

static tuck__noinline void *open_held(const char *file, int flags)
{
	int held __attribute__((__cleanup__(let_go), __unused__)) = 1;

	tuck__hold_waits++;
	return __real_dlopen(file, flags);
}

/* Here it is the last call, so libc sees who called this one. */
void *__wrap_dlopen(const char *file, int flags)
{
	if (!tuck__hook_on() || (file && !strchr(file, '/')))
		return __real_dlopen(file, flags);
	return open_held(file, flags);
}

int __wrap_dlclose(void *handle)
{
	int held __attribute__((__cleanup__(let_go), __unused__)) = 1;

	tuck__hold_waits++;
	return __real_dlclose(handle);
}

/* Clang's TSan, in the same program, calls it before it can note calls. */
tuck__no_tsan int __wrap_dl_iterate_phdr(int (*fn)(struct dl_phdr_info *info,
						   size_t n, void *arg),
					 void *arg)
{
	int held __attribute__((__cleanup__(let_go), __unused__)) = 1;

	tuck__hold_waits++;
	return __real_dl_iterate_phdr(fn, arg);
}
