/* SPDX-License-Identifier: MIT */
/*
 * Names: what libc says of them, here by a stand-in for getaddrinfo(3) that
 * knows some more, and what becomes of who asks.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "offloads.h"
#include "peer.h"

static atomic_int asked, on_main;
static atomic_int last_flags, last_family, last_kind;
static pthread_t main_thread;

typedef int asker(const char *, const char *, const struct addrinfo *,
		  struct addrinfo **);

#if UNDER_MSAN
asker __interceptor_getaddrinfo;	/* notes what libc's writes */
#endif

static int real(const char *node, const char *service,
		const struct addrinfo *hints, struct addrinfo **ret)
{
	asker *libc;

#if UNDER_MSAN
	libc = __interceptor_getaddrinfo;
#else
	*(void **)&libc = dlsym(RTLD_NEXT, "getaddrinfo");
#endif
	return libc(node, service, hints, ret);
}

/* Some names that nobody else knows. */
static const struct {
	const char *name, *texts[3];
} known[] = {
	/* 127.0.0.2, where nobody listens, twice; then 127.0.0.1. */
	{ "three.test", { "127.0.0.2", "127.0.0.2", "127.0.0.1" } },
	{ "root.test.", { "127.0.0.1" } },
	/* 127.0.0.3, where nobody listens. */
	{ "deaf.test", { "127.0.0.3", "127.0.0.2" } },
	{ "wrong.test", { "127.0.0.2", "127.0.0.3" } },
	{ "six.test", { "::1", "127.0.0.1" } },
	{ "mixed.test", { "2001:db8::1", "2001:db8::2", "192.0.2.1" } },
};

static int list(const char *const texts[3], const char *service,
		const struct addrinfo *hints, struct addrinfo **ret)
{
	int found = EAI_NONAME;

	for (int i = 0; i < 3 && texts[i]; i++) {
		int r = real(texts[i], service, hints, ret);

		if (r == EAI_ADDRFAMILY)
			continue;
		CHECK_EQ(r, 0);
		found = 0;
		ret = &(*ret)->ai_next;
	}
	return found;
}

/* Much of the stack, as modules of nsswitch.conf(5) may have. */
static void __attribute__((noinline)) use_stack(void)
{
	char much[200 * 1024];

	memset(much, 1, sizeof(much));
	__asm__ volatile("" : : "r"(much) : "memory");
}

int getaddrinfo(const char *node, const char *service,
		const struct addrinfo *hints, struct addrinfo **ret)
{
	atomic_fetch_add(&asked, 1);
	last_flags = hints->ai_flags;
	last_family = hints->ai_family;
	last_kind = hints->ai_socktype;
	if (pthread_equal(pthread_self(), main_thread))
		atomic_fetch_add(&on_main, 1);
	if (node && strcmp(node, "slow.test") == 0) {
		wait_at_gate(NULL);
		node = "localhost";
	}
	for (size_t i = 0; node && i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(node, known[i].name) == 0)
			return list(known[i].texts, service, hints, ret);
	if (node && strcmp(node, "deep.test") == 0) {
		use_stack();
		node = "localhost";
	}
	if (node && strncmp(node, "eai-", 4) == 0) {
		errno = EMFILE;
		return -atoi(node + 4);
	}
	return real(node, service, hints, ret);
}

static int resolve(const char *text, char *ret_text)
{
	struct tuck_resolve_attr v4 = { .family = AF_INET };
	struct tuck_addr addr = { 0 };
	int r = tuck_resolve(text, &v4, &addr, 1, patience());

	tuck_addr_format(&addr, ret_text, TUCK_ADDR_TEXT);
	return r;
}

TEST(hosts_are_known)
{
	char text[TUCK_ADDR_TEXT];

	main_thread = pthread_self();
	CHECK_EQ(resolve("localhost:80", text), 1);
	CHECK_STR(text, "127.0.0.1:80");
	CHECK_EQ(resolve("localhost", text), 1);
	CHECK_STR(text, "127.0.0.1:0");
	CHECK_EQ(asked, 2);
	CHECK_EQ(on_main, 0);
}

/* The file has this text for this process alone, or it has no right to that. */
static void cover(const char *path, const char *text)
{
	char from[] = "/tmp/tuck-resolve-XXXXXX";
	int fd = mkstemp(from), r;

	CHECK(fd >= 0);
	raw_write(fd, text, strlen(text));
	CHECK_EQ(fchmod(fd, 0644), 0);
	close(fd);
	r = unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(from, path, NULL, MS_BIND, NULL) < 0;
	unlink(from);
	if (r)
		SKIP("no mounts of one's own");
}

