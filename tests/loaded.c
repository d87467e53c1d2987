/* SPDX-License-Identifier: MIT */
/* A library whose constructor calls the program that loads it. */
void on_load(void);

__attribute__((constructor)) static void loaded(void)
{
	on_load();
}
