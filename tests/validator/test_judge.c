/* The checker's judgement: what is accepted, what is refused with which
 * text, and that a refusal leaves the judge fit for the next call. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/crypt.h"
#include "validator/judge.h"

#define UPID "UPID:pbs1:0000A1B2:00BC614E:0000001F:66671C80:verify:s1:u@pbs:"
#define ROOM (1 << 16)

static struct judge *judge;
static struct blob_codec *codec;
static struct digest_ctx *sha;
static struct backup_snapshot snap;

static void
setup(void)
{
	judge = judge_new();
	codec = blob_codec_new();
	sha = digest_ctx_new();
	snapshot_set(&snap, "vm", "100", 1651479093, NULL);
}

static void
teardown(void)
{
	judge_free(judge);
	judge_free(NULL);
	blob_codec_free(codec);
	digest_ctx_free(sha);
}

TestSuite(judge, .init = setup, .fini = teardown);

/* A chunk of n equal bytes, its length in the result. */
static size_t
make_chunk(uint8_t *blob, size_t cap, char byte, size_t n, bool compress,
    struct digest *d)
{
	uint8_t *raw = malloc(n);
	size_t len;

	memset(raw, byte, n);
	digest_of(sha, raw, n, d);
	cr_assert_eq(blob_encode(codec, raw, n, compress, blob, cap, &len,
			 NULL),
	    0);
	free(raw);
	return len;
}

/* blob becomes the copy that would be stored. */
static int
judge_upload(uint8_t *blob, size_t len, const struct digest *d, uint32_t size,
    struct judge_chunk *out, struct err *e)
{
	uint8_t *src = malloc(len);
	int rv;

	memcpy(src, blob, len);
	memset(blob, 0, len);
	rv = judge_chunk(judge, blob, src, len, d, size, out, e);
	if (rv == -1)
		memcpy(blob, src, len);
	free(src);
	return rv;
}

Test(judge, accepts_good_chunks)
{
	uint8_t blob[ROOM];
	struct judge_chunk out;
	struct digest d;
	struct err e;
	size_t len;
	int zstd;

	for (zstd = 0; zstd < 2; zstd++) {
		len = make_chunk(blob, ROOM, 'a', 30000, zstd, &d);
		cr_assert_eq(judge_upload(blob, len, &d, 30000, &out, &e), 0,
		    "%s", e.msg);
		cr_expect_eq(out.kind, zstd ? BLOB_ZSTD : BLOB_PLAIN);
		cr_expect_eq(out.encoded_len, len);
		cr_expect(out.verified);
	}
}

Test(judge, computes_the_crc_of_chunks)
{
	uint8_t blob[ROOM];
	struct judge_chunk out;
	struct blob_info info;
	struct digest d;
	struct err e;
	size_t len = make_chunk(blob, ROOM, 'a', 3, false, &d);

	memset(blob + 8, 0, 4);
	cr_expect_eq(judge_stored_chunk(judge, blob, len, &d, 3, &out, &e), -1);
	cr_expect_str_eq(e.msg, "Data blob has wrong CRC checksum.");
	cr_assert_eq(judge_upload(blob, len, &d, 3, &out, &e), 0);
	blob_parse(blob, len, &info, &e);
	cr_expect_eq(blob_check_crc(&info, &e), 0);
	cr_expect_eq(judge_stored_chunk(judge, blob, len, &d, 3, &out, &e), 0);
	cr_expect(out.verified);
}

