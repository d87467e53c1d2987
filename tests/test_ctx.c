/* SPDX-License-Identifier: MIT */
/* Contexts that share stacks, by the layer's internal header. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "check.h"
#include "ctx/ctx.h"
#include "ctx/slots.h"

#define GUARD	65536
#define BYTES	65536

static struct tuck__cache cache;
static struct tuck__ctx native, *current = &native;
static int stays;

static int stay(struct tuck__ctx *from, struct tuck__ctx *to)
{
	(void)to;
	stays++;
	current = from;
	return -ENOMEM;
}

static void leave(void);

static const struct tuck__ctx *running(const struct tuck__cache *c, char *who,
				       size_t n)
{
	(void)c;
	snprintf(who, n, "a context");
	return current;
}

static const struct tuck__host host = { .stay = stay,
					.ended = leave,
					.running = running };

static int go_to(struct tuck__ctx *to, int value)
{
	struct tuck__ctx *from = current;

	current = to;
	return tuck__ctx_switch(&cache, from, to, value);
}

/* Every context ends in the native one. */
static void leave(void)
{
	struct tuck__ctx *self = current;
	struct tuck__stack *stack = self->stack;
	char *base = self->base;

	tuck__ctx_retire(&cache, self);
	current = &native;
	tuck__ctx_leave(&cache, stack, base, &native, 0);
}

static void begin_with(size_t slots, size_t bytes, size_t guard)
{
	struct tuck_config config = { slots, bytes, guard, 1, 0 };

	tuck__cache_init(&cache, &host, &config);
	tuck__ctx_init_native(&cache, &native);
}

static void begin(size_t slots)
{
	begin_with(slots, BYTES, GUARD);
}

static void end(void)
{
	CHECK_EQ(cache.promised, 0);
	tuck__cache_fini(&cache);
}

static void admit(struct tuck__ctx *ctx, void (*fn)(void *), void *arg)
{
	CHECK_EQ(tuck__ctx_admit(&cache, ctx, current, fn, arg), 0);
}

static void only_plain(void)
{
	if (TUCK_TORMENT)
		SKIP("every switch copies");
}

/* A whole stack has bytes that were never written, even where it is right. */
static void take_for_defined(void *p, size_t n)
{
#if TUCK__VALGRIND
	VALGRIND_MAKE_MEM_DEFINED(p, n);
#endif
	(void)p, (void)n;
}

static int suspend(void)
{
	return go_to(&native, 1);
}

/* -- contexts of the tests: each parks once and checks its bytes -- */

#define PAD 3000

struct user {
	struct tuck__ctx ctx;
	char *pad;		/* on its stack, while it is parked */
	int seed, turns, state;	/* state: 0 new, 1 parked, 2 ended */
};

static char byte_of(int seed, size_t i)
{
	return (char)((size_t)seed * 31 + i * 7 + (i >> 8));
}

static void park_with_bytes(void *arg)
{
	struct user *u = arg;
	volatile char pad[PAD];

	for (size_t i = 0; i < PAD; i++)
		pad[i] = byte_of(u->seed, i);
	u->pad = (char *)(uintptr_t)pad;
	u->state = 1;
	for (int n = 0; n < u->turns; n++) {
		CHECK_EQ(suspend(), 7);
		for (size_t i = 0; i < PAD; i++)
			CHECK_EQ(pad[i], byte_of(u->seed, i));
	}
	u->state = 2;
}

static void start_user(struct user *u, int seed, int turns)
{
	*u = (struct user){ .seed = seed, .turns = turns };
	admit(&u->ctx, park_with_bytes, u);
}

static void resume(struct user *u)
{
	int r = go_to(&u->ctx, 7);

	CHECK_EQ(r, u->state == 2 ? 0 : 1);
}

static void finish(struct user *u)
{
	while (u->state < 2)
		go_to(&u->ctx, 7);
}

/* -- slots -- */

