/* SPDX-License-Identifier: MIT */
/*
 * getcontext() and its kin, as POSIX.1-2001 had them, over Tuck's contexts,
 * with one thing more: a base. A context that is made with uc_base and no
 * stack (uc_stack.ss_sp is NULL) is sliced: it runs on the stack of whoever
 * called tuck_makecontext(), from uc_base downwards, and its bytes are put
 * aside when others need the place. (Not on a slot of the pool of ctx.h.)
 *
 * A program written for <ucontext.h> compiles as it is with
 *	cc $(pkg-config --cflags tuck-ucontext) ... $(pkg-config --libs tuck)
 * or with TUCK_UCONTEXT_NAMES defined before it includes this header in the
 * place of that one: POSIX's names stand for the calls at the end of this
 * header then, which fail as POSIX says, with -1 and errno. Not so kept:
 * - ucontext_t is the struct below, so code that looks into the one that a
 *   signal handler gets, or at uc_mcontext, goes into a file without this;
 * - the signal mask does not travel unless tuck_ucontext_sigmask() says so,
 *   and nothing may be switched inside a signal handler;
 * - a struct is where it was made: a copy of it cannot be gone on with;
 * - a context belongs to its thread.
 *
 * A struct must stay where it is from tuck_makecontext() on until its
 * function has returned, or tuck_dropcontext() was called; it may be filled
 * and made again then, and also while its context waits, which is dropped;
 * but not while others are sliced on its stack. Points of a context that were
 * kept in other structs end with it: with its struct, or its thread. On
 * the stack that its context is sliced on, it must not lie below uc_base: the
 * context's own bytes go there. See ctx.h about tasklets in the same thread.
 */
#ifndef TUCK_UCONTEXT_H
#define TUCK_UCONTEXT_H

#include <signal.h>
#include <stddef.h>
#include <tuck/ctx.h>

#ifdef TUCK_UCONTEXT_NAMES
#include <ucontext.h>	/* now: what it declares has these names */
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Arguments that tuck_makecontext() can pass, each of up to a pointer. */
#define TUCK_UCONTEXT_ARGS 8

struct tuck_ucontext {
	struct tuck_ucontext *uc_link;	/* goes on when the function returns */
	stack_t uc_stack;		/* ss_sp and ss_size are used */
	void *uc_base;			/* with no stack: slice from here */
	sigset_t uc_sigmask;		/* with tuck_ucontext_sigmask(1) */
	uint64_t opaque[176];
};

/*
 * Keep the calling point in *ucp. tuck_setcontext(ucp) returns here once more,
 * as often as it is called, as long as the calling function has not returned.
 * Leaves uc_link, uc_stack and uc_base alone.
 * Switches: no. Errors: -ENOMEM.
 */
int tuck_getcontext(struct tuck_ucontext *ucp)
	__attribute__((__returns_twice__));

/*
 * Go on at the point kept in *ucp, or start what tuck_makecontext() made. To
 * be jumped to, at a point where it does not wait, is a context's longjmp().
 * One that was suspended has its context slots as at its start then, and
 * catches no C++ exception.
 * Switches: always. Errors: -EINVAL for a point that is not there any more,
 * or for what tuck_makecontext() was given and cannot work, -EBUSY for the
 * start of the context that runs, -EXDEV, -ENOMEM; it does not return
 * otherwise.
 */
int tuck_setcontext(const struct tuck_ucontext *ucp);

/*
 * Change *ucp, filled by tuck_getcontext() and then given a stack or a base
 * by the caller, so that it runs fn with argc further arguments: integers or
 * pointers, which are passed whole, or 0 for those not given. When fn
 * returns, uc_link goes on; with none, the thread ends.
 * Switches: no. Errors: none: what cannot work, tuck_setcontext() says.
 */
void tuck_makecontext(struct tuck_ucontext *ucp, void (*fn)(void), int argc,
		      ...);

/*
 * Keep the calling point in *oucp and go on at *ucp.
 * Switches: always. Errors: as tuck_setcontext(), and then *oucp is the
 * calling point all the same; 0 when that is gone on with.
 */
int tuck_swapcontext(struct tuck_ucontext *oucp,
		     const struct tuck_ucontext *ucp);

/*
 * Give back what a context holds whose function will not return: its slice,
 * its place on a stack.
 * Switches: no. Errors: -EBUSY if it runs or others are sliced on its stack,
 * -EXDEV.
 */
int tuck_dropcontext(struct tuck_ucontext *ucp);

/*
 * Whether the signal mask travels with the calling thread's points, as POSIX
 * wants: a system call at each. Off at first. Returns what it was.
 * Switches: no. Errors: -ENOMEM.
 */
int tuck_ucontext_sigmask(int on);

/*
 * tuck_getcontext() as POSIX has it: 0 or, with errno set, -1.
 * Switches: no. Errors: -1.
 */
int tuck_posix_getcontext(struct tuck_ucontext *ucp)
	__attribute__((__returns_twice__));

/* The same of tuck_setcontext(). Switches: always. Errors: -1. */
int tuck_posix_setcontext(const struct tuck_ucontext *ucp);

/* The same of tuck_swapcontext(). Switches: always. Errors: -1. */
int tuck_posix_swapcontext(struct tuck_ucontext *oucp,
			   const struct tuck_ucontext *ucp);

#ifdef TUCK_UCONTEXT_NAMES
typedef struct tuck_ucontext tuck_ucontext;
#define ucontext_t tuck_ucontext
#define getcontext tuck_posix_getcontext
#define setcontext tuck_posix_setcontext
#define makecontext tuck_makecontext
#define swapcontext tuck_posix_swapcontext
#endif

#ifdef __cplusplus
}
#endif

#endif
