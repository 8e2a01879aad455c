/*
 * Names of chunk files, in store threads and in jobs.  They come from disk
 * or, when something is to be removed, from a job.
 */
#include "config.h"

#include "validator/store/chunk_name.h"

#include <ctype.h>
#include <string.h>

#include "common/str.h"

#define TEMP_TAIL ".tmp_"
#define TEMP_RANDOM 6

static enum chunk_name
tail_kind(const char *s)
{
	size_t i, n = strlen(TEMP_TAIL);

	if (s[0] == '\0')
		return CHUNK_NAME_CHUNK;
	if (s[0] == '.' && s[1] >= '0' && s[1] <= '9' &&
	    strcmp(s + 2, ".bad") == 0)
		return CHUNK_NAME_BAD;
	if (strncmp(s, TEMP_TAIL, n) != 0 || strlen(s) != n + TEMP_RANDOM)
		return CHUNK_NAME_OTHER;
	for (i = 0; i < TEMP_RANDOM; i++)
		if (!isalnum((unsigned char)s[n + i]))
			return CHUNK_NAME_OTHER;
	return CHUNK_NAME_TEMP;
}

enum chunk_name
chunk_name_parse(const char *name, struct digest *digest_out)
{
	if (strnlen(name, DIGEST_HEX_LEN) < DIGEST_HEX_LEN ||
	    str_unhex(digest_out->b, sizeof(digest_out->b), name,
		DIGEST_HEX_LEN) == -1)
		return CHUNK_NAME_OTHER;
	return tail_kind(name + DIGEST_HEX_LEN);
}
