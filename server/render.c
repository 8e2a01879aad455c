/*
 * Listings of stores, namespaces, groups and snapshots as JSON.  Runs in a
 * worker: the records are the validator's, but names, notes and manifests
 * inside were once a client's bytes.
 */
#include "config.h"

#include "server/render.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/blob.h"
#include "common/format/manifest.h"
#include "common/format/snapshot.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/records.h"
#include "common/wire.h"
#include "server/render_int.h"

const char *
render_type(uint8_t type)
{
	return type < BACKUP_TYPE_COUNT ? backup_type_str(type) : "?";
}

struct json *
render_damaged(struct json *partial, struct err *e)
{
	json_free(&partial);
	err_set(e, ERR_PROTO, "damaged records");
	return NULL;
}

int
render_each(const uint8_t *recs, size_t len, render_fn *fn, void *arg)
{
	enum record_kind kind;
	struct wire_r all, body;
	int r;

	wire_r_init(&all, recs, len);
	while ((r = record_next(&all, &kind, &body)) == 1) {
		if (fn(arg, kind, &body) == -1 || wire_r_end(&body) == -1)
			return -1;
	}
	return r;
}

static void
set_str_if(struct json *obj, const char *key, const char *value)
{
	if (value != NULL && *value != '\0')
		json_set_str(obj, key, value);
}

/* --- stores and namespaces ----------------------------------------------- */

static int
add_store(void *arg, enum record_kind kind, struct wire_r *body)
{
	struct rec_STORE s;
	struct json *o;

	if (kind != RECORD_STORE || rec_get_STORE(body, &s) == -1)
		return -1;
	o = json_new_object();
	json_set_str(o, "store", s.name);
	if (s.comment[0] != '\0')
		json_set_str(o, "comment", s.comment);
	else
		json_set_null(o, "comment");
	set_str_if(o, "maintenance", s.maintenance);
	json_append(arg, o);
	return 0;
}

struct json *
render_stores(const uint8_t *recs, size_t len, struct err *e)
{
	struct json *list = json_new_array();

	return render_each(recs, len, add_store, list) == 0
	    ? list
	    : render_damaged(list, e);
}

/* What clients expect of the last collection, also before the first. */
struct json *
render_gc_status(const char *text, size_t len, struct err *e)
{
	static const char *const members[] = {"index-file-count",
	    "index-data-bytes", "disk-bytes", "disk-chunks", "removed-bytes",
	    "removed-chunks", "pending-bytes", "pending-chunks", "removed-bad",
	    "still-bad"};
	struct json *o = json_new_object();
	size_t i;

	if (len > 0) {
		json_free(&o);
		o = json_parse(text, len, JSON_DEPTH_DEFAULT, e);
		if (o != NULL && json_type(o) != JSON_OBJECT)
			return render_damaged(o, e);
	}
	for (i = 0; o != NULL && i < sizeof(members) / sizeof(members[0]);
	     i++) {
		if (json_get(o, members[i]) == NULL)
			json_set_u64(o, members[i], 0);
	}
	return o;
}

struct store_status {
	struct json *counts;
	struct json *gc; /* NULL: not seen yet */
};

static int
add_count(struct store_status *s, struct wire_r *body)
{
	struct rec_COUNT c;
	struct json *o;

	if (rec_get_COUNT(body, &c) == -1 || c.type >= BACKUP_TYPE_COUNT)
		return -1;
	if (c.groups == 0)
		return 0;
	o = json_new_object();
	json_set_u64(o, "groups", c.groups);
	json_set_u64(o, "snapshots", c.snapshots);
	json_set(s->counts, render_type(c.type), o);
	return 0;
}

static int
add_status_record(void *arg, enum record_kind kind, struct wire_r *body)
{
	struct store_status *s = arg;
	struct rec_LINE line;

	if (kind == RECORD_COUNT)
		return add_count(s, body);
	if (kind != RECORD_LINE || s->gc != NULL ||
	    rec_get_LINE(body, &line) == -1)
		return -1;
	s->gc = render_gc_status((const char *)line.text, line.text_len, NULL);
	return s->gc != NULL ? 0 : -1;
}

struct json *
render_status(const uint8_t *recs, size_t len, struct err *e)
{
	struct store_status s = {json_new_object(), NULL};
	struct json *o = json_new_object();
	unsigned int type;

	for (type = 0; type < BACKUP_TYPE_COUNT; type++)
		json_set_null(s.counts, render_type((uint8_t)type));
	json_set_null(s.counts, "other");
	json_set(o, "counts", s.counts);
	if (render_each(recs, len, add_status_record, &s) == -1) {
		json_free(&s.gc);
		return render_damaged(o, e);
	}
	if (s.gc == NULL) /* a caller without rights on the store itself */
		s.gc = render_gc_status("", 0, e);
	json_set(o, "gc-status", s.gc);
	return o;
}

