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
	s->cframe = ts->cframe;
	s->frame = ts->cframe->current_frame;
	s->exc_info = ts->exc_info;
	s->exc_state = ts->exc_state;
	s->context = ts->context;
	pychunk_save(&s->data, ts);
	s->depth = ts->recursion_limit - ts->recursion_remaining;
	s->trash_depth = ts->trash_delete_nesting;
	s->tracing = ts->tracing;
}

static inline void pystate_load(struct pystate *s, PyThreadState *ts)
{
	ts->cframe = s->cframe;
	ts->exc_info = s->exc_info;
	ts->exc_state = s->exc_state;
	ts->context = s->context;
	ts->context_ver++;
	pychunk_load(&s->data, ts);
	ts->recursion_remaining = ts->recursion_limit - s->depth;
	ts->trash_delete_nesting = s->trash_depth;
	ts->tracing = s->tracing;
	pystate_trace(ts);
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
	ts->recursion_remaining = ts->recursion_limit;
	ts->trash_delete_nesting = 0;
	ts->tracing = 0;
	s->context = NULL;
	s->data.chunk = NULL;
	pystate_trace(ts);
}

static inline void pystate_steady(struct pystate *s)
{
	(void)s;
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
	return ts->trash_delete_nesting;
}

static inline PyFrameObject *pystate_frame(const struct pystate *s)
{
	PyThreadState *ts = PyThreadState_Get();
	_PyCFrame shown = { .current_frame = s->frame }, *own = ts->cframe;
	PyFrameObject *frame;
	int collects;

	if (!s->frame)
		return NULL;
	collects = PyGC_Disable();	/* it runs code of anybody's */
	ts->cframe = &shown;
	frame = PyThreadState_GetFrame(ts);
	ts->cframe = own;
	if (collects)
		PyGC_Enable();
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