TEST(the_file_of_hosts_is_asked)
{
	char text[TUCK_ADDR_TEXT];

	if (access("/run/nscd/socket", F_OK) == 0)
		SKIP("another process reads the file");
	cover("/etc/hosts", "192.0.2.77 only.hosts.test\n");
	CHECK_EQ(resolve("only.hosts.test:80", text), 1);
	CHECK_STR(text, "192.0.2.77:80");
}

TEST(a_name_may_end_at_the_root)
{
	char text[TUCK_ADDR_TEXT];

	CHECK_EQ(resolve("root.test.:80", text), 1);
	CHECK_STR(text, "127.0.0.1:80");
	CHECK_EQ(resolve("root.test.", text), 1);
	CHECK_EQ(asked, 2);
}

TEST(modules_of_libc_have_a_stack)
{
	struct tuck_config config = { .slot_bytes = 16 * 1024 };
	char text[TUCK_ADDR_TEXT];

	unsetenv("TUCK_SLOT_BYTES");
	CHECK_EQ(tuck_config_set(&config), 0);
	CHECK_EQ(resolve("deep.test:80", text), 1);
	CHECK_STR(text, "127.0.0.1:80");
}

TEST(numbers_ask_nobody)
{
	struct tuck_resolve_attr v4 = { .family = AF_INET };
	struct tuck_addr addr;
	char text[TUCK_ADDR_TEXT];

	CHECK_EQ(resolve("127.0.0.1:80", text), 1);
	CHECK_STR(text, "127.0.0.1:80");
	CHECK_EQ(resolve("127.0.0.1", text), 1);
	CHECK_STR(text, "127.0.0.1:0");
	CHECK_EQ(tuck_resolve("[::1]", NULL, &addr, 1, TUCK_NOWAIT), 1);
	CHECK_EQ(tuck_resolve("[::1]:5", &v4, &addr, 1, TUCK_NOWAIT), -ENODATA);
	CHECK_EQ(tuck_resolve("unix:/x", NULL, &addr, 1, TUCK_NOWAIT), 1);
	CHECK_EQ(asked, 0);
	CHECK_EQ(offloads().workers, 0);
}

TEST(libc_is_told_what_is_wanted)
{
	struct tuck_resolve_attr v6 = { .family = AF_INET6 };
	struct tuck_resolve_attr udp = { .kind = SOCK_DGRAM };
	struct tuck_addr addr;

	tuck_resolve("127.0.0.1:x", NULL, &addr, 1, patience());
	CHECK_EQ(last_flags, AI_NUMERICHOST);
	CHECK_EQ(last_kind, SOCK_STREAM);
	tuck_resolve("three.test", &udp, &addr, 1, patience());
	CHECK_EQ(last_flags, 0);
	CHECK_EQ(last_kind, SOCK_DGRAM);
	CHECK_EQ(last_family, AF_UNSPEC);
	tuck_resolve("localhost", &v6, &addr, 1, patience());
	CHECK_EQ(last_family, AF_INET6);
	tuck_udp_connect("three.test:9");
	CHECK_EQ(last_kind, SOCK_DGRAM);
	tuck_resolve(":x", NULL, &addr, 1, patience());
	CHECK_EQ(last_flags, AI_PASSIVE);
	CHECK_EQ(last_family, AF_INET);
}

