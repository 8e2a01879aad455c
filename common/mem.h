#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stddef.h>

/*
 * Allocation that cannot fail: out of memory is fatal.  For sizes that this
 * program chose; a size that came from a peer is range-checked first and
 * goes to malloc().  All results belong to the caller and go to free().
 */
void *xmalloc(size_t len) __attribute__((malloc));
void *xcalloc(size_t n, size_t size) __attribute__((malloc));
void *xreallocarray(void *p, size_t n, size_t size);
void *xmemdup(const void *p, size_t len);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Overwrites a secret; the compiler may not drop it.  NULL is accepted. */
void mem_wipe(void *p, size_t len);
/* mem_wipe() and free(). */
void mem_wipe_free(void *p, size_t len);

#endif
