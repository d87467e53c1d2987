/* SPDX-License-Identifier: MIT */
/* Whole files, each in one offloaded call: load, and save at one stroke. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tuck/file.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/offload.h"

#define PIECE ((size_t)256 * 1024)

/* -- load -- */

struct loaded {
	char *data;
	size_t n;
};

struct load {
	struct loaded it;
	size_t max, room;
	char path[];
};

/* Room for some bytes, for one to see that there are too many, and for a 0. */
static int make_room(struct load *l, size_t expected)
{
	size_t room = l->room + (l->room ? l->room : expected);
	char *more;

	if (room > l->max || room < expected)
		room = l->max;
	if (room > PTRDIFF_MAX - 2)
		return -ENOMEM;
	more = tuck__resize(l->it.data, room + 2);
	if (!more)
		return -ENOMEM;
	l->it.data = more;
	l->room = room;
	return 0;
}

static int read_some(int fd, struct load *l)
{
	size_t n = l->room + 1 - l->it.n;
	ssize_t r = read(fd, l->it.data + l->it.n, n < PIECE ? n : PIECE);

	if (r < 0)
		return -errno;
	l->it.n += (size_t)r;
	if (r == 0 || l->it.n <= l->room)
		return r > 0;
	if (l->room == l->max)
		return -EFBIG;
	return make_room(l, 0) < 0 ? -ENOMEM : 1;
}

static int load_from(int fd, struct load *l)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > 0 && (uint64_t)st.st_size > l->max)
		return -EFBIG;
	r = make_room(l, st.st_size > 0 ? (size_t)st.st_size : 4096);
	while (r == 0 && (r = read_some(fd, l)) > 0)
		r = 0;
	return r;
}

static int do_load(void *block)
{
	struct load *l = block;
	int fd = open(l->path, O_RDONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = load_from(fd, l);
	close(fd);
	if (r < 0) {
		tuck__free(l->it.data);
		l->it.data = NULL;
		return r;
	}
	l->it.data[l->it.n] = 0;
	tuck__call_of(block)->out_bytes = sizeof(l->it);
	return 0;
}

static void free_unwanted(void *block, int result)
{
	(void)result;
	tuck__free(((struct load *)block)->it.data);
}

static tuck__noinline struct tuck__call *load_job(const char *path, size_t max,
						  struct loaded *ret_loaded)
{
	size_t n = strlen(path) + 1;
	struct tuck__call *call = tuck__call_new(do_load,
						 sizeof(struct load) + n);
	struct load *l;

	if (!call)
		return NULL;
	l = (void *)call->block;
	*l = (struct load){ .max = max };
	memcpy(l->path, path, n);
	call->discard = free_unwanted;
	call->user = ret_loaded;
	call->out = &l->it;
	return call;
}

ssize_t tuck_file_load(const char *path, size_t max, void **ret_data,
		       tuck_ns deadline)
{
	struct loaded loaded;
	int r;

	TUCK__REQUIRE(path && ret_data, -EINVAL);
	r = tuck__call_do(load_job(path, max, &loaded), deadline);
	if (r < 0)
		return r;
	*ret_data = loaded.data;
	return (ssize_t)loaded.n;
}

/* -- save -- */

#define SUFFIX ".XXXXXX"

struct save {
	unsigned mode;
	size_t n;
	char *data;		/* behind the paths */
	char *temp;
	char path[];
};

static int write_to(int fd, const struct save *s)
{
	size_t done = 0;
	ssize_t r;

	for (; done < s->n; done += (size_t)r) {
		r = write(fd, s->data + done, s->n - done);
		if (r < 0)
			return -errno;
	}
	if (fchmod(fd, s->mode) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int write_temp(struct save *s)
{
	int fd = mkostemp(s->temp, O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = write_to(fd, s);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(s->temp, s->path) < 0)
		r = -errno;
	if (r < 0)
		unlink(s->temp);
	return r;
}

/* The directory's entry is data of the directory. */
static int sync_parent(char *path)
{
	char *slash = strrchr(path, '/');
	int fd, r;

	if (slash)
		slash[slash == path] = 0;
	fd = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
	close(fd);
	return r;
}

static int do_save(void *block)
{
	struct save *s = block;
	int r = write_temp(s);

	return r < 0 ? r : sync_parent(s->path);
}

static tuck__noinline struct tuck__call *save_job(const char *path,
						  const void *data, size_t n,
						  unsigned mode)
{
	size_t len = strlen(path),
	       head = sizeof(struct save) + len + 1 + len + sizeof(SUFFIX);
	struct tuck__call *call;
	struct save *s;

	call = n <= PTRDIFF_MAX - head ? tuck__call_new(do_save, head + n) :
					 NULL;
	if (!call)
		return NULL;
	s = (void *)call->block;
	s->mode = mode;
	s->n = n;
	s->temp = s->path + len + 1;
	s->data = s->temp + len + sizeof(SUFFIX);
	memcpy(s->path, path, len + 1);
	memcpy(s->temp, path, len);
	memcpy(s->temp + len, SUFFIX, sizeof(SUFFIX));
	if (n)
		memcpy(s->data, data, n);
	return call;
}

int tuck_file_save(const char *path, const void *data, size_t n, unsigned mode,
		   tuck_ns deadline)
{
	TUCK__REQUIRE(path && (data || !n), -EINVAL);
	return tuck__call_do(save_job(path, data, n, mode), deadline);
}
