/* SPDX-License-Identifier: MIT */
/*
 * What the states of CPython 3.9 and 3.10 have in common, whose frames are
 * objects on the heap. Included once struct pystate is known, and
 * - pystate_trace: tell the evaluation loop whether it has to trace.
 *
 * While a frame runs its C function owns a reference to it, and the garbage
 * collector does not track it, so what it refers to may be shown as the
 * greenlet's.
 */
#ifndef TUCK_PY_STATE_OBJECTS_H
#define TUCK_PY_STATE_OBJECTS_H

#include <Python.h>
#include <frameobject.h>

static inline void pystate_save_common(struct pystate *s, PyThreadState *ts)
{
	s->frame = ts->frame;
	s->exc_info = ts->exc_info;
	s->exc_state = ts->exc_state;
	s->context = ts->context;
	s->depth = ts->recursion_depth;
	s->trash_depth = ts->trash_delete_nesting;
	s->tracing = ts->tracing;
}

/* From here on it is the thread's. */
static inline void pystate_load_common(struct pystate *s, PyThreadState *ts)
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
	s->context = NULL;
	s->exc_state = (_PyErr_StackItem){ 0 };
	s->frame = NULL;
}

static inline int pystate_prepare(struct pystate *s)
{
	(void)s;
	return 0;
}

/* Its context may have been given by others before it begins. */
static inline void pystate_begin_common(struct pystate *s, PyThreadState *ts)
{
	s->frame = NULL;
	s->exc_info = &ts->exc_state;
	s->exc_state = (_PyErr_StackItem){ 0 };
	s->depth = 0;
	s->trash_depth = 0;
	s->tracing = 0;
	pystate_load_common(s, ts);
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

/* One reference is the C function's, one is f_back of the frame above. */
static inline int pyframe_objects_visit(PyFrameObject *top, visitproc visit,
					void *arg)
{
	PyFrameObject *f;
	int r = 0, refs = 1;

	for (f = top; f; f = f->f_back, refs = 2)
		if (!f->f_gen && (PyObject_GC_IsTracked((PyObject *)f) ||
				  Py_REFCNT(f) > refs))
			return 0;
	for (f = top; f && r == 0; f = f->f_back)
		if (!f->f_gen)
			r = Py_TYPE(f)->tp_traverse((PyObject *)f, visit, arg);
	return r;
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

/*
 * The references of the C functions, which will not return. A generator's frame
 * belongs to it; what lies on value stacks, nobody knows how much, is lost.
 */
static inline void pyframe_objects_release(PyFrameObject *f)
{
	while (f) {
		PyFrameObject *back = f->f_back;

		if (!f->f_gen)
			Py_DECREF(f);
		f = back;
	}
}

static inline void pystate_clear(struct pystate *s)
{
	PyFrameObject *top = s->frame;

	s->frame = NULL;
	pyframe_objects_release(top);
	Py_CLEAR(s->context);
	Py_CLEAR(s->exc_state.exc_type);
	Py_CLEAR(s->exc_state.exc_value);
	Py_CLEAR(s->exc_state.exc_traceback);
}

#endif
