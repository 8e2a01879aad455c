#ifndef COMMON_FORMAT_CRYPT_H
#define COMMON_FORMAT_CRYPT_H

/*
 * Client-side encryption of blobs (datastore-format 2.5).  Only the client
 * and the tests hold keys; no server process links a caller of this.
 */

#include "common/format/digest.h"

#define CRYPT_KEY_LEN 32
/* 32 hex pairs joined by colons, without the NUL */
#define CRYPT_FINGERPRINT_LEN (32 * 3 - 1)
#define CRYPT_FINGERPRINT_SHORT_LEN (8 * 3 - 1)

struct blob_codec;
struct blob_info;
struct err;

struct crypt;

/* Copies the key; crypt_free() wipes it. */
struct crypt *crypt_new(const uint8_t key[CRYPT_KEY_LEN]);
void crypt_free(struct crypt *c);
/* Lent: the derived key that signs manifests. */
const uint8_t *crypt_id_key(const struct crypt *c);
void crypt_fingerprint(const struct crypt *c, struct digest *out);
void fingerprint_to_str(const struct digest *fp,
    char out[CRYPT_FINGERPRINT_LEN + 1]);
/* Full colon-hex form, either case. */
int fingerprint_from_str(struct digest *out, const char *s, struct err *e);
/* SHA-256(raw || id_key): the name of an encrypted chunk. */
void crypt_digest(const struct crypt *c, struct digest_ctx *ctx,
    const void *raw, size_t len, struct digest *out);
void crypt_hmac(const struct crypt *c, const void *data, size_t len,
    struct digest *out);

/* Room that crypt_encode() needs. */
size_t crypt_encode_bound(size_t len);
/* Compress if wanted and smaller, then encrypt under a random IV. */
int crypt_encode(struct crypt *c, struct blob_codec *codec, const void *raw,
    size_t len, bool compress, uint8_t *out, size_t cap, size_t *len_out,
    struct err *e);
/* The same with a given IV: tests only, an IV must never repeat. */
int crypt_encode_iv(struct crypt *c, struct blob_codec *codec, const void *raw,
    size_t len, bool compress, const uint8_t iv[16], uint8_t *out, size_t cap,
    size_t *len_out, struct err *e);
/* Raw data of an encrypted blob in memory of its own, at most limit bytes;
 * the caller frees *data_out.  ERR_CORRUPT when the tag does not match. */
int crypt_decode_dup(struct crypt *c, struct blob_codec *codec,
    const struct blob_info *info, size_t limit, uint8_t **data_out,
    size_t *len_out, struct err *e);

#endif
