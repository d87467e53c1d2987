/* SPDX-License-Identifier: MIT */
/*
 * Python frames of CPython 3.11 to 3.14: they lie on the data stack, or in a
 * generator, and lead to each other by `previous`. What a frame refers to is in
 * slots, from 3.14 on of tagged references: some are no objects, and some count
 * on the reference that another slot has.
 *
 * From 3.12 on each evaluation loop puts an entry frame of its own in between,
 * which lies on the C stack. Whoever asks a frame for its f_back follows these
 * links, and would read in the stack of another greenlet. So while a greenlet
 * is suspended they are cut: the bottom frame of a loop leads to the top one
 * of the loop below it, and the outermost one nowhere. What the cuts were is
 * kept in the entry frames themselves, in fields that they do not use; the
 * bytes travel with the stack and are back in place when the cuts are undone.
 *
 * Rejected: greenlet's way, which makes an object of each frame at each
 * switch. Also: a copy of the entry frame on the heap; the interpreter knows
 * its own by their address.
 */
#ifndef TUCK_PY_FRAMES_H
#define TUCK_PY_FRAMES_H

#include <Python.h>
#include <stdbool.h>

#define Py_BUILD_CORE 1
#if PY_VERSION_HEX >= 0x030e0000
#include <internal/pycore_interpframe_structs.h>
#include <internal/pycore_stackref.h>
#else
#include <internal/pycore_frame.h>
#endif
#undef Py_BUILD_CORE

typedef struct _PyInterpreterFrame pyframe;

/* PYSLOT_OWN: what a slot has a reference to, or NULL. */
#if PY_VERSION_HEX >= 0x030e0000
#define PYSLOT_OWN(s) \
	(PyStackRef_RefcountOnObject(s) ? PyStackRef_AsPyObjectBorrow(s) : NULL)
#define PYSLOT_CLEAR(s)	    PyStackRef_CLEAR(s)
#define PYFRAME_FUNCTION(f) ((f)->f_funcobj)
#define PYFRAME_CODE(f)	    ((f)->f_executable)
#define PYFRAME_IS_ENTRY(f) ((f)->owner >= FRAME_OWNED_BY_INTERPRETER)
#else
#define PYSLOT_OWN(s)	    ((PyObject *)(s))
#define PYSLOT_CLEAR(s)	    Py_CLEAR(s)
#if PY_VERSION_HEX >= 0x030c0000
#define PYFRAME_FUNCTION(f) ((f)->f_funcobj)
#define PYFRAME_IS_ENTRY(f) ((f)->owner == FRAME_OWNED_BY_CSTACK)
#else
#define PYFRAME_FUNCTION(f) ((f)->f_func)
#define PYFRAME_IS_ENTRY(f) false
#endif
#if PY_VERSION_HEX >= 0x030d0000
#define PYFRAME_CODE(f) ((f)->f_executable)
#else
#define PYFRAME_CODE(f) ((f)->f_code)
#endif
#endif

/* -- how many slots are in use -- */

#if PY_VERSION_HEX >= 0x030e0000

/* A suspended frame has laid down how high its value stack is. */
static inline bool pyframe_laid_down(const pyframe *f)
{
	(void)f;
	return true;
}

static inline int pyframe_slots(const pyframe *f)
{
	return (int)(f->stackpointer - f->localsplus);
}

static inline void pyframe_set_empty(pyframe *f)
{
	f->stackpointer = f->localsplus;
}

#else

/* Where a call has laid down how high the value stack is. */
static inline bool pyframe_laid_down(const pyframe *f)
{
	return f->stacktop >= 0;
}

/* Those that certainly are: if that is not known, the local variables. */
static inline int pyframe_slots(const pyframe *f)
{
	const PyCodeObject *code = (PyCodeObject *)PYFRAME_CODE(f);

	return pyframe_laid_down(f) ? f->stacktop : code->co_nlocalsplus;
}

static inline void pyframe_set_empty(pyframe *f)
{
	f->stacktop = 0;
}

#endif

/* -- what the garbage collector is told -- */

/* Whether nobody else can get at what the frames from f on refer to. */
static inline bool pyframes_private(const pyframe *f)
{
	for (; f; f = f->previous)
		if (f->frame_obj && Py_REFCNT(f->frame_obj) > 1)
			return false;
	return true;
}

