/* SPDX-License-Identifier: MIT */
/* The module: functions and constants. */
#include "green.h"

#include <sys/resource.h>
#include <time.h>

PyObject *green_error, *green_exit, *green_hook;
PyObject *green_run;

/* -- functions -- */

static PyObject *getcurrent(PyObject *module, PyObject *unused)
{
	struct thread *th = thread_tidy();

	(void)module;
	(void)unused;
	return th ? Py_NewRef((PyObject *)th->current) : NULL;
}

static PyObject *gettrace(PyObject *module, PyObject *unused)
{
	struct thread *th = thread_here();

	(void)module;
	(void)unused;
	if (!th)
		return NULL;
	return Py_NewRef(th->trace ? th->trace : Py_None);
}

static PyObject *settrace(PyObject *module, PyObject *fn)
{
	struct thread *th = thread_here();
	PyObject *before;

	(void)module;
	if (!th)
		return NULL;
	before = th->trace;
	th->trace = fn == Py_None ? NULL : Py_NewRef(fn);
	return before ? before : Py_NewRef(Py_None);
}

/* -- what greenlet's own tests ask for -- */

static PyObject *get_pending_cleanup_count(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyLong_FromLong(0);	/* a thread cleans up as it ends */
}

static PyObject *get_total_main_greenlets(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyLong_FromSsize_t(green_mains);
}

static PyObject *get_clocks_used(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyLong_FromLong(0);
}

static PyObject *enable_optional_cleanup(PyObject *module, PyObject *flag)
{
	(void)module;
	(void)flag;
	Py_RETURN_NONE;			/* there is nothing to guess */
}

static PyObject *set_thread_local(PyObject *module, PyObject *args)
{
	PyObject *dict = PyThreadState_GetDict(), *key, *value;

	(void)module;
	if (!PyArg_ParseTuple(args, "OO", &key, &value) || !dict ||
	    PyDict_SetItem(dict, key, value) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *get_trash_nesting(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyLong_FromLong(pystate_trash_depth(PyThreadState_Get()));
}

static PyMethodDef functions[] = {
	{ "getcurrent", getcurrent, METH_NOARGS,
	  "getcurrent()\n--\n\nThe greenlet that runs." },
	{ "settrace", settrace, METH_O,
	  "settrace(callback)\n--\n\n"
	  "Have callback(event, (origin, target)) called in target after each "
	  "switch of this thread; None: no more. Returns the one before." },
	{ "gettrace", gettrace, METH_NOARGS,
	  "gettrace()\n--\n\nWhat settrace() has set, or None." },
	{ "get_pending_cleanup_count", get_pending_cleanup_count, METH_NOARGS,
	  NULL },
	{ "get_total_main_greenlets", get_total_main_greenlets, METH_NOARGS,
	  NULL },
	{ "get_clocks_used_doing_optional_cleanup", get_clocks_used,
	  METH_NOARGS, NULL },
	{ "enable_optional_cleanup", enable_optional_cleanup, METH_O, NULL },
	{ "set_thread_local", set_thread_local, METH_VARARGS, NULL },
	{ "get_tstate_trash_delete_nesting", get_trash_nesting, METH_NOARGS,
	  NULL },
	{ NULL, NULL, 0, NULL },
};

/* -- setting up -- */

/*
 * A greenlet needs as much C stack as a thread's, for recursion errors to come
 * where they come otherwise; what is not touched costs addresses only.
 */
static void set_up_slots(void)
{
	struct tuck_config config = { .stack_slots = 64,
				      .slot_bytes = 8 << 20 };
	struct rlimit limit;

	if (getrlimit(RLIMIT_STACK, &limit) == 0 &&
	    limit.rlim_cur > (1 << 18) && limit.rlim_cur < (1 << 30))
		config.slot_bytes = limit.rlim_cur;
	tuck_config_set(&config);
}

static int set_up(void)
{
	if (green_error)
		return 0;
	set_up_slots();
	green_exit = PyErr_NewExceptionWithDoc(
		"greenlet.GreenletExit",
		"Ends a greenlet, whose parent gets this as a value.",
		PyExc_BaseException, NULL);
	green_error = PyErr_NewExceptionWithDoc(
		"greenlet.error", "A switch that cannot be.", NULL, NULL);
	green_run = PyUnicode_InternFromString("run");
	if (!green_exit || !green_error || !green_run ||
	    PyType_Ready(&PyGreenlet_Type) < 0 || collector_watch() < 0)
		return -1;
	return 0;
}

static int add(PyObject *module, const char *name, PyObject *value)
{
	PyObject *copy;

	if (!value)
		return -1;
	copy = Py_NewRef(value);
	if (PyModule_AddObject(module, name, copy) == 0)
		return 0;
	Py_DECREF(copy);
	return -1;
}

static int add_constant(PyObject *module, const char *name, PyObject *value)
{
	int r = add(module, name, value);

	Py_XDECREF(value);
	return r;
}

/* The type has the module's functions and exceptions, too. */
static int add_to_type(PyObject *module)
{
	static const char *const names[] = { "getcurrent", "gettrace",
					     "settrace" };
	PyObject *dict = PyGreenlet_Type.tp_dict;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		PyObject *fn = PyObject_GetAttrString(module, names[i]);
		PyObject *made = fn ? PyStaticMethod_New(fn) : NULL;
		int r = made ? PyDict_SetItemString(dict, names[i], made) : -1;

		Py_XDECREF(made);
		Py_XDECREF(fn);
		if (r < 0)
			return -1;
	}
	if (PyDict_SetItemString(dict, "error", green_error) < 0 ||
	    PyDict_SetItemString(dict, "GreenletExit", green_exit) < 0)
		return -1;
	PyType_Modified(&PyGreenlet_Type);
	return 0;
}

static int exec(PyObject *module)
{
	if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
		PyErr_SetString(PyExc_ImportError,
				"greenlets are for the main interpreter only");
		return -1;
	}
	if (!pystate_fits()) {
		PyErr_SetString(PyExc_ImportError,
				"built for another release of this Python");
		return -1;
	}
	if (set_up() < 0 || add_to_type(module) < 0 ||
	    PyModule_AddFunctions(module, green_registry) < 0 ||
	    add(module, "greenlet", (PyObject *)&PyGreenlet_Type) < 0 ||
	    add(module, "error", green_error) < 0 ||
	    add(module, "GreenletExit", green_exit) < 0 ||
	    add_constant(module, "_C_API", green_c_api()) < 0 ||
	    add_constant(module, "CLOCKS_PER_SEC",
			 PyLong_FromLong(CLOCKS_PER_SEC)) < 0 ||
	    add(module, "UNTESTED", PYSTATE_UNTESTED ? Py_True : Py_False) <
		    0 ||
	    add(module, "GREENLET_USE_GC", Py_True) < 0 ||
	    add(module, "GREENLET_USE_TRACING", Py_True) < 0 ||
	    add(module, "GREENLET_USE_CONTEXT_VARS", Py_True) < 0 ||
	    add(module, "GREENLET_USE_STANDARD_THREADING", Py_True) < 0)
		return -1;
	return 0;
}

static PyModuleDef_Slot slots[] = {
	{ Py_mod_exec, exec },
	{ 0, NULL },
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "tuck._greenlet",
	.m_doc = "Greenlets on the contexts of Tuck.",
	.m_methods = functions,
	.m_slots = slots,
};

PyMODINIT_FUNC PyInit__greenlet(void);

PyMODINIT_FUNC PyInit__greenlet(void)
{
	return PyModuleDef_Init(&definition);
}
