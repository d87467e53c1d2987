/* SPDX-License-Identifier: MIT */
/* A library that computes, compiled so that it is pre-empted. */
#ifndef IMAGES_H
#define IMAGES_H

#include <stdint.h>

/*
 * Make a picture from seed, write it in that format into memory, read it back
 * and return the hash of all that came out; 0 for an error.
 */
uint64_t image_as_png(uint32_t seed);
uint64_t image_as_jpeg(uint32_t seed);

#endif
