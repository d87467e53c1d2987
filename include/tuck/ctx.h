/* SPDX-License-Identifier: MIT */
/*
 * Contexts without a scheduler, for implementers of languages: create, switch,
 * look into suspended ones, change them.
 *
 * A context is a flow of control with a base on a stack; its bytes are those
 * from its stack pointer up to its base. Any number of contexts may have
 * bases on one stack: a switch moves to heap blocks what the target overlaps,
 * and puts the target's own bytes back. After Stackless Python's slicing
 * (Tismer, 2002) and greenlet; the interface to inactive contexts is the one
 * that LLVM's developers discussed in 2010.
 *
 * Contexts and stacks belong to the thread that made them (-EXDEV in others)
 * and are gone when that thread ends; a stack must not be named after that.
 * Every thread has a main context, the flow that it began with. Contexts and
 * tasklets in one thread: contexts may be used by the main tasklet only. No
 * call here may be made in a signal handler.
 *
 * No pointer to a byte on a suspended context's stack may be followed: others
 * may lie there. tuck_ctx_addr() tells where the byte is.
 */
#ifndef TUCK_CTX_H
#define TUCK_CTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tuck/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Memory that contexts run on, downwards from its end. */
struct tuck_stack;

/*
 * The calling thread's own stack; NULL without memory. Contexts that share it
 * are sliced, as greenlet's are.
 * Switches: no. Errors: none.
 */
struct tuck_stack *tuck_stack_native(void);

/*
 * A new stack of at least bytes, with a guard below it, of as many bytes as
 * a slot's (base.h); NULL without memory. It costs the pages that are touched.
 * Switches: no. Errors: none.
 */
struct tuck_stack *tuck_stack_new(size_t bytes);

/*
 * A stack in the caller's memory, which stays until tuck_stack_free(), and is
 * no part of a stack that others may lie on (rule S1); at least 1,024 bytes.
 * There is no guard: whoever overflows it is not caught.
 * NULL for too little memory or without memory for the descriptor.
 * Switches: no. Errors: none.
 */
struct tuck_stack *tuck_stack_from(void *memory, size_t bytes);

/*
 * The same, for one context that may leave this memory, the first segment of
 * its stack, for others elsewhere: see split.h. It is never tucked, but what
 * needs to know where all of its bytes lie says -ENOTSUP.
 * Switches: no. Errors: none.
 */
struct tuck_stack *tuck_stack_segmented(void *memory, size_t bytes);

/*
 * Give a stack back; NULL is ignored.
 * Switches: no. Errors: -EBUSY while contexts were made for it that had no
 * tuck_ctx_fini(), -EINVAL for the
 * native one, -EXDEV in another thread than the one that made it.
 */
int tuck_stack_free(struct tuck_stack *stack);

/*
 * A context, in the caller's memory, where it stays from init to fini: not on
 * a part of a stack that another context may lie on.
 */
struct tuck_ctx {
	uint64_t opaque[24];
};

/* What a context runs; returns the one to go on with, which gets NULL. */
typedef struct tuck_ctx *tuck_ctx_fn(void *arg);

/*
 * Make a context on stack, below base. With stack NULL it gets a slot of the
 * thread's pool, and base must be NULL too. Else base NULL means the stack's
 * end; or, on the native stack, just below what lies there when it starts.
 * ctx must not be one that was made already and had no tuck_ctx_fini(), nor
 * stack one that was given back. A failure leaves ctx untouched.
 * Switches: no. Errors: -EINVAL for a base that is not on the stack, is at
 * the very end of the native one or has no room below it, -EXDEV for another
 * thread's stack or one given back, -EPERM in a tasklet that is not its
 * thread's main one, -ENOMEM.
 */
int tuck_ctx_init(struct tuck_ctx *ctx, struct tuck_stack *stack, void *base);

/*
 * Suspend the running context and run fn(arg) on ctx, which was never started
 * or has ended. Returns when something switches back, as tuck_ctx_switch().
 * Switches: always. Errors: as tuck_ctx_switch(); -EBUSY if it has started,
 * or another has on the same segmented stack.
 */
int tuck_ctx_start(struct tuck_ctx *ctx, tuck_ctx_fn *fn, void *arg,
		   void **ret_value);

/*
 * Suspend the running context and go on with to, whose own call of this
 * returns value in *ret_value (unless that is NULL). To switch to the running
 * one returns at once. After a failure the caller runs on and nothing has
 * changed, except that *ret_value of to may have been written.
 * Switches: always. Errors: -ESRCH if to has not started or has ended,
 * -EXDEV if it is another thread's or had no tuck_ctx_init() since its
 * tuck_ctx_fini(), -EINVAL for NULL, -ENOMEM when the caller's bytes could not
 * be put aside.
 */
int tuck_ctx_switch(struct tuck_ctx *to, void *value, void **ret_value);

/*
 * End the running context, which is not the main one, from wherever it is and
 * go on with to, which gets value. Frames are not unwound. Misuse, where
 * tuck_ctx_switch() would fail, ends the process with a message.
 * Switches: always. Errors: none; it does not return.
 */
void tuck_ctx_leave(struct tuck_ctx *to, void *value)
	__attribute__((__noreturn__));

/*
 * Give back what a context holds: its slice, its place on a stack. If it was
 * suspended, its frames are forgotten, not unwound. NULL is ignored.
 * Switches: no. Errors: -EBUSY if it runs or is a main context, -EXDEV.
 */
