/* SPDX-License-Identifier: MIT */
/* Words for errors, and the end of a process that misused the library. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <tuck/base.h>

#include "base/check.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define JOIN(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)

const char *tuck_version(void)
{
	return JOIN(TUCK_VERSION_MAJOR, TUCK_VERSION_MINOR, TUCK_VERSION_PATCH);
}

const char *tuck_strerror(int err)
{
	const char *text = NULL;

	switch (err) {		/* what it is not, in the kernel's words */
	case -EXDEV: return "Belongs to another thread, or to none any more";
	case -ENODATA: return "Name or service not known";
	case -ECOMM: return "Temporary failure in name resolution";
	case -EREMOTEIO: return "Name server cannot resolve the name";
	}
	if (err <= 0 && err > -4096)
		text = strerrordesc_np(-err);
	return text ? text : "unknown error";
}

static void tell(const char *format, va_list args)
{
	char line[512] = "tuck: ";
	size_t used = strlen(line), n;

	vsnprintf(line + used, sizeof(line) - used - 1, format, args);
	n = strlen(line);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return;		/* there is nobody else to tell */
}

void tuck__tell(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(format, args);
	va_end(args);
}

void tuck__fatal(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(format, args);
	va_end(args);
	abort();
}
