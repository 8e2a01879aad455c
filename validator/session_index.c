/*
 * INDEX_CREATE and INDEX_CLOSE: the growing indexes of a backup session.  Runs
 * in the validator's loop, the disk's part in the session's strand.  The
 * worker chooses numbers and names, which are checked; the bytes of an index
 * are the validator's own.
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
#include "common/format/fixed_index.h"
#include "validator/peer.h"
#include "validator/reuse.h"
#include "validator/store/lockdb.h"
#include "validator/task.h"
#include "validator/validator.h"

struct creating {
	struct session_req req;
	struct session_writer *w;
	struct session_file *base; /* just opened here, or of the session */
	bool base_is_new;
};

struct closing {
	struct session_req req;
	struct session_writer *w;
	struct msg_INDEX_CLOSE msg;
	uint64_t size;
};

static const char *
kind_str(enum index_kind kind)
{
	return kind == INDEX_FIXED ? "fixed" : "dynamic";
}

void
session_writer_free(struct session_writer *w)
{
	if (w == NULL)
		return;
	index_writer_free(&w->writer);
	free(w);
}

struct session_writer *
session_writer_get(struct session *s, uint16_t number)
{
	return number <= IPC_WRITERS_MAX ? s->writers[number] : NULL;
}

void
session_writer_opts(struct session *s, struct session_writer *w,
    struct index_writer_opts *o)
{
	memset(o, 0, sizeof(*o));
	o->dirfd = s->dir_fd;
	o->kind = w->kind;
	o->name = w->name;
	o->size = w->size;
	o->base_fd = -1;
	o->reuse = w->reuse;
	o->reuse_csum = w->reuse_csum;
	o->state = &s->page->writers[w->number - 1].index;
}

static int
writer_record(struct session *s, const struct session_writer *w, struct err *e)
{
	struct lockdb_file rec = {
	    .kind = LOCKDB_FILE_WRITER,
	    .number = w->number,
	    .archive = w->kind == INDEX_FIXED ? ARCHIVE_FIXED : ARCHIVE_DYNAMIC,
	    .flags = (w->closed ? LOCKDB_FILE_F_CLOSED : 0) |
		(w->reuse ? LOCKDB_FILE_F_REUSE : 0),
	    .size = w->size,
	};
	struct lockdb_txn *t;

	memcpy(rec.name, w->name, sizeof(rec.name));
	memcpy(rec.csum, w->closed ? w->csum.b : w->reuse_csum.b, DIGEST_LEN);
	if (lockdb_begin(s->v->locks, true, &t, e) == -1)
		return -1;
	lockdb_file_put(t, s->id, &rec, NULL);
	return lockdb_commit(&t, e);
}

/* --- create --- */

static void
create_run(struct store_job *job)
{
	struct creating *c = (struct creating *)job;
	struct session *s = c->req.s;
	struct index_writer_opts o;
	struct err *e = &c->req.err;
	char temp[IPC_NAME_MAX + 1];

	session_writer_opts(s, c->w, &o);
	if (c->w->reuse) {
		if (s->base_fd == -1) {
			err_set(e, ERR_INVALID,
			    "cannot reuse index - no valid previous backup "
			    "exists");
			return;
		}
		if (c->base == NULL) {
			if (session_file_load(s->base_fd, c->w->name, &c->base,
				e) == -1) {
				err_set(e, ERR_INVALID,
				    "cannot reuse index - no previous backup "
				    "exists for archive");
				return;
			}
			c->base_is_new = true;
		}
		o.base_fd = c->base->fd;
	}
	/* A leftover of a try that a restart cut off: no writer has it. */
	if (io_temp_name(temp, sizeof(temp), c->w->name,
		c->w->kind == INDEX_FIXED ? "tmp_fidx" : "tmp_didx") == 0)
		unlinkat(s->dir_fd, temp, 0);
	memset(o.state, 0, sizeof(*o.state));
	c->req.rv = index_writer_create(&c->w->writer, &o, e);
}

/* The copied entries are the base's, so they are checked like all others. */
static int
create_settle(struct creating *c, struct err *e)
{
	struct session *s = c->req.s;
	struct session_file *f;

	if (c->w->reuse) {
		f = session_file_find(s, c->w->name);
		if (f == NULL) {
			if (session_file_add(s, c->base, e) == -1)
				return -1;
			f = c->base;
			c->base_is_new = false;
		}
		if (session_check_file(s, f, e) == -1)
			return -1;
		reuse_reference_all(s->reuse, f->number);
	}
	return writer_record(s, c->w, e);
}