TEST(each_has_a_slot_while_slots_last)
{
	struct user u[4];

	only_plain();
	begin(4);
	for (int i = 0; i < 4; i++) {
		start_user(&u[i], i, 100);
		resume(&u[i]);
	}
	for (int n = 0; n < 50; n++)
		for (int i = 0; i < 4; i++)
			resume(&u[i]);
	for (int i = 0; i < 4; i++) {
		CHECK(!(u[i].ctx.flags & TUCK__CTX_SHARED));
		CHECK(u[i].ctx.stack != u[(i + 1) % 4].ctx.stack);
		CHECK(!u[i].ctx.slice);
	}
	CHECK_EQ(cache.open_n, 0);
	CHECK_EQ(cache.copied_bytes, 0);
	CHECK_EQ(cache.slices.bytes, 0);
	for (int i = 0; i < 4; i++)
		finish(&u[i]);
	CHECK_EQ(cache.vacant, 4);
	end();
}

TEST(slots_are_apart_and_guarded)
{
	struct user u[4];

	begin(4);
	for (int i = 0; i < 4; i++) {
		const struct tuck__ctx *c = &u[i].ctx;

		start_user(&u[i], i, 1);
		CHECK(!tuck__ctx_started(c));
		resume(&u[i]);
		CHECK(tuck__ctx_started(c));
		CHECK(c->base <= c->stack->base);
		CHECK((size_t)(c->base - c->stack->limit) > BYTES - 8192);
		CHECK_EQ((uintptr_t)c->base % TUCK__ARCH_ALIGN, 0);
		CHECK(tuck__ctx_in_guard(c, c->stack->limit - 1));
		CHECK(tuck__ctx_in_guard(c, c->stack->limit - GUARD));
		CHECK(!tuck__ctx_in_guard(c, c->stack->limit - GUARD - 1));
		CHECK(!tuck__ctx_in_guard(c, c->stack->limit));
		for (int k = 0; k < i; k++)
			CHECK(labs(c->base - u[k].ctx.base) >=
			      BYTES + GUARD - 8192);
	}
	CHECK(!tuck__ctx_in_guard(&native, u[0].ctx.stack->limit - 1));
	for (int i = 0; i < 4; i++)
		finish(&u[i]);
	end();
}

/* Whatever was asked for: kernels protect whole pages, of up to 64 KiB. */
TEST(stacks_and_guards_are_whole_pages)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	struct user u[3];

	begin_with(2, 20000, 5000);
	for (int i = 0; i < 3; i++) {
		const struct tuck__ctx *c = &u[i].ctx;

		u[i] = (struct user){ .seed = i, .turns = 1 };
		if (i < 2)
			start_user(&u[i], i, 1);
		else
			CHECK_EQ(tuck__ctx_admit_own(&cache, &u[i].ctx, 20000,
						     park_with_bytes, &u[i]),
				 0);
		resume(&u[i]);
		CHECK_EQ((uintptr_t)c->stack->limit % page, 0);
		CHECK_EQ(c->stack->guard % page, 0);
		CHECK(c->base - c->stack->limit > 20000 - 4096);
	}
	tuck__cache_trim(&cache, &native);
	for (int i = 0; i < 3; i++)
		finish(&u[i]);
	end();
}

TEST(a_slot_opens_when_all_are_taken)
{
	struct user u[3];

	only_plain();
	begin(2);
	for (int i = 0; i < 2; i++) {
		start_user(&u[i], i, 5);
		resume(&u[i]);
	}
	CHECK_EQ(cache.open_n, 0);
	start_user(&u[2], 2, 5);
	CHECK_EQ(cache.open_n, 1);
	CHECK_EQ(cache.promised, 1);
	resume(&u[2]);
	CHECK_EQ(cache.promised, 0);
	CHECK(u[2].ctx.flags & TUCK__CTX_SHARED);
	CHECK(u[2].ctx.stack == u[0].ctx.stack ||
	      u[2].ctx.stack == u[1].ctx.stack);
	for (int n = 0; n < 3; n++)
		for (int i = 0; i < 3; i++)
			resume(&u[i]);
	for (int i = 0; i < 3; i++)
		finish(&u[i]);
	CHECK_EQ(cache.open_n, 0);
	CHECK_EQ(cache.vacant, 2);
	end();
}

TEST(a_vacant_slot_is_taken_again)
{
	struct user u;

	begin(3);
	for (int i = 0; i < 100; i++) {
		start_user(&u, i, 1);
		finish(&u);
	}
	CHECK_EQ(cache.slots_made, 1);
	CHECK_EQ(cache.vacant, 1);
	end();
}

