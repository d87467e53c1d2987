/* SPDX-License-Identifier: MIT */
/* Exceptions on their way from one greenlet to another. */
#include "green.h"

PyObject *green_exit_value(void)
{
	PyObject *type, *value, *traceback;

	if (!PyErr_ExceptionMatches(green_exit))
		return NULL;
	PyErr_Fetch(&type, &value, &traceback);
	PyErr_NormalizeException(&type, &value, &traceback);
	Py_XDECREF(type);
	Py_XDECREF(traceback);
	return value;
}

PyObject *green_throw(PyGreenlet *g, PyObject *type, PyObject *value,
		      PyObject *traceback)
{
	struct letter none = { NULL, NULL, NULL };

	PyErr_Restore(type, value, traceback);
	if (g->pimpl->phase == GREEN_DEAD) {
		/* Who is dead already ends by it as if by a return. */
		PyObject *result = green_exit_value();

		if (result)
			return green_switch(g,
					    (struct letter){ .one = result });
	}
	return green_switch(g, none);
}

/* As raise takes them: 0 with new references, or -1. */
static int prepare_throw(PyObject **type, PyObject **value,
			 PyObject **traceback)
{
	if (*traceback == Py_None)
		*traceback = NULL;
	if (*traceback && !PyTraceBack_Check(*traceback)) {
		PyErr_SetString(PyExc_TypeError,
				"throw() third argument must be a traceback "
				"object");
		return -1;
	}
	if (PyExceptionInstance_Check(*type)) {
		if (*value && *value != Py_None) {
			PyErr_SetString(PyExc_TypeError,
					"instance exception may not have a "
					"separate value");
			return -1;
		}
		*value = Py_NewRef(*type);
		*type = Py_NewRef(PyExceptionInstance_Class(*value));
		*traceback = *traceback ? Py_NewRef(*traceback) :
					  PyException_GetTraceback(*value);
		return 0;
	}
	if (!PyExceptionClass_Check(*type)) {
		PyErr_Format(PyExc_TypeError,
			     "exceptions must be classes, or instances, "
			     "not %s",
			     Py_TYPE(*type)->tp_name);
		return -1;
	}
	Py_INCREF(*type);
	Py_XINCREF(*value);
	Py_XINCREF(*traceback);
	PyErr_NormalizeException(type, value, traceback);
	return 0;
}

PyObject *green_throw_checked(PyGreenlet *self, PyObject *type, PyObject *value,
			      PyObject *traceback)
{
	if (prepare_throw(&type, &value, &traceback) < 0)
		return NULL;
	return green_throw(self, type, value, traceback);
}
