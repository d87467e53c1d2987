/* SPDX-License-Identifier: MIT */
/*
 * Greenlets on the contexts of Tuck: what the files here share.
 *
 * - thread.c: what a thread has: its main greenlet, who runs, who is alive,
 *   and how it all ends with the thread.
 * - switch.c: from one greenlet to another: starting, returning.
 * - letter.h: what is passed on the way; throw.c: exceptions.
 * - end.c: greenlets that nobody needs.
 * - collector.c: where the garbage collector is at work.
 * - greenlet.c: the Python type; attributes.c: its attributes.
 * - registry.c: all greenlets there are, and where they are.
 * - module.c: the module and its functions; c_api.c: its C interface.
 *
 * Invariants:
 * 1. A greenlet that was started belongs to the thread that started it, for
 *    ever: struct green.thread. One that was not belongs where its parents do.
 * 2. Of a thread's greenlets that are alive one is thread->current; each other
 *    is suspended in fly(), with what the interpreter keeps for it in
 *    struct green.py.
 * 3. What travels with a switch (a letter, or the interpreter's pending
 *    exception) is the thread's from before the switch until the target has
 *    taken it, and nothing in between runs Python code.
 */
#ifndef TUCK_PY_GREEN_H
#define TUCK_PY_GREEN_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <tuck/ctx.h>

#define GREENLET_MODULE
#define implementation_ptr_t struct green *
struct green;
#include "greenlet.h"
#include "state.h"

enum green_phase { GREEN_NEW, GREEN_ALIVE, GREEN_DEAD };

/* Arguments on their way; all NULL for an exception, which is pending. */
struct letter {
	PyObject *one;			/* a single one, or NULL and these: */
	PyObject *args;			/* a tuple; NULL: none */
	PyObject *kwargs;		/* a dict; NULL: none */
};

struct green {
	struct tuck_ctx own_ctx;
	struct tuck_ctx *ctx;		/* own_ctx, or a thread's main one */
	struct pystate py;		/* while suspended; py.context always */
					/* but while it runs */
	PyGreenlet *self;
	PyGreenlet *parent;		/* NULL: a main one, or cleared */
	PyObject *run;			/* until it ends */
	struct thread *thread;		/* once started */
	struct letter first;		/* what run was called with */
	struct green *prev, *next;	/* of those alive in its thread, or */
					/* of those that are new */
	unsigned char phase;		/* enum green_phase */
	bool main;
	bool orphan;			/* its thread ended before it did */
	bool survivor;			/* of GreenletExit: is no garbage */
};

struct thread {
	struct thread *prev, *next;	/* of all that are not gone */
	PyGreenlet *main;
	PyGreenlet *current;
	PyGreenlet *origin;		/* of the switch under way */
	const PyGreenlet *collector;	/* in whom garbage is collected */
	struct letter letter;
	struct green alive;		/* ring; main is not in it */
	PyObject *trace;		/* settrace(), or NULL */
	PyObject *no_args;		/* () */
	PyObject *doomed;		/* list: let go of by other threads, */
					/* or in the garbage collector */
	PyThreadState *ts;
	void (*on_delete)(void *);	/* its, and what with, before ours */
	void *on_delete_arg;
	unsigned long ident;		/* as threading.get_ident() */
	Py_ssize_t refs;		/* greenlets that name it, and itself */
	bool gone;
};

extern PyTypeObject PyGreenlet_Type;
extern PyObject *green_error, *green_exit;
extern PyObject *green_run;		/* "run" */
extern PyObject *green_hook;		/* set_switch_hook(), or NULL */
extern struct thread green_threads;	/* ring */
extern struct green green_unstarted;	/* ring */
extern Py_ssize_t green_mains;		/* main greenlets there are */

#define PyGreenlet_Check(op) PyObject_TypeCheck(op, &PyGreenlet_Type)

/* -- thread.c -- */

extern __thread struct thread *green_here
	__attribute__((tls_model("initial-exec")));

struct thread *thread_make(void);

/* The calling thread's; NULL with an exception. */
static inline struct thread *thread_here(void)
{
	return green_here ? green_here : thread_make();
}

/* The same, when it has ended those whom other threads have let go. */
struct thread *thread_tidy(void);

/* The thread that g belongs to; NULL when its parents lead nowhere. */
struct thread *thread_of(const struct green *g);

void thread_ref(struct thread *th);
void thread_unref(struct thread *th);

/* Among those that are new; those alive in th, from then on for ever its; */
/* neither. */
void thread_foresee(struct green *g);
void thread_enter(struct thread *th, struct green *g);
void thread_leave(struct green *g);

/*
 * A note on the pending exception: the threads of g, which has one, and of
 * other, or the calling one for NULL; how is the second one's part in it.
 */
void thread_tell(const struct green *g, const char *how,
		 const struct thread *other);

/* greenlet.error for a greenlet of another thread: names both. */
void thread_wrong(const struct green *g, const struct thread *owner);

/* -- switch.c -- */

/*
 * Switch to g, or to who runs in its place if it has ended: with a letter,
 * which is taken over, or, if that is empty, with the pending exception.
 * Returns what comes back.
 */
PyObject *green_switch(PyGreenlet *g, struct letter letter);

/* -- throw.c -- */

/*
 * A pending GreenletExit, which ends a greenlet as if it had returned it, and
 * is pending no more; NULL for another exception, which still is.
 */
PyObject *green_exit_value(void);

/* g.throw(type, value, traceback), which are taken over. */
PyObject *green_throw(PyGreenlet *g, PyObject *type, PyObject *value,
		      PyObject *traceback);

/* The same with what is given, which may be no exception at all. */
PyObject *green_throw_checked(PyGreenlet *g, PyObject *type, PyObject *value,
			      PyObject *traceback);

/* -- end.c -- */

/* Nobody needs it. Afterwards it is dead, or lives on, or will be ended. */
void green_end(PyGreenlet *self);

/* Of the type: */
void green_finalize(PyObject *op);
int green_traverse(PyObject *op, visitproc visit, void *arg);
int green_clear(PyObject *op);
void green_dealloc(PyObject *op);

/* -- collector.c -- */

/* From now on know where garbage is collected: 0, or -1 with an exception. */
int collector_watch(void);

/*
 * The current greenlet, which is th->collector, must not be left, since
 * garbage is being collected in it.
 */
bool collector_holds(const struct thread *th);

/* -- attributes.c -- */

extern PyGetSetDef green_attributes[];

int green_set_run(PyGreenlet *g, PyObject *run);
int green_set_parent(PyGreenlet *g, PyObject *parent);
bool green_is_dead(const struct green *g);
bool green_is_active(const struct green *g);

/* -- greenlet.c -- */

PyGreenlet *green_new_main(struct thread *th);

/* -- c_api.c -- */

/* The capsule, a new reference; the exceptions are there already. */
PyObject *green_c_api(void);

/* -- registry.c -- */

extern PyMethodDef green_registry[];

#endif
