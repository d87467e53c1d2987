/* SPDX-License-Identifier: MIT */
/*
 * Libc's own functions, for the library that is preloaded: what comes after
 * it in the order of loading. They are looked up at their first call, which
 * may come before any constructor ran.
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
	type __real_##name parameters					\
	{								\
		static _Atomic(void *) at;				\
		type (*name##_) parameters =				\
			(type (*) parameters)real(&at, #name);		\
									\
		return name##_ arguments;				\
	}

TUCK__HOOKS(DEFINE)
TUCK__LOCKS(DEFINE)
