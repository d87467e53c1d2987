/* SPDX-License-Identifier: MIT */
/*
 * echo: sends back what it is sent.
 *
 * Shows the textbook server: a tasklet a connection, which reads and writes
 * as if it were alone, into a buffer on its stack. While it waits for input
 * the buffer costs nothing: what a read is going to overwrite is not kept.
 *
 *	build/plain/examples/echo 127.0.0.1:7007
 *	bash -c 'exec 3<>/dev/tcp/127.0.0.1/7007; echo hello >&3; head -1 <&3'
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <tuck.h>

static void serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[16384];
	ssize_t n;

	while ((n = tuck_read(fd, buf, sizeof(buf), TUCK_FOREVER)) > 0)
		if (tuck_write_full(fd, buf, (size_t)n, TUCK_FOREVER) < 0)
			break;
	tuck_fd_close(fd);
}

/* Accept for ever. Where there is no room, tuck_accept() waits a little. */
static int serve_all(int listener)
{
	int fd;

	for (;;) {
		fd = tuck_accept(listener, NULL, TUCK_FOREVER);
		if (fd >= 0 && tuck_go(serve, (void *)(intptr_t)fd) < 0)
			tuck_fd_close(fd);
		if (fd < 0 && fd != -EMFILE && fd != -ENFILE &&
		    fd != -ENOBUFS && fd != -ENOMEM)
			return fd;
	}
}

int main(int argc, char **argv)
{
	const char *where = argc > 1 ? argv[1] : "127.0.0.1:7007";
	char text[TUCK_ADDR_TEXT];
	struct tuck_addr addr;
	int fd = tuck_tcp_listen(where, 0), r = fd;

	if (r >= 0)
		r = tuck_addr_local(fd, &addr);
	if (r >= 0) {
		tuck_addr_format(&addr, text, sizeof(text));
		printf("listening on %s\n", text);
		fflush(stdout);
		r = serve_all(fd);
	}
	fprintf(stderr, "%s: %s\n", where, tuck_strerror(r));
	return 1;
}
