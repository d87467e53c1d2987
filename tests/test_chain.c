/* SPDX-License-Identifier: MIT */
/*
 * Random programs of contexts with bases anywhere, on all kinds of stacks:
 * each checks all of its frames whenever it runs, and a model of who owns
 * which bytes of each stack says how many have to move in each switch, which
 * is how many do. CHAIN_SEED=n in the environment repeats one program.
 *
 * The least that overlap demands: before a context runs, all bytes of others
 * below its base go out, and its own that are not on its stack come in.
 *
 * Invariant of these tests: what lies on a stack is used by the context that
 * runs on it only; all the rest is static.
 */
#include <alloca.h>
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "blocks.h"
#include "stacks.h"

#define ACTORS	14
#define DEPTH	8
#define FRAME	2000		/* bytes, at most */
#define UNIT	TUCK__ARCH_ALIGN
#define WINDOW	(256 << 10)	/* bytes of a stack that the model knows */
#define UNITS	(WINDOW / UNIT)
#define NOBODY	(-1)

/* -- the model -- */

static struct region {
	char *limit, *end;		/* of the stack; end of the window */
	signed char owner[UNITS];	/* from end downwards */
} regions[16];

static struct actor {
	struct tuck_ctx own, *ctx;	/* main's is not its own */
	int id;
	struct tuck_stack *stack;
	struct region *region;
	char *base, *sp;
	bool alive;
	struct {
		unsigned char *at;
		size_t n;
		uint32_t key;
	} frames[DEPTH + 1];
	int depth;
} actors[ACTORS];

static struct actor *running;
static struct tuck_stack *borrowed, *owned;
static uint32_t seed, random_state;
static int steps, refusals;
static unsigned int look;	/* whose bytes are looked at next */
static bool faults;
static uint64_t moved;		/* bytes until the last switch */
static char *top;		/* of what of the native stack is known */

static uint32_t dice(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % n;
}

static struct region *region_of(const struct tuck_ctx_info *i)
{
	struct region *r = regions;

	while (r->limit && r->limit != i->limit)
		r++;
	CHECK(r < regions + 15);
	if (!r->limit) {
		r->limit = i->limit;
		r->end = (char *)i->end > top && (char *)i->limit < top ?
				 top :
				 i->end;
		memset(r->owner, NOBODY, sizeof(r->owner));
	}
	return r;
}

/* The units of the window below p: from there on they are below p. */
static size_t unit_below(const struct region *r, const char *p)
{
	size_t n = p < r->end ? (size_t)(r->end - p) / UNIT : 0;

	return n < UNITS ? n : UNITS;
}

static void disown(const struct actor *a)
{
	for (size_t u = 0; a->region && u < UNITS; u++)
		if (a->region->owner[u] == a->id)
			a->region->owner[u] = NOBODY;
}

/* What a has from its stack pointer upwards. */
static void own(struct actor *a)
{
	for (size_t u = unit_below(a->region, a->base);
	     u < unit_below(a->region, a->sp); u++)
		a->region->owner[u] = (signed char)a->id;
}

static size_t absent_units(const struct actor *a)
{
	size_t n = 0;

	for (size_t u = unit_below(a->region, a->base);
	     u < unit_below(a->region, a->sp); u++)
		n += a->region->owner[u] != a->id;
	return n;
}

static size_t evict_below(const struct actor *a)
{
	size_t n = 0;

	for (size_t u = unit_below(a->region, a->base); u < UNITS; u++)
		if (a->region->owner[u] != a->id &&
		    a->region->owner[u] != NOBODY) {
			a->region->owner[u] = NOBODY;
			n++;
		}
	return n;
}

/* from is suspended, or has ended, and to begins or goes on. */
static size_t model_switch(struct actor *from, struct actor *to)
{
	struct tuck_ctx_info i = info_of(from->ctx);
	bool begins = !to->alive;
	size_t units = 0;

	disown(from);
	from->alive = i.sp != NULL;
	if (from->alive) {
		from->sp = i.sp;
		own(from);
	}
	i = info_of(to->ctx);
	to->alive = true;
	to->base = i.base;
	to->region = region_of(&i);
	if (!begins)
		units = absent_units(to);
	units += evict_below(to);
	if (!begins)
		own(to);
	return units * UNIT;
}

