/*
 * Manifests.  Parsed in workers and checkers out of bytes that a client made,
 * and in the client out of a server's: whatever does not fit is refused, and
 * the limits of manifest.h bound the memory.
 */
#include "config.h"

#include "common/format/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/blob.h"
#include "common/format/crypt.h"
#include "common/format/manifest_int.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/str.h"

#define NELEM(a) (sizeof(a) / sizeof((a)[0]))

static const char *const crypt_mode_names[] = {
    [CRYPT_MODE_NONE] = "none",
    [CRYPT_MODE_ENCRYPT] = "encrypt",
    [CRYPT_MODE_SIGN_ONLY] = "sign-only",
};

static const char *const verify_state_names[] = {
    [VERIFY_STATE_NONE] = "none",
    [VERIFY_STATE_OK] = "ok",
    [VERIFY_STATE_FAILED] = "failed",
};

/* What a client's manifest may not say about itself (4.2). */
static const char *const server_members[] = {
    "verify_state",
    "chunk_upload_stats",
    "sync-source-signature",
    "change-detection-fingerprint",
};

const char *
crypt_mode_str(enum crypt_mode mode)
{
	return crypt_mode_names[mode];
}

const char *
verify_state_str(enum verify_state state)
{
	return verify_state_names[state];
}

/* Whatever the JSON helpers complain about is damage of the manifest. */
static int
damaged(struct err *e)
{
	err_wrap(e, "manifest");
	if (e != NULL)
		e->code = ERR_CORRUPT;
	return -1;
}

static bool
is_absent(const struct json *obj, const char *key)
{
	const struct json *v = json_get(obj, key);

	return v == NULL || json_type(v) == JSON_NULL;
}

static int
parse_crypt_mode(const struct json *entry, enum crypt_mode *out, struct err *e)
{
	const char *s;
	size_t i;

	*out = CRYPT_MODE_NONE;
	if (json_get(entry, "crypt-mode") == NULL)
		return 0;
	if ((s = json_get_str(entry, "crypt-mode", e)) == NULL)
		return -1;
	for (i = 0; i < NELEM(crypt_mode_names); i++) {
		if (strcmp(s, crypt_mode_names[i]) == 0) {
			*out = (enum crypt_mode)i;
			return 0;
		}
	}
	return err_set(e, ERR_CORRUPT, "unknown crypt-mode");
}

static int
parse_file(const struct json *entry, struct manifest_file *out, struct err *e)
{
	const char *name, *csum;

	if (json_type(entry) != JSON_OBJECT)
		return err_set(e, ERR_CORRUPT, "file is not an object");
	if ((name = json_get_str(entry, "filename", e)) == NULL ||
	    archive_name_parse(name, &out->kind, e) < 0 ||
	    parse_crypt_mode(entry, &out->crypt_mode, e) < 0 ||
	    json_get_u64(entry, "size", 0, UINT64_MAX, &out->size, e) < 0)
		return -1;
	strcpy(out->name, name);
	out->has_csum = !is_absent(entry, "csum");
	if (!out->has_csum)
		return 0;
	if ((csum = json_get_str(entry, "csum", e)) == NULL)
		return -1;
	return digest_from_hex(&out->csum, csum, strlen(csum), e);
}

static int
parse_files(struct manifest *m, struct err *e)
{
	const struct json *files = json_get_array(m->doc, "files", e);
	size_t i, n;

	if (files == NULL)
		return -1;
	if ((n = json_len(files)) > MANIFEST_FILES_MAX)
		return err_set(e, ERR_LIMIT, "more than %d files",
		    MANIFEST_FILES_MAX);
	m->files = xcalloc(n + 1, sizeof(*m->files));
	for (i = 0; i < n; i++) {
		if (parse_file(json_at(files, i), &m->files[i], e) < 0)
			return -1;
		if (manifest_find_file(m, m->files[i].name) != NULL)
			return err_set(e, ERR_CORRUPT, "'%s' is listed twice",
			    m->files[i].name);
		m->file_count++;
	}
	return 0;
}

static int
parse_snapshot(struct manifest *m, struct err *e)
{
	const char *type, *id;
	int64_t t;

	if ((type = json_get_str(m->doc, "backup-type", e)) == NULL ||
	    (id = json_get_str(m->doc, "backup-id", e)) == NULL ||
	    json_get_i64(m->doc, "backup-time", 1, BACKUP_TIME_MAX, &t, e) < 0)
		return -1;
	return snapshot_set(&m->snapshot, type, id, t, e);
}

