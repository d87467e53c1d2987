/* SPDX-License-Identifier: MIT */
/*
 * Slots: the stacks of a proc, reserved in one mapping, each with a guard
 * below it. A context gets its slot when it first runs and keeps it for
 * life, since its addresses are in it.
 *
 * A slot is *vacant* (nobody lives on it), *private* (one context does, and
 * is never tucked) or *open* (any number may; each reserves a block before
 * it is suspended, so that it can always be tucked).
 *
 * Invariants:
 * 1. While more contexts are promised a stack than slots are vacant, at
 *    least one slot is open: so starting a context cannot fail.
 * 2. Every suspended context that lives on an open slot has a block that
 *    holds it. So nothing on the way of a switch allocates.
 * 3. Guards belong to slots: their number does not grow with contexts.
 * 4. The slots of a process take half of its memory maps, and FLOOR more of
 *    each cache: with many procs there is room for threads and allocators.
 *
 * Why not otherwise: opening a slot when a start needs it would have to
 * allocate a block for its suspended resident at a place where nobody can be
 * told that there is no memory; a prototype crashed in each of 46 injected
 * failures. A guard per context takes two memory maps each, of which Linux
 * grants 65,530 to a process.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/mem.h"
#include "ctx/slices.h"
#include "ctx/slots.h"

#define SETS	((size_t)4096)	/* bytes of a first-level cache's way */
#define FLOOR	64		/* slots that each cache may have */

/*
 * Newcomers share this many of the open slots. More would only be colder: with
 * thousands of contexts that run in turn hardly one finds its slot as it left
 * it anyway, and these are in the second-level cache, and the TLB, when their
 * turn comes.
 */
#define BUSY_MAX	64

static atomic_size_t slots_of_process;

/* Addresses for n slots, or NULL. */
static char *reserve(const struct tuck__cache *c, uint32_t n, size_t *ret_bytes)
{
	size_t each = c->slot_bytes + c->guard_bytes;

	if (__builtin_mul_overflow(each, n, ret_bytes) ||
	    __builtin_add_overflow(*ret_bytes, c->guard_bytes, ret_bytes))
		return NULL;
	return tuck__map_reserve(*ret_bytes);
}

/*
 * With fewer slots where addresses are few, as under RLIMIT_AS. Then it takes
 * one or at most a quarter of what there is: other threads want some, too.
 */
static uint32_t reserve_most(struct tuck__cache *c)
{
	uint32_t n = c->slots_max;

	while (!(c->region = reserve(c, n, &c->region_bytes)) && n > 1)
		n /= 2;
	if (!c->region || n == c->slots_max || n == 1)
		return n;
	tuck__unmap(c->region, c->region_bytes);
	n = n > 4 ? n / 4 : 1;
	c->region = reserve(c, n, &c->region_bytes);
	return n;
}

static int reserve_region(struct tuck__cache *c)
{
	uint32_t n;

	c->slots = tuck__alloc(c->slots_max * sizeof(c->slots[0]));
	c->open = tuck__alloc(c->slots_max * sizeof(c->open[0]));
	n = c->slots && c->open ? reserve_most(c) : 0;
	if (c->region) {
		c->slots_max = n;
		return 0;
	}
	tuck__free(c->slots);
	tuck__free(c->open);
	c->slots = NULL;
	c->open = NULL;
	return -ENOMEM;
}

/*
 * Bases are staggered over the sets of the first-level cache; without that,
 * the live ends of all stacks compete for the same few lines.
 */
static size_t stagger(uint32_t i)
{
	return TUCK__STACK_PAD + (size_t)i * 320 % (SETS - TUCK__STACK_PAD);
}

static void vacate(struct tuck__cache *c, struct tuck__stack *s)
{
	s->next_vacant = c->vacant_list;
	c->vacant_list = s;
	c->vacant++;
}

static struct tuck__stack *take_vacant(struct tuck__cache *c)
{
	struct tuck__stack *s = c->vacant_list;

	c->vacant_list = s->next_vacant;
	c->vacant--;
	return s;
}

/* Two maps for a slot: its pages, and the guard between it and the next. */
static bool too_many_maps(const struct tuck__cache *c)
{
	return c->slots_made >= FLOOR &&
	       atomic_load(&slots_of_process) >= tuck__maps_max() / 2 / 2;
}

static int make_slot(struct tuck__cache *c)
{
	uint32_t i = c->slots_made;
	struct tuck__stack *s;
	char *limit;

	if (i == c->slots_max || too_many_maps(c) ||
	    (!c->region && reserve_region(c) < 0))
		return -ENOMEM;
	limit = c->region + c->guard_bytes +
		i * (c->slot_bytes + c->guard_bytes);
	if (tuck__map_commit(limit, c->slot_bytes) < 0)
		return -ENOMEM;
	s = &c->slots[i];
	s->limit = limit;
	s->base = limit + c->slot_bytes - stagger(i) / 64 * 64;
	s->guard = c->guard_bytes;
	s->reach = s->base;
	s->kind = TUCK__STACK_SLOT;
	s->owner = c;
	tuck__note_stack(&s->annotated, limit, limit + c->slot_bytes);
	c->slots_made++;
	atomic_fetch_add(&slots_of_process, 1);
	vacate(c, s);
	return 0;
}

