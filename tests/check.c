/* SPDX-License-Identifier: MIT */
/*
 * Runs the tests of a program and reports them as TAP:
 *	test_x [--list] [--repeat N] [name...]
 * Limits are multiplied by TEST_TIME_SCALE from the environment, and by the
 * number of those who share a core.
 *
 * Invariants:
 * 1. Each test runs in a process of its own, in the order of the file, with a
 *    time limit; its parent is single-threaded and never calls Tuck.
 * 2. A test passes only if its function returns and exit(0) then agrees: that
 *    is where LeakSanitizer works.
 * 3. Nothing of a test survives it: its process group is killed.
 * 4. Standard output is TAP alone; why a test failed goes to stderr, where
 *    Meson shows it, and so does what the test prints.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

/* Shared with the children: how far a test came. */
struct note {
	int returned;
	char why[240];
};

#if UNDER_MSAN
const char *__msan_default_options(void);

/* Its own exit status, 77, would be that of a skipped test. */
const char *__msan_default_options(void)
{
	return "exitcode=1";
}
#endif

#if UNDER_TSAN
const char *__tsan_default_options(void);

/* Fibers count as threads, for which each exit would wait a second. */
const char *__tsan_default_options(void)
{
	return "atexit_sleep_ms=0";
}
#endif

static struct test *tests;
static struct note *note;
static int limit_s;

/* Constructors may run in any order, so sort by line. */
void check_add(struct test *t)
{
	struct test **at = &tests;

	while (*at && (*at)->line < t->line)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
}

const char *check_why(void)
{
	return note->why;
}

int check_limit_s(void)
{
	return limit_s;
}

static void why(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void why(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(note->why, sizeof(note->why), fmt, ap);
	va_end(ap);
}

/* _exit(): after a failure, leaks and other procs are beside the point. */
void check_fail(const char *file, int line, const char *fmt, ...)
{
	const char *slash = strrchr(file, '/');
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	why("%s:%d: %s", slash ? slash + 1 : file, line, text);
	_exit(TEST_FAILED);
}

void check_skip(const char *reason)
{
	why("%s", reason);
	_exit(TEST_SKIPPED);
}

/* Without its header, which need not be there. */
int check_under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "/vgpreload_");
}

void check_eq(const char *file, int line, const char *expr, long long a,
	      long long b)
{
	if (a != b)
		check_fail(file, line, "%s: %lld, not %lld", expr, a, b);
}

void check_str(const char *file, int line, const char *expr, const char *a,
	       const char *b)
{
	a = a ? a : "(null)";
	b = b ? b : "(null)";
	if (strcmp(a, b) != 0)
		check_fail(file, line, "%s: \"%s\", not \"%s\"", expr, a, b);
}

void check_mem(const char *file, int line, const char *expr, const void *a,
	       const void *b, size_t n)
{
	size_t i = 0;

	while (i < n && ((const char *)a)[i] == ((const char *)b)[i])
		i++;
	if (i < n)
		check_fail(file, line, "%s: differ at byte %zu", expr, i);
}

pid_t check_fork(int *ret_fd)
{
	int fds[2];
	pid_t pid;

	fflush(NULL);
	CHECK(pipe(fds) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		dup2(fds[1], 2);
		close(fds[0]);
	}
	close(fds[1]);
	*ret_fd = fds[0];
	return pid;
}

void check_dies(const char *file, int line, pid_t pid, int fd, int how,
		const char *text)
{
	char said[16384];
	size_t n = 0;
	ssize_t got;
	int status = 0;

	while ((got = read(fd, said + n, sizeof(said) - 1 - n)) > 0)
		n += (size_t)got;
	said[n] = '\0';
	close(fd);
	waitpid(pid, &status, 0);
	status = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
	if (status == how && strstr(said, text))
		return;
	fprintf(stderr, "%s", said);
	if (status != how)
		check_fail(file, line, "ended with %d, not %d", status, how);
	check_fail(file, line, "stderr without \"%s\"", text);
}