static int
parse_signature(struct manifest *m, struct err *e)
{
	const char *hex;
	struct digest d;

	if (is_absent(m->doc, "signature")) {
		json_set_null(m->doc, "signature");
		return 0;
	}
	if ((hex = json_get_str(m->doc, "signature", e)) == NULL ||
	    digest_from_hex(&d, hex, strlen(hex), e) < 0)
		return -1;
	m->is_signed = true;
	return 0;
}

/* Like every other reader: what is not exactly right is not there. */
static void
parse_verify_state(struct manifest *m)
{
	const struct json *vs = json_get(m->unprotected, "verify_state");
	const char *state, *upid;
	struct upid u;

	memset(&m->verify, 0, sizeof(m->verify));
	if (vs == NULL || json_type(vs) != JSON_OBJECT ||
	    (state = json_get_str(vs, "state", NULL)) == NULL ||
	    (upid = json_get_str(vs, "upid", NULL)) == NULL ||
	    upid_parse(&u, upid, NULL) < 0)
		return;
	if (strcmp(state, "ok") == 0)
		m->verify.state = VERIFY_STATE_OK;
	else if (strcmp(state, "failed") == 0)
		m->verify.state = VERIFY_STATE_FAILED;
	else
		return;
	strcpy(m->verify.upid, upid);
}

static int
parse_unprotected(struct manifest *m, struct err *e)
{
	if (is_absent(m->doc, "unprotected"))
		m->unprotected = json_new_object();
	else
		m->unprotected = json_dup(json_get(m->doc, "unprotected"));
	json_del(m->doc, "unprotected");
	if (json_type(m->unprotected) != JSON_OBJECT)
		return err_set(e, ERR_CORRUPT, "unprotected is not an object");
	parse_verify_state(m);
	return 0;
}

static int
parse_doc(struct manifest *m, struct err *e)
{
	if (json_type(m->doc) != JSON_OBJECT)
		return err_set(e, ERR_CORRUPT, "not an object");
	if (parse_snapshot(m, e) < 0 || parse_files(m, e) < 0 ||
	    parse_signature(m, e) < 0)
		return -1;
	return parse_unprotected(m, e);
}

int
manifest_parse(const void *json, size_t len, struct manifest **out,
    struct err *e)
{
	struct manifest *m;

	if (len > MANIFEST_JSON_MAX)
		return err_set(e, ERR_LIMIT, "manifest too large");
	m = xcalloc(1, sizeof(*m));
	m->doc = json_parse(json, len, MANIFEST_DEPTH_MAX, e);
	if (m->doc == NULL || parse_doc(m, e) < 0) {
		manifest_free(m);
		return damaged(e);
	}
	*out = m;
	return 0;
}

int
manifest_from_blob(struct blob_codec *codec, const void *blob, size_t len,
    struct manifest **out, struct err *e)
{
	struct blob_info info;
	uint8_t *json;
	size_t json_len;
	int rv;

	if (blob_parse(blob, len, &info, e) < 0 ||
	    blob_check_crc(&info, e) < 0 ||
	    blob_decode_dup(codec, &info, MANIFEST_JSON_MAX, &json, &json_len,
		e) < 0)
		return -1;
	rv = manifest_parse(json, json_len, out, e);
	free(json);
	return rv;
}

void
manifest_free(struct manifest *m)
{
	if (m == NULL)
		return;
	json_free(&m->doc);
	json_free(&m->unprotected);
	free(m->files);
	free(m);
}

const struct backup_snapshot *
manifest_snapshot(const struct manifest *m)
{
	return &m->snapshot;
}

size_t
manifest_file_count(const struct manifest *m)
{
	return m->file_count;
}

const struct manifest_file *
manifest_get_file(const struct manifest *m, size_t i)
{
	return i < m->file_count ? &m->files[i] : NULL;
}

const struct manifest_file *
manifest_find_file(const struct manifest *m, const char *name)
{
	size_t i;

	for (i = 0; i < m->file_count; i++) {
		if (strcmp(m->files[i].name, name) == 0)
			return &m->files[i];
	}
	return NULL;
}

const struct manifest_verify *
manifest_verify_state(const struct manifest *m)
{
	return &m->verify;
}