TEST(those_that_never_start_give_their_promise_back)
{
	struct user u[10];

	begin(2);
	for (int n = 0; n < 5; n++) {
		for (int i = 0; i < 10; i++)
			start_user(&u[i], i, 1);
		CHECK_EQ(cache.promised, 10);
		for (int i = 0; i < 10; i++)
			tuck__ctx_retire(&cache, &u[i].ctx);
		CHECK_EQ(cache.promised, 0);
	}
	start_user(&u[0], 0, 1);
	finish(&u[0]);
	end();
}

/* -- reservation, and what a slice holds -- */

static void check_reserved(const struct user *u)
{
	const struct tuck__ctx *c = &u->ctx;
	size_t live = (size_t)(c->base - (char *)c->sp), room;

	if (u->state != 1 || !(c->flags & TUCK__CTX_SHARED))
		return;
	CHECK(c->slice);
	room = tuck__slice_class_bytes(c->slice_class);
	CHECK(room >= live);
	CHECK(room <= (live + live / 8) * 5 / 4 + 192);
}

TEST(who_shares_has_room_reserved)
{
	struct user u[6];

	begin(2);
	for (int i = 0; i < 6; i++) {
		start_user(&u[i], i, 20);
		for (int k = 0; k <= i; k++) {
			resume(&u[k]);
			for (int m = 0; m <= i; m++)
				check_reserved(&u[m]);
		}
	}
	for (int i = 0; i < 6; i++)
		finish(&u[i]);
	end();
}

/* u[0] is tucked away by u[1], on the one slot. */
static void tuck_first(struct user *u)
{
	begin(1);
	start_user(&u[0], 3, 2);
	start_user(&u[1], 4, 2);
	resume(&u[0]);
	CHECK(TUCK_TORMENT || u[0].ctx.tucked == 0);
	resume(&u[1]);
	CHECK(u[0].ctx.tucked);
	CHECK(u[0].ctx.stack == u[1].ctx.stack);
	CHECK(u[0].ctx.base == u[1].ctx.base);
}

static void finish_both(struct user *u)
{
	finish(&u[0]);
	finish(&u[1]);
	CHECK_EQ(cache.vacant, 1);
	end();
}

TEST(a_slice_holds_the_live_bytes)
{
	struct user u[2];
	struct tuck__ctx *c = &u[0].ctx;
	size_t live;
	char *copy;

	tuck_first(u);
	live = (size_t)(c->base - (char *)c->sp);
	CHECK(live > PAD && live < PAD + 1500);
	CHECK_EQ(tuck__ctx_slice_bytes(c), live);
	CHECK_EQ(c->tucked, live);
	copy = malloc(live);
	tuck__ctx_read(c, copy, c->sp, live);
	for (size_t i = 0; i < PAD; i++)
		CHECK_EQ(copy[u[0].pad - (char *)c->sp + (ptrdiff_t)i],
			 byte_of(3, i));
	take_for_defined(copy, live);
	take_for_defined(c->slice, live);
	CHECK_MEM(copy, c->slice, live);
	free(copy);
	finish_both(u);
}

TEST(copies_are_counted)
{
	struct user u[2];
	uint64_t switches, bytes;

	only_plain();
	tuck_first(u);
	switches = cache.copied_switches;
	bytes = cache.copied_bytes;
	CHECK_EQ(switches, 1);
	CHECK_EQ(bytes, u[0].ctx.tucked);
	resume(&u[1]);			/* resident: nothing to copy */
	CHECK_EQ(cache.copied_switches, switches);
	CHECK_EQ(cache.copied_bytes, bytes);
	resume(&u[0]);
	CHECK_EQ(cache.copied_switches, switches + 1);
	CHECK(cache.copied_bytes >= bytes + 2 * PAD);
	finish_both(u);
}

