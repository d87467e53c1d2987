/* SPDX-License-Identifier: MIT */
/* The type greenlet.greenlet. */
#include "letter.h"

#include <stddef.h>

/* -- beginning -- */

static struct green *green_alloc(PyGreenlet *self)
{
	struct green *g = PyMem_Calloc(1, sizeof(*g));

	if (!g)
		return (void *)PyErr_NoMemory();
	g->self = self;
	g->ctx = &g->own_ctx;
	g->prev = g->next = g;
	return g;
}

/* What is new gets what it is made of; or it goes, and NULL stays NULL. */
static PyGreenlet *with_impl(PyGreenlet *self)
{
	if (!self)
		return NULL;
	self->pimpl = green_alloc(self);
	if (self->pimpl)
		return self;
	Py_DECREF(self);
	return NULL;
}

static PyObject *green_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	struct thread *th = thread_tidy();
	PyGreenlet *self;

	(void)args;		/* they are for __init__() */
	(void)kwargs;
	if (!th)
		return NULL;
	if (type == &PyGreenlet_Type)
		self = (PyGreenlet *)PyType_GenericAlloc(type, 0);
	else			/* which may be an abstract class */
		self = (PyGreenlet *)PyBaseObject_Type.tp_new(type, th->no_args,
							      NULL);
	self = with_impl(self);
	if (!self)
		return NULL;
	self->pimpl->parent = (PyGreenlet *)Py_NewRef((PyObject *)th->current);
	thread_foresee(self->pimpl);
	return (PyObject *)self;
}

PyGreenlet *green_new_main(struct thread *th)
{
	PyGreenlet *self;
	struct tuck_ctx *ctx = tuck_ctx_self();

	if (!ctx)
		return (void *)PyErr_NoMemory();
	self = (PyGreenlet *)PyType_GenericAlloc(&PyGreenlet_Type, 0);
	self = with_impl(self);
	if (!self)
		return NULL;
	self->pimpl->ctx = ctx;
	self->pimpl->main = true;
	self->pimpl->phase = GREEN_ALIVE;
	self->pimpl->thread = th;
	thread_ref(th);
	green_mains++;
	return self;
}

static int set_up(PyGreenlet *self, PyObject *run, PyObject *parent)
{
	if (run && green_set_run(self, run) < 0)
		return -1;
	if (parent && parent != Py_None)
		return green_set_parent(self, parent);
	return 0;
}

static int green_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "run", "parent", NULL };
	PyObject *run = NULL, *parent = NULL;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:greenlet", names,
					 &run, &parent))
		return -1;
	return set_up((PyGreenlet *)op, run, parent);
}

/* As the call of any type; never with a single argument and no name. */
static PyObject *call_type(PyObject *type, PyObject *const *args, Py_ssize_t n,
			   PyObject *names)
{
	struct letter l = letter_write(args, n, names);
	PyObject *self = NULL;

	if (l.args)
		self = PyType_Type.tp_call(type, l.args, l.kwargs);
	letter_clear(&l);
	return self;
}

/* greenlet(run) and greenlet(run, parent) without a tuple; not subclasses. */
static PyObject *green_vectorcall(PyObject *type, PyObject *const *args,
				  size_t flags, PyObject *names)
{
	Py_ssize_t n = PyVectorcall_NARGS(flags);
	PyObject *self;

	if (names || n > 2)
		return call_type(type, args, n, names);
	self = green_new((PyTypeObject *)type, NULL, NULL);
	if (!self)
		return NULL;
	if (set_up((PyGreenlet *)self, n > 0 ? args[0] : NULL,
		   n > 1 ? args[1] : NULL) == 0)
		return self;
	Py_DECREF(self);
	return NULL;
}

/* -- methods -- */

static PyObject *method_switch(PyObject *self, PyObject *const *args,
			       Py_ssize_t n, PyObject *names)
{
	struct letter l = letter_write(args, PyVectorcall_NARGS(n), names);

	if (!l.one && !l.args)
		return NULL;
	return green_switch((PyGreenlet *)self, l);
}

static PyObject *method_throw(PyObject *self, PyObject *args)
{
	PyObject *type = green_exit, *value = NULL, *traceback = NULL;

	if (!PyArg_ParseTuple(args, "|OOO:throw", &type, &value, &traceback))
		return NULL;
	return green_throw_checked((PyGreenlet *)self, type, value, traceback);
}

static PyObject *method_getstate(PyObject *self, PyObject *unused)
{
	(void)unused;
	PyErr_Format(PyExc_TypeError, "cannot serialize '%s' object",
		     Py_TYPE(self)->tp_name);
	return NULL;
}

/* -- what it looks like -- */

static PyObject *green_repr(PyObject *op)
{
	const struct green *g = ((PyGreenlet *)op)->pimpl;
	const struct thread *th = thread_of(g);
	const char *name = Py_TYPE(op)->tp_name;

	if (green_is_dead(g))
		return PyUnicode_FromFormat(
			"<%s object at %p (otid=%p) %sdead>", name, op, th,
			g->orphan ? "(thread exited) " : "");
	return PyUnicode_FromFormat(
		"<%s object at %p (otid=%p)%s%s%s%s>", name, op, th,
		th && th == green_here && th->current == g->self ? " current" :
		g->phase == GREEN_ALIVE ? " suspended" :
					  "",
		g->phase == GREEN_ALIVE ? " active" : "",
		g->phase == GREEN_NEW ? " pending" : " started",
		g->main ? " main" : "");
}

static int green_bool(PyObject *op)
{
	return green_is_active(((PyGreenlet *)op)->pimpl);
}

/* -- the type -- */

static PyMethodDef methods[] = {
	{ "switch", (PyCFunction)(void (*)(void))method_switch,
	  METH_FASTCALL | METH_KEYWORDS,
	  "switch(*args, **kwargs)\n--\n\n"
	  "Run this greenlet, and wait until something switches back, with "
	  "what this returns.\nThe first time it calls run(*args, **kwargs); "
	  "later its own switch() returns the arguments." },
	{ "throw", method_throw, METH_VARARGS,
	  "throw(type=GreenletExit, value=None, traceback=None)\n--\n\n"
	  "Switch to this greenlet and raise the exception in it." },
	{ "__getstate__", method_getstate, METH_NOARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

static PyNumberMethods as_number = { .nb_bool = green_bool };

PyTypeObject PyGreenlet_Type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "greenlet.greenlet",
	.tp_basicsize = sizeof(PyGreenlet),
	.tp_dealloc = green_dealloc,
	.tp_repr = green_repr,
	.tp_as_number = &as_number,
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE |
		    Py_TPFLAGS_HAVE_GC,
	.tp_doc = "greenlet(run=None, parent=None)\n--\n\n"
		  "A flow of control that runs when it is switched to.",
	.tp_traverse = green_traverse,
	.tp_clear = green_clear,
	.tp_weaklistoffset = offsetof(PyGreenlet, weakreflist),
	.tp_methods = methods,
	.tp_getset = green_attributes,
	.tp_dictoffset = offsetof(PyGreenlet, dict),
	.tp_init = green_init,
	.tp_new = green_new,
	.tp_vectorcall = green_vectorcall,
	.tp_finalize = green_finalize,
	.tp_alloc = PyType_GenericAlloc,
	.tp_free = PyObject_GC_Del,
};
