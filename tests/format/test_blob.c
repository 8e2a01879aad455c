/* Data blobs: vectors, error texts, CRC, and zstd that is broken, endless or
 * in several frames. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "common/err.h"
#include "common/format/blob.h"

static const uint8_t abc_blob[15] = {0x42, 0xab, 0x38, 0x07, 0xbe, 0x83, 0x70,
    0xa1, 0xc2, 0x41, 0x24, 0x35, 'a', 'b', 'c'};
static const uint8_t magics[BLOB_KIND_COUNT][8] = {
    {0x42, 0xab, 0x38, 0x07, 0xbe, 0x83, 0x70, 0xa1},
    {0x31, 0xb9, 0x58, 0x42, 0x6f, 0xb6, 0xa3, 0x7f},
    {0x7b, 0x67, 0x85, 0xbe, 0x22, 0x2d, 0x4c, 0xf0},
    {0xe6, 0x59, 0x1b, 0xbf, 0x0b, 0xbf, 0xd8, 0x0b},
};

static struct blob_codec *codec;

static void
setup(void)
{
	codec = blob_codec_new();
}

static void
teardown(void)
{
	blob_codec_free(codec);
}

TestSuite(blob, .init = setup, .fini = teardown);

/* A blob of that kind around a payload; len_out gets its length. */
static uint8_t *
make(enum blob_kind kind, const void *payload, size_t len, size_t *len_out)
{
	size_t head = blob_kind_encrypted(kind) ? BLOB_ENCRYPTED_HEADER_LEN
						: BLOB_HEADER_LEN;
	uint8_t *blob = calloc(1, head + len);

	memcpy(blob + head, payload, len);
	*len_out = head + len;
	blob_put_header(blob, *len_out, kind);
	return blob;
}

Test(blob, encodes_the_vector)
{
	uint8_t out[64];
	struct err e;
	size_t len;

	cr_assert_eq(blob_encode(codec, "abc", 3, false, out, sizeof(out), &len,
			 &e),
	    0);
	cr_assert_eq(len, sizeof(abc_blob));
	cr_expect_arr_eq(out, abc_blob, len);
	/* Compression does not pay for three bytes. */
	cr_assert_eq(blob_encode(codec, "abc", 3, true, out, sizeof(out), &len,
			 &e),
	    0);
	cr_assert_eq(len, sizeof(abc_blob));
	cr_expect_arr_eq(out, abc_blob, len);
}

Test(blob, parses_every_kind)
{
	struct blob_info info;
	struct err e;
	size_t len;
	int k;

	for (k = 0; k < BLOB_KIND_COUNT; k++) {
		uint8_t *b = make((enum blob_kind)k, "xyz", 3, &len);

		cr_expect_arr_eq(b, magics[k], 8);
		cr_assert_eq(blob_parse(b, len, &info, &e), 0);
		cr_expect_eq(info.kind, k);
		cr_expect_eq(info.payload_len, 3);
		cr_expect_arr_eq(info.payload, "xyz", 3);
		cr_expect_eq(blob_check_crc(&info, &e), 0);
		cr_expect_eq(blob_kind_encrypted(info.kind), k >= 2);
		cr_expect_eq(blob_kind_compressed(info.kind), k % 2 == 1);
		free(b);
	}
}

Test(blob, refuses_with_the_known_texts)
{
	uint8_t b[64] = {0};
	struct blob_info info;
	struct err e;

	cr_expect_eq(blob_parse(b, 11, &info, &e), -1);
	cr_expect_str_eq(e.msg, "blob too small (11 bytes).");
	cr_expect_eq(blob_parse(NULL, 0, &info, &e), -1);
	cr_expect_eq(blob_parse(b, 64, &info, &e), -1);
	cr_expect_str_eq(e.msg, "unable to parse raw blob - wrong magic");
	memcpy(b, magics[BLOB_ENCRYPTED], 8);
	cr_expect_eq(blob_parse(b, 43, &info, &e), -1);
	cr_expect_str_eq(e.msg, "encrypted blob too small (43 bytes).");
	cr_expect_eq(blob_parse(b, 44, &info, &e), 0);
	memcpy(b, magics[BLOB_PLAIN], 8);
	cr_expect_eq(blob_parse(b, 12, &info, &e), 0);
	cr_expect_eq(info.payload_len, 0);
}

