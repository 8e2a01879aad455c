/*
 * Memory that runs out in a program under test.  Built twice by
 * test_out_of_memory.py: as a library that lies below common/malloc.c and
 * fails the n-th allocation of any process of its program, as a page says that
 * the test maps, too; and, with STARVE_MAIN, as the program that others start
 * in its place, since they hand no environment on: it runs the real one, with
 * the library.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef STARVE_MAIN

/* FOLDER/NAME runs FOLDER/real/NAME with FOLDER/starve.so and
 * FOLDER/NAME.page. */
int
main(int argc, char **argv)
{
	char self[2048], path[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	(void)argc;
	if (n < 0)
		return 1;
	self[n] = '\0';
	snprintf(path, sizeof(path), "%s.page", self);
	setenv("STARVE_PAGE", path, 1);
	slash = strrchr(self, '/');
	*slash++ = '\0';
	snprintf(path, sizeof(path), "%s/starve.so", self);
	setenv("LD_PRELOAD", path, 1);
	snprintf(path, sizeof(path), "%s/real/%s", self, slash);
	execv(path, argv);
	return 1;
}

#else

#include "common/mem.h"
#include "fault_page.h"

struct page {
	atomic_uint left;  /* allocations until it fails; 0: never */
	atomic_uint hit;   /* it did, and so the process ends; 2: a large one */
	atomic_uint count; /* allocations so far */
};

static struct page none, *page = &none;

__attribute__((constructor)) static void
starve_init(void)
{
	void *p = fault_page("STARVE_PAGE", sizeof(none));

	if (p != NULL)
		page = p;
}

static int
fails(size_t len)
{
	atomic_fetch_add(&page->count, 1);
	if (atomic_load(&page->left) == 0 ||
	    atomic_fetch_sub(&page->left, 1) != 1)
		return 0;
	atomic_store(&page->hit, len > MEM_SMALL_MAX ? 2 : 1);
	errno = ENOMEM;
	return 1;
}

void *__libc_malloc(size_t len);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t len);

void *
__libc_malloc(size_t len)
{
	return fails(len) ? NULL : REAL(__libc_malloc)(len);
}

void *
__libc_calloc(size_t n, size_t size)
{
	return fails(n * size) ? NULL : REAL(__libc_calloc)(n, size);
}

void *
__libc_realloc(void *p, size_t len)
{
	return len > 0 && fails(len) ? NULL : REAL(__libc_realloc)(p, len);
}

#endif
