/*
 * The C library's allocator as every program of ours, and every library in it,
 * sees it: small memory is there, or the process ends (mem.h).  Libraries that
 * do not expect to be refused a few bytes then never are: one would go on with
 * half a string.  A file of its own, so that a test can take its place.
 */
#include "config.h"

#include <stdlib.h>

#include "common/mem.h"

/* A sanitizer has its own allocator, and a way of its own to end. */
#ifndef HOLDFAST_SANITIZERS

void *__libc_malloc(size_t len);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t len);

void *
malloc(size_t len)
{
	void *p = __libc_malloc(len);

	if (p == NULL)
		mem_failed(len);
	return p;
}

void *
calloc(size_t n, size_t size)
{
	void *p = __libc_calloc(n, size);
	size_t len;

	if (p == NULL && !__builtin_mul_overflow(n, size, &len))
		mem_failed(len);
	return p;
}

void *
realloc(void *p, size_t len)
{
	void *q = __libc_realloc(p, len);

	if (q == NULL && len > 0)
		mem_failed(len);
	return q;
}

#endif
