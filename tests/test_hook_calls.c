/* SPDX-License-Identifier: MIT */
/* Libc's names, joins and locks from tasklets. */
#include <malloc.h>
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "hooked.h"
#include "offloads.h"

static int ran;

static void run(void *arg)
{
	(void)arg;
	ran++;
}

/* -- names -- */

/* Unless the other thread was as fast as that. */
static void lets_others_run(void (*ask)(void))
{
	tuck_ns end = patience();

	go(run, NULL);
	for (ran = 0; ran == 0; ask())
		CHECK(tuck_now() < end);
}

static void check_v4(const struct addrinfo *found, const char *text)
{
	const struct sockaddr_in *sin = (const void *)found->ai_addr;
	char is[INET_ADDRSTRLEN];

	CHECK_EQ(found->ai_family, AF_INET);
	inet_ntop(AF_INET, &sin->sin_addr, is, sizeof(is));
	CHECK_STR(is, text);
	CHECK_EQ(ntohs(sin->sin_port), 80);
}

HOOKED_TEST(a_number_needs_no_other_thread)
{
	struct addrinfo *found = NULL, hints = { .ai_family = AF_INET };

	go(run, NULL);
	CHECK_EQ(getaddrinfo("127.0.0.9", "80", &hints, &found), 0);
	check_v4(found, "127.0.0.9");
	freeaddrinfo(found);
	CHECK_EQ(ran, 0);
}

/* /etc/hosts has it everywhere. */
static void ask_name(void)
{
	struct addrinfo *found = NULL;

	CHECK_EQ(getaddrinfo("localhost", "80", NULL, &found), 0);
	freeaddrinfo(found);
}

HOOKED_TEST(a_name_is_asked_by_another_thread)
{
	struct addrinfo *found = NULL, hints = { .ai_family = AF_INET,
						 .ai_socktype = SOCK_STREAM };

	lets_others_run(ask_name);
	CHECK_EQ(getaddrinfo("localhost", "80", &hints, &found), 0);
	check_v4(found, "127.0.0.1");
	freeaddrinfo(found);
	hints.ai_flags = AI_NUMERICHOST;
	CHECK_EQ(getaddrinfo("localhost", "80", &hints, &found), EAI_NONAME);
	CHECK(getaddrinfo("no such name", "80", NULL, &found) != 0);
	hints = (struct addrinfo){ .ai_socktype = SOCK_DGRAM,
				   .ai_flags = AI_CANONNAME };
	CHECK_EQ(getaddrinfo("localhost", "80", &hints, &found), 0);
	CHECK(found->ai_canonname);
	for (struct addrinfo *ai = found; ai; ai = ai->ai_next)
		CHECK_EQ(ai->ai_socktype, SOCK_DGRAM);
	freeaddrinfo(found);
}

static int resolved;

static void resolve(void *arg)
{
	struct addrinfo *found, hints = { .ai_family = AF_INET };

	(void)arg;
	CHECK_EQ(getaddrinfo("localhost", "80", &hints, &found), 0);
	check_v4(found, "127.0.0.1");
	freeaddrinfo(found);
	resolved++;
}

static void go_far(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_offload_remote(NULL, wait_at_gate, NULL, 0, TUCK_FOREVER),
		 7);
}

static int pass(void *arg)
{
	(void)arg;
	return 3;
}

HOOKED_TEST(many_names_at_once)
{
	for (int i = 0; i < 200; i++)
		go(resolve, NULL);
	WAIT_FOR(resolved == 200);
}

HOOKED_TEST(names_wait_where_half_of_the_threads_ask)
{
	CHECK_EQ(tuck_offload_limit(2, 0), 0);
	go(go_far, NULL);
	WAIT_FOR(atomic_load(&at_gate) == 1);
	go(resolve, NULL);
	WAIT_FOR(offloads().queued == 1);
	CHECK_EQ(tuck_offload(pass, NULL, 0, TUCK_FOREVER), 3);
	CHECK_EQ(offloads().queued, 1);
	CHECK_EQ(resolved, 0);
	open_gate();
	WAIT_FOR(resolved == 1);
}

static void resolve_older(void *arg)
{
	(void)arg;
	CHECK(gethostbyname("localhost"));
}

/* Some whose question waits for a thread, some who have an answer. */
HOOKED_TEST(who_is_killed_leaves_the_answer)
{
	tuck_id ids[20];

	for (int i = 0; i < 20; i++)
		ids[i] = go(i % 2 ? resolve : resolve_older, NULL);
	for (int i = 0; i < 20; i++)
		tuck_yield();
	for (int i = 0; i < 20; i++) {
		tuck_kill(ids[i]);
		finish(ids[i]);
	}
	resolved = 0;
	go(resolve, NULL);
	WAIT_FOR(resolved == 1);
}

