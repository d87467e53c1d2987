/* SPDX-License-Identifier: MIT */
/*
 * A round-robin scheduler on <ucontext.h>: players pass a ball by way of the
 * main context; each one that ends is followed by its uc_link, and one is
 * made again in the same struct. Signal masks travel, in Tuck if asked to.
 * It does not know of Tuck but for that.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#ifdef TUCK_UCONTEXT_NAMES
#define TRAVELS() tuck_ucontext_sigmask(1)
#else
#define TRAVELS() ((void)0)
#endif

#define PLAYERS 5
#define STACK 65536

static ucontext_t players[PLAYERS], court;
static int alive[PLAYERS], ball, running;

static int blocked(int sig)
{
	sigset_t set;

	sigprocmask(SIG_SETMASK, NULL, &set);
	return sigismember(&set, sig);
}

static void pass(void)
{
	int me = running;

	if (swapcontext(&players[me], &court) < 0)
		exit(1);
	running = me;
}

static void play(long me, const char *name, long rounds, double *ret_sum)
{
	char text[256];
	sigset_t set;

	memset(text, (int)me, sizeof(text));
	sigemptyset(&set);
	sigaddset(&set, me % 2 ? SIGUSR1 : SIGUSR2);
	sigprocmask(SIG_SETMASK, &set, NULL);
	for (long i = 0; i < rounds; i++) {
		printf("%s %ld: ball %d, usr1 %d, usr2 %d\n", name, i, ball++,
		       blocked(SIGUSR1), blocked(SIGUSR2));
		pass();
		*ret_sum += 0.1 * (double)(me + i);
		for (size_t k = 0; k < sizeof(text); k++)
			if (text[k] != (char)me)
				exit(1);
	}
	alive[me] = 0;
}

static double sums[PLAYERS];

static void make(int i, const char *name)
{
	static char stacks[PLAYERS][STACK];

	getcontext(&players[i]);
	players[i].uc_stack.ss_sp = stacks[i];
	players[i].uc_stack.ss_size = STACK;
	players[i].uc_link = &court;
	makecontext(&players[i], (void (*)(void))(uintptr_t)play, 4, (long)i,
		    name, (long)i + 2, &sums[i]);
	alive[i] = 1;
}

int main(void)
{
	static const char *names[] = { "anna", "bert", "cora", "dora", "emil" };
	int any = 1;

	TRAVELS();
	for (int i = 0; i < PLAYERS; i++)
		make(i, names[i]);
	for (int round = 0; any; round++) {
		any = 0;
		for (running = 0; running < PLAYERS; running++) {
			if (!alive[running])
				continue;
			any = 1;
			if (swapcontext(&court, &players[running]) < 0)
				return 1;
		}
		if (round == 4)
			make(0, "anna again"), any = 1;
	}
	for (int i = 0; i < PLAYERS; i++)
		printf("%.3f\n", sums[i]);
	printf("ball %d, usr1 %d, usr2 %d\n", ball, blocked(SIGUSR1),
	       blocked(SIGUSR2));
	return 0;
}
