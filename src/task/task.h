/* SPDX-License-Identifier: MIT */
/*
 * Tasklets and the scheduler of a proc: what the layers above need.
 *
 * A tasklet is two cache lines; what most do not need is in its extra block.
 */
#ifndef TUCK__TASK_H
#define TUCK__TASK_H

#include <pthread.h>
#include <stdatomic.h>
#include <tuck/policy.h>
#include <unwind.h>

#include "base/heap.h"
#include "base/list.h"
#include "ctx/ctx.h"

/* What a tasklet waits on; dump.c has the words. */
enum tuck__why {
	TUCK__WHY_NONE,		/* nothing: it runs or is ready */
	TUCK__WHY_ENDING,	/* nothing: it picks its successor */
	TUCK__WHY_PAUSED,
	TUCK__WHY_SLEEP,
	TUCK__WHY_BLOCK,
	TUCK__WHY_JOIN,
	TUCK__WHY_SEND,
	TUCK__WHY_RECV,
	TUCK__WHY_FD_ROOM,
	TUCK__WHY_PROC,
	TUCK__WHY_GROUP,
	TUCK__WHY_END,
	TUCK__WHY_RUN,
	/* From here on there is more to undo than a link. */
	TUCK__WHY_JOB,
	TUCK__WHY_SHARED,		/* to HOME: a struct tuck__far */
	TUCK__WHY_RENDEZVOUS,
	TUCK__WHY_OFFLOAD,
	TUCK__WHY_FAR_JOIN,
	TUCK__WHY_HOME,
	TUCK__WHY_SELECT,
	TUCK__WHY_MUTEX,		/* to BARRIER: a wait queue, waitq.h */
	TUCK__WHY_ONCE,
	TUCK__WHY_RDLOCK,
	TUCK__WHY_WRLOCK,
	TUCK__WHY_COND,
	TUCK__WHY_SEM,
	TUCK__WHY_WAITGROUP,
	TUCK__WHY_EVENT,
	TUCK__WHY_BARRIER,
	TUCK__WHY_READ,
	TUCK__WHY_WRITE,
	TUCK__WHY_ALARM,		/* no tasklet: a struct tuck__alarm */
	TUCK__WHYS
};

enum {
	TUCK__PERMIT = 1,		/* an unblock that came early */
	TUCK__EITHER = 2,		/* waits for input or output */
	TUCK__CANCELED = 4,		/* must not wait */
	TUCK__KILLED = 8,		/* cannot be killed any more */
	TUCK__SCOPED = 16,		/* its group has a deadline, */
	TUCK__OUTER = 32,		/* which ends this wait */
	TUCK__DOOMED = 64,		/* killed, and not unwound yet */
	TUCK__TOLD = 128		/* ready, and the policy knows */
};

/* A place in a queue: a tasklet's own, or one case of its select. */
struct tuck__waiter {
	struct tuck__link link;
	uint8_t is_case;
	uint8_t why, bits;
	_Atomic(uint8_t) grant;		/* enum tuck__grant */
	struct tuck__timer timer;
};

struct tuck__tasklet {
	struct tuck__waiter w;
	struct tuck__ctx ctx;		/* note: waits since, ms; */
					/* mark: mutexes that it holds */
	_Atomic(int64_t) id;		/* and posts from other procs */
	uintptr_t inbox_next;		/* or the next free one */
	void *what;			/* it waits on */
	union {
		void *elem;		/* of a wait on a channel */
		int result;	/* of a wait that ended */
	};
	struct tuck__extra *extra;
};

#if TUCK__CTX_PLAIN
_Static_assert(sizeof(void *) != 8 || sizeof(struct tuck__tasklet) == 128,
	       "a tasklet is two cache lines");
#endif

/*
 * A TaskletExit on its way. libstdc++ looks for the type in front of any
 * exception that a frame has caught, as clang's do before they terminate.
 */
struct tuck__exit {
	const void *no_type[9];
	uint32_t slice_class;
	struct _Unwind_Exception raised;
};

/* A frame that is being unwound: its stack pointer and its function. */
struct tuck__frame {
	const char *sp;
	uintptr_t fn;			/* 0: not known */
};

