/* SPDX-License-Identifier: MIT */
/*
 * Found in the place of libc's <ucontext.h>, when this folder is given to the
 * compiler as one to look for headers in: the calls are Tuck's then. See
 * tuck/ucontext.h.
 */
#ifndef TUCK_POSIX_UCONTEXT_H
#define TUCK_POSIX_UCONTEXT_H
#pragma GCC system_header	/* for include_next */

#include_next <ucontext.h>

#ifndef TUCK_UCONTEXT_NAMES
#define TUCK_UCONTEXT_NAMES
#endif
#include <tuck/ucontext.h>

#endif
