/* SPDX-License-Identifier: MIT */
/* A child process inside: the two steps of its start. */
#ifndef TUCK__PROCESS_H
#define TUCK__PROCESS_H

#include <tuck/process.h>

#include "task/task.h"

/*
 * Start the program; ends[i] is our end of the pipe to descriptor i of the
 * child, non-blocking, or -1. 0, or an error and nothing is left.
 */
int tuck__process_start(const struct tuck_process_attr *attr,
			char *const argv[], pid_t *ret_pid, int ret_ends[3]);

/* Its memory stays, also when it is freed, until the last of these. */
void tuck__process_ref(struct tuck_process *p);
void tuck__process_unref(struct tuck_process *p);

/*
 * It was killed: take its status, in a thread if that takes its time. The
 * descriptor is closed then; who knew of its number does so no more.
 */
void tuck__process_reap(int pidfd);

#endif
