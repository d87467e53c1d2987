/* SPDX-License-Identifier: MIT */
/*
 * What a thread has. It begins with the first use of greenlets in the thread
 * and ends when the interpreter clears the thread's state, in that thread and
 * with the interpreter's lock: an object in the thread state's dictionary is
 * freed then, and up to 3.12 has a hook called once all else in there has been
 * freed, too. So no destructor has to guess whether the interpreter is still
 * there, which is where greenlet had most of its crashes. Greenlets that are
 * left are dead from then on; their frames are given back with them, or when
 * the garbage collector finds them.
 */
#include "green.h"

#define KEY "tuck.greenlet.thread"

__thread struct thread *green_here;
static __thread uint64_t ended;		/* id of a thread state; 0: none */
Py_ssize_t green_mains;
struct thread green_threads = { .prev = &green_threads,
				.next = &green_threads };
struct green green_unstarted = { .prev = &green_unstarted,
				 .next = &green_unstarted };

void thread_ref(struct thread *th)
{
	th->refs++;
}

void thread_unref(struct thread *th)
{
	if (--th->refs == 0)
		PyMem_Free(th);
}

static void link_before(struct green *ring, struct green *g)
{
	g->prev->next = g->next;
	g->next->prev = g->prev;
	g->next = ring;
	g->prev = ring->prev;
	g->prev->next = g;
	ring->prev = g;
}

void thread_foresee(struct green *g)
{
	link_before(&green_unstarted, g);
}

void thread_enter(struct thread *th, struct green *g)
{
	if (!g->thread)
		thread_ref(th);
	g->thread = th;
	link_before(&th->alive, g);
}

void thread_leave(struct green *g)
{
	g->prev->next = g->next;
	g->next->prev = g->prev;
	g->prev = g->next = g;
}

/* -- its end -- */

/* They may hold themselves, so to let them go would not be enough. */
static void end_doomed(struct thread *th)
{
	PyObject *doomed = th->doomed;

	th->doomed = NULL;
	for (Py_ssize_t i = 0; i < PyList_GET_SIZE(doomed); i++)
		green_end((PyGreenlet *)PyList_GET_ITEM(doomed, i));
	Py_DECREF(doomed);
}

/*
 * None of them runs once more, as with greenlet. Hubs, which gevent and
 * eventlet have in each thread, take GreenletExit for an error of somebody
 * they serve, report it and wait on: such a thread would never end.
 */
static void end_all(struct thread *th)
{
	while (th->alive.next != &th->alive) {
		struct green *g = th->alive.next;

		thread_leave(g);
		g->orphan = true;
		tuck_ctx_fini(&g->own_ctx);
	}
}

static void give_back(struct thread *th)
{
	Py_CLEAR(th->current);
	Py_CLEAR(th->main);
	Py_CLEAR(th->no_args);
	thread_unref(th);
}

static void let_go(struct thread *th)
{
	th->prev->next = th->next;
	th->next->prev = th->prev;
	th->gone = true;
	th->main->pimpl->phase = GREEN_DEAD;
	th->main->pimpl->orphan = true;
	give_back(th);
}

static void thread_end(struct thread *th)
{
	PyObject *type, *value, *traceback;

	PyErr_Fetch(&type, &value, &traceback);
	if (th->doomed)
		end_doomed(th);
	Py_CLEAR(th->trace);
	end_all(th);
	green_here = NULL;
	ended = PyThreadState_GetID(th->ts);
	let_go(th);
	PyErr_Restore(type, value, traceback);
}

/*
 * A thread that there is no more, since the process has forked, or that will
 * not get the interpreter's lock again. Nothing can run in it.
 */
static void thread_lost(struct thread *th)
{
	thread_ref(th);
	while (th->alive.next != &th->alive) {
		th->alive.next->orphan = true;
		thread_leave(th->alive.next);
	}
	Py_CLEAR(th->trace);
	let_go(th);
	/* What it is asked to free may be what it was to free itself. */
	Py_CLEAR(th->doomed);
	thread_unref(th);
}

static void end_here(struct thread *th)
{
	PyThreadState *ts = th->ts;

	/* A callback from C must not take its return for the thread's end. */
	ts->gilstate_counter++;
	thread_end(th);
	ts->gilstate_counter--;
}

static void end_or_lose(struct thread *th)
{
	if (th == green_here)
		end_here(th);
	else
		thread_lost(th);
}

