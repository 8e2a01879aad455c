/*
 * SHA-256 over OpenSSL's EVP.  Used by every process; the only input that
 * needs distrust is hex text.  EVP's SHA-256 fails only when the library is
 * broken or out of memory, which nobody could handle: that is fatal.
 */
#include "config.h"

#include "common/format/digest.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/err.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"

struct digest_ctx {
	EVP_MD *md;
	EVP_MD_CTX *evp;
	EVP_MD_CTX *copy; /* for digest_peek() */
};

static void
must(int ok)
{
	if (ok != 1)
		fatal("format", "SHA-256 does not work in OpenSSL");
}

struct digest_ctx *
digest_ctx_new(void)
{
	struct digest_ctx *ctx = xcalloc(1, sizeof(*ctx));

	/* Fetched once: an implicit fetch per digest costs more than hashing
	 * a small chunk. */
	ctx->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	ctx->evp = EVP_MD_CTX_new();
	ctx->copy = EVP_MD_CTX_new();
	must(ctx->md != NULL && ctx->evp != NULL && ctx->copy != NULL);
	digest_reset(ctx);
	return ctx;
}

void
digest_ctx_free(struct digest_ctx *ctx)
{
	if (ctx == NULL)
		return;
	EVP_MD_CTX_free(ctx->copy);
	EVP_MD_CTX_free(ctx->evp);
	EVP_MD_free(ctx->md);
	free(ctx);
}

void
digest_reset(struct digest_ctx *ctx)
{
	must(EVP_DigestInit_ex2(ctx->evp, ctx->md, NULL));
}

void
digest_update(struct digest_ctx *ctx, const void *data, size_t len)
{
	must(EVP_DigestUpdate(ctx->evp, data, len));
}

void
digest_final(struct digest_ctx *ctx, struct digest *out)
{
	must(EVP_DigestFinal_ex(ctx->evp, out->b, NULL));
	digest_reset(ctx);
}

void
digest_peek(const struct digest_ctx *ctx, struct digest *out)
{
	must(EVP_MD_CTX_copy_ex(ctx->copy, ctx->evp));
	must(EVP_DigestFinal_ex(ctx->copy, out->b, NULL));
}

void
digest_of(struct digest_ctx *ctx, const void *data, size_t len,
    struct digest *out)
{
	digest_update(ctx, data, len);
	digest_final(ctx, out);
}

void
digest_to_hex(const struct digest *d, char out[DIGEST_HEX_LEN + 1])
{
	str_hex(out, d->b, DIGEST_LEN);
}

int
digest_from_hex(struct digest *out, const char *hex, size_t len, struct err *e)
{
	if (str_unhex(out->b, DIGEST_LEN, hex, len) < 0)
		return err_set(e, ERR_PARAM,
		    "not a digest of 64 lower-case hex digits");
	return 0;
}

int
digest_cmp(const struct digest *a, const struct digest *b)
{
	return memcmp(a->b, b->b, DIGEST_LEN);
}

bool
digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->b, b->b, DIGEST_LEN) == 0;
}

bool
digest_is_zero(const struct digest *d)
{
	static const struct digest zero;

	return digest_equal(d, &zero);
}

uint16_t
digest_prefix(const struct digest *d)
{
	return (uint16_t)(d->b[0] << 8 | d->b[1]);
}

void
digest_chunk_path(const struct digest *d, char out[DIGEST_CHUNK_PATH_LEN + 1])
{
	digest_to_hex(d, out + 5);
	memcpy(out, out + 5, 4);
	out[4] = '/';
}