const char *
manifest_notes(const struct manifest *m)
{
	return json_get_str(m->unprotected, "notes", NULL);
}

const char *
manifest_key_fingerprint(const struct manifest *m)
{
	const char *s = json_get_str(m->unprotected, "key-fingerprint", NULL);
	struct digest fp;

	if (s == NULL || fingerprint_from_str(&fp, s, NULL) < 0)
		return NULL;
	return s;
}

bool
manifest_is_signed(const struct manifest *m)
{
	return m->is_signed;
}

bool
manifest_get_stats(const struct manifest *m, struct manifest_stats *out)
{
	const struct json *s = json_get(m->unprotected, "chunk_upload_stats");

	memset(out, 0, sizeof(*out));
	return s != NULL && json_type(s) == JSON_OBJECT &&
	    json_get_u64(s, "count", 0, UINT64_MAX, &out->count, NULL) == 0 &&
	    json_get_u64(s, "size", 0, UINT64_MAX, &out->size, NULL) == 0 &&
	    json_get_u64(s, "compressed_size", 0, UINT64_MAX,
		&out->compressed_size, NULL) == 0 &&
	    json_get_u64(s, "duplicates", 0, UINT64_MAX, &out->duplicates,
		NULL) == 0;
}

int
manifest_set_verify_state(struct manifest *m, enum verify_state state,
    const char *upid, struct err *e)
{
	struct json *vs;
	struct upid u;

	if (state == VERIFY_STATE_NONE) {
		json_del(m->unprotected, "verify_state");
	} else {
		if (state != VERIFY_STATE_OK && state != VERIFY_STATE_FAILED)
			return err_set(e, ERR_PARAM, "unknown verify state");
		/* Readers ignore a state whose UPID does not parse. */
		if (upid_parse(&u, upid, e) < 0)
			return -1;
		vs = json_new_object();
		json_set_str(vs, "state", verify_state_names[state]);
		json_set_str(vs, "upid", upid);
		json_set(m->unprotected, "verify_state", vs);
	}
	parse_verify_state(m);
	return 0;
}

int
manifest_set_notes(struct manifest *m, const char *notes, struct err *e)
{
	size_t len = strlen(notes);

	if (len > MANIFEST_NOTES_MAX)
		return err_set(e, ERR_LIMIT, "notes are too long");
	if (!str_is_utf8(notes, len))
		return err_set(e, ERR_PARAM, "notes are not UTF-8");
	json_set_str(m->unprotected, "notes", notes);
	return 0;
}

void
manifest_set_stats(struct manifest *m, const struct manifest_stats *s)
{
	struct json *stats = json_new_object();

	json_set_u64(stats, "count", s->count);
	json_set_u64(stats, "size", s->size);
	json_set_u64(stats, "compressed_size", s->compressed_size);
	json_set_u64(stats, "duplicates", s->duplicates);
	json_set(m->unprotected, "chunk_upload_stats", stats);
}

bool
manifest_strip_server_members(struct manifest *m)
{
	bool found = false;
	size_t i;

	for (i = 0; i < NELEM(server_members); i++) {
		if (json_get(m->unprotected, server_members[i]) == NULL)
			continue;
		json_del(m->unprotected, server_members[i]);
		found = true;
	}
	parse_verify_state(m);
	return found;
}

int
manifest_to_json(const struct manifest *m, char **out, size_t *len_out,
    struct err *e)
{
	struct json *all = json_dup(m->doc);

	json_set(all, "unprotected", json_dup(m->unprotected));
	*out = json_pretty(all, len_out);
	json_free(&all);
	if (*len_out <= MANIFEST_JSON_MAX)
		return 0;
	/* Nobody could read it back. */
	free(*out);
	*out = NULL;
	return err_set(e, ERR_LIMIT, "manifest too large");
}

int
manifest_to_blob(const struct manifest *m, struct blob_codec *codec,
    uint8_t **out, size_t *len_out, struct err *e)
{
	uint8_t *blob;
	char *json;
	size_t len;
	int rv;

	if (manifest_to_json(m, &json, &len, e) < 0)
		return -1;
	blob = xmalloc(blob_encode_bound(len));
	rv = blob_encode(codec, json, len, true, blob, blob_encode_bound(len),
	    len_out, e);
	free(json);
	if (rv < 0) {
		free(blob);
		return -1;
	}
	*out = blob;
	return 0;
}