#if PY_VERSION_HEX < 0x030d0000
/* The last that the thread state does as it is cleared. */
static void on_delete(void *arg)
{
	struct thread *th = arg;
	void (*next)(void *) = th->on_delete;
	void *next_arg = th->on_delete_arg;
	PyThreadState *ts = th->ts;

	/* Who has run since then may have made another one. */
	Py_CLEAR(ts->dict);
	end_or_lose(th);
	if (next)
		next(next_arg);
}

/* Greenlets in thread-locals, which come next, are still to be ended. */
static void on_clear(PyObject *capsule)
{
	struct thread *th = PyCapsule_GetPointer(capsule, KEY);

	th->on_delete = th->ts->on_delete;
	th->on_delete_arg = th->ts->on_delete_data;
	th->ts->on_delete = on_delete;
	th->ts->on_delete_data = th;
}
#else
/* Thread-locals have come before. */
static void on_clear(PyObject *capsule)
{
	end_or_lose(PyCapsule_GetPointer(capsule, KEY));
}
#endif

/* -- its beginning -- */

static struct thread *thread_new(PyThreadState *ts)
{
	struct thread *th = PyMem_Calloc(1, sizeof(*th));

	if (!th)
		return (void *)PyErr_NoMemory();
	th->alive.prev = th->alive.next = &th->alive;
	th->ts = ts;
	th->ident = PyThread_get_thread_ident();
	th->refs = 1;
	th->no_args = PyTuple_New(0);
	th->main = th->no_args ? green_new_main(th) : NULL;
	if (th->main) {
		th->current = (PyGreenlet *)Py_NewRef((PyObject *)th->main);
		return th;
	}
	give_back(th);
	return NULL;
}

/* The thread state's dictionary keeps it from now on. */
static int hang_on(struct thread *th)
{
	PyObject *dict = PyThreadState_GetDict(), *capsule;
	int r;

	if (!dict) {
		PyErr_NoMemory();
		return -1;
	}
	capsule = PyCapsule_New(th, KEY, on_clear);
	if (!capsule)
		return -1;
	r = PyDict_SetItemString(dict, KEY, capsule);
	if (r < 0)
		PyCapsule_SetDestructor(capsule, NULL);
	Py_DECREF(capsule);
	return r;
}

static void enlist(struct thread *th)
{
	th->next = &green_threads;
	th->prev = green_threads.prev;
	th->prev->next = th;
	green_threads.prev = th;
	green_here = th;
}

/*
 * The garbage collector waits: it may call what uses greenlets, which would
 * begin within the beginning, and the dictionary within its own.
 */
struct thread *thread_make(void)
{
	PyThreadState *ts = PyThreadState_Get();
	struct thread *th;
	int collects;

	if (ended == PyThreadState_GetID(ts)) {
		/* Nothing would end this one. */
		PyErr_SetString(green_error,
				"no greenlets any more: the thread ends");
		return NULL;
	}
	collects = pystate_set_collects(ts, 0);
	th = thread_new(ts);
	if (th && hang_on(th) == 0)
		enlist(th);
	else if (th)
		give_back(th);
	pystate_set_collects(ts, collects);
	return green_here;
}

struct thread *thread_tidy(void)
{
	struct thread *th = thread_here();

	if (th && th->doomed && !pystate_collecting(th->ts))
		end_doomed(th);
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
static void add_note(PyObject *error, PyObject *note)
{
	PyObject *notes = note ? PyList_New(0) : NULL;

	/* As add_note(), which there is from 3.11 on. */
	if (!notes || PyList_Append(notes, note) < 0 ||
	    PyObject_SetAttrString(error, "__notes__", notes) < 0)
		PyErr_Clear();
	Py_XDECREF(notes);
}

void thread_tell(const struct green *g, const char *how,
		 const struct thread *other)
{
	const struct thread *own = thread_of(g);
	PyObject *type, *value, *traceback, *note;

	PyErr_Fetch(&type, &value, &traceback);
	PyErr_NormalizeException(&type, &value, &traceback);
	note = PyUnicode_FromFormat(
		"%R belongs to thread %lu%s, %s thread %lu%s", g->self,
		own->ident, own->gone ? " (exited)" : "", how,
		other ? other->ident : PyThread_get_thread_ident(),
		other && other->gone ? " (exited)" : "");
	add_note(value, note);
	Py_XDECREF(note);
	PyErr_Restore(type, value, traceback);
}

void thread_wrong(const struct green *g, const struct thread *owner)
{
	PyErr_SetString(
		green_error,
		!owner	    ? "cannot switch to a garbage collected greenlet" :
		owner->gone ? "cannot switch to a different thread "
			      "(which happens to have exited)" :
			      "cannot switch to a different thread");
	if (owner)
		thread_tell(g, "the call was made in", NULL);
}
