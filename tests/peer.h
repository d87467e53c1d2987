/* SPDX-License-Identifier: MIT */
/* A peer that nobody here wrote: Python's socket module. */
#ifndef PEER_H
#define PEER_H

#include <sys/wait.h>

#include "sockets.h"

/* Run a program of Python's with an argument; SKIP where there is none. */
static inline pid_t python(const char *program, const char *arg)
{
	pid_t pid;

	if (system("python3 -c 'import socket, array'") != 0)
		SKIP("no python3");
	pid = fork();
	if (pid == 0) {
		execlp("python3", "python3", "-c", program, arg, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static inline void ends_well(pid_t pid)
{
	int status = 0;

	WAIT_FOR(waitpid(pid, &status, WNOHANG) == pid);
	CHECK_EQ(status, 0);
}

/* The address of a socket as text. */
static inline const char *local_text(int fd, char text[TUCK_ADDR_TEXT])
{
	struct tuck_addr addr;

	CHECK_EQ(tuck_addr_local(fd, &addr), 0);
	return tuck_addr_format(&addr, text, TUCK_ADDR_TEXT);
}

#endif