struct tuck__extra {
	struct tuck__exit *exit;	/* NULL: none yet */
	char name[32];
	struct tuck__tasklet *self;
	struct tuck__link joiners;	/* tasklets, struct tuck__watch */
	struct tuck_group *group;	/* NULL: in none */
	struct tuck__link member;	/* of it */
	int (*fn)(void *);		/* what a member runs, */
	void *arg;
	int result;			/* and how that ended */
	struct tuck__defer *defers;	/* the last one first */
	struct tuck__frame inner;	/* the last that was unwound */
	struct tuck__locals *locals;
	struct tuck__held *held;	/* by calls that it is in */
	uint64_t switches;		/* while its proc accounts, */
	tuck_ns cpu;			/* up to the last of these */
	struct tuck_entity *entity;	/* NULL: no policy needed it yet */
	uint32_t slice_class, entity_class;
};

/* A cleanup, registered at pc by a frame whose stack pointer was sp. */
struct tuck__defer {
	struct tuck__defer *next;
	void (*fn)(void *);
	void *arg;
	const char *sp;
	void *pc;
	uint32_t slice_class;
};

/*
 * What a call keeps while it waits, and gives back at its end. If the tasklet
 * ends first, in whichever way, it is given back then.
 */
struct tuck__held {
	struct tuck__held *next;
	void (*release)(struct tuck__held *held);
};

struct tuck_chan;
struct tuck_case;

/* A case of a select, or what waits to send an error. */
struct tuck__case {
	struct tuck__waiter w;
	struct tuck__tasklet *owner;
	void *elem;
	struct tuck_chan *chan;		/* NULL: it is in no queue */
	int op, err;
};

/*
 * The waits of a select: unlinked together, and given back then, for who was
 * woken may end before it runs.
 */
struct tuck__select {
	uint32_t n, slice_class;
	struct tuck_case *user;		/* the caller's cases, or NULL */
	struct tuck__case cases[];
};

/*
 * Wants to know of a tasklet's end, beside those of its proc who join it; lies
 * in the same list.
 */
struct tuck__watch {
	struct tuck__link link;
	uint8_t is_case;	/* where struct tuck__waiter has it */
	void (*ended)(struct tuck__watch *w);	/* out of the list */
};

/* What its is_case says; not one of those of channels. */
#define TUCK__WATCH 255

_Static_assert(offsetof(struct tuck__watch, is_case) ==
		       offsetof(struct tuck__waiter, is_case),
	       "both are found in one list");

struct tuck__sched;

/*
 * A wait that any thread may end: it changes the state, then wakes by the
 * tasklet's id. It begins what `what` points to. Its proc calls over when it
 * is over, for whatever reason, before the tasklet runs; over knows better
 * than t->result how, if others were first.
 */
struct tuck__far {
	_Atomic(uint32_t) state;	/* enum tuck__far_state */
	const struct tuck__far_kind *kind;
};

/* What is it that `what` begins with, and for a dump, what it waits on. */
struct tuck__far_kind {
	void (*over)(struct tuck__sched *s, struct tuck__tasklet *t);
	void (*text)(const struct tuck__far *far, char *text, size_t n);
};

enum tuck__far_state {
	TUCK__FAR_WAITS,
	TUCK__FAR_WATCHED,		/* its proc looks, need not be woken */
	TUCK__FAR_TAKEN,		/* it is over; how is being noted, */
	TUCK__FAR_OVER			/* or has been */
};

/* Something to be done by another proc, when it looks into its inbox. */
struct tuck__request {
	uintptr_t next;			/* in the inbox */
	void (*run)(struct tuck__sched *s, struct tuck__request *r);
};

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
	struct tuck__exit exit;		/* for one without memory for it */
	_Alignas(64) _Atomic(uintptr_t) inbox;
	atomic_int sleeping;
};

#define TUCK__SCHEDS_MAX 512
#define TUCK__LOOK_EVERY 127	/* switches between looks */

extern __thread struct tuck__sched *tuck__tls __attribute__((
	__tls_model__("initial-exec"), __visibility__("hidden")));

/*
 * The calling thread's descriptor table; 0: the process's first one. Of the
 * thread, since it may be a proc later, or a proc no more.
 */
extern __thread uint32_t tuck__fd_table __attribute__((
	__tls_model__("initial-exec"), __visibility__("hidden")));

/* -- sched.c -- */

/* The calling thread's scheduler; NULL when one cannot be made. */
struct tuck__sched *tuck__sched_make(void);

static inline struct tuck__sched *tuck__sched(void)
{
	struct tuck__sched *s = tuck__tls;

	return tuck__likely(s != NULL) ? s : tuck__sched_make();
}

/* Why the last tuck__sched_make() failed. */
int tuck__sched_error(void);

