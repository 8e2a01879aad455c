/*
 * Index writers of a backup (wire-protocol 4.5) and its end (4.7): the client
 * names digests, the worker says where the validator will find each, and the
 * validator looks for itself.  Runs in a worker.
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

static void
reply(struct session_call *c, const struct err *e)
{
	if (c->req == NULL)
		return;
	if (e != NULL)
		request_reply_err(c->req, e);
	else
		request_reply_json(c->req, NULL);
}

/* --- create ------------------------------------------------------------- */

static void
create_done(struct session_call *c, struct vclient_reply *r,
    const struct err *e)
{
	unsigned int wid = *(unsigned int *)c->data;

	(void)r;
	if (e == NULL)
		c->s->writers[wid].open = true;
	if (c->req == NULL)
		return;
	if (e != NULL)
		request_reply_err(c->req, e);
	else
		request_reply_json(c->req, json_new_u64(wid));
}

static int
check_archive(struct session *s, const char *name, enum archive_kind kind,
    struct err *e)
{
	enum archive_kind is;
	unsigned int i;

	if (archive_name_parse(name, &is, NULL) == -1 || is != kind)
		return err_set(e, ERR_INVALID, "wrong archive extension: '%s'",
		    name);
	if (s->writers_n == IPC_WRITERS_MAX)
		return err_set(e, ERR_LIMIT, "too many archives in a backup");
	for (i = 1; i <= s->writers_n; i++)
		if (s->writers[i].open && strcmp(s->writers[i].name, name) == 0)
			return err_set(e, ERR_EXISTS,
			    "archive '%s' was opened in this backup before",
			    name);
	return 0;
}

