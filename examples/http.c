/* SPDX-License-Identifier: MIT */
/*
 * llhttp, the parser of Node.js, in a tasklet. It knows nothing of tasklets,
 * and its callbacks do not wait. It is paused behind each request, since more
 * of them may follow in the buffer.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "http.h"

#define LINGER TUCK_SEC(1)

static int on_url(llhttp_t *parser, const char *at, size_t n)
{
	struct http *h = parser->data;

	if (h->url_n == 0)
		h->url = at;
	h->url_n += n;
	return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
	struct http *h = parser->data;

	if (parser->method != HTTP_GET && parser->method != HTTP_HEAD)
		h->error = "405 Method Not Allowed";
	else if (parser->content_length > 0 || (parser->flags & F_CHUNKED))
		h->error = "413 Content Too Large";
	return h->error ? -1 : 0;
}

static int on_message_complete(llhttp_t *parser)
{
	(void)parser;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_url = on_url,
	.on_headers_complete = on_headers_complete,
	.on_message_complete = on_message_complete,
};

/* More input. One deadline ends idle clients and slow ones. */
static int fill(struct http *h, tuck_ns deadline)
{
	ssize_t n;

	if (h->n == sizeof(h->buf)) {
		h->error = "431 Request Header Fields Too Large";
		return -1;
	}
	n = tuck_read(h->fd, h->buf + h->n, sizeof(h->buf) - h->n, deadline);
	if (n == -ETIMEDOUT && h->n > 0)
		h->error = "408 Request Timeout";
	if (n <= 0)
		return -1;
	h->n += (size_t)n;
	return 0;
}

/* 1: there is a request. 0: there is none, because of h->error if any. */
static int get_request(struct http *h)
{
	tuck_ns deadline = tuck_after(h->limit);
	enum llhttp_errno err;

	llhttp_init(&h->parser, HTTP_REQUEST, &settings);
	h->parser.data = h;
	h->url_n = 0;
	memmove(h->buf, h->buf + h->at, h->n - h->at);
	h->n -= h->at;
	h->at = 0;
	while ((err = llhttp_execute(&h->parser, h->buf + h->at,
				     h->n - h->at)) == HPE_OK) {
		h->at = h->n;
		if (fill(h, deadline) < 0)
			return 0;
	}
	if (err != HPE_PAUSED && !h->error)
		h->error = "400 Bad Request";
	h->at = (size_t)(llhttp_get_error_pos(&h->parser) - h->buf);
	return err == HPE_PAUSED;
}

static int keeps_alive(const struct http *h)
{
	return !h->error && llhttp_should_keep_alive(&h->parser);
}

int http_reply(struct http *h, const char *status, const char *type,
	       const char *body, long long bytes)
{
	int head = h->parser.method == HTTP_HEAD, n;
	char text[1024];
	ssize_t r;

	n = snprintf(text, sizeof(text),
		     "HTTP/1.1 %s\r\n"
		     "Allow: GET, HEAD\r\n"
		     "Content-Type: %s\r\n"
		     "Content-Length: %lld\r\n"
		     "Connection: %s\r\n\r\n%s",
		     status, type, bytes,
		     keeps_alive(h) ? "keep-alive" : "close",
		     body && !head ? body : "");
	r = tuck_write_full(h->fd, text, (size_t)n, tuck_after(h->limit));
	return r < 0 ? (int)r : body || head;
}

int http_status(struct http *h, const char *status)
{
	return http_reply(h, status, "text/plain", status,
			  (long long)strlen(status));
}

/* Unread input would make close() a reset, which may overtake the answer. */
static void linger(struct http *h)
{
	tuck_ns deadline = tuck_after(LINGER);

	shutdown(h->fd, SHUT_WR);
	while (tuck_read(h->fd, h->buf, sizeof(h->buf), deadline) > 0)
		;
}

void http_serve(int fd, tuck_ns limit, int (*answer)(struct http *h))
{
	struct http h;

	memset(&h, 0, offsetof(struct http, buf));
	h.fd = fd;
	h.limit = limit;
	while (get_request(&h))
		if (answer(&h) < 0 || !keeps_alive(&h))
			break;
	if (h.error)
		http_status(&h, h.error);
	linger(&h);
	tuck_fd_close(fd);
}
