/* SPDX-License-Identifier: MIT */
/* Threads of our own with stacks of our choice. */
#ifndef TUCK__THREAD_H
#define TUCK__THREAD_H

#include <stddef.h>

/*
 * Of a thread's stack, what goes to libc and to the thread-locals of the
 * program and its libraries. The first call asks the dynamic linker: not to be
 * made with a lock held.
 */
size_t tuck__thread_overhead(void);

#endif
