/* SPDX-License-Identifier: MIT */
/*
 * CPython 3.12. As 3.11, but there are entry frames on the C stack (frames.h);
 * recursion is counted in Python and in C; who is traced is no longer kept
 * with each evaluation loop.
 */
#ifndef TUCK_PY_STATE_312_H
#define TUCK_PY_STATE_312_H

#include "chunk.h"
#include "frames.h"

struct pystate {
	_PyCFrame *cframe;
	pyframe *frame;
	struct pyframes frames;
	_PyErr_StackItem *exc_info;
	_PyErr_StackItem exc_state;
	PyObject *context;
	struct pychunk data;
	int depth;			/* of recursion in Python */
	int c_remaining;		/* of recursion in C */
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

static inline void pystate_save(struct pystate *s, PyThreadState *ts)
{
	pystate_save_common(s, ts);
	s->cframe = ts->cframe;
	s->depth = ts->py_recursion_limit - ts->py_recursion_remaining;
	s->c_remaining = ts->c_recursion_remaining;
	s->trash_depth = ts->trash.delete_nesting;
	if (s->frames.depth)
		pyframes_cut(&s->frames, s->frame, s->c_remaining);
}

static inline void pystate_load(struct pystate *s, PyThreadState *ts)
{
	pyframes_mend(&s->frames);
	ts->cframe = s->cframe;
	pystate_load_common(s, ts);
	ts->py_recursion_remaining = ts->py_recursion_limit - s->depth;
	ts->c_recursion_remaining = s->c_remaining;
	ts->trash.delete_nesting = s->trash_depth;
}

static inline void pystate_begin(struct pystate *s, PyThreadState *ts,
				 struct pybase *base)
{
	base->cframe = (_PyCFrame){ .previous = &ts->root_cframe };
	ts->cframe = &base->cframe;
	pystate_begin_common(s, ts);
	ts->py_recursion_remaining = ts->py_recursion_limit;
	/* The interpreter may have been built with another limit. */
	if (ts->c_recursion_remaining < C_RECURSION_LIMIT)
		ts->c_recursion_remaining = C_RECURSION_LIMIT;
	s->frames = (struct pyframes){ .depth = ts->c_recursion_remaining };
	ts->trash.delete_nesting = 0;
}

static inline void pystate_steady(struct pystate *s)
{
	s->frames.steady = true;
}

static inline int pystate_trash_depth(const PyThreadState *ts)
{
	return ts->trash.delete_nesting;
}

#endif