static int
add_namespace(void *arg, enum record_kind kind, struct wire_r *body)
{
	struct rec_NS ns;
	struct json *o;

	if (kind != RECORD_NS || rec_get_NS(body, &ns) == -1)
		return -1;
	o = json_new_object();
	json_set_str(o, "ns", ns.ns);
	json_append(arg, o);
	return 0;
}

struct json *
render_namespaces(const uint8_t *recs, size_t len, struct err *e)
{
	struct json *list = json_new_array();

	return render_each(recs, len, add_namespace, list) == 0
	    ? list
	    : render_damaged(list, e);
}

/* --- groups -------------------------------------------------------------- */

struct group_list {
	struct json *list;
	struct json *files; /* of the last one, its own */
};

static int
add_group(struct group_list *l, struct wire_r *body)
{
	struct rec_GROUP g;
	struct json *o;

	if (rec_get_GROUP(body, &g) == -1)
		return -1;
	o = json_new_object();
	l->files = json_new_array();
	json_set_str(o, "backup-type", render_type(g.type));
	json_set_str(o, "backup-id", g.id);
	json_set_i64(o, "last-backup", g.last_backup);
	json_set_u64(o, "backup-count", g.count);
	set_str_if(o, "owner", g.owner);
	set_str_if(o, "comment", g.comment);
	json_set(o, "files", l->files);
	json_append(l->list, o);
	return 0;
}

static int
add_group_record(void *arg, enum record_kind kind, struct wire_r *body)
{
	struct group_list *l = arg;
	struct rec_FILE f;

	if (kind == RECORD_GROUP)
		return add_group(l, body);
	if (kind != RECORD_FILE || l->files == NULL ||
	    rec_get_FILE(body, &f) == -1)
		return -1;
	json_append(l->files, json_new_str(f.name));
	return 0;
}

struct json *
render_groups(const uint8_t *recs, size_t len, struct err *e)
{
	struct group_list l = {.list = json_new_array()};

	return render_each(recs, len, add_group_record, &l) == 0
	    ? l.list
	    : render_damaged(l.list, e);
}

/* --- snapshots ----------------------------------------------------------- */

/*
 * Files of a snapshot: what the manifest lists, the manifest itself, then
 * what else is on disk (wire-protocol 3.4).
 */
struct snap_list {
	struct json *list;
	struct blob_codec *codec;
	/* The last one: */
	struct json *snap;
	struct json *files;
	struct manifest *manifest; /* NULL: unfinished or unreadable */
	struct err why;            /* it is unreadable */
};

static struct json *
file_object(const char *name)
{
	struct json *o = json_new_object();

	json_set_str(o, "filename", name);
	return o;
}

static void
add_manifest_files(struct snap_list *l, size_t manifest_len)
{
	const struct manifest_file *f;
	struct json *o;
	uint64_t sum = manifest_len;
	size_t i;

	for (i = 0; i < manifest_file_count(l->manifest); i++) {
		f = manifest_get_file(l->manifest, i);
		o = file_object(f->name);
		json_set_str(o, "crypt-mode", crypt_mode_str(f->crypt_mode));
		json_set_u64(o, "size", f->size);
		json_append(l->files, o);
		/* A client may claim any size: the sum must stay a number
		 * that other programs can read. */
		sum = f->size > INT64_MAX - sum ? INT64_MAX : sum + f->size;
	}
	o = file_object(MANIFEST_NAME);
	json_set_str(o, "crypt-mode",
	    manifest_is_signed(l->manifest) ? "sign-only" : "none");
	json_set_u64(o, "size", manifest_len);
	json_append(l->files, o);
	json_set_u64(l->snap, "size", sum);
}

static void
add_manifest_members(struct snap_list *l)
{
	const struct manifest_verify *v = manifest_verify_state(l->manifest);
	const char *notes = manifest_notes(l->manifest);
	struct json *o;
	char *line;

	if (notes != NULL && *notes != '\0') {
		line = xstrdup(notes);
		line[strcspn(line, "\n")] = '\0';
		json_set_str(l->snap, "comment", line);
		free(line);
	}
	set_str_if(l->snap, "fingerprint",
	    manifest_key_fingerprint(l->manifest));
	if (v->state == VERIFY_STATE_NONE)
		return;
	o = json_new_object();
	json_set_str(o, "state", verify_state_str(v->state));
	json_set_str(o, "upid", v->upid);
	json_set(l->snap, "verification", o);
}

