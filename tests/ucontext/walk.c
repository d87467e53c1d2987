/* SPDX-License-Identifier: MIT */
/*
 * Two binary trees are walked by generators and merged in order, as programs
 * for <ucontext.h> do it; then one point is gone on with again and again.
 * It does not know of Tuck.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#define NODES 50
#define STACK 65536

struct node {
	int value;
	struct node *left, *right;
};

struct generator {
	ucontext_t inside, outside;
	const struct node *root;
	int value, done;
	double weight;
};

static struct node nodes[2 * NODES];
static int used;
static struct generator gens[2];

static struct node *insert(struct node *tree, int value)
{
	if (!tree) {
		nodes[used].value = value;
		return &nodes[used++];
	}
	if (value < tree->value)
		tree->left = insert(tree->left, value);
	else
		tree->right = insert(tree->right, value);
	return tree;
}

static struct node *plant(unsigned seed)
{
	struct node *tree = NULL;

	for (int i = 0; i < NODES; i++) {
		seed = seed * 1103515245 + 12345;
		tree = insert(tree, (int)(seed >> 16) % 1000);
	}
	return tree;
}

static void walk(struct generator *g, const struct node *tree)
{
	double weight = tree ? tree->value / 3.0 : 0;

	if (!tree)
		return;
	walk(g, tree->left);
	g->value = tree->value;
	swapcontext(&g->inside, &g->outside);
	walk(g, tree->right);
	g->weight += weight;
}

/* A pointer and signed ints arrive whole. */
static void generate(struct generator *g, int seven, int minus)
{
	if (seven != 7 || minus != -3)
		exit(1);
	walk(g, g->root);
	g->done = 1;
}

static void start(struct generator *g, const struct node *root)
{
	static char stacks[2][STACK];

	g->root = root;
	if (getcontext(&g->inside) < 0)
		exit(1);
	g->inside.uc_link = &g->outside;
#ifdef SLICED
	(void)stacks;
	g->inside.uc_stack.ss_sp = NULL;
	g->inside.uc_base = __builtin_frame_address(0);
#else
	g->inside.uc_stack.ss_sp = stacks[g - gens];
	g->inside.uc_stack.ss_size = STACK;
#endif
	makecontext(&g->inside, (void (*)(void))(uintptr_t)generate, 3, g, 7,
		    -3);
}

static int next(struct generator *g)
{
	if (!g->done)
		swapcontext(&g->outside, &g->inside);
	return !g->done;
}

int main(void)
{
	struct generator *a = &gens[0], *b = &gens[1];
	int more_a, more_b;
	volatile int times = 0;
	ucontext_t again;

	start(a, plant(1));
	start(b, plant(2));
	more_a = next(a);
	more_b = next(b);
	while (more_a || more_b) {
		struct generator *g = more_a && (!more_b ||
						 a->value <= b->value) ?
					      a :
					      b;

		printf("%c%d ", g == a ? 'a' : 'b', g->value);
		*(g == a ? &more_a : &more_b) = next(g);
	}
	printf("\n%.6f %.6f\n", a->weight, b->weight);
	getcontext(&again);
	printf("pass %d\n", times);
	if (times++ < 3)
		setcontext(&again);
	return 0;
}
