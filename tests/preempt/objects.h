/* SPDX-License-Identifier: MIT */
/* What is compiled so that it is pre-empted. */
#ifndef OBJECTS_H
#define OBJECTS_H

/* Holds an object that counts itself at arg, and never ends. */
void holds_an_object(void *count);

extern int static_builds;
int slow_static();	/* has a static local */

/* std::call_once n times; how often it called what it was given. */
int calls_once(int n);

/* n times each, with a mutex and a condition of the standard library. */
void produces(void *n);
void consumes(void *n);
int has_taken();

#endif
