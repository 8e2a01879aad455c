#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* What must hold for every input, also where assert() is compiled out. */
#define FUZZ_REQUIRE(cond)       \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The input as a string, cut at the first NUL; the caller frees. */
static inline char *
fuzz_string(const uint8_t *data, size_t len)
{
	char *s = xmalloc(len + 1);

	if (len > 0)
		memcpy(s, data, len);
	s[len] = '\0';
	return s;
}

/*
 * What was made of an input is made of it again: with memory that runs out, a
 * target gives the same result or none.  One call for each input.
 */
static inline void
fuzz_same(const uint8_t *data, size_t len, const void *result,
    size_t result_len)
{
	static uint8_t *last;
	static size_t last_len, last_result_len;

	if (last != NULL && last_len == len &&
	    (len == 0 || memcmp(last, data, len) == 0)) {
		FUZZ_REQUIRE(last_result_len == result_len);
		FUZZ_REQUIRE(memcmp(last + len, result, result_len) == 0);
		return;
	}
	free(last);
	last = xmalloc(len + result_len + 1);
	if (len > 0)
		memcpy(last, data, len);
	memcpy(last + len, result, result_len);
	last_len = len;
	last_result_len = result_len;
}

#endif