/*
 * What a suspended frame refers to for certain: its local variables, and its
 * value stack where a call has laid down how high that is. A generator shows
 * its frame itself, without the local variables as long as it runs and that is
 * not laid down.
 */
static inline int pyframe_visit(const pyframe *f, visitproc visit, void *arg)
{
	bool own = f->owner == FRAME_OWNED_BY_THREAD;

	if (!own &&
	    (f->owner != FRAME_OWNED_BY_GENERATOR || pyframe_laid_down(f)))
		return 0;
	if (own) {
		Py_VISIT(f->frame_obj);
		Py_VISIT(f->f_locals);
		Py_VISIT(PYSLOT_OWN(PYFRAME_FUNCTION(f)));
	}
	for (int i = 0, n = pyframe_slots(f); i < n; i++)
		Py_VISIT(PYSLOT_OWN(f->localsplus[i]));
	return 0;
}

static inline int pyframes_visit(const pyframe *f, visitproc visit, void *arg)
{
	int r = 0;

	if (!pyframes_private(f))
		return 0;
	for (; f && r == 0; f = f->previous)
		r = pyframe_visit(f, visit, arg);
	return r;
}

/* All that a frame refers to for certain. */
static inline void pyframe_release(pyframe *f)
{
	int n = pyframe_slots(f);

	pyframe_set_empty(f);
	Py_CLEAR(f->frame_obj);
	Py_CLEAR(f->f_locals);
	for (int i = 0; i < n; i++)
		PYSLOT_CLEAR(f->localsplus[i]);
	PYSLOT_CLEAR(PYFRAME_FUNCTION(f));
	PYSLOT_CLEAR(PYFRAME_CODE(f));
}

/*
 * Give back what frames refer to that will not run again; false if somebody
 * has one of them, and so may look into it. A generator may have others who
 * know it, and then outlives who called it.
 */
static inline bool pyframes_release(pyframe *f)
{
	if (!pyframes_private(f))
		return false;
	while (f) {
		pyframe *previous = f->previous;

		if (f->owner == FRAME_OWNED_BY_GENERATOR)
			f->previous = NULL;
		else if (f->owner == FRAME_OWNED_BY_THREAD)
			pyframe_release(f);
		f = previous;
	}
	return true;
}

/* -- entry frames -- */

#if PY_VERSION_HEX >= 0x030c0000

/* An evaluation loop counts as two levels of recursion in C, a call as one. */
#define PYFRAMES_LOOP 2

/* The frames of one greenlet. */
struct pyframes {
	pyframe *cut;		/* entry frames, linked by f_globals */
	pyframe *bottom;	/* of the outermost loop, if it stays that */
	int depth;		/* recursion in C that there may be; 0: on */
				/* the thread's own stack, nothing is cut */
	bool steady;		/* all of it is one call of one function */
};

/* The bottom frame of the loop that f is in. */
static inline pyframe *pyframes_bottom(pyframe *f)
{
	while (f->previous && !PYFRAME_IS_ENTRY(f->previous))
		f = f->previous;
	return f;
}

/* f leads past the entry frame that it leads to: that one. */
static inline pyframe *pyframe_cut(pyframe *f, pyframe *outer)
{
	pyframe *entry = f->previous;

	entry->f_locals = (PyObject *)(void *)f;
	entry->f_globals = (PyObject *)(void *)outer;
	f->previous = entry->previous;
	return entry;
}

/*
 * Cut what leads to the C stack from f, the top frame. With one loop only,
 * which there is if there was not enough recursion for two, and a bottom that
 * is known, this takes the same time at any depth.
 */
static inline void pyframes_cut(struct pyframes *all, pyframe *f, int remaining)
{
	pyframe *last = NULL;

	all->cut = NULL;
	if (!f)
		return;
	if (all->bottom && all->depth - remaining < 2 * PYFRAMES_LOOP) {
		all->cut = pyframe_cut(all->bottom, NULL);
		return;
	}
	while (f) {
		last = pyframes_bottom(f);
		if (last->previous)
			all->cut = pyframe_cut(last, all->cut);
		f = last->previous;
	}
	if (all->steady)
		all->bottom = last;
}

static inline void pyframes_mend(struct pyframes *all)
{
	for (pyframe *e = all->cut; e; e = (pyframe *)(void *)e->f_globals)
		((pyframe *)(void *)e->f_locals)->previous = e;
	all->cut = NULL;
}

#endif
#endif