/* Of a suspended one: what is in its slice, by what info says of it. */
static void check_slice(const struct actor *a, const struct tuck_ctx_info *i)
{
	size_t absent = absent_units(a) * UNIT;

	CHECK(i->sp == a->sp && i->base == a->base);
	CHECK_EQ(i->state == TUCK_CTX_TUCKED, i->slice_bytes > 0);
	CHECK_EQ(i->state == TUCK_CTX_TUCKED, i->slice != NULL);
	CHECK(i->slice_bytes <= (size_t)(a->base - a->sp));
	if (TUCK_TORMENT) {
		CHECK(i->slice_bytes >= absent);
	} else {
		CHECK_EQ(i->slice_bytes, absent);
		CHECK_EQ(i->state == TUCK_CTX_RESIDENT, absent == 0);
	}
}

static void check_states(void)
{
	for (int i = 0; i < ACTORS; i++) {
		const struct actor *a = &actors[i];
		struct tuck_ctx_info info = info_of(a->ctx);

		CHECK_EQ(info.state == TUCK_CTX_RUNNING, a == running);
		CHECK_EQ(info.state == TUCK_CTX_NEW ||
				 info.state == TUCK_CTX_ENDED,
			 !a->alive);
		if (a->alive && a != running)
			check_slice(a, &info);
		else
			CHECK(!info.slice && !info.slice_bytes);
	}
}

/*
 * Independently of all counters: the bytes of a suspended one's frames, read
 * from where the model says that they lie.
 */
static __attribute__((no_sanitize("address"))) void check_bytes(
	const struct actor *a)
{
	struct tuck_ctx_info info = info_of(a->ctx);
	size_t absent;

	if (!a->alive || a == running)
		return;
	absent = TUCK_TORMENT ? info.slice_bytes : absent_units(a) * UNIT;
	for (int f = 0; f <= a->depth; f++) {
		for (size_t k = 0; k < a->frames[f].n; k += 61) {
			char *p = (char *)a->frames[f].at + k;
			ptrdiff_t off = p - a->sp;

			if ((size_t)off < absent)
				p = (char *)info.slice + off;
			CHECK_EQ((unsigned char)*p,
				 byte_of(a->frames[f].key, k));
		}
	}
}

static uint64_t copied(void)
{
	return tuck__thread()->cache.copied_bytes;
}

/* -- the lack of memory -- */

/* Let a request from the system fail that a free block would have spared. */
static void begin_faults(void)
{
	hide_blocks();
	tuck__fault_set(1 + (long)dice(3), (int)dice(2));
}

static void end_faults(void)
{
	if (!faults)
		return;
	tuck__fault_set(0, 0);
	show_blocks();
}

/* -- programs -- */

/* Of the running actor's frames. */
static void verify_frames(void)
{
	for (int i = 0; i <= running->depth; i++)
		verify(running->frames[i].at, running->frames[i].n,
		       running->frames[i].key);
}

static void arrive(struct actor *self)
{
	struct actor *from = running;
	size_t must;
	uint64_t did;

	end_faults();
	running = self;
	must = model_switch(from, self);
	did = copied() - moved;
	if (did != must && !TUCK_TORMENT)
		check_fail(CHECK_AT, "seed %u, step %d: %llu bytes, not %zu",
			   seed, steps, (unsigned long long)did, must);
	check_states();
	check_bytes(&actors[++look % ACTORS]);
}

static void act(struct actor *self);

static struct tuck_ctx *live(void *arg)
{
	struct actor *self = arg;

	self->depth = -1;
	arrive(self);
	act(self);
	while (steps > 0 && dice(3))
		act(self);
	moved = copied();
	for (;;) {
		struct actor *next = &actors[dice(ACTORS)];

		if (next->alive && next != self)
			return next->ctx;
	}
}

/* Some base that stack may have; NULL for the one that is chosen. */
static char *some_base(const struct actor *a)
{
	struct tuck_ctx_info i;
	char *end;

	if (!a->stack || dice(4) == 0)
		return NULL;
	i = info_of(a->ctx);
	end = a->stack == tuck_stack_native() ? top : i.end;
	return end - dice(WINDOW / 3);
}

/* The running one goes on with another; what that said. */
static int hop_to(struct actor *a)
{
	moved = copied();
	if (faults && dice(3) == 0)
		begin_faults();
	return a->alive ? tuck_ctx_switch(a->ctx, NULL, NULL) :
			  tuck_ctx_start(a->ctx, live, a, NULL);
}

