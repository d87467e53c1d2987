/* SPDX-License-Identifier: MIT */
/* Looking into suspended contexts of each kind, and changing them. */
#include <alloca.h>
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "ctx/flow.h"
#include "ctx/slices.h"
#include "stacks.h"

#define PAD 600

/* A context that waits three calls deep. */
static struct subject {
	struct tuck_ctx ctx, *back;
	unsigned char *pad;
	int turns;
	bool no_value;	/* it will not get the next one */
} subject;

static struct tuck_ctx cover;	/* lies where the subject lay */
static struct tuck_stack *away;	/* of the observer */

/* Where inner, middle and outer return to. */
static void *returns[3];

static __attribute__((noinline)) void inner(struct subject *s)
{
	volatile unsigned char pad[PAD];

	returns[0] = RETURN_ADDRESS();
	fill(pad, PAD, 3);
	s->pad = (unsigned char *)(uintptr_t)pad;
	while (s->turns-- > 0) {
		CHECK(pass(s->back, s) == s || s->no_value);
		s->no_value = false;
		verify(pad, PAD, 3);
	}
}

static __attribute__((noinline)) void middle(struct subject *s)
{
	volatile unsigned char pad[PAD];

	returns[1] = RETURN_ADDRESS();
	fill(pad, PAD, 2);
	inner(s);
	verify(pad, PAD, 2);
}

static __attribute__((noinline)) struct tuck_ctx *outer(void *arg)
{
	struct subject *s = arg;
	volatile unsigned char pad[PAD];

	returns[2] = RETURN_ADDRESS();
	fill(pad, PAD, 1);
	middle(s);
	verify(pad, PAD, 1);
	return s->back;
}

static struct tuck_ctx *echo(void *arg)
{
	for (;;)
		pass(arg, NULL);
	return NULL;
}

/* Of others with its base or a higher one. */
static void tuck_subject(enum kind kind)
{
	init(&cover, kind);
	if (kind != SLOT)
		CHECK_EQ(tuck_ctx_set_base(&cover, info_of(&subject.ctx).base),
			 0);
	start(&cover, echo, tuck_ctx_self());
	CHECK_EQ(state_of(&subject.ctx), TUCK_CTX_TUCKED);
}

static void with_subject(enum kind kind, bool tucked, void (*check)(void))
{
	subject.back = tuck_ctx_self();
	subject.turns = 4;
	init(&subject.ctx, kind);
	start(&subject.ctx, outer, &subject);
	if (tucked)
		tuck_subject(kind);
	else if (!TUCK_TORMENT)
		CHECK_EQ(state_of(&subject.ctx), TUCK_CTX_RESIDENT);
	check();
	if (tucked)
		pass(&cover, NULL);
	while (suspended(&subject.ctx))
		pass(&subject.ctx, &subject);
	CHECK_EQ(subject.turns, -1);
	fini(&subject.ctx);
	if (tucked)
		fini(&cover);
}

static void (*observation)(void);

static struct tuck_ctx *observe(void *arg)
{
	observation();
	return arg;
}

/* From a stack of its own, so that all kinds may be resident. */
static void from_away(void (*fn)(void))
{
	const struct tuck_config one = { .stack_slots = 1 };
	struct tuck_ctx ctx;

	CHECK_EQ(tuck_config_set(&one), 0);
	away = tuck_stack_new(STACK_BYTES);
	CHECK(away);
	CHECK_EQ(tuck_ctx_init(&ctx, away, NULL), 0);
	observation = fn;
	start(&ctx, observe, tuck_ctx_self());
	fini(&ctx);
	CHECK_EQ(tuck_stack_free(away), 0);
	free_stacks();
}

static void (*to_check)(void);

static void check_all_kinds(void)
{
	for (enum kind kind = 0; kind < KINDS; kind++)
		for (int tucked = 0; tucked < 2; tucked++)
			with_subject(kind, tucked, to_check);
}

static void for_each_subject(void (*check)(void))
{
	to_check = check;
	from_away(check_all_kinds);
}

static bool within(const void *p, const void *from, const void *to)
{
	return (const char *)p >= (const char *)from &&
	       (const char *)p < (const char *)to;
}

/* -- info -- */

static int alone;		/* subjects on a stack of their own */

