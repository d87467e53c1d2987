/* SPDX-License-Identifier: MIT */
/*
 * A parser that reads in straight lines and may wait at any byte, where an
 * event-driven one has to save its state. It parses in place, so the buffer's
 * contents move only between requests.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <tuck.h>

#include "resp.h"

#define GATHER_MAX 65536	/* bytes of answers; then they are written */

int resp_number(const char *text, long long min, long long max,
		long long *ret_value)
{
	long long v;
	char *end;

	errno = 0;
	v = strtoll(text, &end, 10);
	if ((!isdigit((unsigned char)*text) && *text != '-') || *end || errno ||
	    v < min || v > max)
		return -EINVAL;
	*ret_value = v;
	return 0;
}

static int flush(struct resp *r)
{
	ssize_t n = -ENOMEM;

	if (!r->out)
		return 0;
	if (fclose(r->out) == 0)
		n = tuck_write_full(r->fd, r->text, r->text_n, TUCK_FOREVER);
	r->out = NULL;
	free(r->text);
	return n < 0 ? -1 : 0;
}

/* More input, behind what is there. A client that is gone leaves n == 0. */
static int fill(struct resp *r)
{
	ssize_t n = flush(r);

	if (r->n == sizeof(r->in))
		return -1;
	if (n == 0)
		n = tuck_read(r->fd, r->in + r->n, sizeof(r->in) - r->n,
			      TUCK_FOREVER);
	r->n = n > 0 ? r->n + (size_t)n : 0;
	return n > 0 ? 0 : -1;
}

/* A line, without its end, or NULL. */
static char *get_line(struct resp *r)
{
	char *line = r->in + r->at, *end;

	while (!(end = memchr(line, '\n', r->n - r->at)))
		if (fill(r) < 0)
			return NULL;
	r->at = (size_t)(end + 1 - r->in);
	if (end > line && end[-1] == '\r')
		end--;
	*end = 0;
	return line;
}

/* An argument, which its length precedes. NULL, or what is wrong. */
static const char *get_arg(struct resp *r, struct resp_str *ret_arg)
{
	char *line = get_line(r);
	long long n;

	if (!line || *line != '$')
		return "expected '$'";
	if (resp_number(line + 1, 0, RESP_BYTES_MAX, &n) < 0)
		return "invalid bulk length";
	*ret_arg = (struct resp_str){ (size_t)n, r->in + r->at };
	while (r->n - r->at < ret_arg->n + 2)
		if (fill(r) < 0)
			return "too big request";
	ret_arg->p[n] = 0;
	r->at += ret_arg->n + 2;
	return NULL;
}

/* An array of arguments, or a line of words. */
static const char *get_request(struct resp *r)
{
	char *line = get_line(r), *save, *word;
	const char *why = NULL;
	long long n;

	r->argc = 0;
	r->known = NULL;
	if (!line)
		return "too big inline request";
	if (*line == '*') {
		if (resp_number(line + 1, -1, RESP_ARGS_MAX, &n) < 0)
			return "invalid multibulk length";
		while (!why && r->argc < n)
			why = get_arg(r, &r->argv[r->argc++]);
		return why;
	}
	for (word = strtok_r(line, " \t", &save); word;
	     word = strtok_r(NULL, " \t", &save)) {
		if (r->argc == RESP_ARGS_MAX)
			return "too big inline request";
		r->argv[r->argc++] = (struct resp_str){ strlen(word), word };
	}
	return NULL;
}

void resp_serve(int fd, const char *(*execute)(struct resp *r))
{
	const char *why = NULL, *line;
	struct resp r;

	memset(&r, 0, offsetof(struct resp, in));
	r.fd = fd;
	while (!why) {
		if (r.at == r.n || r.at > sizeof(r.in) / 2) {
			memmove(r.in, r.in + r.at, r.n - r.at);
			r.n -= r.at;
			r.at = 0;
		}
		why = get_request(&r);
		if (!r.out)
			r.out = open_memstream(&r.text, &r.text_n);
		if (!r.out)
			break;
		if (why && r.n > 0)
			fprintf(r.out, "-ERR Protocol error: %s\r\n", why);
		else if (!why && r.argc > 0 && (line = execute(&r)))
			fprintf(r.out, "%s\r\n", line);
		if ((why || ftell(r.out) > GATHER_MAX) && flush(&r) < 0)
			break;
	}
	tuck_fd_close(fd);
}
