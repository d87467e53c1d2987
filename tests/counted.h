/* SPDX-License-Identifier: MIT */
/* What tests throw: its copies are counted. For C++. */
#ifndef COUNTED_H
#define COUNTED_H

#include <exception>

static int alive;	/* objects that want a destructor */

struct counted {
	int n;

	explicit counted(int of) : n(of)
	{
		alive++;
	}
	counted(const counted &other) : n(other.n)
	{
		alive++;
	}
	~counted()
	{
		alive--;
	}
};

/* The number of what is being caught; -1 if nothing is. */
static inline int caught_now()
{
	if (!std::current_exception())
		return -1;
	try {
		throw;
	} catch (const counted &e) {
		return e.n;
	}
}

#endif
