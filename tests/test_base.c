/* SPDX-License-Identifier: MIT */
/* Clock, errors, version, configuration, and the fault points. */
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <tuck.h>

#include "base/check.h"
#include "base/config.h"
#include "base/mem.h"
#include "check.h"

/* -- clock -- */

TEST(now_is_the_monotonic_clock)
{
	struct timespec t;
	tuck_ns before = tuck_now(), after;

	clock_gettime(CLOCK_MONOTONIC, &t);
	after = tuck_now();
	CHECK(before > 0);
	CHECK(before <= t.tv_sec * TUCK_SEC(1) + t.tv_nsec);
	CHECK(after >= t.tv_sec * TUCK_SEC(1) + t.tv_nsec);
}

TEST(now_never_goes_back)
{
	tuck_ns last = 0;

	for (int i = 0; i < 100000; i++) {
		tuck_ns now = tuck_now();

		CHECK(now >= last);
		last = now;
	}
}

TEST(units)
{
	CHECK_EQ(TUCK_US(3), 3000);
	CHECK_EQ(TUCK_MS(3), 3000000);
	CHECK_EQ(TUCK_SEC(3), 3000000000);
	CHECK_EQ(TUCK_SEC(4000), TUCK_MS(4000000));
}

TEST(after_adds_to_now)
{
	for (tuck_ns n = 0; n < TUCK_SEC(1000000); n = n * 5 + 1) {
		tuck_ns before = tuck_now(), at = tuck_after(n);

		CHECK(at >= before + n);
		CHECK(at <= tuck_now() + n);
	}
}

TEST(after_saturates)
{
	CHECK_EQ(tuck_after(TUCK_FOREVER), TUCK_FOREVER);
	CHECK_EQ(tuck_after(TUCK_FOREVER - 1), TUCK_FOREVER);
	CHECK(tuck_after(TUCK_FOREVER - tuck_now() - TUCK_SEC(60)) <
	      TUCK_FOREVER);
}

TEST(after_is_never_nowait)
{
	tuck_ns now = tuck_now();

	CHECK(tuck_after(-1) > TUCK_NOWAIT);
	CHECK(tuck_after(-now) > TUCK_NOWAIT);
	CHECK(tuck_after(-now - TUCK_SEC(1000)) > TUCK_NOWAIT);
	CHECK(tuck_after(INT64_MIN) > TUCK_NOWAIT);
	CHECK(tuck_after(INT64_MIN) <= now);
}

/* -- words -- */

TEST(strerror_has_the_words_of_libc)
{
	static const int errors[] = { ENOMEM, EINVAL,	 EPIPE,	  ESRCH,
				      EAGAIN, ETIMEDOUT, EDEADLK, EBADF };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		CHECK_STR(tuck_strerror(-errors[i]), strerror(errors[i]));
		CHECK(tuck_strerror(-errors[i]) == tuck_strerror(-errors[i]));
	}
	CHECK_STR(tuck_strerror(0), strerror(0));
	CHECK(strstr(tuck_strerror(-EXDEV), "another thread"));
}

TEST(strerror_of_the_unknown)
{
	static const int unknown[] = { 1,	12,	   4095,
				       4096,	-4095,	   -4096,
				       -100000, INT32_MAX, INT32_MIN };

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		CHECK_STR(tuck_strerror(unknown[i]), "unknown error");
}

TEST(version_is_the_headers)
{
	char text[64];

	snprintf(text, sizeof(text), "%d.%d.%d", TUCK_VERSION_MAJOR,
		 TUCK_VERSION_MINOR, TUCK_VERSION_PATCH);
	CHECK_STR(tuck_version(), text);
}

TEST(a_fatal_error_is_one_line)
{
	CHECK_DIES(-SIGABRT, "tuck: a thing of 5\n",
		   { tuck__fatal("a thing of %d", 5); });
}

static int require(int n)
{
	TUCK__REQUIRE(n > 3, -EINVAL);
	return n;
}

TEST(checks)
{
	CHECK_EQ(require(4), 4);
	CHECK_EQ(require(3), -EINVAL);
	TUCK__ASSERT(1 + 1 == 2);
	CHECK_DIES(-SIGABRT, "test_base.c:", { TUCK__ASSERT(1 + 1 == 3); });
	CHECK_DIES(-SIGABRT, "broken invariant: 1 + 1 == 3",
		   { TUCK__ASSERT(1 + 1 == 3); });
}

