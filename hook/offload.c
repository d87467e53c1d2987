/* SPDX-License-Identifier: MIT */
/*
 * A call that blocks on a thread of its own, of which there are at most
 * THREADS; more wait their turn. Job and arguments lie on the heap, where both
 * may outlive the caller: the last one frees them.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <tuck/sync.h>

#include "hook/hook.h"

#define THREADS 32

struct job {
	int (*fn)(void *arg);
	void (*discard)(void *arg);
	struct tuck_sem done;
	atomic_int users;
	bool taken;		/* by the caller: nothing is left in arg */
	int result;
	max_align_t arg[];
};

static struct tuck_sem turns = TUCK_SEM_INIT(THREADS);

static void drop(struct job *j)
{
	if (atomic_fetch_sub(&j->users, 1) > 1)
		return;
	if (!j->taken)
		j->discard(j->arg);
	free(j);
}

static void leave(struct job **j)
{
	if (*j)
		drop(*j);
}

static void *work(void *arg)
{
	struct job *j = arg;

	j->result = j->fn(j->arg);
	tuck_sem_post(&turns);
	tuck_sem_post(&j->done);
	drop(j);
	return NULL;
}

/* Signals are for the program's own threads. */
static int start(struct job *j)
{
	pthread_attr_t attr;
	sigset_t all, was;
	pthread_t thread;
	int r;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	atomic_store(&j->users, 2);
	r = pthread_create(&thread, &attr, work, j);
	if (r != 0)
		atomic_store(&j->users, 1);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	pthread_attr_destroy(&attr);
	return r;
}

static tuck__noinline struct job *make(int (*fn)(void *arg),
				       void (*discard)(void *arg),
				       const void *arg, size_t n)
{
	struct job *j = calloc(1, sizeof(*j) + n);

	if (!j)
		return NULL;
	j->fn = fn;
	j->discard = discard;
	atomic_init(&j->users, 1);
	memcpy(j->arg, arg, n);
	return j;
}

int tuck__hook_offload(int (*fn)(void *arg), void (*discard)(void *arg),
		       void *arg, size_t n)
{
	struct job *j __attribute__((__cleanup__(leave))) = NULL;
	int r;

	j = make(fn, discard, arg, n);
	if (!j) {
		discard(arg);
		return -ENOMEM;
	}
	r = tuck_sem_wait(&turns, TUCK_FOREVER);
	if (r < 0)
		return r;
	if (start(j) != 0) {
		tuck_sem_post(&turns);
		return -EAGAIN;
	}
	r = tuck_sem_wait(&j->done, TUCK_FOREVER);
	if (r < 0)
		return r;
	j->taken = true;
	memcpy(arg, j->arg, n);
	return j->result;
}
