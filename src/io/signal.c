/* SPDX-License-Identifier: MIT */
/*
 * Signals as channels. A handler, on whichever thread the kernel chose, puts
 * what came into the ring of each subscription and has that one's home send
 * it on: a request, which is lock-free, and a kick.
 *
 * Invariants:
 * 1. Subscriptions are never given back, only used again for the same signal,
 *    so a handler may walk their list at any time. One is used again when it
 *    is not live, its request is in no inbox, and no handler is inside.
 * 2. pending is set while the request is in home's inbox, or about to be. Home
 *    unsets it first and empties the ring then; a handler fills its cell
 *    first and sets it then: so no cell stays unseen.
 * 3. A signal's disposition is ours while it has a live subscription; that,
 *    and what was before, is under the lock, which no handler takes.
 *
 * Why not otherwise: signalfd needs the signal blocked in every thread, those
 * that the program started before and other libraries' too, and children
 * inherit that mask. A self-pipe costs two system calls for each signal and
 * loses what does not fit, or blocks in the handler.
 */
#include <signal.h>
#include <tuck/event.h>

#include "base/fork.h"
#include "base/mem.h"
#include "io/feed.h"

/* Of a ring that several fill and one empties; seq says whose turn it is. */
struct cell {
	atomic_uint seq;
	struct tuck_signal signal;
};

struct subscription {
	struct tuck__feed feed;
	struct tuck__request arrival;
	struct subscription *next;	/* of the same signal */
	int signum;
	bool taken;			/* under the lock, until it is gone */
	atomic_bool live, pending;
	atomic_int inside;		/* handlers */
	atomic_uint missed, tail;
	unsigned head;			/* home's */
	struct cell cells[TUCK_SIGNALS_KEPT];
};

static _Atomic(struct subscription *) subscriptions[NSIG];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int live_of[NSIG];
static struct sigaction before[NSIG];

/* -- the ring: Vyukov's bounded queue -- */

static void reset(struct subscription *sub)
{
	sub->head = 0;
	atomic_store(&sub->tail, 0);
	atomic_store(&sub->missed, 0);
	for (unsigned i = 0; i < TUCK_SIGNALS_KEPT; i++)
		atomic_store(&sub->cells[i].seq, i);
}

static struct cell *claim(struct subscription *sub, unsigned *ret_at)
{
	unsigned at = atomic_load(&sub->tail);
	struct cell *c;
	int ahead;

	for (;;) {
		c = &sub->cells[at % TUCK_SIGNALS_KEPT];
		ahead = (int)(atomic_load(&c->seq) - at);
		if (ahead < 0)
			return NULL;		/* it is full */
		if (ahead > 0)
			at = atomic_load(&sub->tail);
		else if (atomic_compare_exchange_weak(&sub->tail, &at, at + 1))
			break;
	}
	*ret_at = at;
	return c;
}

static bool take(struct subscription *sub, struct tuck_signal *ret_signal)
{
	struct cell *c = &sub->cells[sub->head % TUCK_SIGNALS_KEPT];

	if (atomic_load(&c->seq) != sub->head + 1)
		return false;
	*ret_signal = c->signal;
	atomic_store(&c->seq, sub->head + TUCK_SIGNALS_KEPT);
	sub->head++;
	return true;
}

/* -- the handler -- */

static bool has_sender(int code)
{
	return code == SI_USER || code == SI_QUEUE || code == SI_TKILL ||
	       code == SI_MESGQ;
}

static struct tuck_signal describe(int signum, const siginfo_t *info)
{
	struct tuck_signal s = { .signum = signum, .code = info->si_code };
	bool child = signum == SIGCHLD && s.code > 0;

	if (child || has_sender(s.code)) {
		s.pid = info->si_pid;
		s.uid = info->si_uid;
	}
	if (child)
		s.status = info->si_status;
	else if (s.code != SI_USER && s.code != SI_TKILL && s.code <= 0)
		s.value.pointer = info->si_value.sival_ptr;
	return s;
}

static void put(struct subscription *sub, int signum, const siginfo_t *info)
{
	unsigned at;
	struct cell *c = claim(sub, &at);

	if (c) {
		c->signal = describe(signum, info);
		c->signal.missed = atomic_exchange(&sub->missed, 0);
		atomic_store(&c->seq, at + 1);
	} else {
		atomic_fetch_add(&sub->missed, 1);
	}
	if (!atomic_exchange(&sub->pending, true) &&
	    !tuck__request(sub->feed.home, &sub->arrival))
		atomic_store(&sub->pending, false);	/* home has ended */
}

static void on_signal(int signum, siginfo_t *info, void *context)
{
	struct subscription *sub = atomic_load(&subscriptions[signum]);
	int err = errno;

	(void)context;
	for (; sub; sub = sub->next) {
		atomic_fetch_add(&sub->inside, 1);
		if (atomic_load(&sub->live))
			put(sub, signum, info);
		atomic_fetch_sub(&sub->inside, 1);
	}
	errno = err;
}

/* -- home -- */

/* In home's place may be a new proc; then this one's is live no more. */
static void run_arrival(struct tuck__sched *s, struct tuck__request *r)
{
	struct subscription *sub = tuck__container(r, struct subscription,
						   arrival);
	struct tuck_signal signal;

	atomic_store(&sub->pending, false);
	if (!atomic_load(&sub->live) || sub->feed.home != s)
		return;
	while (take(sub, &signal))
		if (tuck__chan_offer(s, sub->feed.chan, &signal) == -EAGAIN)
			atomic_fetch_add(&sub->missed, signal.missed + 1);
}

