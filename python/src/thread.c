/* SPDX-License-Identifier: MIT */
/*
 * What a thread has. It begins with the first use of greenlets in the thread
 * and ends when the interpreter clears the thread's state, in that thread and
 * with the interpreter's lock: an object in the thread state's dictionary is
 * freed then. So greenlets that are left are ended where they ran, by
 * GreenletExit, and no destructor has to guess whether the interpreter is
 * still there, which is where greenlet had most of its crashes.
 */
#include "green.h"

#define KEY "tuck.greenlet.thread"

__thread struct thread *green_here;
Py_ssize_t green_mains;

void thread_ref(struct thread *th)
{
	th->refs++;
}

void thread_unref(struct thread *th)
{
	if (--th->refs == 0)
		PyMem_Free(th);
}

void thread_enter(struct thread *th, struct green *g)
{
	g->thread = th;
	thread_ref(th);
	g->next = &th->alive;
	g->prev = th->alive.prev;
	g->prev->next = g;
	th->alive.prev = g;
}

void thread_leave(struct green *g)
{
	g->prev->next = g->next;
	g->next->prev = g->prev;
	g->prev = g->next = g;
}

/* -- its end -- */

/*
 * Each of them once: who catches GreenletExit and waits again lives on. Not
 * while the interpreter ends, when what they would use is gone already.
 */
static void end_all(struct thread *th)
{
	while (th->alive.next != &th->alive) {
		struct green *g = th->alive.next;
		PyGreenlet *self = g->self;

		thread_leave(g);
		Py_INCREF(self);
		if (!_Py_IsFinalizing())
			green_kill(self);
		if (g->phase == GREEN_ALIVE) {
			g->orphan = true;
			tuck_ctx_fini(&g->own_ctx);
		}
		Py_DECREF(self);
	}
}

static void thread_end(struct thread *th)
{
	PyObject *type, *value, *traceback;

	PyErr_Fetch(&type, &value, &traceback);
	Py_CLEAR(th->doomed);
	Py_CLEAR(th->trace);
	end_all(th);
	th->gone = true;
	th->main->pimpl->phase = GREEN_DEAD;
	th->main->pimpl->orphan = true;
	green_here = NULL;
	Py_CLEAR(th->current);
	Py_CLEAR(th->main);
	Py_CLEAR(th->no_args);
	thread_unref(th);
	PyErr_Restore(type, value, traceback);
}

static void on_clear(PyObject *capsule)
{
	struct thread *th = PyCapsule_GetPointer(capsule, KEY);

	if (th == green_here)
		thread_end(th);
}

/* -- its beginning -- */

/* The thread state's dictionary keeps it from now on. */
static int hang_on(struct thread *th)
{
	PyObject *dict = PyThreadState_GetDict(), *capsule;
	int r;

	if (!dict)
		return -1;
	capsule = PyCapsule_New(th, KEY, on_clear);
	if (!capsule)
		return -1;
	green_here = th;
	r = PyDict_SetItemString(dict, KEY, capsule);
	Py_DECREF(capsule);
	return r;
}

struct thread *thread_make(void)
{
	struct thread *th = PyMem_Calloc(1, sizeof(*th));

	if (!th)
		return (void *)PyErr_NoMemory();
	th->alive.prev = th->alive.next = &th->alive;
	th->ts = PyThreadState_Get();
	th->ident = PyThread_get_thread_ident();
	th->refs = 1;
	th->no_args = PyTuple_New(0);
	th->main = th->no_args ? green_new_main(th) : NULL;
	if (!th->main) {
		Py_XDECREF(th->no_args);
		thread_unref(th);
		return NULL;
	}
	th->current = (PyGreenlet *)Py_NewRef((PyObject *)th->main);
	return hang_on(th) < 0 ? NULL : th;
}

struct thread *thread_tidy(void)
{
	struct thread *th = thread_here();
	PyObject *doomed;

	if (!th || !th->doomed)
		return th;
	doomed = th->doomed;
	th->doomed = NULL;
	Py_DECREF(doomed);	/* they are freed here, so they are killed */
	return th;
}

struct thread *thread_of(const struct green *g)
{
	while (!g->thread && g->parent)
		g = g->parent->pimpl;
	return g->thread;
}

/* -- what goes wrong between threads -- */

/* Apart from the message, which programs compare with. */
static void add_note(PyObject *error, const struct green *g,
		     const struct thread *owner)
{
	PyObject *note, *r = NULL;

	note = PyUnicode_FromFormat("%R belongs to thread %lu%s, the switch "
				    "was made in thread %lu", g->self,
				    owner ? owner->ident : 0,
				    !owner || owner->gone ? " (exited)" : "",
				    PyThread_get_thread_ident());
	if (note && PyObject_HasAttrString(error, "add_note"))
		r = PyObject_CallMethod(error, "add_note", "O", note);
	else if (note && PyObject_SetAttrString(error, "note", note) == 0)
		r = Py_NewRef(Py_None);
	if (!r)
		PyErr_Clear();
	Py_XDECREF(note);
	Py_XDECREF(r);
}

void thread_wrong(const struct green *g, const struct thread *owner)
{
	PyObject *type, *value, *traceback;

	PyErr_SetString(green_error,
			!owner ? "cannot switch to a garbage collected greenlet" :
			owner->gone ? "cannot switch to a different thread "
				      "(which happens to have exited)" :
				      "cannot switch to a different thread");
	PyErr_Fetch(&type, &value, &traceback);
	PyErr_NormalizeException(&type, &value, &traceback);
	add_note(value, g, owner);
	PyErr_Restore(type, value, traceback);
}
