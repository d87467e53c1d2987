/* SPDX-License-Identifier: MIT */
/*
 * httpd: serves the files of a folder, /hello, and /slow/MS, an answer that
 * takes so many milliseconds, over HTTP/1.1.
 *
 * Shows straight-line code around a parser that works by callbacks (http.c),
 * a deadline against clients that are idle or slow, and files that go from
 * the kernel to the socket without a copy here.
 *
 *	build/plain/examples/httpd docs 127.0.0.1:8080
 *	curl -i http://127.0.0.1:8080/hello
 *	wrk -c 1000 -d 2 http://127.0.0.1:8080/hello
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http.h"
#include "serve.h"

#define HELLO "Hello, world!\n"
#define LIMIT_DEFAULT 30	/* seconds */

static int root;
static tuck_ns limit;

static const char *type_of(const char *path)
{
	static const char *const types[][2] = {
		{ ".html", "text/html" }, { ".txt", "text/plain" },
		{ ".css", "text/css" },	  { ".js", "text/javascript" },
		{ ".png", "image/png" },
	};
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(dot, types[i][0]) == 0)
			return types[i][1];
	return "application/octet-stream";
}

/* The path in a URL, without escapes, or why there is none. */
static const char *decode(const char *url, size_t n, char *path, size_t room)
{
	const char *end = url + n;
	char hex[3] = { 0 };

	if (n > 7 && strncasecmp(url, "http://", 7) == 0)
		for (url += 7; url < end && *url != '/'; url++)
			;
	for (; url < end && *url != '?'; url++) {
		*path = *url;
		if (*url == '%') {
			if (end - url < 3 || !isxdigit((unsigned char)url[1]) ||
			    !isxdigit((unsigned char)url[2]))
				return "400 Bad Request";
			memcpy(hex, url + 1, 2);
			*path = (char)strtol(hex, NULL, 16);
			url += 2;
		}
		if (!*path++)
			return "400 Bad Request";
		if (--room == 0)
			return "414 URI Too Long";
	}
	*path = 0;
	return NULL;
}

static int send_file(struct http *h, int file, const char *path)
{
	struct stat st;
	off_t at = 0;
	ssize_t n = 0;
	int r;

	if (fstat(file, &st) < 0 || !S_ISREG(st.st_mode))
		return http_status(h, "404 Not Found");
	r = http_reply(h, "200 OK", type_of(path), NULL, st.st_size);
	if (r != 0)
		return r;
	while (at < st.st_size &&
	       (n = tuck_sendfile(h->fd, file, &at, (size_t)(st.st_size - at),
				  tuck_after(limit))) > 0)
		;
	return at == st.st_size ? 1 : n < 0 ? (int)n : -EIO;
}

/* The path says how long, in ms: somebody waits, and nobody else. */
static int take_time(struct http *h, const char *ms)
{
	unsigned long n = strtoul(ms, NULL, 10);
	int r = tuck_sleep(
		tuck_after(TUCK_MS((tuck_ns)(n < 10000 ? n : 10000))));

	return r < 0 ? r :
		       http_reply(h, "200 OK", "text/plain", HELLO,
				  sizeof(HELLO) - 1);
}

static int answer(struct http *h)
{
	char path[1024];
	const char *status = decode(h->url, h->url_n, path, sizeof(path));
	const char *name;
	int file, r;

	if (!status && (*path != '/' || strstr(path, "..")))
		status = "400 Bad Request";
	if (status)
		return http_status(h, status);
	if (strcmp(path, "/hello") == 0)
		return http_reply(h, "200 OK", "text/plain", HELLO,
				  sizeof(HELLO) - 1);
	if (strncmp(path, "/slow/", 6) == 0)
		return take_time(h, path + 6);
	name = path + strspn(path, "/");
	/* O_NONBLOCK, for a pipe without a writer would stop everybody. */
	file = openat(root, *name ? name : "index.html",
		      O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (file < 0)
		return http_status(h, errno == EMFILE || errno == ENFILE ?
					      "503 Service Unavailable" :
					      "404 Not Found");
	r = send_file(h, file, *name ? name : ".html");
	close(file);
	return r;
}

static void serve(void *fd)
{
	http_serve((int)(intptr_t)fd, limit, answer);
}

int main(int argc, char **argv)
{
	int seconds = argc > 3 ? atoi(argv[3]) : LIMIT_DEFAULT;

	if (argc < 2 || seconds < 1) {
		fprintf(stderr, "usage: %s root [address [seconds]]\n",
			argv[0]);
		return 2;
	}
	limit = TUCK_SEC(seconds);
	root = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) {
		fprintf(stderr, "%s: %s\n", argv[1], tuck_strerror(-errno));
		return 1;
	}
	return serve_at(argc > 2 ? argv[2] : "127.0.0.1:8080", serve);
}