static void check_info(void)
{
	struct tuck_ctx_info i = info_of(&subject.ctx);
	size_t live = (size_t)((char *)i.base - (char *)i.sp);

	CHECK(within(i.sp, i.limit, i.base));
	CHECK((char *)i.base <= (char *)i.end);
	CHECK(within(subject.pad, i.sp, i.base));
	CHECK(live > 3 * PAD && live < 3 * PAD + 6000);
	CHECK_EQ((uintptr_t)i.sp % TUCK__ARCH_ALIGN, 0);
	CHECK(i.slice_bytes <= live);
	if (i.state == TUCK_CTX_RESIDENT) {
		CHECK(!i.slice && !i.slice_bytes);
		alone += !i.shared;
		return;
	}
	CHECK(i.slice);
	CHECK(i.shared || TUCK_TORMENT);
	CHECK_EQ(i.slice_bytes, live);
	CHECK(!within(i.slice, i.limit, i.end));
	verify((unsigned char *)i.slice + (subject.pad - (unsigned char *)i.sp),
	       PAD, 3);
}

TEST(info_of_suspended_contexts)
{
	for_each_subject(check_info);
	CHECK(alone > 0 || TUCK_TORMENT);
}

static struct tuck_ctx *at_once(void *arg)
{
	return arg;
}

static void check_idle(const struct tuck_ctx *ctx, enum tuck_ctx_state state,
		       enum kind kind)
{
	struct tuck_ctx_info i = info_of(ctx);

	CHECK_EQ(i.state, state);
	CHECK(!i.sp && !i.slice && !i.slice_bytes);
	CHECK_EQ(!i.limit, kind == SLOT);
	CHECK_EQ(!i.end, kind == SLOT);
	CHECK_EQ(!i.base, kind == SLOT || kind == NATIVE);
	if (i.base)
		CHECK(i.base == i.end);
	CHECK(tuck_ctx_addr(ctx, &i) == &i);
}

TEST(info_of_those_that_do_not_run)
{
	struct tuck_ctx ctx;
	struct tuck_ctx_info i;

	CHECK_EQ(tuck_ctx_info(NULL, &i), -EINVAL);
	CHECK_EQ(tuck_ctx_info(tuck_ctx_self(), NULL), -EINVAL);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		init(&ctx, kind);
		check_idle(&ctx, TUCK_CTX_NEW, kind);
		start(&ctx, at_once, tuck_ctx_self());
		check_idle(&ctx, TUCK_CTX_ENDED, kind);
		fini(&ctx);
	}
	free_stacks();
}

/* -- addresses -- */

static void check_addr(void)
{
	struct tuck_ctx_info i = info_of(&subject.ctx);
	char elsewhere;

	for (size_t k = 0; k < PAD; k++) {
		unsigned char *at = tuck_ctx_addr(&subject.ctx,
						  subject.pad + k);

		CHECK_EQ(*at, byte_of(3, k));
		CHECK_EQ((uintptr_t)at - (uintptr_t)i.slice < i.slice_bytes,
			 i.state == TUCK_CTX_TUCKED);
	}
	CHECK(tuck_ctx_addr(&subject.ctx, &elsewhere) == &elsewhere);
	CHECK(tuck_ctx_addr(&subject.ctx, i.base) == i.base);
	/* It will miss what was changed, and find it right again. */
	*(unsigned char *)tuck_ctx_addr(&subject.ctx, subject.pad + 7) ^= 1;
	CHECK(*(unsigned char *)tuck_ctx_addr(&subject.ctx, subject.pad + 7) !=
	      byte_of(3, 7));
	*(unsigned char *)tuck_ctx_addr(&subject.ctx, subject.pad + 7) ^= 1;
}

TEST(bytes_are_found_and_changed_where_they_lie)
{
	for_each_subject(check_addr);
}

/* -- ranges -- */

struct search {
	size_t bytes;
	int pieces;
	uintptr_t masked;	/* what is sought, not to be found itself */
	const void *seen;	/* an address that is in a range */
	bool found, has_seen;
};

#define MASK ((uintptr_t)0x5555555555555555)

static __attribute__((no_sanitize("address"))) void look(void *arg, void *from,
							 void *to)
{
	struct search *s = arg;

	CHECK((char *)from < (char *)to);
	s->bytes += (size_t)((char *)to - (char *)from);
	s->pieces++;
	s->has_seen |= within(s->seen, from, to);
	for (uintptr_t *p = from; (void *)(p + 1) <= to; p++)
		s->found |= (*p ^ MASK) == s->masked;
}