TEST(what_is_no_name)
{
	static const char *const bad[] = {
		"",
		":",
		"a b:80",
		"localhost:-1",
		"localhost:65536",
		"localhost:8x",
		"1.2.3:80",
		"1.2:80",
		"0x7f.0x1:80",
		".x:80",
		"-x:80",
		"[localhost]:80",
		"[::1",
		"::1",
		"a:b:80",
		"h\xc3\xb6st:80",
		"localhost:99999",
		"localhost:",
		"127.0.0.1:",
		"[::1]:",
		".",
		"a..b:80",
		"a..:80",
		"a.-b:80",
		"a.0x7f:80",
		"1.2.3.4.5",
		"127.0.0.1.:80",
		"a/b",
		"a:/http",
	};
	char longest[300];
	struct tuck_addr addr = { .len = 77 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (tuck_resolve(bad[i], NULL, &addr, 1, patience()) != -EINVAL)
			check_fail(CHECK_AT, "\"%s\" was taken", bad[i]);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[64] = 0;
	CHECK_EQ(tuck_resolve(longest, NULL, &addr, 1, patience()),
		 -ENAMETOOLONG);
	longest[64] = 'a';
	for (size_t i = 63; i < sizeof(longest); i += 64)
		longest[i] = '.';
	longest[254] = 0;
	CHECK_EQ(tuck_resolve(longest, NULL, &addr, 1, patience()),
		 -ENAMETOOLONG);
	CHECK_EQ(asked, 0);
	longest[253] = 0;
	CHECK(tuck_resolve(longest, NULL, &addr, 1, patience()) !=
	      -ENAMETOOLONG);
	CHECK_EQ(asked, 1);
	CHECK(tuck_resolve("x.0xy", NULL, &addr, 1, patience()) != -EINVAL);
	CHECK_EQ(asked, 2);
	CHECK_EQ(tuck_resolve("x", NULL, &addr, 0, patience()), -EINVAL);
	CHECK_EQ(tuck_resolve(NULL, NULL, &addr, 1, patience()), -EINVAL);
	CHECK_EQ(tuck_resolve("x", NULL, &addr, 1, -1), -EINVAL);
	CHECK_EQ(tuck_resolve("x", NULL, &addr, 1, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_tcp_connect("localhost", patience()), -EINVAL);
	CHECK_EQ(tuck_tcp_listen("localhost", 0), -EINVAL);
	CHECK_EQ(addr.len, 77);
	CHECK_EQ(asked, 2);
}

TEST(errors_of_libc_are_told)
{
	static const struct {
		int eai, err;
	} errors[] = {
		{ EAI_NONAME, -ENODATA }, { EAI_SERVICE, -ENODATA },
		{ EAI_AGAIN, -ECOMM },	  { EAI_FAIL, -EREMOTEIO },
		{ EAI_MEMORY, -ENOMEM },  { EAI_SYSTEM, -EMFILE },
		{ EAI_FAMILY, -EINVAL },
	};
	char name[32], text[TUCK_ADDR_TEXT];

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		snprintf(name, sizeof(name), "eai-%d:80", -errors[i].eai);
		CHECK_EQ(resolve(name, text), errors[i].err);
		CHECK_EQ(tuck_tcp_connect(name, patience()), errors[i].err);
	}
}

static int came;

static void ask(void *arg)
{
	char text[TUCK_ADDR_TEXT];

	(void)arg;
	CHECK_EQ(resolve("localhost:80", text), 1);
	CHECK_STR(text, "127.0.0.1:80");
	came++;
}

TEST(a_thousand_at_once)
{
	CHECK_EQ(tuck_offload_limit(16, 0), 0);
	for (int i = 0; i < 1000; i++)
		go(ask, NULL);
	WAIT_FOR(came == 1000);
	CHECK(offloads().workers <= 8);		/* half of them */
	CHECK_EQ(asked, 1000);
}

static int load_it(void)
{
	void *data;
	ssize_t r = tuck_file_load("/etc/hosts", 1 << 20, &data, patience());

	if (r >= 0)
		free(data);
	return r < 0 ? (int)r : 0;
}

static void ask_in_vain(void *arg)
{
	struct tuck_addr addr;

	(void)arg;
	CHECK(tuck_resolve("slow.test:80", NULL, &addr, 1, patience()) > 0);
	came++;
}

TEST(slow_servers_leave_threads_to_files)
{
	CHECK_EQ(tuck_offload_limit(4, 0), 0);
	for (int i = 0; i < 20; i++)
		go(ask_in_vain, NULL);
	WAIT_FOR(offloads().queued == 18 && atomic_load(&at_gate) == 2);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(load_it(), 0);
	CHECK_EQ(offloads().queued, 18);
	CHECK_EQ(at_gate, 2);
	CHECK_EQ(came, 0);
	open_gate();
	WAIT_FOR(came == 20);
	no_call_is_left();
}

/* -- the ends of a question -- */

static int gave;

static void ask_slowly(void *arg)
{
	struct tuck_addr addr;

	gave = tuck_resolve("slow.test:80", NULL, &addr, 1,
			    arg ? tuck_after(TUCK_MS(5)) : TUCK_FOREVER);
}

static void connect_slowly(void *arg)
{
	(void)arg;
	gave = tuck_tcp_connect("slow.test:80", TUCK_FOREVER);
}

static tuck_id begin(void (*fn)(void *), bool queued, void *arg)
{
	tuck_id id;

	gave = 12345;
	if (queued)
		close_gate();
	id = go(fn, arg);
	if (!arg)
		WAIT_FOR(queued ? offloads().queued == 1 :
				  atomic_load(&at_gate) == 1);
	return id;
}

static void end(tuck_id id, int want)
{
	finish(id);
	CHECK_EQ(gave, want);
	open_gate();
	no_call_is_left();
}

TEST(late_while_it_waits)
{
	end(begin(ask_slowly, true, &gave), -ETIMEDOUT);
}

TEST(late_while_it_is_asked)
{
	end(begin(ask_slowly, false, &gave), -ETIMEDOUT);
}

TEST(cancelled_while_it_is_asked)
{
	tuck_id id = begin(ask_slowly, false, NULL);

	CHECK_EQ(tuck_cancel(id), 0);
	end(id, -ECANCELED);
}

TEST(cancelled_while_it_waits)
{
	tuck_id id = begin(ask_slowly, true, NULL);

	CHECK_EQ(tuck_cancel(id), 0);
	end(id, -ECANCELED);
	CHECK_EQ(asked, 0);
}

TEST(killed_while_it_waits)
{
	tuck_id id = begin(ask_slowly, true, NULL);

	CHECK_EQ(tuck_kill(id), 0);
	end(id, 12345);
	CHECK_EQ(asked, 0);
}

TEST(killed_while_it_is_asked)
{
	tuck_id id = begin(connect_slowly, false, NULL);

	CHECK_EQ(tuck_kill(id), 0);
	end(id, 12345);
}

/* -- sockets -- */

static char port_text[32];

static const char *at_port(int listener, const char *host)
{
	struct tuck_addr addr;
	const struct sockaddr_in *sin = (const void *)&addr.sa;

	CHECK_EQ(tuck_addr_local(listener, &addr), 0);
	snprintf(port_text, sizeof(port_text), "%s:%u", host,
		 ntohs(sin->sin_port));
	return port_text;
}

TEST(connect_goes_to_the_next_address)
{
	int listener = tuck_tcp_listen("127.0.0.1:0", 0), fds = count_fds();
	struct tuck_addr peer, all[4];
	char text[TUCK_ADDR_TEXT];
	int fd = tuck_tcp_connect(at_port(listener, "three.test"), patience());

	CHECK(fd >= 0);
	CHECK_EQ(tuck_addr_peer(fd, &peer), 0);
	CHECK_STR(tuck_addr_format(&peer, text, sizeof(text)),
		  at_port(listener, "127.0.0.1"));
	CHECK_EQ(tuck_fd_close(fd), 0);
	CHECK(count_fds() <= fds + 1);		/* the poller's */
	CHECK_EQ(tuck_resolve("three.test:1", NULL, all, 4, patience()), 2);
	CHECK_EQ(tuck_resolve("three.test:1", NULL, all, 1, patience()), 1);
	at_port(listener, "three.test");
	tuck_fd_close(listener);
	CHECK_EQ(tuck_tcp_connect(port_text, patience()), -ECONNREFUSED);
}

TEST(listeners_and_udp_take_names)
{
	int listener = tuck_tcp_listen("three.test:0", 0), fd;
	char text[TUCK_ADDR_TEXT];

	CHECK(strncmp(local_text(listener, text), "127.0.0.2:", 10) == 0);
	fd = tuck_udp_bind("three.test:0");
	CHECK(fd >= 0);
	CHECK(tuck_udp_connect(at_port(fd, "three.test")) >= 0);
}

TEST(localhost_is_of_both_families)
{
	static const char *const texts[] = { "127.0.0.1:0", "[::1]:0" };

	for (int i = 0; i < 2; i++) {
		int listener = tuck_tcp_listen(texts[i], 0), fd;
		struct tuck_addr addr;
		char text[32];

		if (listener == -EADDRNOTAVAIL || listener == -EAFNOSUPPORT)
			SKIP("no IPv6 on the loopback");
		CHECK_EQ(tuck_addr_local(listener, &addr), 0);
		snprintf(text, sizeof(text), "localhost:%u",
			 ntohs(((struct sockaddr_in *)&addr.sa)->sin_port));
		fd = tuck_tcp_connect(text, patience());
		if (fd == -ECONNREFUSED && i == 1)
			SKIP("localhost has no IPv6 address");
		CHECK(fd >= 0);
		CHECK_EQ(tuck_fd_close(fd), 0);
		CHECK_EQ(tuck_fd_close(listener), 0);
	}
}

/* -- many addresses, and a stand-in for connect(2) -- */

static char tried[8];
static int connects;
static int refused;	/* all that are no loopback address */

int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	int (*libc)(int, const struct sockaddr *, socklen_t);

	connects++;
	if (refused && strlen(tried) < sizeof(tried) - 1) {
		strcat(tried, sa->sa_family == AF_INET6 ? "6" : "4");
		errno = refused;
		return -1;
	}
	*(void **)&libc = dlsym(RTLD_NEXT, "connect");
	return libc(fd, sa, len);
}

