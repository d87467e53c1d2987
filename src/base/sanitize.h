/* SPDX-License-Identifier: MIT */
/* Which sanitizer the library is built with, and whether it knows Valgrind. */
#ifndef TUCK__SANITIZE_H
#define TUCK__SANITIZE_H

#if defined(__SANITIZE_ADDRESS__)
#define TUCK__ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define TUCK__TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TUCK__ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define TUCK__TSAN 1
#endif
#if __has_feature(memory_sanitizer)
#define TUCK__MSAN 1
#endif
#if __has_feature(safe_stack)
#error "Tuck cannot slice clang's separate unsafe stack (-fsanitize=safe-stack)"
#endif
#endif

#ifndef TUCK__ASAN
#define TUCK__ASAN 0
#endif
#ifndef TUCK__TSAN
#define TUCK__TSAN 0
#endif
#ifndef TUCK__MSAN
#define TUCK__MSAN 0
#endif

/* None of the sanitizers runs under Valgrind. */
#if defined(TUCK_VALGRIND) && !TUCK__ASAN && !TUCK__TSAN && !TUCK__MSAN
#include <valgrind/memcheck.h>
#ifndef NVALGRIND		/* defined there for CPUs without Valgrind */
#define TUCK__VALGRIND 1
#endif
#endif
#ifndef TUCK__VALGRIND
#define TUCK__VALGRIND 0
#endif

#if TUCK__ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
void __asan_handle_no_return(void);	/* what is called before a throw */
#define tuck__no_asan __attribute__((__no_sanitize_address__, __noinline__))
#else
#define tuck__no_asan
#endif

/* For what begins as one fiber and ends as another: not even its calls. */
#if TUCK__TSAN
#include <sanitizer/tsan_interface.h>
#ifdef __clang__
#define tuck__no_tsan \
	__attribute__((__disable_sanitizer_instrumentation__, __noinline__))
#else
#define tuck__no_tsan __attribute__((__no_sanitize_thread__, __noinline__))
#endif
#else
#define tuck__no_tsan
#endif

#if TUCK__MSAN
#include <sanitizer/msan_interface.h>
#endif

#endif
