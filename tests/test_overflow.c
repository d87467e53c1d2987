/* SPDX-License-Identifier: MIT */
/* What a fault tells: whose stack overflowed, and nothing of other faults. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <tuck.h>

#include "trace.h"

/* The default. */
#define GUARD ((size_t)(sizeof(void *) > 4 ? 512 << 10 : 64 << 10))

/* Else the compiler touches each page of a frame itself. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-stack-clash-protection")
#endif

#define LINE "stack overflow in tasklet"

/* Frames of some size, of which only the lowest byte is touched. */
#define FRAME(bytes)							\
	static void frame_##bytes(int n);				\
	static void (*volatile deeper_##bytes)(int) = frame_##bytes;	\
	static void frame_##bytes(int n)				\
	{								\
		volatile char pad[bytes];				\
		pad[0] = (char)n;					\
		if (n > 0)						\
			deeper_##bytes(n - 1);				\
		pad[0]++;						\
	}

FRAME(100)
FRAME(1000)
FRAME(10000)
FRAME(300000)
FRAME(900000)

/* What the child wrote, and how it ended: as check_dies() has it. */
static int ends(void (*fn)(void), char *text, size_t n)
{
	int fd, status;
	size_t used = 0;
	ssize_t got;
	pid_t pid = check_fork(&fd);

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);	/* a sanitizer's handler */
		signal(SIGBUS, SIG_DFL);
		fn();
		exit(0);
	}
	while ((got = read(fd, text + used, n - 1 - used)) > 0)
		used += (size_t)got;
	text[used] = 0;
	close(fd);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	fprintf(stderr, "%s", text);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static size_t stack_bytes;

static void overflow(void *arg)
{
	void (*frame)(int) = *(void (**)(int))arg;

	fprintf(stderr, "tasklet %lld\n", (long long)tuck_self());
	frame(1000000);
}

static void run_named(void (*frame)(int))
{
	struct tuck_attr attr = { .name = "deep", .stack_bytes = stack_bytes };

	CHECK(tuck_go_with(&attr, overflow, &frame) > 0);
	for (;;)
		tuck_yield();
}

/* It dies with the one line, in which the figures are right. */
static void check_line(void (*fn)(void), size_t room, size_t guard)
{
	unsigned long long fault, used, of;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char text[4096], *line;
	long long said, id;

	CHECK_EQ(ends(fn, text, sizeof(text)), -SIGSEGV);
	CHECK_EQ(sscanf(text, "tasklet %lld\n", &said), 1);
	line = strstr(text, "tuck: ");
	CHECK(line);
	CHECK_EQ(sscanf(line,
			"tuck: " LINE " %lld \"deep\": "
			"fault at %llx, %llu of %llu bytes used",
			&id, &fault, &used, &of),
		 4);
	CHECK_EQ(id, said);
	CHECK(fault > 65536);
	CHECK(of < room + page && of + 4096 >= room);
	CHECK(used > of && used <= of + guard);
	line = strchr(line, '\n') + 1;
	if (strncmp(line, "qemu: ", 6) == 0)	/* qemu-user adds its own */
		line += strcspn(line, "\n") + 1;
	CHECK_STR(line, "");
}

static void small_frames(void)
{
	run_named(frame_100);
}

TEST(an_overflow_is_told)
{
	check_line(small_frames, 256 << 10, GUARD);
}

static void on_shared_stack(void)
{
	use_slots(1);
	tuck_go(letter, "x");
	tuck_go(letter, "y");
	run_named(frame_1000);
}

TEST(an_overflow_of_a_shared_stack_is_told)
{
	check_line(on_shared_stack, 256 << 10, GUARD);
}

static void on_own_stack(void)
{
	stack_bytes = 100 << 10;
	run_named(frame_100);
}

TEST(an_overflow_of_an_own_stack_is_told)
{
	check_line(on_own_stack, 100 << 10, GUARD);
}

static void on_configured_stack(void)
{
	struct tuck_config config = { .slot_bytes = 1 << 20 };

	CHECK_EQ(tuck_config_set(&config), 0);
	run_named(frame_10000);
}

TEST(an_overflow_of_a_larger_slot_is_told)
{
	check_line(on_configured_stack, 1 << 20, GUARD);
}

static void large_frames(void)
{
	run_named(frame_300000);
}

/* Frames that touch one byte in 300 KB do not leap over the guard. */
TEST(a_large_frame_does_not_leap_over_the_guard)
{
	if (GUARD < 300000)
		SKIP("there are not enough addresses for large guards");
	check_line(large_frames, 256 << 10, GUARD);
	stack_bytes = 40 << 10;
	check_line(large_frames, 40 << 10, GUARD);
}