TEST(connect_goes_to_both_families_in_turn)
{
	struct tuck_addr all[4];
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	if (fd < 0)
		SKIP("no IPv6");
	close(fd);
	refused = ENETUNREACH;
	CHECK_EQ(tuck_tcp_connect("mixed.test:1", patience()), -ENETUNREACH);
	CHECK_STR(tried, "646");
	CHECK_EQ(tuck_resolve("mixed.test:1", NULL, all, 4, patience()), 3);
	CHECK_EQ(all[1].sa.ss_family, AF_INET6);
	refused = EAGAIN;
	tried[0] = 0;
	CHECK_EQ(tuck_tcp_connect("three.test:1", patience()), -EAGAIN);
	CHECK_STR(tried, "44");
	refused = 0;
}

/* Only addresses of the local one's family can be connected from there. */
TEST(a_local_address_chooses_the_family)
{
	const struct tuck_socket_attr local = { .local = "127.0.0.1:0" };
	int listener = tuck_tcp_listen("127.0.0.1:0", 0), fd;

	at_port(listener, "six.test");
	fd = tuck_connect(port_text, &local, patience());
	CHECK(fd >= 0);
	tuck_fd_close(fd);
	tuck_fd_close(listener);
	CHECK_EQ(tuck_connect(port_text, &local, patience()), -ECONNREFUSED);
}

