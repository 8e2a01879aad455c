/*
 * CHUNK_OPEN: a chunk for a reader.  Runs in the validator's loop, the disk's
 * part in the store's threads.  The worker says where the digest stands in an
 * index that this session opened; the validator looks there itself, so that a
 * reader gets no chunk that its snapshot does not have.
 */
#include "config.h"

#include "validator/session_int.h"

#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/ipc.h"
#include "common/mem.h"
#include "validator/peer.h"
#include "validator/store/chunk_store.h"
#include "validator/validator.h"

struct chunk_opening {
	struct session_req req;
	struct session_file *file;
	uint32_t position;
	struct digest digest;
	int fd;
	uint64_t size;
};

static void
chunk_run(struct store_job *job)
{
	struct chunk_opening *c = (struct chunk_opening *)job;
	struct err *e = &c->req.err, why;
	char hex[DIGEST_HEX_LEN + 1];
	struct index_entry entry;

	digest_to_hex(&c->digest, hex);
	if (index_get_entry(&c->file->view, c->position, &entry, e) == -1)
		return;
	if (!digest_equal(&entry.digest, &c->digest)) {
		err_set(e, ERR_NOT_ALLOWED, "download chunk %s not allowed",
		    hex);
		return;
	}
	c->fd = chunk_open(c->req.s->vs->store, &c->digest, &c->size, &why);
	if (c->fd == -1)
		err_set(e, why.code, "reading file \"%s\" failed: %.300s", hex,
		    why.msg);
	else
		c->req.rv = 0;
}

static void
chunk_done(struct store_job *job)
{
	struct chunk_opening *c = (struct chunk_opening *)job;
	struct session *s = c->req.s;
	struct msg_CHUNK_READY m = {.size = c->size};

	if (!session_is_open(s))
		session_refuses(s, c->req.seq);
	else if (c->req.rv == -1)
		session_fail(s, c->req.seq, &c->req.err);
	else if (s->peer != NULL)
		PEER_SEND(s->peer, CHUNK_READY, s->id, c->req.seq, &m, c->fd);
	io_close(&c->fd);
	session_req_end(&c->req);
	free(c);
}

int
val_on_chunk_open(void *ctx, struct ipc_msg *m)
{
	struct session *s = peer_session_of(ctx, m);
	struct msg_CHUNK_OPEN msg;
	struct chunk_opening *c;
	struct session_file *f;
	char hex[DIGEST_HEX_LEN + 1];
	struct digest d;
	struct err e;

	if (s == NULL || PEER_GET(m, CHUNK_OPEN, &msg) == -1)
		return -1;
	if (s->kind != SESSION_KIND_READER)
		return err_set(&m->err, ERR_PROTO, "a backup reads no chunks");
	if (session_refuses(s, m->seq))
		return 0;
	memcpy(d.b, msg.digest, DIGEST_LEN);
	f = msg.file < s->nfiles ? s->files[msg.file] : NULL;
	if (f == NULL || f->kind == ARCHIVE_BLOB ||
	    msg.position >= f->view.count) {
		digest_to_hex(&d, hex);
		err_set(&e, ERR_NOT_ALLOWED, "download chunk %s not allowed",
		    hex);
		session_fail(s, m->seq, &e);
		return 0;
	}
	c = xcalloc(1, sizeof(*c));
	if (session_req_begin(s, m, &c->req) == -1) {
		free(c);
		return -1;
	}
	c->file = f;
	c->position = msg.position;
	c->digest = d;
	c->fd = -1;
	session_req_submit(&c->req, &s->bulk, chunk_run, chunk_done);
	return 0;
}
