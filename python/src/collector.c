/* SPDX-License-Identifier: MIT */
/*
 * Where the garbage collector is at work. The heads of its lists lie on the
 * stack of whoever it runs in, and objects that are freed meanwhile write to
 * them. So a greenlet in which it runs must not be left, as by a __del__ that
 * switches, if others may run where its bytes are.
 *
 * The interpreter says that it collects, but not in which thread. Those whom it
 * calls before and after, gc.callbacks, are called there.
 */
#include "green.h"

static PyObject *on_phase(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct thread *th = green_here;

	(void)self;
	if (th && n > 0 && PyUnicode_Check(args[0]))
		th->collector = PyUnicode_CompareWithASCIIString(args[0],
								 "start") == 0 ?
					th->current :
					NULL;
	Py_RETURN_NONE;
}

static PyMethodDef definition = { "note_collector",
				  (PyCFunction)(void (*)(void))on_phase,
				  METH_FASTCALL, NULL };

int collector_watch(void)
{
	PyObject *gc = PyImport_ImportModule("gc");
	PyObject *all = gc ? PyObject_GetAttrString(gc, "callbacks") : NULL;
	PyObject *fn = all ? PyCFunction_New(&definition, NULL) : NULL;
	int r = fn ? PyList_Append(all, fn) : -1;

	Py_XDECREF(fn);
	Py_XDECREF(all);
	Py_XDECREF(gc);
	return r;
}

bool collector_holds(const struct thread *th)
{
	struct tuck_ctx_info info;

	return pystate_collecting(th->ts) &&
	       tuck_ctx_info(th->current->pimpl->ctx, &info) == 0 &&
	       info.shared;
}
