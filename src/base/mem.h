/* SPDX-License-Identifier: MIT */
/*
 * The only caller of malloc and mmap, so that a test can make any request of
 * the library for memory fail.
 */
#ifndef TUCK__MEM_H
#define TUCK__MEM_H

#include <stddef.h>

/*
 * Not 0 while the library calls what may be the program's own, malloc() first
 * of all: the tasklet must not be pre-empted there.
 */
extern __thread int tuck__calls_out __attribute__((
	__tls_model__("initial-exec"), __visibility__("hidden")));

void *tuck__alloc(size_t bytes);		/* zeroed */
void *tuck__resize(void *p, size_t bytes);
void tuck__free(void *p);

/* A page of this kernel: 4 KiB or, on some architectures, up to 64 KiB. */
size_t tuck__page_bytes(void);

/* bytes, rounded up to whole pages; at most SIZE_MAX less a page. */
static inline size_t tuck__whole_pages(size_t bytes)
{
	size_t page = tuck__page_bytes();

	return (bytes + page - 1) & ~(page - 1);
}

/* Whole zeroed pages; reserve gives only addresses, commit makes them real. */
void *tuck__map(size_t bytes);
void *tuck__map_reserve(size_t bytes);
int tuck__map_commit(void *p, size_t bytes);
void tuck__map_forget(void *p, size_t bytes);	/* zero, and not resident */
void tuck__unmap(void *p, size_t bytes);

/* Maps that Linux grants a process; each change of protection makes one. */
size_t tuck__maps_max(void);

/*
 * For tests: the nth request from now on fails (1 is the next), and with
 * lasting all after it; 0 ends that. Counts over all threads.
 */
void tuck__fault_set(long nth, int lasting);
long tuck__fault_count(void);			/* requests since set */

#endif
