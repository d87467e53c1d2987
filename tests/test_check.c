/* SPDX-License-Identifier: MIT */
/* The harness itself: that it sees what is wrong, and only that. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void nothing(void)
{
}

static void check_fails(void)
{
	CHECK_EQ(1 + 1, 3);
}

static void crashes(void)
{
	raise(SIGSEGV);
}

static void hangs(void)
{
	for (;;)
		pause();
}

static void skips(void)
{
	SKIP("no moon tonight");
}

static void leaves_early(void)
{
	exit(0);
}

static void fails_at_exit(void)
{
	atexit(check_fails);
}

static int run(void (*fn)(void))
{
	struct test t = { "inner", fn, fn == hangs ? 1 : 60, 0, NULL };

	return check_run(&t);
}

TEST(pass)
{
	CHECK_EQ(run(nothing), TEST_OK);
}

TEST(failure)
{
	CHECK_EQ(run(check_fails), TEST_FAILED);
	CHECK(strstr(check_why(), "test_check.c:"));
	CHECK(strstr(check_why(), "1 + 1 == 3: 2, not 3"));
}

TEST(crash)
{
	signal(SIGSEGV, SIG_DFL);	/* a sanitizer takes it otherwise */
	CHECK_EQ(run(crashes), TEST_FAILED);
	CHECK(strstr(check_why(), "killed by signal 11"));
}

TEST(hang)
{
	setenv("TEST_TIME_SCALE", "1", 1);
	CHECK_EQ(run(hangs), TEST_FAILED);
	CHECK(strstr(check_why(), "still running after "));
}

TEST(skip)
{
	CHECK_EQ(run(skips), TEST_SKIPPED);
	CHECK_STR(check_why(), "no moon tonight");
}

TEST(early_exit)
{
	CHECK_EQ(run(leaves_early), TEST_FAILED);
	CHECK_STR(check_why(), "exited with status 0");
	CHECK_EQ(run(fails_at_exit), TEST_FAILED);
}

static int pipe_fds[2];

static void leaves_a_child(void)
{
	if (fork() == 0)
		hangs();
}

/* End of file arrives only if the grandchild, who holds a copy, is gone. */
TEST(no_survivors)
{
	char c;

	CHECK(pipe(pipe_fds) == 0);
	CHECK_EQ(run(leaves_a_child), TEST_OK);
	close(pipe_fds[1]);
	CHECK_EQ(read(pipe_fds[0], &c, 1), 0);
}

TEST(dies)
{
	CHECK_DIES(3, "bye", {
		fputs("good bye\n", stderr);
		exit(3);
	});
	CHECK_DIES(-SIGKILL, "", { raise(SIGKILL); });
	CHECK_DIES(0, "", {});
}

TEST(comparisons)
{
	CHECK_STR("a", "a");
	CHECK_MEM("abc", "abd", 2);
	CHECK_DIES(TEST_FAILED, "", { CHECK_STR("a", NULL); });
	CHECK_DIES(TEST_FAILED, "", { CHECK_MEM("abc", "abd", 3); });
}
