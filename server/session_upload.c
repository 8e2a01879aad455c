/*
 * Uploads of chunks and blobs (wire-protocol 4.4): the body goes straight
 * into the session's arena, at blocks that the credit gave, and is named to
 * the validator when it is complete.  Runs in a worker.
 */
#include "config.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/format/blob.h"
#include "common/json.h"
#include "common/mem.h"
#include "server/h2.h"
#include "server/request.h"
#include "server/session_int.h"
#include "server/vclient.h"

struct upload {
	struct credit_claim claim; /* first: on_grant gets it */
	TAILQ_ENTRY(upload) entry;
	struct session *s;
	struct request *req; /* NULL: the client gave up */
	uint32_t want;       /* announced bytes */
	uint32_t got;
	uint8_t *early; /* what came before the grant; at most a window */
	bool ended;
	bool sent; /* the validator has it: its answer is awaited */
	bool blob;
	/* Of a chunk. */
	enum archive_kind kind;
	int64_t wid;
	bool no_writer; /* wid was none's when it was sent */
	uint32_t size;
	uint32_t number;
	struct digest digest;
};

static void upload_send(struct upload *u);

static void
upload_free(struct upload *u)
{
	static const struct timeval tv = {SESSION_IDLE_S, 0};
	struct session *s = u->s;

	TAILQ_REMOVE(&s->uploads, u, entry);
	free(u->early);
	credit_release(&s->credit, &u->claim);
	free(u);
	if (TAILQ_EMPTY(&s->uploads))
		evtimer_add(s->idle, &tv);
}

void
session_on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	if (!TAILQ_EMPTY(&s->uploads))
		return;
	arena_empty(&s->arena);
	malloc_trim(0);
}

/* Replies and ends the upload; the body's rest is thrown away. */
static void
upload_fail(struct upload *u, const struct err *e)
{
	struct request *req = u->req;

	req->state = NULL;
	req->cancel = NULL;
	req->sink = NULL;
	upload_free(u);
	request_reply_err(req, e);
}

void
session_fail_uploads(struct session *s, const struct err *why)
{
	struct upload *u;

	do {
		TAILQ_FOREACH(u, &s->uploads, entry) {
			if (!u->sent)
				break;
		}
		if (u != NULL)
			upload_fail(u, why);
	} while (u != NULL);
}

static void
upload_cancelled(struct request *req)
{
	struct upload *u = req->state;

	u->req = NULL;
	/* Blocks that the validator may still read are kept. */
	if (!u->sent)
		upload_free(u);
}

static void
upload_granted(struct credit_claim *claim)
{
	struct upload *u = (struct upload *)claim;

	if (u->early != NULL)
		memcpy(arena_at(&u->s->arena, claim->block, u->want), u->early,
		    u->got);
	free(u->early);
	u->early = NULL;
	if (u->ended)
		upload_send(u);
	else
		h2_allow(u->req, u->want);
}

static void
upload_data(struct request *req, const uint8_t *p, size_t len)
{
	struct upload *u = req->state;
	struct err e;
	uint8_t *dst;

	if (len > u->want - u->got) {
		if (u->blob)
			err_set(&e, ERR_INVALID,
			    "got blob with unexpected length (%u != %zu)",
			    u->want, u->got + len);
		else
			err_set(&e, ERR_INVALID,
			    "uploaded chunk is larger than announced.");
		upload_fail(u, &e);
		return;
	}
	if (u->claim.granted) {
		dst = arena_at(&u->s->arena, u->claim.block, u->want);
	} else {
		/* Flow control lets no more than H2_WINDOW come early. */
		if (u->early == NULL)
			u->early =
			    xmalloc(u->want < H2_WINDOW ? u->want : H2_WINDOW);
		if (u->got + len > H2_WINDOW) {
			err_set(&e, ERR_LIMIT, "body came without credit");
			upload_fail(u, &e);
			return;
		}
		dst = u->early;
	}
	memcpy(dst + u->got, p, len);
	u->got += (uint32_t)len;
}

static void
upload_end(struct request *req)
{
	struct upload *u = req->state;
	struct err e;

	if (u->got != u->want) {
		if (u->blob)
			err_set(&e, ERR_INVALID,
			    "got blob with unexpected length (%u != %u)",
			    u->want, u->got);
		else
			err_set(&e, ERR_INVALID,
			    "uploaded chunk has unexpected size.");
		upload_fail(u, &e);
		return;
	}
	u->ended = true;
	if (u->claim.granted)
		upload_send(u);
}

static const struct request_sink upload_sink = {
    .data = upload_data,
    .end = upload_end,
};