static void
create_done(struct store_job *job)
{
	struct creating *c = (struct creating *)job;
	struct session *s = c->req.s;
	struct session_writer *w = c->w;

	if (c->req.rv == 0 && !session_is_open(s))
		c->req.rv =
		    err_set(&c->req.err, ERR_BAD_STATE, "session is not open");
	if (c->req.rv == 0)
		c->req.rv = create_settle(c, &c->req.err);
	/* Referencing a chunk that is known to be missing ends the session. */
	if (c->req.rv == 0 && !session_is_open(s)) {
		c->req.rv = -1;
		c->req.err = s->why;
	}
	if (c->req.rv == 0) {
		w->ready = true;
		session_log_line(s, "created new %s index %u (\"%s/%s\")",
		    kind_str(w->kind), w->number, s->snap_text, w->name);
		if (s->peer != NULL)
			peer_send_done(s->peer, s->id, c->req.seq);
	} else {
		s->writers[w->number] = NULL;
		session_writer_free(w);
		session_fail(s, c->req.seq, &c->req.err);
	}
	if (c->base_is_new)
		session_file_free(c->base);
	session_req_end(&c->req);
	free(c);
}

static int
create_check(struct session *s, const struct msg_INDEX_CREATE *m, struct err *e)
{
	enum archive_kind kind;
	unsigned int i;

	if (archive_name_parse(m->name, &kind, NULL) == -1 ||
	    kind != (m->kind == INDEX_FIXED ? ARCHIVE_FIXED : ARCHIVE_DYNAMIC))
		return err_set(e, ERR_INVALID, "wrong archive extension: '%s'",
		    STR_VIS(m->name));
	if (m->kind == INDEX_FIXED &&
	    (m->size == 0 ||
		fixed_index_count(m->size, FIXED_INDEX_CHUNK_SIZE) >=
		    UINT32_MAX))
		return err_set(e, ERR_PARAM, "impossible size of an image");
	for (i = 1; i <= IPC_WRITERS_MAX; i++)
		if (s->writers[i] != NULL &&
		    strcmp(s->writers[i]->name, m->name) == 0)
			return err_set(e, ERR_EXISTS,
			    "archive '%s' was already started in this backup",
			    m->name);
	return 0;
}

/* Sent again after a reconnect: the same writer with the same parameters. */
static bool
create_is_repeated(const struct session_writer *w,
    const struct msg_INDEX_CREATE *m)
{
	return w->ready && w->kind == (enum index_kind)m->kind &&
	    strcmp(w->name, m->name) == 0 && w->size == m->size &&
	    w->reuse == (m->reuse != 0);
}

int
val_on_index_create(void *ctx, struct ipc_msg *m)
{
	struct session *s = peer_session_of(ctx, m);
	struct msg_INDEX_CREATE msg;
	struct creating *c;
	struct err e;

	if (s == NULL || PEER_GET(m, INDEX_CREATE, &msg) == -1)
		return -1;
	if (s->kind != SESSION_KIND_BACKUP || msg.writer == 0 ||
	    msg.writer > IPC_WRITERS_MAX || msg.kind > INDEX_DYNAMIC ||
	    (msg.reuse && msg.kind != INDEX_FIXED))
		return err_set(&m->err, ERR_PROTO, "impossible writer");
	if (session_refuses_change(s, m->seq))
		return 0;
	if (s->writers[msg.writer] != NULL) {
		if (!create_is_repeated(s->writers[msg.writer], &msg))
			return err_set(&m->err, ERR_PROTO, "writer used twice");
		peer_send_done(ctx, s->id, m->seq);
		return 0;
	}
	if (create_check(s, &msg, &e) == -1) {
		session_fail(s, m->seq, &e);
		return 0;
	}
	c = xcalloc(1, sizeof(*c));
	if (session_change_begin(s, m, &c->req) == -1) {
		free(c);
		return -1;
	}
	c->w = xcalloc(1, sizeof(*c->w));
	c->w->number = msg.writer;
	c->w->kind = (enum index_kind)msg.kind;
	memcpy(c->w->name, msg.name, sizeof(c->w->name));
	c->w->size = msg.size;
	c->w->reuse = msg.reuse != 0;
	memcpy(c->w->reuse_csum.b, msg.reuse_csum, DIGEST_LEN);
	s->writers[msg.writer] = c->w;
	c->base = session_file_find(s, msg.name);
	session_req_submit(&c->req, &s->strand, create_run, create_done);
	return 0;
}

