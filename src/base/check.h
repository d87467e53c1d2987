/* SPDX-License-Identifier: MIT */
/*
 * The three checks: of a caller's arguments, of what must never break, and
 * of what only a debug build can afford.
 */
#ifndef TUCK__CHECK_H
#define TUCK__CHECK_H

#include <stdbool.h>

#define tuck__likely(x)		__builtin_expect(!!(x), 1)
#define tuck__unlikely(x)	__builtin_expect(!!(x), 0)

#define tuck__noreturn		__attribute__((__noreturn__))
#define tuck__noinline		__attribute__((__noinline__))
#define tuck__cold		__attribute__((__cold__, __noinline__))

/* End the process with one line that names the misuse. */
tuck__noreturn tuck__cold void tuck__fatal(const char *format, ...)
	__attribute__((__format__(__printf__, 1, 2)));

/* Say something that nobody asked for, in one line on stderr. */
void tuck__tell(const char *format, ...)
	__attribute__((__format__(__printf__, 1, 2), __cold__));

/* A caller's argument: the call returns err and has done nothing. */
#define TUCK__REQUIRE(cond, err) do { \
	if (tuck__unlikely(!(cond))) \
		return (err); \
} while (0)

/* Kept in release: a corrupt slice is worse than an abort. */
#define TUCK__ASSERT(cond) do { \
	if (tuck__unlikely(!(cond))) \
		tuck__fatal("%s:%d: broken invariant: %s", __FILE__, \
			    __LINE__, #cond); \
} while (0)

/* Whole structures, checked where TUCK_CHECKS is defined. */
#ifdef TUCK_CHECKS
#define TUCK__EXPENSIVE(cond) TUCK__ASSERT(cond)
#else
#define TUCK__EXPENSIVE(cond) ((void)(0 && (cond)))
#endif

#define tuck__container(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#endif
