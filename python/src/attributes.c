/* SPDX-License-Identifier: MIT */
/* The attributes of greenlet.greenlet. */
#include "green.h"

static int refuse(PyObject *type, const char *why)
{
	PyErr_SetString(type, why);
	return -1;
}

static int refuse_run_of_main(void)
{
	return refuse(PyExc_AttributeError,
		      "Main greenlets do not have a run attribute.");
}

int green_set_run(PyGreenlet *self, PyObject *run)
{
	if (self->pimpl->main)
		return refuse_run_of_main();
	if (self->pimpl->phase != GREEN_NEW)
		return refuse(PyExc_AttributeError,
			      "run cannot be set after the start of the "
			      "greenlet");
	Py_XINCREF(run);
	Py_XSETREF(self->pimpl->run, run);
	return 0;
}

static PyObject *get_dict(PyObject *op, void *unused)
{
	PyGreenlet *self = (PyGreenlet *)op;

	(void)unused;
	if (!self->dict)
		self->dict = PyDict_New();
	Py_XINCREF(self->dict);
	return self->dict;
}

static int set_dict(PyObject *op, PyObject *value, void *unused)
{
	PyGreenlet *self = (PyGreenlet *)op;

	(void)unused;
	if (!value) {
		PyErr_SetString(PyExc_TypeError, "__dict__ may not be deleted");
		return -1;
	}
	if (!PyDict_Check(value)) {
		PyErr_SetString(PyExc_TypeError,
				"__dict__ must be a dictionary");
		return -1;
	}
	Py_INCREF(value);
	Py_XSETREF(self->dict, value);
	return 0;
}

bool green_is_dead(const struct green *g)
{
	return g->phase == GREEN_DEAD || g->orphan;
}

bool green_is_active(const struct green *g)
{
	return g->phase == GREEN_ALIVE && !g->orphan;
}

static PyObject *get_dead(PyObject *op, void *unused)
{
	(void)unused;
	return PyBool_FromLong(green_is_dead(((PyGreenlet *)op)->pimpl));
}

static PyObject *get_stack_saved(PyObject *op, void *unused)
{
	struct green *g = ((PyGreenlet *)op)->pimpl;
	struct tuck_ctx_info info;

	(void)unused;
	if (g->phase != GREEN_ALIVE || g->thread != green_here ||
	    tuck_ctx_info(g->ctx, &info) < 0 || !info.sp)
		return PyLong_FromLong(0);
	return PyLong_FromSize_t((size_t)((char *)info.base - (char *)info.sp));
}

static PyObject *get_run(PyObject *op, void *unused)
{
	struct green *g = ((PyGreenlet *)op)->pimpl;

	(void)unused;
	if (g->phase == GREEN_NEW && g->run)
		return Py_NewRef(g->run);
	if (g->main)
		refuse_run_of_main();
	else
		refuse(PyExc_AttributeError, "run");
	return NULL;
}

static int set_run_attr(PyObject *op, PyObject *run, void *unused)
{
	(void)unused;
	return green_set_run((PyGreenlet *)op, run);
}

static PyObject *get_parent(PyObject *op, void *unused)
{
	PyGreenlet *parent = ((PyGreenlet *)op)->pimpl->parent;

	(void)unused;
	return Py_NewRef(parent ? (PyObject *)parent : Py_None);
}

/* Not th, but one of which somebody ends in g, or in who ends in g. */
static const struct thread *other_user(const struct green *g,
				       const struct thread *th)
{
	const struct green *up;

	for (const struct thread *t = green_threads.next; t != &green_threads;
	     t = t->next) {
		for (const struct green *x = t->alive.next;
		     t != th && x != &t->alive; x = x->next) {
			up = x;
			while (up != g && up->parent)
				up = up->parent->pimpl;
			if (up == g)
				return t;
		}
	}
	return NULL;
}

