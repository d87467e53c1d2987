/* SPDX-License-Identifier: MIT */
/* Child processes: what they get, how they end, that none is left over. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <tuck.h>

#include "sockets.h"
#include "task/task.h"
#include "trace.h"

#define ARGV(...) ((char *[]){ __VA_ARGS__, NULL })
#define SH(script) ARGV("sh", "-c", script)

static struct tuck_process *spawn(const struct tuck_process_attr *attr,
				  char *const argv[])
{
	struct tuck_process *p;

	CHECK_EQ(tuck_process_spawn(&p, attr, argv), 0);
	return p;
}

static struct tuck_process_status ended(struct tuck_process *p)
{
	struct tuck_process_status status;

	CHECK_EQ(tuck_process_wait(p, &status, patience()), 0);
	return status;
}

/* Not even a zombie of ours is left; to look takes none away. */
static bool childless(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 &&
	       errno == ECHILD;
}

static int fds_with_poller(void)
{
	struct tuck_process *p = spawn(NULL, SH("exit 0"));

	ended(p);
	tuck_process_free(p);
	return count_fds();
}

/* A stand-in that knows when a child is waited for by its number. */
static atomic_int by_number;

int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	atomic_fetch_add(&by_number, type == P_PID);
	return (int)syscall(SYS_waitid, type, id, info, options, NULL);
}

/* The output of a program that has to succeed. */
static const char *output(const struct tuck_process_attr *attr,
			  char *const argv[])
{
	static char text[65536];
	struct tuck_process_result result;

	CHECK_EQ(tuck_process_run(attr, argv, NULL, 0, &result, patience()), 0);
	CHECK_EQ(result.status.code, 0);
	CHECK(result.out_bytes < sizeof(text));
	memcpy(text, result.out, result.out_bytes + 1);
	tuck_process_result_free(&result);
	CHECK(!result.out && !result.err);
	return text;
}

/* -- how they end -- */

