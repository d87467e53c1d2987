/* SPDX-License-Identifier: MIT */
/* The pool that slices come from: blocks in size classes of 64 bytes. */
#ifndef TUCK__POOL_H
#define TUCK__POOL_H

#include <stddef.h>
#include <stdint.h>

#define TUCK__SLICE_CLASSES 40	/* the last one's blocks are 64 KiB */

struct tuck__slice_pool {
	struct tuck__block *free[TUCK__SLICE_CLASSES];
	char *fresh, *fresh_end;	/* of the newest chunk, not yet cut */
	struct tuck__chunk *chunks;
	struct tuck__large *large;
	size_t bytes;			/* held from the system */
};

/*
 * A block of at least bytes, and its class by which it is given back; NULL
 * when there is no memory.
 */
void *tuck__slice_get(struct tuck__slice_pool *p, size_t bytes,
		      uint32_t *ret_class);
void tuck__slice_put(struct tuck__slice_pool *p, void *block, uint32_t cls);

#define TUCK__SLICE_STEP	64u
#define TUCK__SLICE_SMALL	16u	/* classes of 64 .. 1,024 bytes */

size_t tuck__slice_large_class_bytes(uint32_t cls);

static inline size_t tuck__slice_class_bytes(uint32_t cls)
{
	return cls < TUCK__SLICE_SMALL ? (cls + 1) * TUCK__SLICE_STEP :
					 tuck__slice_large_class_bytes(cls);
}

void tuck__slice_pool_fini(struct tuck__slice_pool *p);

#endif
