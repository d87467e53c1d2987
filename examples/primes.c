/* SPDX-License-Identifier: MIT */
/*
 * primes: prints the first primes, found by a sieve of chained channels.
 *
 * Shows tasklets that talk: each holds back the multiples of one prime and
 * passes on the rest, as in Hoare's "Communicating Sequential Processes"
 * (1978) and McIlroy's "Squinting at Power Series". The end travels up the
 * chain: who wants no more closes its input, and the sender gets -EPIPE.
 *
 *	build/plain/examples/primes 10
 *	TUCK_STACK_SLOTS=1 build/plain/examples/primes 1000 | tail -1
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <tuck.h>

static int wanted;

static void die(const char *what, int err)
{
	fprintf(stderr, "%s: %s\n", what, tuck_strerror(err));
	exit(1);
}

static struct tuck_chan *start(void (*fn)(void *))
{
	struct tuck_chan *chan = tuck_chan_new(sizeof(int), 0);

	if (!chan || tuck_go(fn, chan) < 0)
		die("start", -ENOMEM);
	return chan;
}

/* What comes first is a prime; the next sieve gets what it does not divide. */
static void sieve(void *arg)
{
	struct tuck_chan *in = arg, *out;
	int prime, n, r = tuck_chan_recv(in, &prime, TUCK_FOREVER);

	if (r < 0)
		die("first", r);
	printf("%d\n", prime);
	if (--wanted > 0) {
		out = start(sieve);
		while ((r = tuck_chan_recv(in, &n, TUCK_FOREVER)) == 0)
			if (n % prime != 0 &&
			    (r = tuck_chan_send(out, &n, TUCK_FOREVER)) < 0)
				break;
		if (r != -EPIPE)
			die("sieve", r);
		tuck_chan_free(out);
	}
	tuck_chan_close(in);
}

int main(int argc, char **argv)
{
	struct tuck_chan *out;
	int n = 2, r;

	wanted = argc > 1 ? atoi(argv[1]) : 100;
	if (wanted < 1) {
		fprintf(stderr, "usage: %s [how many]\n", argv[0]);
		return 2;
	}
	out = start(sieve);
	while ((r = tuck_chan_send(out, &n, TUCK_FOREVER)) == 0)
		n++;
	if (r != -EPIPE)
		die("main", r);
	tuck_chan_free(out);
	return fflush(stdout) != 0;
}
