/* SPDX-License-Identifier: MIT */
/* What a thread that is a proc has for the waits of its tasklets. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <tuck/debug.h>
#include <unistd.h>

#include "hook/waits.h"

__thread struct hooked *tuck__hooked;

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tuck__link all = { &all, &all };
static pthread_key_t key;
static atomic_int process;	/* 0: nobody has waited */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void close_set(const struct hooked *h)
{
	if (h->set >= 0)
		__real_close(h->set);
	if (h->interrupt >= 0)
		__real_close(h->interrupt);
}

/* A main tasklet cannot be killed, and ends when its proc has. */
static bool has_ended(const struct hooked *h)
{
	return tuck_kill(h->main) == -ESRCH;
}

/* At the end of its thread; if Tuck's part has not ended yet, a round later. */
static void end_thread(void *arg)
{
	struct hooked *h = arg;

	if (!has_ended(h)) {
		pthread_setspecific(key, h);
		return;
	}
	tuck__hooked = NULL;
	__real_pthread_mutex_lock(&all_lock);
	tuck__link_cut(&h->link);
	__real_pthread_mutex_unlock(&all_lock);
	tuck__waits_discard(h, true);
	close_set(h);
	free(h);
}

/*
 * The parent's sets are not the child's to change. The child of a tasklet has
 * to exec, and until then its calls are libc's.
 */
static void in_child(void)
{
	process = getpid();
	tuck__hook_flags_in_child();
	all_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	tuck__link_init(&all);
	if (!tuck__hooked)
		return;
	tuck__hooked->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	tuck__link_init(&tuck__hooked->link);
	tuck__hold_waits++;
}

static void make_key(void)
{
	process = getpid();
	pthread_key_create(&key, end_thread);
	pthread_atfork(NULL, NULL, in_child);
}

/* Else it is a child of vfork(2), in our memory. */
static bool ours(void)
{
	return getpid() == process;
}

/* In a signal handler. */
static void handled(bool restarts)
{
	const uint64_t one = 1;
	int err = errno;

	if (!tuck__hooked)
		return;
	atomic_store(&tuck__hooked->restarts, restarts);
	atomic_store(&tuck__hooked->interrupted, true);
	while (__real_write(tuck__hooked->interrupt, &one, sizeof(one)) < 0 &&
	       errno == EINTR)
		;
	errno = err;
}

static int find_main(const struct tuck_task_info *info, void *arg)
{
	*(tuck_id *)arg = info->main;
	return 1;
}

/* The eventfd is never read: each write is an edge. */
static int open_set(struct hooked *h)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	int r;

	h->set = epoll_create1(EPOLL_CLOEXEC);
	h->interrupt = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	e.data.fd = h->interrupt;
	if (h->set < 0 || h->interrupt < 0 ||
	    epoll_ctl(h->set, EPOLL_CTL_ADD, h->interrupt, &e) < 0)
		r = -errno;
	else
		r = -pthread_setspecific(key, h);
	if (r < 0)
		close_set(h);
	return r;
}

tuck__cold int tuck__hooked_make(void)
{
	struct hooked *h;
	int r;

	__real_pthread_once(&once, make_key);
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	r = open_set(h);
	if (r < 0) {
		free(h);
		return r;
	}
	pthread_mutex_init(&h->lock, NULL);
	tuck__link_init(&h->entered);
	for (int i = 0; i < BUCKETS; i++)
		tuck__link_init(&h->buckets[i]);
	__real_pthread_mutex_lock(&all_lock);
	tuck__link_before(&all, &h->link);
	__real_pthread_mutex_unlock(&all_lock);
	tuck_each(find_main, &h->main);
	tuck__hooked = h;
	atomic_store(&tuck__handled, handled);
	return 0;
}

bool tuck__hook_interruptible(void)
{
	return (tuck__hooked || tuck__hooked_make() == 0) &&
	       tuck__hooked->main == tuck_self();
}

bool tuck__hook_restarts(void)
{
	return atomic_load(&tuck__hooked->restarts);
}

/* -- closing -- */

bool tuck__hook_ours(void)
{
	return !process || ours();
}

bool tuck__hook_closing(unsigned first, unsigned last)
{
	struct tuck__link *l;

	if (!process || !ours() || tuck__handling())
		return true;
	if (tuck__hooked && first == last &&
	    ((int)first == tuck__hooked->set ||
	     (int)first == tuck__hooked->interrupt))
		return false;
	if (tuck__likely(atomic_load(&tuck__waits_n) == 0))
		return true;
	__real_pthread_mutex_lock(&all_lock);
	for (l = all.next; l != &all; l = l->next) {
		struct hooked *h = tuck__container(l, struct hooked, link);

		__real_pthread_mutex_lock(&h->lock);
		if (!tuck__list_empty(&h->entered))
			tuck__waits_close(h, first, last);
		__real_pthread_mutex_unlock(&h->lock);
	}
	__real_pthread_mutex_unlock(&all_lock);
	return true;
}
