/* SPDX-License-Identifier: MIT */
/* Which sanitizer the library is built with. */
#ifndef TUCK__SANITIZE_H
#define TUCK__SANITIZE_H

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

#if TUCK__ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#define tuck__no_asan __attribute__((__no_sanitize_address__, __noinline__))
#else
#define tuck__no_asan
#endif

#endif
