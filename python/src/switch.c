/* SPDX-License-Identifier: MIT */
/*
 * From one greenlet to another.
 *
 * A switch is in three steps: see who will run (aim), fly, arrive. The first
 * may run Python code, to look up what an unstarted greenlet runs; the last
 * may, for a trace function and when the greenlet that was left is freed; in
 * between, none can.
 */
#include "letter.h"

#include <errno.h>

/* Whether a call of run is that of a Python function, and nothing before. */
static bool is_function(PyObject *run, const struct letter *l)
{
	if (PyMethod_Check(run))
		run = PyMethod_GET_FUNCTION(run);
	return PyFunction_Check(run) && !l->kwargs;
}

/*
 * As PyObject_Call(), which would have references of its own on the C stack,
 * where the garbage collector does not see them.
 */
static PyObject *call_by_name(struct green *g)
{
	struct letter *l = &g->first;
	PyObject **all;

	l->one = letter_lay_out(l->args, l->kwargs);
	if (!l->one)
		return NULL;
	all = ((PyTupleObject *)l->one)->ob_item;
	return PyObject_Vectorcall(
		g->run, all, l->args ? (size_t)PyTuple_GET_SIZE(l->args) : 0,
		all[PyTuple_GET_SIZE(l->one) - 1]);
}

/* run(*letter) */
static PyObject *call(struct green *g)
{
	const struct letter *l = &g->first;

	if (is_function(g->run, l))
		pystate_steady(&g->py);
	if (l->one)
		return PyObject_CallOneArg(g->run, l->one);
	if (!l->args && !l->kwargs)
		return PyObject_CallNoArgs(g->run);
	if (l->kwargs)
		return call_by_name(g);
	return PyObject_Call(g->run, l->args, NULL);
}

/* -- arriving -- */

/*
 * Call who observes switches, of whom others observe nothing. With the pending
 * exception put aside, unless it raises: then it observes no more.
 */
static void trace(struct thread *th, PyObject **observer, PyGreenlet *origin)
{
	PyObject *fn = *observer, *result;
	PyObject *type, *value, *traceback;
	int tracing = th->ts->tracing;

	if (!fn)
		return;
	Py_INCREF(fn);
	PyErr_Fetch(&type, &value, &traceback);
	pystate_tracing(th->ts, tracing + 1);
	result = PyObject_CallFunction(fn, "s(OO)", type ? "throw" : "switch",
				       origin, th->current);
	pystate_tracing(th->ts, tracing);
	if (result) {
		PyErr_Restore(type, value, traceback);
	} else {
		Py_XDECREF(type);
		Py_XDECREF(value);
		Py_XDECREF(traceback);
		Py_CLEAR(*observer);
	}
	Py_XDECREF(result);
	Py_DECREF(fn);
}

/*
 * Take what has come: a letter, or the pending exception. There are both where
 * the letter could not be brought to whom it was for.
 */
static struct letter arrive(struct thread *th)
{
	PyGreenlet *origin = th->origin;
	struct letter l = th->letter;

	th->origin = NULL;
	th->letter = (struct letter){ NULL, NULL, NULL };
	if (origin->pimpl->phase == GREEN_DEAD)
		tuck_ctx_fini(&origin->pimpl->own_ctx);
	if (th->trace || green_hook) {
		trace(th, &green_hook, origin);
		trace(th, &th->trace, origin);
	}
	if (PyErr_Occurred())
		letter_clear(&l);
	Py_DECREF(origin);
	return l;
}

/* -- aiming -- */

/*
 * Have what g will run in g->run, if it is to be started: 0, or -1 with an
 * exception, which takes the place of a pending one. Others may have started
 * g by then.
 */
static int load(struct green *g)
{
	PyObject *type, *value, *traceback, *run;

	if (g->run && Py_TYPE(g->self) == &PyGreenlet_Type)
		return 0;		/* it can be found nowhere else */
	PyErr_Fetch(&type, &value, &traceback);
	run = PyObject_GetAttr((PyObject *)g->self, green_run);
	if (!run) {
		Py_XDECREF(type);
		Py_XDECREF(value);
		Py_XDECREF(traceback);
		return -1;
	}
	PyErr_Restore(type, value, traceback);
	if (g->phase == GREEN_NEW)
		Py_XSETREF(g->run, run);
	else
		Py_DECREF(run);
	return 0;
}

/* The one that runs in place of those that have ended; NULL: an exception. */
static struct green *aim(struct thread *th, struct green *g)
{
	for (;;) {
		struct thread *owner = thread_of(g);

		if (owner != th) {
			thread_wrong(g, owner);
			return NULL;
		}
		if (g->phase == GREEN_ALIVE)
			return g;
		if (g->phase == GREEN_DEAD) {
			g = g->parent->pimpl;
			continue;
		}
		if (load(g) < 0)
			return NULL;
		if (g->phase == GREEN_NEW && thread_of(g) == th)
			return g;
	}
}

