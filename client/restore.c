/*
 * holdfast restore.  The manifest says which archives there are and what
 * their checksums must be; everything else is compared with it.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "client/download.h"
#include "client/h2.h"
#include "client/listing.h"
#include "client/progress.h"
#include "client/remote.h"
#include "client/session.h"
#include "client/spec.h"
#include "client/target.h"
#include "common/err.h"
#include "common/format/blob.h"
#include "common/format/index.h"
#include "common/format/manifest.h"

struct restore {
	const struct client_opts *o;
	const char *path; /* of the target */
	char archive[ARCHIVE_NAME_MAX + 1];
	enum archive_kind kind;
	struct backup_snapshot snapshot;
	struct remote *remote;
	struct h2 *h;
	struct blob_codec *codec;
	struct manifest *manifest;
};

/* Bytes as they are, to the target. */
static int
write_bytes(const struct restore *r, const void *data, size_t len,
    struct err *e)
{
	struct target out;
	int rv;

	if (target_open(&out, r->path, len, r->o->overwrite, e) == -1)
		return -1;
	rv = target_write(&out, 0, data, len, e);
	if (target_close(&out, rv == -1, e) == -1)
		rv = -1;
	return rv;
}

static int
fetch_manifest(struct restore *r, struct err *e)
{
	uint8_t *data;
	size_t len;
	int rv;

	if (session_download(r->h, MANIFEST_NAME, &data, &len, e) == -1)
		return -1;
	rv = manifest_from_blob(r->codec, data, len, &r->manifest, e);
	free(data);
	if (rv == 0 &&
	    !snapshot_equal(manifest_snapshot(r->manifest), &r->snapshot))
		rv = err_set(e, ERR_CORRUPT,
		    "the manifest belongs to another snapshot");
	return rv == -1 ? err_wrap(e, "the manifest") : 0;
}

static const struct manifest_file *
find_file(const struct restore *r, struct err *e)
{
	const struct manifest_file *f =
	    manifest_find_file(r->manifest, r->archive);

	if (f == NULL)
		err_set(e, ERR_NOT_FOUND,
		    "the snapshot has no '%s': see 'holdfast snapshot files'",
		    r->archive);
	else if (f->crypt_mode == CRYPT_MODE_ENCRYPT)
		err_set(e, ERR_UNSUPPORTED,
		    "'%s' is encrypted, which is not supported yet",
		    r->archive);
	else if (!f->has_csum)
		err_set(e, ERR_CORRUPT, "the manifest has no checksum of '%s'",
		    r->archive);
	else
		return f;
	return NULL;
}

static int
check_csum(const struct manifest_file *f, const void *data, size_t len,
    struct err *e)
{
	struct digest_ctx *hash = digest_ctx_new();
	struct digest found;

	digest_of(hash, data, len, &found);
	digest_ctx_free(hash);
	if (!digest_equal(&found, &f->csum) || f->size != len)
		return err_set(e, ERR_CORRUPT,
		    "'%s' does not match the manifest", f->name);
	return 0;
}

static int
restore_file(struct restore *r, struct err *e)
{
	const struct manifest_file *f = find_file(r, e);
	uint8_t *data, *raw;
	struct blob_info info;
	size_t len, raw_len;
	int rv = -1;

	if (f == NULL || session_download(r->h, f->name, &data, &len, e) == -1)
		return -1;
	if (check_csum(f, data, len, e) == 0 &&
	    blob_parse(data, len, &info, e) == 0 &&
	    blob_check_crc(&info, e) == 0 &&
	    blob_decode_dup(r->codec, &info, BLOB_RAW_MAX, &raw, &raw_len, e) ==
		0) {
		rv = write_bytes(r, raw, raw_len, e);
		free(raw);
	}
	free(data);
	return rv;
}

static int
restore_manifest(struct restore *r, struct err *e)
{
	char *text;
	size_t len;
	int rv;

	if (manifest_to_json(r->manifest, &text, &len, e) == -1)
		return -1;
	rv = write_bytes(r, text, len, e);
	free(text);
	return rv;
}

static int
check_index(const struct index_view *v, const struct manifest_file *f,
    struct err *e)
{
	struct digest csum;

	if (index_csum(v, &csum, e) == -1)
		return -1;
	if (v->kind != INDEX_FIXED || v->size != f->size ||
	    !digest_equal(&csum, &f->csum))
		return err_set(e, ERR_CORRUPT,
		    "'%s' does not match the manifest", f->name);
	return 0;
}

static int
restore_chunks(struct restore *r, const struct index_view *v, const char *name,
    struct err *e)
{
	struct progress bar;
	struct target out;
	int rv;

	if (target_open(&out, r->path, v->size, r->o->overwrite, e) == -1)
		return -1;
	progress_start(&bar, name, v->size, !r->o->no_progress);
	rv = download_image(r->h, v, &out, &bar, e);
	if (rv == 0)
		progress_end(&bar, v->size, NULL);
	else
		progress_break(&bar);
	if (target_close(&out, rv == -1, e) == -1)
		rv = -1;
	return rv;
}

static int
restore_image(struct restore *r, const char *name, struct err *e)
{
	const struct manifest_file *f = find_file(r, e);
	struct index_view v;
	uint8_t *data;
	size_t len;
	int rv = -1;

	if (f == NULL || session_download(r->h, f->name, &data, &len, e) == -1)
		return -1;
	if (index_open_map(&v, data, len, e) == -1)
		err_wrap(e, "'%s'", f->name);
	else if (check_index(&v, f, e) == 0)
		rv = restore_chunks(r, &v, name, e);
	free(data);
	return rv;
}

static int
restore(struct restore *r, const char *name, struct err *e)
{
	if (fetch_manifest(r, e) == -1)
		return -1;
	switch (r->kind) {
	case ARCHIVE_FIXED:
		return restore_image(r, name, e);
	case ARCHIVE_BLOB:
		return strcmp(r->archive, MANIFEST_NAME) == 0
		    ? restore_manifest(r, e)
		    : restore_file(r, e);
	case ARCHIVE_DYNAMIC:
		break;
	}
	return err_set(e, ERR_UNSUPPORTED, "'%s' cannot be restored", name);
}

int
client_restore(void *values, int nargs, char **args, struct err *e)
{
	struct restore r = {.o = values, .path = args[2]};
	int rv = -1;

	(void)nargs;
	if (spec_archive(args[1], r.archive, &r.kind, e) == -1)
		return -1;
	r.remote = remote_open(r.o, e);
	if (r.remote == NULL)
		return -1;
	if (listing_snapshot(r.remote, r.o->ns, args[0], &r.snapshot, e) == -1)
		goto out;
	r.h = session_reader(r.remote, r.o->ns, &r.snapshot, e);
	if (r.h == NULL)
		goto out;
	r.codec = blob_codec_new();
	rv = restore(&r, args[1], e);
out:
	h2_free(r.h);
	remote_close(r.remote);
	manifest_free(r.manifest);
	blob_codec_free(r.codec);
	return rv;
}
