/* SPDX-License-Identifier: MIT */
/*
 * Which procs there are, and whether all of them wait for ever.
 *
 * Scheds are never freed, only used again: who has found one may touch it when
 * it has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/mem.h"
#include "task/task.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
TUCK__AT_FORK_MUTEX(TUCK__FORK_REGISTRY, lock, NULL)
static _Atomic(struct tuck__sched *) scheds[TUCK__SCHEDS_MAX];
static uint32_t in_use, stuck, limit = TUCK__SCHEDS_MAX;

/* In place of each that was in use and did not come along through a fork. */
static struct tuck__sched gone = { .in_use = true,
				   .inbox = TUCK__INBOX_CLOSED };

_Atomic(void (*)(void)) tuck__deadlock_fn;
atomic_long tuck__helpers;
atomic_int tuck__outside, tuck__ending;

struct tuck__sched *tuck__registry_at(uint32_t number)
{
	if (number >= TUCK__SCHEDS_MAX)
		return NULL;
	return atomic_load_explicit(&scheds[number], memory_order_acquire);
}

static int add(struct tuck__sched **ret_sched)
{
	for (uint32_t i = 0; i < limit; i++) {
		struct tuck__sched *s = scheds[i];

		if (s && s->in_use)
			continue;
		if (!s) {
			s = tuck__map(sizeof(*s));
			if (!s)
				return -ENOMEM;
			s->number = i;
			scheds[i] = s;
		}
		s->in_use = true;
		in_use++;
		*ret_sched = s;
		return 0;
	}
	return -EAGAIN;
}

int tuck__registry_add(struct tuck__sched **ret_sched)
{
	int r;

	pthread_mutex_lock(&lock);
	r = add(ret_sched);
	pthread_mutex_unlock(&lock);
	return r;
}

void tuck__registry_remove(struct tuck__sched *s)
{
	pthread_mutex_lock(&lock);
	s->in_use = false;
	in_use--;
	pthread_mutex_unlock(&lock);
}

static inline bool is_there(uint32_t i)
{
	return scheds[i] && scheds[i] != &gone && scheds[i]->in_use;
}

void tuck__registry_fork(struct tuck__sched *s)
{
	for (uint32_t i = 0; i < TUCK__SCHEDS_MAX; i++)
		if (is_there(i) && scheds[i] != s)
			scheds[i] = &gone;
	in_use = s != NULL;
	stuck = 0;
	atomic_store(&tuck__jobs_adrift, 0);
	atomic_store(&tuck__ending, 0);
}

int tuck__registry_limit(uint32_t n)
{
	int r = 0;

	pthread_mutex_lock(&lock);
	for (uint32_t i = n; i < limit && r == 0; i++)
		if (is_there(i))
			r = -EAGAIN;
	if (r == 0 && n < limit)
		limit = n;
	pthread_mutex_unlock(&lock);
	return r;
}

/* -- everybody waits for ever -- */

/*
 * OS threads of the process; 0 where there is no /proc, very many where it
 * cannot be read just now.
 */
static long thread_count(void)
{
	char text[512], *p;
	ssize_t n;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : LONG_MAX;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return LONG_MAX;
	text[n] = 0;
	p = strrchr(text, ')');		/* then: state, 16 numbers, threads */
	for (int i = 0; p && i < 18; i++)
		p = strchr(p + 1, ' ');
	return p ? atol(p) : LONG_MAX;
}

static bool posted(void)
{
	if (atomic_load(&tuck__jobs_adrift))
		return true;
	for (uint32_t i = 0; i < TUCK__SCHEDS_MAX; i++)
		if (is_there(i) && atomic_load(&scheds[i]->inbox))
			return true;
	return false;
}

/*
 * Nobody can wake anybody: no post is under way, no stranger is there. The
 * inboxes are looked at first because that is cheap, and last because a
 * stranger may have posted and ended in between. A helper posts before it
 * counts as idle.
 */
static bool hopeless(void)
{
	long helpers = atomic_load(&tuck__helpers);

	return stuck == in_use && helpers >= 0 &&
	       !atomic_load(&tuck__outside) && !atomic_load(&tuck__ending) &&
	       !posted() &&
	       thread_count() <= (long)in_use + helpers + TUCK__TSAN &&
	       !posted();
}

static void tell_all(void)
{
	tuck__tell("deadlock: nobody can end these waits");
	for (uint32_t i = 0; i < TUCK__SCHEDS_MAX; i++)
		if (is_there(i))
			tuck__dump(scheds[i], STDERR_FILENO);
}

/* For those who serve others alone, who have nobody to tell. */
static void have_others_tell(void)
{
	for (uint32_t i = 0; i < TUCK__SCHEDS_MAX; i++)
		if (is_there(i) && !scheds[i]->work)
			tuck__prod(scheds[i]);
}

/* Not with the lock. The caller waits already, and cannot wait once more. */
static void call(struct tuck__sched *s, void (*fn)(void))
{
	uint64_t switches = s->switches;

	s->telling = true;
	fn();
	s->telling = false;
	if (s->switches != switches)
		tuck__fatal("a switch inside the deadlock callback");
}

bool tuck__stuck(struct tuck__sched *s)
{
	void (*fn)(void) = atomic_load(&tuck__deadlock_fn);
	bool end;

	pthread_mutex_lock(&lock);
	s->stuck = true;
	stuck++;
	end = hopeless() && s->main->w.why > TUCK__WHY_ENDING;
	if (end && s->work) {
		have_others_tell();
		end = false;
	} else if (end) {
		if (!fn)
			tell_all();	/* they all wait, for this lock too */
		s->stuck = false;
		stuck--;
	}
	pthread_mutex_unlock(&lock);
	if (!end)
		return false;
	if (fn)
		call(s, fn);
	if (s->main->w.why > TUCK__WHY_ENDING)	/* fn did not wake it */
		tuck__wake(s, s->main, -EDEADLK);
	return true;
}

void tuck__unstuck(struct tuck__sched *s)
{
	if (!s->stuck)		/* only its own thread sets it */
		return;
	pthread_mutex_lock(&lock);
	s->stuck = false;
	stuck--;
	pthread_mutex_unlock(&lock);
}