TEST(bytes_are_found_where_they_lie)
{
	struct user u[2];
	struct tuck__ctx *c = &u[0].ctx;
	char other;

	tuck_first(u);
	for (size_t i = 0; i < PAD; i++) {
		char *at = tuck__ctx_addr(c, u[0].pad + i);

		CHECK(at >= c->slice && at < c->slice + c->tucked);
		CHECK_EQ(*at, byte_of(3, i));
	}
	CHECK(tuck__ctx_addr(c, &other) == &other);
	CHECK(tuck__ctx_addr(c, c->base) == c->base);
	CHECK(tuck__ctx_addr(c, (char *)c->sp - 1) == (char *)c->sp - 1);
	CHECK(tuck__ctx_addr(c, c->sp) == c->slice);
	CHECK(tuck__ctx_addr(c, c->base - 1) == c->slice + c->tucked - 1);
	finish_both(u);
}

TEST(bytes_are_read_and_written_in_a_slice)
{
	struct user u[2];
	struct tuck__ctx *c = &u[0].ctx;
	char bytes[100], was[100];

	tuck_first(u);
	for (size_t i = 0; i < PAD - 100; i += 77) {
		tuck__ctx_read(c, was, u[0].pad + i, 100);
		for (size_t k = 0; k < 100; k++)
			CHECK_EQ(was[k], byte_of(3, i + k));
		memset(bytes, (int)i, sizeof(bytes));
		tuck__ctx_write(c, u[0].pad + i, bytes, 100);
		memset(bytes, 0, sizeof(bytes));
		tuck__ctx_read(c, bytes, u[0].pad + i, 100);
		for (size_t k = 0; k < 100; k++)
			CHECK_EQ(bytes[k], (char)i);
		tuck__ctx_write(c, u[0].pad + i, was, 100);
	}
	finish_both(u);		/* that checks all bytes of both */
}

/* Memory of others is what it is. */
TEST(bytes_elsewhere_are_read_and_written_directly)
{
	struct user u[2];
	int there = 5, here = 6;

	tuck_first(u);
	tuck__ctx_read(&u[0].ctx, &here, &there, sizeof(here));
	CHECK_EQ(here, 5);
	here = 9;
	tuck__ctx_write(&u[0].ctx, &there, &here, sizeof(here));
	CHECK_EQ(there, 9);
	finish_both(u);
}

TEST(errno_belongs_to_a_context)
{
	struct user u[2];

	begin(2);
	for (int i = 0; i < 2; i++) {
		start_user(&u[i], i, 3);
		errno = 11;
		resume(&u[i]);
		CHECK_EQ(errno, 11);
		u[i].ctx.err = 20 + i;
	}
	errno = 33;
	for (int i = 0; i < 2; i++) {
		resume(&u[i]);
		CHECK_EQ(errno, 33);
		CHECK_EQ(u[i].ctx.err, 20 + i);
		finish(&u[i]);
	}
	end();
}

/* -- holes -- */

#define HOLE 8192

struct holder {
	struct tuck__ctx ctx;
	char *buf;
	size_t skip, bytes;	/* of the hole in buf */
};

static void park_with_hole(void *arg)
{
	struct holder *h = arg;
	volatile char above[100], buf[HOLE], below[100];

	for (size_t i = 0; i < HOLE; i++)
		buf[i] = byte_of(1, i);
	for (size_t i = 0; i < 100; i++) {
		above[i] = byte_of(2, i);
		below[i] = byte_of(3, i);
	}
	h->buf = (char *)(uintptr_t)buf;
	tuck__ctx_hole(&h->ctx, h->buf + h->skip, h->bytes);
	suspend();
	tuck__ctx_unhole(&h->ctx);
	for (size_t i = 0; i < 100; i++) {
		CHECK_EQ(above[i], byte_of(2, i));
		CHECK_EQ(below[i], byte_of(3, i));
	}
	for (size_t i = 0; i < HOLE; i++)
		if (i < h->skip || i >= h->skip + h->bytes)
			CHECK_EQ(buf[i], byte_of(1, i));
	suspend();
}

/* Parks with a hole, is tucked by another; returns its slice's bytes. */
static size_t hole(struct holder *h, struct user *other, size_t skip,
		   size_t bytes)
{
	h->skip = skip;
	h->bytes = bytes;
	admit(&h->ctx, park_with_hole, h);
	CHECK_EQ(go_to(&h->ctx, 0), 1);
	start_user(other, 5, 2);
	resume(other);
	CHECK(h->ctx.tucked);
	return tuck__ctx_slice_bytes(&h->ctx);
}