static void
upload_begin(struct request *req, struct upload *u)
{
	struct err e;

	u->s = session_of(req);
	u->req = req;
	u->want = (uint32_t)params_int(&req->params, "encoded-size", 0);
	u->claim.blocks = arena_blocks_for(u->want);
	u->claim.on_grant = upload_granted;
	if (!credit_is_possible(&u->s->credit, u->claim.blocks)) {
		free(u);
		err_set(&e, ERR_LIMIT, "upload is larger than the arena");
		request_reply_err(req, &e);
		return;
	}
	TAILQ_INSERT_TAIL(&u->s->uploads, u, entry);
	req->state = u;
	req->cancel = upload_cancelled;
	req->sink = &upload_sink;
	credit_request(&u->s->credit, &u->claim);
}

/* --- chunks ------------------------------------------------------------- */

/* The rules of 4.4.1, step 6; the chunk is stored by now. */
static int
register_chunk(struct upload *u, struct err *e)
{
	if (session_writer_get(u->s, u->wid, u->kind, e) == NULL)
		return -1;
	return known_add_deposit(&u->s->known, u->number, &u->digest, e);
}

static void
chunk_done(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct upload *u = arg;
	struct request *req = u->req;
	char hex[DIGEST_HEX_LEN + 1];
	struct err why;

	(void)r;
	if (e != NULL)
		why = *e;
	/* The validator does not know which one the client named. */
	if (e != NULL && e->code == ERR_NOT_FOUND && u->no_writer)
		session_writer_unknown(u->wid, u->kind, &why);
	if (e == NULL && register_chunk(u, &why) == -1)
		e = &why;
	digest_to_hex(&u->digest, hex);
	if (req != NULL) {
		req->state = NULL;
		req->cancel = NULL;
	}
	upload_free(u);
	if (req == NULL)
		return;
	if (e != NULL)
		request_reply_err(req, &why);
	else
		request_reply_json(req, json_new_str(hex));
}

static void
send_chunk(struct upload *u)
{
	struct msg_DEPOSIT m = {.block = u->claim.block,
	    .len = u->want,
	    .size = u->size};

	/* 0 is no writer: stored all the same, then refused. */
	u->no_writer = session_writer_get(u->s, u->wid, u->kind, NULL) == NULL;
	if (!u->no_writer)
		m.writer = (uint16_t)u->wid;
	u->number = u->s->deposits++;
	m.number = u->number;
	memcpy(m.digest, u->digest.b, sizeof(m.digest));
	vclient_deposit(u->s->v, &m, chunk_done, u);
}

static void
chunk(struct request *req, enum archive_kind kind)
{
	const char *hex = params_str(&req->params, "digest", "");
	struct upload *u;

	if (session_can_change(session_of(req), req) == -1)
		return;
	u = xcalloc(1, sizeof(*u));
	u->kind = kind;
	u->wid = params_int(&req->params, "wid", 0);
	u->size = (uint32_t)params_int(&req->params, "size", 0);
	session_digest(hex, u->digest.b);
	upload_begin(req, u);
}

void
session_dynamic_chunk(struct request *req)
{
	chunk(req, ARCHIVE_DYNAMIC);
}

void
session_fixed_chunk(struct request *req)
{
	chunk(req, ARCHIVE_FIXED);
}

/* --- blobs -------------------------------------------------------------- */

static void
blob_done(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct upload *u = arg;
	struct request *req = u->req;

	(void)r;
	if (req != NULL) {
		req->state = NULL;
		req->cancel = NULL;
	}
	upload_free(u);
	if (req == NULL)
		return;
	if (e != NULL)
		request_reply_err(req, e);
	else
		request_reply_json(req, NULL);
}

static void
send_blob(struct upload *u)
{
	struct msg_BLOB_PUT m = {.block = u->claim.block, .len = u->want};

	snprintf(m.name, sizeof(m.name), "%s",
	    params_str(&u->req->params, "file-name", ""));
	vclient_blob_put(u->s->v, &m, blob_done, u);
}

static void
upload_send(struct upload *u)
{
	u->sent = true;
	if (u->blob)
		send_blob(u);
	else
		send_chunk(u);
}

void
session_blob(struct request *req)
{
	const char *name = params_str(&req->params, "file-name", "");
	enum archive_kind kind;
	struct upload *u;
	struct err e;

	if (session_can_change(session_of(req), req) == -1)
		return;
	if (archive_name_parse(name, &kind, NULL) == -1 ||
	    kind != ARCHIVE_BLOB) {
		err_set(&e, ERR_INVALID, "wrong blob file extension: '%s'",
		    name);
		request_reply_err(req, &e);
		return;
	}
	u = xcalloc(1, sizeof(*u));
	u->blob = true;
	upload_begin(req, u);
}
