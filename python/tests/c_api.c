/* SPDX-License-Identifier: MIT */
/*
 * An extension that uses every slot of greenlet's C interface. It is compiled
 * against Tuck's greenlet.h and, to compare, against greenlet's own.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "greenlet.h"

#define NEW_REF(op) (Py_XINCREF(op), (PyObject *)(op))

static PyObject *make(PyObject *module, PyObject *args)
{
	PyObject *run = NULL, *parent = NULL;

	(void)module;
	if (!PyArg_ParseTuple(args, "|OO", &run, &parent))
		return NULL;
	return (PyObject *)PyGreenlet_New(run, (PyGreenlet *)parent);
}

static PyObject *current(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return (PyObject *)PyGreenlet_GetCurrent();
}

static PyObject *throw(PyObject * module, PyObject *args)
{
	PyObject *g, *type, *value = NULL, *traceback = NULL;

	(void)module;
	if (!PyArg_ParseTuple(args, "OO|OO", &g, &type, &value, &traceback))
		return NULL;
	return PyGreenlet_Throw((PyGreenlet *)g, type, value, traceback);
}

static PyObject *change(PyObject *module, PyObject *args)
{
	PyObject *g, *arguments = NULL, *kwargs = NULL;

	(void)module;
	if (!PyArg_ParseTuple(args, "O|OO", &g, &arguments, &kwargs))
		return NULL;
	return PyGreenlet_Switch((PyGreenlet *)g,
				 arguments == Py_None ? NULL : arguments,
				 kwargs);
}

static PyObject *set_parent(PyObject *module, PyObject *args)
{
	PyObject *g, *parent;

	(void)module;
	if (!PyArg_ParseTuple(args, "OO", &g, &parent) ||
	    PyGreenlet_SetParent((PyGreenlet *)g, (PyGreenlet *)parent) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *get_parent(PyObject *module, PyObject *g)
{
	PyObject *parent = (PyObject *)PyGreenlet_GetParent((PyGreenlet *)g);

	(void)module;
	if (parent || PyErr_Occurred())
		return parent;
	Py_RETURN_NONE;
}

static PyObject *states(PyObject *module, PyObject *g)
{
	int main = PyGreenlet_MAIN((PyGreenlet *)g);
	int started = PyGreenlet_STARTED((PyGreenlet *)g);
	int active = PyGreenlet_ACTIVE((PyGreenlet *)g);

	(void)module;
	if (PyErr_Occurred())
		return NULL;
	return Py_BuildValue("iii", main, started, active);
}

static PyObject *check(PyObject *module, PyObject *op)
{
	(void)module;
	return PyBool_FromLong(PyGreenlet_Check(op));
}

static PyObject *exceptions(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return Py_BuildValue("OO", PyExc_GreenletError, PyExc_GreenletExit);
}

static PyObject *layout(PyObject *module, PyObject *g)
{
	const PyGreenlet *self = (PyGreenlet *)g;

	(void)module;
	return Py_BuildValue("nnNN", (Py_ssize_t)sizeof(PyGreenlet),
			     PyGreenlet_Type.tp_basicsize,
			     self->dict ? NEW_REF(self->dict) :
					  NEW_REF(Py_None),
			     self->weakreflist ? NEW_REF(self->weakreflist) :
						 NEW_REF(Py_None));
}

static PyMethodDef methods[] = {
	{ "make", make, METH_VARARGS, NULL },
	{ "current", current, METH_NOARGS, NULL },
	{ "throw", throw, METH_VARARGS, NULL },
	{ "switch", change, METH_VARARGS, NULL },
	{ "set_parent", set_parent, METH_VARARGS, NULL },
	{ "get_parent", get_parent, METH_O, NULL },
	{ "states", states, METH_O, NULL },
	{ "check", check, METH_O, NULL },
	{ "exceptions", exceptions, METH_NOARGS, NULL },
	{ "layout", layout, METH_O, NULL },
	{ NULL, NULL, 0, NULL },
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "c_api",
	.m_size = -1,
	.m_methods = methods,
};

PyMODINIT_FUNC PyInit_c_api(void);

PyMODINIT_FUNC PyInit_c_api(void)
{
	PyGreenlet_Import();
	return _PyGreenlet_API ? PyModule_Create(&definition) : NULL;
}
