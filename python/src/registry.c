/* SPDX-License-Identifier: MIT */
/*
 * All greenlets there are and where they are, and the hook that sees all
 * switches. What is shown of frames is put together by tuck/inspect.py.
 */
#include "green.h"

#include <dlfcn.h>

/* Deeper ones are cut off. */
#define C_FRAMES 256

static int append(PyObject *list, PyGreenlet *g)
{
	return PyList_Append(list, (PyObject *)g);
}

static int append_ring(PyObject *list, const struct green *ring)
{
	for (const struct green *g = ring->next; g != ring; g = g->next)
		if (append(list, g->self) < 0)
			return -1;
	return 0;
}

static PyObject *greenlets(PyObject *module, PyObject *unused)
{
	PyObject *list = PyList_New(0);
	int r = list ? 0 : -1;

	(void)module;
	(void)unused;
	for (struct thread *th = green_threads.next;
	     th != &green_threads && r == 0; th = th->next) {
		r = append(list, th->main);
		if (r == 0)
			r = append_ring(list, &th->alive);
	}
	if (r == 0)
		r = append_ring(list, &green_unstarted);
	if (r < 0)
		Py_CLEAR(list);
	return list;
}

static PyGreenlet *need(PyObject *op)
{
	if (PyGreenlet_Check(op))
		return (PyGreenlet *)op;
	PyErr_Format(PyExc_TypeError, "a greenlet is needed, not %s",
		     Py_TYPE(op)->tp_name);
	return NULL;
}

static PyObject *whereabouts(PyObject *module, PyObject *op)
{
	PyGreenlet *self = need(op);
	const struct thread *th;

	(void)module;
	if (!self)
		return NULL;
	th = thread_of(self->pimpl);
	if (!th || th->gone)
		return Py_BuildValue("OO", Py_None, Py_False);
	return Py_BuildValue("kO", th->ident,
			     th->current == self ? Py_True : Py_False);
}

/* "function+0x12 (file)" */
static PyObject *describe(void *pc)
{
	Dl_info at;
	char offset[32];

	if (!dladdr(pc, &at) || !at.dli_fname)
		return PyUnicode_FromFormat("%p", pc);
	snprintf(offset, sizeof(offset), "0x%tx",
		 (char *)pc -
			 (char *)(at.dli_sname ? at.dli_saddr : at.dli_fbase));
	return PyUnicode_FromFormat("%s+%s (%s)",
				    at.dli_sname ? at.dli_sname : "", offset,
				    at.dli_fname);
}

static PyObject *describe_all(void *const *pcs, int n)
{
	PyObject *list = PyList_New(n);

	for (int i = 0; list && i < n; i++) {
		PyObject *text = describe(pcs[i]);

		if (text)
			PyList_SET_ITEM(list, i, text);
		else
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *c_stack(PyObject *module, PyObject *op)
{
	PyGreenlet *self = need(op);
	void *pcs[C_FRAMES];
	struct green *g;
	int n;

	(void)module;
	if (!self)
		return NULL;
	g = self->pimpl;
	if (g->phase != GREEN_ALIVE || g->orphan)
		return PyList_New(0);
	if (g->thread != green_here) {
		thread_wrong(g, g->thread);
		return NULL;
	}
	n = tuck_ctx_backtrace(g->ctx, pcs, C_FRAMES);
	if (n >= 0)
		return describe_all(pcs, n);
	PyErr_Format(green_error, "no backtrace: %s", tuck_strerror(n));
	return NULL;
}

static PyObject *set_switch_hook(PyObject *module, PyObject *fn)
{
	PyObject *before = green_hook;

	(void)module;
	if (fn != Py_None && !PyCallable_Check(fn)) {
		PyErr_SetString(PyExc_TypeError, "a hook must be callable");
		return NULL;
	}
	green_hook = fn == Py_None ? NULL : Py_NewRef(fn);
	return before ? before : Py_NewRef(Py_None);
}

PyMethodDef green_registry[] = {
	{ "greenlets", greenlets, METH_NOARGS,
	  "greenlets()\n--\n\nA list of all greenlets of all threads that have "
	  "not ended: for each thread its\nmain one and those that were "
	  "started, then all that were not." },
	{ "whereabouts", whereabouts, METH_O,
	  "whereabouts(greenlet)\n--\n\n(ident of its thread or None, whether "
	  "it runs there just now)" },
	{ "c_stack", c_stack, METH_O,
	  "c_stack(greenlet)\n--\n\nThe C functions that a greenlet of this "
	  "thread is in, innermost first, as text." },
	{ "set_switch_hook", set_switch_hook, METH_O,
	  "set_switch_hook(callback)\n--\n\n"
	  "As settrace(), for the switches of all threads. Returns the one "
	  "before." },
	{ NULL, NULL, 0, NULL },
};
