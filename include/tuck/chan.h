/* SPDX-License-Identifier: MIT */
/*
 * Channels, after Hoare's CSP by way of Newsqueak, Alef and Stackless: typed
 * by element size, rendezvous or buffered; and rendezvous by tags.
 *
 * A channel may be used by tasklets of any proc. At first it belongs to the
 * proc that made it, where a message costs no more than a switch. The first
 * call from another proc makes it shared, for which it waits, even with
 * TUCK_NOWAIT, until the first proc looks into its inbox: when its tasklets
 * wait, or after 128 switches. From then on it belongs to nobody, and goes
 * on when the proc that made it ends. tuck_chan_share() says so beforehand.
 * Whoever frees a channel sees to it that nobody enters a call with it then.
 *
 * A call that has to wait may also return -ENOMEM, where there is no memory
 * for that, and -ECANCELED, see tuck_cancel(). So may another proc's first
 * use, which also returns -EPIPE if the channel is freed meanwhile. But where
 * it waits only for the first proc, with TUCK_NOWAIT or in a call without a
 * deadline, no cancel and no group's deadline ends that wait. A select with
 * TUCK_NOWAIT waits for the proc of each of its channels, and no case goes
 * before; one that may wait goes on with whichever channel can first.
 */
#ifndef TUCK_CHAN_H
#define TUCK_CHAN_H

#include <tuck/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tuck_chan;

/*
 * Who runs on when one side comes and the other one waits. If that is who
 * waits, the one who came takes the head of the run queue; otherwise who
 * waited is appended.
 */
enum tuck_prefer {
	TUCK_PREFER_RECEIVER,
	TUCK_PREFER_SENDER,
	TUCK_PREFER_NEITHER	/* who came goes on */
};

#define TUCK_ELEM_BYTES_MAX 65536

/*
 * Make a channel for elements of elem_bytes (0 to TUCK_ELEM_BYTES_MAX) with
 * room for capacity of them; capacity 0 is a rendezvous: a send completes
 * when a receiver has taken the element.
 * Switches: no. Errors: NULL when there is no memory, elem_bytes or all of
 * the buffer is too large, or the thread cannot be a proc.
 */
struct tuck_chan *tuck_chan_new(size_t elem_bytes, size_t capacity);

/*
 * Send a copy of *elem, which may lie on the caller's stack. On any error
 * nothing was sent.
 * Switches: may.
 * Errors: -EPIPE once closed (also for a sender that waits), -ETIMEDOUT,
 * -EAGAIN for TUCK_NOWAIT, -EINVAL for a null channel or element or a
 * negative deadline, -EBADF for a freed channel, -EDEADLK in the main tasklet
 * when nothing can wake it.
 */
int tuck_chan_send(struct tuck_chan *chan, const void *elem, tuck_ns deadline);

/*
 * Receive an element into *ret_elem, in the order of sending. A closed
 * channel first gives what it still holds.
 * Switches: may.
 * Errors: -EPIPE once closed and drained, what tuck_chan_fail() sent,
 * otherwise as tuck_chan_send().
 */
int tuck_chan_recv(struct tuck_chan *chan, void *ret_elem, tuck_ns deadline);

/*
 * Send an error in place of an element: err, below 0, is what the receiver's
 * call returns, or its case's ret_err. It waits and takes a buffer's room
 * like an element; a buffer's first one needs memory for all that it can hold.
 * Switches: may.
 * Errors: -EINVAL also for an err of 0 or above, -ENOMEM, otherwise as
 * tuck_chan_send().
 */
int tuck_chan_fail(struct tuck_chan *chan, int err, tuck_ns deadline);

/*
 * Make it shared, as another proc's first use does: for the proc that made
 * it, before it goes on without looking into its inbox. Those who wait keep
 * their places, or get -ENOMEM.
 * Switches: no; in another proc, as the first use. Errors: -EINVAL for null,
 * -EBADF for a freed channel.
 */
int tuck_chan_share(struct tuck_chan *chan);

/*
 * Close: senders, waiting or to come, get -EPIPE; receivers drain first.
 * Switches: no; as another proc's first use, may.
 * Errors: -EINVAL for null, -EPIPE if closed before, -EBADF for a freed
 * channel.
 */
int tuck_chan_close(struct tuck_chan *chan);

/*
 * Close and free, with the elements that are still inside. Whoever waits is
 * woken with -EPIPE. NULL is ignored. A later use of the pointer gives
 * -EBADF while the runtime still remembers it (the last 64 freed). One that
 * is not shared, from another proc: when the proc that made it looks.
 * Switches: no. Errors: none; freeing twice ends the process with a message.
 */
void tuck_chan_free(struct tuck_chan *chan);

/*
 * How many tasklets wait: above 0 senders, below 0 receivers. A select counts
 * for each of its cases with this channel.
 * Switches: no; as another proc's first use, may. Errors: none; 0 for a null
 * or freed channel, and without memory for the first use.
 */
int tuck_chan_balance(const struct tuck_chan *chan);

/*
 * How many elements, and errors, the buffer holds.
 * Switches: no; as another proc's first use, may. Errors: none; 0 for a null
 * or freed channel, and without memory for the first use.
 */
size_t tuck_chan_count(const struct tuck_chan *chan);

/*
 * Set who runs on after a meeting. A new channel prefers the receiver, one
 * with capacity neither, so that elements gather in its buffer. It concerns
 * a meeting with somebody who waits, not an element that only goes into or
 * comes out of the buffer; and somebody of the same proc.
 * Switches: no; as another proc's first use, may. Errors: -EINVAL for null or
 * an unknown preference, -EBADF.
 */
int tuck_chan_prefer(struct tuck_chan *chan, enum tuck_prefer prefer);

enum tuck_op { TUCK_SEND, TUCK_RECV };

struct tuck_case {
	struct tuck_chan *chan;	/* NULL: this case never goes */
	enum tuck_op op;
	void *elem;		/* what is sent, or where it is received */
	int ret_err;		/* of the case that went: 0, -EPIPE, or */
				/* what tuck_chan_fail() sent */
};

/*
 * Wait until one of n cases can go, and do just that one. Of several that
 * can go, each is as likely as the others. A closed channel makes its case
 * go with ret_err -EPIPE. The cases are read before the call waits for one of
 * them. Alef's alt, Go's select. One channel that is not the caller's proc's
 * own makes all of them shared.
 * Switches: may. Returns the index of the case that went.
 * Errors: -EINVAL for a negative n, null cases, a null element or an unknown
 * op, -EBADF, -ETIMEDOUT, -EAGAIN for TUCK_NOWAIT, -EDEADLK as
 * tuck_chan_send(), also for no cases and TUCK_FOREVER.
 */
int tuck_select(struct tuck_case *cases, int n, tuck_ns deadline);

/*
 * Meet another tasklet, of any proc, that calls this with the same tag, and
 * swap values. A third one waits for a fourth. Plan 9's rendezvous. ret_value
 * may be NULL.
 * Switches: may; the one who comes second goes on.
 * Errors: -ETIMEDOUT, -EAGAIN for TUCK_NOWAIT when nobody waits, -EINVAL for
 * a negative deadline, -EDEADLK as tuck_chan_send().
 */
int tuck_rendezvous(const void *tag, void *value, void **ret_value,
		    tuck_ns deadline);

#ifdef __cplusplus
}
#endif

#endif
