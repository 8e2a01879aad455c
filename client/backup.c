/*
 * holdfast backup.  One session; archives one after the other, each as fast
 * as reading, hashing, compressing and sending go side by side.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/client.h"
#include "client/h2.h"
#include "client/known.h"
#include "client/progress.h"
#include "client/remote.h"
#include "client/session.h"
#include "client/source.h"
#include "client/spec.h"
#include "client/upload.h"
#include "common/err.h"
#include "common/format/blob.h"
#include "common/format/fixed_index.h"
#include "common/format/manifest.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/table.h"

#define BLOB_FILE_MAX (16u << 20)

struct backup {
	const struct client_opts *o;
	struct backup_snapshot snapshot;
	struct spec *specs;
	struct source *sources; /* of images; fd -1 for the others */
	size_t n;
	struct remote *remote;
	struct h2 *h;
	struct known *known;
	struct blob_codec *codec;
	struct digest_ctx *hash;
	int64_t previous_time;
	struct manifest *previous; /* NULL: none, or not usable */
	struct manifest *manifest;
	struct upload_stats stats;
	uint64_t started_ms;
};

static int
refuse_encryption(const struct client_opts *o, struct err *e)
{
	if (o->keyfile != NULL ||
	    (o->crypt_mode != NULL && strcmp(o->crypt_mode, "none") != 0))
		return err_set(e, ERR_UNSUPPORTED,
		    "encryption is not supported yet: leave --keyfile out, or "
		    "say --crypt-mode none");
	return 0;
}

/* Everything that can be wrong on this side, before the server hears of it. */
static int
prepare(struct backup *b, int nargs, char **args, struct err *e)
{
	size_t i;

	b->specs = xcalloc((size_t)nargs, sizeof(*b->specs));
	b->sources = xcalloc((size_t)nargs, sizeof(*b->sources));
	for (b->n = 0; b->n < (size_t)nargs; b->n++)
		b->sources[b->n].fd = -1;
	for (i = 0; i < b->n; i++) {
		if (spec_parse(&b->specs[i], args[i], e) == -1)
			return -1;
		if (b->specs[i].kind == ARCHIVE_FIXED &&
		    source_open(&b->sources[i], b->specs[i].path, e) == -1)
			return -1;
		if (access(b->specs[i].path, R_OK) == -1)
			return err_set(e, ERR_NOT_FOUND, "cannot read %s",
			    b->specs[i].path);
	}
	if (spec_check_unique(b->specs, b->n, e) == -1)
		return -1;
	return spec_snapshot(b->o, &b->snapshot, e);
}

/* Whatever is wrong with the previous backup only makes this one full. */
static void
go_on_without(const char *what, const struct err *why)
{
	fprintf(stderr, "holdfast: cannot use %s of the previous backup: %s\n",
	    what, why->msg);
}

static int
fetch_previous(struct backup *b, struct err *e)
{
	uint8_t *data = NULL;
	size_t len = 0;
	struct err why;

	if (session_previous_time(b->h, &b->previous_time, e) == -1)
		return -1;
	if (b->previous_time == 0)
		return 0;
	if (session_previous(b->h, MANIFEST_NAME, &data, &len, &why) == -1 ||
	    manifest_from_blob(b->codec, data, len, &b->previous, &why) == -1)
		go_on_without("the manifest", &why);
	free(data);
	return 0;
}

/* Checks an index against the manifest and adds its chunks. */
static int
learn_index(struct backup *b, const struct manifest_file *f,
    const uint8_t *data, size_t len, struct err *e)
{
	struct index_view v;
	struct digest csum;

	if (index_open_map(&v, data, len, e) == -1 ||
	    index_csum(&v, &csum, e) == -1)
		return -1;
	if (v.kind != INDEX_FIXED || !f->has_csum ||
	    !digest_equal(&csum, &f->csum))
		return err_set(e, ERR_CORRUPT,
		    "it does not match its manifest");
	/* Digests stand side by side behind the header. */
	return known_add_base(b->known,
	    (const struct digest *)(data + INDEX_HEADER_LEN), v.count, e);
}

static void
learn_previous(struct backup *b, const struct spec *spec)
{
	const struct manifest_file *f = b->previous == NULL
	    ? NULL
	    : manifest_find_file(b->previous, spec->archive);
	uint8_t *data = NULL;
	size_t len = 0;
	struct err why;

	if (f == NULL || f->crypt_mode == CRYPT_MODE_ENCRYPT)
		return;
	if (session_previous(b->h, spec->archive, &data, &len, &why) == -1 ||
	    learn_index(b, f, data, len, &why) == -1)
		go_on_without(spec->name, &why);
	free(data);
}

static int
backup_image(struct backup *b, size_t i, struct err *e)
{
	const struct spec *spec = &b->specs[i];
	const struct source *src = &b->sources[i];
	struct progress bar;
	struct digest csum;
	uint64_t wid;

	learn_previous(b, spec);
	if (session_fixed_create(b->h, spec->archive, src->size, &wid, e) == -1)
		return -1;
	progress_start(&bar, spec->name, src->size, !b->o->no_progress);
	if (upload_image(b->h, b->known, wid, src, &bar, &b->stats, &csum, e) ==
	    -1) {
		progress_break(&bar);
		return -1;
	}
	progress_end(&bar, src->size, NULL);
	if (session_fixed_close(b->h, wid,
		fixed_index_count(src->size, FIXED_INDEX_CHUNK_SIZE), src->size,
		&csum, e) == -1)
		return -1;
	return manifest_add_file(b->manifest, spec->archive, CRYPT_MODE_NONE,
	    src->size, &csum, e);
}