/* Lengths around the pieces that one pass takes. */
Test(judge, judges_the_copy_it_makes)
{
	static const size_t sizes[] = {1, 32767, 32768, 32769, 100001};
	uint8_t *raw = malloc(100001), *src = malloc(100013);
	uint8_t *dst = malloc(100013);
	struct judge_chunk out;
	struct digest d;
	struct err e;
	size_t i, n, len;

	for (i = 0; i < 100001; i++)
		raw[i] = (uint8_t)(i * 7 + i / 251);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		n = sizes[i];
		digest_of(sha, raw, n, &d);
		blob_encode(codec, raw, n, false, src, 100013, &len, &e);
		memset(dst, 0, len);
		cr_expect_eq(judge_chunk(judge, dst, src, len, &d, (uint32_t)n,
				 &out, &e),
		    0);
		cr_expect(out.verified);
		cr_expect_eq(memcmp(dst, src, len), 0);
		cr_expect_eq(judge_stored_chunk(judge, dst, len, &d,
				 (uint32_t)n, &out, &e),
		    0);
		src[len - 1] ^= 1;
		cr_expect_eq(judge_chunk(judge, dst, src, len, &d, (uint32_t)n,
				 &out, &e),
		    -1);
		cr_expect_str_eq(e.msg, "detected chunk with wrong digest.");
	}
	free(raw);
	free(src);
	free(dst);
}

Test(judge, stored_chunk_of_any_size)
{
	uint8_t blob[ROOM];
	struct judge_chunk out;
	struct digest d;
	struct err e;
	size_t len = make_chunk(blob, ROOM, 'a', 100, true, &d);

	cr_assert_eq(judge_stored_chunk(judge, blob, len, &d, 0, &out, &e), 0);
	cr_expect_eq(out.size, 100);
	cr_expect(out.verified);
	d.b[0] ^= 1;
	cr_assert_eq(judge_stored_chunk(judge, blob, len, &d, 0, &out, &e), -1);
	cr_expect_eq(e.code, ERR_CORRUPT);
	cr_expect_str_eq(e.msg, "detected chunk with wrong digest.");
	cr_expect_eq(judge_upload(blob, len, &d, 0, &out, &e), -1);
	cr_expect_eq(e.code, ERR_PARAM, "an upload says its size");
}

Test(judge, stored_blobs)
{
	uint8_t blob[ROOM];
	struct judge_blob out;
	struct blob_info info;
	struct digest csum;
	struct err e;
	size_t len;

	blob_encode(codec, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    47, true, blob, sizeof(blob), &len, &e);
	cr_assert_eq(judge_blob(judge, blob, len, &out, &e), 0);
	csum = out.csum;
	cr_expect_eq(judge_stored_blob(judge, blob, len, &csum, len, &out, &e),
	    0);
	cr_expect_eq(judge_stored_blob(judge, blob, len, &csum, len + 1, &out,
			 &e),
	    -1);
	cr_expect_eq(e.code, ERR_CORRUPT);
	csum.b[31] ^= 1;
	cr_expect_eq(judge_stored_blob(judge, blob, len, &csum, len, &out, &e),
	    -1);
	cr_expect_str_eq(e.msg, "wrong checksum");
	/* As uploaded, but nobody can decode it. */
	cr_assert_eq(blob_parse(blob, len, &info, &e), 0);
	blob[len - 1] ^= 1;
	blob[BLOB_HEADER_LEN] ^= 1;
	blob_set_crc(blob, blob_crc32(0, info.payload, info.payload_len));
	cr_assert_eq(judge_blob(judge, blob, len, &out, &e), 0);
	csum = out.csum;
	cr_expect_eq(judge_stored_blob(judge, blob, len, &csum, len, &out, &e),
	    -1);
	cr_expect_eq(e.code, ERR_CORRUPT);
}