static void check_ranges(void)
{
	struct tuck_ctx_info i = info_of(&subject.ctx);
	struct search s = { .seen = tuck_ctx_addr(&subject.ctx, subject.pad) };

	CHECK_EQ(tuck_ctx_ranges(&subject.ctx, NULL, &s), -EINVAL);
	CHECK_EQ(tuck_ctx_ranges(&subject.ctx, look, &s), 1);
	CHECK_EQ(s.pieces, 1);
	CHECK_EQ(s.bytes, (char *)i.base - (char *)i.sp);
	CHECK(s.has_seen);
}

TEST(ranges_of_suspended_contexts)
{
	for_each_subject(check_ranges);
}

TEST(ranges_of_those_without_bytes)
{
	struct search s = { 0 };
	struct tuck_ctx ctx;

	CHECK_EQ(tuck_ctx_ranges(NULL, look, &s), -EINVAL);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		init(&ctx, kind);
		CHECK_EQ(tuck_ctx_ranges(&ctx, look, &s), 0);
		start(&ctx, at_once, tuck_ctx_self());
		CHECK_EQ(tuck_ctx_ranges(&ctx, look, &s), 0);
		fini(&ctx);
	}
	CHECK_EQ(s.pieces, 0);
	free_stacks();
}

static uintptr_t opaque(uintptr_t x)
{
	__asm__ volatile("" : "+r"(x));
	return x;
}

/* Five pointers that nothing but registers, or this frame, holds. */
static __attribute__((noinline)) void keep_and_look(const struct tuck_ctx *ctx)
{
	uintptr_t seed = opaque(0x1234567), a, b, c, d, e;
	struct search s[5];

	for (uintptr_t i = 0; i < 5; i++)
		s[i] = (struct search){
			.masked = (seed * (i + 11) * 7919) ^ MASK, .seen = s
		};
	a = opaque(s[0].masked ^ MASK);
	b = opaque(s[1].masked ^ MASK);
	c = opaque(s[2].masked ^ MASK);
	d = opaque(s[3].masked ^ MASK);
	e = opaque(s[4].masked ^ MASK);
	CHECK(tuck_ctx_ranges(ctx, look, &s[0]) > 0);
	CHECK(tuck_ctx_ranges(ctx, look, &s[1]) > 0);
	CHECK(tuck_ctx_ranges(ctx, look, &s[2]) > 0);
	CHECK(tuck_ctx_ranges(ctx, look, &s[3]) > 0);
	CHECK(tuck_ctx_ranges(ctx, look, &s[4]) > 0);
	CHECK(opaque(a) == (s[0].masked ^ MASK));
	CHECK(opaque(b) == (s[1].masked ^ MASK));
	CHECK(opaque(c) == (s[2].masked ^ MASK));
	CHECK(opaque(d) == (s[3].masked ^ MASK));
	CHECK(opaque(e) == (s[4].masked ^ MASK));
	for (int i = 0; i < 5; i++)
		CHECK(s[i].found && s[i].has_seen);
}

static struct tuck_ctx *look_at_self(void *arg)
{
	keep_and_look(tuck_ctx_self());
	return arg;
}

TEST(ranges_of_the_running_context)
{
	struct tuck_ctx ctx;

	NOT_UNDER_MSAN("it looks at what nobody has written");
	keep_and_look(tuck_ctx_self());
	for (enum kind kind = 0; kind < KINDS; kind++) {
		init(&ctx, kind);
		start(&ctx, look_at_self, tuck_ctx_self());
		fini(&ctx);
	}
	free_stacks();
}

/* One that is overlapped in part: what is in its slice, and the rest. */
TEST(ranges_of_an_overlapped_context)
{
	struct search s = { 0 };
	struct tuck_ctx_info i;

	subject.back = tuck_ctx_self();
	subject.turns = 2;
	init(&subject.ctx, NEW);
	start(&subject.ctx, outer, &subject);
	i = info_of(&subject.ctx);
	init(&cover, NEW);
	CHECK_EQ(tuck_ctx_set_base(&cover, (char *)i.sp + 512), 0);
	start(&cover, echo, tuck_ctx_self());
	CHECK_EQ(info_of(&subject.ctx).slice_bytes, 512);
	CHECK_EQ(tuck_ctx_ranges(&subject.ctx, look, &s), 2);
	CHECK_EQ(s.pieces, 2);
	CHECK_EQ(s.bytes, (char *)i.base - (char *)i.sp);
	CHECK(tuck_ctx_addr(&subject.ctx, (char *)i.sp + 512) ==
	      (char *)i.sp + 512);
	CHECK(tuck_ctx_addr(&subject.ctx, (char *)i.sp + 511) ==
	      (char *)info_of(&subject.ctx).slice + 511);
	pass(&subject.ctx, &subject);
	pass(&cover, NULL);
	pass(&subject.ctx, &subject);
	CHECK_EQ(state_of(&subject.ctx), TUCK_CTX_ENDED);
	fini(&subject.ctx);
	fini(&cover);
	free_stacks();
}

