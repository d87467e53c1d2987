/* SPDX-License-Identifier: MIT */
/*
 * Sockets whose address is a name: each address of it in turn, until one will
 * do. What all have in vain, the first one says, for it is the best. Connects
 * go to both families alternately, as RFC 8305 has it: a machine whose IPv6
 * leads nowhere has many such addresses, and should not try them all first.
 *
 * Why not otherwise: Happy Eyeballs (RFC 8305) has the second address begin
 * 250 ms after the first, and keeps who is first. That is two descriptors and
 * a second tasklet for each connect; here an address that does not answer at
 * all costs its share of the deadline.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "io/socket.h"

static void free_addrs(struct tuck__addrs **addrs)
{
	tuck__free(*addrs);
}

/* The next address to try: of the other family than the last, if there is. */
static tuck__noinline void alternate(struct tuck__addrs *addrs, int next)
{
	struct tuck_addr *a = addrs->addr, found;
	int i = next;

	while (i < addrs->n && a[i].sa.ss_family == a[next - 1].sa.ss_family)
		i++;
	if (i == addrs->n)
		return;
	found = a[i];
	memmove(&a[next + 1], &a[next], (size_t)(i - next) * sizeof(*a));
	a[next] = found;
}

/* The same for each of those that are left. */
static tuck_ns share(tuck_ns deadline, int left)
{
	tuck_ns now = tuck_now();

	if (deadline == TUCK_FOREVER || deadline <= now)
		return deadline;
	return now + (deadline - now + left - 1) / left;
}

/* Whether others need not be tried. */
static bool final(int r, tuck_ns deadline)
{
	return r >= 0 || r == -ECANCELED || r == -ETIME ||
	       (r == -ETIMEDOUT && tuck_now() >= deadline);
}

/*
 * Of the local address's family, for others cannot be connected from there; a
 * text that is no address comes to light with the first one.
 */
static tuck__noinline int family_of(const struct tuck_socket_attr *attr)
{
	struct tuck_addr local;

	if (!attr->local || tuck__addr_of(&local, attr->local) < 0)
		return 0;
	return local.sa.ss_family == AF_INET || local.sa.ss_family == AF_INET6 ?
		       local.sa.ss_family :
		       0;
}

int tuck__connect_named(const char *text, const struct tuck_socket_attr *attr,
			tuck_ns deadline)
{
	struct tuck__addrs *addrs
		__attribute__((__cleanup__(free_addrs))) = NULL;
	const struct tuck_resolve_attr want = { .family = family_of(attr),
						.kind = attr->kind };
	int first = 0, r;

	r = tuck__addrs_of(&addrs, text, &want, deadline);
	if (r < 0)
		return r;
	for (int i = 0; i < addrs->n; i++) {
		if (i > 0)
			alternate(addrs, i);
		r = tuck__connect_to(&addrs->addr[i], attr,
				     share(deadline, addrs->n - i));
		if (final(r, deadline))
			return r;
		if (i == 0)
			first = r;
	}
	return first;
}

int tuck__open_named(const char *text, int kind,
		     const struct tuck_socket_attr *attr)
{
	struct tuck__addrs *addrs
		__attribute__((__cleanup__(free_addrs))) = NULL;
	const struct tuck_resolve_attr want = { .kind = kind };
	int first = 0, r;

	r = tuck__addrs_of(&addrs, text, &want, TUCK_FOREVER);
	if (r < 0)
		return r;
	for (int i = 0; i < addrs->n; i++) {
		r = tuck__open_to(&addrs->addr[i], kind, attr);
		if (r >= 0)
			return r;
		if (i == 0)
			first = r;
	}
	return first;
}
