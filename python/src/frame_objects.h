/* SPDX-License-Identifier: MIT */
/*
 * Python frames of CPython 3.9 and 3.10: objects on the heap. While one runs,
 * its C function owns a reference to it, and the garbage collector does not
 * track it, so what it refers to may be shown as the greenlet's.
 */
#ifndef TUCK_PY_FRAME_OBJECTS_H
#define TUCK_PY_FRAME_OBJECTS_H

#include <Python.h>
#include <frameobject.h>

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

#endif