Test(blob, refuses_abandoned_magics)
{
	static const uint8_t old[2][8] = {{0x1f, 0x87, 0xee, 0xe2, 0x91, 0xce,
					      0x05, 0x02},
	    {0x7e, 0xa6, 0x0f, 0xbe, 0x91, 0x1f, 0xa9, 0x60}};
	uint8_t b[64] = {0};
	struct blob_info info;
	int i;

	for (i = 0; i < 2; i++) {
		memcpy(b, old[i], 8);
		cr_expect_eq(blob_parse(b, 64, &info, NULL), -1);
	}
}

Test(blob, crc_covers_the_payload_only)
{
	struct blob_info info;
	struct err e;
	size_t len;
	uint8_t *b = make(BLOB_ENCRYPTED, "secret", 6, &len);

	b[12] ^= 1; /* IV */
	b[30] ^= 1; /* tag */
	blob_parse(b, len, &info, &e);
	cr_expect_eq(blob_check_crc(&info, &e), 0);
	b[44] ^= 1;
	cr_expect_eq(blob_check_crc(&info, &e), -1);
	cr_expect_str_eq(e.msg, "Data blob has wrong CRC checksum.");
	blob_set_crc(b, blob_crc32(0, info.payload, info.payload_len));
	blob_parse(b, len, &info, &e);
	cr_expect_eq(blob_check_crc(&info, &e), 0);
	free(b);
}

