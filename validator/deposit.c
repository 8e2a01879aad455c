/*
 * DEPOSIT: a chunk in the arena.  Runs in the validator's loop: the session's
 * checker copies and judges it, a store thread writes it from the checker's
 * arena, then the deposit log names it.  The worker may change the arena at any
 * time, and chooses numbers, blocks and lengths: blocks stay claimed until
 * the answer, so what was judged is what is written.
 */
#include "config.h"

#include "validator/session_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/format/blob.h"
#include "common/format/fixed_index.h"
#include "validator/checker.h"
#include "validator/peer.h"
#include "validator/store/chunk_store.h"
#include "validator/store/damage.h"
#include "validator/store/deposit_log.h"
#include "validator/store/layout.h"
#include "validator/task.h"
#include "validator/validator.h"

#define CHECKER_IDLE_S 10

struct deposit {
	struct session_req req;
	struct msg_DEPOSIT msg;
	struct digest digest;
	struct checker *checker; /* held from the verdict to the write */
	struct chunk_put put;
	bool retried;
	bool was_there; /* sent again: the log has it */
};

static void deposit_judge(struct deposit *d);

/* It has memory for the largest chunk; the next upload gets another one. */
static void
checker_on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	if (s->requests == 0)
		checker_release(&s->checker);
}

void
session_checker_idle(struct session *s)
{
	static const struct timeval tv = {CHECKER_IDLE_S, 0};

	if (s->idle != NULL)
		evtimer_add(s->idle, &tv);
}

void
session_checker_free(struct session *s)
{
	if (s->idle != NULL)
		event_free(s->idle);
	s->idle = NULL;
	checker_release(&s->checker);
}

struct checker *
session_checker(struct session *s, struct err *e)
{
	if (s->idle == NULL)
		s->idle = evtimer_new(s->v->base, checker_on_idle, s);
	if (s->idle == NULL)
		fatal("session", "no event");
	if (s->checker != NULL && !checker_is_dead(s->checker))
		return s->checker;
	if (s->checker != NULL) {
		checker_release(&s->checker);
		if (++s->checker_deaths > SESSION_CHECKER_DEATHS_MAX) {
			err_set(e, ERR_LIMIT,
			    "the checkers of this backup ended too often");
			return NULL;
		}
	}
	s->checker = checker_take(s->v->checkers, &s->arena, e);
	return s->checker;
}

static void
deposit_end(struct deposit *d)
{
	struct session *s = d->req.s;

	if (d->checker != NULL)
		checker_unhold(d->checker);
	arena_release(&s->arena_use, d->msg.block,
	    arena_blocks_for(d->msg.len));
	s->deposits_busy--;
	session_req_end(&d->req);
	free(d);
}

static void
deposit_fail(struct deposit *d, const struct err *why)
{
	struct session *s = d->req.s;

	if (!session_is_open(s))
		session_refuses(s, d->req.seq);
	else
		session_fail(s, d->req.seq, why);
	deposit_end(d);
}

/* --- 3. answered --- */

/* wire-protocol 4.4.1, 6 and 7: the writer's own rules and counts. */
static int
deposit_count(struct deposit *d, struct err *e)
{
	struct session *s = d->req.s;
	struct session_writer *w = session_writer_get(s, d->msg.writer);
	struct session_page_writer *pw;
	bool duplicate = d->put.result == CHUNK_PUT_DUPLICATE;

	if (w == NULL || !w->ready)
		return err_set(e, ERR_NOT_FOUND, "writer '%u' not registered",
		    d->msg.writer);
	if (w->closed)
		return err_set(e, ERR_BAD_STATE,
		    "%s writer '%u' not registered",
		    w->kind == INDEX_FIXED ? "fixed" : "dynamic", w->number);
	pw = &s->page->writers[w->number - 1];
	if (w->kind == INDEX_FIXED && d->msg.size < FIXED_INDEX_CHUNK_SIZE &&
	    !d->was_there && ++pw->short_chunks > 1)
		return err_set(e, ERR_INVALID,
		    "fixed writer '%u' - detected multiple end chunks (chunk "
		    "size too small)",
		    w->number);
	if (d->was_there)
		return 0;
	pw->uploads.count++;
	pw->uploads.size += d->msg.size;
	pw->uploads.compressed += d->put.stored_len;
	pw->uploads.duplicates += duplicate;
	s->page->uploads.count++;
	s->page->uploads.size += d->msg.size;
	s->page->uploads.compressed += d->put.stored_len;
	s->page->uploads.duplicates += duplicate;
	s->vs->metrics.uploads++;
	s->vs->metrics.upload_bytes += d->msg.size;
	s->vs->metrics.stored_bytes += duplicate ? 0 : d->put.stored_len;
	s->vs->metrics.duplicates += duplicate;
	return 0;
}

