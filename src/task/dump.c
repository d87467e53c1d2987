/* SPDX-License-Identifier: MIT */
/* Who is there and what each waits on, as text. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tuck/chan.h>
#include <unistd.h>

#include "task/waitq.h"

/* What blocks whom. */
static const char *const words[TUCK__WHYS] = {
	[TUCK__WHY_NONE] = "nothing",
	[TUCK__WHY_PAUSED] = "its start",
	[TUCK__WHY_SLEEP] = "a time",
	[TUCK__WHY_BLOCK] = "an unblock",
	[TUCK__WHY_JOIN] = "the end of a tasklet",
	[TUCK__WHY_SEND] = "a receiver",
	[TUCK__WHY_RECV] = "a sender",
	[TUCK__WHY_JOB] = "a proc of its pool",
	[TUCK__WHY_SHARED] = "channels of several procs",
	[TUCK__WHY_RENDEZVOUS] = "the other one of a rendezvous",
	[TUCK__WHY_OFFLOAD] = "an offloaded call",
	[TUCK__WHY_FAR_JOIN] = "the end of a tasklet",
	[TUCK__WHY_HOME] = "the proc that made a channel",
	[TUCK__WHY_SELECT] = "several channels",
	[TUCK__WHY_MUTEX] = "mutex",
	[TUCK__WHY_ONCE] = "the first run of once",
	[TUCK__WHY_RDLOCK] = "reading under rwlock",
	[TUCK__WHY_WRLOCK] = "writing under rwlock",
	[TUCK__WHY_COND] = "condition",
	[TUCK__WHY_SEM] = "semaphore",
	[TUCK__WHY_WAITGROUP] = "waitgroup",
	[TUCK__WHY_EVENT] = "event",
	[TUCK__WHY_BARRIER] = "barrier",
	[TUCK__WHY_READ] = "input",
	[TUCK__WHY_WRITE] = "room for output",
	[TUCK__WHY_FD_ROOM] = "a free descriptor",
	[TUCK__WHY_PROC] = "the end of a proc",
	[TUCK__WHY_GROUP] = "the end of a group",
	[TUCK__WHY_END] = "the end of all others",
	[TUCK__WHY_RUN] = "a run of the others",
};

#define CASES_SHOWN 3

void tuck__text_case(char *text, size_t n, uint32_t i, int op, const void *chan)
{
	size_t len = strlen(text);

	if (!chan || i > CASES_SHOWN)
		return;
	if (i == CASES_SHOWN)
		snprintf(text + len, n - len, ", ...");
	else
		snprintf(text + len, n - len, "%s%s on %p",
			 strchr(text, ':') ? ", " : ": ",
			 op == TUCK_RECV ? "receive" : "send", chan);
}

static void format_select(const struct tuck__select *select, char *text,
			  size_t n)
{
	snprintf(text, n, " (%u)", select->n);
	for (uint32_t i = 0; i < select->n; i++)
		tuck__text_case(text, n, i, select->cases[i].op,
				select->cases[i].chan);
}

static void format_far(const struct tuck__far *far, char *text, size_t n)
{
	far->kind->text(far, text, n);
}

static void format_job(const struct tuck__tasklet *t, char *text, size_t n)
{
	tuck_id id = tuck__job_moved(t);

	if (id)
		snprintf(text, n, ", where it is %lld,", (long long)id);
}

static void format_what(const struct tuck__tasklet *t, char *text, size_t n)
{
	text[0] = 0;
	switch ((enum tuck__why)t->w.why) {
	case TUCK__WHY_JOIN:
		snprintf(text, n, " %lld", (long long)tuck__id(t->what));
		break;
	case TUCK__WHY_SEND:
	case TUCK__WHY_RECV:
		snprintf(text, n, " on channel %p", t->what);
		break;
	case TUCK__WHY_MUTEX:
	case TUCK__WHY_ONCE:
		snprintf(text, n, " %p held by tasklet %lld", t->what,
			 (long long)tuck__waitq_owner(t->what));
		break;
	case TUCK__WHY_GROUP:
	case TUCK__WHY_RDLOCK:
	case TUCK__WHY_WRLOCK:
	case TUCK__WHY_COND:
	case TUCK__WHY_SEM:
	case TUCK__WHY_WAITGROUP:
	case TUCK__WHY_EVENT:
	case TUCK__WHY_BARRIER: snprintf(text, n, " %p", t->what); break;
	case TUCK__WHY_SELECT: format_select(t->what, text, n); break;
	case TUCK__WHY_JOB: format_job(t, text, n); break;
	case TUCK__WHY_SHARED:
	case TUCK__WHY_RENDEZVOUS:
	case TUCK__WHY_OFFLOAD:
	case TUCK__WHY_FAR_JOIN:
	case TUCK__WHY_HOME: format_far(t->what, text, n); break;
	case TUCK__WHY_READ:
	case TUCK__WHY_WRITE:
		snprintf(text, n, " on descriptor %d", (int)(intptr_t)t->what);
		break;
	case TUCK__WHY_PROC:
		snprintf(text, n, " %d", (int)(intptr_t)t->what);
		break;
	default: break;
	}
}

const char *tuck__state(const struct tuck__sched *s,
			const struct tuck__tasklet *t)
{
	if (t->w.why == TUCK__WHY_PAUSED && tuck__ctx_started(&t->ctx))
		return words[TUCK__WHY_BLOCK];	/* by tuck_run() */
	if (t->w.why > TUCK__WHY_ENDING)
		return words[t->w.why];
	return t == s->current ? "runs" : "is ready";
}

static int dump_one(const struct tuck__sched *s, const struct tuck__tasklet *t,
		    int fd)
{
	char line[384], what[160];
	int n;

	n = snprintf(line, sizeof(line), "  tasklet %lld \"%s\" ",
		     (long long)tuck__id(t), tuck__name(s, t));
	if (t->w.why > TUCK__WHY_ENDING) {
		format_what(t, what, sizeof(what));
		n += snprintf(line + n, sizeof(line) - (size_t)n,
			      "waits for %s%s since %.3f s\n",
			      tuck__state(s, t), what,
			      (s->now_ms - t->ctx.note) / 1000.0);
	} else {
		n += snprintf(line + n, sizeof(line) - (size_t)n, "%s\n",
			      tuck__state(s, t));
	}
	return write(fd, line, (size_t)n) < 0 ? -errno : 0;
}

int tuck__dump(struct tuck__sched *s, int fd)
{
	uint32_t n = atomic_load(&s->table.n);
	char line[96];
	int r;

	s->now_ms = (uint32_t)(tuck_now() / TUCK_MS(1));
	r = snprintf(line, sizeof(line),
		     "tuck: proc in thread %d, %llu tasklets\n",
		     (int)(s == tuck__tls ? gettid() : s->thread), /* fork */
		     (unsigned long long)s->alive);
	if (write(fd, line, (size_t)r) < 0)
		return -errno;
	for (uint32_t i = 0; i < n; i++) {
		const struct tuck__tasklet *t = tuck__table_at(s, i);

		if (!atomic_load(&t->id))
			continue;
		r = dump_one(s, t, fd);
		if (r < 0)
			return r;
	}
	return 0;
}