/* The first address of this name does not answer, the second one does. */
static char half_deaf[32];

static void make_half_deaf(int fds[2])
{
	char text[TUCK_ADDR_TEXT], other[32];

	fds[0] = tuck_tcp_listen("127.0.0.2:0", 1);
	local_text(fds[0], text);
	snprintf(other, sizeof(other), "127.0.0.1%s", strchr(text, ':'));
	fds[1] = tuck_tcp_listen(other, 1);
	if (fds[1] == -EADDRINUSE)
		SKIP("the port is somebody's");
	fill_backlog(fds[0], text);
	snprintf(half_deaf, sizeof(half_deaf), "three.test%s",
		 strchr(text, ':'));
}

/* Neither does the second one. */
static void make_deaf(int fds[2])
{
	char text[TUCK_ADDR_TEXT];

	make_half_deaf(fds);
	fill_backlog(fds[1], local_text(fds[1], text));
}

static int connect_for_ever(void *arg)
{
	(void)arg;
	gave = tuck_tcp_connect(half_deaf, TUCK_FOREVER);
	return 0;
}

static void connect_deaf(void *arg)
{
	connect_for_ever(arg);
}

/* Or this takes the two minutes that the kernel gives it. */
TEST(who_does_not_answer_is_overtaken)
{
	int listeners[2], fds;
	struct tuck_addr peer;
	char text[TUCK_ADDR_TEXT];

	make_half_deaf(listeners);
	fds = count_fds();
	connect_for_ever(NULL);
	CHECK(gave >= 0);
	CHECK_EQ(tuck_addr_peer(gave, &peer), 0);
	CHECK(strncmp(tuck_addr_format(&peer, text, sizeof(text)),
		      "127.0.0.1:", 10) == 0);
	CHECK_EQ(count_fds(), fds + 1);
}

/* Two are under way, and the first one answers after all. */
TEST(who_is_overtaken_may_come_first)
{
	int listeners[2], before;
	struct tuck_addr peer;
	char text[TUCK_ADDR_TEXT];
	tuck_id id;

	make_deaf(listeners);
	before = connects;
	id = go(connect_deaf, NULL);
	WAIT_FOR(connects == before + 2);
	settle();
	while (tuck_accept(listeners[0], NULL, TUCK_NOWAIT) >= 0)
		;
	finish(id);
	CHECK(gave >= 0);
	CHECK_EQ(tuck_addr_peer(gave, &peer), 0);
	CHECK(strncmp(tuck_addr_format(&peer, text, sizeof(text)),
		      "127.0.0.2:", 10) == 0);
}

