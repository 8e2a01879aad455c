/*
 * The validator client's requests: kept encoded, in their first order, from
 * the moment they are made until they are answered, so that they can be sent
 * again to a validator that was restarted.  Runs in a worker under its uid.
 */
#include "config.h"

#include "server/vclient_int.h"

#include <stdlib.h>

#include <event2/event.h>

#include "common/io.h"
#include "common/mem.h"

#define NOTES_MAX 64 /* lines that wait for a validator */

static bool
req_of_session(const struct vclient_req *req)
{
	return req->scope == VCLIENT_SCOPE_SESSION ||
	    req->scope == VCLIENT_SCOPE_NOTE;
}

/* Takes it out of the list of what is unanswered. */
static void
req_unlink(struct vclient_req *req)
{
	struct vclient *v = req->v;

	TAILQ_REMOVE(&v->reqs, req, entry);
	v->pending--;
	if (req->scope == VCLIENT_SCOPE_NOTE)
		v->notes--;
}

static void
req_free(struct vclient_req *req)
{
	io_close(&req->fd);
	mem_wipe_free(req->body, req->len); /* grants are in there */
	free(req->why);
	free(req);
}

/* For one that is in no list; the callback comes from the loop. */
static void
req_fail(struct vclient_req *req, const struct err *why)
{
	req->why = xmemdup(why, sizeof(*why));
	TAILQ_INSERT_TAIL(&req->v->failed, req, entry);
	event_active(req->v->kick, EV_TIMEOUT, 0);
}

static struct vclient_req *
req_find(struct vclient *v, uint64_t seq)
{
	struct vclient_req *req;

	TAILQ_FOREACH(req, &v->reqs, entry) {
		if (req->seq == seq && req->sent)
			return req;
	}
	return NULL;
}

void
vclient_pump(struct vclient *v)
{
	struct vclient_req *req, *next;
	struct err e;

	if (v->state != VCLIENT_STATE_UP)
		return;
	for (req = TAILQ_FIRST(&v->reqs); req != NULL; req = next) {
		next = TAILQ_NEXT(req, entry);
		if (req->sent)
			continue;
		if (ipc_is_full(v->ipc))
			return;
		/* After a failure the endpoint closes itself from the loop. */
		if (ipc_send_fds(v->ipc, req->type,
			req_of_session(req) ? v->session_id : 0, req->seq,
			req->body, req->len, &req->fd, req->fd != -1, &e) == -1)
			return;
		req->sent = true;
		if (req->scope == VCLIENT_SCOPE_NOTE) {
			req_unlink(req);
			req_free(req);
		}
	}
}

static uint64_t
scope_deadline(enum vclient_scope scope)
{
	if (scope == VCLIENT_SCOPE_CALL)
		return io_monotonic_ms() + VCLIENT_CALL_WAIT_MS;
	if (scope == VCLIENT_SCOPE_OPEN)
		return io_monotonic_ms() + VCLIENT_OPEN_WAIT_MS;
	return 0; /* the session's own limit */
}

struct vclient_req *
vclient_request(struct vclient *v, uint16_t type, enum vclient_scope scope,
    const struct wire_w *body, int fd, vclient_done_fn *done, void *arg)
{
	struct vclient_req *req;
	struct err e;
	ssize_t len = wire_w_len(body);

	req = xcalloc(1, sizeof(*req));
	req->v = v;
	req->seq = ++v->last_seq;
	req->type = type;
	req->scope = scope;
	req->fd = fd;
	req->done = done;
	req->arg = arg;
	req->deadline_ms = scope_deadline(scope);
	if (len == -1) {
		err_set(&e, ERR_INVALID, "%s: value too long", msg_name(type));
		req_fail(req, &e);
		return req;
	}
	if (req_of_session(req) && v->session != VCLIENT_SESSION_OPEN) {
		req_fail(req, &v->why);
		return req;
	}
	req->body = xmemdup(body->start, (size_t)len);
	req->len = (size_t)len;
	v->pending++;
	TAILQ_INSERT_TAIL(&v->reqs, req, entry);
	if (scope == VCLIENT_SCOPE_NOTE) {
		v->notes++;
		req = NULL; /* it may be gone when it is sent */
	}
	vclient_pump(v);
	vclient_arm(v);
	return req;
}

void
vclient_cancel(struct vclient_req *req)
{
	req->done = NULL;
}

size_t
vclient_pending(const struct vclient *v)
{
	return v->pending;
}

