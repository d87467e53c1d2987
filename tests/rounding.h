/* SPDX-License-Identifier: MIT */
/* The rounding modes that <fenv.h> has on this CPU. */
#ifndef ROUNDING_H
#define ROUNDING_H

#include <fenv.h>

static const int modes[] = {
	FE_TONEAREST,
#ifdef FE_UPWARD
	FE_UPWARD,
#endif
#ifdef FE_DOWNWARD
	FE_DOWNWARD,
#endif
#ifdef FE_TOWARDZERO
	FE_TOWARDZERO,
#endif
};

#define MODES (sizeof(modes) / sizeof(modes[0]))

#endif
