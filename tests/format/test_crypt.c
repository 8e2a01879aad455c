/* Encryption: the vectors of the specification, chapter 10. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/blob.h"
#include "common/format/crypt.h"
#include "common/str.h"

#define FINGERPRINT                                        \
	"0e:ab:d4:46:0b:6e:b9:ca:34:50:23:de:e2:b7:78:c7:" \
	"90:e5:4a:16:83:b9:65:9c:0a:57:ae:19:90:90:15:9b"

static struct crypt *crypt_k;
static struct blob_codec *codec;
static uint8_t key[CRYPT_KEY_LEN], iv[BLOB_IV_LEN];

static void
setup(void)
{
	int i;

	for (i = 0; i < CRYPT_KEY_LEN; i++)
		key[i] = (uint8_t)i;
	memcpy(iv, key, sizeof(iv));
	crypt_k = crypt_new(key);
	codec = blob_codec_new();
}

static void
teardown(void)
{
	crypt_free(crypt_k);
	blob_codec_free(codec);
}

TestSuite(crypt, .init = setup, .fini = teardown);

static void
expect_digest(const void *data, size_t len, const char *want)
{
	struct digest_ctx *ctx = digest_ctx_new();
	char hex[DIGEST_HEX_LEN + 1];
	struct digest d;

	crypt_digest(crypt_k, ctx, data, len, &d);
	digest_to_hex(&d, hex);
	cr_expect_str_eq(hex, want);
	digest_ctx_free(ctx);
}

Test(crypt, derives_the_id_key)
{
	cr_expect_str_eq(STR_HEX(crypt_id_key(crypt_k), 32),
	    "7c2c013efd07f3b25717a485263343cd"
	    "4d292a4b65c200bb3b18ea227abe225c");
}

Test(crypt, fingerprint_both_ways)
{
	char text[CRYPT_FINGERPRINT_LEN + 1];
	struct digest fp, again;
	struct err e;

	crypt_fingerprint(crypt_k, &fp);
	fingerprint_to_str(&fp, text);
	cr_expect_str_eq(text, FINGERPRINT);
	cr_assert_eq(fingerprint_from_str(&again, FINGERPRINT, &e), 0);
	cr_expect(digest_equal(&fp, &again));
	text[3] = 'A';
	cr_expect_eq(fingerprint_from_str(&again, text, &e), 0);
	cr_expect(digest_equal(&fp, &again));
	text[2] = '-';
	cr_expect_eq(fingerprint_from_str(&again, text, &e), -1);
	cr_expect_eq(fingerprint_from_str(&again, "0e:ab", &e), -1);
	cr_expect_eq(fingerprint_from_str(&again, FINGERPRINT ":", &e), -1);
}

Test(crypt, keyed_digests)
{
	uint8_t *zeros = calloc(1, 4 << 20);

	expect_digest("abc", 3,
	    "ae52f0812a2f1ac3f368d9295cf6419b"
	    "dff5fe1fe197e48052dd2f7e6d00a6fd");
	expect_digest(zeros, 4 << 20,
	    "348571e12bbbedb529def1f1394316e3"
	    "38a01945d871df9ef792617ceb13d636");
	free(zeros);
}

Test(crypt, encrypts_the_vector)
{
	uint8_t out[64];
	struct err e;
	size_t len;

	cr_assert_eq(crypt_encode_iv(crypt_k, codec, "abc", 3, true, iv, out,
			 sizeof(out), &len, &e),
	    0);
	cr_assert_eq(len, 47);
	cr_expect_str_eq(STR_HEX(out, 47),
	    "7b6785be222d4cf0241b2267000102030405060708090a0b0c0d0e0f"
	    "11ff6d75324a6611f7b6c67cc7de332a060ec3");
}

Test(crypt, round_trip)
{
	size_t n = 100000, len, raw_len;
	uint8_t *raw = calloc(1, n), *out = malloc(crypt_encode_bound(n));
	uint8_t *back;
	struct blob_info info;
	struct err e;

	raw[5] = 5;
	cr_assert_eq(crypt_encode(crypt_k, codec, raw, n, true, out,
			 crypt_encode_bound(n), &len, &e),
	    0);
	cr_assert_eq(blob_parse(out, len, &info, &e), 0);
	cr_expect_eq(info.kind, BLOB_ENCRYPTED_ZSTD);
	cr_expect_eq(blob_check_crc(&info, &e), 0);
	cr_assert_eq(crypt_decode_dup(crypt_k, codec, &info, n, &back, &raw_len,
			 &e),
	    0);
	cr_expect_eq(raw_len, n);
	cr_expect_eq(memcmp(back, raw, n), 0);
	free(back);
	cr_expect_eq(crypt_decode_dup(crypt_k, codec, &info, n - 1, &back,
			 &raw_len, &e),
	    -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	free(raw);
	free(out);
}

Test(crypt, two_encodings_differ)
{
	uint8_t a[64], b[64];
	struct err e;
	size_t len;

	crypt_encode(crypt_k, codec, "abc", 3, false, a, 64, &len, &e);
	crypt_encode(crypt_k, codec, "abc", 3, false, b, 64, &len, &e);
	cr_expect_neq(memcmp(a, b, len), 0);
}

/* Every byte that GCM protects. */
Test(crypt, finds_any_change)
{
	uint8_t out[64], *back;
	struct blob_info info;
	struct err e;
	size_t len, n, i;

	crypt_encode_iv(crypt_k, codec, "abc", 3, false, iv, out, 64, &len, &e);
	for (i = 12; i < len; i++) {
		out[i] ^= 0x40;
		blob_parse(out, len, &info, &e);
		cr_expect_eq(crypt_decode_dup(crypt_k, codec, &info, 3, &back,
				 &n, &e),
		    -1);
		cr_expect_eq(e.code, ERR_CORRUPT);
		out[i] ^= 0x40;
	}
}

Test(crypt, wrong_key_and_wrong_kind)
{
	uint8_t out[64], *back;
	struct crypt *other;
	struct blob_info info;
	struct err e;
	size_t len, n;

	key[0] ^= 1;
	other = crypt_new(key);
	crypt_encode(crypt_k, codec, "abc", 3, false, out, 64, &len, &e);
	blob_parse(out, len, &info, &e);
	cr_expect_eq(crypt_decode_dup(other, codec, &info, 3, &back, &n, &e),
	    -1);
	crypt_free(other);
	crypt_free(NULL);
	blob_encode(codec, "abc", 3, false, out, 64, &len, &e);
	blob_parse(out, len, &info, &e);
	cr_expect_eq(crypt_decode_dup(crypt_k, codec, &info, 3, &back, &n, &e),
	    -1);
	cr_expect_eq(e.code, ERR_INVALID);
	cr_expect_eq(crypt_encode(crypt_k, codec, "abc", 3, false, out, 46,
			 &len, &e),
	    -1);
}
