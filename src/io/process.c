/* SPDX-License-Identifier: MIT */
/*
 * Child processes by their pidfds, which the poller waits for as for any other
 * descriptor.
 *
 * Invariants:
 * 1. A child is waited for by its pidfd, so never one that has its number
 *    after it. It is not reaped but by us, or its pidfd says so: so its number,
 *    and that of its group, is nobody else's while it has not ended here. The
 *    pidfd is asked before the number is used, for there is no signal to a
 *    group but by that. What remains: another thread of the program may reap
 *    the child in between, and its number come round.
 * 2. Each child is reaped: by a wait, or when its handle is freed. An owned
 *    one is freed at the latest when its owner's block is given back.
 *    In the child of a fork(2) the handles are there, but the children are the
 *    parent's, and are left alone.
 * 3. Who waited learns from the descriptor, whose number was closed meanwhile,
 *    that the handle was freed, and does not touch it then.
 */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <tuck/io.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/mem.h"
#include "io/poller.h"
#include "io/process.h"

struct tuck_process {
	struct tuck__held held;
	struct tuck__tasklet *owner;	/* NULL: it has none */
	tuck_id home;			/* its proc's main tasklet */
	pid_t pid;
	uint32_t forks;			/* of its parent */
	uint32_t fd_table;		/* of these: */
	int pidfd, ends[3];
	bool leads;			/* a group */
	bool ended, gone;
	int error;			/* why there is no status */
	struct tuck_process_status status;
	unsigned users;			/* the program, and a run of it */
};

static int pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Before there is a child to lose. */
static int check_kernel(void)
{
	static atomic_bool known;
	siginfo_t info;
	int fd, r = 0;

	if (atomic_load(&known))
		return 0;
	fd = pidfd_open(getpid());
	if (fd < 0)
		return -errno;
	if (waitid((idtype_t)P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG) < 0 &&
	    errno == EINVAL)
		r = -ENOSYS;
	close(fd);
	atomic_store(&known, r == 0);
	return r;
}

/* -- whose it is -- */

static int belongs(const struct tuck_process *p, const struct tuck__sched *s)
{
	struct tuck__sched *home;

	TUCK__REQUIRE(p, -EINVAL);
	TUCK__REQUIRE(s, -EXDEV);
	if (p->home == s->main_id || !tuck__find(p->home, &home))
		return 0;
	return -EXDEV;
}

/* With an entry, or -ENOMEM: that it is a pipe must not be forgotten. */
static int adopt_one(struct tuck__sched *s, int fd, uint32_t bits)
{
	struct tuck__fd *f;
	int r = tuck__fd_get_again(s, fd, TUCK__FD_FIRST, &f);

	if (r == 0)
		tuck__fd_adopt(s, fd, bits | TUCK__FD_NEW);
	return r;
}

static int adopt(struct tuck__sched *s, struct tuck_process *p)
{
	int r = p->pidfd < 0 ? 0 : adopt_one(s, p->pidfd, 0);

	for (int i = 0; i < 3 && r == 0; i++)
		if (p->ends[i] >= 0)
			r = adopt_one(s, p->ends[i],
				      i == 0 ? TUCK__FD_PIPE : 0);
	return r;
}