int green_set_parent(PyGreenlet *self, PyObject *value)
{
	struct green *g = self->pimpl;
	PyGreenlet *parent = (PyGreenlet *)value;
	const struct thread *th, *own;

	if (!value)
		return refuse(PyExc_AttributeError, "can't delete attribute");
	if (g->main)
		return refuse(PyExc_AttributeError,
			      "cannot set the parent of a main greenlet");
	if (!PyGreenlet_Check(value)) {
		PyErr_Format(PyExc_TypeError,
			     "GreenletChecker: Expected any type of greenlet, "
			     "not %s",
			     Py_TYPE(value)->tp_name);
		return -1;
	}
	for (PyGreenlet *up = parent; up; up = up->pimpl->parent)
		if (up == self)
			return refuse(PyExc_ValueError, "cyclic parent chain");
	th = thread_of(parent->pimpl);
	if (!th)
		return refuse(PyExc_ValueError,
			      "parent must not be garbage collected");
	own = g->thread		 ? g->thread :
	      thread_of(g) == th ? NULL :
				   other_user(g, th);
	if (own && own != th) {
		refuse(PyExc_ValueError,
		       "parent cannot be on a different thread");
		thread_tell(parent->pimpl, "the child to", own);
		return -1;
	}
	Py_INCREF(parent);
	Py_XSETREF(g->parent, parent);
	return 0;
}

static int set_parent_attr(PyObject *op, PyObject *value, void *unused)
{
	(void)unused;
	return green_set_parent((PyGreenlet *)op, value);
}

/* Where the context is: the thread's while g runs. */
static PyObject **context_of(struct green *g)
{
	if (g->thread && !g->thread->gone && g->thread->current == g->self)
		return &g->thread->ts->context;
	return &g->py.context;
}

static bool runs_elsewhere(struct green *g)
{
	return context_of(g) != &g->py.context && g->thread != green_here;
}

static int refuse_elsewhere(const struct green *g, const char *why)
{
	refuse(PyExc_ValueError, why);
	thread_tell(g, "the call was made in", NULL);
	return -1;
}

static PyObject *get_context(PyObject *op, void *unused)
{
	struct green *g = ((PyGreenlet *)op)->pimpl;
	PyObject *context = *context_of(g);

	(void)unused;
	if (runs_elsewhere(g)) {
		refuse_elsewhere(g, "cannot get context of a greenlet that is "
				    "running in a different thread");
		return NULL;
	}
	return Py_NewRef(context ? context : Py_None);
}

static int set_context(PyObject *op, PyObject *value, void *unused)
{
	struct green *g = ((PyGreenlet *)op)->pimpl;
	PyObject **place = context_of(g), *before = *place;

	(void)unused;
	if (!value)
		return refuse(PyExc_AttributeError,
			      "can't delete context attribute");
	if (value != Py_None && !PyContext_CheckExact(value))
		return refuse(PyExc_TypeError,
			      "greenlet context must be a contextvars.Context "
			      "or None");
	if (runs_elsewhere(g))
		return refuse_elsewhere(g,
					"cannot set context of a greenlet that "
					"is running in a different thread");
	*place = value == Py_None ? NULL : Py_NewRef(value);
	if (place != &g->py.context)
		g->thread->ts->context_ver++;
	Py_XDECREF(before);
	return 0;
}

static PyObject *get_frame(PyObject *op, void *unused)
{
	struct green *g = ((PyGreenlet *)op)->pimpl;
	PyFrameObject *frame = NULL;

	(void)unused;
	if (g->phase == GREEN_ALIVE && context_of(g) == &g->py.context)
		frame = pystate_frame(&g->py);
	return frame ? (PyObject *)frame : Py_NewRef(Py_None);
}

PyGetSetDef green_attributes[] = {
	{ "__dict__", get_dict, set_dict, NULL, NULL },
	{ "run", get_run, set_run_attr, NULL, NULL },
	{ "parent", get_parent, set_parent_attr, NULL, NULL },
	{ "gr_frame", get_frame, NULL, NULL, NULL },
	{ "gr_context", get_context, set_context, NULL, NULL },
	{ "dead", get_dead, NULL, NULL, NULL },
	{ "_stack_saved", get_stack_saved, NULL, NULL, NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};
