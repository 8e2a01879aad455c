/*
 * Allocation helpers of every process.  Sizes here are this program's own;
 * sizes from a peer never come this way.
 */
#include "config.h"

#include "common/mem.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"

static _Thread_local int demanding;

void
mem_failed(size_t len)
{
	static atomic_flag ending = ATOMIC_FLAG_INIT;

	if (len > MEM_SMALL_MAX && !demanding)
		return;
	/* The line in the log may want memory as well. */
	if (!atomic_flag_test_and_set(&ending))
		fatal("mem", "out of memory");
}

void
mem_demand(int on)
{
	demanding = on;
}

static void *
or_fatal(void *p)
{
	if (p == NULL)
		fatal("mem", "out of memory");
	return p;
}

void *
xmalloc(size_t len)
{
	return or_fatal(malloc(len > 0 ? len : 1));
}

void *
xcalloc(size_t n, size_t size)
{
	return or_fatal(calloc(n > 0 ? n : 1, size > 0 ? size : 1));
}

void *
xreallocarray(void *p, size_t n, size_t size)
{
	return or_fatal(reallocarray(p, n > 0 ? n : 1, size > 0 ? size : 1));
}

void *
xmemdup(const void *p, size_t len)
{
	void *copy = xmalloc(len);

	if (len > 0)
		memcpy(copy, p, len);
	return copy;
}

int
mem_grow(void *v, size_t n, size_t size, struct err *e)
{
	void *p, *bigger;

	memcpy(&p, v, sizeof(p));
	bigger = reallocarray(p, n > 0 ? n : 1, size);
	if (bigger == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for %zu entries",
		    n);
	memcpy(v, &bigger, sizeof(bigger));
	return 0;
}

char *
xstrdup(const char *s)
{
	return or_fatal(strdup(s));
}

char *
xasprintf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return or_fatal(n < 0 ? NULL : s);
}

void
mem_wipe(void *p, size_t len)
{
	if (p != NULL)
		explicit_bzero(p, len);
}

void
mem_wipe_free(void *p, size_t len)
{
	mem_wipe(p, len);
	free(p);
}