TEST(exit_status)
{
	struct tuck_process *p = spawn(NULL, SH("exit 7"));
	struct tuck_process_status status = ended(p);

	CHECK(tuck_process_pid(p) > 0);
	CHECK_EQ(status.code, 7);
	CHECK_EQ(status.signum, 0);
	CHECK_EQ(ended(p).code, 7);		/* and again */
	CHECK_EQ(tuck_process_wait(p, NULL, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_process_kill(p, SIGTERM), -ESRCH);
	CHECK(childless());
	tuck_process_free(p);
}

TEST(ended_by_a_signal)
{
	struct tuck_process *p = spawn(NULL, ARGV("sleep", "1000"));
	struct tuck_process_status status;

	CHECK_EQ(tuck_process_wait(p, &status, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_process_wait(p, &status, tuck_after(TUCK_MS(1))),
		 -ETIMEDOUT);
	CHECK_EQ(tuck_process_kill(p, 1000), -EINVAL);
	CHECK_EQ(tuck_process_kill(p, SIGTERM), 0);
	status = ended(p);
	CHECK_EQ(status.code, -1);
	CHECK_EQ(status.signum, SIGTERM);
	tuck_process_free(p);
}

TEST(exec_errors_are_told)
{
	struct tuck_process *p = NULL;
	struct tuck_process_attr nowhere = { .cwd = "/nowhere" };
	int fds = count_fds();

	CHECK_EQ(tuck_process_spawn(&p, NULL, ARGV("no-such-program")),
		 -ENOENT);
	CHECK_EQ(tuck_process_spawn(&p, NULL, ARGV("/nowhere/x")), -ENOENT);
	CHECK_EQ(tuck_process_spawn(&p, NULL, ARGV("/etc/passwd")), -EACCES);
	CHECK_EQ(tuck_process_spawn(&p, &nowhere, ARGV("true")), -ENOENT);
	CHECK(!p);
	CHECK(childless());
	CHECK(count_fds() <= fds + 2);		/* the poller's */
}

TEST(bad_arguments)
{
	struct tuck_process *p = NULL;
	struct tuck_process_attr attr = { .in = -4 };
	struct tuck_process_result result;
	int bad = 999, neg = -1;

	CHECK_EQ(tuck_process_spawn(NULL, NULL, ARGV("true")), -EINVAL);
	CHECK_EQ(tuck_process_spawn(&p, NULL, NULL), -EINVAL);
	CHECK_EQ(tuck_process_spawn(&p, NULL, (char *[]){ NULL }), -EINVAL);
	CHECK_EQ(tuck_process_spawn(&p, &attr, ARGV("true")), -EINVAL);
	attr = (struct tuck_process_attr){ .out = TUCK_TO_OUT };
	CHECK_EQ(tuck_process_spawn(&p, &attr, ARGV("true")), -EINVAL);
	attr = (struct tuck_process_attr){ .n_fds = 1 };
	CHECK_EQ(tuck_process_spawn(&p, &attr, ARGV("true")), -EINVAL);
	attr.fds = &neg;
	CHECK_EQ(tuck_process_spawn(&p, &attr, ARGV("true")), -EINVAL);
	attr.fds = &bad;
	CHECK_EQ(tuck_process_spawn(&p, &attr, ARGV("true")), -EBADF);
	attr = (struct tuck_process_attr){ .out = bad };
	CHECK_EQ(tuck_process_spawn(&p, &attr, ARGV("true")), -EBADF);
	CHECK_EQ(tuck_process_wait(NULL, NULL, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_process_kill(NULL, SIGTERM), -EINVAL);
	CHECK_EQ(tuck_process_fd(NULL, 0), -EINVAL);
	CHECK_EQ(tuck_process_pid(NULL), -EINVAL);
	CHECK_EQ(tuck_process_run(NULL, ARGV("true"), NULL, 1, &result,
				  TUCK_FOREVER),
		 -EINVAL);
	CHECK_EQ(tuck_process_run(NULL, ARGV("true"), NULL, 0, NULL,
				  TUCK_FOREVER),
		 -EINVAL);
	tuck_process_free(NULL);
	p = spawn(NULL, ARGV("true"));
	CHECK_EQ(tuck_process_wait(p, NULL, -1), -EINVAL);
	CHECK_EQ(tuck_process_fd(p, 3), -EINVAL);
	CHECK_EQ(tuck_process_fd(p, 1), -EBADF);
	tuck_process_free(p);
}

TEST(a_status_that_others_took)
{
	struct tuck_process *p = spawn(NULL, ARGV("true"));

	CHECK_EQ(waitpid(tuck_process_pid(p), NULL, 0), tuck_process_pid(p));
	CHECK_EQ(tuck_process_wait(p, NULL, patience()), -ECHILD);
	CHECK_EQ(tuck_process_wait(p, NULL, patience()), -ECHILD);
	CHECK_EQ(tuck_process_kill(p, SIGKILL), -ESRCH);
	tuck_process_free(p);
}

/* A child that leads a group and has this number, or an error. */
static pid_t start_as(pid_t pid)
{
	struct clone_args args = { .exit_signal = SIGCHLD,
				   .set_tid = (uintptr_t)&pid,
				   .set_tid_size = 1 };
	long r = syscall(SYS_clone3, &args, sizeof(args));

	while (r == 0)
		pause();
	if (r < 0)
		return -errno;
	CHECK_EQ(setpgid(pid, pid), 0);
	return pid;
}

/* A child whose status others took, and whose number is a stranger's. */
static struct tuck_process *renumbered(const struct tuck_process_attr *attr)
{
	int r;

	for (int tries = 0; tries < 100; tries++) {
		struct tuck_process *p = spawn(attr, ARGV("true"));
		pid_t pid = tuck_process_pid(p);

		CHECK_EQ(waitpid(pid, NULL, 0), pid);
		r = start_as(pid);
		if (r == pid)
			return p;
		tuck_process_free(p);
		if (r != -EEXIST)
			break;
	}
	SKIP(r == -EEXIST ? "others take the numbers" :
			    "not for this user, or not in this kernel");
}

TEST(a_stranger_with_its_number_lives)
{
	for (int group = 0; group < 2; group++)
		for (int kill_it = 0; kill_it < 2; kill_it++) {
			struct tuck_process_attr attr = { .group = group };
			struct tuck_process *p = renumbered(&attr);
			pid_t pid = tuck_process_pid(p);
			int status;

			if (kill_it)
				CHECK_EQ(tuck_process_kill(p, SIGKILL), -ESRCH);
			tuck_process_free(p);
			/* Of two signals that end it, it is the first. */
			CHECK_EQ(kill(pid, SIGTERM), 0);
			CHECK_EQ(waitpid(pid, &status, 0), pid);
			CHECK_EQ(WTERMSIG(status), SIGTERM);
		}
}

/* Who leads a group may join another one of its session. */
TEST(one_that_left_its_group_is_found)
{
	struct tuck_process_attr attr = { .group = 1, .out = TUCK_PIPE };
	struct tuck_process *p;
	char c;
	int r;

	r = tuck_process_spawn(&p, &attr,
			       ARGV("perl", "-e",
				    "setpgrp(0, getpgrp(getppid)) or die;"
				    "syswrite(STDOUT, 'x'); sleep(1000)"));
	if (r == -ENOENT)
		SKIP("no perl");
	CHECK_EQ(r, 0);
	CHECK_EQ(tuck_read(tuck_process_fd(p, 1), &c, 1, patience()), 1);
	CHECK_EQ(tuck_process_kill(p, SIGTERM), 0);
	CHECK_EQ(ended(p).signum, SIGTERM);
	tuck_process_free(p);
}

TEST(the_programs_own_children_stay_its_own)
{
	struct tuck_process *p;
	int status;
	pid_t own = fork();

	if (own == 0)
		_exit(3);
	p = spawn(NULL, SH("exit 4"));
	CHECK_EQ(ended(p).code, 4);
	tuck_process_free(p);
	CHECK_EQ(waitpid(own, &status, 0), own);
	CHECK_EQ(WEXITSTATUS(status), 3);
}

/* -- fork -- */

static void hold_one(void *arg)
{
	struct tuck_process_attr attr = { .owned = 1 };

	*(struct tuck_process **)arg = spawn(&attr, ARGV("sleep", "1000"));
	tuck_block(TUCK_FOREVER);
}

static void forget_all(struct tuck_process *group, tuck_id owner)
{
	CHECK_EQ(tuck_process_wait(group, NULL, patience()), -ECHILD);
	CHECK_EQ(tuck_process_kill(group, SIGKILL), -ECHILD);
	tuck_process_free(group);
	CHECK_EQ(tuck_kill(owner), 0);
	CHECK_EQ(tuck_join(owner, patience()), 0);
}

/* They are the parent's. */
TEST(a_forked_child_leaves_them_alone)
{
	struct tuck_process_attr attr = { .group = 1 };
	struct tuck_process *p[3];
	tuck_id owner = tuck_go(hold_one, &p[0]);
	int status;
	pid_t pid;

	NOT_UNDER_TSAN("it starts a thread after a fork");
	p[1] = spawn(&attr, ARGV("sleep", "1000"));
	p[2] = spawn(NULL, ARGV("sleep", "1000"));
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(1))), 0);
	pid = fork();
	if (pid == 0) {
		forget_all(p[1], owner);
		tuck_process_free(p[2]);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_process_wait(p[i], NULL, tuck_after(TUCK_MS(20))),
			 -ETIMEDOUT);
	CHECK_EQ(tuck_kill(owner), 0);
	tuck_process_free(p[1]);
	tuck_process_free(p[2]);
}