void
vclient_session_log(struct vclient *v, const struct msg_SESSION_LOG *m)
{
	struct wire_w w;

	if (v->session != VCLIENT_SESSION_OPEN || v->notes >= NOTES_MAX)
		return;
	wire_w_init(&w, v->scratch, sizeof(v->scratch));
	if (msg_put_SESSION_LOG(&w, m) == 0)
		vclient_request(v, MSG_ID_SESSION_LOG, VCLIENT_SCOPE_NOTE, &w,
		    -1, NULL, NULL);
}

/* ---- failing ---- */

void
vclient_fail_session_reqs(struct vclient *v, const struct err *why)
{
	struct vclient_req *req, *next;

	for (req = TAILQ_FIRST(&v->reqs); req != NULL; req = next) {
		next = TAILQ_NEXT(req, entry);
		if (req_of_session(req)) {
			req_unlink(req);
			req_fail(req, why);
		}
	}
}

void
vclient_reqs_lost(struct vclient *v)
{
	struct vclient_req *req, *next;
	struct err e;

	err_set(&e, ERR_UNAVAILABLE,
	    "the validator was restarted, please try again");
	for (req = TAILQ_FIRST(&v->reqs); req != NULL; req = next) {
		next = TAILQ_NEXT(req, entry);
		if (!req_of_session(req) && req->sent) {
			/* Nobody knows whether it was carried out. */
			req_unlink(req);
			req_fail(req, &e);
		}
		req->sent = false;
	}
}

uint64_t
vclient_reqs_expire(struct vclient *v, uint64_t now_ms)
{
	struct vclient_req *req, *next;
	struct err e;
	uint64_t first = 0;

	err_set(&e, ERR_UNAVAILABLE,
	    "the validator does not answer, please try again later");
	for (req = TAILQ_FIRST(&v->reqs); req != NULL; req = next) {
		next = TAILQ_NEXT(req, entry);
		if (req->sent || req->deadline_ms == 0)
			continue;
		if (req->deadline_ms <= now_ms) {
			req_unlink(req);
			req_fail(req, &e);
		} else if (first == 0 || req->deadline_ms < first)
			first = req->deadline_ms;
	}
	return first;
}

void
vclient_reqs_tell(struct vclient *v)
{
	struct vclient_req *req;

	while ((req = TAILQ_FIRST(&v->failed)) != NULL) {
		TAILQ_REMOVE(&v->failed, req, entry);
		if (req->done != NULL)
			req->done(req->arg, NULL, req->why);
		req_free(req);
	}
}

void
vclient_reqs_forget(struct vclient *v)
{
	struct vclient_req *req;

	while ((req = TAILQ_FIRST(&v->reqs)) != NULL) {
		req_unlink(req);
		req_free(req);
	}
	while ((req = TAILQ_FIRST(&v->failed)) != NULL) {
		TAILQ_REMOVE(&v->failed, req, entry);
		req_free(req);
	}
}

/* ---- answers ---- */

int
vclient_on_fail(struct vclient *v, uint64_t seq, const struct err *why,
    struct err *e)
{
	struct vclient_req *req;

	if (v->state != VCLIENT_STATE_UP)
		return vclient_on_refused(v, why, e);
	if ((req = req_find(v, seq)) == NULL)
		return err_set(e, ERR_PROTO, "FAIL for no request");
	req_unlink(req);
	if (req->done != NULL)
		req->done(req->arg, NULL, why);
	req_free(req);
	return 0;
}

int
vclient_on_answer(struct vclient *v, uint64_t seq, uint64_t session,
    struct vclient_reply *r, struct err *e)
{
	static const struct msg_SESSION_CLOSE unwanted = {
	    .text = "the client was gone before the session was there",
	};
	struct vclient_req *req = req_find(v, seq);

	if (req == NULL || !vclient_is_answer(req->type, r->type))
		return err_set(e, ERR_PROTO, "%s for %s", msg_name(r->type),
		    req != NULL ? msg_name(req->type) : "no request");
	if (req->type == MSG_ID_SESSION_OPEN &&
	    vclient_on_opened(v, session, r, e) == -1)
		return -1;
	if (r->type == MSG_ID_FINISH_WAIT) {
		if (req->done != NULL)
			req->done(req->arg, r, NULL);
		return 0; /* the answer is still to come */
	}
	req_unlink(req);
	if (req->done != NULL)
		req->done(req->arg, r, NULL);
	else if (req->type == MSG_ID_SESSION_OPEN)
		vclient_session_close(v, &unwanted, NULL, NULL);
	req_free(req);
	return 0;
}