/* -- another stack pointer -- */

static __attribute__((no_sanitize("address"))) void read_bytes(char *to,
							       const char *from,
							       size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = *(char *)tuck_ctx_addr(&subject.ctx, from + i);
}

static __attribute__((no_sanitize("address"))) void write_bytes(
	const char *to, const char *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		*(char *)tuck_ctx_addr(&subject.ctx, to + i) = from[i];
}

static void check_unchanged(const struct tuck_ctx_info *was)
{
	struct tuck_ctx_info now = info_of(&subject.ctx);

	CHECK_EQ(now.state, was->state);
	CHECK(now.base == was->base && now.sp == was->sp);
	CHECK(now.limit == was->limit && now.end == was->end);
	CHECK(now.slice == was->slice);
	CHECK_EQ(now.slice_bytes, was->slice_bytes);
}

static void check_set_sp_errors(void)
{
	struct tuck_ctx_info i = info_of(&subject.ctx);
	char *sp = i.sp, *base = i.base, elsewhere;

	CHECK_EQ(tuck_ctx_set_sp(NULL, sp), -EINVAL);
	CHECK_EQ(tuck_ctx_set_sp(&subject.ctx, NULL), -EINVAL);
	if (TUCK__ARCH_ALIGN > 8)
		CHECK_EQ(tuck_ctx_set_sp(&subject.ctx, sp + 8), -EINVAL);
	CHECK_EQ(tuck_ctx_set_sp(&subject.ctx, sp + 4), -EINVAL);
	CHECK_EQ(tuck_ctx_set_sp(&subject.ctx, sp - 1), -EINVAL);
	CHECK_EQ(tuck_ctx_set_sp(&subject.ctx, base), -EINVAL);
	CHECK_EQ(tuck_ctx_set_sp(&subject.ctx,
				 base - tuck_ctx_frame_bytes() + 16),
		 -EINVAL);
	CHECK_EQ(tuck_ctx_set_sp(&subject.ctx, i.limit), -EINVAL);
	CHECK_EQ(tuck_ctx_set_sp(&subject.ctx, (char *)i.limit + 1008),
		 -EINVAL);
	CHECK_EQ(tuck_ctx_set_sp(&subject.ctx, &elsewhere), -EINVAL);
	CHECK_EQ(tuck_ctx_set_sp(tuck_ctx_self(), sp), -EBUSY);
	check_unchanged(&i);
}

TEST(where_a_stack_pointer_cannot_be)
{
	for_each_subject(check_set_sp_errors);
}

TEST(who_cannot_be_changed)
{
	struct tuck_ctx ctx;

	CHECK_EQ(tuck_ctx_inject(NULL, free, NULL), -EINVAL);
	CHECK_EQ(tuck_ctx_inject(tuck_ctx_self(), free, NULL), -EBUSY);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		init(&ctx, kind);
		CHECK_EQ(tuck_ctx_set_sp(&ctx, &ctx), -EBUSY);
		CHECK_EQ(tuck_ctx_inject(&ctx, free, NULL), -EBUSY);
		start(&ctx, at_once, tuck_ctx_self());
		CHECK_EQ(tuck_ctx_set_sp(&ctx, &ctx), -EBUSY);
		CHECK_EQ(tuck_ctx_inject(&ctx, free, NULL), -EBUSY);
		fini(&ctx);
	}
	free_stacks();
}

/* A frame by hand, below that of the subject, which calls note(arg). */
static int noted;

static int note(void *arg)
{
	tuck__note_entry();
	CHECK(tuck_ctx_self() == &subject.ctx);
	CHECK(arg == &noted);
	noted++;
	tuck__note_turn(tuck__flow(&subject.ctx)->ctx.stack->limit,
			tuck__flow(&subject.ctx)->ctx.stack->base);
	return 0;
}