/* Nobody has taken its status, so its number is no stranger's. */
static bool is_child(int pidfd)
{
	siginfo_t info;

	return waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info,
		      WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* What it had is of another table, where the same numbers are others. */
static int find_again(struct tuck_process *p)
{
	p->pidfd = p->ends[0] = p->ends[1] = p->ends[2] = -1;
	if (!p->ended) {
		p->pidfd = pidfd_open(p->pid);
		if (p->pidfd < 0 && errno != ESRCH)
			return -errno;
		p->ended = p->pidfd < 0 || !is_child(p->pidfd);
		p->error = p->ended ? -ECHILD : 0;
	}
	p->fd_table = tuck__fd_table;
	return 0;
}

/* As belongs(), and it is this proc's from now on: 0 or an error. */
static int enter(struct tuck_process *p, struct tuck__sched *s)
{
	int r = belongs(p, s);

	if (r < 0 || p->home == s->main_id)
		return r;
	if (p->fd_table != tuck__fd_table)
		r = find_again(p);
	if (r == 0)
		r = adopt(s, p);
	if (r == 0)
		p->home = s->main_id;
	return r;
}

void tuck__process_ref(struct tuck_process *p)
{
	p->users++;
}

void tuck__process_unref(struct tuck_process *p)
{
	if (p && --p->users == 0)
		tuck__free(p);
}

/* In a fork's child it is a brother, or gone, and its number another's. */
static bool is_ours(const struct tuck_process *p)
{
	return !tuck__forked_since(p->forks);
}

/* -- the end -- */

static int signal_it(const struct tuck_process *p, int signum)
{
	long r = syscall(SYS_pidfd_send_signal, p->pidfd, signum, NULL, 0);

	return r < 0 ? -errno : 0;
}

static int send_signal(const struct tuck_process *p, int signum)
{
	if (!p->leads)
		return signal_it(p, signum);
	if (signal_it(p, 0) == -ESRCH)
		return -ESRCH;
	if (kill(-p->pid, signum) == 0)
		return 0;
	/* It may have left its group, which nobody else is in. */
	return errno == ESRCH ? signal_it(p, signum) : -errno;
}

static void close_end(struct tuck_process *p, int which)
{
	if (p->ends[which] >= 0)
		tuck_fd_close(p->ends[which]);
	p->ends[which] = -1;
}

/* Where there was no descriptor to be had for it. */
static void end_by_number(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void end_it(struct tuck_process *p)
{
	if (!p->ended && is_ours(p) && p->pidfd < 0) {
		end_by_number(p->pid);
		return;
	}
	if (p->ended || !is_ours(p) || send_signal(p, SIGKILL) == -ESRCH) {
		tuck_fd_close(p->pidfd);
		return;
	}
	tuck__fd_retire(p->pidfd);
	tuck__process_reap(p->pidfd);
}

static void forget(struct tuck_process *p)
{
	p->gone = true;
	end_it(p);
	for (int i = 0; i < 3; i++)
		close_end(p, i);
	tuck__process_unref(p);
}

static void owner_ended(struct tuck__held *held)
{
	forget(tuck__container(held, struct tuck_process, held));
}

static void disown(struct tuck_process *p)
{
	struct tuck__held **at;

	if (!p->owner)
		return;
	at = &p->owner->extra->held;
	while (*at != &p->held)
		at = &(*at)->next;
	*at = p->held.next;
}

void tuck_process_free(struct tuck_process *p)
{
	if (!p)
		return;
	if (enter(p, tuck__sched()) == -EXDEV)
		tuck__fatal("process %d is freed by another proc than the one "
			    "that spawned it",
			    (int)p->pid);
	disown(p);
	forget(p);
}

/* -- the beginning -- */

static int own(struct tuck__sched *s, struct tuck_process *p)
{
	p->held.release = owner_ended;
	if (tuck__hold(s, &p->held) < 0)
		return -ENOMEM;
	p->owner = s->current;
	return 0;
}

static bool is_valid(const struct tuck_process_attr *attr)
{
	if (attr->in < TUCK_NULL || attr->out < TUCK_NULL ||
	    attr->err < TUCK_TO_OUT || attr->n_fds < 0 || attr->n_fds > 4096 ||
	    (attr->n_fds && !attr->fds))
		return false;
	for (int i = 0; i < attr->n_fds; i++)
		if (attr->fds[i] < 0)
			return false;
	return true;
}

static int start(struct tuck__sched *s, struct tuck_process *p,
		 const struct tuck_process_attr *attr, char *const argv[])
{
	int r = tuck__process_start(attr, argv, &p->pid, p->ends);

	if (r < 0)
		return r;
	p->pidfd = pidfd_open(p->pid);
	r = p->pidfd < 0 ? -errno : adopt(s, p);
	if (r == 0)
		return 0;
	end_it(p);
	for (int i = 0; i < 3; i++)
		close_end(p, i);
	return r;
}

/* The child is to have the caller's descriptors, too. */
static void lend(struct tuck__sched *s, const struct tuck_process_attr *attr)
{
	const int standard[3] = { attr->in, attr->out, attr->err };

	for (int i = 0; i < 3; i++)
		if (standard[i] > 0)
			tuck__fd_lend(s, standard[i]);
	for (int i = 0; i < attr->n_fds; i++)
		tuck__fd_lend(s, attr->fds[i]);
}

int tuck_process_spawn(struct tuck_process **ret_process,
		       const struct tuck_process_attr *attr, char *const argv[])
{
	static const struct tuck_process_attr none;
	struct tuck__sched *s = tuck__sched();
	struct tuck_process *p;
	int r;

	attr = attr ? attr : &none;
	TUCK__REQUIRE(ret_process && argv && argv[0] && is_valid(attr),
		      -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	r = check_kernel();
	if (r < 0)
		return r;
	p = tuck__alloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->users = 1;
	p->home = s->main_id;
	p->forks = tuck__forks;
	p->fd_table = tuck__fd_table;
	p->leads = attr->group || attr->session;
	r = attr->owned ? own(s, p) : 0;
	if (r == 0) {
		lend(s, attr);
		r = start(s, p, attr, argv);
		if (r < 0)
			disown(p);
	}
	if (r < 0) {
		tuck__free(p);
		return r;
	}
	*ret_process = p;
	return 0;
}

/* -- calls -- */

pid_t tuck_process_pid(const struct tuck_process *p)
{
	return p ? p->pid : -EINVAL;
}

int tuck_process_fd(const struct tuck_process *p, int which)
{
	int r = enter((struct tuck_process *)(uintptr_t)p, tuck__sched());

	if (r < 0)
		return r;
	TUCK__REQUIRE(which >= 0 && which < 3, -EINVAL);
	return p->ends[which] < 0 ? -EBADF : p->ends[which];
}

int tuck_process_close(struct tuck_process *p, int which)
{
	int r = tuck_process_fd(p, which);

	if (r < 0)
		return r;
	close_end(p, which);
	return 0;
}

int tuck_process_kill(struct tuck_process *p, int signum)
{
	int r = enter(p, tuck__sched());

	if (r < 0)
		return r;
	TUCK__REQUIRE(is_ours(p), -ECHILD);
	TUCK__REQUIRE(!p->ended && !p->gone, -ESRCH);
	return send_signal(p, signum);
}

static void note_end(struct tuck_process *p, const siginfo_t *info)
{
	bool exited = info->si_code == CLD_EXITED;

	p->ended = true;
	p->status.code = exited ? info->si_status : -1;
	p->status.signum = exited ? 0 : info->si_status;
	p->status.core_dumped = info->si_code == CLD_DUMPED;
}

/* Its status, -ECHILD, or -EAGAIN while it runs. */
static tuck__noinline int try_wait(struct tuck_process *p, int pidfd,
				   struct tuck_process_status *ret_status,
				   int woken)
{
	siginfo_t info = { .si_pid = 0 };
	struct tuck__fd *f;
	int r = 0;

	if (woken != TUCK__FD_FIRST || !p->ended)
		r = tuck__fd_get_again(tuck__tls, pidfd, woken, &f);
	if (r < 0)
		return r;
	if (!p->ended && waitid((idtype_t)P_PIDFD, (id_t)p->pidfd, &info,
				WEXITED | WNOHANG) < 0) {
		p->ended = true;
		p->error = -errno;
	} else if (!p->ended) {
		TUCK__REQUIRE(info.si_pid != 0, -EAGAIN);
		note_end(p, &info);
	}
	if (p->error == 0 && ret_status)
		*ret_status = p->status;
	return p->error;
}

int tuck_process_wait(struct tuck_process *process,
		      struct tuck_process_status *ret_status, tuck_ns deadline)
{
	int r = enter(process, tuck__sched()), pidfd;

	TUCK__REQUIRE(deadline >= 0, -EINVAL);
	if (r < 0)
		return r;
	pidfd = process->pidfd;
	r = TUCK__FD_FIRST;
	do
		r = try_wait(process, pidfd, ret_status, r);
	while (r == -EAGAIN && deadline != TUCK_NOWAIT &&
	       (r = tuck__fd_park(tuck__tls, pidfd, TUCK_READABLE, deadline)) >=
		       0);
	return (int)tuck__breathe(r);
}
