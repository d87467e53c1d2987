/* SPDX-License-Identifier: MIT */
/*
 * Letters: arguments on their way. switch(*args, **kwargs) writes one; who it
 * comes to is called with it, or opens it as the result of a switch of its
 * own. In a header, since each switch writes one and opens one.
 */
#ifndef TUCK_PY_LETTER_H
#define TUCK_PY_LETTER_H

#include "green.h"

/* The common cases without a tuple. */
static inline struct letter letter_write(PyObject *const *args, Py_ssize_t n,
					 PyObject *names)
{
	struct letter l = { NULL, NULL, NULL };

	if (n == 1 && !names) {
		l.one = Py_NewRef(args[0]);
		return l;
	}
	l.args = PyTuple_New(n);
	for (Py_ssize_t i = 0; l.args && i < n; i++)
		PyTuple_SET_ITEM(l.args, i, Py_NewRef(args[i]));
	if (!l.args || !names)
		return l;
	l.kwargs = PyDict_New();
	for (Py_ssize_t i = 0; l.kwargs && i < PyTuple_GET_SIZE(names); i++)
		if (PyDict_SetItem(l.kwargs, PyTuple_GET_ITEM(names, i),
				   args[n + i]) < 0)
			Py_CLEAR(l.kwargs);
	if (!l.kwargs)
		Py_CLEAR(l.args);
	return l;
}

static inline void letter_clear(struct letter *letter)
{
	Py_CLEAR(letter->one);
	Py_CLEAR(letter->args);
	Py_CLEAR(letter->kwargs);
}

/* What the call of switch() returns that the letter comes to. */
static inline PyObject *letter_open(struct letter l)
{
	PyObject *both;

	if (l.one)
		return l.one;
	if (!l.kwargs || PyDict_GET_SIZE(l.kwargs) == 0) {
		Py_XDECREF(l.kwargs);
		if (!l.args)
			return PyTuple_New(0);
		if (PyTuple_GET_SIZE(l.args) != 1)
			return l.args;
		both = Py_NewRef(PyTuple_GET_ITEM(l.args, 0));
		Py_DECREF(l.args);
		return both;
	}
	if (!l.args || PyTuple_GET_SIZE(l.args) == 0) {
		Py_XDECREF(l.args);
		return l.kwargs;
	}
	both = PyTuple_Pack(2, l.args, l.kwargs);
	Py_DECREF(l.args);
	Py_DECREF(l.kwargs);
	return both;
}

/* What a call by position and by name takes: (args..., values..., names). */
static inline PyObject *letter_lay_out(PyObject *args, PyObject *kwargs)
{
	Py_ssize_t n = args ? PyTuple_GET_SIZE(args) : 0, at = 0;
	PyObject *names, *key, *value, *all;

	if (!PyArg_ValidateKeywordArguments(kwargs))
		return NULL;
	names = PyTuple_New(PyDict_GET_SIZE(kwargs));
	all = names ? PyTuple_New(n + PyTuple_GET_SIZE(names) + 1) : NULL;
	if (!all) {
		Py_XDECREF(names);
		return NULL;
	}
	for (Py_ssize_t i = 0; i < n; i++)
		PyTuple_SET_ITEM(all, i, Py_NewRef(PyTuple_GET_ITEM(args, i)));
	for (Py_ssize_t i = 0; PyDict_Next(kwargs, &at, &key, &value); i++) {
		PyTuple_SET_ITEM(names, i, Py_NewRef(key));
		PyTuple_SET_ITEM(all, n + i, Py_NewRef(value));
	}
	PyTuple_SET_ITEM(all, PyTuple_GET_SIZE(all) - 1, names);
	return all;
}

#endif
