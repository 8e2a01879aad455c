/* The n-th allocation fails (nomem.h).  Threads of a target may allocate, too:
 * everything is atomic. */
#include "config.h"

#include "tests/fuzz/nomem.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/mem.h"

static atomic_ulong left; /* allocations until it fails; 0: never */
static atomic_int hit;
static atomic_long blocks;

void
nomem_arm(unsigned long n)
{
	atomic_store(&hit, 0);
	atomic_store(&left, n);
}

int
nomem_hit(void)
{
	return atomic_load(&hit);
}

long
nomem_blocks(void)
{
	return atomic_load(&blocks);
}

/* The next one of that name: the C library's, or a sanitizer's. */
#define REAL(name)                                                         \
	__extension__({                                                    \
		static __typeof__(&name) real;                             \
		if (real == NULL)                                          \
			real = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
		real;                                                      \
	})

/* Of the program itself. */
extern const char __executable_start[], etext[];

static int
is_ours(const void *caller)
{
	return (const char *)caller >= __executable_start &&
	    (const char *)caller < etext;
}

static int
fails(size_t len, const void *caller)
{
	if (atomic_load(&left) == 0 || atomic_fetch_sub(&left, 1) != 1)
		return 0;
	atomic_store(&hit, 1);
	if (!is_ours(caller))
		mem_failed(len);
	errno = ENOMEM;
	return 1;
}
#define FAILS(len) fails(len, __builtin_return_address(0))

static void *
counted(void *p)
{
	if (p != NULL)
		atomic_fetch_add(&blocks, 1);
	return p;
}

void *
malloc(size_t len)
{
	return FAILS(len) ? NULL : counted(REAL(malloc)(len));
}

void *
calloc(size_t n, size_t len)
{
	return FAILS(n * len) ? NULL : counted(REAL(calloc)(n, len));
}

void *
realloc(void *p, size_t len)
{
	if (len > 0 && FAILS(len))
		return NULL;
	return p == NULL ? counted(REAL(malloc)(len)) : REAL(realloc)(p, len);
}

void
free(void *p)
{
	if (p != NULL)
		atomic_fetch_sub(&blocks, 1);
	REAL(free)(p);
}
