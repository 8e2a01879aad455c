/*
 * Password hashing.  Runs in holdfast-hasher; passwords come from clients.
 */
#include "config.h"

#include "server/auth/password_hash.h"

#include <crypt.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"

_Static_assert(IPC_HASH_MAX >= CRYPT_OUTPUT_SIZE, "a hash fits a message");

/* yescrypt with libcrypt's cost: 16 MiB and some 30 ms. */
#define HASH_PREFIX "$y$"

/* Hashes into data, which is large and has traces of the password; NULL on
 * failure. */
static const char *
hash_with(const void *password, size_t len, const char *setting,
    struct crypt_data *data)
{
	char text[CRYPT_MAX_PASSPHRASE_SIZE];
	const char *out;

	if (len >= sizeof(text) || memchr(password, '\0', len) != NULL)
		return NULL;
	memcpy(text, password, len);
	text[len] = '\0';
	out = crypt_r(text, setting, data);
	mem_wipe(text, sizeof(text));
	return out == NULL || out[0] == '*' ? NULL : out;
}

int
password_hash_make(const void *password, size_t len, char out[IPC_HASH_MAX + 1])
{
	static struct crypt_data data;
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	const char *hash;

	out[0] = '\0';
	if (crypt_gensalt_rn(HASH_PREFIX, 0, NULL, 0, setting,
		sizeof(setting)) == NULL)
		return -1;
	hash = hash_with(password, len, setting, &data);
	if (hash != NULL)
		strncat(out, hash, IPC_HASH_MAX);
	mem_wipe(&data, sizeof(data));
	return out[0] == '\0' ? -1 : 0;
}

int
password_hash_fits(const void *password, size_t len, const char *hash)
{
	static struct crypt_data data;
	const char *out = hash_with(password, len, hash, &data);
	int fits = out != NULL && strlen(out) == strlen(hash) &&
	    str_equal_ct(out, hash, strlen(hash));

	mem_wipe(&data, sizeof(data));
	return fits;
}
