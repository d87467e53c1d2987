/* SPDX-License-Identifier: MIT */
/* Slots: how many a process has, and what a cache does without more. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "check.h"
#include "ctx/slots.h"

#define CACHES	40
#define EACH	1024	/* in all more than the memory maps are good for */
#define FLOOR	64

static struct tuck__host host;
static struct tuck__cache caches[CACHES];

static void make(struct tuck__cache *c)
{
	const struct tuck_config config = {
		.stack_slots = EACH,
		.slot_bytes = 16 * 1024,
		.guard_bytes = 4096,
	};

	tuck__cache_init(c, &host, &config);
}

static void promise_all(struct tuck__cache *c)
{
	for (int i = 0; i < EACH; i++)
		CHECK_EQ(tuck__slots_promise(c, NULL), 0);
}

static void end(struct tuck__cache *c)
{
	for (int i = 0; i < EACH; i++)
		tuck__slots_release(c);
	tuck__cache_fini(c);
}

static size_t slots_of_all(void)
{
	size_t n = 0;

	for (int i = 0; i < CACHES; i++)
		n += caches[i].slots_made;
	return n;
}

TEST(many_caches_leave_memory_maps)
{
	void *pages[200];
	size_t max = tuck__maps_max();

	if (max / 4 > CACHES * (EACH - FLOOR))
		SKIP("so many maps that no cache has to do with less");
	for (int i = 0; i < CACHES; i++) {
		make(&caches[i]);
		promise_all(&caches[i]);
		CHECK(caches[i].slots_made >= FLOOR);
	}
	CHECK_EQ(caches[0].slots_made, EACH);
	CHECK(caches[CACHES - 1].slots_made < EACH);
	CHECK(slots_of_all() >= max / 4);
	CHECK(slots_of_all() <= max / 4 + CACHES * FLOOR);
	for (int i = 0; i < 200; i++) {		/* not next to each other */
		pages[i] = mmap(NULL, 3 * 65536, PROT_READ,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(pages[i] != MAP_FAILED);
		CHECK_EQ(mprotect((char *)pages[i] + 65536, 65536, PROT_NONE),
			 0);
	}
	for (int i = 0; i < 200; i++)
		munmap(pages[i], 3 * 65536);
	for (int i = 0; i < CACHES; i++)
		end(&caches[i]);
}

static struct tuck__ctx users[EACH + 200];

static int by_slot(const void *a, const void *b)
{
	const struct tuck__ctx *x = a, *y = b;

	return x->stack < y->stack ? -1 : x->stack > y->stack;
}

/* Though all are open, so that an idle proc can give their pages back. */
TEST(newcomers_share_few_slots)
{
	enum { MORE = 200, BUSY = 64 };
	struct tuck__cache *c = &caches[0];
	int n = 1;

	make(c);
	promise_all(c);
	for (int i = 0; i < EACH; i++)
		users[i].stack = tuck__slots_take(c, &users[i]);
	for (int i = EACH; i < EACH + MORE; i++)
		CHECK_EQ(tuck__slots_promise(c, NULL), 0);
	CHECK_EQ(c->open_n, MORE);
	for (int i = EACH; i < EACH + MORE; i++)
		users[i].stack = tuck__slots_take(c, &users[i]);
	qsort(users + EACH, MORE, sizeof(users[0]), by_slot);
	for (int i = EACH + 1; i < EACH + MORE; i++)
		n += users[i].stack != users[i - 1].stack;
	CHECK(n > BUSY / 2 && n <= BUSY);
	for (int i = 0; i < EACH + MORE; i++)
		tuck__slots_leave(c, users[i].stack);
	CHECK_EQ(c->vacant, EACH);
	tuck__cache_fini(c);
}

TEST(few_addresses_are_fewer_slots)
{
	struct tuck__cache *c = &caches[0];

	make(c);
	for (int n = 1; n <= 3; n++) {
		tuck__fault_set(n, 1);
		CHECK_EQ(tuck__slots_promise(c, NULL), -ENOMEM);
		CHECK_EQ(c->slots_max, EACH);	/* it may find more later */
	}
	tuck__fault_set(3, 0);			/* room for half as many */
	CHECK_EQ(tuck__slots_promise(c, NULL), 0);
	CHECK_EQ(c->slots_max, EACH / 8);
	tuck__slots_release(c);
	promise_all(c);
	CHECK_EQ(c->slots_made, EACH / 8);
	end(c);
}

TEST(slots_of_ended_caches_are_for_others)
{
	for (int i = 0; i < 2 * CACHES; i++) {
		make(&caches[0]);
		promise_all(&caches[0]);
		CHECK_EQ(caches[0].slots_made, EACH);
		end(&caches[0]);
	}
}
