/* SPDX-License-Identifier: MIT */
/*
 * std::call_once passes what it calls through two thread-locals of libstdc++,
 * before it calls pthread_once(): they are to be each tasklet's. That makes
 * switches take longer, so it is a file of its own, which is linked if the
 * program has a std::call_once.
 */
#include <tuck/ctx.h>

extern __thread void *_ZSt15__once_callable;	/* std::__once_callable */
extern __thread void (*_ZSt11__once_call)(void); /* std::__once_call */

void __real___once_proxy(void);
void __wrap___once_proxy(void);

static void *callable(void)
{
	return &_ZSt15__once_callable;
}

static void *call(void)
{
	return &_ZSt11__once_call;
}

/* It cannot fail before there are tasklets. */
static __attribute__((__constructor__)) void carry(void)
{
	tuck_context_slot_add(sizeof(_ZSt15__once_callable), callable);
	tuck_context_slot_add(sizeof(_ZSt11__once_call), call);
}

/* What std::call_once has pthread_once() call. */
void __wrap___once_proxy(void)
{
	__real___once_proxy();
}
