/* SPDX-License-Identifier: MIT */
/* The policy that TUCK_POLICY names: NAME[:NUMBER...], or a seed asks for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "task/task.h"

#define NUMBERS 3

enum arg { NONE, AGING, SEED, PCT };

static const struct known {
	const char *name;
	const struct tuck_policy *(*policy)(void);	/* NULL: none */
	enum arg arg;
} known[] = {
	{ "fifo", NULL, NONE },
	{ "priority", tuck_policy_priority, AGING },
	{ "deadline", tuck_policy_deadline, NONE },
	{ "stride", tuck_policy_stride, NONE },
	{ "random", tuck_policy_random, SEED },
	{ "pct", tuck_policy_pct, PCT },
};

static const struct known *find(const char *name, size_t n)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i].name) == n &&
		    memcmp(known[i].name, name, n) == 0)
			return &known[i];
	return NULL;
}

/* How many numbers there are; -1 for anything else. */
static int read_numbers(const char *text, uint64_t *numbers)
{
	char *end;
	int n = 0;

	for (; *text; text = end) {
		if (n == NUMBERS || *text != ':' || text[1] < '0' ||
		    text[1] > '9')
			return -1;
		numbers[n++] = strtoull(text + 1, &end, 10);
	}
	return n;
}

/* Procs that begin with the same seed get different ones. */
static int set(struct tuck__sched *s, const struct known *k, int n,
	       const uint64_t *numbers)
{
	uint64_t seed = numbers[0] + s->number;
	uint32_t aging = (uint32_t)numbers[0];
	struct tuck_pct pct = { seed, (uint32_t)numbers[1],
				(uint32_t)numbers[2] };
	const void *const args[] = {
		[NONE] = NULL,
		[AGING] = n > 0 ? &aging : NULL,
		[SEED] = &seed,
		[PCT] = &pct,
	};

	if (!k->policy)
		return 0;
	return tuck__policy_set(s, k->policy(), args[k->arg]);
}

int tuck__policy_from_env(struct tuck__sched *s, uint64_t seed)
{
	const char *text = secure_getenv("TUCK_POLICY");
	uint64_t numbers[NUMBERS] = { 0 };
	const struct known *k = NULL;
	int n = -1, r;

	if (text) {
		k = find(text, strcspn(text, ":"));
		n = read_numbers(text + strcspn(text, ":"), numbers);
	}
	if (k && n >= 0) {
		r = set(s, k, n, numbers);
		return r == -ENOMEM ? r : 0;	/* nonsense is ignored */
	}
	seed += seed ? s->number : 0;
	return seed ? tuck__policy_set(s, tuck_policy_random(), &seed) : 0;
}
