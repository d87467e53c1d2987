/* SPDX-License-Identifier: MIT */
/*
 * The variant of clang's that costs least: -fsanitize-coverage=
 * bb,inline-8bit-counters,no-prune makes each basic block add 1 to a byte of
 * its own, without a call. Now and then a timer makes the pages of these bytes
 * read-only; the next block that runs faults, and the handler has it call a
 * function first, which may switch: at the block, not in the handler (S7).
 *
 * Invariants:
 * 1. Only pages are protected that hold nothing but counters, else a system
 *    call that writes to a neighbour would fail. safepoint.S pads them to that.
 * 2. A fault in such a page opens all of them first, so whatever the thread
 *    is, and wherever, it goes on; at worst it is not pre-empted this time.
 * 3. The timer counts CPU time, so it does not wake a process that waits, and
 *    it runs from the first quantum on.
 * 4. What has such pages stays loaded.
 *
 * A tasklet that began in this period is spared, so each has between one
 * period and two.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "preempt/preempt.h"
#include "preempt/x86_64/safepoint.h"

#define PERIOD	TUCK_MS(2)
#define MODULES	64

/* Whole pages, of a program or a shared library. */
static struct module {
	char *start, *end;
} modules[MODULES];

static atomic_int modules_n;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct sigaction before;

int __real_pthread_once(pthread_once_t *o, void (*fn)(void));
int __real_sigaction(int sig, const struct sigaction *action,
		     struct sigaction *ret_old);
int __real_tuck_quantum_set(int64_t ticks);
int __wrap_tuck_quantum_set(int64_t ticks);
tuck_id __real_tuck_run(int64_t ticks);
tuck_id __wrap_tuck_run(int64_t ticks);
void __sanitizer_cov_8bit_counters_init(char *start, char *end);

/* Once it were unloaded, what is there next would be protected. */
static void keep_loaded(const void *at)
{
	Dl_info info;

	if (dladdr(at, &info) != 0)
		dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

/* Called before main(), or in dlopen(), for each object file. */
void __sanitizer_cov_8bit_counters_init(char *start, char *end)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)start + page - 1) & -page;
	uintptr_t to = (uintptr_t)end & -page;
	int n = atomic_load(&modules_n);

	for (int i = 0; i < n; i++)
		if ((uintptr_t)modules[i].start == from)
			return;
	if (from >= to || n == MODULES)
		return;
	keep_loaded(start);
	modules[n].start = start + (from - (uintptr_t)start);
	modules[n].end = start + (to - (uintptr_t)start);
	atomic_store(&modules_n, n + 1);
}

static int protect(int how)
{
	int r = 0;

	for (int i = 0; i < atomic_load(&modules_n); i++)
		r |= mprotect(modules[i].start,
			      (size_t)(modules[i].end - modules[i].start), how);
	return r;
}

static bool is_counter(const char *p)
{
	for (int i = 0; i < atomic_load(&modules_n); i++)
		if (p >= modules[i].start && p < modules[i].end)
			return true;
	return false;
}

void tuck__safepoint(void)
{
	const struct tuck_ticks *t = tuck_ticks();

	if (!tuck__in_handler())
		tuck_tick(t->seen == *t->switches ? INT64_MAX : 1);
}

/* The one that tells overflows, or the program's. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	if (before.sa_flags & SA_SIGINFO)
		before.sa_sigaction(sig, info, context);
	else if (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN)
		signal(sig, SIG_DFL);		/* it repeats */
	else
		before.sa_handler(sig);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	int err = errno;

	if (!is_counter(info->si_addr) ||
	    protect(PROT_READ | PROT_WRITE) != 0) {
		pass_on(sig, info, context);
		return;
	}
	tuck__divert(context);
	errno = err;
}

static void on_timer(int sig)
{
	int err = errno;

	(void)sig;
	protect(PROT_READ);
	errno = err;
}

/* A child of fork() has the handlers, but not the timer. */
static void arm(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
				  .sigev_signo = SIGVTALRM };
	struct itimerspec period = { { 0, PERIOD }, { 0, PERIOD } };
	timer_t id;

	if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &id) == 0)
		timer_settime(id, 0, &period, NULL);
}

static void start(void)
{
	struct sigaction fault = { .sa_sigaction = on_fault };
	struct sigaction timer = { .sa_handler = on_timer };
	tuck__safepoint_init();
	fault.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
	sigemptyset(&fault.sa_mask);
	sigaddset(&fault.sa_mask, SIGVTALRM);
	timer.sa_flags = SA_RESTART | SA_ONSTACK;
	sigemptyset(&timer.sa_mask);
	__real_sigaction(SIGSEGV, &fault, &before);
	__real_sigaction(SIGVTALRM, &timer, NULL);
	arm();
	pthread_atfork(NULL, NULL, arm);
}

/* The calling thread is a proc by now: its handler of faults comes after. */
static void start_once(void)
{
	if (atomic_load(&modules_n) > 0)
		__real_pthread_once(&once, start);
}

int __wrap_tuck_quantum_set(int64_t ticks)
{
	int r = __real_tuck_quantum_set(ticks);

	if (r == 0 && ticks > 0)
		start_once();
	return r;
}

tuck_id __wrap_tuck_run(int64_t ticks)
{
	if (ticks > 0 && tuck_self() > 0)
		start_once();
	return __real_tuck_run(ticks);
}