/* A turn of 250 ms for the first one would be more than there is. */
TEST(who_does_not_answer_leaves_time_to_others)
{
	int listeners[2], fd = -1;

	make_half_deaf(listeners);
	for (int i = 0; fd < 0 && i < 100; i++) {
		fd = tuck_tcp_connect(half_deaf, tuck_after(TUCK_MS(200)));
		CHECK(fd >= 0 || fd == -ETIMEDOUT);
	}
	CHECK(fd >= 0);
}

static void connect_in_group(tuck_ns time)
{
	struct tuck_group *group;

	CHECK_EQ(tuck_group_new(&group, tuck_after(time)), 0);
	CHECK(tuck_group_go(group, connect_for_ever, NULL) > 0);
	CHECK_EQ(tuck_group_wait(group, TUCK_GROUP_ALL, patience()), 0);
	CHECK_EQ(tuck_group_free(group), 0);
}

TEST(who_does_not_answer_leaves_time_of_the_group_to_others)
{
	int listeners[2];

	make_half_deaf(listeners);
	gave = -ETIME;
	for (int i = 0; gave < 0 && i < 100; i++) {
		connect_in_group(TUCK_MS(200));
		CHECK(gave >= 0 || gave == -ETIME);
	}
	CHECK(gave >= 0);
}

TEST(late_for_its_group_while_all_are_tried)
{
	int listeners[2], fds;

	make_deaf(listeners);
	fds = count_fds();
	connect_in_group(TUCK_MS(100));
	CHECK_EQ(gave, -ETIME);
	CHECK_EQ(count_fds(), fds);
}

/* There is no descriptor for the second attempt, or for waiting for two. */
TEST(a_race_without_descriptors)
{
	struct rlimit limit, few;
	int listeners[2], fds, next, won = 0;

	make_half_deaf(listeners);
	getrlimit(RLIMIT_NOFILE, &limit);
	fds = count_fds();
	next = dup(listeners[0]);	/* the lowest that is free */
	close(next);
	for (rlim_t more = 0; more < 5 && !won; more++) {
		int fd;

		few = limit;
		few.rlim_cur = (rlim_t)next + more;
		setrlimit(RLIMIT_NOFILE, &few);
		fd = tuck_tcp_connect(half_deaf, tuck_after(TUCK_MS(500)));
		setrlimit(RLIMIT_NOFILE, &limit);
		won = fd >= 0;
		CHECK(won || fd == (more == 0 ? -EMFILE : -ETIMEDOUT));
		CHECK(!won || more >= 3);
		if (won)
			tuck_fd_close(fd);
		CHECK_EQ(count_fds(), fds);
	}
}

/* As above, but the one that does not answer is the second. */
static char deaf_at_last[32];

static int connect_deaf_at_last(void *arg)
{
	(void)arg;
	gave = tuck_tcp_connect(deaf_at_last, TUCK_FOREVER);
	return 0;
}

/* That all others have failed is no reason not to wait for the first one. */
TEST(who_does_not_answer_is_waited_for)
{
	int listener = tuck_tcp_listen("127.0.0.2:0", 1);
	char text[TUCK_ADDR_TEXT], name[32];

	fill_backlog(listener, local_text(listener, text));
	snprintf(name, sizeof(name), "wrong.test%s", strchr(text, ':'));
	connects = 0;
	/* A stall may leave no time for the second one. */
	for (tuck_ns span = TUCK_MS(300); connects < 2; span *= 2) {
		connects = 0;
		CHECK_EQ(tuck_tcp_connect(name, tuck_after(span)), -ETIMEDOUT);
	}
	CHECK_EQ(connects, 2);
}

/* Its group's time is over: that is not what the first address said. */
TEST(late_for_its_group_while_an_address_is_tried)
{
	int listener = tuck_tcp_listen("127.0.0.2:0", 1);
	struct tuck_group *group;
	char text[TUCK_ADDR_TEXT];

	fill_backlog(listener, local_text(listener, text));
	snprintf(deaf_at_last, sizeof(deaf_at_last), "deaf.test%s",
		 strchr(text, ':'));
	CHECK_EQ(tuck_group_new(&group, tuck_after(TUCK_MS(50))), 0);
	CHECK(tuck_group_go(group, connect_deaf_at_last, NULL) > 0);
	CHECK_EQ(tuck_group_wait(group, TUCK_GROUP_ALL, patience()), 0);
	CHECK_EQ(gave, -ETIME);
	CHECK_EQ(tuck_group_free(group), 0);
}

