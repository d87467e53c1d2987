/* SPDX-License-Identifier: MIT */
/* Stacks that are not slots of the pool: the thread's own, and single ones. */
#include <errno.h>
#include <pthread.h>

#include "base/mem.h"
#include "ctx/ctx.h"

int tuck__stack_map(struct tuck__cache *c, struct tuck__stack *s, size_t bytes)
{
	const size_t pad = TUCK__STACK_PAD;
	char *p;

	if (bytes > PTRDIFF_MAX - c->guard_bytes - pad - tuck__page_bytes())
		return -ENOMEM;
	bytes = tuck__whole_pages(bytes + pad);
	p = tuck__map_reserve(c->guard_bytes + bytes);
	if (!p || tuck__map_commit(p + c->guard_bytes, bytes) < 0) {
		tuck__unmap(p, c->guard_bytes + bytes);
		return -ENOMEM;
	}
	*s = (struct tuck__stack){
		.limit = p + c->guard_bytes,
		.base = p + c->guard_bytes + bytes - pad,
		.guard = c->guard_bytes,
		.owner = c,
		.kind = TUCK__STACK_OWN,
	};
	tuck__note_stack(&s->annotated, s->limit, s->base + pad);
	return 0;
}

void tuck__stack_unmap(struct tuck__stack *s)
{
	char *start = s->limit - s->guard;

	tuck__note_no_stack(&s->annotated);
	tuck__unmap(start, (size_t)(s->base + TUCK__STACK_PAD - start));
}

struct tuck__stack *tuck__stack_new(struct tuck__cache *c, size_t bytes)
{
	struct tuck__stack *s = tuck__alloc(sizeof(*s));

	if (s && tuck__stack_map(c, s, bytes) == 0)
		return s;
	tuck__free(s);
	return NULL;
}

void tuck__stack_free(struct tuck__stack *s)
{
	if (!s)
		return;
	tuck__stack_unmap(s);
	tuck__free(s);
}

void tuck__stack_find_native(struct tuck__cache *c)
{
	struct tuck__stack *s = &c->native;
	pthread_attr_t attr;
	void *limit;
	size_t bytes;

	s->owner = c;
	s->kind = TUCK__STACK_NATIVE;
	s->guard = c->guard_bytes;
	s->limit = NULL;
	s->base = (char *)UINTPTR_MAX;
	if (pthread_getattr_np(pthread_self(), &attr) != 0)
		return;
	if (pthread_attr_getstack(&attr, &limit, &bytes) == 0) {
		s->base = (char *)limit + bytes;
		s->limit = tuck__note_native(limit, s->base);
	}
	pthread_attr_destroy(&attr);
}
