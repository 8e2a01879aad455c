/* Digests: the spec's vectors, hex, incremental use of one context. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/digest.h"

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ZEROS_4M \
	"bb9f8df61474d25e71fa00722318cd387396ca1736605e1248821cc0de3d3af8"

static void
expect_hex(const struct digest *d, const char *want)
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_to_hex(d, hex);
	cr_expect_str_eq(hex, want);
}

Test(digest, knows_the_vectors)
{
	struct digest_ctx *ctx = digest_ctx_new();
	uint8_t *zeros = calloc(1, 4 << 20);
	struct digest d;

	digest_of(ctx, "abc", 3, &d);
	expect_hex(&d, ABC);
	digest_of(ctx, zeros, 4 << 20, &d);
	expect_hex(&d, ZEROS_4M);
	free(zeros);
	digest_ctx_free(ctx);
}

Test(digest, peek_does_not_disturb)
{
	struct digest_ctx *ctx = digest_ctx_new();
	struct digest before, d;

	digest_update(ctx, "a", 1);
	digest_peek(ctx, &before);
	digest_update(ctx, "bc", 2);
	digest_peek(ctx, &d);
	expect_hex(&d, ABC);
	cr_expect_not(digest_equal(&before, &d));
	digest_final(ctx, &d);
	expect_hex(&d, ABC);
	digest_update(ctx, "rest", 4);
	digest_reset(ctx);
	digest_of(ctx, "abc", 3, &d);
	expect_hex(&d, ABC);
	digest_ctx_free(ctx);
	digest_ctx_free(NULL);
}

Test(digest, accepts_only_canonical_hex)
{
	struct digest d;
	struct err e;
	char upper[] = ABC;

	cr_expect_eq(digest_from_hex(&d, ABC, 64, &e), 0);
	expect_hex(&d, ABC);
	cr_expect_eq(digest_prefix(&d), 0xba78);
	upper[0] = 'B';
	cr_expect_eq(digest_from_hex(&d, upper, 64, &e), -1);
	cr_expect_eq(e.code, ERR_PARAM);
	cr_expect_eq(digest_from_hex(&d, ABC, 63, &e), -1);
	cr_expect_eq(digest_from_hex(&d, ABC "0", 65, &e), -1);
	upper[0] = 'g';
	cr_expect_eq(digest_from_hex(&d, upper, 64, &e), -1);
	cr_expect_eq(digest_from_hex(&d, "", 0, NULL), -1);
}

Test(digest, names_the_chunk_file)
{
	char path[DIGEST_CHUNK_PATH_LEN + 1];
	struct digest d;

	digest_from_hex(&d, ABC, 64, NULL);
	digest_chunk_path(&d, path);
	cr_expect_str_eq(path, "ba78/" ABC);
}

Test(digest, compares)
{
	struct digest a = {{0}}, b = {{0}};

	cr_expect(digest_is_zero(&a));
	b.b[31] = 1;
	cr_expect_not(digest_is_zero(&b));
	cr_expect(digest_cmp(&a, &b) < 0);
	cr_expect(digest_cmp(&b, &a) > 0);
	a.b[0] = 0x80;
	cr_expect(digest_cmp(&a, &b) > 0);
}
