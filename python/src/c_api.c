/* SPDX-License-Identifier: MIT */
/* The C interface, in a capsule: see greenlet.h, which its users include. */
#include "green.h"

static PyGreenlet *api_new(PyObject *run, PyGreenlet *parent)
{
	return (PyGreenlet *)PyObject_CallFunctionObjArgs(
		(PyObject *)&PyGreenlet_Type, run ? run : Py_None,
		parent ? (PyObject *)parent : Py_None, NULL);
}

static PyGreenlet *api_getcurrent(void)
{
	struct thread *th = thread_tidy();

	return th ? (PyGreenlet *)Py_NewRef((PyObject *)th->current) : NULL;
}

static bool checked(PyGreenlet *g)
{
	if (g && PyGreenlet_Check(g))
		return true;
	PyErr_BadArgument();
	return false;
}

static PyObject *api_throw(PyGreenlet *g, PyObject *type, PyObject *value,
			   PyObject *traceback)
{
	return checked(g) ? green_throw_checked(g, type, value, traceback) :
			    NULL;
}

static PyObject *api_switch(PyGreenlet *g, PyObject *args, PyObject *kwargs)
{
	struct letter l = { NULL, NULL, NULL };

	if (!checked(g))
		return NULL;
	l.args = args ? Py_NewRef(args) : PyTuple_New(0);
	l.kwargs = kwargs ? Py_NewRef(kwargs) : NULL;
	return l.args ? green_switch(g, l) : NULL;
}

static int api_set_parent(PyGreenlet *g, PyGreenlet *parent)
{
	return checked(g) ? green_set_parent(g, (PyObject *)parent) : -1;
}

static PyGreenlet *api_get_parent(PyGreenlet *g)
{
	if (!checked(g))
		return NULL;
	Py_XINCREF(g->pimpl->parent);
	return g->pimpl->parent;
}

static int api_main(PyGreenlet *g)
{
	return checked(g) ? g->pimpl->main : -1;
}

static int api_started(PyGreenlet *g)
{
	return checked(g) ? g->pimpl->phase != GREEN_NEW : -1;
}

static int api_active(PyGreenlet *g)
{
	return checked(g) ? green_is_active(g->pimpl) : -1;
}

static void *api[PyGreenlet_API_pointers] = {
	[PyGreenlet_Type_NUM] = &PyGreenlet_Type,
	[PyGreenlet_New_NUM] = api_new,
	[PyGreenlet_GetCurrent_NUM] = api_getcurrent,
	[PyGreenlet_Throw_NUM] = api_throw,
	[PyGreenlet_Switch_NUM] = api_switch,
	[PyGreenlet_SetParent_NUM] = api_set_parent,
	[PyGreenlet_MAIN_NUM] = api_main,
	[PyGreenlet_STARTED_NUM] = api_started,
	[PyGreenlet_ACTIVE_NUM] = api_active,
	[PyGreenlet_GET_PARENT_NUM] = api_get_parent,
};

PyObject *green_c_api(void)
{
	api[PyExc_GreenletError_NUM] = green_error;
	api[PyExc_GreenletExit_NUM] = green_exit;
	return PyCapsule_New(api, "greenlet._C_API", NULL);
}