static int
add_snap(struct snap_list *l, struct wire_r *body)
{
	struct rec_SNAP s;

	if (rec_get_SNAP(body, &s) == -1)
		return -1;
	manifest_free(l->manifest);
	l->manifest = NULL;
	l->snap = json_new_object();
	l->files = json_new_array();
	json_set_str(l->snap, "backup-type", render_type(s.type));
	json_set_str(l->snap, "backup-id", s.id);
	json_set_i64(l->snap, "backup-time", s.time);
	json_set_bool(l->snap, "protected", s.protected);
	set_str_if(l->snap, "owner", s.owner);
	json_set(l->snap, "files", l->files);
	json_append(l->list, l->snap);
	if (s.manifest_len == 0)
		return 0;
	if (manifest_from_blob(l->codec, s.manifest, s.manifest_len,
		&l->manifest, &l->why) == 0) {
		add_manifest_files(l, s.manifest_len);
		add_manifest_members(l);
	} else if (l->why.code == ERR_NOMEM) {
		/* That does not make it an unfinished one. */
		return -1;
	}
	return 0;
}

static int
add_snap_record(void *arg, enum record_kind kind, struct wire_r *body)
{
	struct snap_list *l = arg;
	struct rec_FILE f;

	if (kind == RECORD_SNAP)
		return add_snap(l, body);
	if (kind != RECORD_FILE || l->files == NULL ||
	    rec_get_FILE(body, &f) == -1)
		return -1;
	if (l->manifest == NULL ||
	    (strcmp(f.name, MANIFEST_NAME) != 0 &&
		manifest_find_file(l->manifest, f.name) == NULL))
		json_append(l->files, file_object(f.name));
	return 0;
}

static int
snap_list_read(struct snap_list *l, const uint8_t *recs, size_t len,
    struct err *e)
{
	memset(l, 0, sizeof(*l));
	l->list = json_new_array();
	l->codec = blob_codec_new();
	if (render_each(recs, len, add_snap_record, l) == 0)
		return 0;
	if (l->why.code == ERR_NOMEM)
		return err_set(e, ERR_NOMEM, "%s", l->why.msg);
	render_damaged(NULL, e);
	return -1;
}

static void
snap_list_fini(struct snap_list *l)
{
	manifest_free(l->manifest);
	blob_codec_free(l->codec);
	json_free(&l->list);
}

struct json *
render_snapshots(const uint8_t *recs, size_t len, struct err *e)
{
	struct snap_list l;
	struct json *list = NULL;

	if (snap_list_read(&l, recs, len, e) == 0) {
		list = l.list;
		l.list = NULL;
	}
	snap_list_fini(&l);
	return list;
}

/* The one snapshot, finished. */
static int
snap_read_one(struct snap_list *l, const uint8_t *recs, size_t len,
    struct err *e)
{
	if (snap_list_read(l, recs, len, e) == -1)
		return -1;
	if (l->manifest != NULL && json_len(l->list) == 1)
		return 0;
	return err_set(e, ERR_NOT_FOUND, "unable to load blob \"%s\"",
	    MANIFEST_NAME);
}

struct json *
render_files(const uint8_t *recs, size_t len, struct err *e)
{
	struct snap_list l;
	struct json *files = NULL;

	if (snap_read_one(&l, recs, len, e) == 0)
		files = json_dup(l.files);
	snap_list_fini(&l);
	return files;
}

struct json *
render_notes(const uint8_t *recs, size_t len, struct err *e)
{
	struct snap_list l;
	struct json *notes = NULL;
	const char *text;

	if (snap_read_one(&l, recs, len, e) == 0) {
		text = manifest_notes(l.manifest);
		notes = json_new_str(text != NULL ? text : "");
	}
	snap_list_fini(&l);
	return notes;
}

/* --- prune --------------------------------------------------------------- */

struct prune_list {
	struct json *list;
	int with_ns;
};

static int
add_prune(void *arg, enum record_kind kind, struct wire_r *body)
{
	struct prune_list *l = arg;
	struct rec_PRUNE p;
	struct json *o;

	if (kind != RECORD_PRUNE || rec_get_PRUNE(body, &p) == -1)
		return -1;
	o = json_new_object();
	json_set_str(o, "backup-type", render_type(p.type));
	json_set_str(o, "backup-id", p.id);
	json_set_i64(o, "backup-time", p.time);
	json_set_bool(o, "keep", p.keep);
	json_set_bool(o, "protected", p.protected);
	if (l->with_ns)
		set_str_if(o, "ns", p.ns);
	json_append(l->list, o);
	return 0;
}

struct json *
render_prune(const uint8_t *recs, size_t len, int with_ns, struct err *e)
{
	struct prune_list l = {json_new_array(), with_ns};

	return render_each(recs, len, add_prune, &l) == 0
	    ? l.list
	    : render_damaged(l.list, e);
}