static void
create(struct request *req, enum archive_kind kind)
{
	const char *name = params_str(&req->params, "archive-name", "");
	const char *csum = params_str(&req->params, "reuse-csum", NULL);
	struct session *s = session_of(req);
	struct msg_INDEX_CREATE m = {.kind = (uint8_t)kind};
	struct session_writer *w;
	struct digest d;
	unsigned int *wid;
	struct err e;

	if (session_can_change(s, req) == -1)
		return;
	if (check_archive(s, name, kind, &e) == -1) {
		request_reply_err(req, &e);
		return;
	}
	wid = xcalloc(1, sizeof(*wid));
	*wid = ++s->writers_n;
	w = &s->writers[*wid];
	w->kind = kind;
	snprintf(w->name, sizeof(w->name), "%s", name);
	m.writer = (uint16_t)*wid;
	snprintf(m.name, sizeof(m.name), "%s", name);
	m.size = (uint64_t)params_int(&req->params, "size", 0);
	if (csum != NULL &&
	    digest_from_hex(&d, csum, strlen(csum), NULL) == 0) {
		m.reuse = 1;
		memcpy(m.reuse_csum, d.b, sizeof(m.reuse_csum));
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

/* --- append ------------------------------------------------------------- */

/*
 * One PUT: its entries go in as many messages as they need, one at a time,
 * so that the entries in front of a failing one are appended.
 */
struct append {
	struct session_writer *w;
	uint16_t wid;
	size_t total; /* entries of the request that can be resolved */
	size_t done;
	struct err late;   /* why the next one cannot be; code ERR_OK: none */
	uint8_t entries[]; /* encoded */
};

static void append_next(struct session_call *c);

static void
append_finish(struct session_call *c, const struct err *e)
{
	struct append *a = c->data;

	a->w->busy = false;
	if (e == NULL && a->late.code != ERR_OK)
		e = &a->late;
	reply(c, e);
}

static void
append_done(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct session_call *c = arg;
	struct append *a = c->data;

	if (e == NULL) {
		a->done += r->appended->count - a->w->count;
		a->w->count = r->appended->count;
		if (a->done < a->total) {
			append_next(c);
			return;
		}
	} else {
		/* Some entries of it may have been taken. */
		a->w->stuck = true;
	}
	if (c->req != NULL) {
		c->req->state = NULL;
		c->req->cancel = NULL;
	}
	append_finish(c, e);
	free(c->data);
	free(c);
}

static void
append_next(struct session_call *c)
{
	struct append *a = c->data;
	struct msg_APPEND m = {.writer = a->wid, .first = a->w->count};
	size_t n = a->total - a->done;

	if (n > IPC_APPEND_ENTRIES_MAX)
		n = IPC_APPEND_ENTRIES_MAX;
	m.count = (uint32_t)n;
	m.entries = a->entries + a->done * IPC_APPEND_ENTRY_LEN;
	m.entries_len = (uint32_t)(n * IPC_APPEND_ENTRY_LEN);
	vclient_append(c->s->v, &m, append_done, c);
}

/* Where the writer stands, after a failure in the middle of a message. */
static void
append_asked(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct session_call *c = arg;
	struct append *a = c->data;

	if (e == NULL) {
		a->w->stuck = false;
		a->w->count = r->appended->count;
		append_next(c);
		return;
	}
	append_done(c, NULL, e);
}

/* Encodes entry i of the request; -1: not a chunk that may be referred to. */
static int
encode_entry(struct session *s, struct wire_w *w, const struct params *p,
    size_t i, struct err *e)
{
	const char *hex = params_str_at(p, "digest-list", i);
	struct known_source source;
	struct digest d;

	digest_from_hex(&d, hex, strlen(hex), NULL);
	if (!known_get(&s->known, &d, &source))
		return err_set(e, ERR_INVALID, "no such chunk %s", hex);
	wire_w_u64(w, (uint64_t)params_int_at(p, "offset-list", i));
	wire_w_u32(w, source.file);
	wire_w_u32(w, source.position);
	wire_w_bytes(w, d.b, sizeof(d.b));
	return 0;
}

static void
append(struct request *req, enum archive_kind kind)
{
	const struct params *p = &req->params;
	size_t n = params_count(p, "digest-list"), i;
	size_t offsets = params_count(p, "offset-list");
	struct session *s = session_of(req);
	struct session_writer *writer;
	struct append *a;
	struct session_call *c;
	struct wire_w w;
	struct err e = {0};

	if (session_can_change(s, req) == -1)
		return;
	writer = session_writer_get(s, params_int(p, "wid", 0), kind, &e);
	if (n != offsets)
		err_set(&e, ERR_INVALID,
		    "offset list has wrong length (%zu != %zu)", n, offsets);
	else if (writer != NULL && writer->busy)
		err_set(&e, ERR_BAD_STATE,
		    "%s writer '%s' is still at work on a request before",
		    kind == ARCHIVE_FIXED ? "fixed" : "dynamic", writer->name);
	if (e.code != ERR_OK) {
		request_reply_err(req, &e);
		return;
	}
	a = xcalloc(1, sizeof(*a) + n * IPC_APPEND_ENTRY_LEN);
	a->w = writer;
	a->wid = (uint16_t)params_int(p, "wid", 0);
	wire_w_init(&w, a->entries, n * IPC_APPEND_ENTRY_LEN);
	for (i = 0; i < n; i++)
		if (encode_entry(s, &w, p, i, &a->late) == -1)
			break;
	a->total = i;
	if (a->total == 0) {
		if (a->late.code != ERR_OK)
			request_reply_err(req, &a->late);
		else
			request_reply_json(req, NULL);
		free(a);
		return;
	}
	writer->busy = true;
	c = session_call_new(req, NULL, a);
	if (writer->stuck)
		vclient_append(s->v,
		    &(struct msg_APPEND){.writer = a->wid,
			.entries = a->entries},
		    append_asked, c);
	else
		append_next(c);
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

static void
close_done(struct session_call *c, struct vclient_reply *r, const struct err *e)
{
	struct session_writer *w = *(struct session_writer **)c->data;

	(void)r;
	w->busy = false;
	/* A failed close keeps the writer, so that finish is refused. */
	if (e == NULL)
		w->open = false;
	reply(c, e);
}

static void
close_index(struct request *req, enum archive_kind kind)
{
	const struct params *p = &req->params;
	const char *csum = params_str(p, "csum", "");
	struct session *s = session_of(req);
	struct session_writer *w, **data;
	struct msg_INDEX_CLOSE m = {
	    .writer = (uint16_t)params_int(p, "wid", 0),
	    .count = (uint64_t)params_int(p, "chunk-count", 0),
	    .size = (uint64_t)params_int(p, "size", 0),
	};
	struct digest d;
	struct err e;

	if (session_can_change(s, req) == -1)
		return;
	w = session_writer_get(s, params_int(p, "wid", 0), kind, &e);
	if (w != NULL && w->busy) {
		err_set(&e, ERR_BAD_STATE,
		    "%s writer '%s' close failed - still at work",
		    kind == ARCHIVE_FIXED ? "fixed" : "dynamic", w->name);
		w = NULL;
	}
	if (w == NULL) {
		request_reply_err(req, &e);
		return;
	}
	digest_from_hex(&d, csum, strlen(csum), NULL);
	memcpy(m.csum, d.b, sizeof(m.csum));
	data = xmalloc(sizeof(*data));
	*data = w;
	w->busy = true;
	vclient_index_close(s->v, &m, session_call_done,
	    session_call_new(req, close_done, data));
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

/* --- finish ------------------------------------------------------------- */

/* FINISH_WAIT comes any number of times before the end. */
static void
finish_done(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct session_call *c = arg;

	if (e == NULL && r->type == MSG_ID_FINISH_WAIT)
		return;
	c->s->finishing = false;
	c->s->finished = e == NULL;
	if (c->req != NULL) {
		c->req->state = NULL;
		c->req->cancel = NULL;
	}
	reply(c, e);
	free(c);
}

void
session_finish(struct request *req)
{
	struct session *s = session_of(req);
	struct msg_FINISH m = {0};
	struct err e;
	unsigned int i;

	if (session_can_change(s, req) == -1)
		return;
	for (i = 1; i <= s->writers_n; i++) {
		if (!s->writers[i].open)
			continue;
		err_set(&e, ERR_BAD_STATE,
		    "found open index writer - unable to finish backup");
		request_reply_err(req, &e);
		return;
	}
	s->finishing = true;
	vclient_finish(s->v, &m, finish_done,
	    session_call_new(req, NULL, NULL));
}