static void check_lower(void)
{
	struct tuck_ctx_info i = info_of(&subject.ctx);
	char bytes[TUCK__ARCH_FIRST], old[TUCK__ARCH_FRAME];

	CHECK_EQ(tuck_ctx_frame_bytes(), TUCK__ARCH_FRAME);
	for (size_t room = 0; room <= 20000; room = room * 5 + 16) {
		char *sp = (char *)i.sp - sizeof(bytes) - room;

		noted = 0;
		CHECK_EQ(tuck_ctx_set_sp(&subject.ctx, sp), 0);
		CHECK(info_of(&subject.ctx).sp == sp);
		CHECK_EQ(info_of(&subject.ctx).state, i.state);
		read_bytes(old, i.sp, sizeof(old));
		tuck__arch_prepare_call(bytes, old, i.sp, note, &noted);
		write_bytes(sp, bytes, sizeof(bytes));
		verify(tuck_ctx_addr(&subject.ctx, subject.pad), PAD, 3);
		/* Once without it, and then for good. */
		subject.no_value = true;
		if (room % 3)
			CHECK_EQ(tuck_ctx_set_sp(&subject.ctx, i.sp), 0);
	}
	if (info_of(&subject.ctx).sp == i.sp)
		return;
	pass(&subject.ctx, &subject);
	CHECK_EQ(noted, 1);
}

TEST(a_lower_stack_pointer_replaces_the_topmost_frame)
{
	for_each_subject(check_lower);
}

/* Back to where it was, with all its bytes, any number of times. */
static void check_again(void)
{
	struct tuck_ctx_info i = info_of(&subject.ctx);
	size_t n = (size_t)((char *)i.base - (char *)i.sp);
	char *bytes = malloc(n);
	int turns = subject.turns;

	CHECK(bytes);
	read_bytes(bytes, i.sp, n);
	for (int k = 0; k < 3; k++) {
		pass(&subject.ctx, &subject);
		CHECK_EQ(subject.turns, turns - 1);
		CHECK_EQ(tuck_ctx_set_sp(&subject.ctx, i.sp), 0);
		write_bytes(i.sp, bytes, n);
		subject.turns = turns;
		subject.no_value = true;
	}
	free(bytes);
}

TEST(a_context_goes_on_from_the_same_point_again)
{
	for_each_subject(check_again);
}

/* -- dropping frames -- */

#define FRAMES 20

static struct {
	char *sp, *bytes;
	size_t n;
} points[FRAMES];

static int dropped_to;
static bool descending;

static void save_point(int at)
{
	struct tuck_ctx_info i = info_of(&subject.ctx);

	points[at].sp = i.sp;
	points[at].n = (size_t)((char *)i.base - (char *)i.sp);
	points[at].bytes = malloc(points[at].n);
	CHECK(points[at].bytes);
	read_bytes(points[at].bytes, i.sp, points[at].n);
}

/*
 * AddressSanitizer knows only of the variables that are in scope when frames
 * are dropped: here the same in all points of the function.
 */
static void descend(int at)
{
	volatile unsigned char pad[PAD];
	void *got = NULL;

	fill(pad, PAD, (uint32_t)at);
	CHECK_EQ(tuck_ctx_switch(subject.back, NULL, &got), 0);
	if (descending)
		descend(at + 1);
	CHECK(!got);
	verify(pad, PAD, (uint32_t)at);
	dropped_to = at;
	CHECK_EQ(tuck_ctx_switch(subject.back, NULL, &got), 0);
	verify(pad, PAD, (uint32_t)at);
}

static struct tuck_ctx *descend_from_start(void *arg)
{
	descend(0);
	return arg;
}

