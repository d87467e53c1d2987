/* SPDX-License-Identifier: MIT */
/*
 * Frames survive switches: tasklets run random programs of calls, locals,
 * registers, floating-point state, jumps and switches, and check all of it
 * after each switch. FRAMES_SEED=n in the environment repeats one program.
 */
#include <fenv.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <tuck.h>

#include "rounding.h"
#include "torture.h"
#include "trace.h"

#define OPS 60		/* of one program */
#define DEPTH 14

/* A tasklet's program; it lies on the tasklet's stack. */
struct program {
	uint32_t random;
	int ops, depth, mode;
	uint32_t control;	/* further floating-point control bits */
	jmp_buf *env;
};

static int ended, switches;
static uint32_t seed;
static uint32_t fresh;	/* control bits at the beginning */

static uint32_t dice(struct program *p, uint32_t n)
{
	return next_random(&p->random) % n;
}

/* -- switches -- */

/* Opaque to the compiler, so that it cannot assume what it must check. */
static __attribute__((noinline)) void check_aligned(const void *p, size_t n)
{
	uintptr_t at = (uintptr_t)p;

	__asm__ volatile("" : "+r"(at));
	CHECK_EQ(at % n, 0);
}

static __attribute__((noinline)) void change_places(struct program *p)
{
	max_align_t here = { 0 };

	check_aligned(&here, _Alignof(max_align_t));
	switches++;
	if (dice(p, 8))
		tuck_yield();
	else
		CHECK_EQ(tuck_sleep(1 + dice(p, 2)), 0);
	CHECK_EQ(fegetround(), p->mode);
	CHECK_EQ(get_control(), p->control);
}

/* -- ops -- */

static void run(struct program *p);

static void fill(volatile unsigned char *pad, size_t n, uint32_t key)
{
	for (size_t i = 0; i < n; i++)
		pad[i] = (unsigned char)(next_random(&key) >> 24);
}

static void verify(const volatile unsigned char *pad, size_t n, uint32_t key)
{
	for (size_t i = 0; i < n; i++)
		if (pad[i] != (unsigned char)(next_random(&key) >> 24))
			check_fail(CHECK_AT, "seed %u: byte %zu of %zu", seed,
				   i, n);
}

#define FRAME(bytes)							\
	static __attribute__((noinline)) void frame_##bytes(struct program *p) \
	{								\
		volatile unsigned char pad[bytes];			\
		uint32_t key = next_random(&p->random);			\
									\
		fill(pad, bytes, key);					\
		change_places(p);					\
		verify(pad, bytes, key);				\
		run(p);							\
		verify(pad, bytes, key);				\
	}

FRAME(1)
FRAME(24)
FRAME(129)
FRAME(500)
FRAME(2001)
FRAME(7000)

static void (*const frames[])(struct program *) = { frame_1,	frame_24,
						    frame_129,	frame_500,
						    frame_2001, frame_7000 };

static void call(struct program *p)
{
	if (p->depth >= DEPTH)
		return;
	p->depth++;
	frames[dice(p, 6)](p);
	p->depth--;
}

/* The compiler cannot know that this is x, nor compare before a switch. */
static uint32_t opaque(uint32_t x)
{
	__asm__ volatile("" : "+r"(x));
	return x;
}

/* More values than there are registers that a call preserves. */
static __attribute__((noinline)) void keep_integers(struct program *p)
{
	uint32_t r = opaque(p->random);
	uint64_t a = next_random(&r), b = next_random(&r) * a,
		 c = next_random(&r) * b, d = next_random(&r) + c,
		 e = next_random(&r) * d, f = next_random(&r) + e,
		 g = next_random(&r) * f, h = next_random(&r) + g,
		 i = next_random(&r) * h, j = next_random(&r) + i,
		 k = next_random(&r) * j, l = next_random(&r) + k;

	r = p->random;
	tuck_yield();	/* with them in registers */
	CHECK(a == next_random(&r));
	CHECK(b == next_random(&r) * a);
	CHECK(c == next_random(&r) * b);
	CHECK(d == next_random(&r) + c);
	CHECK(e == next_random(&r) * d);
	CHECK(f == next_random(&r) + e);
	CHECK(g == next_random(&r) * f);
	CHECK(h == next_random(&r) + g);
	CHECK(i == next_random(&r) * h);
	CHECK(j == next_random(&r) + i);
	CHECK(k == next_random(&r) * j);
	CHECK(l == next_random(&r) + k);
}

static double number(uint32_t *random)
{
	return (double)next_random(random) + 0.5;
}

static __attribute__((noinline)) void keep_doubles(struct program *p)
{
	uint32_t r = opaque(p->random);
	double a = number(&r), b = number(&r), c = number(&r), d = number(&r),
	       e = number(&r), f = number(&r), g = number(&r), h = number(&r),
	       i = number(&r), j = number(&r);

	r = p->random;
	tuck_yield();	/* with them in registers */
	CHECK(a == number(&r) && b == number(&r));
	CHECK(c == number(&r) && d == number(&r));
	CHECK(e == number(&r) && f == number(&r));
	CHECK(g == number(&r) && h == number(&r));
	CHECK(i == number(&r) && j == number(&r));
}

