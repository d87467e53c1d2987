/* SPDX-License-Identifier: MIT */
/*
 * Procs: OS threads that run a scheduler each. They are detached: what joins
 * a proc is a tasklet, and to wait for the last breath of a thread, which may
 * run destructors of others, would stop all of its proc.
 *
 * A proc with a descriptor table of its own starts with a copy of its
 * starter's and closes all but what it was told to keep, so that a
 * connection which the starter closes later is closed indeed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <tuck/proc.h>
#include <unistd.h>

#include "base/config.h"
#include "base/fork.h"
#include "base/mem.h"
#include "io/poller.h"
#include "proc/proc.h"
#include "task/task.h"

enum state { FREE, RUNNING, DISOWNED, ENDED, LOST /* by a fork */ };

static _Atomic(uint32_t) own_tables;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct proc {
	enum state state;
	tuck_id main;		/* names it; what it ran on may be another's */
	tuck_id joiner;
	void (*ended)(void *arg);	/* not NULL: it is of a pool, */
	void *arg;			/* which alone joins it */
} procs[TUCK_PROCS_MAX];

/* What a new thread needs from its starter, who waits for it. */
struct start {
	const struct tuck_proc_attr *attr;
	void (*fn)(void *);
	void *arg;
	struct proc *proc;
	uint32_t fd_table;	/* the starter's */
	int result;
	sem_t done;
};

/* -- a descriptor table of one's own -- */

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Close every descriptor from 3 on but those n in ascending order. */
static int close_but(const int *keep, size_t n)
{
	unsigned from = 3;

	for (size_t i = 0; i < n; i++) {
		unsigned fd = (unsigned)keep[i];

		if (fd > from && close_range(from, fd - 1, 0) < 0)
			return -errno;
		if (fd >= from)
			from = fd + 1;
	}
	return close_range(from, UINT_MAX, 0) < 0 ? -errno : 0;
}

static int own_table(const struct tuck_proc_attr *attr)
{
	size_t n = (size_t)attr->n_fds;
	int keep_max = TUCK_PROCS_MAX, *keep, r;

	keep = tuck__alloc((n + (size_t)keep_max) * sizeof(*keep));
	if (!keep)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		keep[i] = attr->fds[i];
	n += tuck__poller_wakes(keep + n);
	qsort(keep, n, sizeof(*keep), compare);
	r = unshare(CLONE_FILES) < 0 ? -errno : 0;
	if (r == 0) {
		tuck__fd_table = atomic_fetch_add(&own_tables, 1) + 1;
		r = close_but(keep, n);
	}
	tuck__free(keep);
	return r;
}

/* -- a proc's life -- */