/* To points below and above, in any order, resident or tucked. */
static void drop_frames(enum kind kind, bool tucked)
{
	unsigned random = 11;

	subject.back = tuck_ctx_self();
	descending = true;
	init(&subject.ctx, kind);
	start(&subject.ctx, descend_from_start, subject.back);
	for (int at = 0; at < FRAMES; at++) {
		save_point(at);
		pass(&subject.ctx, NULL);
	}
	descending = false;
	for (int n = 0; n < 100; n++) {
		int at = rand_r(&random) % FRAMES;

		if (tucked)
			tuck_subject(kind);
		CHECK_EQ(tuck_ctx_set_sp(&subject.ctx, points[at].sp), 0);
		write_bytes(points[at].sp, points[at].bytes, points[at].n);
		if (tucked) {
			pass(&cover, NULL);
			fini(&cover);
		}
		pass(&subject.ctx, &subject);
		CHECK_EQ(dropped_to, at);
		if (at > 0 && n % 2) {	/* up by one the usual way */
			pass(&subject.ctx, NULL);
			CHECK_EQ(dropped_to, at - 1);
		}
	}
	for (int at = 0; at < FRAMES; at++)
		free(points[at].bytes);
	fini(&subject.ctx);
}

static void drop_all(void)
{
	for (enum kind kind = 0; kind < KINDS; kind++)
		for (int tucked = 0; tucked < 2; tucked++)
			drop_frames(kind, tucked);
}

TEST(frames_are_dropped_and_come_back)
{
	NOT_UNDER_TSAN("it keeps a stack of calls, which does not come back");
	from_away(drop_all);
}

/* -- calls -- */

static int mark, calls;

static void call(void *arg)
{
	volatile unsigned char pad[PAD];

	CHECK(tuck_ctx_self() == &subject.ctx);
	fill(pad, PAD, 9);
	CHECK(arg == &mark);
	calls++;
	verify(pad, PAD, 9);
}

static void check_inject(void)
{
	struct tuck_ctx_info i = info_of(&subject.ctx);

	calls = 0;
	CHECK_EQ(tuck_ctx_inject(&subject.ctx, NULL, NULL), -EINVAL);
	CHECK_EQ(tuck_ctx_inject(&subject.ctx, call, &mark), 0);
	CHECK_EQ(tuck_ctx_inject(&subject.ctx, call, NULL), -EBUSY);
	check_unchanged(&i);
	CHECK_EQ(calls, 0);
	CHECK(pass(&subject.ctx, &subject) == &subject);
	CHECK_EQ(calls, 1);
	CHECK_EQ(tuck_ctx_inject(&subject.ctx, call, &mark), 0);
	pass(&subject.ctx, &subject);
	CHECK_EQ(calls, 2);
}

TEST(injected_calls_run_first)
{
	for_each_subject(check_inject);
}

static void call_that_switches(void *arg)
{
	call(arg);
	CHECK(pass(subject.back, arg) == arg);
	call(arg);
	pass(subject.back, NULL);
	CHECK_EQ(errno, 0);
}

static void check_inject_switching(void)
{
	calls = 0;
	errno = 3;
	CHECK_EQ(tuck_ctx_inject(&subject.ctx, call_that_switches, &mark), 0);
	CHECK(pass(&subject.ctx, &subject) == &mark);
	CHECK_EQ(calls, 1);
	CHECK(!pass(&subject.ctx, &mark));
	CHECK_EQ(calls, 2);
	CHECK(pass(&subject.ctx, &subject) == &subject);
	CHECK_EQ(errno, 3);
}

TEST(injected_calls_may_switch)
{
	for_each_subject(check_inject_switching);
}

static void call_that_leaves(void *arg)
{
	calls++;
	tuck_ctx_leave(arg, NULL);
}

static void check_inject_leave(void)
{
	calls = 0;
	CHECK_EQ(tuck_ctx_inject(&subject.ctx, call_that_leaves, subject.back),
		 0);
	CHECK(!pass(&subject.ctx, NULL));
	CHECK_EQ(calls, 1);
	CHECK_EQ(state_of(&subject.ctx), TUCK_CTX_ENDED);
	subject.turns = -1;
}

TEST(injected_calls_may_leave)
{
	for_each_subject(check_inject_leave);
}

/* Down to the last bytes of its stack. */
static struct tuck_ctx *go_down(void *arg)
{
	char here, *limit = info_of(&subject.ctx).limit;
	volatile char *low = alloca((size_t)(&here - limit) - 850);

	*low = 1;
	pass(arg, NULL);
	return arg;
}

