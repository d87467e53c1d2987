/* SPDX-License-Identifier: MIT */
/* What a proc is built from, defaults and environment taken into account. */
#ifndef TUCK__CONFIG_H
#define TUCK__CONFIG_H

#include <tuck/base.h>

void tuck__config_get(struct tuck_config *ret_config);

#endif
