/* SPDX-License-Identifier: MIT */
/* Code that counts, in a module that is loaded and unloaded. */
#include <dlfcn.h>
#include <stdio.h>
#include <tuck.h>

#include "preempt/loops.h"
#include "trace.h"

static void pre_empt(const struct loop *loop)
{
	static int flag;
	tuck_id id = go(loop->fn, &flag);

	for (int i = 0; i < 3; i++) {
		CHECK_EQ(tuck_run(1000), id);
		CHECK_EQ(tuck_unblock(id), 0);
	}
	CHECK_EQ(tuck_kill(id), 0);
	CHECK_EQ(tuck_run(0), 0);
}

TEST(module_that_was_unloaded)
{
	void *module = dlopen(COUNTED, RTLD_NOW);
	const struct loop *theirs;

	CHECK(module);
	theirs = dlsym(module, "loops");
	CHECK(theirs && theirs != loops);
	pre_empt(&theirs[1]);
	CHECK_EQ(dlclose(module), 0);
	pre_empt(&loops[1]);
}
