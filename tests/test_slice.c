/* SPDX-License-Identifier: MIT */
/* The pool of slices: classes, waste, reuse, the lack of memory. */
#include <stdint.h>

#include "base/mem.h"
#include "check.h"
#include "ctx/pool.h"

static struct tuck__slice_pool pool;

static void *get(size_t bytes, uint32_t *ret_class)
{
	void *block = tuck__slice_get(&pool, bytes, ret_class);

	CHECK(block);
	return block;
}

TEST(every_size_fits_and_wastes_little)
{
	uint32_t cls, before = 0;

	for (size_t bytes = 0; bytes <= 200000; bytes++) {
		void *block = get(bytes, &cls);
		size_t room = tuck__slice_class_bytes(cls);

		CHECK(room >= bytes);
		CHECK(room <= bytes + bytes / 4 + 64);
		CHECK(cls >= before && cls <= before + 1);
		CHECK_EQ((uintptr_t)block % 16, 0);
		before = cls;
		tuck__slice_put(&pool, block, cls);
	}
	tuck__slice_pool_fini(&pool);
}

TEST(a_block_is_all_there)
{
	uint32_t cls;

	for (size_t bytes = 1; bytes <= 300000; bytes += bytes / 3 + 1) {
		unsigned char *a = get(bytes, &cls), *b;
		size_t room = tuck__slice_class_bytes(cls);

		memset(a, 1, room);
		b = get(bytes, &cls);
		memset(b, 2, room);
		for (size_t i = 0; i < room; i++)
			CHECK(a[i] == 1 && b[i] == 2);
		tuck__slice_put(&pool, a, cls);
		tuck__slice_put(&pool, b, cls);
	}
	tuck__slice_pool_fini(&pool);
}

#define BLOCKS 2000

TEST(blocks_do_not_overlap)
{
	static struct {
		unsigned char *at;
		uint32_t cls;
	} blocks[BLOCKS];
	unsigned random = 3;

	for (int n = 0; n < 20000; n++) {
		int i = rand_r(&random) % BLOCKS;
		size_t room;

		if (!blocks[i].at) {
			blocks[i].at = get((size_t)rand_r(&random) % 3000,
					   &blocks[i].cls);
			memset(blocks[i].at, i & 255,
			       tuck__slice_class_bytes(blocks[i].cls));
			continue;
		}
		room = tuck__slice_class_bytes(blocks[i].cls);
		for (size_t k = 0; k < room; k++)
			CHECK_EQ(blocks[i].at[k], i & 255);
		tuck__slice_put(&pool, blocks[i].at, blocks[i].cls);
		blocks[i].at = NULL;
	}
	tuck__slice_pool_fini(&pool);
}

TEST(the_last_block_comes_back_first)
{
	uint32_t cls, other;

	for (size_t bytes = 1; bytes <= 65536; bytes *= 2) {
		void *a = get(bytes, &cls), *b = get(bytes, &cls);

		tuck__slice_put(&pool, a, cls);
		tuck__slice_put(&pool, b, cls);
		CHECK(get(bytes, &other) == b);
		CHECK(get(bytes, &other) == a);
		CHECK_EQ(cls, other);
	}
	tuck__slice_put(&pool, NULL, 0);
	tuck__slice_pool_fini(&pool);
}

TEST(reuse_takes_nothing_from_the_system)
{
	void *block[100];
	uint32_t cls;
	size_t held;

	for (int i = 0; i < 100; i++)
		block[i] = get(200, &cls);
	held = pool.bytes;
	CHECK(held >= 100 * 200);
	for (int n = 0; n < 100; n++) {
		for (int i = 0; i < 100; i++)
			tuck__slice_put(&pool, block[i], cls);
		for (int i = 0; i < 100; i++)
			block[i] = get(200, &cls);
	}
	CHECK_EQ(pool.bytes, held);
	tuck__slice_pool_fini(&pool);
	CHECK_EQ(pool.bytes, 0);
}

TEST(a_large_block_goes_back_to_the_system)
{
	uint32_t cls;
	void *block = get(100000, &cls);

	CHECK(pool.bytes >= 100000);
	tuck__slice_put(&pool, block, cls);
	CHECK_EQ(pool.bytes, 0);
	tuck__slice_pool_fini(&pool);
}

TEST(no_memory_gives_null)
{
	static const size_t sizes[] = { 1, 5000, 70000 };
	uint32_t cls = 77;
	void *block;

	for (int i = 0; i < 3; i++) {
		tuck__fault_set(1, 1);
		CHECK(!tuck__slice_get(&pool, sizes[i], &cls));
		tuck__fault_set(0, 0);
		CHECK_EQ(cls, 77);
		CHECK_EQ(pool.bytes, 0);
	}
	block = get(1, &cls);
	tuck__slice_put(&pool, block, cls);
	tuck__fault_set(1, 1);
	CHECK(tuck__slice_get(&pool, 64, &cls));	/* from the free list */
	tuck__fault_set(0, 0);
	tuck__slice_pool_fini(&pool);
}
