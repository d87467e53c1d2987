/* SPDX-License-Identifier: MIT */
/*
 * What sanitizers must be told of a switch (rule S10). Without one, all of
 * this is nothing.
 *
 * AddressSanitizer: its fiber calls around each switch, and the shadow bytes
 * of a slice kept behind the slice's data.
 */
#ifndef TUCK__ANNOTATE_H
#define TUCK__ANNOTATE_H

#if defined(__SANITIZE_ADDRESS__)
#define TUCK__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TUCK__ASAN 1
#endif
#if __has_feature(safe_stack)
#error "Tuck cannot slice clang's separate unsafe stack (-fsanitize=safe-stack)"
#endif
#endif

#ifndef TUCK__ASAN
#define TUCK__ASAN 0
#endif

#ifndef TUCK_TORMENT
#define TUCK_TORMENT 0
#endif

/* Whether a switch between residents may take the short way. */
#define TUCK__CTX_PLAIN (!TUCK__ASAN && !TUCK_TORMENT)

#if TUCK__ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>

#define TUCK__CTX_ANNOTATION \
	const void *asan_bottom; \
	size_t asan_bytes; \
	void *asan_fake;
#define tuck__no_asan __attribute__((__no_sanitize_address__, __noinline__))
#else
#define TUCK__CTX_ANNOTATION
#define tuck__no_asan
#endif

#endif
