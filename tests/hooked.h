/* SPDX-License-Identifier: MIT */
/* What the tests of the hook share. */
#ifndef HOOKED_H
#define HOOKED_H

#include <stdlib.h>
#include <string.h>
#include <tuck.h>

#include "sockets.h"
#include "trace.h"

/* Without the hook a test's first wait would be for ever. */
static inline void needs_hook(void)
{
#ifdef PRELOADED
	const char *preloaded = getenv("LD_PRELOAD");

	if (!preloaded || !strstr(preloaded, "libtuck-hook"))
		SKIP("LD_PRELOAD does not name libtuck-hook.so, as meson does");
#endif
}

/* A thread is hooked from its first call of Tuck on. */
#define HOOKED_TEST(id)							\
	static void hooked_##id(void);					\
	TEST(id)							\
	{								\
		needs_hook();						\
		CHECK(tuck_self() > 0);					\
		hooked_##id();						\
	}								\
	static void hooked_##id(void)

#endif