void tuck__sched_fini(struct tuck__sched *s);

/* Have switches, or ends, accounted from now on; or not. */
void tuck__sched_watch(struct tuck__sched *s, bool on);

/* In the main tasklet: run the others until none is left; or -EDEADLK. */
int tuck__sched_run_out(struct tuck__sched *s);

void tuck__sched_set_idle(struct tuck__sched *s, const struct tuck__idle *idle,
			  void *arg);

/* Look at inbox, timers and poller without waiting. */
void tuck__look(struct tuck__sched *s);

/* What to do when until_look is over, which with a policy it always is. */
void tuck__look_if_due(struct tuck__sched *s);

/* Out of the ready: the one that runs next, waiting for one if need be. */
struct tuck__tasklet *tuck__next(struct tuck__sched *s);

/*
 * Let others run until the caller is made ready: its result, or -ENOMEM at
 * once. All on the way from a call that waits to the switch are tail calls,
 * so a suspended tasklet keeps no frame of them (rule S5), and the switch
 * goes back straight to who made the call.
 */
int tuck__park(struct tuck__sched *s);

/*
 * Whether a wait that others end is likely to be over sooner than a switch
 * away and back: nobody else is ready, and lately it was worth looking. Each
 * true counts as a switch. Then watch: true, and *state is OVER; or false,
 * and it has gone from WATCHED to WAITS.
 */
bool tuck__may_watch(struct tuck__sched *s);
bool tuck__watch(struct tuck__sched *s, _Atomic(uint32_t) *state);

/* So it turned out to be; watch says it itself. */
void tuck__spun(struct tuck__sched *s, bool in_vain);

static inline bool tuck__has_post(const struct tuck__sched *s)
{
	return atomic_load_explicit(&s->inbox, memory_order_relaxed) != 0;
}

/* Run t now; the caller is in a queue already, or waits. */
int tuck__run_now(struct tuck__sched *s, struct tuck__tasklet *t);

/* What makes a wait take the long way. */
#define TUCK__IN_SCOPE (TUCK__CANCELED | TUCK__SCOPED | TUCK__DOOMED)

/*
 * Of a wait that the caller has begun: its deadline or its group's, whichever
 * is earlier; or -ECANCELED, and it is over.
 */
tuck_ns tuck__scope(struct tuck__sched *s, struct tuck__tasklet *self,
		    tuck_ns deadline);

/* The wait of one with a bit of TUCK__IN_SCOPE. */
int tuck__wait_in_scope(struct tuck__sched *s, struct tuck__tasklet *self,
			tuck_ns deadline);

/* The timed part of tuck__wait(). */
int tuck__wait_until(struct tuck__sched *s, struct tuck__tasklet *self,
		     tuck_ns deadline);

/* tuck__wait() in two steps: say what for, then do it. */
static inline void tuck__wait_for(struct tuck__sched *s, enum tuck__why why,
				  void *what)
{
	struct tuck__tasklet *self = s->current;

	self->w.why = (uint8_t)why;
	self->what = what;
	self->ctx.note = s->now_ms;
}

static inline int tuck__wait_now(struct tuck__sched *s, tuck_ns deadline)
{
	struct tuck__tasklet *self = s->current;

	if (tuck__unlikely(self->w.bits & TUCK__IN_SCOPE))
		return tuck__wait_in_scope(s, self, deadline);
	if (deadline != TUCK_FOREVER)
		return tuck__wait_until(s, self, deadline);
	return tuck__park(s);
}

/*
 * Wait in the queue that the caller's link was put into (or in none, with
 * the link initialised). Returns what tuck__wake() was given, -ETIMEDOUT, or
 * -ENOMEM; the caller is in no queue any more.
 */
static inline int tuck__wait(struct tuck__sched *s, enum tuck__why why,
			     void *what, tuck_ns deadline)
{
	tuck__wait_for(s, why, what);
	return tuck__wait_now(s, deadline);
}

/* Undo of a wait what is more than one link; may correct t->result. */
void tuck__unwait_special(struct tuck__sched *s, struct tuck__tasklet *t);

/* Take t out of what it waits in, its timer too. */
static inline void tuck__unwait(struct tuck__sched *s, struct tuck__tasklet *t)
{
	if (tuck__unlikely(t->w.timer.place || t->w.why >= TUCK__WHY_JOB))
		tuck__unwait_special(s, t);
	else
		tuck__link_cut(&t->w.link);
	t->w.why = TUCK__WHY_NONE;
}