/* A duplicate may be the damaged file itself. */
static void
deposit_heal(struct deposit *d)
{
	struct session *s = d->req.s;
	const char *hex = STR_HEX(d->digest.b, DIGEST_LEN);

	if (d->was_there || d->put.result == CHUNK_PUT_DUPLICATE ||
	    !damage_heal(s->vs->damage, &d->digest))
		return;
	session_log_line(s,
	    "chunk %s, which was damaged or missing, is stored again", hex);
	log_info("session", "chunk %s is healed store=%s id=%016" PRIx64, hex,
	    s->vs->conf->title, s->id);
}

static void
deposit_stored(struct store_job *job)
{
	struct deposit *d = (struct deposit *)job;
	struct session *s = d->req.s;
	struct msg_DEPOSITED m = {
	    .duplicate = d->put.result == CHUNK_PUT_DUPLICATE,
	    .stored_len = (uint32_t)d->put.stored_len,
	};
	struct err e;

	if (d->req.rv == -1) {
		deposit_fail(d, &d->req.err);
		return;
	}
	deposit_heal(d);
	if (!session_is_open(s) || deposit_count(d, &e) == -1) {
		deposit_fail(d, &e);
		return;
	}
	if (s->flags & SESSION_FLAG_DEBUG)
		session_log_line(s, "upload_chunk done: %u bytes, %s",
		    d->msg.size, STR_HEX(d->digest.b, DIGEST_LEN));
	if (s->peer != NULL)
		PEER_SEND(s->peer, DEPOSITED, s->id, d->req.seq, &m, -1);
	deposit_end(d);
	validator_kill_point(s->v, "deposited");
}

/* --- 2. written --- */

static void
deposit_run(struct store_job *job)
{
	struct deposit *d = (struct deposit *)job;
	struct session *s = d->req.s;

	if (chunk_put(s->vs->store, &d->put, &d->req.err) == -1)
		return;
	d->req.rv = deposit_log_put(s->deposits_fd, d->msg.number, &d->digest,
	    d->msg.size, &d->req.err);
}

static void
deposit_judged(void *arg, const struct checker_verdict *v)
{
	struct deposit *d = arg;
	struct session *s = d->req.s;

	/* Another deposit killed the checker: try once more with the next. */
	if (v->err.code == ERR_UNAVAILABLE && !d->retried &&
	    session_is_open(s)) {
		d->retried = true;
		deposit_judge(d);
		return;
	}
	if (v->err.code != ERR_OK || !session_is_open(s)) {
		if (v->err.code != ERR_OK)
			session_audit(s, "verdict", &v->err);
		deposit_fail(d, &v->err);
		return;
	}
	checker_hold(s->checker);
	d->checker = s->checker;
	d->put.digest = d->digest;
	d->put.data = checker_at(d->checker, d->msg.block, v->out_len);
	d->put.len = v->out_len;
	d->put.size = d->msg.size;
	d->put.verified = v->verified;
	if (d->put.data == NULL || d->put.len < CHUNK_ENCODED_MIN) {
		struct err e;

		err_set(&e, ERR_CORRUPT, "checking the data failed");
		deposit_fail(d, &e);
		return;
	}
	session_req_submit(&d->req, &s->bulk, deposit_run, deposit_stored);
}