/* -- starting and ending -- */

/* What is called stays in g, for the garbage collector to see it. */
static PyObject *live(struct thread *th, struct green *g)
{
	PyObject *result = NULL;

	g->first = arrive(th);
	if (!PyErr_Occurred())
		result = call(g);
	letter_clear(&g->first);
	Py_CLEAR(g->run);
	return result ? result : green_exit_value();
}

/* th->current leaves, and g will run. */
static void set_out(struct thread *th, struct green *g)
{
	th->origin = th->current;
	th->current = (PyGreenlet *)Py_NewRef((PyObject *)g->self);
}

static int start(struct thread *th, struct green *g);

/*
 * The one to run after the caller's end: the first of its parents that lives,
 * or can be started; what it gets is *result or the pending exception.
 */
static struct green *heir(struct thread *th, struct green *g, PyObject **result)
{
	PyGreenlet *up = g->parent;

	for (; up; up = up->pimpl->parent) {
		struct green *p = up->pimpl;

		if (p->phase == GREEN_NEW && load(p) < 0)
			Py_CLEAR(*result);
		else if (p->phase != GREEN_DEAD && thread_of(p) == th)
			return p;
	}
	return th->main->pimpl;		/* somebody has changed the chain */
}

/* There was no memory to start who is to run next. */
static struct green *no_parent(struct thread *th)
{
	if (!PyErr_Occurred())
		PyErr_NoMemory();
	Py_INCREF(th->main);
	Py_SETREF(th->current, th->main);
	return th->main->pimpl;
}

/* What each greenlet's context runs. */
static struct tuck_ctx *entry(void *arg)
{
	struct thread *th = green_here;
	struct green *g = arg, *next;
	struct pybase base;
	PyObject *result;

	pystate_begin(&g->py, th->ts, &base);
	result = live(th, g);
	next = heir(th, g, &result);
	g->phase = GREEN_DEAD;
	thread_leave(g);
	th->letter = (struct letter){ .one = result };
	set_out(th, next);
	pystate_end(&g->py, th->ts);
	if (next->phase == GREEN_NEW) {
		start(th, next);
		next = no_parent(th);
	}
	return next->ctx;
}

/* Begin with g: 0 when something comes back, or a negative error. */
static int start(struct thread *th, struct green *g)
{
	int r = pystate_prepare(&g->py);

	if (r == 0)
		r = tuck_ctx_init(&g->own_ctx, NULL, NULL);
	if (r < 0)
		return r;
	thread_enter(th, g);
	g->phase = GREEN_ALIVE;
	r = tuck_ctx_start(&g->own_ctx, entry, g, NULL);
	if (r == 0)
		return 0;
	thread_foresee(g);
	g->phase = GREEN_NEW;
	tuck_ctx_fini(&g->own_ctx);
	return r;
}

/* -- the switch -- */

/* From the current one to `to`, and back some time. */
static int fly(struct thread *th, struct green *to)
{
	struct green *from = th->current->pimpl;
	int r;

	pystate_save(&from->py, th->ts);
	set_out(th, to);
	if (to->phase == GREEN_NEW)
		r = start(th, to);
	else
		r = tuck_ctx_switch(to->ctx, NULL, NULL);
	pystate_load(&from->py, th->ts);
	if (r == 0)
		return 0;
	Py_DECREF(th->current);
	th->current = th->origin;
	th->origin = NULL;
	letter_clear(&th->letter);
	if (r == -ENOMEM)
		PyErr_SetString(PyExc_MemoryError,
				"no memory for the stack of a greenlet");
	else
		PyErr_Format(green_error, "the switch failed: %s",
			     tuck_strerror(r));
	return -1;
}

/*
 * What traces the interpreter's steps may not leave them: it would be called
 * for the steps of others, or not at all.
 */
static bool may_leave(const struct thread *th)
{
	if (!th)
		return false;
	if (th->ts->tracing) {
		PyErr_SetString(green_error, "cannot switch inside a trace or "
					     "profile function");
		return false;
	}
	if (th->collector == th->current && collector_holds(th)) {
		PyErr_SetString(green_error, "cannot switch in what the "
					     "garbage collector calls, on a "
					     "stack that greenlets share");
		return false;
	}
	return true;
}

PyObject *green_switch(PyGreenlet *g, struct letter letter)
{
	struct thread *th = thread_here();
	struct green *to = may_leave(th) ? aim(th, g->pimpl) : NULL;

	if (!to || (to->self == th->current && PyErr_Occurred())) {
		letter_clear(&letter);
		return NULL;
	}
	if (to->self == th->current)
		return letter_open(letter);
	th->letter = letter;
	if (fly(th, to) < 0)
		return NULL;
	letter = arrive(th);
	return PyErr_Occurred() ? NULL : letter_open(letter);
}
