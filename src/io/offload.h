/* SPDX-License-Identifier: MIT */
/* Offloaded calls, for those who make their own block. */
#ifndef TUCK__OFFLOAD_H
#define TUCK__OFFLOAD_H

#include "io/calls.h"

/*
 * A call that runs fn(call->block), with so many bytes of block, not cleared;
 * NULL without memory. Who makes it says what is discarded and what is put
 * out, and to whom.
 */
struct tuck__call *tuck__call_new(int (*fn)(void *block), size_t bytes);

/*
 * Have it run, wait, and give it back, whatever happens; NULL is -ENOMEM. What
 * fn returned, or why it is not known, as tuck_offload().
 */
int tuck__call_do(struct tuck__call *call, tuck_ns deadline);

#endif
