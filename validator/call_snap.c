/*
 * Calls on snapshots.  Runs in the store's threads, under the snapshot's lock
 * where something changes.  Names and rights were checked by call.c; manifests
 * and logs are a client's bytes, which only checkers and workers parse.
 */
#include "config.h"

#include "validator/call_int.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/arena.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/format/blob.h"
#include "validator/checker.h"
#include "validator/forget.h"
#include "validator/manifest_edit.h"
#include "validator/store/group.h"
#include "validator/store/listing.h"
#include "validator/store/snapshot.h"
#include "validator/validator.h"

/* --- SNAP_LIST (wire-protocol 3.4, 6.4) --- */

static bool
owner_visible(void *ctx, const char *owner)
{
	struct call *c = ctx;

	return (c->privs & PRIV_DATASTORE_AUDIT) != 0 || call_owns(c, owner);
}

static int
list_rights(struct call *c, struct err *e)
{
	uint32_t privs = PRIV_DATASTORE_AUDIT | PRIV_DATASTORE_BACKUP;

	return (c->privs & privs) != 0 ? 0 : call_denied(c, privs, e);
}

static int
snap_list(struct call *c, struct err *e)
{
	struct listing_filter f = {
	    .has_type = c->m.type < BACKUP_TYPE_COUNT,
	    .type = (enum backup_type)c->m.type,
	    .id = c->m.id[0] != '\0' ? c->m.id : NULL,
	};

	if (!f.has_type && c->m.type != IPC_TYPE_ANY)
		return err_set(e, ERR_PARAM, "not a backup type");
	if (f.id != NULL && !backup_id_valid(f.id))
		return err_set(e, ERR_PARAM, "not a backup id");
	return listing_snapshots(c->vs->store, &c->ns, &f, owner_visible, c,
	    c->records, e);
}

static int
snap_one(struct call *c, struct err *e)
{
	return listing_snapshot(c->vs->store, &c->ns, &c->snap, c->records, e);
}

static int
snap_delete(struct call *c, struct err *e)
{
	char name[SNAPSHOT_STR_MAX + 1];

	if (snap_dir_remove(c->vs->store, &c->ns, &c->snap, e) == 0) {
		c->n[0] = group_dir_is_empty(c->vs->store, &c->ns,
			      &c->snap.group, NULL) == 1;
		return 0;
	}
	if (e->code != ERR_NOT_FOUND)
		return -1;
	snapshot_to_str(&c->snap, name);
	return err_set(e, ERR_NOT_FOUND,
	    "unable to open snapshot directory \"%s\" for locking - ENOENT: No "
	    "such file or directory",
	    name);
}

static int
empty_group_remove(struct call *c, struct err *e)
{
	return group_dir_remove_empty(c->vs->store, &c->ns, &c->snap.group, e);
}

/* The snapshot is gone all the same. */
static void
empty_group_removed(struct call *c)
{
	if (c->rv == -1)
		log_warn_e("call", &c->err, "cannot remove an empty group");
	c->rv = 0;
	call_end(c);
}

/* A group that became empty goes too, unless a backup is on its way. */
static void
snap_deleted(struct call *c)
{
	struct err e;

	if (c->rv == 0)
		forget_verified(c->v, c->vs->conf->title, &c->ns,
		    &c->snap.group, &c->snap.time, 1);
	if (c->rv == -1 || c->n[0] == 0 ||
	    call_lock(c, LOCK_GROUP, &c->ns, &c->snap, "in use", &e) == -1)
		call_end(c);
	else
		call_submit(c, empty_group_remove, empty_group_removed);
}

static void
snap_delete_begin(struct call *c)
{
	call_submit(c, snap_delete, snap_deleted);
}

/* --- protection --- */

static int
protected_get(struct call *c, struct err *e)
{
	bool on;

	if (snap_protected_get(c->vs->store, &c->ns, &c->snap, &on, e) == -1)
		return -1;
	c->n[0] = on;
	return 0;
}

static int
protected_set(struct call *c, struct err *e)
{
	return snap_protected_set(c->vs->store, &c->ns, &c->snap, c->m.n0 != 0,
	    e);
}

/* --- SNAP_NOTES_SET --- */

static void
notes_edited(void *arg, const struct err *why, bool no_manifest)
{
	struct call *c = arg;
	struct err e;

	if (why == NULL) {
		c->rv = 0;
		call_end(c);
		return;
	}
	e = *why;
	if (no_manifest)
		err_set(&e, ERR_NOT_FOUND,
		    "unable to load blob - there is no such snapshot");
	call_fail(c, &e);
}

static void
notes_read(struct call *c)
{
	struct checker_op op = {.op = MANIFEST_OP_NOTES};

	if (c->rv == -1)
		call_end(c);
	else
		manifest_edit_start(c->v->edits, c->vs, &c->ns, &c->snap, &op,
		    c->data, notes_edited, c);
}

