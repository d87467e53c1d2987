/* SPDX-License-Identifier: MIT */
/*
 * Libc's calls with each request of the hook's for memory failing in turn: an
 * error that the call may have, nothing lost, and all works afterwards.
 */
#include <netdb.h>
#include <pthread.h>
#include <sys/resource.h>

#include "hooked.h"

static int fail_in;		/* the how-manieth request fails; 0: none */
static int fds[2], ended, err;

void *__real_calloc(size_t n, size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

static bool fails(void)
{
	return fail_in > 0 && --fail_in == 0;
}

void *__wrap_calloc(size_t n, size_t bytes)
{
	return fails() ? NULL : __real_calloc(n, bytes);
}

void *__wrap_malloc(size_t bytes)
{
	return fails() ? NULL : __real_malloc(bytes);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

/* Each says 0, or what error it was told. */
typedef int call_fn(void);

static int call_read(void)
{
	char c = 0;

	if (read(fds[0], &c, 1) != 1)
		return errno;
	CHECK_EQ(c, 'x');
	return 0;
}

static int call_poll(void)
{
	struct pollfd p = { .fd = fds[0], .events = POLLIN };

	return poll(&p, 1, -1) == 1 ? call_read() : errno;
}

static int call_select(void)
{
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fds[0], &in);
	return select(fds[0] + 1, &in, NULL, NULL, NULL) == 1 ? call_read() :
								errno;
}

static int call_splice(void)
{
	int ends[2], r;

	pipe_pair(ends);
	r = splice(fds[0], NULL, ends[1], NULL, 1, 0) == 1 ? 0 : errno;
	close(ends[0]);
	close(ends[1]);
	return r;
}

static int call_getaddrinfo(void)
{
	struct addrinfo *found;
	int r = getaddrinfo("localhost", "80", NULL, &found);

	if (r == 0)
		freeaddrinfo(found);
	CHECK(r == 0 || r == EAI_MEMORY);
	return r ? ENOMEM : 0;
}

static int call_getnameinfo(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	char host[NI_MAXHOST];
	int r;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	r = getnameinfo((struct sockaddr *)&sin, sizeof(sin), host,
			sizeof(host), NULL, 0, 0);
	CHECK(r == 0 || r == EAI_MEMORY);
	return r ? ENOMEM : 0;
}

static int call_gethostbyname(void)
{
	if (gethostbyname("localhost"))
		return 0;
	CHECK_EQ(h_errno, TRY_AGAIN);
	return ENOMEM;
}

static call_fn *call;

static void make_call(void *arg)
{
	(void)arg;
	err = call();
	ended = 1;
}

/* What the others need comes first, so that only this one's fails. */
static void attempt(int nth)
{
	stream_pair(fds);
	ended = 0;
	fail_in = nth;
	go(make_call, NULL);
	settle();
	fail_in = 0;
	raw_write(fds[1], "x", 1);
	WAIT_FOR(ended);
	if (err)
		CHECK_EQ(call(), 0);	/* the byte is still there */
	close(fds[0]);
	close(fds[1]);
}

static void fail_each(call_fn *fn, int at_least)
{
	int nth = 1;

	call = fn;
	for (;; nth++) {
		attempt(nth);
		if (err == 0)
			break;
		CHECK_EQ(err, ENOMEM);
		CHECK(nth < 20);
	}
	CHECK(nth > at_least);
}

HOOKED_TEST(without_memory_a_call_says_so)
{
	fail_each(call_read, 2);	/* the proc's part, too */
	fail_each(call_poll, 1);
	fail_each(call_select, 2);
	fail_each(call_splice, 1);
	fail_each(call_getaddrinfo, 2);
	fail_each(call_getnameinfo, 1);
	fail_each(call_gethostbyname, 2);
}

/* The first wait of a proc needs a descriptor. */
HOOKED_TEST(without_a_descriptor_a_call_says_so)
{
	struct rlimit limit, none;

	stream_pair(fds);
	tuck_self();
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 1;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	CHECK_EQ(call_read(), EMFILE);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	raw_write(fds[1], "x", 1);
	CHECK_EQ(call_read(), 0);
}

/* -- a condition, whose mutex is somebody's -- */

static pthread_mutex_t owned = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void wait_for_signal(void *arg)
{
	(void)arg;
	CHECK_EQ(pthread_mutex_lock(&owned), 0);
	CHECK_EQ(pthread_cond_wait(&cond, &owned), 0);
	CHECK_EQ(fail_in, 0);
	CHECK_EQ(pthread_mutex_unlock(&owned), 0);
}

HOOKED_TEST(who_waited_for_a_condition_has_the_mutex)
{
	tuck_id id = go(wait_for_signal, NULL);

	settle();
	CHECK_EQ(pthread_cond_signal(&cond), 0);
	fail_in = 1;
	finish(id);
}