/* By the mode of rounding the same, before and after. */
static __attribute__((noinline)) void divide(struct program *p)
{
	volatile double a = 1 + dice(p, 1000), b = 3 + dice(p, 1000);
	volatile long double la = a, lb = b;
	volatile float fa = (float)a, fb = (float)b;
	volatile double q = a / b;
	volatile long double lq = la / lb;
	volatile float fq = fa / fb;
	/* In memory, since x87's registers hold more than the type does. */
	volatile double q2;
	volatile long double lq2;
	volatile float fq2;

	change_places(p);
	q2 = a / b;
	lq2 = la / lb;
	fq2 = fa / fb;
	CHECK(q == q2);
	CHECK(lq == lq2);
	CHECK(fq == fq2);
}

static void yield(void *arg)
{
	(void)arg;
	tuck_yield();
}

static void keep_registers(struct program *p)
{
	uint64_t bits = next_random(&p->random);

	bits |= (uint64_t)next_random(&p->random) << 32;
	CHECK_EQ(torture((uintptr_t)bits, yield, NULL), 0);
}

static void change_mode(struct program *p)
{
	p->mode = modes[dice(p, MODES)];
	CHECK_EQ(fesetround(p->mode), 0);
	p->control = set_control(next_random(&p->random));
	change_places(p);
}

/* Somewhere below, somebody may jump back to here. */
static __attribute__((noinline)) void set_mark(struct program *p)
{
	volatile unsigned char pad[77];
	volatile uint32_t key = next_random(&p->random);
	volatile int depth = p->depth;
	jmp_buf env, *volatile outer = p->env;

	fill(pad, sizeof(pad), key);
	if (setjmp(env) == 0) {
		p->env = &env;
		call(p);
	}
	p->env = outer;
	p->depth = depth;
	verify(pad, sizeof(pad), key);
	change_places(p);
	verify(pad, sizeof(pad), key);
}

static void jump(struct program *p)
{
	if (p->env)
		longjmp(*p->env, 1);
}

/* Ops until the program is over, or a return. */
static void run(struct program *p)
{
	static void (*const ops[])(struct program *) = {
		call,		call,	call,	      keep_integers,
		keep_doubles,	divide, change_mode,  set_mark,
		keep_registers, jump,	change_places
	};
	uint32_t op;

	while (p->ops-- > 0) {
		op = dice(p, 13);
		if (op >= 11 && p->depth > 0)
			return;
		ops[op % 11](p);
	}
}

static void start(void *arg)
{
	struct program p = {
		(uint32_t)(uintptr_t)arg, OPS, 0, FE_TONEAREST, 0, NULL
	};

	CHECK_EQ(fegetround(), FE_TONEAREST);
	CHECK_EQ(get_control(), fresh);
	p.control = fresh;
	run(&p);
	ended++;
}

/* -- rounds -- */

static void run_round(uint32_t n)
{
	uint32_t random = n * 2654435761u + 1;
	int alive = 2 + (int)(next_random(&random) % 30);

	seed = n;
	ended = 0;
	for (int i = 0; i < alive; i++)
		go(start, (void *)(uintptr_t)(next_random(&random) | 1));
	while (ended < alive)
		tuck_yield();
}

static void run_rounds(uint32_t first, uint32_t n)
{
	const char *only = getenv("FRAMES_SEED");

	if (only) {
		first = (uint32_t)strtoul(only, NULL, 10);
		n = 1;
	}
	fresh = get_control();
	fprintf(stderr, "# seeds %u to %u\n", first, first + n - 1);
	for (uint32_t i = 0; i < n; i++)
		run_round(first + i);
	fprintf(stderr, "# %d switches\n", switches);
	CHECK(only || switches > (int)n * OPS);
}

#define ROUNDS 150

TEST(frames_survive)
{
	run_rounds(1, ROUNDS);
}

TEST(frames_survive_on_one_stack)
{
	use_slots(1);
	run_rounds(100001, ROUNDS);
}

TEST(frames_survive_on_two_stacks)
{
	use_slots(2);
	run_rounds(200001, ROUNDS);
}

TEST(frames_survive_on_seven_stacks)
{
	use_slots(7);
	run_rounds(300001, ROUNDS);
}

/* A new tasklet does not begin with its starter's modes. */
static void check_fresh(void *arg)
{
	CHECK_EQ(fegetround(), FE_TONEAREST);
	CHECK_EQ(get_control(), *(uint32_t *)arg);
	fesetround(modes[MODES - 1]);
	set_control(0x8040);
	ended++;
}

TEST(floating_point_modes_are_fresh_at_the_start)
{
	uint32_t own;

	fresh = get_control();
	fesetround(modes[1 % MODES]);
	own = set_control(0x8000);
	for (int i = 0; i < 3; i++)
		go(check_fresh, &fresh);
	while (ended < 3)
		tuck_yield();
	CHECK_EQ(fegetround(), modes[1 % MODES]);
	CHECK_EQ(get_control(), own);
}
