/* SPDX-License-Identifier: MIT */
/* What the tests of the hook share. */
#ifndef HOOKED_H
#define HOOKED_H

#include <tuck.h>

#include "sockets.h"
#include "trace.h"

/* A thread is hooked from its first call of Tuck on. */
#define HOOKED_TEST(id)							\
	static void hooked_##id(void);					\
	TEST(id)							\
	{								\
		CHECK(tuck_self() > 0);					\
		hooked_##id();						\
	}								\
	static void hooked_##id(void)

#endif
