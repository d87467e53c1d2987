/* SPDX-License-Identifier: MIT */
/*
 * Fibers for ThreadSanitizer, one a context; and whether Valgrind is there.
 *
 * A fiber is kept when its context ends, and taken again for a later one:
 * gcc's takes half a millisecond to make and 870 KB, and those that clang's
 * runtime destroys take along what it knows of their accesses, so that races
 * with who has just ended are lost.
 *
 * Invariants:
 * 1. There are at most TUCK__FIBERS_MAX fibers in the process: the runtimes
 *    end it at some 8,128 threads. An admission above that fails.
 * 2. A fiber is used by contexts of one cache only, one after the other;
 *    their accesses are in order anyway, so no race is hidden.
 *
 * A context that ends does not return from its functions, so each use leaves
 * some entries on the fiber's stack of calls, which has 65,536: therefore
 * the number of uses is limited.
 */
#include "ctx/annotate.h"

#if TUCK__TSAN
#include <errno.h>
#include <stdatomic.h>

#define USES_MAX 32u		/* 2,000 calls deep each */
#define KEEP	 16u		/* that have ended, before one is taken */

static _Atomic(uint32_t) fibers;
static __thread void *native_fiber;	/* of the thread, without contexts */

static void destroy(struct tuck__fibers *f, uint32_t i)
{
	__tsan_destroy_fiber(f->made[i]);
	f->made[i] = f->made[--f->made_n];
	atomic_fetch_sub(&fibers, 1);
}

static void wear_out(struct tuck__fibers *f, const struct tuck__annotated *a)
{
	uint32_t i = 0;

	while (f->made[i] != a->fiber)
		i++;
	destroy(f, i);
}

static struct tuck__annotated oldest(struct tuck__fibers *f)
{
	struct tuck__annotated a = f->ended[f->first];

	f->first = (f->first + 1) % TUCK__FIBERS_MAX;
	f->n--;
	return a;
}

static int make(struct tuck__fibers *f, struct tuck__annotated *a)
{
	if (atomic_fetch_add(&fibers, 1) >= TUCK__FIBERS_MAX) {
		atomic_fetch_sub(&fibers, 1);
		return -ENOMEM;
	}
	a->fiber = f->made[f->made_n++] = __tsan_create_fiber(0);
	a->uses = 1;
	__tsan_set_fiber_name(a->fiber, "tasklet");
	return 0;
}

int tuck__fiber_take(struct tuck__fibers *f, struct tuck__annotated *a)
{
	if (f->n < KEEP && make(f, a) == 0)
		return 0;
	if (f->n == 0)
		return -ENOMEM;
	*a = oldest(f);
	if (a->uses++ < USES_MAX)
		return 0;
	wear_out(f, a);
	return make(f, a);
}

void tuck__fiber_put(struct tuck__fibers *f, struct tuck__annotated *a)
{
	if (a->uses == 0)
		return;
	f->ended[(f->first + f->n++) % TUCK__FIBERS_MAX] = *a;
	a->uses = 0;
}

void tuck__fibers_init(struct tuck__annotated *native)
{
	native->fiber = __tsan_get_current_fiber();
	if (!native_fiber)
		native_fiber = native->fiber;
}

/*
 * Those of contexts that never ended, too. A thread may end in a context that
 * is not its own.
 */
void tuck__fibers_fini(struct tuck__fibers *f)
{
	if (native_fiber)
		__tsan_switch_to_fiber(native_fiber, 0);
	while (f->made_n > 0)
		destroy(f, 0);
	f->n = 0;
}
#endif

#if TUCK__VALGRIND
bool tuck__memcheck;

__attribute__((__constructor__)) static void ask(void)
{
	char defined = 0;

	tuck__memcheck = VALGRIND_MAKE_MEM_DEFINED(&defined, 1) != 0;
}
#endif