static int
send_blob(struct backup *b, const struct spec *spec, const char *raw,
    size_t len, struct err *e)
{
	size_t cap = blob_encode_bound(len), encoded_len;
	uint8_t *encoded = xmalloc(cap);
	struct digest csum;
	int rv;

	rv = blob_encode(b->codec, raw, len, true, encoded, cap, &encoded_len,
	    e);
	if (rv == 0)
		rv = session_blob(b->h, spec->archive, encoded, encoded_len, e);
	if (rv == 0) {
		digest_of(b->hash, encoded, encoded_len, &csum);
		rv = manifest_add_file(b->manifest, spec->archive,
		    CRYPT_MODE_NONE, encoded_len, &csum, e);
	}
	free(encoded);
	return rv;
}

static int
backup_file(struct backup *b, const struct spec *spec, struct err *e)
{
	char *path, *raw;
	size_t len;
	int rv;

	/* Links are followed: the user named the file. */
	path = realpath(spec->path, NULL);
	if (path == NULL)
		return err_errno(e, errno, "cannot read %s", spec->path);
	rv = io_read_file(AT_FDCWD, path, BLOB_FILE_MAX, &raw, &len, e);
	free(path);
	if (rv == -1)
		return err_wrap(e, "%s", spec->path);
	rv = send_blob(b, spec, raw, len, e);
	free(raw);
	return rv;
}

static int
send_manifest(struct backup *b, struct err *e)
{
	uint8_t *data;
	size_t len;
	int rv;

	if (manifest_to_blob(b->manifest, b->codec, &data, &len, e) == -1)
		return -1;
	rv = session_blob(b->h, MANIFEST_NAME, data, len, e);
	free(data);
	return rv;
}

static int
transfer(struct backup *b, struct err *e)
{
	size_t i;
	int rv = fetch_previous(b, e);

	for (i = 0; i < b->n && rv == 0; i++)
		rv = b->specs[i].kind == ARCHIVE_FIXED
		    ? backup_image(b, i, e)
		    : backup_file(b, &b->specs[i], e);
	if (rv == 0)
		rv = send_manifest(b, e);
	return rv == 0 ? session_finish(b->h, e) : -1;
}

static const struct table_col result_cols[] = {
    {"snapshot", "snapshot", TABLE_STR},
    {"bytes", "image bytes", TABLE_SIZE},
    {"chunks", "chunks", TABLE_INT},
    {"chunks-uploaded", "  sent", TABLE_INT},
    {"chunks-reused", "  reused", TABLE_INT},
    {"chunks-zero", "  of zeros", TABLE_INT},
    {"bytes-uploaded", "bytes sent", TABLE_SIZE},
    {"seconds", "seconds", TABLE_INT},
    {NULL, NULL, TABLE_STR},
};

static void
report(const struct backup *b)
{
	char name[SNAPSHOT_STR_MAX + 1];
	struct json *r = json_new_object();

	snapshot_to_str(&b->snapshot, name);
	json_set_str(r, "snapshot", name);
	json_set_str(r, "backup-type", backup_type_str(b->snapshot.group.type));
	json_set_str(r, "backup-id", b->snapshot.group.id);
	json_set_i64(r, "backup-time", b->snapshot.time);
	if (b->previous_time != 0)
		json_set_i64(r, "previous-time", b->previous_time);
	json_set_u64(r, "bytes", b->stats.bytes);
	json_set_u64(r, "chunks", b->stats.chunks);
	json_set_u64(r, "chunks-uploaded", b->stats.uploaded);
	json_set_u64(r, "chunks-reused", b->stats.reused);
	json_set_u64(r, "chunks-zero", b->stats.zero);
	json_set_u64(r, "bytes-uploaded", b->stats.uploaded_bytes);
	json_set(r, "seconds",
	    json_new_double(
		(double)(io_monotonic_ms() - b->started_ms) / 1000));
	table_print_object(stdout, (enum output_format)b->o->output_format,
	    result_cols, r);
	json_free(&r);
}

static void
backup_fini(struct backup *b)
{
	size_t i;

	h2_free(b->h);
	remote_close(b->remote);
	manifest_free(b->previous);
	manifest_free(b->manifest);
	known_free(b->known);
	blob_codec_free(b->codec);
	digest_ctx_free(b->hash);
	for (i = 0; i < b->n; i++)
		source_close(&b->sources[i]);
	free(b->sources);
	free(b->specs);
}

int
client_backup(void *values, int nargs, char **args, struct err *e)
{
	struct backup b = {.o = values, .started_ms = io_monotonic_ms()};
	int rv = -1;

	if (refuse_encryption(b.o, e) == -1 ||
	    prepare(&b, nargs, args, e) == -1)
		goto out;
	b.remote = remote_open(b.o, e);
	if (b.remote == NULL)
		goto out;
	b.h = session_backup(b.remote, b.o->ns, &b.snapshot, e);
	if (b.h == NULL)
		goto out;
	b.known = known_new();
	b.codec = blob_codec_new();
	b.hash = digest_ctx_new();
	b.manifest = manifest_new(&b.snapshot);
	rv = transfer(&b, e);
	if (rv == 0)
		report(&b);
	else
		err_wrap(e, "the backup failed");
out:
	backup_fini(&b);
	return rv;
}
