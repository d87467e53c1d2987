/* SPDX-License-Identifier: MIT */
/*
 * The C interface of greenlets, for extensions that use the module greenlet,
 * as the greenlet project has defined it: its names, its layout, its order of
 * slots. An extension that was compiled with greenlet's own header runs on
 * Tuck's module unchanged, and one compiled with this header runs on both.
 *
 * Call PyGreenlet_Import() once, in the extension's init function. All calls
 * want the interpreter's lock; those that return an object or an int return
 * NULL or -1 with an exception set, unless they say otherwise.
 */
#ifndef Py_GREENLETOBJECT_H
#define Py_GREENLETOBJECT_H

#include <Python.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GREENLET_VERSION "1.0.0"	/* of this interface, not the module */

#ifndef implementation_ptr_t
#define implementation_ptr_t void *
#endif

typedef struct _greenlet {
	PyObject_HEAD PyObject *weakreflist;
	PyObject *dict;
	implementation_ptr_t pimpl;
} PyGreenlet;

/* Places in the capsule "greenlet._C_API", an array of void *. */
#define PyGreenlet_Type_NUM		0
#define PyExc_GreenletError_NUM		1
#define PyExc_GreenletExit_NUM		2
#define PyGreenlet_New_NUM		3
#define PyGreenlet_GetCurrent_NUM	4
#define PyGreenlet_Throw_NUM		5
#define PyGreenlet_Switch_NUM		6
#define PyGreenlet_SetParent_NUM	7
#define PyGreenlet_MAIN_NUM		8
#define PyGreenlet_STARTED_NUM		9
#define PyGreenlet_ACTIVE_NUM		10
#define PyGreenlet_GET_PARENT_NUM	11
#define PyGreenlet_API_pointers		12

#ifndef GREENLET_MODULE

static void **_PyGreenlet_API = NULL;

#define PyGreenlet_Import() \
	(_PyGreenlet_API = (void **)PyCapsule_Import("greenlet._C_API", 0))

#define PyGreenlet_Type \
	(*(PyTypeObject *)_PyGreenlet_API[PyGreenlet_Type_NUM])
#define PyExc_GreenletError \
	((PyObject *)_PyGreenlet_API[PyExc_GreenletError_NUM])
#define PyExc_GreenletExit \
	((PyObject *)_PyGreenlet_API[PyExc_GreenletExit_NUM])

#define PyGreenlet_Check(op) ((op) && PyObject_TypeCheck(op, &PyGreenlet_Type))

/* greenlet.greenlet(run, parent); either may be NULL. A new reference. */
#define PyGreenlet_New \
	(*(PyGreenlet * (*)(PyObject *run, PyGreenlet *parent)) \
		 _PyGreenlet_API[PyGreenlet_New_NUM])

/* greenlet.getcurrent(): a new reference. */
#define PyGreenlet_GetCurrent \
	(*(PyGreenlet * (*)(void)) _PyGreenlet_API[PyGreenlet_GetCurrent_NUM])

/* g.throw(type, value, traceback); the last two may be NULL. */
#define PyGreenlet_Throw \
	(*(PyObject * (*)(PyGreenlet *g, PyObject *type, PyObject *value, \
			  PyObject *traceback)) \
		 _PyGreenlet_API[PyGreenlet_Throw_NUM])

/* g.switch(*args, **kwargs); a tuple or NULL, and a dict or NULL. */
#define PyGreenlet_Switch \
	(*(PyObject * (*)(PyGreenlet *g, PyObject *args, PyObject *kwargs)) \
		 _PyGreenlet_API[PyGreenlet_Switch_NUM])

/* g.parent = parent: 0 or -1. */
#define PyGreenlet_SetParent \
	(*(int (*)(PyGreenlet *g, PyGreenlet *parent)) \
		 _PyGreenlet_API[PyGreenlet_SetParent_NUM])

/* g.parent: a new reference, or NULL without an exception for none. */
#define PyGreenlet_GetParent \
	(*(PyGreenlet * (*)(PyGreenlet *g)) \
		 _PyGreenlet_API[PyGreenlet_GET_PARENT_NUM])
#define PyGreenlet_GET_PARENT PyGreenlet_GetParent

/* Whether g is a thread's main one; was started; has not ended since. */
#define PyGreenlet_MAIN \
	(*(int (*)(PyGreenlet *g)) _PyGreenlet_API[PyGreenlet_MAIN_NUM])
#define PyGreenlet_STARTED \
	(*(int (*)(PyGreenlet *g)) _PyGreenlet_API[PyGreenlet_STARTED_NUM])
#define PyGreenlet_ACTIVE \
	(*(int (*)(PyGreenlet *g)) _PyGreenlet_API[PyGreenlet_ACTIVE_NUM])

#endif /* GREENLET_MODULE */

#ifdef __cplusplus
}
#endif

#endif