/* End the wait of t: to the end of the ready. */
static inline void tuck__wake(struct tuck__sched *s, struct tuck__tasklet *t,
			      int result)
{
	t->result = result;
	tuck__unwait(s, t);
	tuck__link_before(&s->ready, &t->w.link);
}

/* End the wait of t and run it at once; the caller right after it. */
void tuck__hand_over(struct tuck__sched *s, struct tuck__tasklet *t,
		     int result);

/* The next of a sequence of random numbers; its state is not 0. */
uint64_t tuck__random(uint64_t *state);

/* The state that begins the sequence of a seed. */
static inline uint64_t tuck__random_from(uint64_t seed)
{
	return seed * 0x9e3779b97f4a7c15 + 1;
}

static inline struct tuck__tasklet *tuck__tasklet_of(struct tuck__link *l)
{
	return (struct tuck__tasklet *)(void *)l;
}

/* -- table.c: names for tasklets -- */

/* id: generation, place in the table, proc; two flags of posts on top. */
#define TUCK__ID_PROC_SHIFT	51
#define TUCK__ID_UNBLOCK	(INT64_MIN)
#define TUCK__ID_POKE		((int64_t)1 << 62)
#define TUCK__ID_KILL		((int64_t)1 << 61)
#define TUCK__ID_CANCEL		((int64_t)1 << 60)
#define TUCK__ID_MASK		(((int64_t)1 << 60) - 1)

struct tuck__tasklet *tuck__table_new(struct tuck__sched *s);
void tuck__table_free(struct tuck__sched *s, struct tuck__tasklet *t,
		      tuck_id id);

/* The tasklet at place i of s's table, alive or not. */
struct tuck__tasklet *tuck__table_at(const struct tuck__sched *s, uint32_t i);

/* The tasklet that id names, and its proc; NULL if it has ended. */
struct tuck__tasklet *tuck__find(tuck_id id, struct tuck__sched **ret_sched);

/* One of s's own: 0, -ESRCH, or -EXDEV for another proc's. */
int tuck__find_here(struct tuck__sched *s, tuck_id id,
		    struct tuck__tasklet **ret_tasklet);

/* The number of the proc of whoever has, or had, this id. */
static inline uint32_t tuck__proc_of(tuck_id id)
{
	return (uint32_t)(id >> TUCK__ID_PROC_SHIFT);
}

static inline tuck_id tuck__id(const struct tuck__tasklet *t)
{
	return atomic_load_explicit(&t->id, memory_order_relaxed) &
	       TUCK__ID_MASK;
}

/* -- inbox.c: posts from other procs, and who is there -- */

/*
 * How many may end waits from outside of all procs, such as signals: while
 * there is one, nobody waits in vain.
 */
extern atomic_int tuck__outside;

/* Procs that are in no list any more, but are going to tell of their end. */
extern atomic_int tuck__ending;

int tuck__registry_add(struct tuck__sched **ret_sched);
void tuck__registry_remove(struct tuck__sched *s);
struct tuck__sched *tuck__registry_at(uint32_t number);

/*
 * From now on only n scheds may exist: those that every fd table knows. 0, or
 * -EAGAIN when there are others already.
 */
int tuck__registry_limit(uint32_t n);

/*
 * Threads of the library's own, if all of them wait for a proc to want
 * something; else -1, and something is going to come.
 */
extern atomic_long tuck__helpers;

/* End s's sleep, if it is in one. */
void tuck__prod(struct tuck__sched *s);

/* Post flag (TUCK__ID_UNBLOCK or _POKE) to a tasklet of any proc. */
int tuck__post(tuck_id id, int64_t flag);

void tuck__inbox_drain(struct tuck__sched *s);

/*
 * Have s run r between two turns of its tasklets: r must not switch. False:
 * it has ended. A new proc may have taken its place, so r looks.
 */
bool tuck__request(struct tuck__sched *s, struct tuck__request *r);

/* Whether s is still to run r; where nobody else can push, as in fork.c. */
bool tuck__requested(struct tuck__sched *s, const struct tuck__request *r);

/* The last requests are run; no more can come. */
void tuck__inbox_close(struct tuck__sched *s);

/*
 * The proc is about to wait with nothing that could end it but other procs.
 * True if none of them can: that was reported, and main was woken.
 */
bool tuck__stuck(struct tuck__sched *s);
void tuck__unstuck(struct tuck__sched *s);

