/* SPDX-License-Identifier: MIT */
/*
 * What a thread that is made with a small stack needs besides.
 *
 * Why not otherwise: sysconf(_SC_THREAD_STACK_MIN) knows of the signal frame,
 * not of the thread-locals; and pthread_once(3) around dlsym(3), which takes
 * the dynamic linker's lock, would wait for ever where a library's constructor
 * that runs under that lock offloads a call.
 */
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/thread.h"

#define ENOUGH ((size_t)64 * 1024)	/* where libc does not tell */

size_t tuck__thread_overhead(void)
{
	static _Atomic(size_t) known;
	size_t (*minstack)(const pthread_attr_t *) = NULL;
	size_t n = atomic_load_explicit(&known, memory_order_relaxed);
	pthread_attr_t attr;

	if (n)
		return n;
	*(void **)&minstack = dlsym(RTLD_DEFAULT, "__pthread_get_minstack");
	pthread_attr_init(&attr);
	n = minstack ? minstack(&attr) : ENOUGH;
	pthread_attr_destroy(&attr);
	atomic_store_explicit(&known, n, memory_order_relaxed);
	return n;
}
