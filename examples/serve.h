/* SPDX-License-Identifier: MIT */
/* What the servers share: listen, say where, a tasklet a connection. */
#ifndef SERVE_H
#define SERVE_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <tuck.h>

/* Accept for ever. Where there is no room, tuck_accept() waits a little. */
static inline int serve_all(int listener, void (*fn)(void *fd))
{
	int fd;

	for (;;) {
		fd = tuck_accept(listener, NULL, TUCK_FOREVER);
		if (fd >= 0 && tuck_go(fn, (void *)(intptr_t)fd) < 0)
			tuck_fd_close(fd);
		if (fd < 0 && fd != -EMFILE && fd != -ENFILE &&
		    fd != -ENOBUFS && fd != -ENOMEM)
			return fd;
	}
}

/* Serve each connection to an address by fn; returns what main() should. */
static inline int serve_at(const char *where, void (*fn)(void *fd))
{
	char text[TUCK_ADDR_TEXT];
	struct tuck_addr addr;
	int fd = tuck_tcp_listen(where, 0), r = fd;

	if (r >= 0)
		r = tuck_addr_local(fd, &addr);
	if (r >= 0) {
		tuck_addr_format(&addr, text, sizeof(text));
		printf("listening on %s\n", text);
		fflush(stdout);
		r = serve_all(fd, fn);
	}
	fprintf(stderr, "%s: %s\n", where, tuck_strerror(r));
	return 1;
}

#endif
