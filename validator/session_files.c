/*
 * FILE_OPEN: a file of the base snapshot (backup session) or of the snapshot
 * that is read.  Runs in the validator's loop, the disk's part in the store's
 * threads.  The name is a worker's; the file was written by a validator, or
 * by the original server in an adopted store: its head is checked, and every
 * entry when it is read.
 */
#include "config.h"

#include "validator/session_int.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/ipc.h"
#include "common/mem.h"
#include "common/str.h"
#include "validator/peer.h"
#include "validator/store/lockdb.h"
#include "validator/store/snapshot.h"
#include "validator/task.h"
#include "validator/validator.h"

struct opening_file {
	struct session_req req;
	char name[IPC_NAME_MAX + 1];
	struct session_file *file;
};

struct session_file *
session_file_find(struct session *s, const char *name)
{
	uint32_t i;

	for (i = 0; i < s->nfiles; i++)
		if (strcmp(s->files[i]->name, name) == 0)
			return s->files[i];
	return NULL;
}

void
session_file_free(struct session_file *f)
{
	if (f == NULL)
		return;
	bitmap_fini(&f->checked);
	bitmap_fini(&f->referenced);
	io_close(&f->fd);
	free(f);
}

/* The texts are those of the original server (wire-protocol 4.6, 5.2). */
static int
load_error(const char *name, enum archive_kind kind, struct err *e)
{
	struct err why = *e;

	if (why.code == ERR_POISONED || why.code == ERR_PARAM)
		return -1;
	if (kind == ARCHIVE_BLOB && why.code == ERR_NO_FILE)
		return err_set(e, ERR_NO_FILE,
		    "open file \"%s\" failed - not found", name);
	if (kind == ARCHIVE_BLOB)
		return err_set(e, why.code, "open file \"%s\" failed - %s",
		    name, why.msg);
	return err_set(e, ERR_INVALID, "Unable to open %s index \"%s\" - %s",
	    kind == ARCHIVE_FIXED ? "fixed" : "dynamic", name, why.msg);
}

int
session_file_load(int dir_fd, const char *name, struct session_file **out,
    struct err *e)
{
	struct session_file *f = xcalloc(1, sizeof(*f));
	enum index_kind want;

	f->fd = -1;
	snprintf(f->name, sizeof(f->name), "%s", name);
	if (archive_name_parse(name, &f->kind, NULL) == -1) {
		free(f);
		return err_set(e, ERR_INVALID, "unknown archive type: \"%s\"",
		    STR_VIS(name));
	}
	want = f->kind == ARCHIVE_FIXED ? INDEX_FIXED : INDEX_DYNAMIC;
	f->fd = snap_file_open(dir_fd, name, &f->size, e);
	if (f->fd == -1)
		goto fail;
	if (f->kind != ARCHIVE_BLOB) {
		if (index_open_fd(&f->view, f->fd, e) == -1)
			goto fail;
		if (f->view.kind != want || f->view.count > UINT32_MAX - 1) {
			err_set(e, ERR_CORRUPT, "wrong kind or too long");
			goto fail;
		}
	}
	*out = f;
	return 0;
fail:
	load_error(name, f->kind, e);
	session_file_free(f);
	return -1;
}

static int
file_record(struct session *s, const struct session_file *f, struct err *e)
{
	struct lockdb_file rec = {
	    .kind = LOCKDB_FILE_OPENED,
	    .number = f->number,
	    .archive = (uint32_t)f->kind,
	    .size = f->size,
	    .entries = f->kind == ARCHIVE_BLOB ? 0 : f->view.count,
	};
	struct lockdb_txn *t;

	memcpy(rec.name, f->name, sizeof(rec.name));
	if (lockdb_begin(s->v->locks, true, &t, e) == -1)
		return -1;
	lockdb_file_put(t, s->id, &rec, NULL);
	return lockdb_commit(&t, e);
}

int
session_file_add(struct session *s, struct session_file *f, struct err *e)
{
	if (s->nfiles >= IPC_FILES_MAX)
		return err_set(e, ERR_LIMIT, "too many files");
	f->number = s->nfiles;
	if (file_record(s, f, e) == -1)
		return -1;
	s->files[s->nfiles++] = f;
	return 0;
}

static void
file_reply(struct session *s, uint64_t seq, const struct session_file *f)
{
	struct msg_FILE_READY m = {
	    .file = f->number,
	    .kind = (uint8_t)f->kind,
	    .size = f->size,
	    .entries = f->kind == ARCHIVE_BLOB ? 0 : f->view.count,
	};

	if (s->peer != NULL)
		PEER_SEND(s->peer, FILE_READY, s->id, seq, &m, f->fd);
}

static void
file_run(struct store_job *job)
{
	struct opening_file *o = (struct opening_file *)job;

	o->req.rv = session_file_load(o->req.s->base_fd, o->name, &o->file,
	    &o->req.err);
}

/* Two FILE_OPENs of one name may have been on their way. */
static int
file_settle(struct opening_file *o, struct session_file **out, struct err *e)
{
	struct session *s = o->req.s;
	struct session_file *f = session_file_find(s, o->name);

	if (f == NULL) {
		if (session_file_add(s, o->file, e) == -1)
			return -1;
		f = o->file;
		o->file = NULL;
	}
	*out = f;
	if (s->kind == SESSION_KIND_BACKUP && f->kind != ARCHIVE_BLOB)
		return session_check_file(s, f, e);
	return 0;
}

static void
file_done(struct store_job *job)
{
	struct opening_file *o = (struct opening_file *)job;
	struct session *s = o->req.s;
	struct session_file *f = NULL;

	if (o->req.rv == 0 && session_is_open(s))
		o->req.rv = file_settle(o, &f, &o->req.err);
	else if (o->req.rv == 0)
		o->req.rv =
		    err_set(&o->req.err, ERR_BAD_STATE, "session is not open");
	if (o->req.rv == 0) {
		if (s->kind == SESSION_KIND_BACKUP && f->kind != ARCHIVE_BLOB)
			session_log_line(s,
			    "register chunks in '%s' from previous backup.",
			    f->name);
		session_log_line(s, "download '%s'%s", f->name,
		    s->kind == SESSION_KIND_BACKUP ? " from previous backup."
						   : "");
		file_reply(s, o->req.seq, f);
	} else {
		session_fail(s, o->req.seq, &o->req.err);
	}
	session_file_free(o->file);
	session_req_end(&o->req);
	free(o);
}

int
val_on_file_open(void *ctx, struct ipc_msg *m)
{
	struct session *s = peer_session_of(ctx, m);
	struct opening_file *o;
	struct session_file *f;
	struct msg_FILE_OPEN msg;
	struct err e;

	if (s == NULL || PEER_GET(m, FILE_OPEN, &msg) == -1)
		return -1;
	if (session_refuses(s, m->seq))
		return 0;
	if (s->base_fd == -1) {
		err_set(&e, ERR_INVALID, "no valid previous backup");
		session_fail(s, m->seq, &e);
		return 0;
	}
	f = session_file_find(s, msg.name);
	if (f != NULL &&
	    (s->kind == SESSION_KIND_READER || f->kind == ARCHIVE_BLOB ||
		f->checked.words != NULL)) {
		file_reply(s, m->seq, f);
		return 0;
	}
	o = xcalloc(1, sizeof(*o));
	memcpy(o->name, msg.name, sizeof(o->name));
	if (session_req_begin(s, m, &o->req) == -1) {
		free(o);
		return -1;
	}
	session_req_submit(&o->req, &s->strand, file_run, file_done);
	return 0;
}