/* -- what they get -- */

TEST(pipes_to_and_fro)
{
	struct tuck_process_attr attr = { .in = TUCK_PIPE, .out = TUCK_PIPE };
	struct tuck_process *p = spawn(&attr, ARGV("cat"));
	char buf[100];

	for (int i = 0; i < 10; i++) {
		CHECK_EQ(tuck_write_full(tuck_process_fd(p, 0), "hello", 5,
					 patience()),
			 5);
		CHECK_EQ(tuck_read_full(tuck_process_fd(p, 1), buf, 5,
					patience()),
			 5);
		CHECK_MEM(buf, "hello", 5);
	}
	CHECK_EQ(tuck_process_close(p, 0), 0);
	CHECK_EQ(tuck_process_close(p, 0), -EBADF);
	CHECK_EQ(tuck_process_fd(p, 0), -EBADF);
	CHECK_EQ(tuck_read(tuck_process_fd(p, 1), buf, 5, patience()), 0);
	CHECK_EQ(ended(p).code, 0);
	tuck_process_free(p);
}

TEST(environment_and_directory)
{
	struct tuck_process_attr attr = { .env = ARGV("A=1", "B=2"),
					  .cwd = "/" };

	CHECK_STR(output(&attr, ARGV("/bin/sh", "-c", "echo $A$B$HOME; pwd")),
		  "12\n/\n");
	setenv("TUCK_TEST", "inherited", 1);
	CHECK_STR(output(NULL, SH("echo $TUCK_TEST")), "inherited\n");
}

TEST(errors_to_the_output)
{
	struct tuck_process_attr attr = { .err = TUCK_TO_OUT };

	CHECK_STR(output(&attr, SH("echo a; echo b >&2; echo c")), "a\nb\nc\n");
}

