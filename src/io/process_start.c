/* SPDX-License-Identifier: MIT */
/*
 * The start of a child, by posix_spawn(3), and the end of one that nobody
 * waits for.
 *
 * What the child gets is first duplicated above all numbers that it may have
 * there, so that no order of dup2() destroys a source; then all else is
 * closed, whoever forgot O_CLOEXEC.
 *
 * Why not otherwise: fork(2) copies the page tables of a large process, and a
 * child of several threads must not allocate; a vfork(2) of our own would
 * have to reset the handlers and masks that posix_spawn() takes care of, and
 * tell the parent why exec failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/thread.h"
#include "io/process.h"

#define NONE (-1)
#define REAPER_STACK ((size_t)64 * 1024)

/* What becomes of each of the child's descriptors. */
struct plan {
	int n;			/* 0 to n - 1 */
	bool err_to_out;
	int *sources;		/* ours, above n; NONE: it is inherited */
	int ends[3];
};

/* -- descriptors -- */

/* fd, or its duplicate, under a number that the child does not use. */
static int lift(struct plan *plan, int i, int fd)
{
	int r = fcntl(fd, F_DUPFD_CLOEXEC, plan->n);

	if (r < 0)	/* EINVAL: no number from there on is allowed */
		return errno == EINVAL ? -EMFILE : -errno;
	plan->sources[i] = r;
	return 0;
}

static int lift_and_close(struct plan *plan, int i, int fd)
{
	int r;

	if (fd < 0)
		return -errno;
	r = lift(plan, i, fd);
	close(fd);
	return r;
}

static int make_pipe(struct plan *plan, int i)
{
	int fd[2], ours = i == 0;

	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	plan->ends[i] = fd[ours];
	fcntl(fd[ours], F_SETFL, O_NONBLOCK | (ours ? O_WRONLY : O_RDONLY));
	return lift_and_close(plan, i, fd[!ours]);
}

static int plan_standard(struct plan *plan, int i, int what)
{
	switch (what) {
	case TUCK_INHERIT: return 0;
	case TUCK_PIPE: return make_pipe(plan, i);
	case TUCK_NULL:
		return lift_and_close(plan, i,
				      open("/dev/null", O_RDWR | O_CLOEXEC));
	case TUCK_TO_OUT: plan->err_to_out = true; return 0;
	default: return lift(plan, i, what);
	}
}

static int plan_all(struct plan *plan, const struct tuck_process_attr *attr)
{
	const int standard[3] = { attr->in, attr->out, attr->err };
	int r = 0;

	for (int i = 0; i < 3 && r == 0; i++)
		r = plan_standard(plan, i, standard[i]);
	for (int i = 0; i < attr->n_fds && r == 0; i++)
		r = lift(plan, 3 + i, attr->fds[i]);
	return r;
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = NONE;
}

static int begin_plan(struct plan *plan, int n)
{
	*plan = (struct plan){ .n = n, .ends = { NONE, NONE, NONE } };
	plan->sources = tuck__alloc((size_t)n * sizeof(int));
	if (!plan->sources)
		return -ENOMEM;
	for (int i = 0; i < n; i++)
		plan->sources[i] = NONE;
	return 0;
}

static void end_plan(struct plan *plan, bool failed)
{
	for (int i = 0; plan->sources && i < plan->n; i++)
		close_one(&plan->sources[i]);
	for (int i = 0; failed && i < 3; i++)
		close_one(&plan->ends[i]);
	tuck__free(plan->sources);
}

/* -- posix_spawn -- */

static int add_actions(posix_spawn_file_actions_t *actions,
		       const struct plan *plan, const char *cwd)
{
	int r = 0;

	for (int i = 0; i < plan->n && r == 0; i++)
		if (plan->sources[i] != NONE)
			r = posix_spawn_file_actions_adddup2(
				actions, plan->sources[i], i);
	if (r == 0 && plan->err_to_out)
		r = posix_spawn_file_actions_adddup2(actions, 1, 2);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(actions, plan->n);
	if (r == 0 && cwd)
		r = posix_spawn_file_actions_addchdir_np(actions, cwd);
	return -r;
}

static void set_attributes(posix_spawnattr_t *spawn,
			   const struct tuck_process_attr *attr)
{
	int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(spawn, &none);
	posix_spawnattr_setsigdefault(spawn, &all);
	if (attr->session)
		flags |= POSIX_SPAWN_SETSID;
	else if (attr->group)
		flags |= POSIX_SPAWN_SETPGROUP;
	posix_spawnattr_setflags(spawn, (short)flags);
}

static int spawn(const struct plan *plan, const struct tuck_process_attr *attr,
		 char *const argv[], pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	set_attributes(&attributes, attr);
	r = add_actions(&actions, plan, attr->cwd);
	if (r == 0)
		r = -posix_spawnp(ret_pid, argv[0], &actions, &attributes, argv,
				  attr->env ? attr->env : environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

int tuck__process_start(const struct tuck_process_attr *attr,
			char *const argv[], pid_t *ret_pid, int ret_ends[3])
{
	struct plan plan;
	int r = begin_plan(&plan, 3 + attr->n_fds);

	if (r == 0)
		r = plan_all(&plan, attr);
	if (r == 0)
		r = spawn(&plan, attr, argv, ret_pid);
	end_plan(&plan, r < 0);
	for (int i = 0; i < 3 && r == 0; i++)
		ret_ends[i] = plan.ends[i];
	return r;
}

/* -- the end of one that was killed -- */

static void *wait_for_end(void *pidfd)
{
	int fd = (int)(intptr_t)pidfd;
	siginfo_t info;

	while (waitid((idtype_t)P_PIDFD, (id_t)fd, &info, WEXITED) < 0 &&
	       errno == EINTR)
		;
	close(fd);
	return NULL;
}

/* Apart, since it may sit in the kernel for long; it takes no signals. */
static int wait_in_thread(void *pidfd)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, was;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr,
				  REAPER_STACK + tuck__thread_overhead());
	r = pthread_create(&thread, &attr, wait_for_end, pidfd);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	return -r;
}

void tuck__process_reap(int pidfd)
{
	siginfo_t info = { .si_pid = 0 };
	void *arg = (void *)(intptr_t)pidfd;
	int r = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info,
		       WEXITED | WNOHANG);

	if (r < 0 || info.si_pid != 0)
		close(pidfd);
	else if (wait_in_thread(arg) < 0)
		wait_for_end(arg);
}
