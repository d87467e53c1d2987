/* SPDX-License-Identifier: MIT */
/*
 * The end of greenlets that nobody needs any more, and what the garbage
 * collector is told of those that are suspended.
 */
#include "letter.h"

static bool is_alive(const PyGreenlet *self)
{
	return self->pimpl && self->pimpl->phase == GREEN_ALIVE &&
	       !self->pimpl->main;
}

/*
 * Not while the collector is at work in a greenlet: it would run where that
 * has its bytes, and the collector's list heads, which objects that are freed
 * meanwhile are linked to, lie there.
 */
static bool may_kill(const struct thread *th)
{
	return th->current == th->main || !pystate_collecting(th->ts);
}

/* Let its own thread end it, when that uses greenlets again. */
static int leave_to(struct thread *th, PyGreenlet *self)
{
	if (!th->doomed)
		th->doomed = PyList_New(0);
	return th->doomed ? PyList_Append(th->doomed, (PyObject *)self) : -1;
}

/* Throw GreenletExit into it; it may live on. */
static void kill_green(PyGreenlet *g)
{
	struct thread *th = green_here;
	PyObject *type, *value, *traceback, *result;
	PyGreenlet *parent = g->pimpl->parent;
	int tracing = th->ts->tracing;

	pystate_tracing(th->ts, 0);
	PyErr_Fetch(&type, &value, &traceback);
	/* What it ends with comes here. */
	g->pimpl->parent = (PyGreenlet *)Py_NewRef((PyObject *)th->current);
	result = green_throw(g, Py_NewRef(green_exit), NULL, NULL);
	if (!result)
		PyErr_WriteUnraisable((PyObject *)g);
	Py_XDECREF(result);
	Py_XDECREF(g->pimpl->parent);
	g->pimpl->parent = parent;
	PyErr_Restore(type, value, traceback);
	pystate_tracing(th->ts, tracing);
}

/* Give back its frames, since its thread is gone or it will not end. */
static void forget(struct green *g)
{
	g->phase = GREEN_DEAD;
	thread_leave(g);
	if (!g->orphan && g->thread == green_here)
		tuck_ctx_fini(&g->own_ctx);
	pystate_clear(&g->py);
}

void green_end(PyGreenlet *self)
{
	struct green *g = self->pimpl;
	PyObject *type, *value, *traceback;
	bool left = false;

	if (!is_alive(self))
		return;
	PyErr_Fetch(&type, &value, &traceback);
	if (g->orphan || g->thread->gone || _Py_IsFinalizing())
		forget(g);
	else if (g->thread == green_here && may_kill(g->thread))
		kill_green(self);
	else if (leave_to(g->thread, self) == 0)
		left = true;
	else
		PyErr_WriteUnraisable((PyObject *)self);
	g->survivor = !left && is_alive(self);
	PyErr_Restore(type, value, traceback);
}

void green_finalize(PyObject *op)
{
	green_end((PyGreenlet *)op);
}

int green_traverse(PyObject *op, visitproc visit, void *arg)
{
	const PyGreenlet *self = (PyGreenlet *)op;
	const struct green *g = self->pimpl;

	Py_VISIT(self->dict);
	if (!g)
		return 0;
	Py_VISIT(g->parent);
	if (g->main || g->survivor)
		return 0;
	Py_VISIT(g->run);
	Py_VISIT(g->first.one);
	Py_VISIT(g->first.args);
	Py_VISIT(g->first.kwargs);
	return pystate_visit(&g->py, visit, arg);
}

int green_clear(PyObject *op)
{
	PyGreenlet *self = (PyGreenlet *)op;

	/* The parent stays: who is alive has to have somewhere to end. */
	Py_CLEAR(self->dict);
	if (self->pimpl && !is_alive(self))
		Py_CLEAR(self->pimpl->run);
	return 0;
}

static void free_green(struct green *g)
{
	if (g->main)
		green_mains--;
	if (is_alive(g->self))
		forget(g);
	Py_CLEAR(g->parent);
	Py_CLEAR(g->run);
	letter_clear(&g->first);
	pystate_clear(&g->py);
	if (g->thread)
		thread_unref(g->thread);
	PyMem_Free(g);
}

/*
 * A finalizer runs once. For one that has survived it there is this: as if it
 * had been called again. A subclass has given its part of the object up by
 * then, and its type loses a reference that it must not lose.
 */
static bool survives_again(PyGreenlet *self)
{
	if (!is_alive(self))
		return false;
	Py_SET_REFCNT((PyObject *)self, 1);
	green_end(self);
	Py_SET_REFCNT((PyObject *)self, Py_REFCNT(self) - 1);
	if (Py_REFCNT(self) == 0)
		return false;
	if (PyType_HasFeature(Py_TYPE(self), Py_TPFLAGS_HEAPTYPE))
		Py_INCREF(Py_TYPE(self));
	PyObject_GC_Track(self);
	return true;
}

void green_dealloc(PyObject *op)
{
	PyGreenlet *self = (PyGreenlet *)op;

	if (!PyObject_GC_IsTracked(op))
		PyObject_GC_Track(op);	/* a subclass's dealloc untracks */
	if (PyObject_CallFinalizerFromDealloc(op) < 0)
		return;
	PyObject_GC_UnTrack(op);
	if (survives_again(self))
		return;
	if (self->pimpl)
		thread_leave(self->pimpl);	/* nobody shall find it */
	if (self->weakreflist)
		PyObject_ClearWeakRefs(op);
	if (self->pimpl)
		free_green(self->pimpl);
	Py_CLEAR(self->dict);
	Py_TYPE(self)->tp_free(op);
}
