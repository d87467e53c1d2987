/* SPDX-License-Identifier: MIT */
/*
 * A tasklet, and what it waits in.
 *
 * It is two cache lines; what most do not need is in its extra block.
 */
#ifndef TUCK__TASKLET_H
#define TUCK__TASKLET_H

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

static inline struct tuck__tasklet *tuck__tasklet_of(struct tuck__link *l)
{
	return (struct tuck__tasklet *)(void *)l;
}

#endif