/* Nor what the answer would have been put in. */
HOOKED_TEST(who_is_killed_leaves_no_buffer)
{
	size_t before = 0;

	NOT_UNDER_MSAN("its malloc has other statistics");
	for (int i = 0; i < 1100; i++) {
		tuck_id id = go(resolve_older, NULL);

		tuck_yield();
		tuck_kill(id);
		finish(id);
		if (i == 100)
			before = mallinfo2().uordblks;
	}
	WAIT_FOR(offloads().queued + offloads().running == 0);
	CHECK(mallinfo2().uordblks < before + 500000);
}

static void ask_address(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	char host[256];

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQ(getnameinfo((struct sockaddr *)&sin, sizeof(sin), host,
			     sizeof(host), NULL, 0, 0),
		 0);
}

HOOKED_TEST(an_address_gets_its_name)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons(80) };
	const struct sockaddr *addr = (const void *)&sin;
	char host[256], service[32], one[1];

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	lets_others_run(ask_address);
	CHECK_EQ(getnameinfo(addr, sizeof(sin), host, sizeof(host), service,
			     sizeof(service), NI_NUMERICSERV),
		 0);
	CHECK_STR(host, "localhost");
	CHECK_STR(service, "80");
	CHECK_EQ(getnameinfo(addr, sizeof(sin), one, sizeof(one), NULL, 0, 0),
		 EAI_OVERFLOW);
	CHECK_EQ(getnameinfo(addr, sizeof(sin), host, sizeof(host), NULL, 0,
			     NI_NUMERICHOST),
		 0);
	CHECK_STR(host, "127.0.0.1");
}

static void check_host(const struct hostent *h)
{
	CHECK(h);
	CHECK_STR(h->h_name, "localhost");
	CHECK_EQ(h->h_addrtype, AF_INET);
	CHECK_EQ(h->h_length, 4);
	CHECK_MEM(h->h_addr_list[0], "\177\0\0\1", 4);
	CHECK(h->h_addr_list[1] == NULL || h->h_addr_list[1] > (char *)1);
	CHECK(h->h_aliases != NULL);
}

static void ask_older(void)
{
	check_host(gethostbyname("localhost"));
}

HOOKED_TEST(the_older_calls_answer_too)
{
	struct hostent host, *found = NULL, *of_v6;
	char buf[2048];
	int err;

	lets_others_run(ask_older);
	check_host(gethostbyname2("localhost", AF_INET));
	of_v6 = gethostbyname2("localhost", AF_INET6);
	CHECK(!of_v6 || of_v6->h_addrtype == AF_INET6);
	check_host(gethostbyaddr("\177\0\0\1", 4, AF_INET));
	/* The caller's buffer is aligned in any way. */
	for (int at = 0; at < 16; at++) {
		CHECK_EQ(gethostbyname_r("localhost", &host, buf + at,
					 sizeof(buf) - (size_t)at, &found,
					 &err),
			 0);
		CHECK(found == &host);
		CHECK(host.h_name >= buf && host.h_name < buf + sizeof(buf));
		CHECK_EQ((uintptr_t)host.h_addr_list % sizeof(char *), 0);
		check_host(&host);
	}
	CHECK_EQ(gethostbyname2_r("localhost", AF_INET, &host, buf, sizeof(buf),
				  &found, &err),
		 0);
	check_host(found);
	CHECK_EQ(gethostbyaddr_r("\177\0\0\1", 4, AF_INET, &host, buf,
				 sizeof(buf), &found, &err),
		 0);
	check_host(found);
	CHECK_EQ(gethostbyname_r("localhost", &host, buf, 8, &found, &err),
		 ERANGE);
	CHECK(!found);
	CHECK(!gethostbyname("no such name"));
}

/* -- threads and locks -- */

static atomic_int go_on;

static void *end_when_told(void *arg)
{
	while (!atomic_load(&go_on))
		usleep(100);
	return arg;
}

static pthread_t thread;

static void join(void *arg)
{
	void *ret;

	CHECK_EQ(pthread_join(thread, &ret), 0);
	CHECK(ret == arg);
	ran++;
}

