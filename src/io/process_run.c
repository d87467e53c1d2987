/* SPDX-License-Identifier: MIT */
/*
 * A program run to its end. The caller writes the input, since that may lie on
 * its stack; two tasklets read the outputs meanwhile, into the heap. So none
 * of the three pipes can fill up for ever. Where the write has to wait, a third
 * one ends it.
 *
 * Invariant: the tasklet holds the run, and the run all else: in whichever way
 * the call ends, the child, the readers and the memory go with it. A kill lets
 * go while it unwinds, for the readers must not be dropped when the tasklet has
 * ended: one of them may have been chosen to run next.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <tuck/group.h>
#include <tuck/io.h>

#include "base/mem.h"
#include "io/process.h"

#define OUTPUT_MAX	((size_t)16 << 20)
#define OUTPUT_MIN	4096

struct output {
	struct run *run;
	char *data;
	size_t n, room;
	tuck_id reader;			/* 0: none */
};

struct run {
	struct tuck__held held;
	struct tuck_process *process;
	struct tuck_group *group;
	struct tuck_process_status status;
	size_t max;
	struct output output[2];
	tuck_id ends_input;		/* 0: none */
};

/* Room for at least one byte more, and a 0. */
static int make_room(struct output *o)
{
	size_t room = o->room ? 2 * o->room : OUTPUT_MIN;
	char *data;

	if (o->n + 1 < o->room)
		return 0;
	data = tuck__resize(o->data, room);
	if (!data)
		return -ENOMEM;
	o->data = data;
	o->room = room;
	return 0;
}

/* The buffer is the heap's: it stays where it is while others run. */
static int take_all(struct output *o, int fd)
{
	ssize_t r;

	for (;;) {
		r = make_room(o);
		if (r == 0)
			r = tuck_read(fd, o->data + o->n, o->room - o->n - 1,
				      TUCK_FOREVER);
		if (r <= 0)
			break;
		o->n += (size_t)r;
		if (o->n > o->run->max)
			return -EFBIG;
	}
	if (o->data)
		o->data[o->n] = 0;
	return (int)r;
}

/*
 * One that cannot go on ends the program, and the caller's write, which the
 * program's own children might keep waiting.
 */
static int read_output(void *arg)
{
	struct output *o = arg;
	struct run *run = o->run;
	int which = 1 + (int)(o - run->output);
	int r = take_all(o, tuck_process_fd(run->process, which));

	if (r < 0) {
		tuck_process_kill(run->process, SIGKILL);
		tuck_process_close(run->process, 0);
	}
	return r;
}

static int start_readers(struct run *run)
{
	for (int i = 0; i < 2; i++) {
		struct output *o = &run->output[i];
		tuck_id id;

		o->run = run;
		if (tuck_process_fd(run->process, 1 + i) < 0)
			continue;
		id = tuck_group_go(run->group, read_output, o);
		if (id < 0)
			return (int)id;
		o->reader = id;
	}
	return 0;
}

/*
 * When the program and its outputs have ended, nobody need take the rest: a
 * child of its own may keep the input open for ever.
 */
static int end_input(void *arg)
{
	struct run *run = arg;
	int r = tuck_process_wait(run->process, NULL, TUCK_FOREVER);

	for (int i = 0; i < 2; i++)
		tuck_join(run->output[i].reader, TUCK_FOREVER);
	tuck_process_close(run->process, 0);
	return r;
}

/* What the pipe has no room for at once. */
static ssize_t give_rest(struct run *run, int fd, const char *in, size_t n,
			 tuck_ns deadline)
{
	tuck_id id = tuck_group_go(run->group, end_input, run);

	if (id < 0)
		return id;
	run->ends_input = id;
	return tuck_write_full(fd, in, n, deadline);
}

/* A program may do without its input; why others closed it, they tell. */
static int give_input(struct run *run, const char *in, size_t n,
		      tuck_ns deadline)
{
	int fd = tuck_process_fd(run->process, 0);
	ssize_t r = 0;

	if (fd < 0)
		return 0;
	if (n > 0)
		r = tuck_write(fd, in, n, TUCK_NOWAIT);
	if (r == -EAGAIN)
		r = 0;
	if (r >= 0 && (size_t)r < n)
		r = give_rest(run, fd, in + r, n - (size_t)r, deadline);
	tuck_process_close(run->process, 0);
	return r < 0 && r != -EPIPE && r != -EBADF ? (int)r : 0;
}

