/* SPDX-License-Identifier: MIT */
/* Procs of a test. */
#ifndef PROCS_H
#define PROCS_H

#include <tuck.h>

#include "sockets.h"

static inline int start(void (*fn)(void *), void *arg)
{
	int proc = tuck_proc_start(NULL, fn, arg);

	CHECK(proc >= 0);
	return proc;
}

static inline void join(int proc)
{
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
}

#endif