int tuck_ctx_fini(struct tuck_ctx *ctx);

/*
 * The running context; NULL without memory.
 * Switches: no. Errors: none.
 */
struct tuck_ctx *tuck_ctx_self(void);

/*
 * Name a context for the message of a stack overflow. name stays the
 * caller's, for as long as the context lives.
 * Switches: no. Errors: -EINVAL for no context, -EXDEV.
 */
int tuck_ctx_set_name(struct tuck_ctx *ctx, const char *name);

/* -- looking into contexts of the calling thread -- */

enum tuck_ctx_state {
	TUCK_CTX_NEW,		/* not started */
	TUCK_CTX_RUNNING,
	TUCK_CTX_RESIDENT,	/* suspended, all bytes on its stack */
	TUCK_CTX_TUCKED,	/* suspended, some or all bytes in its slice */
	TUCK_CTX_ENDED
};

struct tuck_ctx_info {
	enum tuck_ctx_state state;
	void *base;		/* initial stack pointer; NULL: not chosen */
	void *sp;		/* while suspended, else NULL */
	void *limit, *end;	/* its stack: [limit, end); NULL: no slot yet */
	void *slice;		/* what was at sp lies here; NULL: not tucked */
	size_t slice_bytes;	/* [sp, sp + slice_bytes) lie in the slice */
	bool shared;		/* others live on its stack: it may be tucked */
};

/*
 * What is known about a context.
 * Switches: no. Errors: -EXDEV, -EINVAL for NULL.
 */
int tuck_ctx_info(const struct tuck_ctx *ctx, struct tuck_ctx_info *ret_info);

/*
 * Where the byte that a suspended context has at address p of its stack lies
 * now; p itself if it is not in its slice, or ctx is NULL. Good until the next
 * switch.
 * Switches: no. Errors: none.
 */
void *tuck_ctx_addr(const struct tuck_ctx *ctx, const void *p);

/*
 * Call fn for each piece of memory [from, to) that holds live bytes of a
 * context, also of the one that runs: the roots of a garbage collector.
 * Registers are among them. fn
 * must not switch. Returns the number of pieces.
 * Switches: no. Errors: -EXDEV, -ENOTSUP, -EINVAL for NULL; 0 for one
 * without bytes.
 */
int tuck_ctx_ranges(const struct tuck_ctx *ctx,
		    void (*fn)(void *arg, void *from, void *to), void *arg);

/*
 * The return addresses of a suspended or the running context, innermost
 * first, at most n; the number of them. A tucked one is brought back for it.
 * Switches: no; but it moves slices. Errors: -ESRCH for one that has no
 * frames, -EXDEV, -ENOTSUP, -ENOMEM, -EINVAL, also where less than 8 KiB of
 * its stack are left, which the unwinder needs.
 */
int tuck_ctx_backtrace(struct tuck_ctx *ctx, void **ret_pcs, int n);

/* -- changing suspended contexts of the calling thread -- */

/*
 * Let a suspended context go on from sp: one that tuck_ctx_info() gave
 * earlier, with the bytes above it as they were then (its calls have written
 * there since); or a lower one, where the caller then writes a frame of
 * tuck_ctx_frame_bytes(). Both by tuck_ctx_addr(). Bytes below sp are lost,
 * new ones are undefined. The switch that it goes on from then gets no value:
 * *ret_value stays as it is.
 * Switches: no. Errors: -EINVAL for an address that is not on its stack
 * below its base or not aligned, -EBUSY if it is not suspended, -EXDEV,
 * -ENOTSUP, -ENOMEM; a failure changes nothing.
 */
int tuck_ctx_set_sp(struct tuck_ctx *ctx, void *sp);

/*
 * Give a context that has not started another base on its stack; NULL as in
 * tuck_ctx_init().
 * Switches: no. Errors: -EBUSY if it has started, -EINVAL as tuck_ctx_init(),
 * -EXDEV.
 */
int tuck_ctx_set_base(struct tuck_ctx *ctx, void *base);

/*
 * Make a suspended context call fn(arg) first when it runs again, as if from
 * where it waits: an exception that fn throws, or a forced unwinding, goes on
 * into the frames of the context. When fn returns, so does the switch. One
 * call can wait so. errno is the context's during the call; context slots, and
 * which exceptions are being caught, are as when a context begins, and what fn
 * writes to slots does not stay.
 * Switches: no. Errors: -EBUSY if it is not suspended or has a call waiting,
 * -EINVAL if its stack has no room, -EXDEV, -ENOTSUP; a failure changes
 * nothing.
 */
int tuck_ctx_inject(struct tuck_ctx *ctx, void (*fn)(void *), void *arg);

/*
 * Bytes of registers that a suspended context has from its sp upwards.
 * Switches: no. Errors: none.
 */
size_t tuck_ctx_frame_bytes(void);

/* -- what travels with a context -- */

/*
 * Let bytes of every thread travel with its contexts, as errno and the
 * globals of C++ exceptions do anyway: where() gives their address in the
 * calling thread. A context begins with what they are now, in this call.
 * Each context that waits keeps a copy on its stack, and switches take the
 * longer way. For ever, and before any context or tasklet of the process.
 * Switches: no. Errors: -EBUSY if there were contexts already, -ENOSPC when
 * there are more than 8 or over 256 bytes in all, -EINVAL. where() must not
 * switch.
 */
int tuck_context_slot_add(size_t bytes, void *(*where)(void));

#ifdef __cplusplus
}
#endif

#endif
