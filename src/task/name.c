/* SPDX-License-Identifier: MIT */
/* The names that tasklets go by in dumps. */
#include <errno.h>
#include <stdio.h>

#include "task/task.h"

int tuck__name_set(struct tuck__sched *s, struct tuck__tasklet *t,
		   const char *name)
{
	struct tuck__extra *extra = tuck__extra(s, t);

	if (!extra)
		return -ENOMEM;
	snprintf(extra->name, sizeof(extra->name), "%s", name);
	return 0;
}

const char *tuck__name(const struct tuck__sched *s,
		       const struct tuck__tasklet *t)
{
	if (t->extra && t->extra->name[0])
		return t->extra->name;
	return t == s->main ? "main" : "";
}

int tuck_name_set(tuck_id id, const char *name)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck__tasklet *t;
	int r;

	TUCK__REQUIRE(name, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	r = tuck__find_here(s, id, &t);
	return r < 0 ? r : tuck__name_set(s, t, name);
}

int tuck_name_get(tuck_id id, char *ret_name, size_t n)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck__tasklet *t;
	int r;

	TUCK__REQUIRE(ret_name && n > 0, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	r = tuck__find_here(s, id, &t);
	if (r == 0)
		snprintf(ret_name, n, "%s", tuck__name(s, t));
	return r;
}
