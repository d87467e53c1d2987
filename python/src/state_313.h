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

static inline void pystate_save(struct pystate *s, PyThreadState *ts)
{
	s->frame = ts->current_frame;
	s->exc_info = ts->exc_info;
	s->exc_state = ts->exc_state;
	s->context = ts->context;
	pychunk_save(&s->data, ts);
	s->depth = ts->py_recursion_limit - ts->py_recursion_remaining;
	s->c_remaining = ts->c_recursion_remaining;
	s->tracing = ts->tracing;
	if (s->frames.depth)
		pyframes_cut(&s->frames, s->frame, s->c_remaining);
}

static inline void pystate_load(struct pystate *s, PyThreadState *ts)
{
	pyframes_mend(&s->frames);
	ts->current_frame = s->frame;
	ts->exc_info = s->exc_info;
	ts->exc_state = s->exc_state;
	ts->context = s->context;
	ts->context_ver++;
	pychunk_load(&s->data, ts);
	ts->py_recursion_remaining = ts->py_recursion_limit - s->depth;
	ts->c_recursion_remaining = s->c_remaining;
	ts->tracing = s->tracing;
	/* From here on it is the thread's. */
	s->context = NULL;
	s->exc_state.exc_value = NULL;
	s->data.chunk = NULL;
	s->frame = NULL;
}

static inline int pystate_prepare(struct pystate *s)
{
	return pychunk_new(&s->data);
}

static inline void pystate_begin(struct pystate *s, PyThreadState *ts,
				 struct pybase *base)
{
	base->none = 0;
	ts->current_frame = NULL;
	ts->exc_state = (_PyErr_StackItem){ 0 };
	ts->exc_info = &ts->exc_state;
	ts->context = s->context;
	ts->context_ver++;
	pychunk_load(&s->data, ts);
	ts->py_recursion_remaining = ts->py_recursion_limit;
	/* The interpreter may have been built with another limit. */
	if (ts->c_recursion_remaining < Py_C_RECURSION_LIMIT)
		ts->c_recursion_remaining = Py_C_RECURSION_LIMIT;
	s->frames = (struct pyframes){ .depth = ts->c_recursion_remaining };
	ts->tracing = 0;
	s->context = NULL;
	s->data.chunk = NULL;
}

static inline void pystate_steady(struct pystate *s)
{
	s->frames.steady = true;
}

static inline void pystate_end(struct pystate *s, PyThreadState *ts)
{
	pychunk_save(&s->data, ts);
	pychunk_free(&s->data);
	s->context = ts->context;
	ts->context = NULL;
}

static inline int pystate_trash_depth(const PyThreadState *ts)
{
	(void)ts;
	return 0;
}

static inline PyFrameObject *pystate_frame(const struct pystate *s)
{
	PyThreadState *ts = PyThreadState_Get();
	pyframe *own = ts->current_frame;
	PyFrameObject *frame;

	if (!s->frame)
		return NULL;
	ts->current_frame = s->frame;
	frame = PyThreadState_GetFrame(ts);
	ts->current_frame = own;
	return frame;
}

static inline int pystate_visit(const struct pystate *s, visitproc visit,
				void *arg)
{
	Py_VISIT(s->context);
	Py_VISIT(s->exc_state.exc_value);
	return pyframes_visit(s->frame, visit, arg);
}

static inline void pystate_clear(struct pystate *s)
{
	pyframe *frame = s->frame;

	s->frame = NULL;
	Py_CLEAR(s->context);
	Py_CLEAR(s->exc_state.exc_value);
	if (pyframes_release(frame))
		pychunk_free(&s->data);
	s->data.chunk = NULL;	/* or it stays, for who has a frame */
}

#endif