/* 3 and 4 cross over, and what forgot O_CLOEXEC is not there. */
TEST(descriptors_for_the_child)
{
	int one[2], two[2], fds[2];
	struct tuck_process_attr attr = { .fds = fds, .n_fds = 2 };
	char c;

	pipe_pair(one);
	pipe_pair(two);
	for (int i = 0; i < 2; i++) {	/* out of the way of 3 and 4 */
		one[i] = fcntl(one[i], F_DUPFD, 100);
		two[i] = fcntl(two[i], F_DUPFD, 100);
	}
	CHECK_EQ(dup2(one[1], 4), 4);
	CHECK_EQ(dup2(two[1], 3), 3);
	fds[0] = 4;
	fds[1] = 3;
	CHECK_STR(output(&attr, SH("printf 1 >&3; printf 2 >&4;"
				   "ls /proc/self/fd | tr '\\n' ' '")),
		  "0 1 2 3 4 5 ");		/* 5 is the folder */
	CHECK_EQ(read(one[0], &c, 1), 1);
	CHECK_EQ(c, '1');
	CHECK_EQ(read(two[0], &c, 1), 1);
	CHECK_EQ(c, '2');
}

TEST(more_descriptors_than_there_are_numbers)
{
	enum { N = 64 };
	static int many[N];
	struct tuck_process_attr attr = { .fds = many, .n_fds = N };
	struct rlimit was, few = { N, N };
	struct tuck_process *p = NULL;
	int fds = fds_with_poller();

	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &was), 0);
	few.rlim_max = was.rlim_max;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	CHECK_EQ(tuck_process_spawn(&p, &attr, ARGV("true")), -EMFILE);
	CHECK(!p);
	CHECK_EQ(count_fds(), fds);
	CHECK(childless());
}

TEST(standard_descriptors_from_others)
{
	int in[2], out[2];
	char buf[20];
	struct tuck_process_attr attr = { .err = TUCK_NULL };
	struct tuck_process *p;

	pipe_pair(in);
	pipe_pair(out);
	attr.in = in[0];
	attr.out = out[1];
	p = spawn(&attr, SH("echo lost >&2; cat"));
	raw_write(in[1], "word", 4);
	close(in[1]);
	CHECK_EQ(tuck_read_full(out[0], buf, 4, patience()), 4);
	CHECK_MEM(buf, "word", 4);
	CHECK_EQ(ended(p).code, 0);
	tuck_process_free(p);
	CHECK(fcntl(in[0], F_GETFD) >= 0);	/* they stay the caller's */
}