static void check_ended_connect(int (*end_it)(tuck_id), int want)
{
	int listeners[2], before, fds;
	tuck_id id;

	make_deaf(listeners);
	before = connects;
	fds = count_fds();
	gave = 12345;
	id = go(connect_deaf, NULL);
	WAIT_FOR(connects == before + 2);
	settle();
	CHECK_EQ(end_it(id), 0);
	finish(id);
	CHECK_EQ(gave, want);
	CHECK_EQ(connects, before + 2);
	CHECK_EQ(count_fds(), fds);
}

TEST(cancelled_while_addresses_are_tried)
{
	check_ended_connect(tuck_cancel, -ECANCELED);
}

TEST(killed_while_addresses_are_tried)
{
	check_ended_connect(tuck_kill, 12345);
}

TEST(dropped_while_addresses_are_tried)
{
	check_ended_connect(tuck_drop, 12345);
}

static void connect_to_number(void *arg)
{
	tuck_tcp_connect(arg, TUCK_FOREVER);
}

TEST(dropped_while_a_number_is_tried)
{
	int listener = tuck_tcp_listen("127.0.0.2:0", 1), fds, before;
	char text[TUCK_ADDR_TEXT];
	tuck_id id;

	fill_backlog(listener, local_text(listener, text));
	fds = count_fds();
	before = connects;
	id = go(connect_to_number, text);
	WAIT_FOR(connects == before + 1);
	settle();
	CHECK_EQ(count_fds(), fds + 1);
	CHECK_EQ(tuck_drop(id), 0);
	CHECK_EQ(count_fds(), fds);
}

/* -- too little memory -- */

static int look_up(void)
{
	struct tuck_addr addr;
	int r = tuck_resolve("localhost:80", NULL, &addr, 1, patience());

	return r < 0 ? r : 0;
}

static int go_there(void)
{
	struct tuck_addr addr;
	int listener = tuck_tcp_listen("localhost:0", 0), fd;
	char text[32];

	if (listener < 0)
		return listener;
	CHECK_EQ(tuck_addr_local(listener, &addr), 0);
	snprintf(text, sizeof(text), "localhost:%u",
		 ntohs(((struct sockaddr_in *)&addr.sa)->sin_port));
	fd = tuck_tcp_connect(text, patience());
	tuck_fd_close(listener);
	if (fd >= 0)
		tuck_fd_close(fd);
	return fd < 0 ? fd : 0;
}

static int half_deaf_listener;

/* With two addresses under way at a time. */
static int go_the_second_way(void)
{
	connect_for_ever(NULL);
	if (gave < 0)
		return gave;
	tuck_fd_close(gave);
	return tuck_fd_close(tuck_accept(half_deaf_listener, NULL, patience()));
}

/* With each request for memory failing, also those of the thread that asks. */
static int without_each(int (*fn)(void))
{
	int told = 0;

	for (long nth = 1, more = 1; more && nth < 60; nth++) {
		int fds, r;

		CHECK_EQ(fn(), 0);
		fds = count_fds();
		tuck__fault_set(nth, 0);
		r = fn();
		more = tuck__fault_count() >= nth;
		tuck__fault_set(0, 0);
		CHECK(r == 0 || r == -ENOMEM);
		told += r < 0;
		no_call_is_left();
		CHECK_EQ(count_fds(), fds);
	}
	return told;
}

/* A thread that ends meanwhile asks for memory, too, and is denied it. */
static bool tells(int (*fn)(void), int least)
{
	int tries = 0;

	while (without_each(fn) < least)
		if (++tries == 20)
			return false;
	return true;
}

TEST(without_memory_names_say_so)
{
	CHECK(tells(look_up, 2));	/* the call, the list */
	CHECK(tells(go_there, 4));
}

TEST(without_memory_races_say_so)
{
	int listeners[2];

	make_half_deaf(listeners);
	half_deaf_listener = listeners[1];
	CHECK(tells(go_the_second_way, 3));	/* the call, the list, itself */
}
