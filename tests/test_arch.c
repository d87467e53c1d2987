/* SPDX-License-Identifier: MIT */
/*
 * The contract of an architecture (arch.h), without the layers above it:
 * flows of control that switch among bare stacks, each under register
 * torture.
 */
#include <execinfo.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "check.h"
#include "torture.h"

#define BYTES	65536
#define SIDES	5
#define MARGIN	512	/* above each base, where nobody writes */

/* A flow of control; the first of sides is the thread's own. */
struct side {
	void *sp;		/* while suspended */
	uintptr_t end;		/* of what the last call of a switch may use */
	char *memory, *base;
	int alive, away;	/* away: its frame is kept, not on its stack */
	int entered, value;	/* value: what its last switch returns */
	int turns;		/* how often it hops */
	uint32_t control;	/* get_control(), where somebody looks at it */
	char kept[TUCK__ARCH_FRAME];
};

static struct side sides[SIDES], *current = &sides[0];
static enum { SHORT, VIA, MIXED } way;
static uint64_t random_state = 88172645463325252;

/* xorshift64 */
static uint64_t next_random64(void)
{
	uint64_t x = random_state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return random_state = x;
}

/* -- switching -- */

/* Opaque to the compiler, so that it cannot assume what it must check. */
static __attribute__((noinline)) void check_aligned(const void *p)
{
	uintptr_t at = (uintptr_t)p;

	__asm__ volatile("" : "+r"(at));
	CHECK_EQ(at % TUCK__ARCH_ALIGN, 0);
}

#define CHECK_STACK_ALIGNED() do {					\
	_Alignas(TUCK__ARCH_ALIGN) volatile char check_here[1] = { 0 };	\
	check_aligned((const void *)(uintptr_t)check_here);		\
} while (0)

#define NO_ASAN __attribute__((no_sanitize_address))

static NO_ASAN void scribble(void *from, size_t n)
{
	volatile char *p = from;

	while (n--)
		*p++ = (char)0xa5;
}

/* Takes the leaver's frame off its stack, and brings back the other's. */
static struct tuck__landing exchange(void *a, void *b)
{
	struct side *from = a, *to = b;

	CHECK_STACK_ALIGNED();
	CHECK(tuck__arch_sp() < (uintptr_t)from->sp);
	memcpy(from->kept, from->sp, sizeof(from->kept));
	scribble(from->sp, sizeof(from->kept));
	from->away = 1;
	if (to->away)
		memcpy(to->sp, to->kept, sizeof(to->kept));
	to->away = 0;
	return (struct tuck__landing){ to->sp, to->value };
}

/* The frame pointer, which C functions do not need to restore torture's. */
static void *frame_pointer(void *frame)
{
	__asm__ volatile("" : "+r"(frame));
	return frame;
}

static int switch_to(struct side *to)
{
	void *frame = frame_pointer(__builtin_frame_address(0));
	struct side *from = current;
	uintptr_t sp = tuck__arch_sp();
	int value;

	current = to;
	from->end = sp + CALLEE_AREA;
	if (way == SHORT || (way == MIXED && !to->away && next_random64() % 2))
		value = tuck__arch_switch(&from->sp, to->sp, to->value);
	else
		value = tuck__arch_switch_via(&from->sp, (void *)UINTPTR_MAX,
					      exchange, from, to);
	CHECK(current == from);
	CHECK(tuck__arch_sp() == sp);
	CHECK(frame_pointer(__builtin_frame_address(0)) == frame);
	return value;
}

/* To anybody else, with any value. */
static void hop(void *self)
{
	struct side *me = self, *to;
	int got;

	CHECK(current == me);
	CHECK_STACK_ALIGNED();
	do
		to = &sides[next_random64() % SIDES];
	while (to == me || !to->alive);
	to->value = (int)next_random64();
	got = switch_to(to);
	CHECK_EQ(got, me->value);
	CHECK_STACK_ALIGNED();
}

static void enter(void)
{
	CHECK_STACK_ALIGNED();
	current->entered++;
}

static void after(void)
{
	CHECK_STACK_ALIGNED();
	current->alive = 0;
	switch_to(&sides[0]);
	abort();
}

static void run(void *self)
{
	struct side *me = self;

	CHECK_STACK_ALIGNED();
	CHECK(current == me);
	CHECK_EQ(me->entered, 1);
	while (me->turns-- > 0)
		CHECK_EQ(torture((uintptr_t)next_random64(), hop, me), 0);
}

static void prepare(struct side *s, void (*fn)(void *))
{
	*s = (struct side){ .memory = malloc(BYTES), .alive = 1 };
	memset(s->memory, 0x5c, BYTES);
	s->base = s->memory + BYTES - MARGIN;
	s->base -= (uintptr_t)s->base % 64;
	s->sp = tuck__arch_prepare(s->base, enter, fn, s, after);
}