static int
notes_data(struct call *c, struct err *e)
{
	if (call_read_data(c, CALL_NOTES_MAX, e) == -1)
		return -1;
	if (memchr(c->data, '\0', c->data_len) != NULL)
		return err_set(e, ERR_PARAM, "notes are not text");
	return 0;
}

static void
notes_begin(struct call *c)
{
	call_submit(c, notes_data, notes_read);
}

/* --- LOG_UPLOAD --- */

struct log_upload {
	struct arena arena; /* a copy that the worker cannot change */
	struct checker *checker;
	const uint8_t *data;
	size_t len;
};

static int
log_store(struct call *c, struct err *e)
{
	struct log_upload *l = c->state;
	int fd, rv;

	fd = snap_dir_open(c->vs->store, &c->ns, &c->snap, e);
	if (fd == -1)
		return -1;
	rv = snap_file_add(c->vs->store, fd, CLIENT_LOG_NAME, l->data, l->len,
	    e);
	close(fd);
	if (rv == -1 && e->code == ERR_EXISTS)
		return err_set(e, ERR_EXISTS, "backup already contains a log.");
	return rv;
}

static void
log_judged(void *arg, const struct checker_verdict *v)
{
	struct call *c = arg;
	struct log_upload *l = c->state;

	l->len = v->out_len;
	l->data = checker_at(l->checker, 0, l->len);
	if (v->err.code != ERR_OK) {
		call_fail(c, &v->err);
	} else if (l->data == NULL) {
		c->rv =
		    err_set(&c->err, ERR_CORRUPT, "checking the log failed");
		call_end(c);
	} else {
		call_submit(c, log_store, call_end);
	}
}

static void
log_was_read(struct call *c)
{
	struct log_upload *l = c->state;
	struct err e;

	if (c->rv == -1) {
		call_end(c);
		return;
	}
	l->checker = checker_take(c->v->checkers, &l->arena, &e);
	if (l->checker == NULL ||
	    checker_blob(l->checker, 0, (uint32_t)c->data_len, log_judged, c,
		&e) == -1)
		call_fail(c, &e);
}

static int
log_read(struct call *c, struct err *e)
{
	struct log_upload *l = c->state;

	if (call_read_data(c, BLOB_ENCODED_MAX, e) == -1)
		return -1;
	if (c->data_len < BLOB_HEADER_LEN)
		return err_set(e, ERR_CORRUPT, "blob too small (%zu bytes).",
		    c->data_len);
	if (arena_create(&l->arena, "log", arena_blocks_for(c->data_len), e) ==
	    -1)
		return -1;
	memcpy(arena_at(&l->arena, 0, c->data_len), c->data, c->data_len);
	return 0;
}

static void
log_begin(struct call *c)
{
	struct log_upload *l = xcalloc(1, sizeof(*l));

	l->arena.fd = -1;
	c->state = l;
	call_submit(c, log_read, log_was_read);
}

static void
log_fini(struct call *c)
{
	struct log_upload *l = c->state;

	if (l == NULL)
		return;
	checker_release(&l->checker);
	arena_fini(&l->arena);
	free(l);
}

#define READ (CALL_F_STORE | CALL_F_SNAP)
#define WRITE (READ | CALL_F_WRITES | CALL_F_LOCK)
#define IN_USE "possibly running or in use"
const struct call_row call_snap_rows[] = {
    {.op = CALL_SNAP_LIST,
	.flags = CALL_F_STORE | CALL_F_RECORDS,
	.rights = list_rights,
	.run = snap_list},
    {.op = CALL_SNAP_FILES, .flags = READ | CALL_F_RECORDS, .run = snap_one},
    {.op = CALL_SNAP_DELETE,
	.flags = WRITE,
	.begin = snap_delete_begin,
	.lock = LOCK_SNAP_EXCLUSIVE,
	.lock_text = IN_USE},
    {.op = CALL_SNAP_NOTES_GET,
	.flags = READ | CALL_F_RECORDS,
	.run = snap_one},
    {.op = CALL_SNAP_NOTES_SET,
	.flags = WRITE | CALL_F_DATA,
	.begin = notes_begin,
	.lock = LOCK_SNAP_SHARED,
	.lock_text = IN_USE},
    {.op = CALL_PROTECTED_GET, .flags = READ, .run = protected_get},
    {.op = CALL_PROTECTED_SET,
	.flags = WRITE,
	.run = protected_set,
	.lock = LOCK_SNAP_EXCLUSIVE,
	.lock_text = IN_USE},
    {.op = CALL_LOG_UPLOAD,
	.flags = WRITE | CALL_F_DATA,
	.begin = log_begin,
	.fini = log_fini,
	.lock = LOCK_SNAP_SHARED,
	.lock_text = IN_USE},
    {0},
};