Test(blob, round_trip_compressed)
{
	size_t n = 1 << 20, len, raw_len;
	uint8_t *raw = calloc(1, n), *out = malloc(blob_encode_bound(n));
	uint8_t *buf = malloc(n);
	const uint8_t *data;
	struct blob_info info;
	struct err e;

	raw[77] = 1;
	cr_assert_eq(blob_encode(codec, raw, n, true, out, blob_encode_bound(n),
			 &len, &e),
	    0);
	cr_expect(len < 1000);
	cr_assert_eq(blob_parse(out, len, &info, &e), 0);
	cr_expect_eq(info.kind, BLOB_ZSTD);
	cr_expect_eq(blob_check_crc(&info, &e), 0);
	cr_assert_eq(blob_decode(codec, &info, buf, n, &data, &raw_len, &e), 0);
	cr_expect_eq(raw_len, n);
	cr_expect_eq(data, buf);
	cr_expect_eq(memcmp(data, raw, n), 0);
	/* one byte less than it needs */
	cr_expect_eq(blob_decode(codec, &info, buf, n - 1, &data, &raw_len, &e),
	    -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	free(raw);
	free(out);
	free(buf);
}

Test(blob, plain_is_lent_not_copied)
{
	struct blob_info info;
	const uint8_t *data;
	struct err e;
	uint8_t buf[3];
	size_t len;

	blob_parse(abc_blob, sizeof(abc_blob), &info, &e);
	cr_assert_eq(blob_decode(codec, &info, buf, sizeof(buf), &data, &len,
			 &e),
	    0);
	cr_expect_eq(data, abc_blob + 12);
	cr_expect_eq(len, 3);
	cr_expect_eq(blob_decode(codec, &info, buf, 2, &data, &len, &e), -1);
	cr_expect_eq(e.code, ERR_LIMIT);
}

/* Streaming writers leave the content size out; frames may follow each
 * other. */
Test(blob, takes_concatenated_frames_without_size)
{
	uint8_t payload[512], buf[64];
	ZSTD_CCtx *c = ZSTD_createCCtx();
	struct blob_info info;
	const uint8_t *data;
	size_t n = 0, len;
	struct err e;
	uint8_t *b;
	int i;

	ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
	for (i = 0; i < 2; i++)
		n += ZSTD_compress2(c, payload + n, sizeof(payload) - n,
		    i == 0 ? "hello " : "world", i == 0 ? 6 : 5);
	ZSTD_freeCCtx(c);
	cr_assert_eq(ZSTD_getFrameContentSize(payload, n),
	    ZSTD_CONTENTSIZE_UNKNOWN);
	b = make(BLOB_ZSTD, payload, n, &len);
	blob_parse(b, len, &info, &e);
	cr_assert_eq(blob_decode(codec, &info, buf, sizeof(buf), &data, &len,
			 &e),
	    0, "%s", e.msg);
	cr_assert_eq(len, 11);
	cr_expect_arr_eq(data, "hello world", 11);
	cr_expect_eq(blob_decode(codec, &info, buf, 10, &data, &len, &e), -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	free(b);
}

Test(blob, refuses_a_bomb)
{
	size_t n = 64 << 20, len;
	uint8_t *raw = calloc(1, n), *out = malloc(blob_encode_bound(n));
	uint8_t small[4096], *dup;
	struct blob_info info;
	const uint8_t *data;
	struct err e;

	cr_assert_eq(blob_encode(codec, raw, n, true, out, blob_encode_bound(n),
			 &len, &e),
	    0);
	free(raw);
	blob_parse(out, len, &info, &e);
	cr_expect_eq(blob_decode(codec, &info, small, sizeof(small), &data,
			 &len, &e),
	    -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	cr_expect_eq(blob_decode_dup(codec, &info, 1 << 20, &dup, &len, &e),
	    -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	free(out);
}

Test(blob, refuses_broken_zstd)
{
	/* v0.7 frame: the library could decode it, we must not */
	static const uint8_t legacy[] = {0x27, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0};
	uint8_t frame[256], buf[256];
	struct blob_info info;
	const uint8_t *data;
	size_t n, len, cut;
	struct err e;
	uint8_t *b;

	b = make(BLOB_ZSTD, "no zstd at all", 14, &len);
	blob_parse(b, len, &info, &e);
	cr_expect_eq(blob_decode(codec, &info, buf, sizeof(buf), &data, &len,
			 &e),
	    -1);
	cr_expect_eq(e.code, ERR_CORRUPT);
	cr_expect_str_eq(e.msg, "Unknown frame descriptor");
	free(b);
	b = make(BLOB_ZSTD, legacy, sizeof(legacy), &len);
	blob_parse(b, len, &info, &e);
	cr_expect_eq(blob_decode(codec, &info, buf, sizeof(buf), &data, &len,
			 &e),
	    -1);
	cr_expect_str_eq(e.msg, "Unknown frame descriptor");
	free(b);

	n = ZSTD_compress(frame, sizeof(frame), "some text to be cut", 19, 1);
	for (cut = 1; cut < n; cut++) {
		b = make(BLOB_ZSTD, frame, n - cut, &len);
		blob_parse(b, len, &info, &e);
		cr_expect_eq(blob_decode(codec, &info, buf, sizeof(buf), &data,
				 &len, &e),
		    -1);
		cr_expect_eq(e.code, ERR_CORRUPT);
		free(b);
	}
}

Test(blob, will_not_decode_encrypted)
{
	struct blob_info info;
	const uint8_t *data;
	struct err e;
	uint8_t buf[8];
	size_t len;
	uint8_t *b = make(BLOB_ENCRYPTED, "abc", 3, &len);

	blob_parse(b, len, &info, &e);
	cr_expect_eq(blob_decode(codec, &info, buf, 8, &data, &len, &e), -1);
	cr_expect_eq(e.code, ERR_INVALID);
	free(b);
}

Test(blob, decodes_into_own_memory)
{
	uint8_t out[64], *dup;
	struct blob_info info;
	struct err e;
	size_t len;

	blob_parse(abc_blob, sizeof(abc_blob), &info, &e);
	cr_assert_eq(blob_decode_dup(codec, &info, 3, &dup, &len, &e), 0);
	cr_expect_eq(len, 3);
	cr_expect_arr_eq(dup, "abc", 3);
	free(dup);
	cr_expect_eq(blob_decode_dup(codec, &info, 2, &dup, &len, &e), -1);
	cr_assert_eq(blob_encode(codec, "", 0, true, out, sizeof(out), &len,
			 &e),
	    0);
	cr_expect_eq(len, 12);
	blob_parse(out, len, &info, &e);
	cr_assert_eq(blob_decode_dup(codec, &info, 0, &dup, &len, &e), 0);
	cr_expect_eq(len, 0);
	free(dup);
}

Test(blob, needs_room_to_encode)
{
	uint8_t out[64];
	struct err e;
	size_t len;

	cr_expect_eq(blob_encode(codec, "abc", 3, false, out, 14, &len, &e),
	    -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	cr_expect_eq(blob_encode(codec, out, (size_t)BLOB_RAW_MAX + 1, false,
			 out, SIZE_MAX, &len, &e),
	    -1);
}
