/* SPDX-License-Identifier: MIT */
/* Requests without bodies, and answers to them, in HTTP/1.1 by llhttp. */
#ifndef HTTP_H
#define HTTP_H

#include <llhttp.h>
#include <stddef.h>
#include <tuck.h>

struct http {
	int fd;
	tuck_ns limit;		/* for a request, and for writing something */
	llhttp_t parser;
	const char *url;	/* of the request; it lies in buf[] */
	size_t url_n;
	const char *error;	/* the status that ends the connection */
	size_t at, n;		/* buf[at..n) is yet to be parsed */
	char buf[16384];	/* a request is at most that long */
};

/*
 * Serve the client that is connected to fd until it goes: call answer for
 * each GET and HEAD. It calls http_reply() once and returns a negative error
 * when the answer could not be sent whole. limit is the time for a request,
 * from the last answer on, and for each step of an answer.
 */
void http_serve(int fd, tuck_ns limit, int (*answer)(struct http *h));

/*
 * Send status, such as "404 Not Found", and the head of an answer; behind it
 * body, if given. 0: the caller has yet to send a body of so many bytes; 1:
 * there is no more to send; or a negative error.
 */
int http_reply(struct http *h, const char *status, const char *type,
	       const char *body, long long bytes);

/* Answer with nothing but a status. */
int http_status(struct http *h, const char *status);

#endif
