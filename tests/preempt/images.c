/* SPDX-License-Identifier: MIT */
/*
 * Deflate and inflate, for PNG, and JPEG's transforms: stb_image, whose source
 * is what Debian's libstb-dev ships.
 */
#include "images.h"

#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wpointer-arith"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wunused-function"
#define STBI_NO_STDIO
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

enum { SIDE = 96, CHANNELS = 3, FILE_MAX = 1 << 17 };

struct file {
	int bytes;
	unsigned char data[FILE_MAX];
};

static void append(void *context, void *data, int bytes)
{
	struct file *f = context;

	if (f->bytes + bytes > FILE_MAX)
		return;
	memcpy(f->data + f->bytes, data, (size_t)bytes);
	f->bytes += bytes;
}

static uint64_t hash(uint64_t h, const unsigned char *p, int n)
{
	while (n-- > 0)
		h = (h ^ *p++) * UINT64_C(0x100000001b3);	/* FNV-1a */
	return h;
}

static void paint(unsigned char *pixels, uint32_t seed)
{
	for (int i = 0; i < SIDE * SIDE * CHANNELS; i++) {
		seed = seed * 1664525 + 1013904223;
		pixels[i] = (unsigned char)(i / 7 + (seed >> 30));
	}
}

static uint64_t read_back(const struct file *f)
{
	uint64_t h = hash(0xcbf29ce484222325, f->data, f->bytes);
	int x, y, n;
	unsigned char *pixels = stbi_load_from_memory(f->data, f->bytes, &x, &y,
						      &n, 0);

	if (!pixels || x != SIDE || y != SIDE || n != CHANNELS)
		return 0;
	h = hash(h, pixels, SIDE * SIDE * CHANNELS);
	free(pixels);
	return h;
}

static uint64_t image(uint32_t seed, int jpeg)
{
	unsigned char *pixels = malloc(SIDE * SIDE * CHANNELS);
	struct file *f = calloc(1, sizeof(*f));
	uint64_t h = 0;

	paint(pixels, seed);
	if (jpeg)
		stbi_write_jpg_to_func(append, f, SIDE, SIDE, CHANNELS, pixels,
				       90);
	else
		stbi_write_png_to_func(append, f, SIDE, SIDE, CHANNELS, pixels,
				       SIDE * CHANNELS);
	h = read_back(f);
	free(pixels);
	free(f);
	return h;
}

uint64_t image_as_png(uint32_t seed)
{
	return image(seed, 0);
}

uint64_t image_as_jpeg(uint32_t seed)
{
	return image(seed, 1);
}