/* --- 1. judged --- */

static void
deposit_judge(struct deposit *d)
{
	struct checker *c;
	struct err e;

	c = session_checker(d->req.s, &e);
	if (c == NULL ||
	    checker_chunk(c, d->msg.block, d->msg.len, d->msg.size, &d->digest,
		deposit_judged, d, &e) == -1)
		deposit_fail(d, &e);
}

/* Sent again after a reconnect: the log may have it already. */
static void
again_run(struct store_job *job)
{
	struct deposit *d = (struct deposit *)job;
	struct digest have;
	uint32_t size;

	d->was_there = deposit_log_get(d->req.s->deposits_fd, d->msg.number,
			   &have, &size, &d->req.err) == 0 &&
	    digest_equal(&have, &d->digest) && size == d->msg.size;
	d->req.rv = 0;
}

static void
again_done(struct store_job *job)
{
	struct deposit *d = (struct deposit *)job;

	if (!session_is_open(d->req.s)) {
		deposit_fail(d, &d->req.err);
	} else if (d->was_there) {
		d->put.result = CHUNK_PUT_DUPLICATE;
		d->put.stored_len = d->msg.len;
		deposit_stored(job);
	} else {
		deposit_judge(d);
	}
}

static int
deposit_check(struct session *s, const struct msg_DEPOSIT *m, struct err *e)
{
	if (s->kind != SESSION_KIND_BACKUP || m->len < CHUNK_ENCODED_MIN ||
	    m->len > BLOB_ENCODED_MAX || m->size == 0 ||
	    m->size > CHUNK_RAW_MAX)
		return err_set(e, ERR_PROTO, "impossible deposit");
	if (s->deposits_busy >= SESSION_CREDIT_SLOTS)
		return err_set(e, ERR_PROTO, "no credit for a deposit");
	return 0;
}

int
val_on_deposit(void *ctx, struct ipc_msg *m)
{
	struct session *s = peer_session_of(ctx, m);
	struct msg_DEPOSIT msg;
	struct session_writer *w;
	struct deposit *d;
	struct err e;

	if (s == NULL || PEER_GET(m, DEPOSIT, &msg) == -1 ||
	    deposit_check(s, &msg, &m->err) == -1)
		return -1;
	if (session_refuses_change(s, m->seq))
		return 0;
	if (msg.number > s->page->deposits || msg.number == UINT32_MAX)
		return err_set(&m->err, ERR_PROTO, "deposits have a hole");
	w = session_writer_get(s, msg.writer);
	if (w != NULL && w->kind == INDEX_FIXED &&
	    msg.size > FIXED_INDEX_CHUNK_SIZE) {
		if (msg.number == s->page->deposits)
			s->page->deposits++;
		err_set(&e, ERR_INVALID,
		    "fixed writer '%u' - got large chunk (%u > %u", w->number,
		    msg.size, FIXED_INDEX_CHUNK_SIZE);
		session_fail(s, m->seq, &e);
		return 0;
	}
	if (arena_claim(&s->arena_use, msg.block, arena_blocks_for(msg.len)) ==
	    -1)
		return err_set(&m->err, ERR_PROTO, "blocks are not free");
	d = xcalloc(1, sizeof(*d));
	if (session_change_begin(s, m, &d->req) == -1) {
		arena_release(&s->arena_use, msg.block,
		    arena_blocks_for(msg.len));
		free(d);
		return -1;
	}
	d->msg = msg;
	memcpy(d->digest.b, msg.digest, DIGEST_LEN);
	s->deposits_busy++;
	if (msg.number == s->page->deposits) {
		s->page->deposits++;
		deposit_judge(d);
	} else {
		session_req_submit(&d->req, &s->bulk, again_run, again_done);
	}
	return 0;
}
