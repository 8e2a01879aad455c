/*
 * Index writers of a backup (wire-protocol 4.5): the client names digests,
 * the worker says where the validator will find each, and the validator looks
 * for itself.  Runs in a worker.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/wire.h"
#include "server/request.h"
#include "server/session_int.h"
#include "server/vclient.h"

static const char *
kind_text(enum archive_kind kind)
{
	return kind == ARCHIVE_FIXED ? "fixed" : "dynamic";
}

static void
reply_null(struct session_call *c, const struct err *e)
{
	struct request *req = session_call_take(c);

	if (req == NULL)
		return;
	if (e != NULL)
		request_reply_err(req, e);
	else
		request_reply_json(req, NULL);
}

/* --- create ------------------------------------------------------------- */

static void
create_done(struct session_call *c, struct vclient_reply *r,
    const struct err *e)
{
	struct request *req = session_call_take(c);
	unsigned int wid = *(unsigned int *)c->data;

	(void)r;
	if (e == NULL)
		c->s->writers[wid].open = true;
	if (req == NULL)
		return;
	if (e != NULL)
		request_reply_err(req, e);
	else
		request_reply_json(req, json_new_u64(wid));
}

static int
create_check(const struct session *s, const char *name, enum archive_kind kind,
    const char *reuse, struct err *e)
{
	enum archive_kind is;

	if (archive_name_parse(name, &is, NULL) == -1 || is != kind)
		return err_set(e, ERR_INVALID, "wrong archive extension: '%s'",
		    name);
	if (reuse != NULL && s->base_time == 0)
		return err_set(e, ERR_INVALID,
		    "cannot reuse index - no valid previous backup exists");
	if (s->writers_n == IPC_WRITERS_MAX)
		return err_set(e, ERR_LIMIT, "too many archives in a backup");
	return 0;
}

static void
create(struct request *req, enum archive_kind kind)
{
	const char *name = params_str(&req->params, "archive-name", "");
	const char *reuse = params_str(&req->params, "reuse-csum", NULL);
	struct session *s = session_of(req);
	struct msg_INDEX_CREATE m = {.kind = (uint8_t)kind};
	struct session_writer *w;
	unsigned int *wid;
	struct err e;

	if (session_can_change(s, req) == -1)
		return;
	if (create_check(s, name, kind, reuse, &e) == -1) {
		request_reply_err(req, &e);
		return;
	}
	wid = xcalloc(1, sizeof(*wid));
	*wid = ++s->writers_n;
	w = &s->writers[*wid];
	w->kind = kind;
	TAILQ_INIT(&w->queue);
	snprintf(w->name, sizeof(w->name), "%s", name);
	m.writer = (uint16_t)*wid;
	snprintf(m.name, sizeof(m.name), "%s", name);
	m.size = (uint64_t)params_int(&req->params, "size", 0);
	if (reuse != NULL) {
		m.reuse = 1;
		session_digest(reuse, m.reuse_csum);
	}
	vclient_index_create(s->v, &m, session_call_done,
	    session_call_new(req, create_done, wid));
}

void
session_dynamic_create(struct request *req)
{
	create(req, ARCHIVE_DYNAMIC);
}

void
session_fixed_create(struct request *req)
{
	create(req, ARCHIVE_FIXED);
}

/* --- one after the other ------------------------------------------------ */

/* Appends and closes of a writer, in the order in which they came; what the
 * client gave up meanwhile is left out. */
static void
writer_run(struct session_writer *w)
{
	struct session_call *c;
	struct err e;

	while (!w->busy && (c = TAILQ_FIRST(&w->queue)) != NULL) {
		TAILQ_REMOVE(&w->queue, c, entry);
		if (c->req == NULL) {
			c->done(c, NULL, NULL);
			session_call_free(c);
		} else if (!w->open) {
			err_set(&e, ERR_INVALID,
			    "%s writer '%zu' not "
			    "registered",
			    kind_text(w->kind), (size_t)(w - c->s->writers));
			c->done(c, NULL, &e);
			session_call_free(c);
		} else {
			w->busy = true;
			c->run(c);
		}
	}
}

static void
writer_queue(struct session_writer *w, struct session_call *c,
    void (*run)(struct session_call *c))
{
	c->run = run;
	TAILQ_INSERT_TAIL(&w->queue, c, entry);
	writer_run(w);
}

/* The call at work is through. */
static void
writer_next(struct session_writer *w, struct session_call *c,
    const struct err *e)
{
	w->busy = false;
	c->done(c, NULL, e);
	session_call_free(c);
	writer_run(w);
}

/* --- append ------------------------------------------------------------- */

/*
 * One PUT: its entries go in as many messages as they need, one at a time,
 * so that the entries in front of a failing one are appended.
 */
struct append {
	struct session_writer *w;
	uint16_t wid;
	size_t total; /* entries of the request that can be resolved */
	size_t sent;
	struct err late;   /* why the next one cannot be; code ERR_OK: none */
	uint8_t entries[]; /* encoded */
};

static void
append_done(struct session_call *c, struct vclient_reply *r,
    const struct err *e)
{
	struct append *a = c->data;

	(void)r;
	if (e == NULL && a->late.code != ERR_OK)
		e = &a->late;
	reply_null(c, e);
}

static void append_send(struct session_call *c);

static void
append_answered(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct session_call *c = arg;
	struct append *a = c->data;

	if (e != NULL) {
		/* Some of its entries may have been taken. */
		a->w->stuck = true;
		writer_next(a->w, c, e);
		return;
	}
	a->w->stuck = false;
	a->w->count = r->appended->count;
	append_send(c);
}