static void end_hole(struct holder *h, struct user *other)
{
	size_t live;

	resume(other);		/* its bytes are right */
	CHECK_EQ(go_to(&h->ctx, 0), 1);
	finish(other);
	live = (size_t)(h->ctx.base - (char *)h->ctx.sp);
	start_user(other, 6, 2);
	resume(other);
	CHECK_EQ(tuck__ctx_slice_bytes(&h->ctx), live);
	tuck__ctx_retire(&cache, &h->ctx);
	finish(other);
}

TEST(a_hole_is_left_out)
{
	struct holder h = { .buf = NULL };
	struct user other;
	size_t live, bytes;

	begin(1);
	for (size_t skip = 0; skip < 70; skip += 3)
		for (size_t less = 0; less < 40; less += 7) {
			size_t n = HOLE - skip - less;

			bytes = hole(&h, &other, skip, n);
			live = (size_t)(h.ctx.base - (char *)h.ctx.sp);
			CHECK(bytes >= live - n);
			CHECK(bytes <= live - n + 32);
			end_hole(&h, &other);
		}
	end();
}

#define SMALL 400

/* What is copied below and above its hole is a few words. */
static void park_with_small_hole(void *arg)
{
	struct holder *h = arg;
	volatile char buf[SMALL];

	for (size_t i = 0; i < SMALL; i++)
		buf[i] = byte_of(1, i);
	h->buf = (char *)(uintptr_t)buf;
	tuck__ctx_hole(&h->ctx, h->buf + h->skip, h->bytes);
	suspend();
	for (size_t i = 0; i < SMALL; i++)
		if (i < h->skip || i >= h->skip + h->bytes)
			CHECK_EQ(buf[i], byte_of(1, i));
}

TEST(few_bytes_around_a_hole_are_kept)
{
	struct holder h = { .bytes = 256 };
	struct user other;

	begin(1);
	for (h.skip = 0; h.skip <= SMALL - 256; h.skip++) {
		admit(&h.ctx, park_with_small_hole, &h);
		CHECK_EQ(go_to(&h.ctx, 0), 1);
		start_user(&other, 5, 1);
		finish(&other);
		go_to(&h.ctx, 0);
	}
	end();
}

/* Its stack pointer may be wherever the ABI lets it be. */
static void park_below_pad(void *arg)
{
	struct holder *h = arg;
	volatile char buf[SMALL], *pad = __builtin_alloca(h->skip);
	size_t from = h->skip / 4 % 16;

	for (size_t i = 0; i < SMALL; i++)
		buf[i] = byte_of(1, i);
	for (size_t i = 0; i < h->skip; i++)
		pad[i] = byte_of(2, i);
	tuck__ctx_hole(&h->ctx, (char *)(uintptr_t)buf + from, 256);
	suspend();
	for (size_t i = 0; i < h->skip; i++)
		CHECK_EQ(pad[i], byte_of(2, i));
	for (size_t i = 0; i < SMALL; i++)
		CHECK(i - from < 256 || buf[i] == byte_of(1, i));
}

TEST(a_stack_pointer_may_be_anywhere)
{
	struct holder h = { .buf = NULL };
	struct user other;
	int seen[2] = { 0, 0 };

	begin(1);
	for (h.skip = TUCK__ARCH_ALIGN; h.skip < 600; h.skip += 4) {
		admit(&h.ctx, park_below_pad, &h);
		CHECK_EQ(go_to(&h.ctx, 0), 1);
		seen[(uintptr_t)h.ctx.sp % 16 / 8]++;
		start_user(&other, 5, 1);
		finish(&other);
		go_to(&h.ctx, 0);
	}
	CHECK(seen[0] && (seen[1] || TUCK__ARCH_ALIGN == 16));
	end();
}

