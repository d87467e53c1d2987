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

#include "base/sanitize.h"

#ifndef TUCK_TORMENT
#define TUCK_TORMENT 0
#endif

/* Whether a switch between residents may take the short way. */
#define TUCK__CTX_PLAIN (!TUCK__ASAN && !TUCK_TORMENT)

#if TUCK__ASAN
#define TUCK__CTX_ANNOTATION void *asan_fake;
#else
#define TUCK__CTX_ANNOTATION
#endif

#endif
