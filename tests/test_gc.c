/* SPDX-License-Identifier: MIT */
/*
 * A real collector, Boehm's libgc: it finds the objects that only a suspended
 * context's stack or registers refer to, wherever its bytes lie, and collects
 * those of contexts that have ended. docs/contexts.md explains the recipe.
 */
#include <gc/gc.h>
#include <gc/gc_mark.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <tuck/ctx.h>

#include "trace.h"

#define CONTEXTS 60

/* -- the recipe -- */

static struct tuck_ctx *creator;
static struct tuck_ctx contexts[CONTEXTS];
static struct GC_stack_base native;
static void *gc_thread;
static GC_push_other_roots_proc push_stacks;

static void push_range(void *arg, void *from, void *to)
{
	(void)arg;
	GC_push_all_eager(from, to);
}

/* Called by the collector, in the thread whose contexts these are. */
static void push_contexts(void)
{
	struct tuck_ctx *self = tuck_ctx_self();
	struct GC_stack_base base = native;
	struct tuck_ctx_info info;

	/* The running one's stack is what libgc takes for the thread's. */
	if (self != creator && tuck_ctx_info(self, &info) == 0)
		base.mem_base = info.base;
	GC_set_stackbottom(gc_thread, &base);
	push_stacks();
	GC_set_stackbottom(gc_thread, &native);
	if (self != creator)
		tuck_ctx_ranges(creator, push_range, NULL);
	for (int i = 0; i < CONTEXTS; i++)
		if (&contexts[i] != self)
			tuck_ctx_ranges(&contexts[i], push_range, NULL);
}

static void begin(bool registered)
{
	use_slots(1);
	GC_INIT();
	creator = tuck_ctx_self();
	CHECK(creator);
	gc_thread = GC_get_my_stackbottom(&native);
	push_stacks = GC_get_push_other_roots();
	if (registered)
		GC_set_push_other_roots(push_contexts);
}

/* -- objects -- */

#define WORDS 14
#define DEPTH 8			/* frames of a context */
#define HELD  (2 * (DEPTH + 2))	/* objects of a context */

/* All that refers to the second one is the first. */
struct object {
	struct object *next;
	uint64_t id;
	uint64_t words[WORDS];
};

/* No pointers are here, since static data are roots. */
static uint64_t made, collected;
static int n_tucked;		/* in all collections */
static unsigned char is_collected[1 << 20];

static void GC_CALLBACK on_collected(void *object, void *id)
{
	(void)object;
	is_collected[(uintptr_t)id] = 1;
	collected++;
}

static struct object *new_object(struct object *next)
{
	struct object *o = GC_MALLOC(sizeof(*o));

	CHECK(o && made + 1 < sizeof(is_collected));
	o->next = next;
	o->id = ++made;
	for (uint64_t i = 0; i < WORDS; i++)
		o->words[i] = o->id * 31 + i;
	GC_register_finalizer_no_order(o, on_collected,
				       (void *)(uintptr_t)o->id, NULL, NULL);
	return o;
}

static __attribute__((noinline)) struct object *new_pair(void)
{
	return new_object(new_object(NULL));
}

/* How many objects of a pair are lost; the first one made has this id. */
static __attribute__((noinline)) int lost(const struct object *o, uint64_t id)
{
	int n = is_collected[id] + is_collected[id + 1];

	if (n)
		return n;
	for (; o; o = o->next, id--)
		for (uint64_t i = 0; i < WORDS; i++)
			if (o->words[i] != o->id * 31 + i)
				return 2;
	return 0;
}

enum kind { NATIVE, SLOT, OWN, KINDS };

/*
 * Of those that share the slot and the native stack all but one are in
 * slices, so what they hold is found there or not at all.
 */
