#ifndef COMMON_FORMAT_MANIFEST_H
#define COMMON_FORMAT_MANIFEST_H

/*
 * The manifest (index.json.blob, datastore-format 4).  Parsing is for
 * hostile bytes: a worker, a checker or the client does it, never the
 * validator's own process.  The JSON is kept whole, so that members which
 * we do not know survive an edit.
 */

#include "common/format/digest.h"
#include "common/format/snapshot.h"
#include "common/format/upid.h"

#define MANIFEST_JSON_MAX (1u << 20)
#define MANIFEST_FILES_MAX 4096
#define MANIFEST_DEPTH_MAX 32
#define MANIFEST_NOTES_MAX (512u << 10) /* a body of parameters is shorter */

struct blob_codec;
struct crypt;
struct err;

enum crypt_mode {
	CRYPT_MODE_NONE,
	CRYPT_MODE_ENCRYPT,
	CRYPT_MODE_SIGN_ONLY
};

enum verify_state {
	VERIFY_STATE_NONE,
	VERIFY_STATE_OK,
	VERIFY_STATE_FAILED
};

struct manifest_file {
	char name[ARCHIVE_NAME_MAX + 1];
	enum archive_kind kind;
	enum crypt_mode crypt_mode;
	bool has_csum;
	struct digest csum;
	uint64_t size;
};

struct manifest_verify {
	enum verify_state state;
	char upid[UPID_STR_MAX + 1]; /* "" for NONE */
};

struct manifest_stats {
	uint64_t count;
	uint64_t size;
	uint64_t compressed_size;
	uint64_t duplicates;
};

struct manifest;

const char *crypt_mode_str(enum crypt_mode mode);
const char *verify_state_str(enum verify_state state);

/* The caller frees *out.  ERR_CORRUPT, ERR_LIMIT. */
int manifest_parse(const void *json, size_t len, struct manifest **out,
    struct err *e);
/* The same from the bytes of the file: layout, CRC, decoding. */
int manifest_from_blob(struct blob_codec *codec, const void *blob, size_t len,
    struct manifest **out, struct err *e);
/* An empty one, for a client. */
struct manifest *manifest_new(const struct backup_snapshot *snapshot);
void manifest_free(struct manifest *m);

/* All of these lend until the next edit. */
const struct backup_snapshot *manifest_snapshot(const struct manifest *m);
size_t manifest_file_count(const struct manifest *m);
const struct manifest_file *manifest_get_file(const struct manifest *m,
    size_t i);
const struct manifest_file *manifest_find_file(const struct manifest *m,
    const char *name);
/* NONE also if the UPID does not parse. */
const struct manifest_verify *manifest_verify_state(const struct manifest *m);
const char *manifest_notes(const struct manifest *m); /* NULL: none */
/* Colon-hex, NULL if absent or not a fingerprint. */
const char *manifest_key_fingerprint(const struct manifest *m);
bool manifest_is_signed(const struct manifest *m);
bool manifest_get_stats(const struct manifest *m, struct manifest_stats *out);

/* Edits, all in the unsigned part. */
int manifest_set_verify_state(struct manifest *m, enum verify_state state,
    const char *upid, struct err *e);
/* "" stays in the manifest as "" (wire-protocol Appendix C). */
int manifest_set_notes(struct manifest *m, const char *notes, struct err *e);
void manifest_set_stats(struct manifest *m, const struct manifest_stats *s);
/* Removes what only a server may say (verify_state, chunk_upload_stats, sync
 * marks); true if anything was there. */
bool manifest_strip_server_members(struct manifest *m);

/* Client: builds and signs. */
int manifest_add_file(struct manifest *m, const char *name,
    enum crypt_mode mode, uint64_t size, const struct digest *csum,
    struct err *e);
void manifest_set_key_fingerprint(struct manifest *m, const struct crypt *c);
int manifest_sign(struct manifest *m, const struct crypt *c, struct err *e);
/* Unsigned is accepted; a wrong signature or another key's is ERR_CRYPTO. */
int manifest_check_signature(const struct manifest *m, const struct crypt *c,
    struct err *e);
/* The bytes that are signed (4.4); the caller frees. */
int manifest_canonical(const struct manifest *m, char **out, size_t *len_out,
    struct err *e);

/* Pretty JSON as 4.3; the caller frees. */
int manifest_to_json(const struct manifest *m, char **out, size_t *len_out,
    struct err *e);
/* A blob, compressed if smaller; the caller frees. */
int manifest_to_blob(const struct manifest *m, struct blob_codec *codec,
    uint8_t **out, size_t *len_out, struct err *e);

#endif