/* -- configuration -- */

static struct tuck_config got(void)
{
	struct tuck_config c;

	tuck__config_get(&c);
	return c;
}

static void check_config(size_t slots, size_t bytes, size_t guard,
			 uint64_t seed)
{
	struct tuck_config c = got();

	CHECK_EQ(c.stack_slots, slots);
	CHECK_EQ(c.slot_bytes, bytes);
	CHECK_EQ(c.guard_bytes, guard);
	CHECK_EQ(c.seed, seed);
}

#define SLOTS	(sizeof(void *) < 8 ? 64 : 1024)
#define BYTES	(256 << 10)
#define GUARD	(sizeof(void *) > 4 ? 512 << 10 : 64 << 10)

static void clear_environment(void)
{
	unsetenv("TUCK_STACK_SLOTS");
	unsetenv("TUCK_SLOT_BYTES");
	unsetenv("TUCK_GUARD_BYTES");
	unsetenv("TUCK_SEED");
	unsetenv("TUCK_OFFLOAD_WORKERS");
}

TEST(config_defaults)
{
	struct tuck_config zero = { 0 };

	clear_environment();
	check_config(SLOTS, BYTES, GUARD, 0);
	CHECK_EQ(tuck_config_set(&zero), 0);
	check_config(SLOTS, BYTES, GUARD, 0);
}

TEST(config_set_is_kept)
{
	struct tuck_config c = { 7, 1 << 20, 1 << 17, 99, 5 };

	clear_environment();
	CHECK_EQ(tuck_config_set(&c), 0);
	c.stack_slots = 8;		/* it was copied */
	check_config(7, 1 << 20, 1 << 17, 99);
	c = (struct tuck_config){ .stack_slots = 9 };
	CHECK_EQ(tuck_config_set(&c), 0);
	check_config(9, BYTES, GUARD, 0);
}

static void refuse(struct tuck_config c)
{
	CHECK_EQ(tuck_config_set(&c), -EINVAL);
	check_config(5, BYTES, GUARD, 0);
}

TEST(config_refuses_what_no_stack_can_have)
{
	struct tuck_config c = { .stack_slots = 5 };

	clear_environment();
	CHECK_EQ(tuck_config_set(&c), 0);
	CHECK_EQ(tuck_config_set(NULL), -EINVAL);
	refuse((struct tuck_config){ .stack_slots = 65537 });
	refuse((struct tuck_config){ .stack_slots = SIZE_MAX });
	refuse((struct tuck_config){ .slot_bytes = 1 });
	refuse((struct tuck_config){ .slot_bytes = 16383 });
	refuse((struct tuck_config){ .slot_bytes = ((size_t)1 << 30) + 1 });
	refuse((struct tuck_config){ .slot_bytes = SIZE_MAX });
	refuse((struct tuck_config){ .offload_workers = 1025 });
}

TEST(config_takes_the_extremes)
{
	struct tuck_config least = { 1, 16384, 1, 1, 1 };
	struct tuck_config most = { 65536, (size_t)1 << 30, 1 << 20, UINT64_MAX,
				    1024 };

	clear_environment();
	CHECK_EQ(tuck_config_set(&least), 0);
	check_config(1, 16384, 1, 1);
	CHECK_EQ(tuck_config_set(&most), 0);
	check_config(65536, (size_t)1 << 30, 1 << 20, UINT64_MAX);
}

TEST(config_of_offloaded_calls)
{
	struct tuck_config c = { .offload_workers = 1024 };

	clear_environment();
	CHECK_EQ(got().offload_workers, 64);
	CHECK_EQ(tuck_config_set(&c), 0);
	CHECK_EQ(got().offload_workers, 1024);
	setenv("TUCK_OFFLOAD_WORKERS", "1025", 1);
	CHECK_EQ(got().offload_workers, 1024);
	setenv("TUCK_OFFLOAD_WORKERS", "3", 1);
	CHECK_EQ(got().offload_workers, 3);
}

