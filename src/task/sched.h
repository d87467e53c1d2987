/* SPDX-License-Identifier: MIT */
/* The scheduler of a proc, and the hooks that the layers above give it. */
#ifndef TUCK__SCHED_H
#define TUCK__SCHED_H

#include "task/tasklet.h"

/*
 * What a proc does when nothing is ready: the idle hook.
 * - wait: until the deadline, a kick, or something to be made ready;
 *   TUCK_NOWAIT only looks.
 * - busy: whether a tasklet may be made ready by wait alone.
 * - kick: end a wait of s, or its next one. Any thread may call it, in a signal
 *   handler too, also when s has just ended: so it takes no lock and uses
 *   nothing that is ever given back.
 */
struct tuck__idle {
	void (*wait)(struct tuck__sched *s, void *arg, tuck_ns deadline);
	bool (*busy)(void *arg);
	void (*kick)(struct tuck__sched *s);
};

/*
 * Where a proc gets more to do from, when nothing is ready: the work hook.
 * - take: make something ready: whether it has. If not idle, something is
 *   ready, but others may have waited for long.
 * - sleep: it is about to wait until the deadline, and has announced that.
 *   Until when it may; TUCK_NOWAIT: there is something after all.
 */
struct tuck__work {
	bool (*take)(struct tuck__sched *s, bool idle);
	tuck_ns (*sleep)(struct tuck__sched *s, tuck_ns deadline);
	void (*woken)(struct tuck__sched *s);
};

struct tuck__table {
	_Atomic(struct tuck__tasklet *) *chunks;
	_Atomic(uint32_t) n;		/* tasklets ever made */
	struct tuck__tasklet *free;
};

struct tuck__sched {
	struct tuck__tasklet *current;
	struct tuck__link ready;
	int until_look;			/* switches, then look around */
	int until_fair;			/* hand-overs, then a mere wake */
	int look_every;			/* 0: the policy is asked at each */
	uint64_t switches;
	uint64_t alive;
	struct tuck__cache cache;
	struct tuck__tasklet *main;
	tuck_id main_id;		/* names the proc for ever */
	struct tuck__heap timers;
	struct tuck__link alarms;
	struct tuck__table table;
	uint64_t random;
	uint32_t now_ms;		/* when last looked at */
	uint32_t run;			/* I/O calls without a wait */
	uint64_t fd_waiters;		/* who only the poller can wake */

	_Atomic(const struct tuck__idle *) idle;
	void *idle_arg;
	atomic_int kicked;		/* with no poller: a futex */
	void (*ended)(void *arg);	/* the last that its thread does, */
	void *ended_arg;		/* however it ends */
	void (*io_fini)(struct tuck__sched *s);
	void *io;
	void *spare_wait;		/* chan's, or NULL */
	void (*offload_fini)(struct tuck__sched *s);
	void *offload;

	const struct tuck__work *work;	/* NULL: only what it starts itself */
	void *work_arg;

	const struct tuck_policy *policy; /* NULL: first in, first out */
	void *policy_state;
	uint64_t told;			/* tasklets that it knows */
	const struct tuck__link *oldest; /* of the ready, when last asked, */
	uint64_t passed_over;		/* and how often it was so before */
	int until_policy_look;		/* switches, then look around */
	const struct tuck_policy *asking; /* inside a function of this one */

	int64_t quantum;		/* ticks, 0: none counts */
	struct tuck__tasklet *runner;	/* in tuck_run(), if it waits so, */
	int64_t run_ticks;		/* with that limit */
	tuck_id ran_out;		/* who has used them up */

	tuck_ns cpu_at;			/* of the last accounted switch */
	tuck_ns recheck;		/* how long until the next question */
	tuck_ns spin;			/* how long to look before a sleep */
	uint32_t spin_pauses;		/* short sleeps until the next try, */
	uint32_t spin_pauses_next;	/* and when that is in vain, too */
	tuck_ns trim_at, trimmed_at;	/* in this idle time; the last time */
	bool trimmed;
	pid_t thread;			/* as gettid(2) has it */
	uint32_t number;		/* in the registry */
	bool in_use;			/* registry's lock */
	bool stuck;			/* registry's lock */
	bool telling;			/* in the deadlock callback */
	struct tuck__exit exit;		/* for one without memory for it */
	_Alignas(64) _Atomic(uintptr_t) inbox;
	atomic_int sleeping;
};

#define TUCK__SCHEDS_MAX 512
#define TUCK__LOOK_EVERY 127	/* switches between looks */
#define TUCK__FAIR_EVERY 127	/* hand-overs between mere wakes */

extern __thread struct tuck__sched *tuck__tls __attribute__((
	__tls_model__("initial-exec"), __visibility__("hidden")));

/*
 * The calling thread's descriptor table; 0: the process's first one. Of the
 * thread, since it may be a proc later, or a proc no more.
 */
extern __thread uint32_t tuck__fd_table __attribute__((
	__tls_model__("initial-exec"), __visibility__("hidden")));

#endif
