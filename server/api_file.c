/*
 * Files of a snapshot without a client (wire-protocol 3.4): a stored file, an
 * archive decoded, a folder of the catalog, a file or folder out of an
 * archive.  Runs in a worker, each call in a coroutine (server/file_job.h).
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/catalog.h"
#include "common/format/manifest.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/sbuf.h"
#include "common/str.h"
#include "server/api_int.h"
#include "server/file_job.h"
#include "server/file_tree.h"

#define CATALOG_NAME "catalog.pcat1.didx"
#define TYPE_JSON "application/json;charset=UTF-8"
#define TYPE_TEXT "text/plain;charset=UTF-8"

static const char *
param(const struct file_job *j, const char *name)
{
	return params_str(&file_job_request(j)->params, name, "");
}

/* --- whole files --------------------------------------------------------- */

static int
download(struct file_job *j, struct err *e)
{
	struct file_job_file file;

	if (file_job_open(j, param(j, "file-name"), &file, e) == -1)
		return -1;
	file_job_send_fd(j, file.fd, file.size);
	return 0;
}

void
api_download(struct request *req)
{
	file_job_start(req, download);
}

/* Whether it is one of the snapshot's files and can be read without a key. */
static int
check_readable(struct file_job *j, const char *name, struct err *e)
{
	const struct manifest_file *file;
	struct manifest *m;
	int rv = 0;

	if (file_manifest_read(j, &m, e) == -1)
		return -1;
	file = manifest_find_file(m, name);
	if (file == NULL)
		rv = err_set(e, ERR_INVALID,
		    "manifest does not contain file '%s'", name);
	else if (file->crypt_mode == CRYPT_MODE_ENCRYPT)
		rv = err_set(e, ERR_INVALID,
		    "cannot decode '%s' - is encrypted", name);
	manifest_free(m);
	return rv;
}

static int
send_archive(struct file_job *j, const char *name, struct err *e)
{
	struct file_archive a = {0};
	int rv = -1;

	if (check_readable(j, name, e) == 0 &&
	    file_archive_open(&a, j, name, e) == 0) {
		file_job_set_len(j, file_archive_size(&a));
		rv = file_archive_copy(&a, 0, file_archive_size(&a),
		    file_job_write, j, e);
	}
	file_archive_fini(&a);
	return rv;
}

/* The manifest and the log stand in no manifest. */
static int
send_blob(struct file_job *j, const char *name, struct err *e)
{
	uint8_t *data;
	size_t len;
	int rv;

	if (strcmp(name, MANIFEST_NAME) != 0 &&
	    strcmp(name, CLIENT_LOG_NAME) != 0 &&
	    check_readable(j, name, e) == -1)
		return -1;
	if (file_blob_read(j, name, &data, &len, e) == -1)
		return -1;
	if (strcmp(name, CLIENT_LOG_NAME) == 0)
		file_job_set_type(j, TYPE_TEXT);
	file_job_set_len(j, len);
	rv = file_job_write(j, data, len, e);
	free(data);
	return rv;
}

static int
download_decoded(struct file_job *j, struct err *e)
{
	const char *name = param(j, "file-name");
	enum archive_kind kind;

	if (archive_name_parse(name, &kind, NULL) == -1)
		return err_set(e, ERR_INVALID,
		    "unknown archive type: \"%.100s\"", name);
	return kind == ARCHIVE_BLOB ? send_blob(j, name, e)
				    : send_archive(j, name, e);
}

void
api_download_decoded(struct request *req)
{
	file_job_start(req, download_decoded);
}

/* --- the catalog --------------------------------------------------------- */

/* The block of the folder that a path leads to. */
static int
catalog_find(struct file_archive *a, const struct file_path *path,
    struct catalog_entry *entry, uint64_t *pos_out, struct err *e)
{
	uint64_t len = file_archive_size(a), pos;
	struct catalog_dir *dir;
	size_t i;
	int rv;

	if (catalog_root(file_archive_read_at, a, len, &pos, e) == -1)
		return -1;
	for (i = 0; i < path->count; i++) {
		if (catalog_dir_open(file_archive_read_at, a, len, pos, &dir,
			e) == -1)
			return -1;
		while ((rv = catalog_dir_next(dir, entry, e)) == 1) {
			if (strcmp(entry->name, path->component[i]) == 0)
				break;
		}
		catalog_dir_close(dir);
		if (rv == -1)
			return -1;
		if (rv == 0 || entry->type != CATALOG_DIR)
			return err_set(e, ERR_NOT_FOUND,
			    "no such directory in the catalog");
		pos = entry->dir_pos;
	}
	*pos_out = pos;
	return 0;
}

/* An element of the answer; base: path of the folder, with a slash. */
static char *
catalog_element(const char *base, const struct catalog_entry *entry)
{
	char *path = xasprintf("%s%s", base, entry->name), *text;
	char *base64 = str_base64_encode(path, strlen(path), 0);
	const char type[2] = {(char)entry->type, '\0'};
	struct json *o = json_new_object();

	json_set_str(o, "filepath", base64);
	json_set_str(o, "text", entry->name);
	json_set_str(o, "type", type);
	json_set_bool(o, "leaf", entry->type != CATALOG_DIR);
	if (entry->type == CATALOG_FILE) {
		json_set_u64(o, "size", entry->size);
		json_set_i64(o, "mtime", entry->mtime);
	}
	text = json_compact(o, NULL);
	json_free(&o);
	free(base64);
	free(path);
	return text;
}

