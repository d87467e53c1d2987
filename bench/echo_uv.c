/* SPDX-License-Identifier: MIT */
/*
 * The echo server of libuv: callbacks, one buffer for all reads. What it can
 * send at once it does; a request of its own is made for the rest only.
 */
#include <string.h>
#include <uv.h>
#include "echo.h"

static uv_loop_t loop;

struct rest {
	uv_write_t request;
	char text[];
};

static void give_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *ret_buf)
{
	static char buf[ECHO_BUFFER];

	(void)handle, (void)wanted;
	*ret_buf = uv_buf_init(buf, sizeof(buf));
}

static void on_closed(uv_handle_t *handle)
{
	free(handle);
}

static void drop(uv_stream_t *stream)
{
	if (!uv_is_closing((uv_handle_t *)stream))
		uv_close((uv_handle_t *)stream, on_closed);
}

static void on_written(uv_write_t *request, int status)
{
	if (status < 0)
		drop(request->handle);
	free(request);		/* struct rest begins with it */
}

static void write_later(uv_stream_t *stream, const char *text, size_t n)
{
	struct rest *rest = malloc(sizeof(*rest) + n);
	uv_buf_t buf;

	if (!rest) {
		drop(stream);
		return;
	}
	memcpy(rest->text, text, n);
	buf = uv_buf_init(rest->text, (unsigned)n);
	if (uv_write(&rest->request, stream, &buf, 1, on_written) < 0) {
		free(rest);
		drop(stream);
	}
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	uv_buf_t out = uv_buf_init(buf->base, n > 0 ? (unsigned)n : 0);
	ssize_t sent;

	if (n <= 0) {
		if (n < 0)
			drop(stream);
		return;
	}
	sent = uv_try_write(stream, &out, 1);
	if (sent < 0 && sent != UV_EAGAIN)
		drop(stream);
	else if (sent < n)
		write_later(stream, buf->base + (sent > 0 ? sent : 0),
			    (size_t)(n - (sent > 0 ? sent : 0)));
}

static void on_connection(uv_stream_t *listener, int status)
{
	uv_tcp_t *c = malloc(sizeof(*c));

	if (status < 0 || !c || uv_tcp_init(&loop, c)) {
		free(c);
		return;
	}
	if (uv_accept(listener, (uv_stream_t *)c) || uv_tcp_nodelay(c, 1) ||
	    uv_read_start((uv_stream_t *)c, give_buffer, on_read))
		drop((uv_stream_t *)c);
}

int main(void)
{
	uv_tcp_t listener;
	struct sockaddr_in sa;
	int len = sizeof(sa);

	echo_begin();
	if (uv_loop_init(&loop) || uv_tcp_init(&loop, &listener) ||
	    uv_ip4_addr("127.0.0.1", 0, &sa) ||
	    uv_tcp_bind(&listener, (struct sockaddr *)&sa, 0) ||
	    uv_listen((uv_stream_t *)&listener, ECHO_BACKLOG, on_connection) ||
	    uv_tcp_getsockname(&listener, (struct sockaddr *)&sa, &len))
		echo_fail("libuv");
	echo_announce(&sa);
	return uv_run(&loop, UV_RUN_DEFAULT);
}