TEST(environment_wins)
{
	struct tuck_config c = { 7, 1 << 20, 1 << 17, 99, 5 };

	clear_environment();
	CHECK_EQ(tuck_config_set(&c), 0);
	setenv("TUCK_STACK_SLOTS", "3", 1);
	check_config(3, 1 << 20, 1 << 17, 99);
	setenv("TUCK_SLOT_BYTES", "65536", 1);
	setenv("TUCK_GUARD_BYTES", "8192", 1);
	setenv("TUCK_SEED", "12", 1);
	check_config(3, 65536, 8192, 12);
	clear_environment();
	check_config(7, 1 << 20, 1 << 17, 99);
}

TEST(environment_that_is_no_number_is_ignored)
{
	static const char *const bad[] = { "",	"x",  "3x",   "0x10",
					   "0", "-1", "70000" };

	clear_environment();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("TUCK_STACK_SLOTS", bad[i], 1);
		check_config(SLOTS, BYTES, GUARD, 0);
	}
	clear_environment();
	setenv("TUCK_SLOT_BYTES", "100", 1);
	check_config(SLOTS, BYTES, GUARD, 0);
	setenv("TUCK_SLOT_BYTES", "99999999999999999999999", 1);
	check_config(SLOTS, BYTES, GUARD, 0);
}

static void nothing(void *arg)
{
	(void)arg;
}

TEST(environment_reaches_a_proc)
{
	struct tuck_stats stats;

	clear_environment();
	setenv("TUCK_STACK_SLOTS", "2", 1);
	for (int i = 0; i < 100; i++)
		CHECK(tuck_go(nothing, NULL) > 0);
	CHECK_EQ(tuck_stats(&stats), 0);
	CHECK(stats.slots <= 2);
	for (int i = 0; i < 200; i++)
		tuck_yield();
	CHECK_EQ(tuck_stats(&stats), 0);
	CHECK_EQ(stats.tasklets, 1);
}

TEST(a_running_proc_keeps_its_configuration)
{
	struct tuck_config c = { .stack_slots = 2 };
	struct tuck_stats stats;

	clear_environment();
	tuck_self();
	CHECK_EQ(tuck_config_set(&c), 0);
	for (int i = 0; i < 10; i++)
		CHECK(tuck_go(nothing, NULL) > 0);
	for (int i = 0; i < 30; i++)
		tuck_yield();
	CHECK_EQ(tuck_stats(&stats), 0);
	CHECK_EQ(stats.tasklets, 1);
	CHECK_EQ(stats.switches_copied, 0);
}

/* -- memory -- */

TEST(fault_points_fail_the_nth_request)
{
	void *p[5];

	tuck__fault_set(3, 0);
	for (int i = 0; i < 5; i++) {
		p[i] = tuck__alloc(10);
		CHECK_EQ(p[i] == NULL, i == 2);
	}
	CHECK_EQ(tuck__fault_count(), 5);
	for (int i = 0; i < 5; i++)
		tuck__free(p[i]);
	tuck__fault_set(2, 1);
	p[0] = tuck__alloc(10);
	CHECK(p[0]);
	for (int i = 0; i < 5; i++) {
		CHECK(!tuck__alloc(10));
		CHECK(!tuck__resize(p[0], 20));
		CHECK(!tuck__map(4096));
		CHECK(!tuck__map_reserve(4096));
	}
	tuck__fault_set(0, 0);
	p[0] = tuck__resize(p[0], 20);
	CHECK(p[0]);
	tuck__free(p[0]);
}

TEST(memory_is_zeroed)
{
	char *p = tuck__alloc(1000), *q = tuck__map(8192);

	CHECK(p && q);
	for (int i = 0; i < 1000; i++)
		CHECK(p[i] == 0 && q[8 * i] == 0);
	tuck__free(p);
	tuck__unmap(q, 8192);
	tuck__unmap(NULL, 4096);
}

TEST(reserved_memory_is_committed_in_parts)
{
	char *p = tuck__map_reserve(1 << 20);

	CHECK(p);
	CHECK_EQ(tuck__map_commit(p + 65536, 8192), 0);
	p[65536] = p[65536 + 8191] = 1;
	tuck__fault_set(1, 0);
	CHECK(tuck__map_commit(p, 4096) < 0);
	tuck__fault_set(0, 0);
	tuck__unmap(p, 1 << 20);
}
