/* SPDX-License-Identifier: MIT */
/* What pools ask of procs. */
#ifndef TUCK__PROC_H
#define TUCK__PROC_H

#include <stdbool.h>
#include <tuck/proc.h>

/*
 * As tuck_proc_start(). ended(arg), unless NULL, is called when it has ended,
 * in whichever way, by its thread, which is no proc any more then. It is a
 * pool's: its number is unknown to the public calls.
 */
int tuck__proc_start(const struct tuck_proc_attr *attr, void (*fn)(void *),
		     void *arg, void (*ended)(void *arg));

int tuck__proc_join(int proc, bool of_pool, tuck_ns deadline);

/* Nobody joins it: its number is released when it has ended. */
void tuck__proc_disown(int proc);

/* Whether each of these is a CPU that there may be. */
bool tuck__cpus_valid(const int *cpus, int n);

/* The main tasklet of a proc that is no pool's; 0: there is none. */
tuck_id tuck__proc_main(int proc);

#endif