/* -- far.c: waits that any proc may end -- */

/*
 * The caller is going to wait: its timer is set. 0, or -ECANCELED or -ENOMEM.
 */
int tuck__far_begin(struct tuck__sched *s, tuck_ns deadline);

/* It does not wait after all. */
void tuck__far_undo(struct tuck__sched *s);

/* Let the one go on whose wait has been taken. */
void tuck__far_wake(tuck_id id);

/* -- fork.c -- */

void tuck__tasklets_fork(void);

/* In the child: all procs but s (or NULL) are gone. */
void tuck__registry_fork(struct tuck__sched *s);
void tuck__sched_fork(struct tuck__sched *s);

/* What procs that are gone may have left half done, or will not do. */
void tuck__inbox_fork(struct tuck__sched *s);
void tuck__join_catch_up(struct tuck__sched *s, struct tuck__tasklet *t);
void tuck__job_catch_up(struct tuck__sched *s, struct tuck__tasklet *t);

/* -- kill.c -- */

/* What the host hook runs on the stack of one that was killed. */
void tuck__called(struct tuck__ctx *ctx);

/* The running tasklet ends: its cleanups, unwinding, and no return. */
tuck__noreturn void tuck__raise(struct tuck__sched *s);

/*
 * Have the unwinder go on beyond a frame, without its cleanups, if it could
 * not be left where it is. False if it cannot be passed.
 */
bool tuck__pass_by(struct _Unwind_Context *frame);

/* Not while it only looks for a successor, as in the deadlock callback. */
bool tuck__runs(const struct tuck__sched *s, const struct tuck__tasklet *t);

/* Raise TaskletExit in one that does not run; or just end it, if new. */
int tuck__kill(struct tuck__sched *s, struct tuck__tasklet *t);
void tuck__cancel(struct tuck__sched *s, struct tuck__tasklet *t);

/* The running tasklet is at its end: what is left of its cleanups. */
void tuck__at_end(struct tuck__sched *s);

/* -- policy.c -- */

/* The entity of t: NULL without memory. */
struct tuck_entity *tuck__entity(struct tuck__sched *s,
				 struct tuck__tasklet *t);

/* Whether a tasklet may have these attributes. */
bool tuck__policy_valid(const struct tuck_attr *attr);

/* For a new tasklet; attr may be NULL. 0 or -ENOMEM. */
int tuck__policy_admit(struct tuck__sched *s, struct tuck__tasklet *t,
		       const struct tuck_attr *attr);

/* Out of the ready, of whom there is one: the one that the policy chooses. */
struct tuck__tasklet *tuck__policy_next(struct tuck__sched *s);

/* t, which it was told, leaves the ready in another way. */
tuck__cold void tuck__policy_forget(struct tuck__sched *s,
				    struct tuck__tasklet *t);

/* Nothing of this may be done inside a policy's function. */
tuck__noreturn tuck__cold void tuck__policy_misbehaves(
	const struct tuck__sched *s);
static inline void tuck__policy_outside(const struct tuck__sched *s)
{
	if (tuck__unlikely(s->asking != NULL))
		tuck__policy_misbehaves(s);
}

/* As tuck_policy_set(). */
int tuck__policy_set(struct tuck__sched *s, const struct tuck_policy *policy,
		     const void *arg);
void tuck__policy_fini(struct tuck__sched *s);

/* What the environment names, or the seed: 0 or -ENOMEM. */
int tuck__policy_from_env(struct tuck__sched *s, uint64_t seed);

/* Take one of the ready out that is not the next. */
static inline void tuck__unready(struct tuck__sched *s, struct tuck__tasklet *t)
{
	if (tuck__unlikely(t->w.bits & TUCK__TOLD))
		tuck__policy_forget(s, t);
	tuck__link_cut(&t->w.link);
}

/* -- group.c -- */

tuck_ns tuck__group_deadline(const struct tuck__tasklet *t);

/* A member has ended. */
void tuck__group_leave(struct tuck__extra *extra);

/* -- task.c -- */

/*
 * A tasklet that is in no queue, nor counted, yet: one that will run fn(arg),
 * or never any; NULL without memory. And back again.
 */
struct tuck__tasklet *tuck__task_make(struct tuck__sched *s, void (*fn)(void *),
				      void *arg);
struct tuck__tasklet *tuck__task_stub(struct tuck__sched *s);
void tuck__task_unmake(struct tuck__sched *s, struct tuck__tasklet *t);

