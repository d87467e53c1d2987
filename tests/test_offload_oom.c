/* SPDX-License-Identifier: MIT */
/*
 * Offloaded calls with the 1st, 2nd, 3rd ... request for memory failing, once
 * and for good: a clean error, and all works afterwards. Each try is a process
 * of its own, so that the first thread is among what fails, and goes on as if
 * nothing had happened.
 */
#include <errno.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "offloads.h"

#define TRIES_MAX 60

typedef int scenario(void);

/* Exit status: whether it was told, and whether there was so many. */
enum { UNTOLD, TOLD, NO_MORE };

static int try(scenario *fn, long nth, int lasting)
{
	int fds = count_fds(), r;
	long seen;

	tuck__fault_set(nth, lasting);
	r = fn();
	seen = tuck__fault_count();
	tuck__fault_set(0, 0);
	CHECK(r == 0 || r == -ENOMEM);
	CHECK_EQ(fn(), 0);
	WAIT_FOR(offloads().running == 0);
	CHECK_EQ(offloads().queued, 0);
	CHECK_EQ(count_fds(), fds);
	return r < 0 ? TOLD : seen < nth ? NO_MORE : UNTOLD;
}

static int try_in_process(scenario *fn, long nth, int lasting)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		exit(try(fn, nth, lasting));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) <= NO_MORE);
	return WEXITSTATUS(status);
}

static void check_all(scenario *fn, int told_min)
{
	NOT_UNDER_TSAN("it lets no child of threads make threads");
	for (int lasting = 0; lasting < 2; lasting++) {
		int told = 0, end = UNTOLD;

		for (long n = 1; n < TRIES_MAX && end != NO_MORE; n++) {
			end = try_in_process(fn, n, lasting);
			told += end == TOLD;
		}
		CHECK_EQ(end, NO_MORE);
		CHECK(told >= told_min);
	}
}

static int add_one(void *arg)
{
	(*(int *)arg)++;
	return 0;
}

static int call(void)
{
	int n = 1, r;

	r = tuck_offload(add_one, &n, sizeof(n), TUCK_FOREVER);
	CHECK_EQ(n, r < 0 ? 1 : 2);
	return r;
}

/* Scheduler, job, lane, pool, worker, what the tasklet holds it by. */
TEST(a_call)
{
	check_all(call, 6);
}

static int call_until(void)
{
	int n = 1;

	return tuck_offload(add_one, &n, sizeof(n), patience());
}

TEST(a_call_with_a_deadline)
{
	check_all(call_until, 7);
}

static int result;

static void call_there(void *arg)
{
	(void)arg;
	result = call_until();
}

/* Others have the only slot meanwhile, so who waits must be tucked. */
static int call_in_tasklets(void)
{
	tuck_id ids[3];
	int worst = 0;

	for (int i = 0; i < 3; i++) {
		result = -ENOMEM;
		ids[i] = tuck_go(call_there, NULL);
		if (ids[i] < 0)
			return (int)ids[i];
		finish(ids[i]);
		worst = result < 0 ? result : worst;
	}
	return worst;
}

TEST(calls_of_tasklets)
{
	share_slots(1);
	check_all(call_in_tasklets, 6);
}

static int use_file(void)
{
	char text[5];
	int fd, r;

	fd = tuck_file_open("/proc/self/stat", O_RDONLY, 0, TUCK_FOREVER);
	if (fd < 0)
		return fd;
	r = (int)tuck_file_pread(fd, text, 5, 0, TUCK_FOREVER);
	if (r >= 0)
		CHECK_EQ(r, 5);
	tuck_fd_close(fd);
	return r < 0 ? r : 0;
}

TEST(open_and_read)
{
	check_all(use_file, 7);
}

static int use_whole(void)
{
	struct tuck_dir *dir;
	void *data;
	ssize_t r;

	r = tuck_dir_read("/proc/self", &dir, TUCK_FOREVER);
	if (r < 0)
		return (int)r;
	CHECK(dir->n > 20);
	tuck_dir_free(dir);
	r = tuck_file_load("/proc/self/maps", 1 << 20, &data, TUCK_FOREVER);
	if (r < 0)
		return (int)r;
	free(data);
	return 0;
}

TEST(list_and_load)
{
	check_all(use_whole, 11);
}

static int save_it(void)
{
	char path[] = "/tmp/tuck-save-XXXXXX";
	int fd = mkstemp(path), r;

	close(fd);
	r = tuck_file_save(path, "text", 4, 0600, TUCK_FOREVER);
	CHECK_EQ(unlink(path), 0);
	return r;
}

TEST(saving)
{
	check_all(save_it, 6);
}
