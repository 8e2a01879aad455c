/*
 * The checker's judgement.  Runs in holdfast-checker, which can open nothing
 * and reach nobody but the validator, on bytes that a client made: whatever
 * they do to this process, they cannot do it to the validator or to another
 * session.
 */
#include "config.h"

#include "validator/judge.h"

#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "common/err.h"
#include "common/mem.h"

/* Of a payload; stays in the second-level cache with its copy. */
#define PIECE (32u << 10)

struct judge {
	struct blob_codec *codec;
	struct digest_ctx *digest;
	uint8_t *copy; /* BLOB_ENCODED_MAX bytes for stored chunks */
	uint8_t *raw;  /* CHUNK_RAW_MAX bytes for decoded chunks */
	/* Results of the last call on a manifest, which lent them. */
	struct manifest *manifest;
	uint8_t *blob;
};

struct judge *
judge_new(void)
{
	struct judge *j = xcalloc(1, sizeof(*j));

	j->codec = blob_codec_new();
	j->digest = digest_ctx_new();
	j->copy = xmalloc(BLOB_ENCODED_MAX);
	j->raw = xmalloc(CHUNK_RAW_MAX);
	return j;
}

static void
drop_manifest(struct judge *j)
{
	manifest_free(j->manifest);
	free(j->blob);
	j->manifest = NULL;
	j->blob = NULL;
}

void
judge_free(struct judge *j)
{
	if (j == NULL)
		return;
	drop_manifest(j);
	free(j->copy);
	free(j->raw);
	digest_ctx_free(j->digest);
	blob_codec_free(j->codec);
	free(j);
}

static int
parse(const uint8_t *data, size_t len, struct blob_info *info, struct err *e)
{
	if (len > BLOB_ENCODED_MAX)
		return err_set(e, ERR_LIMIT, "blob too large (%zu bytes).",
		    len);
	return blob_parse(data, len, info, e);
}

/* What one pass over a payload finds out. */
struct sums {
	uint32_t crc;
	struct digest digest; /* of a plain one */
};

/* Copies src to dst and judges that piece by piece, so that it is in the
 * processor's cache; one piece of dst is enough unless all is kept. */
static void
sum_payload(struct judge *j, const struct blob_info *info, uint8_t *dst,
    const uint8_t *src, bool keep, struct sums *out)
{
	size_t n, left;

	out->crc = 0;
	for (left = info->payload_len; left > 0; left -= n) {
		n = MIN(left, PIECE);
		memcpy(dst, src, n);
		out->crc = blob_crc32(out->crc, dst, n);
		if (info->kind == BLOB_PLAIN)
			digest_update(j->digest, dst, n);
		src += n;
		if (keep)
			dst += n;
	}
	if (info->kind == BLOB_PLAIN)
		digest_final(j->digest, &out->digest);
}

/* A chunk that others may change meanwhile: each byte is read once. */
static int
take_chunk(struct judge *j, uint8_t *dst, const uint8_t *src, size_t len,
    bool keep, struct blob_info *info, struct sums *sums, struct err *e)
{
	if (len <= BLOB_ENCODED_MAX)
		memcpy(dst, src, MIN(len, BLOB_ENCRYPTED_HEADER_LEN));
	if (parse(dst, len, info, e) < 0)
		return -1;
	/* To be decompressed. */
	keep = keep || info->kind == BLOB_ZSTD;
	sum_payload(j, info, dst + info->header_len, src + info->header_len,
	    keep, sums);
	return 0;
}

/* Digest before length, as the reference does; only what is longer than
 * announced is never decoded to its end. */
static int
check_raw(struct judge *j, const struct blob_info *info, struct sums *sums,
    const struct digest *digest, uint32_t size, size_t *len_out, struct err *e)
{
	const uint8_t *raw;
	struct err why;
	size_t len, cap = size != 0 ? size : CHUNK_RAW_MAX;

	if (blob_decode(j->codec, info, j->raw, cap, &raw, &len, &why) < 0) {
		if (why.code == ERR_LIMIT && info->kind == BLOB_PLAIN)
			return err_set(e, ERR_CORRUPT,
			    "detected chunk with wrong length (%u != %zu)",
			    size, info->payload_len);
		if (why.code == ERR_LIMIT)
			return err_set(e, ERR_CORRUPT,
			    "detected chunk with wrong length (%u != more)",
			    size);
		return err_set(e, why.code, "%s", why.msg);
	}
	if (info->kind != BLOB_PLAIN)
		digest_of(j->digest, raw, len, &sums->digest);
	if (!digest_equal(&sums->digest, digest))
		return err_set(e, ERR_CORRUPT,
		    "detected chunk with wrong digest.");
	if (size != 0 && len != size)
		return err_set(e, ERR_CORRUPT,
		    "detected chunk with wrong length (%u != %zu)", size, len);
	*len_out = len;
	return 0;
}

static int
check_chunk(struct judge *j, const struct blob_info *info, struct sums *sums,
    const struct digest *digest, uint32_t size, struct judge_chunk *out,
    struct err *e)
{
	size_t raw_len;

	if (size > CHUNK_RAW_MAX)
		return err_set(e, ERR_PARAM, "impossible chunk size %u", size);
	out->size = size;
	out->kind = info->kind;
	out->encoded_len = (uint32_t)(info->header_len + info->payload_len);
	out->verified = false;
	/* Digest and size of an encrypted chunk are its owner's secret. */
	if (blob_kind_encrypted(info->kind))
		return 0;
	if (check_raw(j, info, sums, digest, size, &raw_len, e) < 0)
		return -1;
	out->size = (uint32_t)raw_len;
	out->verified = true;
	return 0;
}

