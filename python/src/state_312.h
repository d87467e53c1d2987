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

static inline void pystate_save(struct pystate *s, PyThreadState *ts)
{
	s->cframe = ts->cframe;
	s->frame = ts->cframe->current_frame;
	s->exc_info = ts->exc_info;
	s->exc_state = ts->exc_state;
	s->context = ts->context;
	pychunk_save(&s->data, ts);
	s->depth = ts->py_recursion_limit - ts->py_recursion_remaining;
	s->c_remaining = ts->c_recursion_remaining;
	s->trash_depth = ts->trash.delete_nesting;
	s->tracing = ts->tracing;
	if (s->frames.depth)
		pyframes_cut(&s->frames, s->frame, s->c_remaining);
}

static inline void pystate_load(struct pystate *s, PyThreadState *ts)
{
	pyframes_mend(&s->frames);
	ts->cframe = s->cframe;
	ts->exc_info = s->exc_info;
	ts->exc_state = s->exc_state;
	ts->context = s->context;
	ts->context_ver++;
	pychunk_load(&s->data, ts);
	ts->py_recursion_remaining = ts->py_recursion_limit - s->depth;
	ts->c_recursion_remaining = s->c_remaining;
	ts->trash.delete_nesting = s->trash_depth;
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
	base->cframe = (_PyCFrame){ .previous = &ts->root_cframe };
	ts->cframe = &base->cframe;
	ts->exc_state = (_PyErr_StackItem){ 0 };
	ts->exc_info = &ts->exc_state;
	ts->context = s->context;
	ts->context_ver++;
	pychunk_load(&s->data, ts);
	ts->py_recursion_remaining = ts->py_recursion_limit;
	/* The interpreter may have been built with another limit. */
	if (ts->c_recursion_remaining < C_RECURSION_LIMIT)
		ts->c_recursion_remaining = C_RECURSION_LIMIT;
	s->frames = (struct pyframes){ .depth = ts->c_recursion_remaining };
	ts->trash.delete_nesting = 0;
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
	return ts->trash.delete_nesting;
}

static inline PyFrameObject *pystate_frame(const struct pystate *s)
{
	PyThreadState *ts = PyThreadState_Get();
	_PyCFrame shown = { .current_frame = s->frame }, *own = ts->cframe;
	PyFrameObject *frame;

	if (!s->frame)
		return NULL;
	ts->cframe = &shown;
	frame = PyThreadState_GetFrame(ts);
	ts->cframe = own;
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
