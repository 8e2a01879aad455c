/*
 * Files of the base snapshot (wire-protocol 4.6) and of a snapshot that is
 * read (5.2), and its chunks.  The validator opens them; an index's chunks
 * are known before its bytes are sent.  Runs in a worker.
 */
#include "config.h"

#include <event2/event.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/request.h"
#include "server/session_int.h"
#include "server/vclient.h"

/* --- whole files -------------------------------------------------------- */

/* From the answer of the validator to the reply: an index is registered a
 * bounded part at a time, so that other streams go on meanwhile. */
struct fetch {
	struct session *s;
	struct request *req; /* NULL: the client gave up */
	struct event *step;
	uint32_t file;
	uint64_t size;
	int fd;
};

static void
fetch_free(struct fetch *f)
{
	io_close(&f->fd);
	event_free(f->step);
	free(f);
}

static void
fetch_end(struct fetch *f, const struct err *e)
{
	struct request *req = f->req;
	int fd = f->fd;
	uint64_t size = f->size;

	req->state = NULL;
	req->cancel = NULL;
	if (e == NULL)
		f->fd = -1;
	fetch_free(f);
	if (e != NULL)
		request_reply_err(req, e);
	else
		request_reply_fd(req, fd, size);
}

static void
fetch_step(int fd, short what, void *arg)
{
	struct fetch *f = arg;
	struct err e;
	int more = known_file_step(&f->s->known, f->file, &e);

	(void)fd;
	(void)what;
	if (more == 1)
		event_active(f->step, EV_TIMEOUT, 0);
	else
		fetch_end(f, more == -1 ? &e : NULL);
}

/* What is registered so far stays; whoever asks next goes on from there. */
static void
fetch_cancelled(struct request *req)
{
	struct fetch *f = req->state;

	f->req = NULL;
	if (f->fd != -1)
		fetch_free(f);
}

static void
fetch_opened(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct fetch *f = arg;
	enum archive_kind kind;
	struct err why;

	if (f->req == NULL) {
		fetch_free(f);
		return;
	}
	if (e != NULL) {
		fetch_end(f, e);
		return;
	}
	f->file = r->file_ready->file;
	f->size = r->file_ready->size;
	f->fd = r->fd;
	r->fd = -1;
	kind = (enum archive_kind)r->file_ready->kind;
	if (kind == ARCHIVE_BLOB)
		fetch_end(f, NULL);
	else if (known_add_file(&f->s->known, f->file, kind, f->fd, f->size,
		     &why) == -1)
		fetch_end(f, &why);
	else
		event_active(f->step, EV_TIMEOUT, 0);
}

static void
fetch(struct request *req, const char *name)
{
	struct msg_FILE_OPEN m = {0};
	enum archive_kind kind;
	struct fetch *f;
	struct err e;

	if (archive_name_parse(name, &kind, NULL) == -1) {
		err_set(&e, ERR_INVALID, "unknown archive type: \"%s\"", name);
		request_reply_err(req, &e);
		return;
	}
	f = xcalloc(1, sizeof(*f));
	f->s = session_of(req);
	f->req = req;
	f->fd = -1;
	f->step = event_new(f->s->base, -1, 0, fetch_step, f);
	if (f->step == NULL)
		fatal("session", "cannot make an event");
	req->state = f;
	req->cancel = fetch_cancelled;
	snprintf(m.name, sizeof(m.name), "%s", name);
	vclient_file_open(f->s->v, &m, fetch_opened, f);
}

void
session_previous(struct request *req)
{
	struct session *s = session_of(req);
	struct err e;

	if (session_can_change(s, req) == -1)
		return;
	if (s->base_time == 0) {
		err_set(&e, ERR_INVALID, "no valid previous backup");
		request_reply_err(req, &e);
		return;
	}
	fetch(req, params_str(&req->params, "archive-name", ""));
}

void
session_download(struct request *req)
{
	fetch(req, params_str(&req->params, "file-name", ""));
}

/* --- chunks ------------------------------------------------------------- */

static void
chunk_opened(struct session_call *c, struct vclient_reply *r,
    const struct err *e)
{
	struct request *req = session_call_take(c);

	if (req == NULL)
		return;
	if (e != NULL) {
		request_reply_err(req, e);
		return;
	}
	request_reply_fd(req, r->fd, r->chunk_ready->size);
	r->fd = -1;
}

void
session_chunk(struct request *req)
{
	const char *hex = params_str(&req->params, "digest", "");
	struct session *s = session_of(req);
	struct msg_CHUNK_OPEN m = {0};
	struct known_source source;
	struct digest d;
	struct err e;

	session_digest(hex, d.b);
	if (!known_get(&s->known, &d, &source)) {
		err_set(&e, ERR_NOT_ALLOWED, "download chunk %s not allowed",
		    hex);
		request_reply_err(req, &e);
		return;
	}
	m.file = source.file;
	m.position = source.position;
	memcpy(m.digest, d.b, sizeof(m.digest));
	vclient_chunk_open(s->v, &m, session_call_done,
	    session_call_new(req, chunk_opened, NULL));
}
