/*
 * What only a client does with a manifest: builds one, signs it, checks the
 * signature of one that a server sent.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/crypt.h"
#include "common/format/manifest_int.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/str.h"

struct manifest *
manifest_new(const struct backup_snapshot *snapshot)
{
	struct manifest *m = xcalloc(1, sizeof(*m));

	m->snapshot = *snapshot;
	m->unprotected = json_new_object();
	m->doc = json_new_object();
	json_set_str(m->doc, "backup-type",
	    backup_type_str(snapshot->group.type));
	json_set_str(m->doc, "backup-id", snapshot->group.id);
	json_set_i64(m->doc, "backup-time", snapshot->time);
	json_set(m->doc, "files", json_new_array());
	json_set_null(m->doc, "signature");
	return m;
}

int
manifest_add_file(struct manifest *m, const char *name, enum crypt_mode mode,
    uint64_t size, const struct digest *csum, struct err *e)
{
	struct manifest_file *f;
	struct json *files, *entry;
	char hex[DIGEST_HEX_LEN + 1];
	enum archive_kind kind;

	if (archive_name_parse(name, &kind, e) < 0)
		return -1;
	if (manifest_find_file(m, name) != NULL)
		return err_set(e, ERR_EXISTS, "'%s' is in the manifest already",
		    name);
	if (m->file_count == MANIFEST_FILES_MAX)
		return err_set(e, ERR_LIMIT, "too many files in the manifest");
	m->files =
	    xreallocarray(m->files, m->file_count + 1, sizeof(*m->files));
	f = &m->files[m->file_count++];
	*f = (struct manifest_file){.kind = kind,
	    .crypt_mode = mode,
	    .has_csum = true,
	    .csum = *csum,
	    .size = size};
	strcpy(f->name, name);

	digest_to_hex(csum, hex);
	entry = json_new_object();
	json_set_str(entry, "filename", name);
	json_set_str(entry, "crypt-mode", crypt_mode_str(mode));
	json_set_u64(entry, "size", size);
	json_set_str(entry, "csum", hex);
	files = json_dup(json_get(m->doc, "files"));
	json_append(files, entry);
	json_set(m->doc, "files", files);
	return 0;
}

void
manifest_set_key_fingerprint(struct manifest *m, const struct crypt *c)
{
	char text[CRYPT_FINGERPRINT_LEN + 1];
	struct digest fp;

	crypt_fingerprint(c, &fp);
	fingerprint_to_str(&fp, text);
	json_set_str(m->unprotected, "key-fingerprint", text);
}

int
manifest_canonical(const struct manifest *m, char **out, size_t *len_out,
    struct err *e)
{
	struct json *body = json_dup(m->doc);

	json_del(body, "signature");
	*out = json_canonical(body, len_out, e);
	json_free(&body);
	return *out != NULL ? 0 : -1;
}

static int
signature_of(const struct manifest *m, const struct crypt *c,
    struct digest *out, struct err *e)
{
	char *text;
	size_t len;

	if (manifest_canonical(m, &text, &len, e) < 0)
		return -1;
	crypt_hmac(c, text, len, out);
	free(text);
	return 0;
}

int
manifest_sign(struct manifest *m, const struct crypt *c, struct err *e)
{
	char hex[DIGEST_HEX_LEN + 1];
	struct digest sig;

	if (signature_of(m, c, &sig, e) < 0)
		return -1;
	digest_to_hex(&sig, hex);
	json_set_str(m->doc, "signature", hex);
	m->is_signed = true;
	return 0;
}

int
manifest_check_signature(const struct manifest *m, const struct crypt *c,
    struct err *e)
{
	const char *text = manifest_key_fingerprint(m), *hex;
	struct digest want, have;

	if (text != NULL) {
		crypt_fingerprint(c, &want);
		if (fingerprint_from_str(&have, text, e) < 0)
			return -1;
		if (!digest_equal(&want, &have))
			return err_set(e, ERR_CRYPTO,
			    "wrong key: the manifest was made with key %s",
			    text);
	}
	if (!m->is_signed)
		return 0;
	if ((hex = json_get_str(m->doc, "signature", e)) == NULL ||
	    digest_from_hex(&have, hex, strlen(hex), e) < 0 ||
	    signature_of(m, c, &want, e) < 0)
		return -1;
	if (!str_equal_ct(want.b, have.b, DIGEST_LEN))
		return err_set(e, ERR_CRYPTO,
		    "wrong signature in the manifest");
	return 0;
}
