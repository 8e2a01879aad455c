#ifndef TESTS_FUZZ_NOMEM_H
#define TESTS_FUZZ_NOMEM_H

/*
 * Memory that runs out: this file's malloc() and its kin take the place of
 * common/malloc.c for the whole program, its libraries too, and fail when told
 * to.  A library is never refused small memory, as there; our own code is
 * refused whatever it asks for, so that each of its checks is tried with small
 * inputs.
 */

/* The n-th allocation from now on fails, those behind it do not; 0: none. */
void nomem_arm(unsigned long n);
/* Whether it was reached. */
int nomem_hit(void);
/* Blocks that are allocated. */
long nomem_blocks(void);

#endif
