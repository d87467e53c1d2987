/* SPDX-License-Identifier: MIT */
/*
 * Jobs: how a tasklet that has not started moves to another proc.
 *
 * It is made like any other, in the table of the proc that makes it, and a
 * record of it waits in a queue. That proc may start it as it is. Another one
 * takes the record, makes a tasklet of its own for it, and the first stays as
 * a *stub*: it hands unblocks, cancels and kills on, and ends when the moved
 * one has. So an id holds for all of a tasklet's life, wherever that is.
 *
 * Invariants:
 * 1. A record's state goes from QUEUED once, by a compare-and-swap: to DEAD by
 *    its own proc, which took it back; to MOVED by a thief that has it out of
 *    the queue. Its own proc starts it when it is out of the queue, and needs
 *    no swap, for nobody else can have it then, nor is it DEAD.
 * 2. A dead one stays in its queue, without a tasklet, until somebody comes
 *    across it: so who kills knows nothing of queues, which may be gone.
 * 3. A record has two users, the stub and the queue, whose part is the moved
 *    one's later. The last one frees it.
 * 4. What came before the move is in `kept`; what comes after it is posted to
 *    the moved one. Both at the same time: whoever takes the bit out of `kept`.
 * 5. Nothing is allocated once it is out of the queue: a move cannot fail.
 *
 * tests/model/inbox.py tries all orders in which 1 and 4 can meet, and those in
 * which the word of the end meets a post.
 *
 * Why not otherwise: an id that says nothing of the proc would need a table
 * for all, with a lock, at each start and end. A Chase-Lev deque would save
 * the lock of a start at home, 20 of some 200 instructions, and cannot take
 * the oldest at home, as fairness to who waits long asks for.
 */
#include <errno.h>

#include "base/mem.h"
#include "task/job.h"
#include "task/waitq.h"

enum { QUEUED, DEAD, MOVED };

struct tuck__job {
	struct tuck__link link;
	void (*fn)(void *);
	void *arg;
	struct tuck__tasklet *stub;	/* its proc's to use */
	tuck_id from, to;
	atomic_int state, users;
	atomic_int kept;		/* PERMIT and CANCELED, for the start */
	bool adrift;			/* it outlives its proc */
	struct tuck__watch watch;	/* of the moved one */
	struct tuck__request back;	/* it has ended */
};

atomic_long tuck__jobs_adrift;

static void unref(struct tuck__job *job)
{
	if (atomic_fetch_sub(&job->users, 1) == 1)
		tuck__free(job);
}

/* -- queues -- */

void tuck__jobs_init(struct tuck__jobs *jobs, bool adrift)
{
	*jobs = (struct tuck__jobs){ .adrift = adrift };
	tuck__link_init(&jobs->list);
}

static bool push(struct tuck__jobs *jobs, struct tuck__job *job)
{
	bool ended;

	tuck__spin_lock(&jobs->lock);
	ended = jobs->ended;
	if (!ended) {
		if (jobs->adrift)
			atomic_fetch_add(&tuck__jobs_adrift, 1);
		tuck__link_before(&jobs->list, &job->link);
		atomic_fetch_add(&jobs->n, 1);
	}
	tuck__spin_unlock(&jobs->lock);
	return !ended;
}

static struct tuck__job *pop(struct tuck__jobs *jobs, bool newest)
{
	struct tuck__job *job = NULL;
	struct tuck__link *l;

	if (!tuck__jobs_any(jobs))
		return NULL;
	tuck__spin_lock(&jobs->lock);
	if (tuck__jobs_any(jobs)) {
		l = newest ? jobs->list.prev : jobs->list.next;
		tuck__link_cut(l);
		atomic_fetch_sub(&jobs->n, 1);
		job = tuck__container(l, struct tuck__job, link);
	}
	tuck__spin_unlock(&jobs->lock);
	if (job && jobs->adrift)
		atomic_fetch_sub(&tuck__jobs_adrift, 1);
	return job;
}

void tuck__jobs_fini(struct tuck__jobs *jobs)
{
	struct tuck__job *job;

	while ((job = pop(jobs, false)) != NULL)
		unref(job);
}

static bool change(struct tuck__job *job, int to)
{
	int state = QUEUED;

	return atomic_compare_exchange_strong(&job->state, &state, to);
}

/* They have moved to nobody, and have ended there. */
int tuck__jobs_end(struct tuck__jobs *jobs)
{
	struct tuck__job *job;
	int n;

	tuck__spin_lock(&jobs->lock);
	jobs->ended = true;
	tuck__spin_unlock(&jobs->lock);
	for (n = 0; (job = pop(jobs, false)) != NULL; n++)
		if (change(job, MOVED))
			job->watch.ended(&job->watch);
		else
			unref(job);
	return n;
}

/* -- at home -- */

/*
 * One that was posted to waits for that first: it may be what comes next in
 * the round of the inbox that this is, where its end would wait for ever.
 */
static void run_back(struct tuck__sched *s, struct tuck__request *r)
{
	struct tuck__job *job = tuck__container(r, struct tuck__job, back);
	struct tuck__sched *home;
	struct tuck__tasklet *t = tuck__find(job->from, &home);

	if (t && atomic_load(&t->id) != job->from && tuck__request(s, r))
		return;
	if (t)
		tuck__drop(s, t);
	unref(job);
}