/* A descriptor that attr does not name is a pipe. The run is who owns it. */
static struct tuck_process_attr with_pipes(const struct tuck_process_attr *attr)
{
	struct tuck_process_attr a = { .in = TUCK_INHERIT };

	if (attr)
		a = *attr;
	a.in = a.in ? a.in : TUCK_PIPE;
	a.out = a.out ? a.out : TUCK_PIPE;
	a.err = a.err ? a.err : TUCK_PIPE;
	a.owned = 0;
	return a;
}

static tuck__noinline int start(struct run *run,
				const struct tuck_process_attr *attr,
				char *const argv[])
{
	const struct tuck_process_attr a = with_pipes(attr);
	int r = tuck_group_new(&run->group, TUCK_FOREVER);

	run->max = a.output_max ? a.output_max : OUTPUT_MAX;
	if (r == 0)
		r = tuck_process_spawn(&run->process, &a, argv);
	if (r < 0)
		return r;
	tuck__process_ref(run->process);	/* the readers' */
	return start_readers(run);
}

static int run_to_end(struct run *run, const void *in, size_t n,
		      tuck_ns deadline)
{
	int r = give_input(run, in, n, deadline), first;

	if (r < 0 && r != -ETIMEDOUT)
		return r;
	/* What a reader has to tell comes before a write that it has ended. */
	if (r < 0) {
		first = tuck_group_wait(run->group, TUCK_GROUP_ERROR,
					TUCK_NOWAIT);
		return first < 0 && first != -EAGAIN ? first : r;
	}
	first = tuck_group_wait(run->group, TUCK_GROUP_ALL, deadline);
	if (first < 0)
		return first;
	return tuck_process_wait(run->process, &run->status, deadline);
}

static struct run *held_run(struct tuck__held *held)
{
	return tuck__container(held, struct run, held);
}

/*
 * Without a wait: the readers hold nothing that is not in the run, so they can
 * be dropped.
 */
static void release(struct tuck__held *held)
{
	struct run *run = held_run(held);

	tuck_process_free(run->process);
	for (int i = 0; i < 2; i++)
		tuck_drop(run->output[i].reader);
	tuck_drop(run->ends_input);
	tuck_group_free(run->group);
	tuck__process_unref(run->process);
	for (int i = 0; i < 2; i++)
		tuck__free(run->output[i].data);
	tuck__free(run);
}

static int begin(struct run **ret_run)
{
	struct tuck__sched *s = tuck__sched();
	struct run *run;
	int r;

	TUCK__REQUIRE(s, tuck__sched_error());
	run = tuck__alloc(sizeof(*run));
	if (!run)
		return -ENOMEM;
	run->held.release = release;
	r = tuck__hold(s, &run->held);
	if (r == 0)
		*ret_run = run;
	else
		tuck__free(run);
	return r;
}

/* As it returns, or is killed. Who is dropped lets go of what it holds, too. */
static void leave(struct run **run)
{
	if (*run)
		tuck__let_go(tuck__tls->current->extra);
}

static void hand_out(struct run *run, struct tuck_process_result *ret_result)
{
	*ret_result = (struct tuck_process_result){
		.status = run->status,
		.out = run->output[0].data,
		.out_bytes = run->output[0].n,
		.err = run->output[1].data,
		.err_bytes = run->output[1].n,
	};
	run->output[0].data = run->output[1].data = NULL;
}

static bool takes_input(const struct tuck_process_attr *attr)
{
	return !attr || attr->in == TUCK_INHERIT || attr->in == TUCK_PIPE;
}

int tuck_process_run(const struct tuck_process_attr *attr, char *const argv[],
		     const void *in, size_t in_bytes,
		     struct tuck_process_result *ret_result, tuck_ns deadline)
{
	struct run *run __attribute__((__cleanup__(leave))) = NULL;
	int r;

	TUCK__REQUIRE(ret_result && deadline >= 0 && (in || !in_bytes) &&
			      (takes_input(attr) || !in_bytes),
		      -EINVAL);
	r = begin(&run);
	if (r == 0)
		r = start(run, attr, argv);
	if (r == 0)
		r = run_to_end(run, in, in_bytes, deadline);
	if (r == 0)
		hand_out(run, ret_result);
	return r;
}

void tuck_process_result_free(struct tuck_process_result *result)
{
	if (!result)
		return;
	tuck__free(result->out);
	tuck__free(result->err);
	memset(result, 0, sizeof(*result));
}