/* A tasklet that will run fn(itself); NULL without memory. */
struct tuck__tasklet *tuck__task_new(struct tuck__sched *s, void (*fn)(void *));

/* End a tasklet that does not run, without unwinding. */
void tuck__drop(struct tuck__sched *s, struct tuck__tasklet *t);

tuck__noreturn void tuck__task_after(void);
void tuck__unblock(struct tuck__sched *s, struct tuck__tasklet *t);
struct tuck__extra *tuck__extra(struct tuck__sched *s, struct tuck__tasklet *t);

/* The caller's last call keeps this: 0 or -ENOMEM; and not any more. */
int tuck__hold(struct tuck__sched *s, struct tuck__held *held);
void tuck__let_go(struct tuck__extra *extra);

/* Forget every tasklet but main. */
void tuck__task_drop_all(struct tuck__sched *s);

/* -- local.c -- */

/* Hand its values to their ends: whether there was one. */
bool tuck__locals_end(const struct tuck__extra *extra);
void tuck__locals_forget(struct tuck__sched *s, struct tuck__extra *extra);

/* -- ticks.c -- */

/* Who is in tuck_run(), or NULL. */
static inline struct tuck__tasklet *tuck__run_by(const struct tuck__sched *s)
{
	return s->runner && s->runner->w.why == TUCK__WHY_RUN ? s->runner :
								NULL;
}

/* The thread is no proc any more. */
void tuck__ticks_stop(void);

/* -- account.c -- */

/* t stops running. */
void tuck__account(struct tuck__sched *s, struct tuck__tasklet *t);

/* Since the running tasklet was switched to; 0 without accounts. */
tuck_ns tuck__cpu_running(const struct tuck__sched *s);

/* -- alarm.c -- */

/*
 * A timer that calls ring on its proc, between two turns of its tasklets, with
 * the timer out of the heap; ring may set it again, and gives it up else. ended
 * is called when the proc ends first. Neither may switch.
 */
struct tuck__alarm {
	struct tuck__waiter w;
	void (*ring)(struct tuck__sched *s, struct tuck__alarm *a);
	void (*ended)(struct tuck__sched *s, struct tuck__alarm *a);
};

/* For the first time; TUCK_FOREVER only waits for the proc's end. Or -ENOMEM */
int tuck__alarm_set(struct tuck__sched *s, struct tuck__alarm *a, tuck_ns at);

/* In ring, where it cannot fail. */
void tuck__alarm_again(struct tuck__sched *s, struct tuck__alarm *a,
		       tuck_ns at);

void tuck__alarm_stop(struct tuck__sched *s, struct tuck__alarm *a);
void tuck__alarm_ring(struct tuck__sched *s, struct tuck__waiter *w);
void tuck__alarms_end(struct tuck__sched *s);
/* -- join.c -- */

/* Have w told when t ends: 0 or -ENOMEM. */
int tuck__watch_add(struct tuck__sched *s, struct tuck__tasklet *t,
		    struct tuck__watch *w);

/* Its tasklet has ended: those who wait for that. */
void tuck__tell_end(struct tuck__sched *s, struct tuck__extra *extra);

/* -- job.c: of one that waits for its start on any proc of its pool -- */

/* It is not to start: false if it has moved. */
bool tuck__job_take_back(struct tuck__tasklet *t);

/* A post's flag for it, or for what has moved: 0 or -ESRCH. */
int tuck__job_tell(struct tuck__tasklet *t, int64_t flag);

/* What has moved, or 0. */
tuck_id tuck__job_moved(const struct tuck__tasklet *t);

void tuck__job_over(struct tuck__tasklet *t);

/* Those in queues from which no proc takes before it is awake. */
extern atomic_long tuck__jobs_adrift;

/* -- name.c -- */

int tuck__name_set(struct tuck__sched *s, struct tuck__tasklet *t,
		   const char *name);
const char *tuck__name(const struct tuck__sched *s,
		       const struct tuck__tasklet *t);

/* -- dump.c -- */

int tuck__dump(struct tuck__sched *s, int fd);

/* What it does, or what it waits for. */
const char *tuck__state(const struct tuck__sched *s,
			const struct tuck__tasklet *t);

/* Add case i of a wait, unless chan is NULL, to a text of at most n bytes. */
void tuck__text_case(char *text, size_t n, uint32_t i, int op,
		     const void *chan);
extern _Atomic(void (*)(void)) tuck__deadlock_fn;

#endif
