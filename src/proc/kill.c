/* SPDX-License-Identifier: MIT */
/*
 * A proc that is to end early: all its tasklets are told, one by one, by the
 * calls that any thread may make.
 *
 * Invariant: an id that was read from a proc's table while its main tasklet was
 * alive is, or was, one of its own. The table is used by the next thread when
 * the proc has ended; so the main tasklet is looked for after each look there.
 *
 * Why not otherwise: a request to the proc would have to outlive it, and its
 * number.
 */
#include <errno.h>
#include <tuck/proc.h>

#include "proc/proc.h"
#include "task/task.h"

static tuck_id id_at(const struct tuck__sched *s, uint32_t i)
{
	return atomic_load_explicit(&tuck__table_at(s, i)->id,
				    memory_order_acquire) &
	       TUCK__ID_MASK;
}

/* The caller, if it is one of them, comes last: it may end by that. */
static int tell_all(int proc, int (*tell)(tuck_id id))
{
	const tuck_id main_id = tuck__proc_main(proc);
	const tuck_id self = tuck__tls ? tuck__id(tuck__tls->current) : 0;
	struct tuck__sched *s;
	bool of_them = false;
	uint32_t n;

	if (!tuck__find(main_id, &s))
		return -ESRCH;
	n = atomic_load_explicit(&s->table.n, memory_order_acquire);
	for (uint32_t i = 0; i < n; i++) {
		tuck_id id = id_at(s, i);

		if (!tuck__find(main_id, &s))
			return 0;
		if (id == self && id != main_id)
			of_them = true;
		else if (id && id != main_id)
			tell(id);
	}
	tuck_cancel(main_id);
	return of_them ? tell(self) : 0;
}

int tuck_proc_kill(int proc)
{
	return tell_all(proc, tuck_kill);
}

int tuck_proc_cancel(int proc)
{
	return tell_all(proc, tuck_cancel);
}