static void never(struct tuck__sched *s, struct tuck__alarm *a)
{
	(void)s, (void)a;
}

/* -- subscriptions, under the lock -- */

static int take_disposition(int signum)
{
	struct sigaction ours = { .sa_sigaction = on_signal,
				  .sa_flags = SA_SIGINFO | SA_RESTART |
					      SA_ONSTACK };

	if (live_of[signum] == 0 &&
	    sigaction(signum, &ours, &before[signum]) < 0)
		return -errno;
	live_of[signum]++;
	atomic_fetch_add(&tuck__outside, 1);
	return 0;
}

/* Unless the program has set another one since. */
static void give_disposition_back(int signum)
{
	struct sigaction now;

	atomic_fetch_sub(&tuck__outside, 1);
	if (--live_of[signum] == 0 && sigaction(signum, NULL, &now) == 0 &&
	    now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_signal)
		sigaction(signum, &before[signum], NULL);
}

static void end(struct subscription *sub)
{
	if (atomic_exchange(&sub->live, false))
		give_disposition_back(sub->signum);
}

static void on_close(struct tuck__feed *feed)
{
	struct subscription *sub = tuck__container(feed, struct subscription,
						   feed);

	pthread_mutex_lock(&lock);
	end(sub);
	pthread_mutex_unlock(&lock);
}

static void on_gone(struct tuck__feed *feed)
{
	struct subscription *sub = tuck__container(feed, struct subscription,
						   feed);

	pthread_mutex_lock(&lock);
	sub->taken = false;
	pthread_mutex_unlock(&lock);
}

static const struct tuck__feed_kind kind = { never, on_close, on_gone };

static bool is_free(struct subscription *sub)
{
	return !sub->taken && !atomic_load(&sub->inside) &&
	       !atomic_load(&sub->pending);
}

/* One that nobody uses, in the list already; or NULL. */
static struct subscription *find(int signum)
{
	struct subscription *sub = atomic_load(&subscriptions[signum]);

	while (sub && !is_free(sub))
		sub = sub->next;
	if (sub)
		return sub;
	sub = tuck__alloc(sizeof(*sub));
	if (!sub)
		return NULL;
	sub->signum = signum;
	sub->arrival.run = run_arrival;
	sub->next = atomic_load(&subscriptions[signum]);
	atomic_store(&subscriptions[signum], sub);
	return sub;
}

static struct tuck_chan *subscribe(int signum)
{
	struct subscription *sub = find(signum);

	if (!sub ||
	    tuck__feed_begin(&sub->feed, &kind, sizeof(struct tuck_signal),
			     TUCK_SIGNALS_KEPT, TUCK_FOREVER) < 0)
		return NULL;
	reset(sub);
	sub->taken = true;
	atomic_store(&sub->live, true);
	return sub->feed.chan;
}

/* -- fork -- */

/* Close up the cells that nobody is going to fill; whether any is left. */
static bool repack(struct subscription *sub)
{
	struct tuck_signal kept[TUCK_SIGNALS_KEPT];
	unsigned n = 0;

	for (unsigned at = sub->head; at != atomic_load(&sub->tail); at++) {
		struct cell *c = &sub->cells[at % TUCK_SIGNALS_KEPT];

		if (atomic_load(&c->seq) == at + 1)
			kept[n++] = c->signal;
	}
	reset(sub);
	for (unsigned i = 0; i < n; i++) {
		sub->cells[i].signal = kept[i];
		atomic_store(&sub->cells[i].seq, i + 1);
	}
	atomic_store(&sub->tail, n);
	return n > 0;
}

/*
 * A handler may have been anywhere on a thread that is gone: with a cell that
 * it would have filled, or a ring whose home it would have told.
 */
static void renew(struct subscription *sub)
{
	struct tuck__sched *home = sub->feed.home;

	atomic_store(&sub->inside, 0);
	if (!home || home != tuck__tls)
		end(sub);		/* as at the end of its proc */
	else if (!tuck__requested(home, &sub->arrival))
		atomic_store(&sub->pending,
			     repack(sub) && tuck__request(home, &sub->arrival));
	else
		repack(sub);
}

/* No handler runs meanwhile. */
static void in_child(void)
{
	sigset_t all, was;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	for (int i = 0; i < NSIG; i++)
		for (struct subscription *sub = atomic_load(&subscriptions[i]);
		     sub; sub = sub->next)
			renew(sub);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
}

TUCK__AT_FORK_MUTEX(TUCK__FORK_SIGNALS, lock, in_child)

/* -- the program's -- */

static bool is_refused(int signum)
{
	switch (signum) {
	case SIGKILL:
	case SIGSTOP:
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL:
	case SIGTRAP:
	case SIGSYS:
	case SIGVTALRM: return true;
	default: return signum <= 0 || signum >= NSIG;
	}
}

struct tuck_chan *tuck_signal_chan(int signum)
{
	struct tuck_chan *chan = NULL;

	if (is_refused(signum) || !tuck__sched())
		return NULL;
	pthread_mutex_lock(&lock);
	if (take_disposition(signum) == 0) {
		chan = subscribe(signum);
		if (!chan)
			give_disposition_back(signum);
	}
	pthread_mutex_unlock(&lock);
	return chan;
}
