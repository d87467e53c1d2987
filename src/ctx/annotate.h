/* SPDX-License-Identifier: MIT */
/*
 * What sanitizers and Valgrind must be told of a switch and of a copy (rule
 * S10). Without one, all of this is nothing.
 *
 * AddressSanitizer: its fiber calls around each switch, and the shadow bytes
 * of a slice kept behind the slice's data, which slices.c does.
 * ThreadSanitizer: each context is a fiber. The switch between fibers is one
 * that synchronizes: contexts of one cache share the addresses of their
 * stacks, so all would be races without that.
 * MemorySanitizer: what comes out of assembly is initialized. The shadow of
 * a slice travels with memcpy(), which it intercepts.
 * Valgrind: where stacks are. Whether bytes are defined travels with any
 * copy; that their place may be written to has to be said.
 */
#ifndef TUCK__ANNOTATE_H
#define TUCK__ANNOTATE_H

#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "base/check.h"
#include "base/sanitize.h"

#ifndef TUCK_TORMENT
#define TUCK_TORMENT 0
#endif

/* Whether a switch between residents may take the short way. */
#define TUCK__CTX_PLAIN (!TUCK__ASAN && !TUCK__TSAN && !TUCK_TORMENT)

/* As a function it would be entered as one fiber and left as another. */
#define tuck__annotation static inline __attribute__((__always_inline__))

/* Of a context. */
struct tuck__annotated {
#if TUCK__ASAN
	void *fake_stack;
#endif
#if TUCK__TSAN
	void *fiber;
	uint32_t uses;		/* of the fiber; 0: the thread's own */
#endif
};

/* Of a stack. */
struct tuck__annotated_stack {
#if TUCK__VALGRIND
	unsigned int id;
#endif
};

/* -- fibers -- */

#if TUCK__TSAN
/* For the contexts that a process may have under ThreadSanitizer. */
#define TUCK__FIBERS_MAX 2000u

/* Of a cache: its fibers, and of contexts that have ended, oldest first. */
struct tuck__fibers {
	void *made[TUCK__FIBERS_MAX];
	uint32_t made_n, first, n;
	struct tuck__annotated ended[TUCK__FIBERS_MAX];
};

/* 0, or -ENOMEM where there are too many. */
int tuck__fiber_take(struct tuck__fibers *f, struct tuck__annotated *a);
void tuck__fiber_put(struct tuck__fibers *f, struct tuck__annotated *a);
void tuck__fibers_init(struct tuck__annotated *native);
void tuck__fibers_fini(struct tuck__fibers *f);
#else
struct tuck__fibers {
};

tuck__annotation int tuck__fiber_take(struct tuck__fibers *f,
				      struct tuck__annotated *a)
{
	(void)f, (void)a;
	return 0;
}

tuck__annotation void tuck__fiber_put(struct tuck__fibers *f,
				      struct tuck__annotated *a)
{
	(void)f, (void)a;
}

tuck__annotation void tuck__fibers_init(struct tuck__annotated *native)
{
	(void)native;
}

tuck__annotation void tuck__fibers_fini(struct tuck__fibers *f)
{
	(void)f;
}
#endif

/* -- a switch -- */

/* In the function that switches, before: from, or NULL if it has ended. */
tuck__annotation void tuck__note_departure(struct tuck__annotated *from,
					   const struct tuck__annotated *to,
					   const char *limit, const char *base)
{
#if TUCK__ASAN
	__sanitizer_start_switch_fiber(from ? &from->fake_stack : NULL, limit,
				       (size_t)(base - limit));
#endif
#if TUCK__TSAN
	__tsan_switch_to_fiber(to->fiber, 0);
#endif
	(void)from, (void)to, (void)limit, (void)base;
}

/* The same after it: what the switch returns. */
tuck__annotation int tuck__note_arrival(const struct tuck__annotated *self,
					int value)
{
#if TUCK__ASAN
	__sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
#endif
#if TUCK__MSAN
	__msan_unpoison(&value, sizeof(value));
#endif
	(void)self;
	return value;
}

/* A function begins where a switch has landed, not in a frame of one. */
tuck__annotation void tuck__note_entry(void)
{
#if TUCK__ASAN
	__sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
}

/* What a first frame calls, if anything. */
static inline void tuck__enter(void)
{
	tuck__note_entry();
}

#define TUCK__FIRST_CALL (TUCK__ASAN ? tuck__enter : NULL)

/* Announces a switch to the stack that runs now. */
tuck__annotation void tuck__note_turn(const char *limit, const char *base)
{
#if TUCK__ASAN
	void *nobody;

	__sanitizer_start_switch_fiber(&nobody, limit, (size_t)(base - limit));
#endif
	(void)limit, (void)base;
}

/* Assembly goes on elsewhere, and may call a function there. */
tuck__annotation void tuck__note_landing(void)
{
#if TUCK__MSAN
	__msan_unpoison_param(1);
#endif
}

/* A switch that was announced does not happen: end it, and come back. */
tuck__annotation void tuck__note_refusal(const struct tuck__annotated *from,
					 const char *limit, const char *base)
{
	tuck__note_entry();
	tuck__note_turn(limit, base);
#if TUCK__TSAN
	__tsan_switch_to_fiber(from->fiber, 0);
#endif
	(void)from;
}

/*
 * Frames are about to be left without a return. AddressSanitizer knows that
 * of a C++ throw, but not of a forced unwinding.
 */
tuck__annotation void tuck__note_unwinding(void)
{
#if TUCK__ASAN
	__asan_handle_no_return();
#endif
}

/* -- stacks -- */

tuck__annotation void tuck__note_stack(struct tuck__annotated_stack *s,
				       const char *limit, const char *end)
{
#if TUCK__VALGRIND
	s->id = VALGRIND_STACK_REGISTER(limit, end);
#endif
	(void)s, (void)limit, (void)end;
}

/*
 * The thread's own stack. In a forked process Valgrind lets that of the main
 * thread grow by mappings which glibc takes for somebody else's.
 */
tuck__annotation char *tuck__note_native(char *limit, char *base)
{
#if TUCK__VALGRIND
	const ptrdiff_t usual = 8 << 20;

	if (base - limit < usual && RUNNING_ON_VALGRIND && gettid() == getpid())
		return base - usual;
#endif
	(void)base;
	return limit;
}

tuck__annotation void tuck__note_no_stack(const struct tuck__annotated_stack *s)
{
#if TUCK__VALGRIND
	VALGRIND_STACK_DEREGISTER(s->id);
#endif
	(void)s;
}

#if TUCK__VALGRIND
/* Whether its tool for memory runs; a request takes longer than a look. */
extern bool tuck__memcheck __attribute__((__visibility__("hidden")));
#endif

/* Frames that are left for good leave no poison behind. */
tuck__annotation void tuck__note_gone(const void *from, const char *to)
{
#if TUCK__ASAN
	__asan_unpoison_memory_region(from, (size_t)(to - (const char *)from));
#endif
	(void)from, (void)to;
}

/* Stack that is about to be written: nothing of what was there is left. */
tuck__annotation void tuck__note_fresh(void *p, size_t n)
{
#if TUCK__VALGRIND
	if (tuck__unlikely(tuck__memcheck))
		VALGRIND_MAKE_MEM_UNDEFINED(p, n);
#endif
#if TUCK__MSAN
	__msan_allocated_memory(p, n);
#endif
	(void)p, (void)n;
}

#endif