static int set_cpus(const int *cpus, int n)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < n; i++)
		CPU_SET(cpus[i], &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

/* A tasklet's pthread_exit() unwinds its own stack alone, not that of run(). */
static void on_end(void *arg)
{
	struct proc *p = arg;
	tuck_id joiner;

	if (p->ended)
		p->ended(p->arg);
	pthread_mutex_lock(&lock);
	p->state = p->state == DISOWNED ? FREE : ENDED;
	joiner = p->joiner;
	pthread_mutex_unlock(&lock);
	if (joiner)
		tuck__post(joiner, TUCK__ID_POKE);
}

static int set_up(const struct start *start, struct proc *p)
{
	const struct tuck_proc_attr *attr = start->attr;
	struct tuck__sched *s;
	char name[16];
	int r = 0;

	if (attr && attr->name) {
		snprintf(name, sizeof(name), "%s", attr->name);
		pthread_setname_np(pthread_self(), name);
	}
	if (attr && attr->cpu)
		r = set_cpus(&(int){ attr->cpu - 1 }, 1);
	else if (attr && attr->n_cpus)
		r = set_cpus(attr->cpus, attr->n_cpus);
	tuck__fd_table = start->fd_table;
	if (r == 0 && attr && attr->own_fds)
		r = own_table(attr);
	if (r < 0)
		return r;
	s = tuck__sched_make();
	if (!s)
		return tuck__sched_error();
	s->ended = on_end;
	s->ended_arg = p;
	pthread_mutex_lock(&lock);	/* some may ask by a stale number */
	p->main = s->main_id;
	pthread_mutex_unlock(&lock);
	return 0;
}

static void end_sched(void *arg)
{
	tuck__sched_fini(arg);
}

static void *run(void *arg)
{
	struct start *start = arg;
	struct proc *p = start->proc;
	void (*fn)(void *) = start->fn;
	void *fn_arg = start->arg;
	int r = start->result = set_up(start, p);
	struct tuck__sched *s = tuck__tls;

	sem_post(&start->done);		/* from here on start is gone */
	if (r < 0)
		return NULL;
	pthread_cleanup_push(end_sched, s);
	fn(fn_arg);
	tuck__sched_run_out(s);
	pthread_cleanup_pop(1);
	return NULL;
}

/*
 * Those of a pool nobody is left to join, but who joins them already. Those
 * that were lost before nobody has joined in time, and those that were just
 * being started nobody knows.
 */
static enum state after_fork(const struct proc *p)
{
	bool own = tuck__tls && p->main == tuck__tls->main_id;
	struct tuck__sched *home;

	if (own)
		return p->ended ? DISOWNED : p->state;
	if (p->ended)
		return tuck__find(p->joiner, &home) ? LOST : FREE;
	if (p->state == RUNNING)
		return p->main ? LOST : FREE;
	return p->state == ENDED ? ENDED : FREE;
}

static void in_child(void)
{
	for (int n = 0; n < TUCK_PROCS_MAX; n++)
		procs[n].state = after_fork(&procs[n]);
}

TUCK__AT_FORK_MUTEX(TUCK__FORK_PROCS, lock, in_child)

static int take_number(void (*ended)(void *arg), void *arg)
{
	int n;

	pthread_mutex_lock(&lock);
	for (n = 0; n < TUCK_PROCS_MAX && procs[n].state != FREE; n++)
		;
	if (n < TUCK_PROCS_MAX)
		procs[n] = (struct proc){ .state = RUNNING,
					  .ended = ended,
					  .arg = arg };
	pthread_mutex_unlock(&lock);
	return n < TUCK_PROCS_MAX ? n : -EAGAIN;
}

static void free_number(int n)
{
	pthread_mutex_lock(&lock);
	procs[n].state = FREE;
	pthread_mutex_unlock(&lock);
}

static int launch(struct start *start)
{
	struct tuck_config config;
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	tuck__config_get(&config);
	pthread_attr_init(&attr);
	pthread_attr_setguardsize(&attr, config.guard_bytes);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = -pthread_create(&thread, &attr, run, start);
	pthread_attr_destroy(&attr);
	if (r < 0)
		return r;
	while (sem_wait(&start->done) < 0)
		;
	return start->result;
}

bool tuck__cpus_valid(const int *cpus, int n)
{
	if (n < 0 || (n && !cpus))
		return false;
	for (int i = 0; i < n; i++)
		if (cpus[i] < 0 || cpus[i] >= CPU_SETSIZE)
			return false;
	return true;
}

static bool valid(const struct tuck_proc_attr *attr)
{
	if (!attr)
		return true;
	if (attr->cpu < 0 || attr->cpu > CPU_SETSIZE || attr->n_fds < 0 ||
	    (attr->n_fds && !attr->fds) || (attr->cpu && attr->n_cpus) ||
	    !tuck__cpus_valid(attr->cpus, attr->n_cpus))
		return false;
	for (int i = 0; i < attr->n_fds; i++)
		if (attr->fds[i] < 0)
			return false;
	return true;
}

/* The proc has the caller's descriptors in its own table, too. */
static void share(const struct tuck_proc_attr *attr)
{
	for (int i = 0; tuck__tls && i < attr->n_fds; i++)
		tuck__fd_share(tuck__tls, attr->fds[i]);
}

int tuck__proc_start(const struct tuck_proc_attr *attr, void (*fn)(void *),
		     void *arg, void (*ended)(void *arg))
{
	struct start start = { .attr = attr, .fn = fn, .arg = arg };
	int r = 0, n;

	TUCK__REQUIRE(fn && valid(attr), -EINVAL);
	for (int i = 0; attr && i < attr->n_fds; i++)
		TUCK__REQUIRE(fcntl(attr->fds[i], F_GETFD) >= 0, -EBADF);
	if (attr && attr->own_fds)
		r = tuck__poller_share_wakes();
	if (r < 0)
		return r;
	n = take_number(ended, arg);
	if (n < 0)
		return n;
	start.proc = &procs[n];
	start.fd_table = tuck__fd_table;
	sem_init(&start.done, 0, 0);
	r = launch(&start);
	sem_destroy(&start.done);
	if (r < 0) {
		free_number(n);
		return r;
	}
	if (attr && attr->own_fds)
		share(attr);
	return n;
}

int tuck_proc_start(const struct tuck_proc_attr *attr, void (*fn)(void *),
		    void *arg)
{
	return tuck__proc_start(attr, fn, arg, NULL);
}

void tuck__proc_disown(int proc)
{
	struct proc *p = &procs[proc];

	pthread_mutex_lock(&lock);
	p->state = p->state == ENDED ? FREE : DISOWNED;
	pthread_mutex_unlock(&lock);
}

tuck_id tuck__proc_main(int proc)
{
	tuck_id id = 0;

	if (proc < 0 || proc >= TUCK_PROCS_MAX)
		return 0;
	pthread_mutex_lock(&lock);
	if (procs[proc].state == RUNNING && !procs[proc].ended)
		id = procs[proc].main;
	pthread_mutex_unlock(&lock);
	return id;
}

/* -- join -- */

/* With the lock held: 1 if the caller has to wait, else the answer. */
static int begin_join(struct proc *p, const struct tuck__sched *s, tuck_id self,
		      bool of_pool, tuck_ns deadline)
{
	struct tuck__sched *home;

	if (p->state == LOST)
		p->state = FREE;
	TUCK__REQUIRE((p->state == RUNNING || p->state == ENDED) &&
			      of_pool == (p->ended != NULL),
		      -ESRCH);
	TUCK__REQUIRE(p->main != s->main_id, -EDEADLK);
	TUCK__REQUIRE(!p->joiner || p->joiner == self ||
			      !tuck__find(p->joiner, &home),
		      -EBUSY);	/* unless the joiner was dropped */
	if (p->state == ENDED) {
		p->state = FREE;
		return 0;
	}
	TUCK__REQUIRE(deadline != TUCK_NOWAIT, -EAGAIN);
	p->joiner = self;
	return 1;
}

/* Who was killed in a join may live on in its cleanups. */
static void leave_if_unwound(struct proc *const *p)
{
	if (!*p)
		return;
	pthread_mutex_lock(&lock);
	if ((*p)->joiner == tuck_self())
		(*p)->joiner = 0;
	pthread_mutex_unlock(&lock);
}

int tuck__proc_join(int proc, bool of_pool, tuck_ns deadline)
{
	struct proc *joined
		__attribute__((__cleanup__(leave_if_unwound))) = NULL;
	struct tuck__sched *s = tuck__sched();
	struct proc *p;
	int r, waited = 0;

	TUCK__REQUIRE(deadline >= 0, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	TUCK__REQUIRE(proc >= 0 && proc < TUCK_PROCS_MAX, -ESRCH);
	p = &procs[proc];
	for (;;) {
		pthread_mutex_lock(&lock);
		r = begin_join(p, s, tuck_self(), of_pool,
			       waited < 0 ? TUCK_NOWAIT : deadline);
		if (r != 1 && p->joiner == tuck_self())
			p->joiner = 0;
		pthread_mutex_unlock(&lock);
		if (r != 1)
			return waited < 0 && r == -EAGAIN ? waited : r;
		tuck__link_init(&s->current->w.link);
		joined = p;
		waited = tuck__wait(s, TUCK__WHY_PROC, (void *)(intptr_t)proc,
				    deadline);
		joined = NULL;
	}
}

int tuck_proc_join(int proc, tuck_ns deadline)
{
	return tuck__proc_join(proc, false, deadline);
}
