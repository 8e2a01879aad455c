/*
 * A session of this worker: opening it with the validator, its end, and what
 * both kinds share.  Runs in a worker; believes the validator, distrusts the
 * client.
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
#include "server/session_http.h"
#include "server/vclient.h"

#define LOG_SUB "session"

struct session_opening {
	struct event_base *base;
	struct vclient *v;
	struct vclient_req *req;
	uint32_t flags;
	session_opened_fn *opened;
	void *arg;
};

static void
session_free(struct session *s)
{
	known_fini(&s->known);
	credit_fini(&s->credit);
	arena_fini(&s->arena);
	free(s);
}

static void
on_aborted(void *arg, const struct err *why)
{
	struct session *s = arg;

	s->aborted = true;
	s->err = *why;
	log_warn_e(LOG_SUB, why, "session aborted");
	if (s->on_abort != NULL)
		s->on_abort(s->on_abort_arg, why);
}

static void
on_resumed(void *arg, uint32_t credit_slots)
{
	struct session *s = arg;

	log_info(LOG_SUB, "session resumed");
	if (s->kind == SESSION_KIND_BACKUP)
		credit_set_slots(&s->credit, credit_slots);
}

static int
begin_backup(struct session *s, struct vclient_reply *r, struct err *e)
{
	const struct msg_BACKUP_READY *m = r->backup_ready;
	int fd = r->fd;

	r->fd = -1;
	if (arena_map(&s->arena, fd, m->arena_blocks, 1, e) == -1)
		return -1;
	snprintf(s->upid, sizeof(s->upid), "%s", m->upid);
	s->base_time = m->base_time;
	credit_init(&s->credit, s->arena.nblocks, m->credit_slots);
	return 0;
}

static void
on_open_reply(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct session_opening *o = arg;
	struct session *s = NULL;
	struct vclient_session_cb cb;
	struct err why = {0};

	if (e != NULL) {
		why = *e;
	} else {
		s = xcalloc(1, sizeof(*s));
		s->base = o->base;
		s->v = o->v;
		s->arena.fd = -1;
		s->benchmark = (o->flags & SESSION_FLAG_BENCHMARK) != 0;
		known_init(&s->known);
		s->kind = r->type == MSG_ID_BACKUP_READY ? SESSION_KIND_BACKUP
							 : SESSION_KIND_READER;
		if (s->kind == SESSION_KIND_READER) {
			snprintf(s->upid, sizeof(s->upid), "%s",
			    r->session_ready->upid);
		} else if (begin_backup(s, r, &why) == -1) {
			session_free(s);
			s = NULL;
		}
	}
	if (s != NULL) {
		cb = (struct vclient_session_cb){.aborted = on_aborted,
		    .resumed = on_resumed,
		    .arg = s};
		vclient_session_attach(o->v, &cb);
	}
	o->opened(o->arg, s, s != NULL ? NULL : &why);
	free(o);
}

struct session_opening *
session_open(struct event_base *base, struct vclient *v,
    const struct msg_SESSION_OPEN *m, session_opened_fn *opened, void *arg)
{
	struct session_opening *o = xcalloc(1, sizeof(*o));

	o->base = base;
	o->v = v;
	o->flags = m->flags;
	o->opened = opened;
	o->arg = arg;
	o->req = vclient_session_open(v, m, on_open_reply, o);
	return o;
}

void
session_open_cancel(struct session_opening *o)
{
	vclient_cancel(o->req);
	free(o);
}

enum session_kind
session_kind_of(const struct session *s)
{
	return s->kind;
}

const char *
session_upid(const struct session *s)
{
	return s->upid;
}

struct ending {
	struct session *s;
	void (*ended)(void *arg);
	void *arg;
};

static void
on_closed(void *arg)
{
	struct ending end = *(struct ending *)arg;

	free(arg);
	session_free(end.s);
	end.ended(end.arg);
}

void
session_end(struct session *s, int clean, const char *text,
    void (*ended)(void *arg), void *arg)
{
	struct msg_SESSION_CLOSE m = {.clean = (uint8_t)(clean != 0)};
	struct ending *end = xcalloc(1, sizeof(*end));

	snprintf(m.text, sizeof(m.text), "%s", text);
	*end = (struct ending){.s = s, .ended = ended, .arg = arg};
	s->on_abort = NULL;
	vclient_session_close(s->v, &m, on_closed, end);
}

/* --- what the calls share ----------------------------------------------- */

int
session_can_change(struct session *s, struct request *req)
{
	struct err e;

	if (!s->finishing && !s->finished)
		return 0;
	err_set(&e, ERR_BAD_STATE,
	    s->finished ? "backup already marked as finished."
			: "backup is already in the process of finishing.");
	request_reply_err(req, &e);
	return -1;
}

struct session_writer *
session_writer_get(struct session *s, int64_t wid, enum archive_kind kind,
    struct err *e)
{
	struct session_writer *w;

	if (wid >= 1 && wid <= IPC_WRITERS_MAX) {
		w = &s->writers[wid];
		if (w->open && w->kind == kind)
			return w;
	}
	err_set(e, ERR_INVALID, "%s writer '%lld' not registered",
	    kind == ARCHIVE_FIXED ? "fixed" : "dynamic", (long long)wid);
	return NULL;
}

/* The client gave up; the validator's answer is still awaited. */
static void
call_cancelled(struct request *req)
{
	struct session_call *c = req->state;

	c->req = NULL;
}

struct session_call *
session_call_new(struct request *req,
    void (*done)(struct session_call *c, struct vclient_reply *r,
	const struct err *e),
    void *data)
{
	struct session_call *c = xcalloc(1, sizeof(*c));

	c->s = session_of(req);
	c->req = req;
	c->data = data;
	c->done = done;
	req->state = c;
	req->cancel = call_cancelled;
	return c;
}

void
session_call_done(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct session_call *c = arg;

	if (c->req != NULL) {
		c->req->state = NULL;
		c->req->cancel = NULL;
	}
	c->done(c, r, e);
	free(c->data);
	free(c);
}
