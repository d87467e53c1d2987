/* SPDX-License-Identifier: MIT */
/*
 * The test harness. It has no dependency, since the same tests run under
 * qemu-user on architectures for which no test library is packaged.
 *
 * A test file is one program: TEST(name) { ... CHECK(...); ... }, as many as
 * it likes, linked with check.c, where main() is.
 */
#ifndef CHECK_H
#define CHECK_H

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* What tests may not count on under these: thousands of tasklets, speed. */
#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#elif __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#elif __has_feature(memory_sanitizer)
#define UNDER_MSAN 1
#endif
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif
#ifndef UNDER_MSAN
#define UNDER_MSAN 0
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct test {
	const char *name;
	void (*fn)(void);
	int limit_s, line;
	struct test *next;
};

/* The limit is there for what hangs: a machine may be very busy. */
#define TEST(id) TEST_LIMIT(id, 60)
#define TEST_LIMIT(id, seconds)						\
	static void test_##id(void);					\
	__attribute__((constructor)) static void add_##id(void)		\
	{								\
		static struct test t = {				\
			#id, test_##id, seconds, __LINE__, NULL		\
		};							\
		check_add(&t);						\
	}								\
	static void test_##id(void)

/* A CHECK that fails ends its test, on whatever stack or thread. */
#define CHECK(cond) ((cond) ? (void)0 : check_fail(CHECK_AT, "%s", #cond))
#define CHECK_EQ(a, b) check_eq(CHECK_AT, #a " == " #b, a, b)
#define CHECK_STR(a, b) check_str(CHECK_AT, #a " == " #b, a, b)
#define CHECK_MEM(a, b, n) check_mem(CHECK_AT, #a " == " #b, a, b, n)
#define SKIP(reason) check_skip(reason)
#define UNDER_VALGRIND check_under_valgrind()
/* Factor of times that must not pass before something else is done. */
#define PATIENCE (UNDER_TSAN || UNDER_VALGRIND ? 10 : 1)
#define NOT_UNDER_MSAN(reason) (UNDER_MSAN ? SKIP(reason) : (void)0)
/* Keeps the compiler from doing without the bytes at p. */
#define KEEP(p) __asm__ volatile("" : : "r"(p) : "memory")
#define NOT_UNDER_TSAN(reason) (UNDER_TSAN ? SKIP(reason) : (void)0)
/* The child finds the runtime's locks as other threads had them. */
#define NOT_UNDER_SANITIZERS(reason) \
	(UNDER_TSAN || UNDER_ASAN ? SKIP(reason) : (void)0)

/*
 * The block, run in a forked child, ends with exit status how, or by signal
 * -how, and has written text to stderr. To be used before procs are started.
 */
#define CHECK_DIES(how, text, ...) do {					\
	int check_fd;							\
	pid_t check_pid = check_fork(&check_fd);			\
	if (check_pid == 0) {						\
		__VA_ARGS__						\
		exit(0);						\
	}								\
	check_dies(CHECK_AT, check_pid, check_fd, how, text);		\
} while (0)

#define CHECK_AT __FILE__, __LINE__

/* What check_run() returns; they are exit statuses too. */
enum { TEST_OK = 0, TEST_FAILED = 1, TEST_SKIPPED = 77 };

void check_add(struct test *t);
int check_run(const struct test *t);
const char *check_why(void);	/* the last check_run() did not pass */
int check_limit_s(void);	/* of the test that runs */
void check_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
void check_skip(const char *reason) __attribute__((noreturn));
int check_under_valgrind(void);
void check_eq(const char *file, int line, const char *expr, long long a,
	      long long b);
void check_str(const char *file, int line, const char *expr, const char *a,
	       const char *b);
void check_mem(const char *file, int line, const char *expr, const void *a,
	       const void *b, size_t n);
pid_t check_fork(int *ret_fd);
void check_dies(const char *file, int line, pid_t pid, int fd, int how,
		const char *text);

/* Slices are measured where they are what users have. */
static inline void needs_usual_frames(void)
{
	if (UNDER_ASAN || UNDER_TSAN || UNDER_MSAN)
		SKIP("frames of instrumented code are larger");
#if defined(TUCK_TORMENT) && TUCK_TORMENT
	SKIP("everybody is tucked");
#endif
#ifdef UNDER_LTO
	SKIP("calls are inlined into the frames that wait");
#endif
#ifndef __OPTIMIZE__
	SKIP("frames without optimization are larger");
#endif
}

#ifdef __cplusplus
}
#endif

#endif
