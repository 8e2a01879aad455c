/*
 * Encryption of blobs with the client's key.  Runs in the client only; the
 * bytes to decrypt come from a server and are hostile until their tag is
 * proven.
 */
#include "config.h"

#include "common/format/crypt.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/err.h"
#include "common/format/blob.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"

#define ID_KEY_SALT "_id_key"
#define ID_KEY_ITERATIONS 10
#define IV_POS BLOB_HEADER_LEN
#define TAG_POS (BLOB_HEADER_LEN + BLOB_IV_LEN)

/* SHA-256 of "Proxmox Backup Encryption Key Fingerprint" (2.5) */
static const uint8_t fingerprint_input[DIGEST_LEN] = {0x6e, 0xd0, 0xef, 0x77,
    0x47, 0x1f, 0xff, 0x4d, 0x55, 0xc7, 0xa8, 0xfe, 0x4a, 0x9d, 0xb6, 0x21,
    0x61, 0x40, 0x7f, 0x13, 0x4c, 0x72, 0x5d, 0xdf, 0x30, 0x99, 0x2d, 0x25,
    0xec, 0x45, 0xed, 0x26};

struct crypt {
	uint8_t key[CRYPT_KEY_LEN];
	uint8_t id_key[CRYPT_KEY_LEN];
	EVP_CIPHER *gcm;
	EVP_CIPHER_CTX *evp;
};

struct crypt *
crypt_new(const uint8_t key[CRYPT_KEY_LEN])
{
	struct crypt *c = xcalloc(1, sizeof(*c));

	memcpy(c->key, key, CRYPT_KEY_LEN);
	c->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	c->evp = EVP_CIPHER_CTX_new();
	if (c->gcm == NULL || c->evp == NULL ||
	    PKCS5_PBKDF2_HMAC((const char *)key, CRYPT_KEY_LEN,
		(const uint8_t *)ID_KEY_SALT, (int)strlen(ID_KEY_SALT),
		ID_KEY_ITERATIONS, EVP_sha256(), CRYPT_KEY_LEN, c->id_key) != 1)
		fatal("format", "AES-256-GCM does not work in OpenSSL");
	return c;
}

void
crypt_free(struct crypt *c)
{
	if (c == NULL)
		return;
	EVP_CIPHER_CTX_free(c->evp);
	EVP_CIPHER_free(c->gcm);
	mem_wipe_free(c, sizeof(*c));
}

const uint8_t *
crypt_id_key(const struct crypt *c)
{
	return c->id_key;
}

void
crypt_digest(const struct crypt *c, struct digest_ctx *ctx, const void *raw,
    size_t len, struct digest *out)
{
	digest_update(ctx, raw, len);
	digest_update(ctx, c->id_key, sizeof(c->id_key));
	digest_final(ctx, out);
}

void
crypt_fingerprint(const struct crypt *c, struct digest *out)
{
	struct digest_ctx *ctx = digest_ctx_new();

	crypt_digest(c, ctx, fingerprint_input, sizeof(fingerprint_input), out);
	digest_ctx_free(ctx);
}

void
crypt_hmac(const struct crypt *c, const void *data, size_t len,
    struct digest *out)
{
	if (HMAC(EVP_sha256(), c->id_key, sizeof(c->id_key), data, len, out->b,
		NULL) == NULL)
		fatal("format", "HMAC-SHA256 does not work in OpenSSL");
}

void
fingerprint_to_str(const struct digest *fp, char out[CRYPT_FINGERPRINT_LEN + 1])
{
	int i;

	for (i = 0; i < DIGEST_LEN; i++) {
		str_hex(out + 3 * i, &fp->b[i], 1);
		out[3 * i + 2] = i + 1 < DIGEST_LEN ? ':' : '\0';
	}
}

int
fingerprint_from_str(struct digest *out, const char *s, struct err *e)
{
	char pair[2];
	int i, k;

	if (strnlen(s, CRYPT_FINGERPRINT_LEN + 1) != CRYPT_FINGERPRINT_LEN)
		goto bad;
	for (i = 0; i < DIGEST_LEN; i++, s += 3) {
		for (k = 0; k < 2; k++)
			pair[k] = s[k] >= 'A' && s[k] <= 'F'
			    ? (char)(s[k] - 'A' + 'a')
			    : s[k];
		if (str_unhex(&out->b[i], 1, pair, 2) < 0 ||
		    s[2] != (i + 1 < DIGEST_LEN ? ':' : '\0'))
			goto bad;
	}
	return 0;
bad:
	return err_set(e, ERR_PARAM, "not a key fingerprint");
}

size_t
crypt_encode_bound(size_t len)
{
	return BLOB_ENCRYPTED_HEADER_LEN + len;
}

