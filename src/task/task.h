/* SPDX-License-Identifier: MIT */
/*
 * Tasklets and the scheduler of a proc: what the files here offer to each
 * other and to the layers above.
 */
#ifndef TUCK__TASK_H
#define TUCK__TASK_H

#include <pthread.h>

#include "task/sched.h"

/* -- thread.c -- */

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

/* In the main tasklet: run the others until none is left; or -EDEADLK. */
int tuck__sched_run_out(struct tuck__sched *s);

/* -- idle.c -- */

void tuck__idle_init(struct tuck__sched *s);

void tuck__sched_set_idle(struct tuck__sched *s, const struct tuck__idle *idle,
			  void *arg);

/* Look at inbox, timers and poller without waiting. */
void tuck__look(struct tuck__sched *s);

/* What to do when until_look is over, which with a policy it always is. */
void tuck__look_if_due(struct tuck__sched *s);

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

/*
 * Nobody is ready, or it is time to look around: afterwards somebody is ready,
 * if need be after a sleep.
 */
tuck__cold void tuck__find_work(struct tuck__sched *s);

static inline bool tuck__has_post(const struct tuck__sched *s)
{
	return atomic_load_explicit(&s->inbox, memory_order_relaxed) != 0;
}

/* -- sched.c -- */

extern const struct tuck__host tuck__host;

/* Have switches, or ends, accounted from now on; or not. */
void tuck__sched_watch(struct tuck__sched *s, bool on);

/* Out of the ready: the one that runs next, waiting for one if need be. */
struct tuck__tasklet *tuck__next(struct tuck__sched *s);

/*
 * Let others run until the caller is made ready: its result, or -ENOMEM at
 * once. All on the way from a call that waits to the switch are tail calls,
 * so a suspended tasklet keeps no frame of them (rule S5), and the switch
 * goes back straight to who made the call.
 */
int tuck__park(struct tuck__sched *s);

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

/* -- registry.c: which procs there are, and whether they wait for ever -- */

/*
 * How many may end waits from outside of all procs, such as signals: while
 * there is one, nobody waits in vain.
 */
extern atomic_int tuck__outside;

/* Procs that are in no list any more, but are going to tell of their end. */
extern atomic_int tuck__ending;

/*
 * Threads of the library's own, if all of them wait for a proc to want
 * something; else -1, and something is going to come.
 */
extern atomic_long tuck__helpers;

extern _Atomic(void (*)(void)) tuck__deadlock_fn;

int tuck__registry_add(struct tuck__sched **ret_sched);
void tuck__registry_remove(struct tuck__sched *s);
struct tuck__sched *tuck__registry_at(uint32_t number);

/*
 * From now on only n scheds may exist: those that every fd table knows. 0, or
 * -EAGAIN when there are others already.
 */
int tuck__registry_limit(uint32_t n);

/*
 * The proc is about to wait with nothing that could end it but other procs.
 * True if none of them can: that was reported, and main was woken.
 */
bool tuck__stuck(struct tuck__sched *s);
void tuck__unstuck(struct tuck__sched *s);

/* -- inbox.c: posts from other procs -- */

/* In place of what lies in the inbox of a sched that nobody uses. */
#define TUCK__INBOX_CLOSED ((uintptr_t)1)

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

#endif