int
judge_chunk(struct judge *j, uint8_t *dst, const uint8_t *src, size_t len,
    const struct digest *digest, uint32_t size, struct judge_chunk *out,
    struct err *e)
{
	struct blob_info info;
	struct sums sums;

	if (size == 0)
		return err_set(e, ERR_PARAM, "impossible chunk size 0");
	if (take_chunk(j, dst, src, len, true, &info, &sums, e) < 0 ||
	    check_chunk(j, &info, &sums, digest, size, out, e) < 0)
		return -1;
	blob_set_crc(dst, sums.crc);
	return 0;
}

int
judge_stored_chunk(struct judge *j, const uint8_t *src, size_t len,
    const struct digest *digest, uint32_t size, struct judge_chunk *out,
    struct err *e)
{
	struct blob_info info;
	struct sums sums;

	if (take_chunk(j, j->copy, src, len, false, &info, &sums, e) < 0 ||
	    blob_expect_crc(&info, sums.crc, e) < 0)
		return -1;
	return check_chunk(j, &info, &sums, digest, size, out, e);
}

int
judge_blob(struct judge *j, const uint8_t *data, size_t len,
    struct judge_blob *out, struct err *e)
{
	struct blob_info info;

	if (parse(data, len, &info, e) < 0 || blob_check_crc(&info, e) < 0)
		return -1;
	out->kind = info.kind;
	out->encoded_len = (uint32_t)len;
	digest_of(j->digest, data, len, &out->csum);
	return 0;
}

int
judge_stored_blob(struct judge *j, const uint8_t *data, size_t len,
    const struct digest *csum, uint64_t size, struct judge_blob *out,
    struct err *e)
{
	struct blob_info info;
	const uint8_t *raw;
	size_t raw_len;

	if (len != size)
		return err_set(e, ERR_CORRUPT, "wrong size (%llu != %zu)",
		    (unsigned long long)size, len);
	if (judge_blob(j, data, len, out, e) < 0)
		return -1;
	if (!digest_equal(&out->csum, csum))
		return err_set(e, ERR_CORRUPT, "wrong checksum");
	if (blob_kind_encrypted(out->kind))
		return 0;
	if (blob_parse(data, len, &info, e) < 0)
		return -1;
	return blob_decode(j->codec, &info, j->raw, CHUNK_RAW_MAX, &raw,
	    &raw_len, e);
}

static int
load(struct judge *j, const uint8_t *data, size_t len,
    const struct backup_snapshot *snapshot, struct err *e)
{
	char name[SNAPSHOT_STR_MAX + 1];

	drop_manifest(j);
	if (manifest_from_blob(j->codec, data, len, &j->manifest, e) < 0)
		return -1;
	if (snapshot == NULL ||
	    snapshot_equal(snapshot, manifest_snapshot(j->manifest)))
		return 0;
	snapshot_to_str(manifest_snapshot(j->manifest), name);
	return err_set(e, ERR_CORRUPT, "manifest is for another snapshot: %s",
	    name);
}

static void
describe(const struct judge *j, struct judge_manifest *out)
{
	memset(out, 0, sizeof(*out));
	out->snapshot = *manifest_snapshot(j->manifest);
	out->verify_state = manifest_verify_state(j->manifest)->state;
	out->is_signed = manifest_is_signed(j->manifest);
	out->file_count = manifest_file_count(j->manifest);
	out->manifest = j->manifest;
}

/* Always encoded anew: what is stored is then our own encoding, not one that
 * a client chose. */
static int
store(struct judge *j, struct judge_manifest *out, struct err *e)
{
	describe(j, out);
	if (manifest_to_blob(j->manifest, j->codec, &j->blob, &out->blob_len,
		e) < 0)
		return -1;
	out->blob = j->blob;
	return 0;
}

int
judge_manifest_import(struct judge *j, const uint8_t *data, size_t len,
    const struct backup_snapshot *snapshot, struct judge_manifest *out,
    struct err *e)
{
	if (load(j, data, len, snapshot, e) < 0)
		return -1;
	manifest_strip_server_members(j->manifest);
	return store(j, out, e);
}

int
judge_manifest_finish(struct judge *j, const uint8_t *data, size_t len,
    const struct backup_snapshot *snapshot, const struct manifest_stats *stats,
    struct judge_manifest *out, struct err *e)
{
	if (load(j, data, len, snapshot, e) < 0)
		return -1;
	manifest_set_stats(j->manifest, stats);
	return store(j, out, e);
}

int
judge_manifest_mark(struct judge *j, const uint8_t *data, size_t len,
    enum verify_state state, const char *upid, struct judge_manifest *out,
    struct err *e)
{
	if (load(j, data, len, NULL, e) < 0 ||
	    manifest_set_verify_state(j->manifest, state, upid, e) < 0)
		return -1;
	return store(j, out, e);
}

int
judge_manifest_notes(struct judge *j, const uint8_t *data, size_t len,
    const char *notes, struct judge_manifest *out, struct err *e)
{
	if (load(j, data, len, NULL, e) < 0 ||
	    manifest_set_notes(j->manifest, notes, e) < 0)
		return -1;
	return store(j, out, e);
}

int
judge_manifest_read(struct judge *j, const uint8_t *data, size_t len,
    struct judge_manifest *out, struct err *e)
{
	if (load(j, data, len, NULL, e) < 0)
		return -1;
	describe(j, out);
	return 0;
}
