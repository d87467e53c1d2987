/* SPDX-License-Identifier: MIT */
/* Memory from the system, with a fault point in front of it. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/sanitize.h"

static atomic_long fault_nth, fault_seen;
static atomic_int fault_lasting;

void tuck__fault_set(long nth, int lasting)
{
	atomic_store(&fault_seen, 0);
	atomic_store(&fault_lasting, lasting);
	atomic_store(&fault_nth, nth);
}

long tuck__fault_count(void)
{
	return atomic_load(&fault_seen);
}

static bool faulty(void)
{
	long nth = atomic_load_explicit(&fault_nth, memory_order_relaxed);
	long seen;

	if (tuck__likely(nth == 0))
		return false;
	seen = atomic_fetch_add(&fault_seen, 1) + 1;
	return seen == nth || (seen > nth && atomic_load(&fault_lasting));
}

__thread int tuck__calls_out __attribute__((__tls_model__("initial-exec")));

void *tuck__alloc(size_t bytes)
{
	void *p;

	if (faulty())
		return NULL;
	tuck__calls_out++;
	p = calloc(1, bytes);
	tuck__calls_out--;
	return p;
}

void *tuck__resize(void *p, size_t bytes)
{
	if (faulty())
		return NULL;
	tuck__calls_out++;
	p = realloc(p, bytes);
	tuck__calls_out--;
	return p;
}

void tuck__free(void *p)
{
	tuck__calls_out++;
	free(p);
	tuck__calls_out--;
}

size_t tuck__page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static void *map(size_t bytes, int prot)
{
	void *p;

	if (faulty())
		return NULL;
	p = mmap(NULL, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	if (p == MAP_FAILED)
		return NULL;
#if TUCK__ASAN
	__lsan_register_root_region(p, bytes);	/* it holds pointers */
#endif
	return p;
}

void *tuck__map(size_t bytes)
{
	return map(bytes, PROT_READ | PROT_WRITE);
}

void *tuck__map_reserve(size_t bytes)
{
	return map(bytes, PROT_NONE);
}

int tuck__map_commit(void *p, size_t bytes)
{
	return faulty() ? -1 : mprotect(p, bytes, PROT_READ | PROT_WRITE);
}

void tuck__map_forget(void *p, size_t bytes)
{
	madvise(p, bytes, MADV_DONTNEED);
}

void tuck__unmap(void *p, size_t bytes)
{
	if (!p)
		return;
#if TUCK__ASAN
	__lsan_unregister_root_region(p, bytes);
#endif
	munmap(p, bytes);
}

static size_t read_maps_max(void)
{
	char text[24] = "";
	int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
	long n = 0;

	if (fd >= 0) {
		if (read(fd, text, sizeof(text) - 1) > 0)
			n = strtol(text, NULL, 10);
		close(fd);
	}
	return n > 0 ? (size_t)n : 65530;
}

size_t tuck__maps_max(void)
{
	static atomic_size_t known;
	size_t n = atomic_load(&known);

	if (!n) {
		n = read_maps_max();
		atomic_store(&known, n);
	}
	return n;
}
