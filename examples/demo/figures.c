/* SPDX-License-Identifier: MIT */
/* Measures memory, and carries the server's figures as a line of text. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

int figures_format(const struct figures *f, char line[LINE_BYTES])
{
	return snprintf(line, LINE_BYTES, "%ld %ld %ld %ld %ld %ld %ld\n",
			f->slices, f->slice_bytes, f->slice_max, f->slots,
			f->resident_bytes, f->user_us, f->kernel_us);
}

bool figures_parse(struct figures *f, const char *line)
{
	return sscanf(line, "%ld %ld %ld %ld %ld %ld %ld", &f->slices,
		      &f->slice_bytes, &f->slice_max, &f->slots,
		      &f->resident_bytes, &f->user_us, &f->kernel_us) == 7;
}

ssize_t read_line(int fd, char line[LINE_BYTES], tuck_ns deadline)
{
	size_t n = 0;
	ssize_t r;

	do {
		r = tuck_read(fd, line + n, LINE_BYTES - 1 - n, deadline);
		if (r <= 0)
			return r;
		n += (size_t)r;
	} while (line[n - 1] != '\n' && n < LINE_BYTES - 1);
	line[n - 1] = '\0';
	return (ssize_t)n;
}

long proc_bytes(const char *file, const char *name)
{
	FILE *f = fopen(file, "r");
	char line[256];
	size_t n = strlen(name);
	long kb = 0;

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, name, n) == 0)
			sscanf(line + n, "%ld", &kb);
	if (f)
		fclose(f);
	return kb * 1024;
}

/* The roll-up is exact; the other is what older kernels have. */
long resident_bytes(void)
{
	long bytes = proc_bytes("/proc/self/smaps_rollup", "Anonymous:");

	return bytes ? bytes : proc_bytes("/proc/self/status", "RssAnon:");
}

/* -- threads, for comparison -- */

static void *thread(void *arg)
{
	int fd = *(int *)arg;
	char buf[READ_BUFFER];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) < 0)
			break;
	close(fd);
	return NULL;
}

/* Start one and let it answer once, so that it has touched its stack. */
static bool start_thread(pthread_t *ret_thread, int fds[2])
{
	char message[MESSAGE_BYTES] = { 0 };

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return false;
	if (pthread_create(ret_thread, NULL, thread, &fds[1]) != 0) {
		close(fds[0]);
		close(fds[1]);
		return false;
	}
	return write(fds[0], message, sizeof(message)) > 0 &&
	       read(fds[0], message, sizeof(message)) > 0;
}

long thread_bytes(void)
{
	pthread_t threads[THREADS];
	int fds[THREADS][2], n;
	long before = resident_bytes(), growth;

	for (n = 0; n < THREADS; n++)
		if (!start_thread(&threads[n], fds[n]))
			break;
	growth = resident_bytes() - before;
	for (int i = 0; i < n; i++) {
		close(fds[i][0]);
		pthread_join(threads[i], NULL);
	}
	return n == THREADS ? growth / THREADS : 0;
}
