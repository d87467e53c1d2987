/* SPDX-License-Identifier: MIT */
/*
 * Libc's own functions, for the library that is preloaded: what comes after
 * it in the order of loading. They are looked up when this is loaded: later
 * a thread in a library's constructor may have the loader's lock, and wait for
 * one that makes its first call. Calls that come earlier look by themselves,
 * and so do those of what was not loaded then, as libstdc++.
 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "hook/hook.h"

static tuck__cold void *find(_Atomic(void *) *at, const char *name)
{
	void *fn = dlsym(RTLD_NEXT, name);

	if (!fn) {
		fprintf(stderr, "tuck: libtuck-hook: libc has no %s\n", name);
		abort();
	}
	atomic_store_explicit(at, fn, memory_order_relaxed);
	return fn;
}

static inline void *real(_Atomic(void *) *at, const char *name)
{
	void *fn = atomic_load_explicit(at, memory_order_relaxed);

	return tuck__likely(fn != NULL) ? fn : find(at, name);
}

#define DEFINE(type, name, parameters, arguments)			\
	static _Atomic(void *) at_##name;				\
	type __real_##name parameters					\
	{								\
		type (*name##_) parameters =				\
			(type (*) parameters)real(&at_##name, #name);	\
									\
		return name##_ arguments;				\
	}

TUCK__HOOKS(DEFINE)
TUCK__LOCKS(DEFINE)

#define FIND(type, name, parameters, arguments)				\
	atomic_store_explicit(&at_##name, dlsym(RTLD_NEXT, #name),	\
			      memory_order_relaxed);

static __attribute__((__constructor__)) void find_all(void)
{
	TUCK__HOOKS(FIND)
	TUCK__LOCKS(FIND)
	dlerror();	/* some are not there */
}