HOOKED_TEST(joining_a_thread_waits_alone)
{
	struct timespec past = { 1, 0 };

	CHECK_EQ(pthread_create(&thread, NULL, end_when_told, &ran), 0);
	go(join, &ran);
	settle();
	CHECK_EQ(ran, 0);
	CHECK_EQ(pthread_timedjoin_np(thread, NULL, &past), ETIMEDOUT);
	CHECK_EQ(pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &past),
		 ETIMEDOUT);
	atomic_store(&go_on, 1);
	WAIT_FOR(ran);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static int turn;

/* With a wait inside the lock. */
static void count_slowly(void *arg)
{
	int was;

	(void)arg;
	CHECK_EQ(pthread_mutex_lock(&mutex), 0);
	was = turn;
	usleep(100);
	turn = was + 1;
	CHECK_EQ(pthread_cond_signal(&cond), 0);
	CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
	CHECK_EQ(sem_post(&sem), 0);
}

HOOKED_TEST(a_lock_is_held_over_waits)
{
	CHECK_EQ(sem_init(&sem, 0, 0), 0);
	for (int i = 0; i < 50; i++)
		go(count_slowly, NULL);
	CHECK_EQ(pthread_mutex_lock(&mutex), 0);
	while (turn < 50)
		CHECK_EQ(pthread_cond_wait(&cond, &mutex), 0);
	CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
	for (int i = 0; i < 50; i++)
		CHECK_EQ(sem_wait(&sem), 0);
}

/* -- cancels, of which these calls cannot tell -- */

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static bool told;

static void wait_for_mutex(void)
{
	CHECK_EQ(pthread_mutex_lock(&mutex), 0);
	CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
}

static void wait_for_turn(void)
{
	CHECK_EQ(pthread_mutex_lock(&mutex), 0);
	while (!turn)
		CHECK_EQ(pthread_cond_wait(&cond, &mutex), 0);
	CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
}

static void wait_for_post(void)
{
	CHECK_EQ(sem_wait(&sem), 0);
}

static void wait_for_rwlock(void)
{
	CHECK_EQ(pthread_rwlock_wrlock(&rwlock), 0);
	CHECK_EQ(pthread_rwlock_unlock(&rwlock), 0);
}

static void wait_for_thread(void)
{
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void wait_and_say(void *fn)
{
	(*(void (*const *)(void))fn)();
	told = tuck_sleep(tuck_after(TUCK_SEC(1000))) == -ECANCELED;
	ran++;
}

static void hold_all(void)
{
	turn = ran = 0;
	CHECK_EQ(sem_init(&sem, 0, 0), 0);
	CHECK_EQ(pthread_mutex_lock(&mutex), 0);
	CHECK_EQ(pthread_rwlock_wrlock(&rwlock), 0);
	atomic_store(&go_on, 0);
	CHECK_EQ(pthread_create(&thread, NULL, end_when_told, NULL), 0);
}

static void let_all_go(void)
{
	turn = 1;
	CHECK_EQ(pthread_cond_signal(&cond), 0);
	CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
	CHECK_EQ(pthread_rwlock_unlock(&rwlock), 0);
	CHECK_EQ(sem_post(&sem), 0);
	atomic_store(&go_on, 1);
}

/* For ever, if one of them never does. */
static void others_wait(void)
{
	settle();
	let_others_wait();
}

HOOKED_TEST(who_is_cancelled_waits_on_without_a_turn)
{
	static void (*const fns[])(void) = { wait_for_mutex, wait_for_turn,
					     wait_for_post, wait_for_rwlock,
					     wait_for_thread };
	tuck_id id;

	for (int i = 0; i < 5; i++) {
		hold_all();
		if (fns[i] == wait_for_turn)
			CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
		id = go(wait_and_say, (void *)(uintptr_t)&fns[i]);
		others_wait();
		for (int twice = 0; twice < 2; twice++) {
			CHECK_EQ(tuck_cancel(id), 0);
			others_wait();
			CHECK_EQ(ran, 0);
		}
		if (fns[i] == wait_for_turn)
			CHECK_EQ(pthread_mutex_lock(&mutex), 0);
		let_all_go();
		WAIT_FOR(ran);
		CHECK(told);
		if (fns[i] != wait_for_thread)
			CHECK_EQ(pthread_join(thread, NULL), 0);
	}
}

HOOKED_TEST(who_was_cancelled_can_be_killed)
{
	static void (*const fn)(void) = wait_for_turn;
	tuck_id id;

	hold_all();
	CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
	id = go(wait_and_say, (void *)(uintptr_t)&fn);
	settle();
	CHECK_EQ(tuck_cancel(id), 0);
	settle();
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_EQ(ran, 0);
	atomic_store(&go_on, 1);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}
