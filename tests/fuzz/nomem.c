/* The n-th allocation fails (nomem.h).  Threads of a target may allocate, too:
 * everything is atomic. */
#include "config.h"

#include "tests/fuzz/nomem.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

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

/*
 * The next ones of their names: the C library's, or a sanitizer's.  They are
 * looked up at the first allocation of all; what that search itself allocates
 * lies in a small pool and stays there.
 */
static struct {
	void *(*malloc)(size_t len);
	void *(*calloc)(size_t n, size_t len);
	void *(*realloc)(void *p, size_t len);
	void (*free)(void *p);
} real;

static _Alignas(16) char pool[16384];
static size_t pool_used;

static int
is_pooled(const void *p)
{
	return (const char *)p >= pool && (const char *)p < pool + sizeof(pool);
}

static void *
pool_take(size_t len)
{
	void *p = pool + pool_used;

	len = (len + 15) & ~(size_t)15;
	if (len > sizeof(pool) - pool_used)
		abort();
	pool_used += len;
	return p;
}

/* 0 during the search. */
static int
is_ready(void)
{
	static int searching;

	if (real.free != NULL)
		return 1;
	if (searching)
		return 0;
	searching = 1;
	*(void **)&real.malloc = dlsym(RTLD_NEXT, "malloc");
	*(void **)&real.calloc = dlsym(RTLD_NEXT, "calloc");
	*(void **)&real.realloc = dlsym(RTLD_NEXT, "realloc");
	*(void **)&real.free = dlsym(RTLD_NEXT, "free");
	return real.free != NULL;
}

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
	if (!is_ready())
		return pool_take(len);
	return FAILS(len) ? NULL : counted(real.malloc(len));
}

void *
calloc(size_t n, size_t len)
{
	if (!is_ready())
		return pool_take(n * len);
	return FAILS(n * len) ? NULL : counted(real.calloc(n, len));
}

void *
realloc(void *p, size_t len)
{
	size_t room;
	void *q;

	if (is_pooled(p)) {
		room = (size_t)(pool + sizeof(pool) - (char *)p);
		q = malloc(len);
		return q == NULL ? q : memmove(q, p, len < room ? len : room);
	}
	if (!is_ready())
		return pool_take(len);
	if (len > 0 && FAILS(len))
		return NULL;
	return p == NULL ? counted(real.malloc(len)) : real.realloc(p, len);
}

void
free(void *p)
{
	if (p == NULL || is_pooled(p) || !is_ready())
		return;
	atomic_fetch_sub(&blocks, 1);
	real.free(p);
}