TEST(tiny_and_foreign_holes_are_not_made)
{
	struct holder h = { .buf = NULL };
	struct user other;
	char elsewhere[1000];

	begin(1);
	hole(&h, &other, 100, 63);
	CHECK_EQ(h.ctx.hole_from, 0);
	end_hole(&h, &other);
	hole(&h, &other, 0, 100000);	/* beyond the base */
	CHECK_EQ(h.ctx.hole_from, 0);
	end_hole(&h, &other);
	admit(&h.ctx, park_with_hole, &h);
	h.bytes = 0;
	CHECK_EQ(go_to(&h.ctx, 0), 1);
	tuck__ctx_hole(&h.ctx, elsewhere, sizeof(elsewhere));
	CHECK_EQ(h.ctx.hole_from, 0);
	tuck__ctx_retire(&cache, &h.ctx);
	end();
}

TEST(bytes_around_a_hole_are_found)
{
	struct holder h = { .buf = NULL };
	struct user other;
	char all[HOLE], back[HOLE];

	begin(1);
	hole(&h, &other, 1000, 7000);
	tuck__ctx_read(&h.ctx, all, h.buf, HOLE);
	for (size_t i = 0; i < HOLE; i++) {
		char *at = tuck__ctx_addr(&h.ctx, h.buf + i);

		if (i >= 1000 && i < 8000)
			continue;
		CHECK_EQ(all[i], byte_of(1, i));
		CHECK_EQ(*at, byte_of(1, i));
		CHECK(at >= h.ctx.slice);
		CHECK(at < h.ctx.slice + tuck__ctx_slice_bytes(&h.ctx));
	}
	memset(all, 0x77, HOLE);
	tuck__ctx_write(&h.ctx, h.buf, all, HOLE);
	tuck__ctx_read(&h.ctx, back, h.buf, HOLE);
	for (size_t i = 0; i < HOLE; i++)
		CHECK(back[i] == 0x77 || (i >= 1000 && i < 8000));
	for (size_t i = 0; i < HOLE; i++)
		all[i] = byte_of(1, i);
	tuck__ctx_write(&h.ctx, h.buf, all, HOLE);
	end_hole(&h, &other);	/* the other's bytes are untouched, too */
	end();
}

/* -- stacks of their own, ends, and the lack of memory -- */

TEST(an_own_stack_is_never_copied)
{
	struct user u[3];

	begin(1);
	for (int i = 0; i < 3; i++) {
		u[i] = (struct user){ .seed = i, .turns = 10 };
		CHECK_EQ(tuck__ctx_admit_own(&cache, &u[i].ctx, 16384 << i,
					     park_with_bytes, &u[i]),
			 0);
		resume(&u[i]);
		CHECK(u[i].ctx.base - u[i].ctx.stack->limit >= 16384 << i);
		CHECK(tuck__ctx_in_guard(&u[i].ctx, u[i].ctx.stack->limit - 1));
	}
	for (int n = 0; n < 9; n++)
		for (int i = 0; i < 3; i++)
			resume(&u[i]);
	CHECK_EQ(cache.copied_bytes, 0);
	CHECK_EQ(cache.slots_made, 0);
	for (int i = 0; i < 2; i++)
		finish(&u[i]);
	tuck__ctx_retire(&cache, &u[2].ctx);
	end();
}

TEST(a_tucked_context_is_retired)
{
	struct user u[2];
	uint32_t cls;
	char *slice;

	tuck_first(u);
	slice = u[0].ctx.slice;
	cls = u[0].ctx.slice_class;
	tuck__ctx_retire(&cache, &u[0].ctx);
	CHECK(tuck__slice_get(&cache.slices, tuck__slice_class_bytes(cls),
			      &cls) == slice);
	tuck__slice_put(&cache.slices, slice, cls);
	resume(&u[1]);
	finish(&u[1]);
	CHECK_EQ(cache.vacant, 1);
	end();
}

TEST(a_resident_context_is_retired)
{
	struct user u[2];

	tuck_first(u);
	tuck__ctx_retire(&cache, &u[1].ctx);
	resume(&u[0]);
	finish(&u[0]);
	CHECK_EQ(cache.vacant, 1);
	end();
}

/* What the context that wants to leave got, without memory. */
static int refused;

/* From now on nobody gets a block. */
static void exhaust(void)
{
	uint32_t cls;

	tuck__fault_set(1, 1);
	for (size_t bytes = 65536; bytes; bytes -= 64)
		while (tuck__slice_get(&cache.slices, bytes, &cls))
			;
}

