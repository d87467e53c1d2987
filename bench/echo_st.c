/* SPDX-License-Identifier: MIT */
/* The echo server of State Threads: a thread a connection. */
#include <st.h>
#include <stdint.h>
#include "echo.h"

enum { STACK = 2 * ECHO_BUFFER };

static void *serve(void *arg)
{
	char buf[ECHO_BUFFER];
	ssize_t n;

	while ((n = st_read(arg, buf, sizeof(buf), ST_UTIME_NO_TIMEOUT)) > 0)
		if (st_write(arg, buf, (size_t)n, ST_UTIME_NO_TIMEOUT) < n)
			break;
	st_netfd_close(arg);
	return NULL;
}

int main(void)
{
	st_netfd_t listener, c;

	echo_begin();
	st_set_eventsys(ST_EVENTSYS_ALT);
	if (st_init())
		echo_fail("st_init");
	listener = st_netfd_open_socket(echo_listen());
	for (;;) {
		c = st_accept(listener, NULL, NULL, ST_UTIME_NO_TIMEOUT);
		if (!c)
			echo_fail("st_accept");
		echo_nodelay(st_netfd_fileno(c));
		if (!st_thread_create(serve, c, 0, STACK))
			st_netfd_close(c);
	}
}