static void dispose(struct side *s)
{
	for (const char *p = s->base; p < s->memory + BYTES; p++)
		CHECK_EQ(*p, 0x5c);
	free(s->memory);
}

/* -- registers -- */

static void torture_all(int turns)
{
	sides[0].alive = 1;
	for (int i = 1; i < SIDES; i++) {
		prepare(&sides[i], run);
		sides[i].turns = turns + i;
	}
	for (int i = 1; i < SIDES; i++)
		while (sides[i].alive)
			CHECK_EQ(torture((uintptr_t)next_random64(), hop,
					 &sides[0]),
				 0);
	for (int i = 1; i < SIDES; i++)
		dispose(&sides[i]);
}

TEST(registers_survive_a_switch)
{
	way = SHORT;
	torture_all(5000);
}

TEST(registers_survive_a_switch_by_way_of_a_call)
{
	way = VIA;
	torture_all(5000);
}

TEST(registers_survive_switches_of_both_kinds)
{
	way = MIXED;
	torture_all(5000);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void change_control(void *random)
{
	set_control(*(uint32_t *)random);
}

/* Otherwise all of the above says nothing. */
TEST(torture_sees_a_changed_control_word)
{
	uint32_t ones = ~0u, before = get_control();

	CHECK_EQ(torture(0, nothing, NULL), 0);
	CHECK_EQ(torture(UINTPTR_MAX, nothing, NULL), 0);
	set_control(0);
	if (set_control(ones) == set_control(0))
		SKIP("no control bits but those of fesetround()");
	CHECK(torture(0, change_control, &ones) != 0);
	set_control(before);
}

/* -- frames -- */

TEST(a_first_frame_takes_what_it_says)
{
	struct side s;

	prepare(&s, nothing);
	CHECK((char *)s.sp == s.base - TUCK__ARCH_FIRST);
	CHECK(TUCK__ARCH_FIRST >= TUCK__ARCH_FRAME);
	CHECK_EQ((uintptr_t)s.sp % TUCK__ARCH_ALIGN, 0);
	for (const char *p = s.memory; p < (char *)s.sp; p++)
		CHECK_EQ(*p, 0x5c);
	dispose(&s);
}

static void suspend(void *self)
{
	(void)self;
	switch_to(&sides[0]);
}

/* Between a caller and the frame are at most the arguments, if any. */
static void check_frame(int how)
{
	struct side *s = &sides[1];
	ptrdiff_t gap;

	way = how;
	prepare(s, suspend);
	switch_to(s);
	gap = (char *)s->end - (char *)s->sp - TUCK__ARCH_FRAME;
	CHECK(gap >= 0);
	CHECK(gap < 64);
	CHECK_EQ((uintptr_t)s->sp % TUCK__ARCH_ALIGN, 0);
	dispose(s);
}

TEST(a_frame_takes_what_it_says)
{
	check_frame(SHORT);
	check_frame(VIA);
}

/* Byte by byte, also where AddressSanitizer sees no variable. */
static NO_ASAN void copy(volatile char *to, const volatile char *from, size_t n)
{
	while (n--)
		*to++ = *from++;
}

static void wait_for_value(void *self)
{
	struct side *me = self;
	int got;

	sides[0].value = 1;
	got = switch_to(&sides[0]);
	CHECK_EQ(got, me->value);
}

static void wait_and_tell(void *self)
{
	CHECK_EQ(torture((uintptr_t)next_random64(), wait_for_value, self), 0);
	sides[0].value = 2;
	switch_to(&sides[0]);
	abort();
}

/*
 * A frame and what lies above it are all that the way back needs: everything
 * else is scribbled over, and both are put back, time and again.
 */
TEST(a_frame_can_be_resumed_again)
{
	struct side *s = &sides[1];
	char frame[TUCK__ARCH_FRAME], *above, *end;
	size_t bytes;
	void *sp;

	way = SHORT;
	prepare(s, wait_and_tell);
	CHECK_EQ(switch_to(s), 1);
	sp = s->sp;
	end = (char *)s->end;
	bytes = (size_t)(s->base - end);
	above = malloc(bytes);
	copy(frame, sp, sizeof(frame));
	copy(above, end, bytes);
	for (s->value = 5; s->value < 8; s->value++) {
		CHECK_EQ(switch_to(s), 2);
		scribble(s->memory, (size_t)(s->base - s->memory));
		copy(end, above, bytes);
		copy(sp, frame, sizeof(frame));
		s->sp = sp;
	}
	free(above);
	dispose(s);
}

/* -- values, and the place of the call in between -- */

static const int values[] = { 0, 1, -1, INT_MAX, INT_MIN, 0x12345678 };

#define VALUES (sizeof(values) / sizeof(values[0]))

static void echo(void *self)
{
	(void)self;
	for (size_t i = 0; i < VALUES; i++) {
		sides[0].value = values[i];
		CHECK_EQ(switch_to(&sides[0]), values[i]);
	}
}

static void check_values(int how)
{
	struct side *s = &sides[1];

	way = how;
	prepare(s, echo);
	switch_to(s);
	for (size_t i = 0; i < VALUES; i++) {
		s->value = values[i];
		CHECK_EQ(switch_to(s), values[i + 1 < VALUES ? i + 1 : i]);
	}
	CHECK(!s->alive);
	dispose(s);
}

TEST(a_switch_returns_its_value)
{
	check_values(SHORT);
	check_values(VIA);
}

/* What from leaves free of its stack: the call must lie below it. */
static char *low;

/* Deep enough to use all that the ABI lets a callee write to. */
static struct tuck__landing check_low(void *a, void *b)
{
	struct side *from = a, *to = b;
	char *end = from->sp;

	CHECK_STACK_ALIGNED();
	CHECK((char *)tuck__arch_sp() < low);
	CHECK((char *)tuck__arch_sp() < end);
	CHECK((char *)tuck__arch_sp() > end - 8192);
	if (low < end)
		scribble(low, (size_t)(end - low));
	CHECK_EQ(torture((uintptr_t)next_random64(), nothing, NULL), 0);
	return (struct tuck__landing){ to->sp, 0 };
}

static void descend(void *self)
{
	struct side *me = self, *to = &sides[0];

	for (int below = -64; below < 4096; below += (int)sizeof(low)) {
		low = (char *)tuck__arch_sp() - below;
		current = to;
		CHECK_EQ(tuck__arch_switch_via(&me->sp, low, check_low, me, to),
			 0);
	}
}

TEST(the_call_in_between_stays_below_both)
{
	struct side *s = &sides[1];

	way = SHORT;
	prepare(s, descend);
	while (s->alive)
		switch_to(s);
	dispose(s);
}

/* -- life -- */

static int ran;

static void note_argument(void *self)
{
	CHECK(self == &sides[1]);
	CHECK_EQ(sides[1].entered, ran == 0);
	ran++;
}

TEST(an_entry_calls_what_it_was_given)
{
	struct side *s = &sides[1];

	way = SHORT;
	prepare(s, note_argument);
	switch_to(s);
	CHECK(!s->alive);
	CHECK_EQ(ran, 1);
	dispose(s);

	prepare(s, note_argument);
	s->sp = tuck__arch_prepare(s->base, NULL, note_argument, s, after);
	switch_to(s);
	CHECK(!s->alive);
	CHECK_EQ(ran, 2);
	dispose(s);
}

#define TRACE 32

static void *trace[TRACE];
static int trace_n;

static struct tuck__landing trace_back(void *a, void *b)
{
	(void)a;
	trace_n = backtrace(trace, TRACE);
	return (struct tuck__landing){ ((struct side *)b)->sp, 0 };
}

static bool inside(const void *p, void (*fn)(void), uintptr_t bytes)
{
	return (uintptr_t)p - (uintptr_t)fn - 1 < bytes;
}

/* It ends with fn, called by the entry, which not all unwinders list. */
static void check_trace(void (*fn)(void *))
{
	const uintptr_t entry_bytes = (uintptr_t)tuck__arch_interject -
				      (uintptr_t)tuck__arch_entry - 1;

	CHECK(entry_bytes < 128);	/* that is the next function */
	if (inside(trace[trace_n - 1], tuck__arch_entry, entry_bytes))
		trace_n--;
	CHECK(trace_n >= 1);
	CHECK(trace_n <= 8);
	CHECK(inside(trace[trace_n - 1], (void (*)(void))fn, 1000));
}

static void look_back(void *self)
{
	struct side *me = self;

	trace_n = backtrace(trace, TRACE);
	check_trace(look_back);
	current = &sides[0];
	tuck__arch_switch_via(&me->sp, (char *)tuck__arch_sp() - 1000,
			      trace_back, me, &sides[0]);
	check_trace(look_back);
}

TEST(unwinders_stop_at_the_entry)
{
	struct side *s = &sides[1];

	way = SHORT;
	trace_n = backtrace(trace, TRACE);	/* it loads a library */
	prepare(s, look_back);
	while (s->alive)
		switch_to(s);
	dispose(s);
}

/* -- a call before the rest -- */

static int interlude(void *self);

static void expect_interlude(void *self)
{
	struct side *me = self;
	int entered = me->entered, got;

	me->control = get_control();
	got = switch_to(&sides[0]);
	CHECK_EQ(got, entered + 1);
}

static void be_interrupted(void *self)
{
	for (int i = 0; i < 3; i++)
		CHECK_EQ(torture((uintptr_t)next_random64(), expect_interlude,
				 self),
			 0);
}

static int interlude(void *self)
{
	struct side *me = self;

	CHECK_STACK_ALIGNED();
	CHECK(current == me);
	CHECK_EQ(get_control(), me->control);
	CHECK_EQ(torture((uintptr_t)next_random64(), nothing, NULL), 0);
	trace_n = backtrace(trace, TRACE);
	check_trace(be_interrupted);
	switch_to(&sides[0]);
	return ++me->entered;
}

TEST(a_call_is_laid_before_the_rest)
{
	struct side *s = &sides[1];
	char bytes[TUCK__ARCH_FIRST];
	char *sp;

	way = SHORT;
	trace_n = backtrace(trace, TRACE);
	prepare(s, be_interrupted);
	switch_to(s);
	while (s->alive) {
		sp = s->sp;
		tuck__arch_prepare_call(bytes, sp, sp, interlude, s);
		s->sp = memcpy(sp - sizeof(bytes), bytes, sizeof(bytes));
		switch_to(s);
		CHECK((char *)s->sp < sp);
		switch_to(s);
	}
	dispose(s);
}

/* -- captured points -- */

struct point {
	void *sp;
	int times;
	char frame[TUCK__ARCH_FRAME];
};

int capture(void *a, void *b);			/* capture.S */
int captured(void *a, void *b, void *sp);	/* what it calls */

int captured(void *a, void *b, void *sp)
{
	struct point *p = a;

	CHECK_STACK_ALIGNED();
	CHECK(!b);
	CHECK((char *)tuck__arch_sp() < (char *)sp);
	p->sp = sp;
	memcpy(p->frame, sp, sizeof(p->frame));
	return 100;
}

static struct tuck__landing go_back(void *a, void *b)
{
	struct point *p = a;

	(void)b;
	memcpy(p->sp, p->frame, sizeof(p->frame));
	return (struct tuck__landing){ p->sp, 100 + ++p->times };
}

static void wander(void *arg)
{
	struct point *p = arg;
	void *nowhere;
	int got;

	p->times = 0;
	got = capture(p, NULL);
	CHECK_EQ(got, 100 + p->times);
	if (p->times < 5)
		tuck__arch_switch_via(&nowhere, p->sp, go_back, p, NULL);
}

TEST(a_captured_point_is_come_back_to)
{
	struct point p;

	CHECK_EQ(torture((uintptr_t)next_random64(), wander, &p), 0);
	CHECK_EQ(p.times, 5);
}

#ifdef __powerpc64__
/* -- the back chain, which some follow instead of unwind tables -- */

/* As backtrace(), from the caller of this on. */
static __attribute__((noinline)) void follow_chain(void)
{
	uintptr_t *frame = __builtin_frame_address(0);

	for (trace_n = 0; *frame && trace_n < TRACE; trace_n++) {
		frame = (uintptr_t *)*frame;
		trace[trace_n] = (void *)frame[2];
	}
}

static struct tuck__landing follow_in_between(void *a, void *b)
{
	(void)a;
	follow_chain();
	return (struct tuck__landing){ ((struct side *)b)->sp, 0 };
}

static int follow_before_the_rest(void *self)
{
	(void)self;
	follow_chain();
	return 0;
}

static void be_followed(void *self)
{
	struct side *me = self;

	current = &sides[0];
	tuck__arch_switch_via(&me->sp, (char *)tuck__arch_sp() - 1000,
			      follow_in_between, me, &sides[0]);
}

/* In between or before: the function, our code, be_followed, the entry. */
static void check_chain(void (*ours)(void))
{
	CHECK_EQ(trace_n, 4);
	CHECK(inside(trace[1], ours, 600));
	CHECK(inside(trace[2], (void (*)(void))be_followed, 200));
	CHECK(inside(trace[3], tuck__arch_entry, 40));
}

TEST(back_chains_lead_to_the_entry)
{
	struct side *s = &sides[1];
	char bytes[TUCK__ARCH_FIRST];
	char *sp;

	way = SHORT;
	prepare(s, be_followed);
	switch_to(s);
	check_chain((void (*)(void))tuck__arch_switch_via);
	sp = s->sp;
	tuck__arch_prepare_call(bytes, sp, sp, follow_before_the_rest, s);
	s->sp = memcpy(sp - sizeof(bytes), bytes, sizeof(bytes));
	switch_to(s);
	check_chain(tuck__arch_interject);
	dispose(s);
}
#endif
