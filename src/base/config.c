/* SPDX-License-Identifier: MIT */
/* Configuration: what the program set, over it the environment. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/config.h"
#include "base/fork.h"

/* A proc reserves 320 MiB, but 20 MiB where 3 GiB are all there is. */
static const struct tuck_config defaults = {
	.stack_slots = sizeof(void *) < 8 ? 64 : 1024,
	.slot_bytes = 256 * 1024,
	/* Addresses only; where they are few, for usual frames. */
	.guard_bytes = sizeof(void *) > 4 ? 512 * 1024 : 64 * 1024,
	.offload_workers = 64,
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
TUCK__AT_FORK_MUTEX(TUCK__FORK_CONFIG, lock, NULL)
static struct tuck_config set;

static bool slots_valid(size_t n)
{
	return n <= 65536;
}

static bool bytes_valid(size_t n)
{
	return n == 0 || (n >= 16 * 1024 && n <= (size_t)1 << 30);
}

static bool guard_valid(size_t n)
{
	return n <= (size_t)1 << 30;
}

static bool workers_valid(size_t n)
{
	return n <= 1024;
}

int tuck_config_set(const struct tuck_config *config)
{
	TUCK__REQUIRE(config && slots_valid(config->stack_slots) &&
			      bytes_valid(config->slot_bytes) &&
			      guard_valid(config->guard_bytes) &&
			      workers_valid(config->offload_workers),
		      -EINVAL);
	pthread_mutex_lock(&lock);
	set = *config;
	pthread_mutex_unlock(&lock);
	return 0;
}

static uint64_t from_env(const char *name, uint64_t value,
			 bool (*valid)(size_t))
{
	const char *text = secure_getenv(name);
	unsigned long long n;
	char *end;

	if (!text || *text < '0' || *text > '9')
		return value;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (*end || errno || n == 0)
		return value;
	return !valid || (n <= SIZE_MAX && valid((size_t)n)) ? n : value;
}

void tuck__config_get(struct tuck_config *ret_config)
{
	struct tuck_config c;

	pthread_mutex_lock(&lock);
	c = set;
	pthread_mutex_unlock(&lock);
	c.stack_slots = (size_t)from_env("TUCK_STACK_SLOTS", c.stack_slots,
					 slots_valid);
	c.slot_bytes = (size_t)from_env("TUCK_SLOT_BYTES", c.slot_bytes,
					bytes_valid);
	c.guard_bytes = (size_t)from_env("TUCK_GUARD_BYTES", c.guard_bytes,
					 guard_valid);
	c.offload_workers = (size_t)from_env("TUCK_OFFLOAD_WORKERS",
					     c.offload_workers, workers_valid);
	c.seed = from_env("TUCK_SEED", c.seed, NULL);
	if (!c.stack_slots)
		c.stack_slots = defaults.stack_slots;
	if (!c.slot_bytes)
		c.slot_bytes = defaults.slot_bytes;
	if (!c.guard_bytes)
		c.guard_bytes = defaults.guard_bytes;
	if (!c.offload_workers)
		c.offload_workers = defaults.offload_workers;
	*ret_config = c;
}
