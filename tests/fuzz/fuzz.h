#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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
	char *s = malloc(len + 1);

	FUZZ_REQUIRE(s != NULL);
	if (len > 0)
		memcpy(s, data, len);
	s[len] = '\0';
	return s;
}

#endif
