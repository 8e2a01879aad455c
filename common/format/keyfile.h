#ifndef COMMON_FORMAT_KEYFILE_H
#define COMMON_FORMAT_KEYFILE_H

/*
 * Client key files (datastore-format 9): an encryption key, plain or under a
 * passphrase.  Only the client uses this.
 */

#include "common/format/crypt.h"

#define KEYFILE_JSON_MAX (64u << 10)
#define KEYFILE_SALT_MAX 64
#define KEYFILE_DATA_MAX 64
#define KEYFILE_HINT_MAX 255
#define KEYFILE_PASSPHRASE_MIN 5
#define KEYFILE_TIME_MAX 40

enum keyfile_kdf {
	KEYFILE_KDF_NONE,
	KEYFILE_KDF_SCRYPT,
	KEYFILE_KDF_PBKDF2
};

struct keyfile {
	enum keyfile_kdf kdf;
	uint64_t n, r, p; /* scrypt */
	uint64_t iter;    /* PBKDF2 */
	uint8_t salt[KEYFILE_SALT_MAX];
	size_t salt_len;
	char created[KEYFILE_TIME_MAX + 1]; /* RFC 3339 with offset */
	char modified[KEYFILE_TIME_MAX + 1];
	uint8_t data[KEYFILE_DATA_MAX];
	size_t data_len;
	bool has_fingerprint;
	struct digest fingerprint;
	char hint[KEYFILE_HINT_MAX + 1]; /* "" for none */
};

int keyfile_parse(const char *json, size_t len, struct keyfile *out,
    struct err *e);
/* Gives the raw key; slow by design.  A wrong passphrase is ERR_CRYPTO.
 * passphrase may be NULL for an unprotected key. */
int keyfile_unlock(const struct keyfile *k, const char *passphrase,
    uint8_t key_out[CRYPT_KEY_LEN], struct err *e);
/* Fills *out for a key; times are now, created is kept if it is set. */
int keyfile_lock(struct keyfile *out, const uint8_t key[CRYPT_KEY_LEN],
    enum keyfile_kdf kdf, const char *passphrase, const char *hint,
    struct err *e);
/* Compact JSON; the caller wipes and frees *out. */
int keyfile_to_json(const struct keyfile *k, char **out, size_t *len_out,
    struct err *e);
void keyfile_wipe(struct keyfile *k);

#endif
