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
/* A client may fail as often as it likes, but not fill the task log. */
#define LOG_RATE 5
#define LOG_BURST 200

struct session_opening {
	struct event_base *base;
	struct vclient *v;
	struct vclient_req *req;
	session_opened_fn *opened;
	void *arg;
};

void
session_free(struct session *s)
{
	known_fini(&s->known);
	if (s->kind == SESSION_KIND_BACKUP) {
		credit_fini(&s->credit);
		event_free(s->idle);
	}
	arena_fini(&s->arena);
	io_close(&s->speedtest_fd);
	free(s);
}

static void
on_aborted(void *arg, const struct err *why)
{
	struct session *s = arg;

	s->aborted = true;
	s->err = *why;
	log_warn_e(LOG_SUB, why, "session aborted");
	session_fail_uploads(s, why);
}

static void
on_resumed(void *arg, uint32_t credit_slots)
{
	struct session *s = arg;

	log_info(LOG_SUB, "session resumed");
	if (s->kind == SESSION_KIND_BACKUP)
		credit_set_slots(&s->credit, credit_slots);
}

static struct session *
session_new(struct session_opening *o, enum session_kind kind, const char *upid)
{
	struct vclient_session_cb cb = {
	    .aborted = on_aborted,
	    .resumed = on_resumed,
	};
	struct session *s;

	s = xcalloc(1, sizeof(*s));
	s->base = o->base;
	s->v = o->v;
	s->kind = kind;
	s->arena.fd = -1;
	s->speedtest_fd = -1;
	snprintf(s->upid, sizeof(s->upid), "%s", upid);
	known_init(&s->known);
	TAILQ_INIT(&s->uploads);
	token_bucket_init(&s->log_rate, LOG_RATE, LOG_BURST, io_monotonic_ms());
	cb.arg = s;
	vclient_session_attach(o->v, &cb);
	return s;
}

/* The vclient has a duplicate of the descriptor for a resume. */
static int
session_begin_backup(struct session_opening *o, struct vclient_reply *r,
    struct session **out, struct err *e)
{
	const struct msg_BACKUP_READY *m = r->backup_ready;
	struct arena arena;
	struct session *s;
	int fd = r->fd;

	r->fd = -1;
	if (arena_map(&arena, fd, ARENA_BLOCKS_MAX, 1, e) == -1)
		return -1;
	arena_fd_close(&arena);
	if (arena.nblocks != m->arena_blocks || m->credit_slots == 0) {
		arena_fini(&arena);
		return err_set(e, ERR_PROTO, "arena of a wrong size");
	}
	s = session_new(o, SESSION_KIND_BACKUP, m->upid);
	s->arena = arena;
	s->base_time = m->base_time;
	credit_init(&s->credit, arena.nblocks, m->credit_slots);
	s->idle = evtimer_new(s->base, session_on_idle, s);
	if (s->idle == NULL)
		fatal(LOG_SUB, "cannot make a timer");
	*out = s;
	return 0;
}

static void
on_open_reply(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct session_opening *o = arg;
	struct msg_SESSION_CLOSE close = {.clean = 0};
	struct session *s = NULL;
	struct err why;

	if (r != NULL && r->type == MSG_ID_SESSION_READY) {
		s = session_new(o, SESSION_KIND_READER, r->session_ready->upid);
	} else if (r != NULL && session_begin_backup(o, r, &s, &why) == -1) {
		snprintf(close.text, sizeof(close.text), "%s", why.msg);
		vclient_session_close(o->v, &close, NULL, NULL);
		e = &why;
	}
	o->opened(o->arg, s, e);
	free(o);
}

struct session_opening *
session_open(struct event_base *base, struct vclient *v,
    const struct msg_SESSION_OPEN *m, session_opened_fn *opened, void *arg)
{
	struct session_opening *o = xcalloc(1, sizeof(*o));

	o->base = base;
	o->v = v;
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
	vclient_session_close(s->v, &m, on_closed, end);
}

/* --- what the calls share ----------------------------------------------- */

void
session_digest(const char *hex, uint8_t out[DIGEST_LEN])
{
	struct digest d;

	if (digest_from_hex(&d, hex, strlen(hex), NULL) == -1)
		fatal(LOG_SUB, "a digest was not checked");
	memcpy(out, d.b, DIGEST_LEN);
}

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
	session_writer_unknown(wid, kind, e);
	return NULL;
}

int
session_writer_unknown(int64_t wid, enum archive_kind kind, struct err *e)
{
	return err_set(e, ERR_INVALID, "%s writer '%lld' not registered",
	    kind == ARCHIVE_FIXED ? "fixed" : "dynamic", (long long)wid);
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

struct request *
session_call_take(struct session_call *c)
{
	struct request *req = c->req;

	if (req != NULL) {
		req->state = NULL;
		req->cancel = NULL;
	}
	c->req = NULL;
	return req;
}

void
session_call_free(struct session_call *c)
{
	session_call_take(c);
	free(c->data);
	free(c);
}

void
session_call_done(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct session_call *c = arg;

	c->done(c, r, e);
	session_call_free(c);
}
