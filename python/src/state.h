/* SPDX-License-Identifier: MIT */
/*
 * What an interpreter's thread state keeps for the flow of control that runs,
 * and so has to be changed when another one runs. Each CPython keeps it
 * differently; a header for each version defines
 * - struct pystate: what is put aside while a greenlet is suspended;
 * - struct pybase: what lies at the bottom of a greenlet's C stack;
 * - pystate_save, pystate_load: before and after a switch; they neither
 *   allocate nor give an object back, so nothing else can run in between;
 * - pystate_begin: in a new greenlet, on its own stack: 0 or -1;
 * - pystate_end: in one that ends, with nothing of it left to run;
 * - pystate_frame: its innermost frame while it is suspended, new reference,
 *   NULL for none;
 * - pystate_visit: what the garbage collector is told;
 * - pystate_clear: give back what one holds that will not run again.
 *
 * A context variables' context belongs to all versions alike and is swapped
 * here too; pystate.context holds the reference while it is suspended.
 */
#ifndef TUCK_PY_STATE_H
#define TUCK_PY_STATE_H

#include <Python.h>

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
#else
#error "CPython 3.14 and later: not tested yet, so refused"
#endif

#endif
