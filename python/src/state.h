/* SPDX-License-Identifier: MIT */
/*
 * What an interpreter's thread state keeps for the flow of control that runs,
 * and so has to be changed when another one runs. Each CPython keeps it
 * differently; a header for each version defines
 * - struct pystate: what is put aside while a greenlet is suspended;
 * - struct pybase: what lies at the bottom of a greenlet's C stack;
 * - pystate_save, pystate_load: before and after a switch; they neither
 *   allocate nor give an object back, so nothing else can run in between;
 * - pystate_prepare: before pystate_begin(): 0 or a negative error;
 * - pystate_begin: in a new greenlet, on its own stack;
 * - pystate_steady: all that it will run is the call of one Python function;
 * - pystate_end: in one that ends, with nothing of it left to run;
 * - pystate_frame: its innermost frame while it is suspended, new reference,
 *   NULL for none;
 * - pystate_visit: what the garbage collector is told: only what nobody else
 *   can get at, since it takes references for all there are;
 * - pystate_clear: give back what one holds that will not run again.
 *
 * What 3.9 and 3.10 share is in state_objects.h, what 3.11 to 3.14 share in
 * state_chunks.h.
 *
 * Who is traced belongs to the thread, whether a trace function runs just now
 * to the greenlet. A greenlet's context of context variables is the thread's
 * while it runs, and pystate.context holds the reference while it does not.
 */
#ifndef TUCK_PY_STATE_H
#define TUCK_PY_STATE_H

#include <Python.h>
#include <stdbool.h>

#undef _PyGC_FINALIZED		/* which the following has as a function */
#define Py_BUILD_CORE 1
#include <internal/pycore_interp.h>
#undef Py_BUILD_CORE

#if PY_VERSION_HEX < 0x03090000
#error "CPython before 3.9 is not supported"
#elif PY_VERSION_HEX < 0x030a0000
#include "state_39.h"
#elif PY_VERSION_HEX < 0x030b0000
#include "state_310.h"
#elif PY_VERSION_HEX < 0x030c0000
#include "state_311.h"
#elif PY_VERSION_HEX < 0x030d0000
#include "state_312.h"
#elif PY_VERSION_HEX < 0x030e0000
#include "state_313.h"
#elif PY_VERSION_HEX < 0x030f0000 && defined(TUCK_PY_UNTESTED)
#include "state_314.h"
#else
#error "CPython 3.14 and later: not tested yet, so refused"
#endif

#ifdef Py_GIL_DISABLED
#error "CPython without its global lock: not tested yet, so refused"
#endif

#if PY_VERSION_HEX < 0x030a0000
#define Py_NewRef(op) pystate_newref((PyObject *)(op))
static inline PyObject *pystate_newref(PyObject *op)
{
	Py_INCREF(op);
	return op;
}
#endif

#if PY_VERSION_HEX >= 0x030d0000
#define _Py_IsFinalizing Py_IsFinalizing
#endif

/* Nobody has run this on such a Python. */
#define PYSTATE_UNTESTED (PY_VERSION_HEX >= 0x030e0000)

/* The garbage collector is at work, in whichever flow of control. */
static inline bool pystate_collecting(const PyThreadState *ts)
{
	return ts->interp->gc.collecting;
}

/* Whether it begins by itself from now on; whether it did before. */
static inline int pystate_set_collects(PyThreadState *ts, int collects)
{
	int before = ts->interp->gc.enabled;

	ts->interp->gc.enabled = collects;
	return before;
}

/* Whether the collector's state is where the headers said that it is. */
static inline bool pystate_fits(void)
{
#if PY_VERSION_HEX >= 0x030a0000	/* before, one cannot ask */
	const PyInterpreterState *interp = PyInterpreterState_Get();
	int before = PyGC_Disable();
	bool fits = !interp->gc.enabled;

	PyGC_Enable();
	fits = fits && interp->gc.enabled == 1;
	if (!before)
		PyGC_Disable();
	return fits;
#else
	return true;
#endif
}

/* n functions that trace are running in this greenlet. */
static inline void pystate_tracing(PyThreadState *ts, int n)
{
	ts->tracing = n;
#if PY_VERSION_HEX < 0x030c0000
	pystate_trace(ts);
#endif
}

#endif