/* The next message, or the end.  After a failure the validator is asked
 * first where the writer stands: an append of nothing. */
static void
append_send(struct session_call *c)
{
	struct append *a = c->data;
	struct msg_APPEND m = {.writer = a->wid};
	size_t n = a->total - a->sent;

	if (n == 0) {
		writer_next(a->w, c, NULL);
		return;
	}
	if (a->w->stuck)
		n = 0;
	else if (n > IPC_APPEND_ENTRIES_MAX)
		n = IPC_APPEND_ENTRIES_MAX;
	m.first = n > 0 ? a->w->count : 0;
	m.count = (uint32_t)n;
	m.entries = a->entries + a->sent * IPC_APPEND_ENTRY_LEN;
	m.entries_len = (uint32_t)(n * IPC_APPEND_ENTRY_LEN);
	a->sent += n;
	vclient_append(c->s->v, &m, append_answered, c);
}

/* Encodes entry i of the request; -1: not a chunk that may be referred to. */
static int
encode_entry(struct session *s, struct wire_w *w, const struct params *p,
    size_t i, struct err *e)
{
	const char *hex = params_str_at(p, "digest-list", i);
	struct known_source source;
	struct digest d;

	session_digest(hex, d.b);
	if (!known_get(&s->known, &d, &source))
		return err_set(e, ERR_INVALID, "no such chunk %s", hex);
	wire_w_u64(w, (uint64_t)params_int_at(p, "offset-list", i));
	wire_w_u32(w, source.file);
	wire_w_u32(w, source.position);
	wire_w_bytes(w, d.b, sizeof(d.b));
	return 0;
}

static struct append *
append_new(struct session *s, struct session_writer *w, const struct params *p,
    size_t n)
{
	struct append *a;
	struct wire_w out;

	a = xcalloc(1, sizeof(*a) + n * IPC_APPEND_ENTRY_LEN);
	a->w = w;
	a->wid = (uint16_t)params_int(p, "wid", 0);
	wire_w_init(&out, a->entries, n * IPC_APPEND_ENTRY_LEN);
	while (
	    a->total < n && encode_entry(s, &out, p, a->total, &a->late) == 0)
		a->total++;
	return a;
}

static void
append(struct request *req, enum archive_kind kind)
{
	const struct params *p = &req->params;
	size_t digests = params_count(p, "digest-list");
	size_t offsets = params_count(p, "offset-list");
	struct session *s = session_of(req);
	struct session_writer *w;
	struct err e = {0};

	if (session_can_change(s, req) == -1)
		return;
	w = session_writer_get(s, params_int(p, "wid", 0), kind, &e);
	if (w != NULL && digests != offsets)
		err_set(&e, ERR_INVALID,
		    "offset list has wrong length (%zu != %zu)", offsets,
		    digests);
	if (e.code != ERR_OK) {
		request_reply_err(req, &e);
		return;
	}
	writer_queue(w,
	    session_call_new(req, append_done, append_new(s, w, p, digests)),
	    append_send);
}

void
session_dynamic_append(struct request *req)
{
	append(req, ARCHIVE_DYNAMIC);
}

void
session_fixed_append(struct request *req)
{
	append(req, ARCHIVE_FIXED);
}

/* --- close -------------------------------------------------------------- */

struct closing {
	struct session_writer *w;
	struct msg_INDEX_CLOSE msg;
};

static void
close_done(struct session_call *c, struct vclient_reply *r, const struct err *e)
{
	struct closing *cl = c->data;

	(void)r;
	cl->w->closing = false;
	reply_null(c, e);
}

static void
close_answered(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct session_call *c = arg;
	struct closing *cl = c->data;

	(void)r;
	/* A failed close keeps the writer, so that finish is refused. */
	if (e == NULL)
		cl->w->open = false;
	writer_next(cl->w, c, e);
}

static void
close_run(struct session_call *c)
{
	struct closing *cl = c->data;

	vclient_index_close(c->s->v, &cl->msg, close_answered, c);
}

static void
close_index(struct request *req, enum archive_kind kind)
{
	const struct params *p = &req->params;
	struct session *s = session_of(req);
	struct session_writer *w;
	struct closing *cl;
	struct err e;

	if (session_can_change(s, req) == -1)
		return;
	w = session_writer_get(s, params_int(p, "wid", 0), kind, &e);
	if (w != NULL && w->closing) {
		err_set(&e, ERR_BAD_STATE,
		    "%s writer '%s' close failed - already closed",
		    kind_text(kind), w->name);
		w = NULL;
	}
	if (w == NULL) {
		request_reply_err(req, &e);
		return;
	}
	cl = xcalloc(1, sizeof(*cl));
	cl->w = w;
	cl->msg.writer = (uint16_t)params_int(p, "wid", 0);
	cl->msg.count = (uint64_t)params_int(p, "chunk-count", 0);
	cl->msg.size = (uint64_t)params_int(p, "size", 0);
	session_digest(params_str(p, "csum", ""), cl->msg.csum);
	w->closing = true;
	writer_queue(w, session_call_new(req, close_done, cl), close_run);
}

void
session_dynamic_close(struct request *req)
{
	close_index(req, ARCHIVE_DYNAMIC);
}

void
session_fixed_close(struct request *req)
{
	close_index(req, ARCHIVE_FIXED);
}