static void check_tucked(void)
{
	int waiting[KINDS] = { 0 }, tucked[KINDS] = { 0 };
	struct tuck_ctx_info info;

	for (int i = 0; i < CONTEXTS; i++) {
		if (tuck_ctx_info(&contexts[i], &info) < 0 || !info.sp)
			continue;
		waiting[i % KINDS]++;
		tucked[i % KINDS] += info.state == TUCK_CTX_TUCKED &&
				     info.slice && info.slice_bytes;
	}
	CHECK(tucked[SLOT] >= waiting[SLOT] - 1);
	CHECK(tucked[NATIVE] >= waiting[NATIVE] - 1);
	n_tucked += tucked[SLOT] + tucked[NATIVE];
}

/* Collect all, and let others have the memory. */
static __attribute__((noinline)) void collect(void)
{
	check_tucked();
	GC_gcollect();
	GC_invoke_finalizers();
	for (int i = 0; i < 200; i++)
		memset(GC_MALLOC(sizeof(struct object)), 0xee,
		       sizeof(struct object));
}

/* -- contexts that hold them -- */

static struct tuck_stack *stacks[CONTEXTS];
static unsigned char is_alive[CONTEXTS], is_dropped[CONTEXTS];
static uint64_t held[CONTEXTS];		/* the first id of what it holds */
static int n_lost;			/* noticed by those who held them */
static bool collect_inside, enough;

static void go_home(void)
{
	CHECK_EQ(tuck_ctx_switch(creator, NULL, NULL), 0);
}

static void look(const struct object *o, uint64_t id)
{
	n_lost += lost(o, id);
}

static void wait_holding(void)
{
	struct object *in_register = new_pair();
	uint64_t id = in_register->id - 1;

	while (!enough) {
		go_home();
		if (collect_inside)
			collect();
		__asm__ volatile("" : "+r"(in_register));
		look(in_register, id);
	}
}

/* A pair in each frame, so from end to end of its bytes. */
static __attribute__((noinline)) void hold_from(int depth)
{
	struct object *volatile in_frame = new_pair();
	volatile uint64_t id = in_frame->id - 1;

	if (depth)
		hold_from(depth - 1);
	else
		wait_holding();
	look(in_frame, id);
}

static struct tuck_ctx *hold(void *arg)
{
	int self = (int)(intptr_t)arg;

	held[self] = made + 1;
	hold_from(DEPTH);
	is_alive[self] = 0;
	return creator;
}

static void start(int i, tuck_ctx_fn *fn)
{
	enum kind kind = (enum kind)(i % KINDS);

	stacks[i] = kind == NATIVE ? tuck_stack_native() :
		    kind == OWN	   ? tuck_stack_new(65536) :
				     NULL;
	CHECK_EQ(tuck_ctx_init(&contexts[i], stacks[i], NULL), 0);
	is_alive[i] = 1;
	CHECK_EQ(tuck_ctx_start(&contexts[i], fn, (void *)(intptr_t)i, NULL),
		 0);
}

static void resume(int i)
{
	CHECK_EQ(tuck_ctx_switch(&contexts[i], NULL, NULL), 0);
}

static void start_all(void)
{
	for (int i = 0; i < CONTEXTS; i++)
		start(i, hold);
}

static void resume_all(void)
{
	for (int i = 0; i < CONTEXTS; i++)
		if (is_alive[i])
			resume(i);
}

static void drop(int i)
{
	CHECK_EQ(tuck_ctx_fini(&contexts[i]), 0);
	if (i % KINDS == OWN)
		CHECK_EQ(tuck_stack_free(stacks[i]), 0);
	is_alive[i] = 0;
	is_dropped[i] = 1;
}

static void end_all(void)
{
	enough = true;
	resume_all();
	for (int i = 0; i < CONTEXTS; i++)
		if (!is_dropped[i])
			drop(i);
}

TEST_LIMIT(what_suspended_contexts_hold_is_found, 60)
{
	begin(true);
	start_all();
	for (int i = 0; i < 5; i++) {
		collect();
		resume_all();
	}
	CHECK_EQ(made, HELD * CONTEXTS);
	CHECK_EQ(collected, 0);
	CHECK(n_tucked >= 5 * (CONTEXTS * 2 / 3 - 2));
	end_all();
	CHECK_EQ(n_lost, 0);
}