static void hop(struct actor *self)
{
	struct actor *a = &actors[steps > 0 ? dice(ACTORS) : 0];
	enum tuck_ctx_state was;
	char *base;
	int r;

	if (a == self)
		return;
	base = some_base(a);
	if (!a->alive)
		CHECK_EQ(tuck_ctx_set_base(a->ctx, base), 0);
	else if (a->id && dice(20) == 0) {
		disown(a);
		a->alive = false;
		CHECK_EQ(tuck_ctx_fini(a->ctx), 0);
		CHECK_EQ(tuck_ctx_init(a->ctx, a->stack, base), 0);
	}
	was = state_of(a->ctx);
	r = hop_to(a);
	if (r == 0) {
		arrive(self);
	} else {
		end_faults();
		CHECK_EQ(r, -ENOMEM);
		CHECK(faults);
		CHECK_EQ(copied(), moved);
		CHECK_EQ(state_of(a->ctx), was);
		CHECK(tuck_ctx_self() == self->ctx);
		check_states();
		refusals++;
	}
	verify_frames();
}

/* A frame of a random size. */
static void act(struct actor *self)
{
	size_t n = 1 + dice(FRAME);
	unsigned char *at = alloca(n);
	uint32_t key = dice(1 << 20);

	fill(at, n, key);
	self->depth++;
	self->frames[self->depth].at = at;
	self->frames[self->depth].n = n;
	self->frames[self->depth].key = key;
	for (;;) {
		uint32_t what = dice(8);

		if (what == 0 || (steps <= 0 && self->id == 0))
			break;
		if (what < 4 && self->depth < DEPTH)
			act(self);
		else
			hop(self);
		steps--;
	}
	verify(at, n, key);
	self->depth--;
}

static struct tuck_stack *stack_for(int id)
{
	return id % 5 == 0 ? NULL :
	       id % 5 < 3  ? tuck_stack_native() :
	       id % 5 == 3 ? borrowed :
			     owned;
}

static void run_program(uint32_t n, int length)
{
	struct tuck_ctx_info i = info_of(tuck_ctx_self());

	seed = n;
	random_state = n * 2654435761u | 1;
	steps = length;
	memset(regions, 0, sizeof(regions));
	memset(actors, 0, sizeof(actors));
	for (int id = 0; id < ACTORS; id++) {
		struct actor *a = &actors[id];

		a->id = id;
		a->ctx = id ? &a->own : tuck_ctx_self();
		a->stack = stack_for(id);
		if (id)
			CHECK_EQ(tuck_ctx_init(a->ctx, a->stack, NULL), 0);
	}
	running = &actors[0];
	running->alive = true;
	running->base = i.base;
	running->region = region_of(&i);
	running->depth = -1;
	while (steps > 0)
		act(running);
	for (int id = 1; id < ACTORS; id++)
		CHECK_EQ(tuck_ctx_fini(actors[id].ctx), 0);
}

/* top is an address of its caller: what is above it stays. */
static __attribute__((noinline)) void run_programs(uint32_t first, uint32_t n)
{
	const struct tuck_config two = { .stack_slots = 2,
					 .slot_bytes = 256 << 10 };
	const char *only = getenv("CHAIN_SEED");
	char *memory = malloc(WINDOW), mark;

	top = (char *)((uintptr_t)&mark & -(uintptr_t)4096) - 4096;
	while (tuck__arch_sp() > (uintptr_t)top)
		KEEP(alloca(512));
	CHECK_EQ(tuck_config_set(&two), 0);
	borrowed = tuck_stack_from(memory, WINDOW);
	owned = tuck_stack_new(WINDOW - 8192);
	CHECK(borrowed && owned);
	if (only) {
		first = (uint32_t)strtoul(only, NULL, 10);
		n = 1;
	}
	for (uint32_t i = 0; i < n; i++)
		run_program(first + i, 400);
	fprintf(stderr, "# %llu bytes moved, %d refusals\n",
		(unsigned long long)copied(), refusals);
	CHECK(only || copied() > n * 100000);
	CHECK_EQ(tuck_stack_free(borrowed), 0);
	CHECK_EQ(tuck_stack_free(owned), 0);
	free(memory);
}

#define PROGRAMS (UNDER_TSAN ? 6 : 120)

TEST_LIMIT(a_switch_moves_the_least_that_overlap_demands, 60)
{
	NOT_UNDER_MSAN("six programs take minutes");
	run_programs(1, PROGRAMS);
}

TEST_LIMIT(nothing_is_lost_for_want_of_memory, 60)
{
	NOT_UNDER_MSAN("six programs take minutes");
	NOT_UNDER_TSAN("it has too few programs for that");
	faults = true;
	run_programs(100001, PROGRAMS);
	CHECK(refusals > 100);
}