static void open_slot(struct tuck__cache *c, struct tuck__stack *s)
{
	c->open[c->open_n++] = (uint32_t)(s - c->slots);
	s->place = c->open_n;
}

static void close_slot(struct tuck__cache *c, struct tuck__stack *s)
{
	uint32_t last = c->open[--c->open_n];

	c->open[s->place - 1] = last;
	c->slots[last].place = s->place;
	s->place = 0;
}

/* The sole user of a private slot must be ready to be tucked from now on. */
static int open_private(struct tuck__cache *c, struct tuck__stack *s,
			struct tuck__ctx *running)
{
	struct tuck__ctx *user = s->top;

	/* Under torment it is tucked already, and reserves in any case. */
	if (user && user != running && tuck__ctx_reserve(c, user) < 0)
		return -ENOMEM;
	if (user)
		user->flags |= TUCK__CTX_SHARED;
	open_slot(c, s);
	return 0;
}

/* Open one more slot, if there is one that is not open yet. */
static int open_another(struct tuck__cache *c, struct tuck__ctx *running)
{
	if (c->open_n == c->slots_made)
		return c->open_n ? 0 : -ENOMEM;
	if (c->vacant) {
		open_slot(c, take_vacant(c));
		return 0;
	}
	while (c->slots[c->hand %= c->slots_made].place)
		c->hand++;
	return open_private(c, &c->slots[c->hand], running);
}

static inline bool invariant_1(const struct tuck__cache *c)
{
	return c->promised <= c->vacant || c->open_n > 0;
}

int tuck__slots_promise(struct tuck__cache *c, struct tuck__ctx *running)
{
	if (c->promised >= c->vacant && make_slot(c) < 0 &&
	    open_another(c, running) < 0)
		return -ENOMEM;
	c->promised++;
	TUCK__EXPENSIVE(invariant_1(c));
	return 0;
}

void tuck__slots_release(struct tuck__cache *c)
{
	c->promised--;
}

static uint32_t dice(struct tuck__cache *c)
{
	c->dice = c->dice * 1664525 + 1013904223;	/* Knuth's LCG */
	return c->dice >> 8;
}

static bool calmer(const struct tuck__stack *a, const struct tuck__stack *b)
{
	return a->users != b->users ? a->users < b->users :
				      a->traffic < b->traffic;
}

/*
 * Of two open slots the one with fewer users or less copying: the power of
 * two choices (Mitzenmacher, 1996) keeps them even without a search.
 */
static struct tuck__stack *pick_open(struct tuck__cache *c)
{
	uint32_t n = c->open_n < BUSY_MAX ? c->open_n : BUSY_MAX;
	struct tuck__stack *a, *b;

	a = &c->slots[c->open[c->hand++ % n]];
	b = &c->slots[c->open[dice(c) % n]];
	a->traffic -= a->traffic / 8;
	return calmer(b, a) ? b : a;
}

struct tuck__stack *tuck__slots_take(struct tuck__cache *c,
				     struct tuck__ctx *ctx)
{
	struct tuck__stack *s;

	c->promised--;
	if (c->vacant) {
		s = take_vacant(c);
	} else {
		TUCK__ASSERT(c->open_n > 0);
		s = pick_open(c);
		if (s->users == 0 && c->promised == 0)
			close_slot(c, s);
	}
	if (s->place)
		ctx->flags |= TUCK__CTX_SHARED;
	s->users++;
	return s;
}

void tuck__slots_leave(struct tuck__cache *c, struct tuck__stack *s)
{
	if (--s->users > 0)
		return;
	if (s->place && c->open_n == 1 && c->promised > c->vacant + 1)
		return;		/* invariant 1 may need it open */
	if (s->place)
		close_slot(c, s);
	vacate(c, s);
	TUCK__EXPENSIVE(invariant_1(c));
}

void tuck__slots_untake(struct tuck__cache *c, struct tuck__ctx *ctx)
{
	c->promised++;
	tuck__slots_leave(c, ctx->stack);
	ctx->stack = NULL;
	ctx->flags &= (uint8_t)~TUCK__CTX_SHARED;
}

static void trim(struct tuck__cache *c, struct tuck__stack *s,
		 const struct tuck__ctx *running)
{
	struct tuck__ctx *top = s->top;
	uintptr_t end = (uintptr_t)s->limit + c->slot_bytes;

	if (top && (top == running || top->above))
		return;
	if (top && s->place) {
		tuck__ctx_tuck(c, top, top->base);
		top->flags |= TUCK__CTX_ABSENT;
		s->top = top->above;
	} else if (top) {
		end = (uintptr_t)top->sp & -tuck__page_bytes();
	}
	tuck__map_forget(s->limit, end - (uintptr_t)s->limit);
}

void tuck__cache_trim(struct tuck__cache *c, struct tuck__ctx *running)
{
	for (uint32_t i = 0; i < c->slots_made; i++)
		trim(c, &c->slots[i], running);
}

void tuck__slots_fini(struct tuck__cache *c)
{
	for (uint32_t i = 0; i < c->slots_made; i++)
		tuck__note_no_stack(&c->slots[i].annotated);
	atomic_fetch_sub(&slots_of_process, c->slots_made);
	tuck__unmap(c->region, c->region_bytes);
	tuck__free(c->slots);
	tuck__free(c->open);
	c->region = NULL;
	c->slots = NULL;
	c->open = NULL;
}