static void try_to_leave(void *arg)
{
	struct user *to = arg;
	volatile char pad[PAD];

	memset((char *)pad, 0x66, PAD);
	errno = 12;
	exhaust();
	refused = go_to(&to->ctx, 7);
	tuck__fault_set(0, 0);
	CHECK_EQ(errno, 12);
	for (size_t i = 0; i < PAD; i++)
		CHECK_EQ(pad[i], 0x66);
	CHECK_EQ(go_to(&native, 3), 0);
}

static void check_refusal(struct user *to)
{
	struct tuck__ctx c;

	admit(&c, try_to_leave, to);
	CHECK_EQ(go_to(&c, 0), 3);
	CHECK_EQ(refused, -ENOMEM);
	CHECK_EQ(stays, 1);
	CHECK_EQ(to->ctx.stack != NULL, to->state == 1);
	CHECK_EQ(cache.promised, to->state == 0);
	resume(to);
	CHECK_EQ(go_to(&c, 0), 0);	/* it ends */
	finish(to);
}

TEST(no_memory_to_tuck_from_refuses_the_switch)
{
	struct user u;

	begin(1);
	start_user(&u, 8, 3);
	check_refusal(&u);
	CHECK_EQ(cache.vacant, 1);
	end();
}

TEST(no_memory_to_tuck_from_for_one_that_was_tucked)
{
	struct user u;

	begin(1);
	start_user(&u, 8, 3);
	resume(&u);
	check_refusal(&u);
	CHECK_EQ(cache.vacant, 1);
	end();
}

TEST(admit_fails_without_memory_and_works_after)
{
	struct user u[3] = { 0 };

	begin(2);
	for (int i = 0; i < 3; i++) {
		for (long n = 1;; n++) {
			int r;

			u[i] = (struct user){ .seed = i, .turns = 4 };
			tuck__fault_set(n, 0);
			r = tuck__ctx_admit(&cache, &u[i].ctx, current,
					    park_with_bytes, &u[i]);
			tuck__fault_set(0, 0);
			if (r == 0)
				break;
			CHECK_EQ(r, -ENOMEM);
			CHECK_EQ(cache.promised, 0);
		}
		resume(&u[i]);
	}
	for (int i = 0; i < 3; i++)
		resume(&u[i]);
	for (int i = 0; i < 3; i++)
		finish(&u[i]);
	end();
}

/* -- anything goes -- */

#define USERS 40

static struct user users[USERS];

static void check_cache(void)
{
	uint32_t at_home = 0, lives = 0, new = 0;

	for (uint32_t i = 0; i < cache.slots_made; i++)
		lives += cache.slots[i].users;
	for (int i = 0; i < USERS; i++) {
		const struct tuck__ctx *c = &users[i].ctx;

		new += users[i].state == 0;
		at_home += users[i].state == 1;
		check_reserved(&users[i]);
		if (users[i].state == 1 && !TUCK_TORMENT)
			CHECK_EQ(!(c->flags & TUCK__CTX_ABSENT),
				 c->stack->top == c);
	}
	CHECK_EQ(at_home, lives);
	CHECK_EQ(new, cache.promised);
	CHECK(cache.promised <= cache.vacant || cache.open_n > 0);
	for (uint32_t i = 0; i < cache.open_n; i++)
		CHECK_EQ(cache.slots[cache.open[i]].place, i + 1);
}

static void random_life(size_t slots)
{
	unsigned random = (unsigned)slots * 9973;

	begin(slots);
	for (int i = 0; i < USERS; i++)
		users[i].state = 2;
	for (int n = 0; n < 6000; n++) {
		int i = rand_r(&random) % USERS;

		if (users[i].state == 2)
			start_user(&users[i], n, rand_r(&random) % 6);
		else if (rand_r(&random) % 8)
			resume(&users[i]);
		else {
			tuck__ctx_retire(&cache, &users[i].ctx);
			users[i].state = 2;
		}
		check_cache();
	}
	for (int i = 0; i < USERS; i++)
		finish(&users[i]);
	check_cache();
	end();
}

TEST(any_order_of_start_switch_and_end)
{
	static const size_t slots[] = { 1, 2, 3, 7, 39, 50 };

	for (int i = 0; i < 6; i++)
		random_life(slots[i]);
}
