#include "config.h"

#include "common/mem.h"

#include <sys/resource.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/err.h"
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

/* Whoever asks; and it is not the size alone that is out of reach. */
Test(mem, small_memory_is_there_or_the_process_ends,
    .exit_code = PROC_EXIT_FATAL)
{
	const struct rlimit little = {64u << 20, 64u << 20};
	static char *kept[4096];
	size_t i;

	cr_assert_eq(setrlimit(RLIMIT_AS, &little), 0);
	for (i = 0; i < 4096; i++)
		kept[i] = calloc(1, MEM_SMALL_MAX / 8);
	for (i = 0; i < 4096; i++)
		cr_assert_not_null(kept[i]);
}

Test(mem, large_memory_may_be_refused)
{
	volatile size_t len = SIZE_MAX / 2;
	char *p = malloc(4), *more = realloc(p, len);

	cr_expect_null(more);
	free(more == NULL ? p : more);
	cr_expect_null(malloc(len));
	cr_expect_null(calloc(len, 1));
	cr_expect_null(calloc(len, 4));
}

Test(mem, a_library_may_demand_it, .exit_code = PROC_EXIT_FATAL)
{
	volatile size_t len = SIZE_MAX / 2;

	mem_demand(1);
	cr_expect_null(malloc(len));
}

Test(mem, a_list_that_cannot_grow_stays)
{
	struct err e = {0};
	int *v = NULL;

	cr_assert_eq(mem_grow(&v, 1, sizeof(*v), &e), 0);
	v[0] = 7;
	cr_expect_eq(mem_grow(&v, SIZE_MAX / 8, sizeof(*v), &e), -1);
	cr_expect_eq(e.code, ERR_NOMEM);
	cr_expect_eq(mem_grow(&v, SIZE_MAX / 2, sizeof(*v), &e), -1);
	cr_expect_eq(v[0], 7);
	free(v);
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
