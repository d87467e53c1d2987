/* SPDX-License-Identifier: MIT */
/*
 * A thread as a proc: its scheduler is made at the thread's first call that
 * needs one, and given back when the thread ends.
 */
#include <errno.h>
#include <unistd.h>

#include "base/config.h"
#include "base/random.h"
#include "task/task.h"

__thread struct tuck__sched *tuck__tls
	__attribute__((__tls_model__("initial-exec")));
__thread uint32_t tuck__fd_table __attribute__((__tls_model__("initial-exec")));
static __thread int make_error;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_ends;
static bool have_key;

static void on_thread_end(void *arg)
{
	struct tuck__sched *s = arg;

	tuck__tls = s;
	tuck__sched_fini(s);
}

static void set_up(void)
{
	have_key = pthread_key_create(&thread_ends, on_thread_end) == 0;
}

void tuck__sched_fork(struct tuck__sched *s)
{
	atomic_store(&s->kicked, 0);
	s->stuck = false;
	atomic_store(&s->sleeping, 0);
}

static void init(struct tuck__sched *s, const struct tuck_config *config)
{
	tuck__link_init(&s->ready);
	tuck__link_init(&s->alarms);
	tuck__cache_init(&s->cache, &tuck__host, config);
	s->until_fair = TUCK__FAIR_EVERY;
	s->until_look = s->look_every = TUCK__LOOK_EVERY;
	s->random = tuck__random_from(config->seed + s->number);
	s->switches = s->alive = 0;
	s->ended = NULL;
	s->work = NULL;
	s->work_arg = NULL;
	s->policy = NULL;
	s->told = 0;
	s->oldest = NULL;
	s->asking = NULL;
	s->quantum = 0;
	s->runner = NULL;
	s->run = 0;
	s->fd_waiters = 0;
	s->thread = gettid();
	s->stuck = false;
	s->telling = false;
	s->io = NULL;
	s->spare_wait = NULL;
	s->io_fini = NULL;
	s->offload = NULL;
	s->offload_fini = NULL;
	atomic_store(&s->inbox, 0);
	tuck__idle_init(s);
}

int tuck__sched_error(void)
{
	return make_error;
}

struct tuck__sched *tuck__sched_make(void)
{
	struct tuck_config config;
	struct tuck__sched *s;

	pthread_once(&once, set_up);
	make_error = tuck__registry_add(&s);
	if (make_error < 0)
		return NULL;
	tuck__config_get(&config);
	init(s, &config);
	s->main = NULL;
	if (!have_key || pthread_setspecific(thread_ends, s) != 0 ||
	    !(s->main = tuck__table_new(s))) {
		if (have_key)
			pthread_setspecific(thread_ends, NULL);
		tuck__inbox_close(s);
		tuck__sched_set_idle(s, NULL, NULL);
		make_error = -ENOMEM;
		tuck__registry_remove(s);
		return NULL;
	}
	s->alive = 1;
	s->current = s->main;
	s->main_id = tuck__id(s->main);
	tuck__ctx_init_native(&s->cache, &s->main->ctx);
	tuck__tls = s;
	make_error = tuck__policy_from_env(s, config.seed);
	if (make_error == 0)
		return s;
	tuck__sched_fini(s);
	return NULL;
}

int tuck__sched_run_out(struct tuck__sched *s)
{
	int r = 0;

	tuck__at_end(s);
	while (s->alive > 1 && r == 0) {
		tuck__link_init(&s->main->w.link);
		r = tuck__wait(s, TUCK__WHY_END, NULL, TUCK_FOREVER);
	}
	return r;
}

void tuck__sched_fini(struct tuck__sched *s)
{
	void (*ended)(void *arg) = s->ended;
	void *arg = s->ended_arg;

	if (s->current == s->main)
		tuck__at_end(s);
	tuck__ticks_stop();
	tuck__policy_fini(s);
	tuck__alarms_end(s);
	tuck__task_drop_all(s);
	tuck__inbox_close(s);
	if (s->offload_fini)
		s->offload_fini(s);
	if (s->io_fini)
		s->io_fini(s);
	tuck__sched_set_idle(s, NULL, NULL);
	tuck__heap_fini(&s->timers);
	tuck__cache_fini(&s->cache);
	pthread_setspecific(thread_ends, NULL);
	tuck__tls = NULL;
	if (ended)		/* may end others' waits: there is hope */
		atomic_fetch_add(&tuck__ending, 1);
	tuck__registry_remove(s);
	if (ended) {
		ended(arg);
		atomic_fetch_sub(&tuck__ending, 1);
	}
}
