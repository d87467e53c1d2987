/* SPDX-License-Identifier: MIT */
/*
 * The data stack of CPython 3.11 to 3.14, where Python frames lie: a chain of
 * chunks, of which a greenlet brings the first.
 */
#ifndef TUCK_PY_CHUNK_H
#define TUCK_PY_CHUNK_H

#include <Python.h>
#include <errno.h>

/* Enough for a few calls; the interpreter adds chunks of 16 KB. */
#define PYCHUNK_BYTES 1024

struct pychunk {
	_PyStackChunk *chunk;
	PyObject **top, **limit;
};

static inline void pychunk_save(struct pychunk *c, const PyThreadState *ts)
{
	c->chunk = ts->datastack_chunk;
	c->top = ts->datastack_top;
	c->limit = ts->datastack_limit;
}

static inline void pychunk_load(const struct pychunk *c, PyThreadState *ts)
{
	ts->datastack_chunk = c->chunk;
	ts->datastack_top = c->top;
	ts->datastack_limit = c->limit;
}

static inline int pychunk_new(struct pychunk *c)
{
	_PyStackChunk *first = PyMem_Malloc(PYCHUNK_BYTES);

	if (!first)
		return -ENOMEM;
	first->previous = NULL;
	first->size = PYCHUNK_BYTES;
	first->top = 0;
	c->chunk = first;
	c->top = &first->data[1];
	c->limit = (PyObject **)(void *)((char *)first + PYCHUNK_BYTES);
	return 0;
}

/* The later ones are the interpreter's, made with its arena allocator. */
static inline void pychunk_free(struct pychunk *c)
{
	PyObjectArenaAllocator arena;
	_PyStackChunk *chunk = c->chunk, *previous;

	c->chunk = NULL;
	if (!chunk)
		return;
	PyObject_GetArenaAllocator(&arena);
	for (; (previous = chunk->previous) != NULL; chunk = previous)
		arena.free(arena.ctx, chunk, chunk->size);
	PyMem_Free(chunk);
}

#endif
