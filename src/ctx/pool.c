/* SPDX-License-Identifier: MIT */
/*
 * Blocks for slices, cut from chunks and kept in a free list per class.
 *
 * Classes are steps of 64 bytes up to 1 KiB, then four steps to each power
 * of two up to 64 KiB; a larger block is mapped on its own, behind the link
 * by which the pool's end finds it, and its class is the number of its pages
 * above the last of these.
 *
 * Invariants:
 * 1. A pool is used by one OS thread only, so it takes no lock.
 * 2. Giving a block back cannot fail and touches no system call, except for
 *    one that was mapped on its own.
 *
 * Why not otherwise: malloc and free at each change of size cost more than
 * the copy itself; classes of powers of two waste a quarter of the memory
 * where a million slices of some 200 bytes are the whole point.
 */
#include "base/check.h"
#include "base/mem.h"
#include "ctx/pool.h"

#define STEP		TUCK__SLICE_STEP
#define SMALL_CLASSES	TUCK__SLICE_SMALL
#define LARGE_BYTES	65536u
#define PAGE		4096u
#define CHUNK_BYTES	((size_t)256 * 1024)

struct tuck__block {
	struct tuck__block *next;
};

struct tuck__chunk {
	struct tuck__chunk *next;
	char pad[STEP - sizeof(struct tuck__chunk *)];
};

struct tuck__large {
	struct tuck__large *next, *prev;
	size_t bytes;
	char pad[STEP - 2 * sizeof(struct tuck__large *) - sizeof(size_t)];
};

static uint32_t class_of(size_t bytes)
{
	uint32_t log, step;

	if (bytes <= STEP * SMALL_CLASSES)
		return bytes ? (uint32_t)(bytes - 1) / STEP : 0;
	if (bytes > LARGE_BYTES)
		return TUCK__SLICE_CLASSES +
		       (uint32_t)((bytes + STEP - 1 - LARGE_BYTES) / PAGE);
	log = 31 - (uint32_t)__builtin_clz((uint32_t)bytes - 1);
	step = ((uint32_t)bytes - 1) >> (log - 2) & 3;
	return SMALL_CLASSES + (log - 10) * 4 + step;
}

size_t tuck__slice_large_class_bytes(uint32_t cls)
{
	uint32_t large = cls - SMALL_CLASSES;

	if (cls >= TUCK__SLICE_CLASSES)
		return LARGE_BYTES +
		       (size_t)(cls - TUCK__SLICE_CLASSES + 1) * PAGE - STEP;
	return (size_t)(large % 4 + 5) << (large / 4 + 8);
}

static void *cut(struct tuck__slice_pool *p, size_t bytes)
{
	struct tuck__chunk *chunk;
	char *block;

	if ((size_t)(p->fresh_end - p->fresh) < bytes) {
		chunk = tuck__map(CHUNK_BYTES);
		if (!chunk)
			return NULL;
		p->bytes += CHUNK_BYTES;
		chunk->next = p->chunks;
		p->chunks = chunk;
		p->fresh = (char *)(chunk + 1);
		p->fresh_end = (char *)chunk + CHUNK_BYTES;
	}
	block = p->fresh;
	p->fresh += bytes;
	return block;
}

static void *get_large(struct tuck__slice_pool *p, size_t bytes)
{
	struct tuck__large *l;

	bytes += sizeof(*l);
	l = tuck__map(bytes);
	if (!l)
		return NULL;
	l->bytes = bytes;
	l->next = p->large;
	if (l->next)
		l->next->prev = l;
	p->large = l;
	p->bytes += bytes;
	return l + 1;
}

static void put_large(struct tuck__slice_pool *p, struct tuck__large *l)
{
	if (l->next)
		l->next->prev = l->prev;
	if (l->prev)
		l->prev->next = l->next;
	else
		p->large = l->next;
	p->bytes -= l->bytes;
	tuck__unmap(l, l->bytes);
}

void *tuck__slice_get(struct tuck__slice_pool *p, size_t bytes,
		      uint32_t *ret_class)
{
	uint32_t cls = class_of(bytes);
	struct tuck__block *block;

	if (tuck__unlikely(cls >= TUCK__SLICE_CLASSES)) {
		block = get_large(p, tuck__slice_class_bytes(cls));
	} else if (tuck__likely((block = p->free[cls]) != NULL)) {
		p->free[cls] = block->next;
	} else {
		block = cut(p, tuck__slice_class_bytes(cls));
	}
	if (block)
		*ret_class = cls;
	return block;
}

void tuck__slice_put(struct tuck__slice_pool *p, void *memory, uint32_t cls)
{
	struct tuck__block *block = memory;

	if (!block)
		return;
	if (cls >= TUCK__SLICE_CLASSES) {
		put_large(p, (struct tuck__large *)memory - 1);
		return;
	}
	block->next = p->free[cls];
	p->free[cls] = block;
}

void tuck__slice_pool_fini(struct tuck__slice_pool *p)
{
	while (p->large)
		put_large(p, p->large);
	while (p->chunks) {
		struct tuck__chunk *chunk = p->chunks;

		p->chunks = chunk->next;
		tuck__unmap(chunk, CHUNK_BYTES);
	}
	*p = (struct tuck__slice_pool){ 0 };
}
