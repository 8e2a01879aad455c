/*
 * API token secrets.  Runs in auth; the secrets it checks come from clients.
 */
#include "config.h"

#include "server/auth/token_secret.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "server/auth/accounts.h"

static void
secret_digest(const uint8_t salt[ACCOUNT_SALT_LEN], const void *secret,
    size_t len, uint8_t digest[32])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
	    EVP_DigestUpdate(ctx, salt, ACCOUNT_SALT_LEN) != 1 ||
	    EVP_DigestUpdate(ctx, secret, len) != 1 ||
	    EVP_DigestFinal_ex(ctx, digest, NULL) != 1)
		fatal("auth", "SHA-256 failed");
	EVP_MD_CTX_free(ctx);
}

void
token_secret_make(struct account_token *k,
    char secret_out[TOKEN_SECRET_LEN + 1])
{
	char hex[2 * 16 + 1];
	uint8_t r[16];

	io_random(r, sizeof(r));
	r[6] = (uint8_t)((r[6] & 0x0f) | 0x40); /* version 4: random */
	r[8] = (uint8_t)((r[8] & 0x3f) | 0x80); /* variant of RFC 4122 */
	str_hex(hex, r, sizeof(r));
	snprintf(secret_out, TOKEN_SECRET_LEN + 1, "%.8s-%.4s-%.4s-%.4s-%.12s",
	    hex, hex + 8, hex + 12, hex + 16, hex + 20);
	io_random(k->salt, sizeof(k->salt));
	secret_digest(k->salt, secret_out, TOKEN_SECRET_LEN, k->digest);
	mem_wipe(r, sizeof(r));
	mem_wipe(hex, sizeof(hex));
}

int
token_secret_fits(const struct account_token *k, const void *secret, size_t len)
{
	uint8_t digest[32];

	secret_digest(k->salt, secret, len, digest);
	return str_equal_ct(digest, k->digest, sizeof(digest));
}