/* What Tuck has made does not block, and a program is not made for that. */
TEST(a_pipe_from_child_to_child)
{
	struct tuck_process_attr first = { .in = TUCK_PIPE, .out = TUCK_PIPE },
				 then = { .out = TUCK_PIPE },
				 last = { .in = TUCK_NULL };
	struct tuck_process *one = spawn(&first, ARGV("cat")), *two, *three;
	char line[4] = "";

	then.in = tuck_process_fd(one, 1);
	two = spawn(&then, SH("echo; exec cat"));
	CHECK_EQ(fcntl(then.in, F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQ(tuck_read(then.in, line, 1, tuck_after(TUCK_US(10))),
		 -ETIMEDOUT);
	CHECK_EQ(tuck_process_close(one, 1), 0);
	CHECK_EQ(tuck_read(tuck_process_fd(two, 1), line, 1, patience()), 1);
	CHECK_EQ(tuck_write(tuck_process_fd(one, 0), "hi\n", 3, patience()), 3);
	CHECK_EQ(tuck_read_full(tuck_process_fd(two, 1), line, 3, patience()),
		 3);
	CHECK_STR(line, "hi\n");
	/* And an input that another one has, too. */
	last.out = tuck_process_fd(one, 0);
	three = spawn(&last, ARGV("true"));
	CHECK_EQ(fcntl(last.out, F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQ(tuck_process_kill(one, SIGKILL), 0);
	ended(one);
	ended(three);
	CHECK_EQ(tuck_write(last.out, "x", 1, patience()), -EPIPE);
	tuck_process_free(three);
	tuck_process_free(two);
	tuck_process_free(one);
}

TEST(signals_are_reset)
{
	unsigned long long blocked, ignored, caught;
	const char *text;
	sigset_t all, was;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	text = strstr(output(NULL, ARGV("cat", "/proc/self/status")),
		      "SigBlk:");
	CHECK(text);
	CHECK_EQ(sscanf(text, "SigBlk: %llx SigIgn: %llx SigCgt: %llx",
			&blocked, &ignored, &caught),
		 3);
	CHECK_EQ(blocked, 0);
	CHECK_EQ(ignored & ~0x180000000ull, 0);	/* libc's own, 32 and 33 */
	CHECK_EQ(caught, 0);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
}

TEST(a_group_of_its_own)
{
	struct tuck_process_attr group = { .group = 1, .out = TUCK_PIPE },
				 session = { .session = 1 };
	struct tuck_process *p = spawn(NULL, ARGV("sleep", "1000"));
	char c;

	CHECK_EQ(getpgid(tuck_process_pid(p)), getpgid(0));
	tuck_process_free(p);
	p = spawn(&session, ARGV("sleep", "1000"));
	CHECK_EQ(getsid(tuck_process_pid(p)), tuck_process_pid(p));
	tuck_process_free(p);
	p = spawn(&group, SH("sleep 1000 & echo; wait"));
	CHECK_EQ(getpgid(tuck_process_pid(p)), tuck_process_pid(p));
	CHECK_EQ(tuck_read(tuck_process_fd(p, 1), &c, 1, patience()), 1);
	CHECK_EQ(tuck_process_kill(p, SIGKILL), 0);
	/* Its own child, which has the pipe too, is no more. */
	CHECK_EQ(tuck_read(tuck_process_fd(p, 1), &c, 1, patience()), 0);
	CHECK_EQ(ended(p).signum, SIGKILL);
	tuck_process_free(p);
}

/* The pipe to a child that has ended raises no SIGPIPE. */
TEST(no_sigpipe)
{
	struct tuck_process_attr attr = { .in = TUCK_PIPE };
	struct tuck_process *p = spawn(&attr, ARGV("true"));
	struct iovec iov = { (void *)(uintptr_t) "x", 1 };

	ended(p);
	CHECK_EQ(tuck_write(tuck_process_fd(p, 0), "x", 1, patience()), -EPIPE);
	CHECK_EQ(tuck_writev(tuck_process_fd(p, 0), &iov, 1, patience()),
		 -EPIPE);
	tuck_process_free(p);
}

/* -- waits -- */

struct waiting {
	struct tuck_process *p;
	int result;
};

static void wait_for_it(void *arg)
{
	struct waiting *w = arg;

	w->result = tuck_process_wait(w->p, NULL, patience());
}

TEST(several_wait)
{
	struct waiting w = { spawn(NULL, ARGV("sleep", "1000")), 1 };
	tuck_id id[3];

	for (int i = 0; i < 3; i++)
		id[i] = go(wait_for_it, &w);
	settle();
	CHECK_EQ(w.result, 1);
	CHECK_EQ(tuck_process_kill(w.p, SIGKILL), 0);
	for (int i = 0; i < 3; i++)
		finish(id[i]);
	CHECK_EQ(w.result, 0);
	tuck_process_free(w.p);
}

TEST(freed_while_somebody_waits)
{
	struct waiting w = { spawn(NULL, ARGV("sleep", "1000")), 1 };
	tuck_id id = go(wait_for_it, &w);

	settle();
	tuck_process_free(w.p);
	finish(id);
	CHECK_EQ(w.result, -EBADF);
	WAIT_FOR(childless());
}

/* It has ended, but who waits for it has not run yet. */
TEST(freed_while_somebody_was_woken)
{
	struct waiting w = { spawn(NULL, ARGV("sleep", "1000")), 1 };
	tuck_id id = go(wait_for_it, &w);

	settle();
	CHECK_EQ(tuck_process_kill(w.p, SIGKILL), 0);
	while (tuck__list_empty(&tuck__tls->ready))
		tuck__look(tuck__tls);
	tuck_process_free(w.p);
	finish(id);
	CHECK_EQ(w.result, -EBADF);
	WAIT_FOR(childless());
}

TEST(killed_and_cancelled_in_a_wait)
{
	struct waiting w = { spawn(NULL, ARGV("sleep", "1000")), 1 };
	tuck_id id = go(wait_for_it, &w);

	settle();
	CHECK_EQ(tuck_cancel(id), 0);
	finish(id);
	CHECK_EQ(w.result, -ECANCELED);
	w.result = 1;
	id = go(wait_for_it, &w);
	settle();
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_EQ(w.result, 1);
	CHECK_EQ(kill(tuck_process_pid(w.p), 0), 0);	/* it lives */
	tuck_process_free(w.p);
	WAIT_FOR(childless());
}

/* -- owners -- */

static void own_and_wait(void *arg)
{
	struct tuck_process_attr attr = { .owned = 1 };
	struct tuck_process *p = spawn(&attr, ARGV("sleep", "1000"));

	*(pid_t *)arg = tuck_process_pid(p);
	tuck_process_wait(p, NULL, TUCK_FOREVER - 1);
}

static void own_and_return(void *arg)
{
	struct tuck_process_attr attr = { .owned = 1 };

	*(pid_t *)arg = tuck_process_pid(spawn(&attr, ARGV("sleep", "1000")));
}

/* Its number may be another child's, if a thread of the program reaped it. */
TEST(children_are_not_reaped_by_their_numbers)
{
	struct tuck_process *p = spawn(NULL, ARGV("sleep", "1000"));

	tuck_process_free(p);
	CHECK_EQ(by_number, 0);
	WAIT_FOR(childless());
	p = spawn(NULL, SH("exit 0"));
	while (waitpid(tuck_process_pid(p), NULL, 0) < 0)
		CHECK_EQ(errno, EINTR);
	tuck_process_free(p);
	p = spawn(NULL, SH("exit 0"));
	CHECK_EQ(ended(p).code, 0);
	tuck_process_free(p);
	CHECK(childless());
	CHECK_EQ(by_number, 0);
}

static void check_gone(tuck_id id, const pid_t *pid)
{
	finish(id);
	WAIT_FOR(childless());
	CHECK(kill(*pid, 0) < 0 && errno == ESRCH);
}

TEST(an_owned_child_ends_with_its_owner)
{
	int fds = fds_with_poller();

	for (int i = 0; i < 4; i++) {
		pid_t pid = 0;
		tuck_id id = go(i == 3 ? own_and_return : own_and_wait, &pid);

		settle();
		CHECK(pid > 0);
		if (i == 0)
			CHECK_EQ(tuck_kill(id), 0);
		else if (i == 1)
			CHECK_EQ(tuck_cancel(id), 0);
		else if (i == 2)
			CHECK_EQ(tuck_drop(id), 0);
		check_gone(id, &pid);
		WAIT_FOR(count_fds() == fds);	/* the reaper has one */
	}
}

static int own_in_group(void *arg)
{
	own_and_wait(arg);
	return 0;
}

TEST(an_owned_child_ends_with_its_group)
{
	struct tuck_group *group;
	pid_t pid = 0;

	CHECK_EQ(tuck_group_new(&group, TUCK_FOREVER), 0);
	CHECK(tuck_group_go(group, own_in_group, &pid) > 0);
	settle();
	CHECK(pid > 0);
	tuck_group_free(group);
	WAIT_FOR(childless());
}

static void own_and_end_proc(void *arg)
{
	go(own_and_wait, arg);
	WAIT_FOR(*(pid_t *)arg > 0);
	pthread_exit(NULL);		/* forgets the others */
}

TEST(an_owned_child_ends_with_its_proc)
{
	pid_t pid = 0;
	int proc = tuck_proc_start(NULL, own_and_end_proc, &pid);

	CHECK(proc >= 0);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	WAIT_FOR(childless());
}

static void own_and_free(void *arg)
{
	struct tuck_process_attr attr = { .owned = 1 };
	struct tuck_process *one = spawn(&attr, ARGV("sleep", "1000")),
			    *two = spawn(&attr, ARGV("true"));

	ended(two);
	tuck_process_free(one);
	tuck_process_free(two);
	*(int *)arg = 1;
}

TEST(an_owned_child_freed_by_its_owner)
{
	int done = 0;
	tuck_id id = go(own_and_free, &done);

	finish(id);
	CHECK_EQ(done, 1);
	WAIT_FOR(childless());
}

static struct tuck_process *foreign;

static void use_from_elsewhere(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_process_wait(foreign, NULL, TUCK_FOREVER), -EXDEV);
	CHECK_EQ(tuck_process_kill(foreign, SIGKILL), -EXDEV);
	CHECK_EQ(tuck_process_fd(foreign, 0), -EXDEV);
}

static void spawn_elsewhere(void *arg)
{
	(void)arg;
	foreign = spawn(NULL, ARGV("sleep", "1000"));
}

TEST(a_child_of_another_proc)
{
	int proc;

	foreign = spawn(NULL, ARGV("sleep", "1000"));
	proc = tuck_proc_start(NULL, use_from_elsewhere, NULL);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	tuck_process_free(foreign);
	proc = tuck_proc_start(NULL, spawn_elsewhere, NULL);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	CHECK_EQ(tuck_process_kill(foreign, SIGKILL), 0);
	CHECK_EQ(ended(foreign).signum, SIGKILL);
	tuck_process_free(foreign);
	WAIT_FOR(childless());
}

static void spawn_with_pipe(void *arg)
{
	struct tuck_process_attr attr = { .in = TUCK_PIPE };

	(void)arg;
	foreign = spawn(&attr, ARGV("true"));
}

TEST(a_pipe_that_changes_hands_raises_no_signal)
{
	int proc = tuck_proc_start(NULL, spawn_with_pipe, NULL);

	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	ended(foreign);
	CHECK_EQ(tuck_write(tuck_process_fd(foreign, 0), "x", 1, patience()),
		 -EPIPE);
	tuck_process_free(foreign);
}

static void spawn_three(void *arg)
{
	struct tuck_process_attr attr = { .in = TUCK_PIPE };
	struct tuck_process **p = arg;

	p[0] = spawn(&attr, ARGV("sleep", "1000"));
	p[1] = spawn(&attr, ARGV("sleep", "1000"));
	p[2] = spawn(&attr, SH("exit 3"));
	ended(p[2]);
}

/* A proc that ends takes its table along; here the numbers are others'. */
TEST(children_of_a_table_that_is_gone)
{
	struct tuck_proc_attr attr = { .own_fds = 1 };
	struct tuck_process *p[3];
	int proc, pair[2], fds;

	NOT_UNDER_TSAN("it takes tables for one");
	fds_with_poller();
	proc = tuck_proc_start(&attr, spawn_three, p);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	for (int i = 0; i < 20; i++)
		stream_pair(pair);
	fds = count_fds();
	tuck_process_free(p[0]);
	CHECK_EQ(tuck_process_fd(p[1], 0), -EBADF);
	CHECK_EQ(tuck_process_kill(p[1], SIGTERM), 0);
	CHECK_EQ(ended(p[1]).signum, SIGTERM);
	tuck_process_free(p[1]);
	CHECK_EQ(ended(p[2]).code, 3);
	CHECK_EQ(tuck_process_kill(p[2], SIGTERM), -ESRCH);
	tuck_process_free(p[2]);
	WAIT_FOR(childless());
	WAIT_FOR(count_fds() == fds);
}

/* -- run -- */

TEST(run_feeds_and_reads_at_once)
{
	enum { N = 1 << 20 };
	unsigned char *in = malloc(N);
	struct tuck_process_result result;

	fill(in, N, 0, 1);
	CHECK_EQ(tuck_process_run(NULL, SH("tee /dev/stderr"), in, N, &result,
				  patience()),
		 0);
	CHECK_EQ(result.out_bytes, N);
	CHECK_EQ(result.err_bytes, N);
	check_filled(result.out, N, 0, 1);
	check_filled(result.err, N, 0, 1);
	tuck_process_result_free(&result);
	free(in);
	CHECK(childless());
}

TEST(run_without_interest_in_its_input)
{
	enum { N = 1 << 20 };
	char *in = calloc(1, N);
	struct tuck_process_result result;

	CHECK_EQ(tuck_process_run(NULL, SH("exec <&-; exit 5"), in, N, &result,
				  patience()),
		 0);
	CHECK_EQ(result.status.code, 5);
	CHECK_STR(result.out, "");
	CHECK_STR(result.err, "");
	tuck_process_result_free(&result);
	free(in);
}

/* The program has ended; who has its input neither reads it nor ends. */
TEST(run_whose_input_is_kept_by_others)
{
	static const struct tuck_process_attr quiet = { .out = TUCK_NULL };
	struct tuck_process_result result;
	char *in = calloc(1, 1 << 20);

	CHECK_EQ(tuck_process_run(NULL,
				  SH("exec 3<&0; sleep 1000 <&3 >&- 2>&- &"
				     "echo $!; exit 4"),
				  in, 1 << 20, &result, patience()),
		 0);
	CHECK_EQ(result.status.code, 4);
	CHECK_EQ(kill(atoi(result.out), SIGKILL), 0);
	tuck_process_result_free(&result);
	CHECK_EQ(tuck_process_run(&quiet,
				  SH("exec 3<&0; sleep 1000 <&3 2>&- &"
				     "echo $! >&2; exit 5"),
				  in, 1 << 20, &result, patience()),
		 0);
	CHECK_EQ(result.status.code, 5);
	CHECK_EQ(kill(atoi(result.err), SIGKILL), 0);
	tuck_process_result_free(&result);
	free(in);
}

/* It has ended before its child, which gets all the input. */
TEST(run_whose_child_takes_the_input)
{
	enum { N = 1 << 20 };
	unsigned char *in = malloc(N);
	struct tuck_process_result result;

	fill(in, N, 0, 1);
	CHECK_EQ(tuck_process_run(NULL, SH("exec 3<&0; cat <&3 & exit 6"), in,
				  N, &result, patience()),
		 0);
	CHECK_EQ(result.status.code, 6);
	CHECK_EQ(result.out_bytes, N);
	check_filled(result.out, N, 0, 1);
	tuck_process_result_free(&result);
	free(in);
}

TEST(run_is_bounded)
{
	struct tuck_process_attr attr = { .output_max = 100000 };
	struct tuck_process_result result;
	char *in = calloc(1, 1 << 20);

	CHECK_EQ(tuck_process_run(&attr, ARGV("yes"), NULL, 0, &result,
				  patience()),
		 -EFBIG);
	CHECK_EQ(tuck_process_run(&attr, SH("yes >&2"), in, 1 << 20, &result,
				  patience()),
		 -EFBIG);
	WAIT_FOR(childless());
	free(in);
}

TEST(run_until_a_deadline)
{
	struct tuck_process_result result;
	char *in = calloc(1, 1 << 20);

	CHECK_EQ(tuck_process_run(NULL, ARGV("sleep", "1000"), NULL, 0, &result,
				  tuck_after(TUCK_MS(20))),
		 -ETIMEDOUT);
	CHECK_EQ(tuck_process_run(NULL, ARGV("sleep", "1000"), in, 1 << 20,
				  &result, tuck_after(TUCK_MS(20))),
		 -ETIMEDOUT);
	CHECK_EQ(tuck_process_run(NULL, ARGV("no-such-program"), NULL, 0,
				  &result, patience()),
		 -ENOENT);
	WAIT_FOR(childless());
	free(in);
}

/* Late all the same: it runs, and does not take its input. */
TEST(run_until_a_deadline_when_the_output_has_ended)
{
	const struct tuck_process_attr quiet = { .out = TUCK_NULL,
						 .err = TUCK_NULL };
	struct tuck_process_result result;
	char *in = calloc(1, 1 << 20);

	CHECK_EQ(tuck_process_run(&quiet, ARGV("sleep", "1000"), in, 1 << 20,
				  &result, tuck_after(TUCK_MS(20))),
		 -ETIMEDOUT);
	CHECK_EQ(tuck_process_run(NULL, SH("exec >&- 2>&-; sleep 1000"), in,
				  1 << 20, &result, tuck_after(TUCK_MS(500))),
		 -ETIMEDOUT);
	WAIT_FOR(childless());
	free(in);
}

static int run_result;

static void run_for_long(void *arg)
{
	struct tuck_process_result result;
	char in[1000] = "";

	(void)arg;
	run_result = 1;
	run_result = tuck_process_run(NULL, SH("cat; sleep 1000"), in,
				      sizeof(in), &result, TUCK_FOREVER - 1);
}

/* Nothing is left: neither descriptors nor readers nor, says ASan, memory. */
static void end_runs(int (*end)(tuck_id id), int expected)
{
	struct tuck_stats stats;
	int fds = fds_with_poller();

	for (int i = 0; i < 3; i++) {
		tuck_id id = go(run_for_long, NULL);

		settle();
		CHECK_EQ(tuck_stats(&stats), 0);
		CHECK_EQ(stats.tasklets, 4);
		CHECK_EQ(end(id), 0);
		finish(id);
		CHECK_EQ(run_result, expected);
		WAIT_FOR(childless());
		CHECK_EQ(tuck_stats(&stats), 0);
		CHECK_EQ(stats.tasklets, 1);
		WAIT_FOR(count_fds() == fds);	/* the reaper has one */
	}
}

TEST(a_run_that_is_killed)
{
	end_runs(tuck_kill, 1);
}

TEST(a_run_that_is_cancelled)
{
	end_runs(tuck_cancel, -ECANCELED);
}

TEST(a_run_that_is_dropped)
{
	end_runs(tuck_drop, 1);
}

static void run_and_end(void *arg)
{
	go(run_for_long, NULL);
	settle();
	pthread_exit(arg);
}

TEST(a_run_whose_proc_ends)
{
	int proc = tuck_proc_start(NULL, run_and_end, NULL);

	CHECK(proc >= 0);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	WAIT_FOR(childless());
}

static atomic_int runs;

static void run_one(void *arg)
{
	struct tuck_process_result result;
	char in[20];
	int n = snprintf(in, sizeof(in), "%d", (int)(intptr_t)arg);

	CHECK_EQ(tuck_process_run(NULL, ARGV("cat"), in, (size_t)n, &result,
				  patience()),
		 0);
	CHECK_STR(result.out, in);
	tuck_process_result_free(&result);
	runs++;
}

TEST(many_at_once)
{
	enum { N = 50 };
	tuck_id id[N];
	int fds;

	run_one(NULL);
	fds = count_fds();
	for (intptr_t i = 0; i < N; i++)
		id[i] = go(run_one, (void *)i);
	for (int i = 0; i < N; i++)
		finish(id[i]);
	CHECK_EQ(runs, N + 1);
	CHECK_EQ(count_fds(), fds);
	CHECK(childless());
}

/* A storm of signals that a channel takes meanwhile, SIGCHLD too. */
TEST(signals_while_children_come_and_go)
{
	struct tuck_chan *chld = tuck_signal_chan(SIGCHLD);
	struct tuck_signal s;

	CHECK(chld);
	for (int i = 0; i < 20; i++)
		run_one(NULL);
	CHECK_EQ(tuck_chan_recv(chld, &s, patience()), 0);
	CHECK_EQ(s.code, CLD_EXITED);
	tuck_chan_free(chld);
	CHECK(childless());
}
