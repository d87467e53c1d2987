/* SPDX-License-Identifier: MIT */
/* Time, errors, version and configuration. */
#ifndef TUCK_BASE_H
#define TUCK_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __has_feature
#if __has_feature(safe_stack)
#error "-fsanitize=safe-stack keeps locals where Tuck cannot put them aside"
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define TUCK_VERSION_MAJOR 0
#define TUCK_VERSION_MINOR 1
#define TUCK_VERSION_PATCH 0

/* Nanoseconds: a time on CLOCK_MONOTONIC, or a span of it. */
typedef int64_t tuck_ns;

#define TUCK_NOWAIT	((tuck_ns)0)
#define TUCK_FOREVER	INT64_MAX
#define TUCK_US(n)	((tuck_ns)(n) * 1000)
#define TUCK_MS(n)	((tuck_ns)(n) * 1000000)
#define TUCK_SEC(n)	((tuck_ns)(n) * 1000000000)

/*
 * The time now, in nanoseconds.
 * Switches: no. Errors: none.
 */
tuck_ns tuck_now(void);

/*
 * The deadline that lies from_now nanoseconds ahead; saturates at
 * TUCK_FOREVER, and is never TUCK_NOWAIT.
 * Switches: no. Errors: none.
 */
tuck_ns tuck_after(tuck_ns from_now);

/*
 * A sentence about a negative error value, in the words of strerror(3) but
 * from a constant table: valid for ever and safe from any thread.
 * Switches: no. Errors: none; an unknown value gives "unknown error".
 */
const char *tuck_strerror(int err);

/*
 * The version of the library that runs, as "major.minor.patch".
 * Switches: no. Errors: none.
 */
const char *tuck_version(void);

/* What a proc is built from. A field that is 0 means its default. */
struct tuck_config {
	/*
	 * Stacks that tasklets share (1,024; 32 bits: 64). Many procs get
	 * fewer, 64 at least: all slots take half of Linux's memory maps.
	 * So does one that finds no addresses for all, as under ulimit -v.
	 */
	size_t stack_slots;
	size_t slot_bytes;	/* virtual bytes of one (256 KiB) */
	size_t guard_bytes;	/* unmapped below one (512; 32-bit: 64 KiB) */
	uint64_t seed;		/* not 0: for tuck_policy_random() */
	size_t offload_workers;	/* most threads for tuck_offload() (64) */
};

/*
 * Set the configuration of procs that start after this call; a running proc
 * keeps its own. The environment wins: TUCK_STACK_SLOTS, TUCK_SLOT_BYTES,
 * TUCK_GUARD_BYTES, TUCK_SEED and TUCK_OFFLOAD_WORKERS, each a decimal number;
 * a value that is no such number, or that cannot be, is ignored. TUCK_POLICY
 * names a policy, see docs/scheduling.md, and wins over the seed.
 * Switches: no.
 * Errors: -EINVAL for NULL or a size that no stack can have (fewer than
 * 16 KiB or more than 1 GiB a slot, more than 65,536 slots), or for more than
 * 1,024 workers.
 */
int tuck_config_set(const struct tuck_config *config);

#ifdef __cplusplus
}
#endif

#endif
