/* SPDX-License-Identifier: MIT */
/*
 * CPython 3.14, after its headers: this has been compiled, and never run. As
 * 3.13, but
 * - recursion in C is not counted. The stack pointer is compared with limits
 *   in the thread state, so a greenlet brings those of the stack that it runs
 *   on, with the margins that the interpreter has chosen. How many evaluation
 *   loops there are nothing tells: their links are followed at each switch.
 * - what frames hold are tagged references, and a suspended frame has always
 *   laid down how many (frames.h). A generator shows all of its own.
 * - a trace that was compiled at run time may be running: the executor.
 */
#ifndef TUCK_PY_STATE_314_H
#define TUCK_PY_STATE_314_H

#include <limits.h>
#include <stdint.h>
#include <tuck/ctx.h>

#include "chunk.h"
#include "frames.h"

#define Py_BUILD_CORE 1
#include <internal/pycore_tstate.h>
#undef Py_BUILD_CORE

/* Of a C stack; below soft there is an exception, below hard an abort. */
struct pylimits {
	uintptr_t top, soft, hard;
};

struct pystate {
	pyframe *frame;
	struct pyframes frames;
	_PyErr_StackItem *exc_info;
	_PyErr_StackItem exc_state;
	PyObject *context;
	struct pychunk data;
	struct pylimits limits;
	PyObject *executor;		/* that is running, or NULL */
	int depth;			/* of recursion in Python */
	int tracing;
};

struct pybase {
	char none;
};

static inline pyframe **pystate_top(PyThreadState *ts)
{
	return &ts->current_frame;
}

#include "state_chunks.h"

static inline struct pylimits pylimits_get(PyThreadState *ts)
{
	const _PyThreadStateImpl *impl = (_PyThreadStateImpl *)ts;

	return (struct pylimits){
		.top = impl->c_stack_top,
		.soft = impl->c_stack_soft_limit,
		.hard = impl->c_stack_hard_limit,
	};
}

static inline void pylimits_set(PyThreadState *ts, struct pylimits l)
{
	_PyThreadStateImpl *impl = (_PyThreadStateImpl *)ts;

	impl->c_stack_top = l.top;
	impl->c_stack_soft_limit = l.soft;
	impl->c_stack_hard_limit = l.hard;
}

/* Those of the stack that runs, where the interpreter has set others. */
static inline struct pylimits pylimits_here(struct pylimits others)
{
	uintptr_t margin = others.soft - others.hard;
	struct tuck_ctx_info info;
	uintptr_t lowest;

	tuck_ctx_info(tuck_ctx_self(), &info);
	lowest = (uintptr_t)info.limit;
	return (struct pylimits){
		.top = (uintptr_t)info.end,
		.soft = lowest + 2 * margin,
		.hard = lowest + margin,
	};
}

static inline void pystate_save(struct pystate *s, PyThreadState *ts)
{
	pystate_save_common(s, ts);
	s->limits = pylimits_get(ts);
	s->executor = ts->current_executor;
	s->depth = ts->py_recursion_limit - ts->py_recursion_remaining;
	if (s->frames.depth)
		pyframes_cut(&s->frames, s->frame, 0);
}

static inline void pystate_load(struct pystate *s, PyThreadState *ts)
{
	pyframes_mend(&s->frames);
	ts->current_frame = s->frame;
	pystate_load_common(s, ts);
	pylimits_set(ts, s->limits);
	ts->current_executor = s->executor;
	ts->py_recursion_remaining = ts->py_recursion_limit - s->depth;
}

static inline void pystate_begin(struct pystate *s, PyThreadState *ts,
				 struct pybase *base)
{
	base->none = 0;
	ts->current_frame = NULL;
	pystate_begin_common(s, ts);
	pylimits_set(ts, pylimits_here(pylimits_get(ts)));
	ts->current_executor = NULL;
	ts->py_recursion_remaining = ts->py_recursion_limit;
	s->frames = (struct pyframes){ .depth = INT_MAX };
}

/* Of no use, since nothing tells whether there is but one loop. */
static inline void pystate_steady(struct pystate *s)
{
	(void)s;
}

static inline int pystate_trash_depth(const PyThreadState *ts)
{
	(void)ts;
	return 0;
}

#endif