TEST_LIMIT(collections_begin_in_any_context, 60)
{
	uint32_t random = 77;
	struct object *volatile mine;

	begin(true);
	mine = new_pair();	/* held by the creator's suspended frame */
	start_all();
	collect_inside = true;
	for (int i = 0; i < 300; i++)
		resume((int)(next_random(&random) % CONTEXTS));
	CHECK_EQ(lost(mine, 1), 0);
	CHECK_EQ(collected, 0);
	CHECK(n_tucked >= 300 * (CONTEXTS * 2 / 3 - 2));
	end_all();
	CHECK_EQ(n_lost, 0);
}

/* Half of the contexts end, or are dropped where they wait. */
TEST_LIMIT(what_ended_contexts_held_is_collected, 60)
{
	begin(true);
	start_all();
	collect();
	CHECK_EQ(collected, 0);
	for (int i = 0; i < CONTEXTS / 2; i++) {
		enough = i % 2;
		if (enough)
			resume(i);
		else
			drop(i);
	}
	enough = false;
	for (int i = 0; i < 3; i++) {
		collect();
		resume_all();
	}
	fprintf(stderr, "# %d of %d collected\n", (int)collected,
		CONTEXTS / 2 * HELD);
	/* A conservative collector may be deceived by some old bytes. */
	CHECK(collected >= CONTEXTS / 2 * HELD * 9 / 10);
	for (int i = CONTEXTS / 2; i < CONTEXTS; i++)
		for (int k = 0; k < HELD; k++)
			CHECK(!is_collected[held[i] + (uint64_t)k]);
	end_all();
	CHECK_EQ(n_lost, 0);
}

/* Without the recipe, the same things do get lost. */
TEST_LIMIT(without_roots_they_are_lost, 60)
{
	CHECK_DIES(3, "lost", {
		begin(false);
		start_all();
		collect();
		collect();
		end_all();
		fprintf(stderr, "%d of %d were lost\n", n_lost,
			HELD * CONTEXTS);
		exit(n_lost > HELD * CONTEXTS / 2 ? 3 : 4);
	});
}

/* -- registers -- */

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)

#define HIDE(p) (~(uintptr_t)(p))

static uintptr_t hidden;

struct search {
	uintptr_t word;
	int found;
};

static void count_word(void *arg, void *from, void *to)
{
	struct search *s = arg;

	for (uintptr_t *p = from; p + 1 <= (uintptr_t *)to; p++)
		s->found += *p == s->word;
}

/* Nothing of it stays but in a register that calls preserve. */
static struct tuck_ctx *hold_in_register(void *arg)
{
	struct object *o = arg = new_object(NULL);

	hidden = HIDE(o);
	for (int i = 0; i < 3; i++) {
		__asm__ volatile("" : "+r"(o));
		go_home();
	}
	look(o, 1);
	return creator;
}

TEST(what_only_a_register_holds_is_found)
{
	struct search s = { 0, 0 };
	struct tuck_ctx_info info;

	NOT_UNDER_TSAN("its calls keep registers on the stack");
	begin(true);
	start(1, hold_in_register);
	CHECK_EQ(tuck_ctx_info(&contexts[1], &info), 0);
	s.word = HIDE(hidden);
#ifndef __clang__	/* has it pushed by what is called before */
	char *frame = tuck_ctx_addr(&contexts[1], info.sp);
	count_word(&s, frame, frame + tuck_ctx_frame_bytes());
	CHECK_EQ(s.found, 1);
	s.found = 0;
#endif
	CHECK(tuck_ctx_ranges(&contexts[1], count_word, &s) > 0);
	CHECK_EQ(s.found, 1);
	s.word = 0;
	for (int i = 0; i < 3; i++) {
		collect();
		CHECK_EQ(collected, 0);
		resume(1);
	}
	CHECK_EQ(n_lost, 0);
	collect();
	CHECK_EQ(collected, 1);
}

#endif