static void huge_frame(void)
{
	struct tuck_config config = { .guard_bytes = 1 << 20 };

	CHECK_EQ(tuck_config_set(&config), 0);
	run_named(frame_900000);
}

TEST(the_guard_is_as_configured)
{
	check_line(huge_frame, 256 << 10, 1 << 20);
}

static void *thread(void *arg)
{
	run_named(frame_100);
	return arg;
}

static void in_thread(void)
{
	tuck_self();
	on_thread(thread, NULL);
}

TEST(an_overflow_in_another_proc_is_told)
{
	check_line(in_thread, 256 << 10, GUARD);
}

static void check_guard(void *arg)
{
	pthread_attr_t attr;
	size_t bytes = 0;

	CHECK_EQ(pthread_getattr_np(pthread_self(), &attr), 0);
	CHECK_EQ(pthread_attr_getguardsize(&attr, &bytes), 0);
	CHECK_EQ(bytes, *(size_t *)arg);
	pthread_attr_destroy(&attr);
}

/* For the main tasklet, which has the thread's own stack. */
TEST(the_threads_of_procs_have_such_a_guard)
{
	struct tuck_config config = { .guard_bytes = 3 << 20 };
	size_t bytes = GUARD;
	int n = tuck_proc_start(NULL, check_guard, &bytes);

	CHECK(n >= 0);
	CHECK_EQ(tuck_proc_join(n, TUCK_FOREVER), 0);
	bytes = config.guard_bytes;
	CHECK_EQ(tuck_config_set(&config), 0);
	n = tuck_proc_start(NULL, check_guard, &bytes);
	CHECK_EQ(tuck_proc_join(n, TUCK_FOREVER), 0);
}

/* -- other faults -- */

static char *volatile wild = (char *)64;

static void touch(void *arg)
{
	(void)arg;
	*wild = 1;
}

static void touch_wild(void)
{
	tuck_join(tuck_go(touch, NULL), TUCK_FOREVER);
}

static void check_no_line(void (*fn)(void), int how)
{
	char text[4096];

	CHECK_EQ(ends(fn, text, sizeof(text)), how);
	CHECK(!strstr(text, LINE));
}

TEST(a_wild_pointer_is_no_overflow)
{
	check_no_line(touch_wild, -SIGSEGV);
	wild = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(wild != MAP_FAILED);
	check_no_line(touch_wild, -SIGSEGV);
}

/* A page of a file behind its end. */
TEST(a_bus_error_is_no_overflow)
{
	FILE *f = tmpfile();

	CHECK(f);
	wild = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f),
		    0);
	CHECK(wild != MAP_FAILED);
	check_no_line(touch_wild, -SIGBUS);
	fclose(f);
}

static void exit_42(int sig)
{
	(void)sig;
	_exit(42);
}

/* Some CPUs, s390x for one, tell the page and no more. */
static void exit_43_at_wild(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	_exit(((uintptr_t)info->si_addr ^ (uintptr_t)wild) < 4096 ? 43 : 1);
}

static void wild_with_handler(void)
{
	signal(SIGSEGV, exit_42);
	touch_wild();
}

static void wild_with_action(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = exit_43_at_wild;
	action.sa_flags = SA_SIGINFO;
	sigaction(SIGSEGV, &action, NULL);
	touch_wild();
}

TEST(other_faults_go_to_the_handler_before)
{
	check_no_line(wild_with_handler, 42);
	check_no_line(wild_with_action, 43);
}

static void return_from(int sig)
{
	(void)sig;
	fprintf(stderr, "before\n");
}

static void overflow_with_handler(void)
{
	signal(SIGSEGV, exit_42);
	run_named(frame_100);
}

static void overflow_with_one_that_returns(void)
{
	signal(SIGSEGV, return_from);
	run_named(frame_100);
}

/* Once it is named; a handler that returns does not have it named again. */
TEST(an_overflow_goes_to_the_handler_before)
{
	char text[4096], *line;

	CHECK_EQ(ends(overflow_with_handler, text, sizeof(text)), 42);
	CHECK(strstr(text, LINE));
	CHECK_EQ(ends(overflow_with_one_that_returns, text, sizeof(text)),
		 -SIGSEGV);
	line = strstr(text, LINE);
	CHECK(line && !strstr(line + 1, LINE));
	line = strstr(line, "before");
	CHECK(line && !strstr(line + 1, "before"));
}

static void raise_segv(void)
{
	tuck_self();
	raise(SIGSEGV);
}

static void kill_with_segv(void)
{
	tuck_self();
	kill(getpid(), SIGSEGV);
	sleep(1);
}

TEST(a_signal_that_was_sent_kills)
{
	check_no_line(raise_segv, -SIGSEGV);
	check_no_line(kill_with_segv, -SIGSEGV);
}