/* In place; the tag goes to the header. */
static int
encrypt(struct crypt *c, uint8_t *blob, size_t len)
{
	uint8_t *payload = blob + BLOB_ENCRYPTED_HEADER_LEN;
	int n;

	/* The IV's length must be set before the IV: it is not GCM's usual
	 * 12 bytes. */
	return EVP_EncryptInit_ex2(c->evp, c->gcm, NULL, NULL, NULL) == 1 &&
		EVP_CIPHER_CTX_ctrl(c->evp, EVP_CTRL_GCM_SET_IVLEN, BLOB_IV_LEN,
		    NULL) == 1 &&
		EVP_EncryptInit_ex2(c->evp, NULL, c->key, blob + IV_POS,
		    NULL) == 1 &&
		EVP_EncryptUpdate(c->evp, payload, &n, payload, (int)len) ==
		    1 &&
		(size_t)n == len &&
		EVP_EncryptFinal_ex(c->evp, payload + len, &n) == 1 && n == 0 &&
		EVP_CIPHER_CTX_ctrl(c->evp, EVP_CTRL_GCM_GET_TAG, BLOB_TAG_LEN,
		    blob + TAG_POS) == 1
	    ? 0
	    : -1;
}

int
crypt_encode_iv(struct crypt *c, struct blob_codec *codec, const void *raw,
    size_t len, bool compress, const uint8_t iv[BLOB_IV_LEN], uint8_t *out,
    size_t cap, size_t *len_out, struct err *e)
{
	uint8_t *payload = out + BLOB_ENCRYPTED_HEADER_LEN;
	size_t n = 0;

	if (len > BLOB_RAW_MAX || cap < crypt_encode_bound(len))
		return err_set(e, ERR_LIMIT, "no room to encode %zu bytes",
		    len);
	if (compress &&
	    blob_compress(codec, raw, len, payload,
		cap - BLOB_ENCRYPTED_HEADER_LEN, &n, e) < 0)
		return -1;
	if (n == 0 && len > 0)
		memcpy(payload, raw, len);
	memcpy(out + IV_POS, iv, BLOB_IV_LEN);
	if (encrypt(c, out, n > 0 ? n : len) < 0)
		return err_set(e, ERR_CRYPTO, "encryption failed");
	*len_out = BLOB_ENCRYPTED_HEADER_LEN + (n > 0 ? n : len);
	blob_put_header(out, *len_out,
	    n > 0 ? BLOB_ENCRYPTED_ZSTD : BLOB_ENCRYPTED);
	return 0;
}

int
crypt_encode(struct crypt *c, struct blob_codec *codec, const void *raw,
    size_t len, bool compress, uint8_t *out, size_t cap, size_t *len_out,
    struct err *e)
{
	uint8_t iv[BLOB_IV_LEN];

	io_random(iv, sizeof(iv));
	return crypt_encode_iv(c, codec, raw, len, compress, iv, out, cap,
	    len_out, e);
}

static int
decrypt(struct crypt *c, const struct blob_info *info, uint8_t *out)
{
	const uint8_t *blob = info->payload - BLOB_ENCRYPTED_HEADER_LEN;
	uint8_t tag[BLOB_TAG_LEN];
	int n;

	memcpy(tag, blob + TAG_POS, sizeof(tag));
	return EVP_DecryptInit_ex2(c->evp, c->gcm, NULL, NULL, NULL) == 1 &&
		EVP_CIPHER_CTX_ctrl(c->evp, EVP_CTRL_GCM_SET_IVLEN, BLOB_IV_LEN,
		    NULL) == 1 &&
		EVP_DecryptInit_ex2(c->evp, NULL, c->key, blob + IV_POS,
		    NULL) == 1 &&
		EVP_DecryptUpdate(c->evp, out, &n, info->payload,
		    (int)info->payload_len) == 1 &&
		EVP_CIPHER_CTX_ctrl(c->evp, EVP_CTRL_GCM_SET_TAG, sizeof(tag),
		    tag) == 1 &&
		EVP_DecryptFinal_ex(c->evp, out + n, &n) == 1
	    ? 0
	    : -1;
}

int
crypt_decode_dup(struct crypt *c, struct blob_codec *codec,
    const struct blob_info *info, size_t limit, uint8_t **data_out,
    size_t *len_out, struct err *e)
{
	struct blob_info inner;
	uint8_t *clear;
	int rv;

	if (!blob_kind_encrypted(info->kind))
		return err_set(e, ERR_INVALID, "blob is not encrypted");
	if (info->payload_len > BLOB_RAW_MAX)
		return err_set(e, ERR_LIMIT, "blob too large");
	if ((clear = malloc(info->payload_len + 1)) == NULL)
		return err_set(e, ERR_NOMEM, "no memory for a blob");
	if (decrypt(c, info, clear) < 0) {
		free(clear);
		return err_set(e, ERR_CORRUPT,
		    "decryption failed: wrong key or damaged data");
	}
	/* What is left is the payload of an unencrypted blob. */
	inner = (struct blob_info){
	    .kind = info->kind == BLOB_ENCRYPTED ? BLOB_PLAIN : BLOB_ZSTD,
	    .payload = clear,
	    .payload_len = info->payload_len,
	};
	rv = blob_decode_dup(codec, &inner, limit, data_out, len_out, e);
	free(clear);
	return rv;
}
