/* SPDX-License-Identifier: MIT */
/*
 * The echo server of Tuck: a tasklet a connection, with its buffer on its
 * stack.
 */
#include <tuck.h>
#include "echo.h"

static void serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[ECHO_BUFFER];
	ssize_t n;

	while ((n = tuck_read(fd, buf, sizeof(buf), TUCK_FOREVER)) > 0)
		if (tuck_write_full(fd, buf, (size_t)n, TUCK_FOREVER) < 0)
			break;
	tuck_fd_close(fd);
}

int main(void)
{
	struct tuck_addr addr;
	int listener, fd;

	echo_begin();
	listener = tuck_tcp_listen("127.0.0.1:0", ECHO_BACKLOG);
	if (listener < 0 || tuck_addr_local(listener, &addr))
		return 1;
	echo_announce((struct sockaddr_in *)&addr.sa);
	while ((fd = tuck_accept(listener, NULL, TUCK_FOREVER)) >= 0)
		if (tuck_go(serve, (void *)(intptr_t)fd) < 0)
			tuck_fd_close(fd);
	fprintf(stderr, "accept: %s\n", tuck_strerror(fd));
	return 1;
}