/* Element by element, since a folder may be larger than our memory. */
static int
catalog_send(struct file_job *j, struct file_archive *a, const char *base,
    struct catalog_entry *entry, uint64_t pos, struct err *e)
{
	struct catalog_dir *dir;
	const char *between = "{\"data\":[";
	char *text;
	int rv;

	if (catalog_dir_open(file_archive_read_at, a, file_archive_size(a), pos,
		&dir, e) == -1)
		return -1;
	file_job_set_type(j, TYPE_JSON);
	while ((rv = catalog_dir_next(dir, entry, e)) == 1) {
		text = catalog_element(base, entry);
		rv = file_job_write(j, between, strlen(between), e);
		if (rv == 0)
			rv = file_job_write(j, text, strlen(text), e);
		free(text);
		between = ",";
		if (rv == -1)
			break;
	}
	catalog_dir_close(dir);
	if (rv == -1)
		return -1;
	if (between[0] != ',' &&
	    file_job_write(j, between, strlen(between), e) == -1)
		return -1;
	return file_job_write(j, "]}", 2, e);
}

static char *
path_text(const struct file_path *path)
{
	struct sbuf b;
	size_t i;

	sbuf_init(&b, 2 * FILE_PATH_MAX);
	sbuf_add_char(&b, '/');
	for (i = 0; i < path->count; i++) {
		sbuf_add_str(&b, path->component[i]);
		sbuf_add_char(&b, '/');
	}
	return sbuf_take(&b, NULL);
}

/* The root has two names that are no base64. */
static int
parse_catalog_path(struct file_path *path, const char *text, struct err *e)
{
	if (strcmp(text, "root") == 0 || strcmp(text, "/") == 0) {
		path->count = 0;
		return 0;
	}
	return file_path_parse(path, text, e);
}

static int
catalog(struct file_job *j, struct err *e)
{
	struct file_path *path = xcalloc(1, sizeof(*path));
	struct catalog_entry *entry = xcalloc(1, sizeof(*entry));
	struct file_archive a = {0};
	char *base = NULL;
	uint64_t pos = 0;
	int rv = -1;

	if (parse_catalog_path(path, param(j, "filepath"), e) == -1 ||
	    check_readable(j, CATALOG_NAME, e) == -1 ||
	    file_archive_open(&a, j, CATALOG_NAME, e) == -1 ||
	    catalog_find(&a, path, entry, &pos, e) == -1)
		goto out;
	base = path_text(path);
	rv = catalog_send(j, &a, base, entry, pos, e);
out:
	file_archive_fini(&a);
	free(base);
	free(entry);
	free(path);
	return rv;
}

void
api_catalog(struct request *req)
{
	file_job_start(req, catalog);
}

/* --- out of an archive --------------------------------------------------- */

/* A folder: zip, or tar in zstd. */
static int
send_folder(struct file_job *j, struct file_tree *t,
    const struct file_place *place, const char *name, struct err *e)
{
	bool tar = params_bool(&file_job_request(j)->params, "tar", 0);
	const struct pack_ops *ops = tar ? &pack_tar_ops : &pack_zip_ops;
	struct pack_zstd *z = NULL;
	struct pack *pack;
	int rv;

	if (tar)
		z = pack_zstd_new(file_job_write, j);
	pack =
	    tar ? ops->new (pack_zstd_write, z) : ops->new (file_job_write, j);
	rv = file_tree_pack(t, place, name, ops, pack, e);
	if (rv == 0 && tar)
		rv = pack_zstd_finish(z, e);
	ops->free(pack);
	pack_zstd_free(z);
	return rv;
}

static int
send_place(struct file_job *j, struct file_tree *t,
    const struct file_path *path, const struct file_place *place, struct err *e)
{
	const char *name =
	    path->count > 0 ? path->component[path->count - 1] : "";

	if (place->entry.type == PXAR_DIR)
		return send_folder(j, t, place, name, e);
	if (place->entry.type != PXAR_FILE)
		return err_set(e, ERR_INVALID,
		    "only files and directories can be downloaded");
	file_job_set_len(j, place->entry.size);
	return file_tree_copy(t, &place->entry, file_job_write, j, e);
}

static int
pxar_download(struct file_job *j, struct err *e)
{
	struct file_path *path = xcalloc(1, sizeof(*path));
	struct file_place *place = xcalloc(1, sizeof(*place));
	struct file_tree t = {0};
	const char *name = param(j, "archive-name");
	int rv = -1;

	if (file_path_parse(path, param(j, "filepath"), e) == -1)
		goto out;
	if (name[0] == '\0') {
		if (path->count == 0) {
			err_set(e, ERR_PARAM, "path names no archive");
			goto out;
		}
		name = path->component[0];
		file_path_shift(path);
	}
	if (check_readable(j, name, e) == -1 ||
	    file_tree_open(&t, j, name, e) == -1 ||
	    file_tree_find(&t, path, place, e) == -1)
		goto out;
	rv = send_place(j, &t, path, place, e);
out:
	file_tree_fini(&t);
	free(place);
	free(path);
	return rv;
}

void
api_pxar_download(struct request *req)
{
	file_job_start(req, pxar_download);
}
