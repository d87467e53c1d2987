/* SPDX-License-Identifier: MIT */
/*
 * supervise: keeps programs running.
 *
 * Shows child processes and signals as events: a tasklet for each program
 * starts it, waits for its end and starts it again, later if it ends soon; the
 * main one selects over signals. SIGTERM or SIGINT ends all in order: each
 * program gets SIGTERM, those that take too long SIGKILL. SIGHUP starts them
 * anew. However a tasklet ends, its program ends with it.
 *
 *	build/plain/examples/supervise 'exec sleep 5' 'date; exec sleep 2'
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <tuck.h>

#define PATIENCE	TUCK_SEC(5)	/* with who got SIGTERM */
#define PAUSE_MIN	TUCK_MS(50)	/* before the next start */
#define PAUSE_MAX	TUCK_SEC(5)
#define SOON		TUCK_SEC(1)

struct service {
	char *command;
	struct tuck_process *process;	/* NULL: none runs */
};

static int start(struct service *s)
{
	const struct tuck_process_attr attr = { .group = 1, .owned = 1 };
	char *argv[] = { "sh", "-c", s->command, NULL };
	int r = tuck_process_spawn(&s->process, &attr, argv);

	if (r < 0)
		fprintf(stderr, "%s: %s\n", s->command, tuck_strerror(r));
	else
		printf("started %d: %s\n", (int)tuck_process_pid(s->process),
		       s->command);
	return r;
}

static void tell_end(const struct service *s,
		     const struct tuck_process_status *status)
{
	printf("ended %d: %s %d\n", (int)tuck_process_pid(s->process),
	       status->signum ? "signal" : "status",
	       status->signum ? status->signum : status->code);
}

/* The caller is cancelled: so ends its program. */
static void stop(struct service *s)
{
	struct tuck_process_status status;

	tuck_uncancel();
	tuck_process_kill(s->process, SIGTERM);
	if (tuck_process_wait(s->process, &status, tuck_after(PATIENCE)) == 0)
		tell_end(s, &status);
	else
		printf("killed %d\n", (int)tuck_process_pid(s->process));
}

/* One life of the program: 0, or why there should be no other. */
static int run_once(struct service *s)
{
	struct tuck_process_status status;
	int r = start(s);

	if (r < 0)
		return 0;		/* perhaps the next time */
	r = tuck_process_wait(s->process, &status, TUCK_FOREVER);
	if (r == 0)
		tell_end(s, &status);
	else
		stop(s);
	tuck_process_free(s->process);
	s->process = NULL;
	return r;
}

static int keep_running(void *arg)
{
	tuck_ns pause = PAUSE_MIN, began;
	int r;

	do {
		began = tuck_now();
		r = run_once(arg);
		pause = tuck_now() - began < SOON ? 2 * pause : PAUSE_MIN;
		if (pause > PAUSE_MAX)
			pause = PAUSE_MAX;
		if (r == 0)
			r = tuck_sleep(tuck_after(pause));
	} while (r == 0);
	return 0;
}

static void restart_all(struct service *services, int n)
{
	for (int i = 0; i < n; i++)
		if (services[i].process)
			tuck_process_kill(services[i].process, SIGTERM);
}

/* Until a signal says that it is enough; its number. */
static int obey(struct service *services, int n)
{
	struct tuck_signal s;
	struct tuck_case cases[] = {
		{ tuck_signal_chan(SIGTERM), TUCK_RECV, &s, 0 },
		{ tuck_signal_chan(SIGINT), TUCK_RECV, &s, 0 },
		{ tuck_signal_chan(SIGHUP), TUCK_RECV, &s, 0 },
	};

	printf("supervising\n");
	while (tuck_select(cases, 3, TUCK_FOREVER) == 2)
		restart_all(services, n);
	for (int i = 0; i < 3; i++)
		tuck_chan_free(cases[i].chan);
	return s.signum;
}

int main(int argc, char **argv)
{
	struct service *services;
	struct tuck_group *group;

	if (argc < 2) {
		fprintf(stderr, "usage: %s command...\n", argv[0]);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	services = calloc((size_t)argc, sizeof(*services));
	if (!services || tuck_group_new(&group, TUCK_FOREVER) < 0)
		return 1;
	for (int i = 1; i < argc; i++) {
		services[i].command = argv[i];
		if (tuck_group_go(group, keep_running, &services[i]) < 0)
			return 1;
	}
	printf("signal %d: the end\n", obey(services + 1, argc - 1));
	tuck_group_cancel(group);
	tuck_group_wait(group, TUCK_GROUP_ALL, TUCK_FOREVER);
	tuck_group_free(group);
	free(services);
	return 0;
}
