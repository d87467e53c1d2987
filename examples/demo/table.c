/* SPDX-License-Identifier: MIT */
/* The demo's output: a line that moves while it runs, a table at the end. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "demo.h"

#define TARGET_BYTES	700	/* resident, per connection */
#define FEW		100	/* connections for a stack slot */
#define LINE_EVERY	TUCK_SEC(2)

struct text {
	char s[32];
};

/* 30000 as 30,000. */
static struct text grouped(long n)
{
	struct text text;
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%ld", n);
	char *to = text.s;

	for (int i = 0; i < len; i++) {
		if (i > 0 && digits[i - 1] != '-' && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return text;
}

#define G(n) (grouped(n).s)

/* On a terminal one line that is written over; elsewhere one now and then. */
void progress(const char *what, long done, long all, bool last)
{
	static tuck_ns next;
	bool moves = isatty(STDOUT_FILENO);

	if (!next)
		next = tuck_after(LINE_EVERY);
	if (!moves && !last && tuck_now() < next)
		return;
	next = tuck_after(LINE_EVERY);
	printf("%s%s: %s of %s", moves ? "\r\033[K" : "", what, G(done),
	       G(all));
	fputs(moves && !last ? "" : "\n", stdout);
	fflush(stdout);
}

long table_failures(const struct table *t)
{
	long expected = t->run->conns * (MESSAGES + 1);

	return expected - t->result.answered + t->result.surplus;
}

__attribute__((__format__(__printf__, 2, 3))) static void row(
	const char *name, const char *format, ...)
{
	va_list args;

	printf("%-30s", name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static double seconds(tuck_ns ns)
{
	return (double)ns / (double)TUCK_SEC(1);
}

static void print_traffic(const struct table *t)
{
	const struct result *r = &t->result;

	row("connections", "%s of %s, opened in %.1f s", G(r->connected),
	    G(t->run->conns), seconds(t->connecting));
	row("messages", "%s of %d to %s bytes, %s MB each way", G(r->answered),
	    MESSAGE_BYTES, G(MESSAGE_MAX), G(r->bytes / 1000000));
	row("failures", "%s", G(table_failures(t)));
	if (r->first_failure[0])
		row("  the first", "%s", r->first_failure);
}

static void print_speed(const struct table *t)
{
	double requests = (double)(t->requests ? t->requests : 1);
	double user = (double)(t->talked.user_us - t->idle.user_us);
	double kernel = (double)(t->talked.kernel_us - t->idle.kernel_us);

	row("requests per second", "%s",
	    G((long)(requests / seconds(t->talking))));
	row("server CPU per request", "%.1f us (user %.1f, kernel %.1f)",
	    (user + kernel) / requests, user / requests, kernel / requests);
}

static long growth_each(const struct table *t, const struct figures *f)
{
	return (f->resident_bytes - t->start.resident_bytes) / t->run->conns;
}

static void print_memory(const struct table *t)
{
	const struct figures *f = &t->idle;

	row("idle stacks tucked away", "%s (the others lie in %s stack slots)",
	    G(f->slices), G(f->slots));
	row("slice of an idle tasklet", "mean %s bytes, largest %s",
	    G(f->slices ? f->slice_bytes / f->slices : 0), G(f->slice_max));
	row("user-space memory, resident",
	    "%s bytes per idle connection (target: %d)", G(growth_each(t, f)),
	    TARGET_BYTES);
	row("", "(all its growth; %s after the messages)",
	    G(growth_each(t, &t->talked)));
	if (t->run->conns < f->slots * FEW)
		row("", "(with so few, the stack slots are most of it)");
	row("kernel memory, for both ends",
	    "%s bytes per connection, not in the above",
	    G(t->kernel_bytes / t->run->conns));
}

static void print_threads(const struct table *t)
{
	struct rlimit limit;
	double stack = 8 << 20;
	char name[64];

	if (getrlimit(RLIMIT_STACK, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY)
		stack = (double)limit.rlim_cur;
	snprintf(name, sizeof(name), "%s threads would take", G(t->run->conns));
	row(name, "%.1f GiB of stacks reserved",
	    (double)t->run->conns * stack / (1 << 30));
	if (t->thread_bytes)
		row("", "%s MiB resident (%s each; %d measured)",
		    G(t->run->conns * t->thread_bytes >> 20),
		    G(t->thread_bytes), THREADS);
}

void table_print(const struct table *t)
{
	putchar('\n');
	print_traffic(t);
	print_speed(t);
	putchar('\n');
	print_memory(t);
	print_threads(t);
}