/* --- close --- */

static void
close_run(struct store_job *job)
{
	struct closing *c = (struct closing *)job;
	struct digest csum;

	memcpy(csum.b, c->msg.csum, DIGEST_LEN);
	c->req.rv = index_writer_close(c->w->writer, c->msg.count, c->msg.size,
	    &csum, &c->size, &c->req.err);
}

/* datastore-format 5.12 */
static void
close_log(struct session *s, const struct closing *c)
{
	const struct session_upload_stats *u =
	    &s->page->writers[c->w->number - 1].uploads;
	uint64_t count = c->msg.count, client;

	session_log_line(s, "Upload statistics for '%s'", c->w->name);
	session_log_line(s, "Checksum: %s",
	    STR_HEX(c->msg.csum, sizeof(c->msg.csum)));
	session_log_line(s, "Size: %llu", (unsigned long long)c->size);
	session_log_line(s, "Chunk count: %llu", (unsigned long long)count);
	if (c->size > 0 && count > 0) {
		session_log_line(s, "Upload size: %llu (%llu%%)",
		    (unsigned long long)u->size,
		    (unsigned long long)((double)u->size * 100 / c->size));
		client = count > u->count ? count - u->count : 0;
		if (client + u->duplicates > 0)
			session_log_line(s, "Duplicates: %llu+%llu (%llu%%)",
			    (unsigned long long)client,
			    (unsigned long long)u->duplicates,
			    (unsigned long long)((client + u->duplicates) *
				100 / count));
		if (u->size > 0)
			session_log_line(s, "Compression: %llu%%",
			    (unsigned long long)((double)u->compressed * 100 /
				u->size));
	}
	session_log_line(s, "successfully closed %s index %u",
	    kind_str(c->w->kind), c->w->number);
}

static void
close_done(struct store_job *job)
{
	struct closing *c = (struct closing *)job;
	struct session *s = c->req.s;
	struct session_writer *w = c->w;

	w->busy = false;
	if (c->req.rv == 0 && !session_is_open(s))
		c->req.rv =
		    err_set(&c->req.err, ERR_BAD_STATE, "session is not open");
	if (c->req.rv == 0) {
		w->closed = true;
		memcpy(w->csum.b, c->msg.csum, DIGEST_LEN);
		c->req.rv = writer_record(s, w, &c->req.err);
	}
	if (c->req.rv == 0) {
		s->page->files++;
		s->page->file_bytes += c->size;
		close_log(s, c);
		if (s->peer != NULL)
			peer_send_done(s->peer, s->id, c->req.seq);
	} else {
		w->closed = false;
		session_fail(s, c->req.seq, &c->req.err);
	}
	session_req_end(&c->req);
	free(c);
}

int
val_on_index_close(void *ctx, struct ipc_msg *m)
{
	struct session *s = peer_session_of(ctx, m);
	struct msg_INDEX_CLOSE msg;
	struct session_writer *w;
	struct closing *c;
	struct err e;

	if (s == NULL || PEER_GET(m, INDEX_CLOSE, &msg) == -1)
		return -1;
	if (session_refuses_change(s, m->seq))
		return 0;
	w = session_writer_get(s, msg.writer);
	if (w == NULL || !w->ready)
		return err_set(&m->err, ERR_PROTO, "close of no writer");
	if (w->closed) {
		/* Sent again after a reconnect, or by a client that closes
		 * twice. */
		if (memcmp(w->csum.b, msg.csum, DIGEST_LEN) == 0) {
			peer_send_done(ctx, s->id, m->seq);
			return 0;
		}
		err_set(&e, ERR_BAD_STATE, "%s writer '%u' not registered",
		    kind_str(w->kind), w->number);
		session_fail(s, m->seq, &e);
		return 0;
	}
	if (w->busy) {
		err_set(&e, ERR_BAD_STATE,
		    "%s writer '%s' close failed - already closed",
		    kind_str(w->kind), w->name);
		session_fail(s, m->seq, &e);
		return 0;
	}
	c = xcalloc(1, sizeof(*c));
	if (session_change_begin(s, m, &c->req) == -1) {
		free(c);
		return -1;
	}
	w->busy = true;
	c->w = w;
	c->msg = msg;
	session_req_submit(&c->req, &s->strand, close_run, close_done);
	return 0;
}
