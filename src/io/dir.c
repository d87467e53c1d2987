/* SPDX-License-Identifier: MIT */
/* A directory, listed as a whole by a worker. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <tuck/file.h>

#include "base/mem.h"
#include "io/offload.h"

struct call {
	struct tuck_dir *dir;
	char path[];
};

/* While it is read: names one after the other, and where each begins. */
struct listing {
	struct entry {
		size_t name;
		uint64_t inode;
		int type;
	} *entries;
	size_t n, n_max;
	char *names;
	size_t bytes, bytes_max;
};

/* Room for one more of bytes each: 0 or -ENOMEM. */
static int reserve(void **p, size_t *max, size_t need, size_t bytes)
{
	size_t n = *max ? *max : 64;
	void *more;

	if (need <= *max)
		return 0;
	while (n < need)
		n *= 2;
	more = tuck__resize(*p, n * bytes);
	if (!more)
		return -ENOMEM;
	*p = more;
	*max = n;
	return 0;
}

static int add(struct listing *l, const struct dirent *d)
{
	size_t n = strlen(d->d_name) + 1;

	if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
		return 0;
	if (reserve((void **)&l->entries, &l->n_max, l->n + 1,
		    sizeof(l->entries[0])) < 0 ||
	    reserve((void **)&l->names, &l->bytes_max, l->bytes + n, 1) < 0)
		return -ENOMEM;
	l->entries[l->n++] = (struct entry){ l->bytes, d->d_ino, d->d_type };
	memcpy(l->names + l->bytes, d->d_name, n);
	l->bytes += n;
	return 0;
}

static int read_entries(const char *path, struct listing *l)
{
	DIR *dir = opendir(path);
	struct dirent *d;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (errno = 0, d = readdir(dir)) != NULL)
		r = add(l, d);
	if (r == 0)
		r = -errno;
	closedir(dir);
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct tuck_dir_entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* All of it in one block; NULL without memory. */
static struct tuck_dir *pack(const struct listing *l)
{
	struct tuck_dir_entry *entries;
	struct tuck_dir *dir;
	char *names;

	dir = tuck__alloc(sizeof(*dir) + l->n * sizeof(entries[0]) + l->bytes);
	if (!dir)
		return NULL;
	entries = (void *)(dir + 1);
	names = (char *)(entries + l->n);
	if (l->bytes)
		memcpy(names, l->names, l->bytes);
	for (size_t i = 0; i < l->n; i++) {
		const struct entry *e = &l->entries[i];

		entries[i] = (struct tuck_dir_entry){ names + e->name, e->inode,
						      e->type };
	}
	qsort(entries, l->n, sizeof(entries[0]), by_name);
	dir->n = l->n;
	dir->entries = entries;
	return dir;
}

static int do_list(void *block)
{
	struct listing l = { 0 };
	struct call *c = block;
	int r = read_entries(c->path, &l);

	if (r == 0) {
		c->dir = pack(&l);
		r = c->dir ? 0 : -ENOMEM;
	}
	tuck__free(l.entries);
	tuck__free(l.names);
	if (r == 0)
		tuck__call_of(block)->out_bytes = sizeof(c->dir);
	return r;
}

static void free_unwanted(void *block, int result)
{
	(void)result;
	tuck_dir_free(((struct call *)block)->dir);
}

static tuck__noinline struct tuck__call *list_job(const char *path,
						  struct tuck_dir **ret_dir)
{
	size_t n = strlen(path) + 1;
	struct tuck__call *job = tuck__call_new(do_list,
						sizeof(struct call) + n);
	struct call *c;

	if (!job)
		return NULL;
	c = (void *)job->block;
	c->dir = NULL;
	memcpy(c->path, path, n);
	job->discard = free_unwanted;
	job->user = ret_dir;
	job->out = &c->dir;
	return job;
}

int tuck_dir_read(const char *path, struct tuck_dir **ret_dir, tuck_ns deadline)
{
	TUCK__REQUIRE(path && ret_dir, -EINVAL);
	return tuck__call_do(list_job(path, ret_dir), deadline);
}

void tuck_dir_free(struct tuck_dir *dir)
{
	tuck__free(dir);
}