TEST(there_must_be_room_for_a_call)
{
	static char memory[32768];
	struct tuck_stack *s = tuck_stack_from(memory + 16384, 16384);
	struct tuck_ctx_info i;

	CHECK_EQ(tuck_ctx_init(&subject.ctx, s, NULL), 0);
	start(&subject.ctx, go_down, tuck_ctx_self());
	i = info_of(&subject.ctx);
	CHECK((char *)i.sp < (char *)i.limit + 1024);
	CHECK_EQ(tuck_ctx_inject(&subject.ctx, call, NULL), -EINVAL);
	check_unchanged(&i);
	pass(&subject.ctx, NULL);
	CHECK_EQ(state_of(&subject.ctx), TUCK_CTX_ENDED);
	fini(&subject.ctx);
	CHECK_EQ(tuck_stack_free(s), 0);
}

/* -- backtraces -- */

#define PCS 64

/* Its frames are those of the subject, and it ends where contexts begin. */
static void check_frames(void **pcs, int n)
{
	int at = 0;

	while (at < n && pcs[at] != returns[0])
		at++;
	CHECK(at + 3 < n);
	CHECK(at < 12);
	CHECK(pcs[at + 1] == returns[1]);
	CHECK(pcs[at + 2] == returns[2]);
	CHECK((uintptr_t)pcs[n - 1] - (uintptr_t)tuck__arch_entry < 64);
	CHECK(at + 5 >= n);
}

static void check_backtrace(void)
{
	void *pcs[PCS], *some[PCS];
	struct tuck_ctx_info i = info_of(&subject.ctx), now;
	int n = tuck_ctx_backtrace(&subject.ctx, pcs, PCS);

	CHECK(n > 0 && n < PCS);
	check_frames(pcs, n);
	now = info_of(&subject.ctx);
	CHECK(now.sp == i.sp);
	CHECK_EQ(now.state, TUCK_CTX_RESIDENT);
	for (int max = 1; max < n; max++) {
		memset(some, 0, sizeof(some));
		CHECK_EQ(tuck_ctx_backtrace(&subject.ctx, some, max), max);
		CHECK_MEM(some, pcs, (size_t)max * sizeof(pcs[0]));
		CHECK(!some[max]);
	}
}

TEST(backtraces_of_suspended_contexts)
{
	for_each_subject(check_backtrace);
}

static __attribute__((noinline)) void trace_self(struct subject *s)
{
	void *pcs[PCS];
	int n = tuck_ctx_backtrace(tuck_ctx_self(), pcs, PCS);

	returns[0] = RETURN_ADDRESS();
	CHECK(n > 0);
	check_frames(pcs, n);
	s->turns++;
}

static __attribute__((noinline)) void trace_middle(struct subject *s)
{
	returns[1] = RETURN_ADDRESS();
	trace_self(s);
	s->turns++;
}

static __attribute__((noinline)) struct tuck_ctx *trace_outer(void *arg)
{
	struct subject *s = arg;

	returns[2] = RETURN_ADDRESS();
	trace_middle(s);
	s->turns++;
	return s->back;
}

static void *kept_value;

static struct tuck_ctx *keep_value(void *to)
{
	void *value = &kept_value;

	CHECK_EQ(tuck_ctx_switch(to, NULL, &value), 0);
	kept_value = value;
	return to;
}

/* A backtrace is no switch: it brings no value, not even NULL. */
TEST(a_backtrace_leaves_the_value_alone)
{
	struct tuck_ctx ctx;

	for (enum kind kind = 0; kind < KINDS; kind++) {
		void *pcs[PCS];

		init(&ctx, kind);
		start(&ctx, keep_value, tuck_ctx_self());
		CHECK(tuck_ctx_backtrace(&ctx, pcs, PCS) > 0);
		CHECK_EQ(tuck_ctx_set_sp(&ctx, info_of(&ctx).sp), 0);
		pass(&ctx, NULL);	/* which it does not get now */
		CHECK(kept_value == &kept_value);
		fini(&ctx);
	}
	free_stacks();
}

TEST(backtrace_of_the_running_context)
{
	subject.back = tuck_ctx_self();
	for (enum kind kind = 0; kind < KINDS; kind++) {
		subject.turns = 0;
		init(&subject.ctx, kind);
		start(&subject.ctx, trace_outer, &subject);
		CHECK_EQ(subject.turns, 3);
		fini(&subject.ctx);
	}
	free_stacks();
}

static void *main_return;

static struct tuck_ctx *trace_main(void *arg)
{
	volatile unsigned char pad[PAD];
	void *pcs[PCS];
	int n, at = 0;

	fill(pad, PAD, 6);
	n = tuck_ctx_backtrace(arg, pcs, PCS);
	CHECK(n > 0);
	while (at < n && pcs[at] != main_return)
		at++;
	CHECK(at < n);
	verify(pad, PAD, 6);
	calls = 1;
	return arg;
}