static void on_moved_end(struct tuck__watch *w)
{
	struct tuck__job *job = tuck__container(w, struct tuck__job, watch);

	if (!tuck__request(tuck__registry_at(tuck__proc_of(job->from)),
			   &job->back))
		unref(job);
}

static struct tuck__job *new_job(struct tuck__tasklet *t, void (*fn)(void *),
				 void *arg, bool adrift)
{
	struct tuck__job *job = tuck__alloc(sizeof(*job));

	if (!job)
		return NULL;
	job->fn = fn;
	job->arg = arg;
	job->stub = t;
	job->from = tuck__id(t);
	job->users = 2;
	job->adrift = adrift;
	job->watch.ended = on_moved_end;
	job->back.run = run_back;
	return job;
}

tuck_id tuck__job_new(struct tuck__sched *s, struct tuck__jobs *jobs,
		      void (*fn)(void *), void *arg)
{
	struct tuck__tasklet *t = jobs->adrift ? tuck__task_stub(s) :
						 tuck__task_make(s, fn, arg);
	struct tuck__job *job;
	tuck_id id;

	job = t ? new_job(t, fn, arg, jobs->adrift) : NULL;
	if (!job) {
		if (t)
			tuck__task_unmake(s, t);
		return -ENOMEM;
	}
	id = job->from;
	if (!push(jobs, job)) {
		tuck__free(job);
		tuck__task_unmake(s, t);
		return -ESRCH;
	}
	s->alive++;
	t->w.why = TUCK__WHY_JOB;
	t->what = job;
	t->ctx.note = s->now_ms;
	tuck__link_init(&t->w.link);
	return id;
}

/* Its wait for a start is over, and so is all that the record was for. */
static void begin(struct tuck__sched *s, struct tuck__job *job)
{
	struct tuck__tasklet *t = job->stub;

	t->w.why = TUCK__WHY_NONE;
	t->what = NULL;
	t->w.bits |= (uint8_t)atomic_load(&job->kept);
	tuck__free(job);
	tuck__link_before(&s->ready, &t->w.link);
}

bool tuck__jobs_start(struct tuck__sched *s, struct tuck__jobs *jobs,
		      bool newest)
{
	struct tuck__job *job;

	while ((job = pop(jobs, newest)) != NULL) {
		if (atomic_load(&job->state) == QUEUED) {
			begin(s, job);
			return true;
		}
		unref(job);
	}
	return false;
}

bool tuck__job_take_back(struct tuck__tasklet *t)
{
	struct tuck__job *job = t->what;

	if (!change(job, DEAD))
		return false;
	t->w.why = TUCK__WHY_NONE;
	t->what = NULL;
	unref(job);
	return true;
}

int tuck__job_tell(struct tuck__tasklet *t, int64_t flag)
{
	struct tuck__job *job = t->what;
	int bit = flag == TUCK__ID_UNBLOCK ? TUCK__PERMIT :
		  flag == TUCK__ID_CANCEL  ? TUCK__CANCELED :
					     0;

	if (bit)
		atomic_fetch_or(&job->kept, bit);
	if (atomic_load(&job->state) != MOVED)
		return 0;
	if (bit && !(atomic_fetch_and(&job->kept, ~bit) & bit))
		return 0;
	return tuck__post(job->to, flag);
}

/* The stub ends while its proc does, or when what has moved has ended. */
void tuck__job_over(struct tuck__tasklet *t)
{
	struct tuck__job *job = t->what;

	if (!job->adrift)
		change(job, DEAD);
	unref(job);
}

tuck_id tuck__job_moved(const struct tuck__tasklet *t)
{
	const struct tuck__job *job = t->what;

	return atomic_load(&job->state) == MOVED ? job->to : 0;
}

/*
 * What waited for a start by others starts here; what they had taken is gone.
 * The queues are left alone: they may be locked for ever.
 */
void tuck__job_catch_up(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct tuck__job *job = t->what;
	int kept = atomic_load(&job->kept);

	if (job->adrift || !tuck__job_take_back(t)) {
		tuck__drop(s, t);
		return;
	}
	t->w.bits |= (uint8_t)kept;
	tuck__link_before(&s->ready, &t->w.link);
}

/* -- elsewhere -- */

/* t runs what was to run there: false if that was taken back. */
static bool move(struct tuck__sched *s, struct tuck__job *job,
		 struct tuck__tasklet *t)
{
	job->to = tuck__id(t);
	if (!change(job, MOVED))
		return false;
	t->ctx.fn = job->fn;
	t->ctx.arg = job->arg;
	t->w.bits |= (uint8_t)atomic_exchange(&job->kept, 0);
	tuck__watch_add(s, t, &job->watch);	/* there is an extra block */
	s->alive++;
	tuck__link_before(&s->ready, &t->w.link);
	return true;
}

static void never(void *arg)
{
	(void)arg;
}

int tuck__jobs_steal(struct tuck__sched *s, struct tuck__jobs *jobs,
		     int *ret_dead)
{
	struct tuck__tasklet *t;
	struct tuck__job *job;

	if (!tuck__jobs_any(jobs))
		return 0;
	t = tuck__task_make(s, never, NULL);
	if (!t)
		return -ENOMEM;
	if (!tuck__extra(s, t)) {
		tuck__task_unmake(s, t);
		return -ENOMEM;
	}
	while ((job = pop(jobs, false)) != NULL) {
		if (move(s, job, t))
			return 1;
		unref(job);
		++*ret_dead;
	}
	tuck__task_unmake(s, t);
	return 0;
}
