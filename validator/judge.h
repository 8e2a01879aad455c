#ifndef VALIDATOR_JUDGE_H
#define VALIDATOR_JUDGE_H

/*
 * What a checker says of client-made bytes.  Pure: works on a private copy
 * that nobody else can change, does no input or output, and allocates its
 * large buffers once, so that memory stays bounded whatever the
 * bytes are.  A refusal is -1 with the text that the client gets.
 */

#include "common/format/blob.h"
#include "common/format/manifest.h"

struct err;
struct judge;

struct judge_chunk {
	enum blob_kind kind;
	uint32_t encoded_len;
	uint32_t size; /* plain; as announced if encrypted */
	bool verified; /* plain data, and its digest and length are right */
};

struct judge_blob {
	enum blob_kind kind;
	uint32_t encoded_len;
	struct digest csum; /* of the whole encoded blob */
};

/* A manifest as the validator wants to know it. */
struct judge_manifest {
	struct backup_snapshot snapshot;
	enum verify_state verify_state;
	bool is_signed;
	size_t file_count;
	/* Lent until the next call on the judge. */
	const struct manifest *manifest;
	const uint8_t *blob; /* to be stored; NULL after a read */
	size_t blob_len;
};

struct judge *judge_new(void);
void judge_free(struct judge *j);

/* An uploaded chunk (wire-protocol 4.4.1): layout; unencrypted ones are
 * decoded and compared with digest and size; the CRC is computed and set.
 * src, len bytes that others may change meanwhile, is copied to dst first:
 * each byte is read once, and only the copy is judged. */
int judge_chunk(struct judge *j, uint8_t *dst, const uint8_t *src, size_t len,
    const struct digest *digest, uint32_t size, struct judge_chunk *out,
    struct err *e);
/* A chunk from the store: like the above, but its CRC is verified, the copy is
 * not kept, and size 0 means any. */
int judge_stored_chunk(struct judge *j, const uint8_t *src, size_t len,
    const struct digest *digest, uint32_t size, struct judge_chunk *out,
    struct err *e);
/* An uploaded .blob file: layout and CRC. */
int judge_blob(struct judge *j, const uint8_t *data, size_t len,
    struct judge_blob *out, struct err *e);
/* A stored one, as its manifest says it is; it must decode if it can. */
int judge_stored_blob(struct judge *j, const uint8_t *data, size_t len,
    const struct digest *csum, uint64_t size, struct judge_blob *out,
    struct err *e);

/* An uploaded manifest: it must be for this snapshot; what only the server
 * may say is removed. */
int judge_manifest_import(struct judge *j, const uint8_t *data, size_t len,
    const struct backup_snapshot *snapshot, struct judge_manifest *out,
    struct err *e);
/* At finish: adds the upload statistics.  snapshot NULL: any. */
int judge_manifest_finish(struct judge *j, const uint8_t *data, size_t len,
    const struct backup_snapshot *snapshot, const struct manifest_stats *stats,
    struct judge_manifest *out, struct err *e);
/* Sets verify_state. */
int judge_manifest_mark(struct judge *j, const uint8_t *data, size_t len,
    enum verify_state state, const char *upid, struct judge_manifest *out,
    struct err *e);
int judge_manifest_notes(struct judge *j, const uint8_t *data, size_t len,
    const char *notes, struct judge_manifest *out, struct err *e);
/* Only reads. */
int judge_manifest_read(struct judge *j, const uint8_t *data, size_t len,
    struct judge_manifest *out, struct err *e);

#endif
