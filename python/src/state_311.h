/* SPDX-License-Identifier: MIT */
/*
 * CPython 3.11. Python frames lie in chunks of a data stack of their own, not
 * on the C stack; the C stack has one struct _PyCFrame for each evaluation
 * loop, which leads to the frames.
 *
 * The interpreter makes the first chunk of a data stack with mmap(), 16 KB, at
 * the first call, and never gives it back. Here a greenlet brings its first
 * chunk, a small one from the heap. It is marked as used by one word, as the
 * interpreter does, so that it is never popped.
 */
#ifndef TUCK_PY_STATE_311_H
#define TUCK_PY_STATE_311_H

#include "chunk.h"
#include "frames.h"

struct pystate {
	_PyCFrame *cframe;
	pyframe *frame;
	_PyErr_StackItem *exc_info;
	_PyErr_StackItem exc_state;
	PyObject *context;
	struct pychunk data;
	int depth;			/* of recursion */
	int trash_depth;
	int tracing;
};

struct pybase {
	_PyCFrame cframe;
};

static inline pyframe **pystate_top(PyThreadState *ts)
{
	return &ts->cframe->current_frame;
}

#include "state_chunks.h"

/* Tracing belongs to the thread, but each evaluation loop keeps a copy. */
static inline void pystate_trace(PyThreadState *ts)
{
	ts->cframe->use_tracing = !ts->tracing && (ts->c_tracefunc ||
						   ts->c_profilefunc) ?
					  255 :
					  0;
}

static inline void pystate_save(struct pystate *s, PyThreadState *ts)
{
	pystate_save_common(s, ts);
	s->cframe = ts->cframe;
	s->depth = ts->recursion_limit - ts->recursion_remaining;
	s->trash_depth = ts->trash_delete_nesting;
}

static inline void pystate_load(struct pystate *s, PyThreadState *ts)
{
	ts->cframe = s->cframe;
	pystate_load_common(s, ts);
	ts->recursion_remaining = ts->recursion_limit - s->depth;
	ts->trash_delete_nesting = s->trash_depth;
	pystate_trace(ts);
}

static inline void pystate_begin(struct pystate *s, PyThreadState *ts,
				 struct pybase *base)
{
	base->cframe = (_PyCFrame){ .previous = &ts->root_cframe };
	ts->cframe = &base->cframe;
	pystate_begin_common(s, ts);
	ts->recursion_remaining = ts->recursion_limit;
	ts->trash_delete_nesting = 0;
	pystate_trace(ts);
}

static inline void pystate_steady(struct pystate *s)
{
	(void)s;
}

static inline int pystate_trash_depth(const PyThreadState *ts)
{
	return ts->trash_delete_nesting;
}

#endif
