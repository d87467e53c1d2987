/* SPDX-License-Identifier: MIT */
/* Files by their names: open, stat, rename, unlink, directories. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <tuck/file.h>
#include <unistd.h>

#include "io/offload.h"
#include "io/poller.h"

struct call {
	struct tuck_file_info info;
	int fd;
	int flags;
	unsigned mode;
	size_t second;		/* where the second path begins, if any */
	char path[];
};

/* A call with a path, or with two; NULL without memory. */
static struct tuck__call *call_new(int (*fn)(void *), const char *path,
				   const char *second)
{
	size_t n = strlen(path) + 1, m = second ? strlen(second) + 1 : 0;
	struct tuck__call *job;
	struct call *c;

	job = tuck__call_new(fn, sizeof(*c) + n + m);
	if (!job)
		return NULL;
	c = (void *)job->block;
	memset(c, 0, sizeof(*c));
	memcpy(c->path, path, n);
	if (second)
		memcpy(c->path + n, second, m);
	c->second = n;
	return job;
}

static struct call *call_of(struct tuck__call *job)
{
	return (void *)job->block;
}

/* -- open -- */

static int do_open(void *block)
{
	const struct call *c = block;
	int fd = open(c->path, c->flags | O_CLOEXEC, c->mode);

	return fd < 0 ? -errno : fd;
}

static void close_unwanted(void *block, int fd)
{
	(void)block;
	if (fd >= 0)
		close(fd);
}

static tuck__noinline struct tuck__call *open_job(const char *path, int flags,
						  unsigned mode)
{
	struct tuck__call *job = call_new(do_open, path, NULL);

	if (!job)
		return NULL;
	job->discard = close_unwanted;
	call_of(job)->flags = flags;
	call_of(job)->mode = mode;
	return job;
}

/* If its number was closed behind our back. */
static tuck__noinline int opened(int fd)
{
	if (fd >= 0 && tuck__fd_of(tuck__tls, fd))
		tuck__fd_adopt(tuck__tls, fd, 0);
	return fd;
}

int tuck_file_open(const char *path, int flags, unsigned mode, tuck_ns deadline)
{
	TUCK__REQUIRE(path, -EINVAL);
	return opened(tuck__call_do(open_job(path, flags, mode), deadline));
}

/* -- stat -- */

static tuck_ns ns(const struct timespec *t)
{
	return (tuck_ns)t->tv_sec * TUCK_SEC(1) + t->tv_nsec;
}

static int told(void *block, int r, const struct stat *st)
{
	struct call *c = block;

	if (r < 0)
		return -errno;
	c->info = (struct tuck_file_info){
		.device = st->st_dev,
		.inode = st->st_ino,
		.links = st->st_nlink,
		.size = (uint64_t)st->st_size,
		.used = (uint64_t)st->st_blocks * 512,
		.mode = st->st_mode,
		.user = st->st_uid,
		.group = st->st_gid,
		.accessed = ns(&st->st_atim),
		.modified = ns(&st->st_mtim),
		.changed = ns(&st->st_ctim),
	};
	tuck__call_of(block)->out_bytes = sizeof(c->info);
	return 0;
}

static int do_fstat(void *block)
{
	struct stat st;

	return told(block, fstat(((struct call *)block)->fd, &st), &st);
}

static int do_stat(void *block)
{
	struct stat st;

	return told(block, stat(((struct call *)block)->path, &st), &st);
}

static int do_lstat(void *block)
{
	struct stat st;

	return told(block, lstat(((struct call *)block)->path, &st), &st);
}

static tuck__noinline struct tuck__call *stat_job(
	int (*fn)(void *), int fd, const char *path,
	struct tuck_file_info *ret_info)
{
	struct tuck__call *job = call_new(fn, path, NULL);

	if (!job)
		return NULL;
	call_of(job)->fd = fd;
	job->fd = fd;
	job->user = ret_info;
	job->out = &call_of(job)->info;
	return job;
}

int tuck_file_fstat(int fd, struct tuck_file_info *ret_info, tuck_ns deadline)
{
	TUCK__REQUIRE(ret_info, -EINVAL);
	return tuck__call_do(stat_job(do_fstat, fd, "", ret_info), deadline);
}

int tuck_file_stat(const char *path, struct tuck_file_info *ret_info,
		   tuck_ns deadline)
{
	TUCK__REQUIRE(path && ret_info, -EINVAL);
	return tuck__call_do(stat_job(do_stat, -1, path, ret_info), deadline);
}

int tuck_file_lstat(const char *path, struct tuck_file_info *ret_info,
		    tuck_ns deadline)
{
	TUCK__REQUIRE(path && ret_info, -EINVAL);
	return tuck__call_do(stat_job(do_lstat, -1, path, ret_info), deadline);
}

/* -- names -- */

static int do_rename(void *block)
{
	const struct call *c = block;

	return rename(c->path, c->path + c->second) < 0 ? -errno : 0;
}

static int do_unlink(void *block)
{
	const struct call *c = block;

	return unlink(c->path) < 0 ? -errno : 0;
}

static int do_mkdir(void *block)
{
	const struct call *c = block;

	return mkdir(c->path, c->mode) < 0 ? -errno : 0;
}

static int do_rmdir(void *block)
{
	const struct call *c = block;

	return rmdir(c->path) < 0 ? -errno : 0;
}

int tuck_file_rename(const char *from, const char *to, tuck_ns deadline)
{
	TUCK__REQUIRE(from && to, -EINVAL);
	return tuck__call_do(call_new(do_rename, from, to), deadline);
}

int tuck_file_unlink(const char *path, tuck_ns deadline)
{
	TUCK__REQUIRE(path, -EINVAL);
	return tuck__call_do(call_new(do_unlink, path, NULL), deadline);
}

int tuck_file_mkdir(const char *path, unsigned mode, tuck_ns deadline)
{
	struct tuck__call *job;

	TUCK__REQUIRE(path, -EINVAL);
	job = call_new(do_mkdir, path, NULL);
	if (job)
		call_of(job)->mode = mode;
	return tuck__call_do(job, deadline);
}

int tuck_file_rmdir(const char *path, tuck_ns deadline)
{
	TUCK__REQUIRE(path, -EINVAL);
	return tuck__call_do(call_new(do_rmdir, path, NULL), deadline);
}
