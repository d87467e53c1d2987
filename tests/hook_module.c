/* SPDX-License-Identifier: MIT */
/* A library that calls the program when it is loaded, and when it goes. */
void at_load(void);
void at_unload(void);

__attribute__((constructor)) static void loaded(void)
{
	at_load();
}

__attribute__((destructor)) static void unloaded(void)
{
	at_unload();
}
