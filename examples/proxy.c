/* SPDX-License-Identifier: MIT */
/*
 * proxy: passes TCP connections on to another server.
 *
 * Shows two tasklets that share a connection, one for each direction. Each
 * copies until its source ends and hands the end on: so a client may close
 * its half and still read the answer. The one that ends last closes both.
 *
 *	build/plain/examples/proxy 127.0.0.1:8081 127.0.0.1:8080
 *	curl http://127.0.0.1:8081/hello	(with httpd on port 8080)
 */
#include <stdlib.h>

#include "serve.h"

#define CONNECT_LIMIT TUCK_SEC(10)

struct pair {
	int client, server;
	int pumps;		/* that still run */
};

static const char *upstream = "127.0.0.1:8080";

static void release(struct pair *p)
{
	if (--p->pumps > 0)
		return;
	tuck_fd_close(p->client);
	tuck_fd_close(p->server);
	free(p);
}

/*
 * A source that ends has its end passed on, and the other direction lasts.
 * One that fails is dead both ways, and there is nobody left to answer.
 */
static void pump(int from, int to)
{
	char buf[16384];
	ssize_t n;

	while ((n = tuck_read(from, buf, sizeof(buf), TUCK_FOREVER)) > 0)
		if (tuck_write_full(to, buf, (size_t)n, TUCK_FOREVER) < 0)
			return;
	shutdown(to, n < 0 ? SHUT_RDWR : SHUT_WR);
}

static void answers(void *arg)
{
	struct pair *p = arg;

	pump(p->server, p->client);
	release(p);
}

static void connection(void *fd)
{
	struct pair *p = malloc(sizeof(*p));
	int client = (int)(intptr_t)fd;
	int r = tuck_tcp_connect(upstream, tuck_after(CONNECT_LIMIT));

	if (r < 0)
		fprintf(stderr, "%s: %s\n", upstream, tuck_strerror(r));
	if (r < 0 || !p) {
		tuck_fd_close(client);
		if (r >= 0)
			tuck_fd_close(r);
		free(p);
		return;
	}
	*p = (struct pair){ .client = client, .server = r, .pumps = 1 };
	if (tuck_go(answers, p) > 0) {
		p->pumps++;
		pump(p->client, p->server);
	}
	release(p);
}

int main(int argc, char **argv)
{
	struct tuck_addr addr;

	if (argc > 2)
		upstream = argv[2];
	if (tuck_addr_parse(&addr, upstream) < 0) {
		fprintf(stderr, "usage: %s [address [upstream]]\n", argv[0]);
		return 2;
	}
	return serve_at(argc > 1 ? argv[1] : "127.0.0.1:8081", connection);
}
