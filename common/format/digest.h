#ifndef COMMON_FORMAT_DIGEST_H
#define COMMON_FORMAT_DIGEST_H

/*
 * SHA-256 digests: the name of a chunk, the checksum of an index or a blob.
 * Nothing here fails or blocks; a context is made once and used for every
 * chunk, so that hashing allocates nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_LEN 32
#define DIGEST_HEX_LEN 64
/* "abcd/abcd..." below .chunks, without the NUL */
#define DIGEST_CHUNK_PATH_LEN (4 + 1 + DIGEST_HEX_LEN)

struct err;

struct digest {
	uint8_t b[DIGEST_LEN];
};

struct digest_ctx;

void digest_to_hex(const struct digest *d, char out[DIGEST_HEX_LEN + 1]);
/* Exactly 64 lower-case hex digits; -1 with ERR_PARAM otherwise. */
int digest_from_hex(struct digest *out, const char *hex, size_t len,
    struct err *e);
int digest_cmp(const struct digest *a, const struct digest *b);
bool digest_equal(const struct digest *a, const struct digest *b);
/* The slot of a fixed index that was never written. */
bool digest_is_zero(const struct digest *d);
/* Position of the chunk's folder, 0..65535. */
uint16_t digest_prefix(const struct digest *d);
void digest_chunk_path(const struct digest *d,
    char out[DIGEST_CHUNK_PATH_LEN + 1]);

/* Makes a context that is ready for its first digest_update(). */
struct digest_ctx *digest_ctx_new(void);
void digest_ctx_free(struct digest_ctx *ctx);
/* Forgets what was fed so far. */
void digest_reset(struct digest_ctx *ctx);
void digest_update(struct digest_ctx *ctx, const void *data, size_t len);
/* Gives the digest and resets the context for the next one. */
void digest_final(struct digest_ctx *ctx, struct digest *out);
/* The digest of what was fed so far; the context goes on. */
void digest_peek(const struct digest_ctx *ctx, struct digest *out);
/* One shot in a fresh or reset context. */
void digest_of(struct digest_ctx *ctx, const void *data, size_t len,
    struct digest *out);

#endif
