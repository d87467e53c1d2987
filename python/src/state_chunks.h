/* SPDX-License-Identifier: MIT */
/*
 * What the states of CPython 3.11 to 3.14 have in common, whose frames lie on
 * a data stack. Included once struct pystate is known, and
 * - pystate_top: where the thread state has the innermost frame.
 */
#ifndef TUCK_PY_STATE_CHUNKS_H
#define TUCK_PY_STATE_CHUNKS_H

static inline void pystate_save_common(struct pystate *s, PyThreadState *ts)
{
	s->frame = *pystate_top(ts);
	s->exc_info = ts->exc_info;
	s->exc_state = ts->exc_state;
	s->context = ts->context;
	pychunk_save(&s->data, ts);
	s->tracing = ts->tracing;
}

/* From here on it is the thread's. */
static inline void pystate_load_common(struct pystate *s, PyThreadState *ts)
{
	ts->exc_info = s->exc_info;
	ts->exc_state = s->exc_state;
	ts->context = s->context;
	ts->context_ver++;
	pychunk_load(&s->data, ts);
	ts->tracing = s->tracing;
	s->context = NULL;
	s->exc_state.exc_value = NULL;
	s->data.chunk = NULL;
	s->frame = NULL;
}

/* One that could not be started has its chunk already. */
static inline int pystate_prepare(struct pystate *s)
{
	return s->data.chunk ? 0 : pychunk_new(&s->data);
}

/* Its context may have been given by others before it begins. */
static inline void pystate_begin_common(struct pystate *s, PyThreadState *ts)
{
	s->exc_info = &ts->exc_state;
	s->exc_state = (_PyErr_StackItem){ 0 };
	s->tracing = 0;
	pystate_load_common(s, ts);
}

static inline void pystate_end(struct pystate *s, PyThreadState *ts)
{
	pychunk_save(&s->data, ts);
	pychunk_free(&s->data);
	s->context = ts->context;
	ts->context = NULL;
}

static inline PyFrameObject *pystate_frame(const struct pystate *s)
{
	PyThreadState *ts = PyThreadState_Get();
	pyframe *own = *pystate_top(ts);
	PyFrameObject *frame;
	int collects;

	if (!s->frame)
		return NULL;
	collects = PyGC_Disable();	/* it runs code of anybody's */
	*pystate_top(ts) = s->frame;
	frame = PyThreadState_GetFrame(ts);
	*pystate_top(ts) = own;
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
