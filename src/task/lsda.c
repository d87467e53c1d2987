/* SPDX-License-Identifier: MIT */
/*
 * How the kill of a pre-empted tasklet passes by frames that their compiler
 * did not think could be left where they are.
 *
 * Compilers take it that a tick throws nothing, and so does what they can see
 * to the end, so they give no landing pad for it. The personality of C++ would
 * call std::terminate() then. A stop function may change a frame's instruction
 * pointer, which nobody but the personality asks for after it: so a frame is
 * made to look as if it were at a call that needs no cleaning up, like that of
 * _Unwind_Resume, which every function with a cleanup has. (In a function that
 * gcc has parted in hot and cold that may be in the other part, with a table
 * of its own. Then the frame cannot be passed.)
 *
 * The table (LSDA) is that of the Itanium C++ ABI's exception handling, which
 * gcc and clang use for C, too.
 */
#include "task/task.h"

#ifdef __ARM_EABI_UNWINDER__	/* it does not say where functions begin */
#define TELLS_REGIONS 0
#else
#define TELLS_REGIONS 1
#endif

enum {	/* how a number is written */
       OMITTED = 0xff,
       ULEB128 = 0x01,
       UDATA2 = 0x02,
       UDATA4 = 0x03,
       UDATA8 = 0x04
};

union number {
	uint16_t u2;
	uint32_t u4;
	uint64_t u8;
} __attribute__((__packed__));

struct call_site {
	uintptr_t start, bytes, pad, action;
};

static uintptr_t read_uleb(const uint8_t **p)
{
	uintptr_t n = 0;
	unsigned int shift = 0;

	do
		n |= (uintptr_t)(**p & 0x7f) << shift;
	while (shift += 7, *(*p)++ & 0x80);
	return n;
}

static uintptr_t read_number(const uint8_t **p, unsigned int how)
{
	const union number *n = (const union number *)*p;

	switch (how) {
	case ULEB128: return read_uleb(p);
	case UDATA2: *p += sizeof(n->u2); return n->u2;
	case UDATA4: *p += sizeof(n->u4); return n->u4;
	default: *p += sizeof(n->u8); return (uintptr_t)n->u8;
	}
}

static struct call_site read_site(const uint8_t **p, unsigned int how)
{
	struct call_site c;

	c.start = read_number(p, how);
	c.bytes = read_number(p, how);
	c.pad = read_number(p, how);
	c.action = read_uleb(p);
	return c;
}

/* Where its table has a call that needs no cleaning up; 0: nowhere. */
static uintptr_t find_quiet(const uint8_t *p, uintptr_t at, bool *ret_known)
{
	unsigned int how = *p++;
	uintptr_t bytes = read_uleb(&p), quiet = 0;
	const uint8_t *end = p + bytes;

	*ret_known = false;
	while (p < end) {
		struct call_site c = read_site(&p, how);

		*ret_known |= at - c.start < c.bytes;
		if (!c.pad && c.bytes > 1)
			quiet = c.start + 1;	/* after, as calls return to */
	}
	return quiet;
}

bool tuck__pass_by(struct _Unwind_Context *frame)
{
	uintptr_t start, at, quiet;
	const uint8_t *p;
	int exact = 0;
	bool known;

	if (!TELLS_REGIONS)
		return true;
	p = (const uint8_t *)_Unwind_GetLanguageSpecificData(frame);
	if (!p || *p++ != OMITTED)	/* where pads start */
		return true;
	if (*p++ != OMITTED)		/* how types are written, and where */
		read_uleb(&p);
	start = (uintptr_t)_Unwind_GetRegionStart(frame);
	at = (uintptr_t)_Unwind_GetIPInfo(frame, &exact) - !exact;
	quiet = find_quiet(p, at - start, &known);
	at = start + quiet;
	if (!known && quiet)
		_Unwind_SetIP(frame, at);
	return known || quiet;
}
