#include "config.h"

#include "common/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/proc.h"

/* AddressSanitizer ends the program itself for such sizes. */
#ifndef HOLDFAST_SANITIZERS
Test(mem, out_of_memory_is_fatal, .exit_code = PROC_EXIT_FATAL)
{
	free(xmalloc(SIZE_MAX / 2));
}

Test(mem, overflow_is_fatal, .exit_code = PROC_EXIT_FATAL)
{
	free(xreallocarray(NULL, SIZE_MAX / 2, 4));
}

Test(mem, calloc_overflow_is_fatal, .exit_code = PROC_EXIT_FATAL)
{
	free(xcalloc(SIZE_MAX / 2, 4));
}

#endif

Test(mem, copies)
{
	char *s = xstrdup("text"), *f = xasprintf("%s-%d", s, 7);
	char *m = xmemdup("a\0b", 3);

	cr_assert_str_eq(s, "text");
	cr_assert_str_eq(f, "text-7");
	cr_assert(memcmp(m, "a\0b", 3) == 0);
	s = xreallocarray(s, 100, 1);
	cr_assert_str_eq(s, "text");
	free(s);
	free(f);
	free(m);
}

Test(mem, nothing_is_not_null)
{
	void *a = xmalloc(0), *b = xcalloc(0, 8);

	cr_assert(a != NULL && b != NULL);
	free(a);
	free(b);
}

Test(mem, wipe)
{
	char secret[16] = "secret";
	static const char zero[16];

	mem_wipe(secret, sizeof(secret));
	cr_assert(memcmp(secret, zero, sizeof(zero)) == 0);
	mem_wipe(NULL, 0);
	mem_wipe_free(NULL, 5);
	mem_wipe_free(xstrdup("x"), 1);
}
