/* SPDX-License-Identifier: MIT */
/*
 * CPython 3.9. Frames are objects on the heap, and nothing that the
 * interpreter follows lies on the C stack.
 */
#ifndef TUCK_PY_STATE_39_H
#define TUCK_PY_STATE_39_H

#include "frame_objects.h"

struct pystate {
	PyFrameObject *frame;
	_PyErr_StackItem *exc_info;
	_PyErr_StackItem exc_state;
	PyObject *context;
	int depth;			/* of recursion */
	int trash_depth;
	int tracing;
};

struct pybase {
	char none;
};

static inline void pystate_trace(PyThreadState *ts)
{
	ts->use_tracing = !ts->tracing &&
			  (ts->c_tracefunc || ts->c_profilefunc);
}

static inline void pystate_save(struct pystate *s, PyThreadState *ts)
{
	s->frame = ts->frame;
	s->exc_info = ts->exc_info;
	s->exc_state = ts->exc_state;
	s->context = ts->context;
	s->depth = ts->recursion_depth;
	s->trash_depth = ts->trash_delete_nesting;
	s->tracing = ts->tracing;
}

static inline void pystate_load(struct pystate *s, PyThreadState *ts)
{
	ts->frame = s->frame;
	ts->exc_info = s->exc_info;
	ts->exc_state = s->exc_state;
	ts->context = s->context;
	ts->context_ver++;
	ts->recursion_depth = s->depth;
	ts->trash_delete_nesting = s->trash_depth;
	ts->tracing = s->tracing;
	pystate_trace(ts);
	/* From here on it is the thread's. */
	s->context = NULL;
	s->exc_state = (_PyErr_StackItem){ 0 };
	s->frame = NULL;
}

static inline int pystate_prepare(struct pystate *s)
{
	(void)s;
	return 0;
}

static inline void pystate_begin(struct pystate *s, PyThreadState *ts,
				 struct pybase *base)
{
	base->none = 0;
	ts->frame = NULL;
	ts->exc_state = (_PyErr_StackItem){ 0 };
	ts->exc_info = &ts->exc_state;
	ts->context = s->context;
	ts->context_ver++;
	ts->recursion_depth = 0;
	ts->trash_delete_nesting = 0;
	ts->tracing = 0;
	s->context = NULL;
	pystate_trace(ts);
}

static inline void pystate_steady(struct pystate *s)
{
	(void)s;
}

static inline void pystate_end(struct pystate *s, PyThreadState *ts)
{
	s->context = ts->context;
	ts->context = NULL;
}

static inline int pystate_trash_depth(const PyThreadState *ts)
{
	return ts->trash_delete_nesting;
}

static inline PyFrameObject *pystate_frame(const struct pystate *s)
{
	Py_XINCREF(s->frame);
	return s->frame;
}

static inline int pystate_visit(const struct pystate *s, visitproc visit,
				void *arg)
{
	Py_VISIT(s->context);
	Py_VISIT(s->exc_state.exc_type);
	Py_VISIT(s->exc_state.exc_value);
	Py_VISIT(s->exc_state.exc_traceback);
	return pyframe_objects_visit(s->frame, visit, arg);
}

static inline void pystate_clear(struct pystate *s)
{
	s->frame = NULL;
	Py_CLEAR(s->context);
	Py_CLEAR(s->exc_state.exc_type);
	Py_CLEAR(s->exc_state.exc_value);
	Py_CLEAR(s->exc_state.exc_traceback);
}

#endif
