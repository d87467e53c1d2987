/* SPDX-License-Identifier: MIT */
/*
 * Events that come through channels: times and signals. So a select waits for
 * them beside anything else. The channels are as any other: shared with other
 * procs from their first use there, closed and freed by the program, which
 * ends what feeds them. The proc that made one sends to it, between two turns
 * of its tasklets; when it ends, it closes them.
 */
#ifndef TUCK_EVENT_H
#define TUCK_EVENT_H

#include <sys/types.h>
#include <tuck/chan.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A channel that gives a tick each period, from one period from now on: the
 * tuck_ns that it was due. A tick waits for its receiver, and those that are
 * due meanwhile are dropped; the times of the others do not drift. Go's
 * time.Ticker. A proc with a ticker is never taken for deadlocked.
 * Switches: no. Errors: NULL for a period below 1 ns, and as
 * tuck_chan_new().
 */
struct tuck_chan *tuck_ticker(tuck_ns period);

/*
 * A channel that gives the deadline as a tuck_ns when that is past, once, and
 * is closed by that: who receives again gets -EPIPE. To be freed all the same;
 * at any time before, to stop the timer. Go's time.Timer.
 * Switches: no. Errors: NULL for a negative deadline, and as tuck_chan_new().
 */
struct tuck_chan *tuck_timer_chan(tuck_ns deadline);

/* A signal that has come; the words are those of sigaction(2). */
struct tuck_signal {
	int signum;
	int code;		/* SI_USER, SI_QUEUE, CLD_EXITED, ... */
	pid_t pid;		/* who sent it, or which child it is about; */
	uid_t uid;		/* 0 where nobody did */
	int status;		/* of that child */
	unsigned missed;	/* before this one, without room for them */
	union {			/* from sigqueue(3) or a timer */
		int number;
		void *pointer;
	} value;
};

#define TUCK_SIGNALS_KEPT 64

/*
 * A channel that gives a struct tuck_signal for each signal of that number
 * that the process gets, on whichever thread. Each channel gets each signal;
 * of several who receive from one channel, one does. TUCK_SIGNALS_KEPT are
 * kept while nobody receives; further ones are only counted, in `missed` of
 * the next one. The kernel itself makes one of several that are pending,
 * except above SIGRTMIN. Masks stay as they are: a handler takes the signal,
 * with SA_RESTART, in place of what the program had set, which the close of
 * the last channel of that signal puts back, dropping what is still on its
 * way. The child of a fork(2) has those of the calling proc only. Go's
 * signal.Notify. While there is such a channel, no wait is taken for
 * a deadlock.
 * Switches: no. Errors: NULL for SIGKILL, SIGSTOP, what a fault raises
 * (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS), which Tuck needs or
 * cannot wait, SIGVTALRM, which tuck/preempt.h needs, and numbers that are no
 * signal's; and as tuck_chan_new().
 */
struct tuck_chan *tuck_signal_chan(int signum);

#ifdef __cplusplus
}
#endif

#endif
