/* SPDX-License-Identifier: MIT */
/* What is compiled so that it is pre-empted. */
#ifndef LOOPS_H
#define LOOPS_H

struct loop {
	const char *name;
	void (*fn)(void *flag);
};

enum { LOOPS = 5 };

extern const struct loop loops[LOOPS];

void long_handler(int sig);
int chosen(void);		/* an ifunc, where there are some: 1 */
int long_handlers(void);	/* that ran to their end */

#endif
