/* SPDX-License-Identifier: MIT */
/*
 * CPython 3.9. Frames are objects on the heap, and nothing that the
 * interpreter follows lies on the C stack.
 */
#ifndef TUCK_PY_STATE_39_H
#define TUCK_PY_STATE_39_H

#include <Python.h>

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

#include "state_objects.h"

static inline void pystate_save(struct pystate *s, PyThreadState *ts)
{
	pystate_save_common(s, ts);
}

static inline void pystate_load(struct pystate *s, PyThreadState *ts)
{
	pystate_load_common(s, ts);
}

static inline void pystate_begin(struct pystate *s, PyThreadState *ts,
				 struct pybase *base)
{
	base->none = 0;
	pystate_begin_common(s, ts);
}

#endif