static __attribute__((noinline)) void be_traced(enum kind kind)
{
	volatile unsigned char pad[PAD];

	main_return = RETURN_ADDRESS();
	fill(pad, PAD, 7);
	init(&subject.ctx, kind);
	start(&subject.ctx, trace_main, tuck_ctx_self());
	verify(pad, PAD, 7);
	fini(&subject.ctx);
}

/* On the native stack, the caller lies just below what it looks at. */
TEST(backtrace_of_the_main_context)
{
	for (enum kind kind = 0; kind < KINDS; kind++) {
		calls = 0;
		be_traced(kind);
		CHECK_EQ(calls, 1);
	}
	free_stacks();
}

TEST(backtraces_that_cannot_be)
{
	struct tuck_ctx ctx;
	void *pcs[4];

	CHECK_EQ(tuck_ctx_backtrace(NULL, pcs, 4), -EINVAL);
	CHECK_EQ(tuck_ctx_backtrace(tuck_ctx_self(), pcs, 0), -EINVAL);
	CHECK_EQ(tuck_ctx_backtrace(tuck_ctx_self(), pcs, -1), -EINVAL);
	CHECK_EQ(tuck_ctx_backtrace(tuck_ctx_self(), NULL, 4), -EINVAL);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		init(&ctx, kind);
		CHECK_EQ(tuck_ctx_backtrace(&ctx, pcs, 4), -ESRCH);
		start(&ctx, at_once, tuck_ctx_self());
		CHECK_EQ(tuck_ctx_backtrace(&ctx, pcs, 4), -ESRCH);
		fini(&ctx);
	}
	free_stacks();
}

/* -- those that others lie below, on the same stack -- */

static struct tuck_ctx *observer;
static enum kind chain_kind;

static void change_upper(int inject)
{
	struct tuck_ctx_info i = info_of(&subject.ctx);
	char *sp = i.sp;
	void *pcs[PCS];
	int n;

	CHECK_EQ(tuck_ctx_inject(&subject.ctx, call, &mark), inject);
	n = tuck_ctx_backtrace(&subject.ctx, pcs, PCS);
	CHECK(n > 3 && n < PCS);
	for (size_t k = 16; k < 20000; k = k * 3 + 16) {
		CHECK_EQ(tuck_ctx_set_sp(&subject.ctx, sp - k), 0);
		for (size_t byte = 0; byte < k; byte++)
			*(char *)tuck_ctx_addr(&subject.ctx, sp - k + byte) = 0;
	}
	CHECK_EQ(tuck_ctx_set_sp(&subject.ctx, sp), 0);
}

static struct tuck_ctx *lower(void *arg)
{
	volatile unsigned char pad[3000];

	fill(pad, sizeof(pad), 5);
	change_upper(0);
	verify(pad, sizeof(pad), 5);
	pass(observer, NULL);
	verify(pad, sizeof(pad), 5);
	return arg;
}

static struct tuck_ctx *upper(void *arg)
{
	volatile unsigned char pad[PAD];
	char *base = (char *)(uintptr_t)pad - 300;

	(void)arg;
	fill(pad, PAD, 4);
	init(&cover, chain_kind);
	CHECK_EQ(tuck_ctx_set_base(&cover, chain_kind == NATIVE ? NULL : base),
		 0);
	start(&cover, lower, tuck_ctx_self());
	verify(pad, PAD, 4);
	CHECK_EQ(calls, 1);
	return observer;
}

static void change_in_chains(void)
{
	observer = tuck_ctx_self();
	for (chain_kind = NATIVE; chain_kind < KINDS; chain_kind++) {
		calls = 0;
		init(&subject.ctx, chain_kind);
		start(&subject.ctx, upper, NULL);
		CHECK_EQ(calls, 0);
		change_upper(-EBUSY);
		pass(&cover, NULL);
		CHECK_EQ(calls, 1);
		CHECK_EQ(state_of(&subject.ctx), TUCK_CTX_ENDED);
		CHECK_EQ(state_of(&cover), TUCK_CTX_ENDED);
		fini(&cover);
		fini(&subject.ctx);
	}
}

/* By those below them and by others: nobody's bytes are touched. */
TEST(contexts_above_others_are_changed)
{
	from_away(change_in_chains);
}