Test(judge, largest_chunk)
{
	uint8_t *blob = malloc(BLOB_ENCODED_MAX + 1);
	struct judge_chunk out;
	struct digest d;
	struct err e;
	size_t len;

	len = make_chunk(blob, BLOB_ENCODED_MAX, 0, CHUNK_RAW_MAX, true, &d);
	cr_expect_eq(judge_upload(blob, len, &d, CHUNK_RAW_MAX, &out, &e), 0);
	len = make_chunk(blob, BLOB_ENCODED_MAX, 0, CHUNK_RAW_MAX, false, &d);
	cr_expect_eq(judge_upload(blob, len, &d, CHUNK_RAW_MAX, &out, &e), 0);
	cr_expect_eq(judge_chunk(judge, blob, blob, BLOB_ENCODED_MAX + 1, &d,
			 CHUNK_RAW_MAX, &out, &e),
	    -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	cr_expect_eq(judge_upload(blob, len, &d, CHUNK_RAW_MAX + 1, &out, &e),
	    -1);
	cr_expect_eq(judge_upload(blob, len, &d, 0, &out, &e), -1);
	cr_expect_eq(e.code, ERR_PARAM);
	free(blob);
}

static void
expect_chunk_text(uint8_t *blob, size_t len, const struct digest *d,
    uint32_t size, const char *text)
{
	struct judge_chunk out = {.verified = true};
	struct err e;

	cr_expect_eq(judge_upload(blob, len, d, size, &out, &e), -1);
	cr_expect_str_eq(e.msg, text);
}

Test(judge, refuses_bad_chunks)
{
	uint8_t blob[ROOM];
	struct judge_chunk out;
	struct digest d, other;
	struct err e;
	size_t len = make_chunk(blob, ROOM, 'a', 100, false, &d);

	other = d;
	other.b[31] ^= 1;
	expect_chunk_text(blob, len, &other, 100,
	    "detected chunk with wrong digest.");
	expect_chunk_text(blob, len, &d, 101,
	    "detected chunk with wrong length (101 != 100)");
	expect_chunk_text(blob, len, &d, 99,
	    "detected chunk with wrong length (99 != 100)");
	expect_chunk_text(blob, 11, &d, 100, "blob too small (11 bytes).");
	blob[3] ^= 1;
	expect_chunk_text(blob, len, &d, 100,
	    "unable to parse raw blob - wrong magic");
	len = make_chunk(blob, ROOM, 'a', 10000, true, &d);
	expect_chunk_text(blob, len, &d, 9999,
	    "detected chunk with wrong length (9999 != more)");
	blob[12] ^= 1;
	expect_chunk_text(blob, len, &d, 10000, "Unknown frame descriptor");
	blob[12] ^= 1;
	/* and none of it did any harm */
	cr_expect_eq(judge_upload(blob, len, &d, 10000, &out, &e), 0);
}

Test(judge, cannot_verify_encrypted_chunks)
{
	uint8_t blob[256], key[CRYPT_KEY_LEN] = {1};
	struct crypt *c = crypt_new(key);
	struct judge_chunk out = {.verified = true};
	struct digest d = {{0}};
	struct err e;
	size_t len;

	crypt_encode(c, codec, "abc", 3, false, blob, sizeof(blob), &len, &e);
	blob[8] ^= 1;
	cr_expect_eq(judge_stored_chunk(judge, blob, len, &d, 3, &out, &e), -1);
	cr_expect_eq(judge_upload(blob, len, &d, 3, &out, &e), 0);
	cr_expect_eq(out.kind, BLOB_ENCRYPTED);
	cr_expect_eq(out.encoded_len, 47);
	cr_expect_not(out.verified);
	cr_expect_eq(judge_stored_chunk(judge, blob, len, &d, 3, &out, &e), 0);
	cr_expect_not(out.verified);
	cr_expect_eq(judge_upload(blob, 43, &d, 3, &out, &e), -1);
	cr_expect_str_eq(e.msg, "encrypted blob too small (43 bytes).");
	crypt_free(c);
}

Test(judge, blobs)
{
	uint8_t blob[256];
	struct judge_blob out;
	struct digest want;
	struct err e;
	size_t len;

	blob_encode(codec, "abc", 3, false, blob, sizeof(blob), &len, &e);
	digest_of(sha, blob, len, &want);
	cr_assert_eq(judge_blob(judge, blob, len, &out, &e), 0);
	cr_expect_eq(out.kind, BLOB_PLAIN);
	cr_expect_eq(out.encoded_len, 15);
	cr_expect(digest_equal(&out.csum, &want));
	blob[8] ^= 1;
	cr_expect_eq(judge_blob(judge, blob, len, &out, &e), -1);
	cr_expect_str_eq(e.msg, "Data blob has wrong CRC checksum.");
	cr_expect_eq(judge_blob(judge, blob, 3, &out, &e), -1);
	blob_encode(codec, "", 0, false, blob, sizeof(blob), &len, &e);
	cr_expect_eq(judge_blob(judge, blob, len, &out, &e), 0);
}

/* The blob of a manifest that claims to be verified. */
static uint8_t *
make_manifest(size_t *len_out)
{
	struct manifest_stats stats = {9, 9, 9, 9};
	struct manifest *m = manifest_new(&snap);
	struct digest d = {{5}};
	uint8_t *blob;

	manifest_add_file(m, "a.fidx", CRYPT_MODE_NONE, 1, &d, NULL);
	manifest_set_verify_state(m, VERIFY_STATE_OK, UPID, NULL);
	manifest_set_stats(m, &stats);
	cr_assert_eq(manifest_to_blob(m, codec, &blob, len_out, NULL), 0);
	manifest_free(m);
	return blob;
}

static struct manifest *
result(const struct judge_manifest *jm)
{
	struct manifest *m;

	cr_assert_eq(manifest_from_blob(codec, jm->blob, jm->blob_len, &m,
			 NULL),
	    0);
	return m;
}

Test(judge, manifest_import)
{
	struct backup_snapshot other = snap;
	struct judge_manifest out;
	struct manifest_stats stats;
	struct manifest *m;
	struct err e;
	size_t len;
	uint8_t *blob = make_manifest(&len);

	cr_assert_eq(judge_manifest_import(judge, blob, len, &snap, &out, &e),
	    0);
	cr_expect_eq(out.file_count, 1);
	cr_expect_eq(out.verify_state, VERIFY_STATE_NONE);
	cr_expect_not(out.is_signed);
	cr_expect_str_eq(manifest_get_file(out.manifest, 0)->name, "a.fidx");
	m = result(&out);
	cr_expect_eq(manifest_verify_state(m)->state, VERIFY_STATE_NONE);
	cr_expect_not(manifest_get_stats(m, &stats));
	cr_expect(manifest_find_file(m, "a.fidx") != NULL);
	manifest_free(m);

	other.time++;
	cr_expect_eq(judge_manifest_import(judge, blob, len, &other, &out, &e),
	    -1);
	cr_expect_str_eq(e.msg,
	    "manifest is for another snapshot: vm/100/2022-05-02T08:11:33Z");
	cr_expect_eq(judge_manifest_import(judge, blob, 20, &snap, &out, &e),
	    -1);
	cr_expect_str_eq(e.msg, "Data blob has wrong CRC checksum.");
	free(blob);
}

Test(judge, manifest_edits)
{
	struct manifest_stats stats = {1, 2, 3, 4}, back;
	struct judge_manifest out;
	struct manifest *m;
	struct err e;
	size_t len;
	uint8_t *blob = make_manifest(&len);

	cr_assert_eq(judge_manifest_finish(judge, blob, len, &snap, &stats,
			 &out, &e),
	    0);
	m = result(&out);
	cr_expect(manifest_get_stats(m, &back));
	cr_expect_eq(memcmp(&stats, &back, sizeof(stats)), 0);
	manifest_free(m);

	cr_assert_eq(judge_manifest_mark(judge, blob, len, VERIFY_STATE_FAILED,
			 UPID, &out, &e),
	    0);
	cr_expect_eq(out.verify_state, VERIFY_STATE_FAILED);
	m = result(&out);
	cr_expect_eq(manifest_verify_state(m)->state, VERIFY_STATE_FAILED);
	manifest_free(m);
	cr_expect_eq(judge_manifest_mark(judge, blob, len, VERIFY_STATE_FAILED,
			 "nonsense", &out, &e),
	    -1);

	cr_assert_eq(judge_manifest_notes(judge, blob, len, "hello", &out, &e),
	    0);
	m = result(&out);
	cr_expect_str_eq(manifest_notes(m), "hello");
	manifest_free(m);
	cr_expect_eq(judge_manifest_notes(judge, blob, len, "\xff", &out, &e),
	    -1);

	cr_assert_eq(judge_manifest_read(judge, blob, len, &out, &e), 0);
	cr_expect_eq(out.verify_state, VERIFY_STATE_OK);
	cr_expect_null(out.blob);
	cr_expect(snapshot_equal(&out.snapshot, &snap));
	cr_expect_eq(judge_manifest_read(judge, blob, len - 1, &out, &e), -1);
	free(blob);
}
