/* SPDX-License-Identifier: MIT */
/*
 * CPython 3.10. As 3.9, but the C stack has one CFrame for each evaluation
 * loop, with a copy of whether the thread is traced.
 */
#ifndef TUCK_PY_STATE_310_H
#define TUCK_PY_STATE_310_H

#include <Python.h>

struct pystate {
	CFrame *cframe;
	PyFrameObject *frame;
	_PyErr_StackItem *exc_info;
	_PyErr_StackItem exc_state;
	PyObject *context;
	int depth;			/* of recursion */
	int trash_depth;
	int tracing;
};

struct pybase {
	CFrame cframe;
};

static inline void pystate_trace(PyThreadState *ts)
{
	ts->cframe->use_tracing = !ts->tracing &&
				  (ts->c_tracefunc || ts->c_profilefunc);
}

#include "state_objects.h"

static inline void pystate_save(struct pystate *s, PyThreadState *ts)
{
	pystate_save_common(s, ts);
	s->cframe = ts->cframe;
}

static inline void pystate_load(struct pystate *s, PyThreadState *ts)
{
	ts->cframe = s->cframe;
	pystate_load_common(s, ts);
}

static inline void pystate_begin(struct pystate *s, PyThreadState *ts,
				 struct pybase *base)
{
	base->cframe = (CFrame){ .previous = &ts->root_cframe };
	ts->cframe = &base->cframe;
	pystate_begin_common(s, ts);
}

#endif