static int time_scale(void)
{
	const char *s = getenv("TEST_TIME_SCALE");

	return s && atoi(s) > 0 ? atoi(s) : 1;
}

/* How many there are for each core. */
static int crowd(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	double load = 0;

	if (getloadavg(&load, 1) < 1 || cores < 1 || load < (double)cores)
		return 1;
	return (int)(load / (double)cores);
}

/* Valgrind maps the main stack as it grows, but not where a base is put. */
static void have_stack(int n)
{
	volatile char bytes[65536];

	bytes[0] = (char)n;
	if (n > 0)
		have_stack(n - 1);
	bytes[0]++;
}

static void child(const struct test *t, const sigset_t *mask)
{
	if (check_under_valgrind())
		have_stack(64);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	sigprocmask(SIG_SETMASK, mask, NULL);
	dup2(2, 1);
	t->fn();
	note->returned = 1;
	exit(0);
}

int check_run(const struct test *t)
{
	struct timespec limit = { t->limit_s * time_scale() * crowd(), 0 };
	sigset_t chld, mask;
	int status = 0, late = 0;
	pid_t pid;

	*note = (struct note){ 0, "" };
	limit_s = (int)limit.tv_sec;
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &mask);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		child(t, &mask);
	if (pid < 0) {
		why("fork: %s", strerror(errno));
		return TEST_FAILED;
	}
	setpgid(pid, pid);	/* here too: whoever comes first */
	while (!late && waitpid(pid, &status, WNOHANG) == 0)
		late = sigtimedwait(&chld, NULL, &limit) < 0 && errno == EAGAIN;
	kill(-pid, SIGKILL);
	if (late)
		waitpid(pid, &status, 0);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (late)
		why("still running after %d s", (int)limit.tv_sec);
	else if (WIFSIGNALED(status))
		why("killed by signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == TEST_SKIPPED)
		return TEST_SKIPPED;
	else if (status == 0 && note->returned)
		return TEST_OK;
	else if (!note->why[0])
		why("%s with status %d",
		    note->returned ? "returned, but exited" : "exited",
		    WEXITSTATUS(status));
	return TEST_FAILED;
}

static int report(const struct test *t, int number)
{
	int result = check_run(t);

	if (result == TEST_FAILED)
		fprintf(stderr, "# %s: %s\n", t->name, note->why);
	printf("%sok %d - %s", result == TEST_FAILED ? "not " : "", number,
	       t->name);
	if (result == TEST_SKIPPED)
		printf(" # SKIP %s", note->why);
	printf("\n");
	fflush(stdout);
	return result == TEST_FAILED;
}

/* Without names, every test is chosen. */
static int chosen(const struct test *t, char **names)
{
	if (!*names)
		return 1;
	while (*names && strcmp(*names, t->name) != 0)
		names++;
	return *names != NULL;
}

int main(int argc, char **argv)
{
	int failed = 0, n = 0, done = 0, repeat = 1, list = 0;
	const char *seed = getenv("TUCK_SEED"), *policy = getenv("TUCK_POLICY");

	(void)argc;
	for (argv++; *argv && (*argv)[0] == '-'; argv++) {
		if (strcmp(*argv, "--list") == 0)
			list = 1;
		else if (strcmp(*argv, "--repeat") == 0 && argv[1])
			repeat = atoi(*++argv);
		else
			return fprintf(stderr, "no such option\n"), 2;
	}
	for (struct test *t = tests; t; t = t->next) {
		n += chosen(t, argv);
		if (list)
			puts(t->name);
	}
	if (list)
		return 0;
	note = mmap(NULL, sizeof(*note), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (note == MAP_FAILED || n == 0)
		return puts("Bail out! no such test, or no memory"), 2;
	printf("1..%d\n", n * repeat);
	if (seed)
		printf("# TUCK_SEED=%s\n", seed);
	if (policy)
		printf("# TUCK_POLICY=%s\n", policy);
	while (repeat-- > 0) {
		for (struct test *t = tests; t; t = t->next) {
			if (chosen(t, argv))
				failed += report(t, ++done);
		}
	}
	return failed != 0;
}
