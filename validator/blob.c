/*
 * BLOB_PUT: a .blob file of the snapshot, from the arena.  Runs in the
 * validator's loop: the session's checker copies and judges it, the manifest
 * also loses what only the server may say; the session's strand writes the
 * result.  Name, blocks and bytes are a worker's.
 */
#include "config.h"

#include "validator/session_int.h"

#include <stdlib.h>
#include <string.h>

#include "common/ipc.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/format/blob.h"
#include "validator/checker.h"
#include "validator/peer.h"
#include "validator/store/layout.h"
#include "validator/store/snapshot.h"
#include "validator/task.h"
#include "validator/validator.h"

struct blob_put {
	struct session_req req;
	struct msg_BLOB_PUT msg;
	bool is_manifest;
	struct checker *checker; /* held from the verdict to the write */
	const uint8_t *data;
	size_t len;
};

static void
blob_end(struct blob_put *b)
{
	struct session *s = b->req.s;

	if (b->checker != NULL)
		checker_unhold(b->checker);
	if (b->is_manifest)
		s->manifest_busy = false;
	arena_release(&s->arena_use, b->msg.block,
	    arena_blocks_for(b->msg.len));
	session_req_end(&b->req);
	free(b);
}

static void
blob_fail(struct blob_put *b, const struct err *why)
{
	struct session *s = b->req.s;

	if (!session_is_open(s))
		session_refuses(s, b->req.seq);
	else
		session_fail(s, b->req.seq, why);
	blob_end(b);
}

static void
blob_run(struct store_job *job)
{
	struct blob_put *b = (struct blob_put *)job;
	struct session *s = b->req.s;

	/* The manifest ends a backup, for which the reserve is there. */
	if (!b->is_manifest &&
	    store_check_space(s->vs->store, b->len, &b->req.err) == -1)
		return;
	b->req.rv = snap_file_write(s->vs->store, s->dir_fd, b->msg.name,
	    b->data, b->len, false, &b->req.err);
}

static void
blob_done(struct store_job *job)
{
	struct blob_put *b = (struct blob_put *)job;
	struct session *s = b->req.s;

	if (b->req.rv == -1 || !session_is_open(s)) {
		blob_fail(b, &b->req.err);
		return;
	}
	s->page->files++;
	s->page->file_bytes += b->len;
	session_log_line(s, "add blob \"%s/%s\" (%u bytes, comp: %u)",
	    s->snap_text, b->msg.name, b->msg.len, b->msg.len);
	if (s->peer != NULL)
		peer_send_done(s->peer, s->id, b->req.seq);
	blob_end(b);
}

static void
blob_store(struct blob_put *b, uint32_t block, uint32_t len)
{
	struct session *s = b->req.s;
	struct err e;

	b->data = checker_at(s->checker, block, len);
	b->len = len;
	if (b->data == NULL) {
		err_set(&e, ERR_CORRUPT, "checking the data failed");
		blob_fail(b, &e);
		return;
	}
	checker_hold(s->checker);
	b->checker = s->checker;
	session_req_submit(&b->req, &s->strand, blob_run, blob_done);
}

static void
blob_judged(void *arg, const struct checker_verdict *v)
{
	struct blob_put *b = arg;

	if (v->err.code != ERR_OK || !session_is_open(b->req.s))
		blob_fail(b, &v->err);
	else
		blob_store(b, b->msg.block, v->out_len);
}

static void
manifest_judged(void *arg, const struct checker_manifest *m)
{
	struct blob_put *b = arg;
	struct session *s = b->req.s;

	if (m->err.code != ERR_OK || !session_is_open(s))
		blob_fail(b, &m->err);
	else
		blob_store(b, checker_manifest_block(s->checker), m->out_len);
}

static void
blob_judge(struct blob_put *b)
{
	struct session *s = b->req.s;
	struct checker *c;
	struct err e;
	int rv = -1;

	if ((c = session_checker(s, &e)) != NULL)
		rv = b->is_manifest
		    ? checker_manifest_import(c, b->msg.block, b->msg.len,
			  &s->snap, manifest_judged, b, &e)
		    : checker_blob(c, b->msg.block, b->msg.len, blob_judged, b,
			  &e);
	if (rv == -1)
		blob_fail(b, &e);
}

static int
blob_check(struct session *s, const struct msg_BLOB_PUT *m, struct err *e)
{
	enum archive_kind kind;

	if (archive_name_parse(m->name, &kind, NULL) == -1 ||
	    kind != ARCHIVE_BLOB)
		return err_set(e, ERR_INVALID,
		    "wrong blob file extension: '%s'", STR_VIS(m->name));
	if (strcmp(m->name, MANIFEST_NAME) == 0 && s->manifest_busy)
		return err_set(e, ERR_BAD_STATE,
		    "the manifest is being stored already");
	return 0;
}

int
val_on_blob_put(void *ctx, struct ipc_msg *m)
{
	struct session *s = peer_session_of(ctx, m);
	struct msg_BLOB_PUT msg;
	struct blob_put *b;
	struct err e;

	if (s == NULL || PEER_GET(m, BLOB_PUT, &msg) == -1)
		return -1;
	if (s->kind != SESSION_KIND_BACKUP || msg.len < BLOB_HEADER_LEN ||
	    msg.len > BLOB_ENCODED_MAX)
		return err_set(&m->err, ERR_PROTO, "impossible blob");
	if (session_refuses_change(s, m->seq))
		return 0;
	if (blob_check(s, &msg, &e) == -1) {
		session_fail(s, m->seq, &e);
		return 0;
	}
	if (arena_claim(&s->arena_use, msg.block, arena_blocks_for(msg.len)) ==
	    -1)
		return err_set(&m->err, ERR_PROTO, "blocks are not free");
	b = xcalloc(1, sizeof(*b));
	if (session_change_begin(s, m, &b->req) == -1) {
		arena_release(&s->arena_use, msg.block,
		    arena_blocks_for(msg.len));
		free(b);
		return -1;
	}
	b->msg = msg;
	b->is_manifest = strcmp(msg.name, MANIFEST_NAME) == 0;
	if (b->is_manifest)
		s->manifest_busy = true;
	blob_judge(b);
	return 0;
}
