#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stddef.h>

struct err;

/*
 * No allocation of up to MEM_SMALL_MAX bytes fails, be it of ours or of a
 * library: without memory the process ends as if it were killed, with a line
 * in the log (malloc.c), and what that means to the others is in
 * docs/reliability.md.  Larger ones fail as malloc() does.
 */
#define MEM_SMALL_MAX ((size_t)1 << 20)

/* For malloc.c: that much was not to be had.  Returns if it was not small. */
void mem_failed(size_t len);
/* Until mem_demand(0) no allocation of this thread is too large for that:
 * around a library that does not look whether it got its memory. */
void mem_demand(int on);

/*
 * Allocation that cannot fail, whatever the size: for sizes that this program
 * chose.  One that came from a peer is range-checked first and goes to
 * malloc().  All results belong to the caller and go to free().
 */
void *xmalloc(size_t len) __attribute__((malloc));
void *xcalloc(size_t n, size_t size) __attribute__((malloc));
void *xreallocarray(void *p, size_t n, size_t size);
void *xmemdup(const void *p, size_t len);
/* For what clients can make long: room for n elements in *v, a pointer to
 * them or to NULL, which may move; -1 (ERR_NOMEM) leaves all as it was. */
int mem_grow(void *v, size_t n, size_t size, struct err *e);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Overwrites a secret; the compiler may not drop it.  NULL is accepted. */
void mem_wipe(void *p, size_t len);
/* mem_wipe() and free(). */
void mem_wipe_free(void *p, size_t len);

#endif
