/* SPDX-License-Identifier: MIT */
/* Sockets: what the files about them share. */
#ifndef TUCK__SOCKET_H
#define TUCK__SOCKET_H

#include <tuck/net.h>

#include "io/poller.h"

/*
 * The address that a text of the caller's names: 0 or a negative error. All
 * calls that take such a text ask here, before they have anything to give
 * back; so this is where host names will be resolved, which may wait until
 * the deadline. Until then a name is -EINVAL.
 */
int tuck__addr_of(struct tuck_addr *ret_addr, const char *text,
		  tuck_ns deadline);

/* What the poller is to know of a new socket of this family and kind. */
uint32_t tuck__socket_bits(int family, int kind);

#endif
