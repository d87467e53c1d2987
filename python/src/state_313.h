/* SPDX-License-Identifier: MIT */
/*
 * CPython 3.13. As 3.12, but an evaluation loop has nothing on the C stack
 * but its entry frame. What is to be freed later, for its depth, is the
 * thread's: whoever comes first frees it.
 */
#ifndef TUCK_PY_STATE_313_H
#define TUCK_PY_STATE_313_H

#include "chunk.h"
#include "frames.h"

struct pystate {
	pyframe *frame;
	struct pyframes frames;
	_PyErr_StackItem *exc_info;
	_PyErr_StackItem exc_state;
	PyObject *context;
	struct pychunk data;
	int depth;			/* of recursion in Python */
	int c_remaining;		/* of recursion in C */
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

static inline void pystate_save(struct pystate *s, PyThreadState *ts)
{
	pystate_save_common(s, ts);
	s->depth = ts->py_recursion_limit - ts->py_recursion_remaining;
	s->c_remaining = ts->c_recursion_remaining;
	if (s->frames.depth)
		pyframes_cut(&s->frames, s->frame, s->c_remaining);
}

static inline void pystate_load(struct pystate *s, PyThreadState *ts)
{
	pyframes_mend(&s->frames);
	ts->current_frame = s->frame;
	pystate_load_common(s, ts);
	ts->py_recursion_remaining = ts->py_recursion_limit - s->depth;
	ts->c_recursion_remaining = s->c_remaining;
}

static inline void pystate_begin(struct pystate *s, PyThreadState *ts,
				 struct pybase *base)
{
	base->none = 0;
	ts->current_frame = NULL;
	pystate_begin_common(s, ts);
	ts->py_recursion_remaining = ts->py_recursion_limit;
	/* The interpreter may have been built with another limit. */
	if (ts->c_recursion_remaining < Py_C_RECURSION_LIMIT)
		ts->c_recursion_remaining = Py_C_RECURSION_LIMIT;
	s->frames = (struct pyframes){ .depth = ts->c_recursion_remaining };
}

static inline void pystate_steady(struct pystate *s)
{
	s->frames.steady = true;
}

static inline int pystate_trash_depth(const PyThreadState *ts)
{
	(void)ts;
	return 0;
}

#endif
