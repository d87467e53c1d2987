/* SPDX-License-Identifier: MIT */
/*
 * What a request costs a server in system calls, counted from outside: a
 * tracer sees each of them, whichever function of libc makes it.
 */
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "sockets.h"

#define CONNS	100
#define ROUNDS	3
#define BYTES	64

static int client[CONNS], served[CONNS];

/* -- the server: a tasklet a connection, in a child that is traced -- */

static void echo(void *fd)
{
	char buf[16384];
	ssize_t n;

	while ((n = tuck_read((int)(intptr_t)fd, buf, sizeof(buf),
			      TUCK_FOREVER)) > 0)
		tuck_write_full((int)(intptr_t)fd, buf, (size_t)n,
				TUCK_FOREVER);
}

/* On few stacks, for each is given back when the proc was idle for long. */
static void serve(void)
{
	share_slots(2);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(TEST_SKIPPED);
	raise(SIGSTOP);
	for (intptr_t i = 0; i < CONNS; i++)
		if (tuck_go(echo, (void *)(intptr_t)served[i]) < 0)
			_exit(TEST_FAILED);
	tuck_sleep(TUCK_FOREVER);
	_exit(TEST_FAILED);
}

/* Its next stop. */
static int stop_of(pid_t pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_SKIPPED)
		SKIP("nobody may be traced here");
	CHECK(WIFSTOPPED(status));
	return WSTOPSIG(status);
}

static pid_t start(void)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
	pid_t pid;

	for (int i = 0; i < CONNS; i++) {
		int fd[2];

		tcp_pair(fd);
		client[i] = fd[0];
		served[i] = fd[1];
	}
	pid = fork();
	if (pid == 0)
		serve();
	CHECK_EQ(stop_of(pid), SIGSTOP);
	CHECK_EQ(ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)options), 0);
	return pid;
}

/* -- the client -- */

static void ask_all(void)
{
	static const char request[BYTES] = "?";

	for (int i = 0; i < CONNS; i++) {
		raw_write(client[i], request, BYTES);
		arrives(served[i]);
	}
}

/* Whether all have their answers; answered is how many had. */
static bool all_answered(int *answered)
{
	char buf[BYTES];

	for (; *answered < CONNS; ++*answered) {
		ssize_t r = recv(client[*answered], buf, BYTES,
				 MSG_DONTWAIT | MSG_PEEK);

		if (r < BYTES)
			return false;
		CHECK_EQ(recv(client[*answered], buf, BYTES, 0), BYTES);
	}
	return true;
}

/* The server, which is stopped, runs until all are answered: its calls. */
static int count_calls(pid_t pid)
{
	int answered = 0, stops = 0;

	while (!all_answered(&answered)) {
		CHECK_EQ(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		CHECK_EQ(stop_of(pid), SIGTRAP | 0x80);
		stops++;
	}
	return stops / 2;	/* one as it begins, one as it ends */
}

/* It goes on to wait for the next requests, and is stopped there. */
static void pause_it(pid_t pid)
{
	char path[64], state = 0;
	FILE *f;

	CHECK_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	while (state != 'S') {
		usleep(1000);
		f = fopen(path, "r");
		CHECK(f);
		CHECK_EQ(fscanf(f, "%*d (%*[^)]) %c", &state), 1);
		fclose(f);
	}
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	CHECK_EQ(stop_of(pid), SIGSTOP);
}

/* The first round registers the connections, and comes to know them. */
TEST(a_request_is_a_read_and_a_write)
{
	pid_t pid = start();
	int calls;

	ask_all();
	count_calls(pid);
	for (int i = 0; i < ROUNDS; i++) {
		pause_it(pid);
		ask_all();
		calls = count_calls(pid);
		/* Besides, some polls: each finds the requests of many. */
		if (calls < 2 * CONNS || calls > 2 * CONNS + CONNS / 10)
			check_fail(CHECK_AT, "%d calls for %d requests", calls,
				   CONNS);
	}
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
}
