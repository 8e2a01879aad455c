/*
 * Sessions: their states, their ends, and the table of them.  Runs in the
 * validator's loop.  A session is driven by a worker that may be hostile: it
 * can end its own session in any way, and must not be able to keep a lock, a
 * folder or memory by doing so.
 */
#include "config.h"

#include "validator/session_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/audit.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "validator/checker.h"
#include "validator/finish.h"
#include "validator/peer.h"
#include "validator/reuse.h"
#include "validator/store/layout.h"
#include "validator/store/lockdb.h"
#include "validator/store/session_dir.h"
#include "validator/task.h"
#include "validator/validator.h"

static const char *const state_names[SESSION_STATE_COUNT] = {
    [SESSION_OPENING] = "opening",
    [SESSION_OPEN] = "open",
    [SESSION_AWAY] = "away",
    [SESSION_FINISHING] = "finishing",
    [SESSION_FINISHED] = "finished",
    [SESSION_ABORTED] = "aborted",
    [SESSION_CLOSED] = "closed",
};

static const char finishing[] =
    "backup is already in the process of finishing.";

#define TO(state) (1u << SESSION_##state)
static const unsigned int state_next[SESSION_STATE_COUNT] = {
    [SESSION_OPENING] = TO(OPEN) | TO(ABORTED) | TO(CLOSED),
    [SESSION_OPEN] = TO(FINISHING) | TO(ABORTED) | TO(CLOSED) |
	TO(FINISHED) /* a benchmark */,
    [SESSION_AWAY] = TO(OPEN) | TO(ABORTED) | TO(CLOSED) | TO(FINISHED),
    [SESSION_FINISHING] = TO(OPEN) | TO(FINISHED) | TO(ABORTED),
    [SESSION_FINISHED] = TO(CLOSED),
    [SESSION_ABORTED] = TO(CLOSED),
    [SESSION_CLOSED] = 0,
};
#undef TO

const char *
session_state_str(enum session_state state)
{
	return state_names[state];
}

void
session_set_state(struct session *s, enum session_state next)
{
	if ((state_next[s->state] & 1u << next) == 0)
		fatal("session", "state %s after %s", state_names[next],
		    state_names[s->state]);
	s->state = next;
}

uint64_t
session_id(const struct session *s)
{
	return s->id;
}

void
session_what(const struct session *s, char *dst, size_t dst_size)
{
	snprintf(dst, dst_size, "%s by %s",
	    s->kind == SESSION_KIND_BACKUP ? "backup" : "reader", s->auth_id);
}

/* --- making and freeing --- */

struct session *
session_new(struct sessions *ss, struct vstore *vs, uint64_t id,
    enum session_kind kind, enum session_state state)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->sessions = ss;
	s->v = ss->v;
	s->vs = vs;
	s->id = id;
	s->kind = kind;
	s->state = state;
	s->base_fd = s->dir_fd = s->run_fd = s->deposits_fd = -1;
	s->arena.fd = -1;
	if (vs->pool != NULL) {
		store_flow_init(&s->strand, vs->pool, STORE_CLASS_IO, 1);
		store_flow_init(&s->bulk, vs->pool, STORE_CLASS_IO, 0);
		store_flow_init(&s->stat, vs->pool, STORE_CLASS_STAT, 0);
		store_flow_init(&s->sync, vs->pool, STORE_CLASS_SYNC, 1);
	}
	TAILQ_INSERT_TAIL(&ss->list, s, entry);
	ss->n++;
	vs->nsessions++;
	return s;
}

/* What lies in the store or belongs to threads: closing may block, so a
 * cleanup job does it, except when the process ends. */
static void
session_close_files(struct session *s)
{
	uint32_t i;

	for (i = 0; i < s->nfiles; i++)
		session_file_free(s->files[i]);
	s->nfiles = 0;
	for (i = 0; i <= IPC_WRITERS_MAX; i++) {
		session_writer_free(s->writers[i]);
		s->writers[i] = NULL;
	}
	session_page_close(&s->page);
	io_close(&s->base_fd);
	io_close(&s->dir_fd);
	io_close(&s->run_fd);
	io_close(&s->deposits_fd);
}

void
session_free(struct session *s)
{
	session_check_free(s);
	finish_free(s);
	session_close_files(s);
	session_checker_free(s);
	arena_fini(&s->arena);
	arena_use_fini(&s->arena_use);
	s->vs->nsessions--;
	s->sessions->n--;
	TAILQ_REMOVE(&s->sessions->list, s, entry);
	free(s);
}

static void
cleanup_run(struct store_job *job)
{
	struct session *s =
	    (struct session *)((char *)job - offsetof(struct session, cleanup));
	struct err e;

	session_close_files(s);
	if (s->kind != SESSION_KIND_BACKUP)
		return;
	if (session_dir_remove(s->vs->store, s->id, &e) == -1)
		log_warn_e("session", &e,
		    "cannot remove the folder id=%016" PRIx64, s->id);
	if (session_run_dir_remove(s->sessions->run_fd, s->id, &e) == -1)
		log_warn_e("session", &e,
		    "cannot remove the state id=%016" PRIx64, s->id);
}

static void
cleanup_done(struct store_job *job)
{
	struct session *s =
	    (struct session *)((char *)job - offsetof(struct session, cleanup));

	session_unhold(s);
}

/* Once nothing uses it any more: what must be closed and removed, then the
 * session itself. */
static void
session_try_end(struct session *s)
{
	if (s->holds > 0)
		return;
	if (s->cleaned) {
		if (s->state == SESSION_CLOSED)
			session_free(s);
		return;
	}
	s->cleaned = true;
	session_check_free(s);
	reuse_free(&s->reuse); /* points into the files */
	finish_free(s);
	session_checker_free(s);
	arena_fini(&s->arena);
	s->cleanup.run = cleanup_run;
	s->cleanup.done = cleanup_done;
	session_hold(s);
	if (s->vs->pool != NULL)
		store_job_submit(&s->strand, &s->cleanup);
	else
		session_unhold(s); /* a refused store: nothing is open */
}

void
session_hold(struct session *s)
{
	s->holds++;
}

void
session_unhold(struct session *s)
{
	if (s->holds == 0)
		fatal("session", "not held");
	s->holds--;
	if (s->sessions->suspended)
		return;
	if (s->state == SESSION_CLOSED || s->state == SESSION_ABORTED ||
	    s->state == SESSION_FINISHED)
		session_try_end(s);
}

/* --- requests --- */

int
session_req_begin(struct session *s, struct ipc_msg *m, struct session_req *r)
{
	if (s->requests >= SESSION_REQUESTS_MAX)
		return err_set(&m->err, ERR_PROTO, "too many requests");
	s->requests++;
	session_hold(s);
	r->s = s;
	r->seq = m->seq;
	r->rv = -1;
	err_set(&r->err, ERR_ABORTED, "session ended");
	return 0;
}

int
session_change_begin(struct session *s, struct ipc_msg *m,
    struct session_req *r)
{
	if (session_req_begin(s, m, r) == -1)
		return -1;
	r->changes = true;
	s->changes++;
	return 0;
}

void
session_req_end(struct session_req *r)
{
	if (r->changes)
		r->s->changes--;
	if (--r->s->requests == 0)
		session_checker_idle(r->s);
	session_unhold(r->s);
}

void
session_req_submit(struct session_req *r, struct store_flow *flow,
    void (*run)(struct store_job *job), void (*done)(struct store_job *job))
{
	r->rv = -1;
	err_set(&r->err, ERR_ABORTED, "session ended");
	r->job.run = run;
	r->job.done = done;
	store_job_submit(flow, &r->job);
}

void
session_fail(struct session *s, uint64_t seq, const struct err *why)
{
	if (s->peer != NULL)
		peer_send_fail(s->peer, s->id, seq, why);
	if (why->code == ERR_POISONED)
		sessions_store_poisoned(s->sessions, s->vs, why);
}

bool
session_is_open(const struct session *s)
{
	return s->state == SESSION_OPEN && !s->sessions->suspended;
}

bool
session_refuses(struct session *s, uint64_t seq)
{
	struct err e;

	switch (s->state) {
	case SESSION_OPEN:
		if (!s->benchmark_done)
			return false;
		/* FALLTHROUGH */
	case SESSION_FINISHED:
		err_set(&e, ERR_BAD_STATE,
		    "backup already marked as finished.");
		break;
	case SESSION_FINISHING:
		err_set(&e, ERR_BAD_STATE, "%s", finishing);
		break;
	case SESSION_ABORTED:
		e = s->why;
		break;
	case SESSION_OPENING:
	case SESSION_AWAY:
	case SESSION_CLOSED:
	case SESSION_STATE_COUNT:
	default:
		err_set(&e, ERR_BAD_STATE, "session is not open");
		break;
	}
	session_fail(s, seq, &e);
	return true;
}

bool
session_refuses_change(struct session *s, uint64_t seq)
{
	struct err e;

	if (session_refuses(s, seq))
		return true;
	if (!finish_is_under_way(s))
		return false;
	err_set(&e, ERR_BAD_STATE, "%s", finishing);
	session_fail(s, seq, &e);
	return true;
}

/* --- ends --- */

int
session_save(struct session *s, struct err *e)
{
	struct lockdb_session rec = {
	    .id = s->id,
	    .kind = s->kind,
	    .state = (uint32_t)s->state,
	    .flags = s->flags,
	    .ns = s->ns,
	    .snap = s->snap,
	    .base_time = s->base_time,
	    .started = s->started,
	    .worker_pid = s->worker_pid,
	    .check_state = s->check_missing,
	};
	struct lockdb_txn *t;

	memcpy(rec.resume_hash, s->resume_hash, sizeof(rec.resume_hash));
	snprintf(rec.store, sizeof(rec.store), "%s", s->vs->conf->title);
	snprintf(rec.auth_id, sizeof(rec.auth_id), "%s", s->auth_id);
	snprintf(rec.peer, sizeof(rec.peer), "%s", s->peer_text);
	if (s->task != NULL)
		snprintf(rec.upid, sizeof(rec.upid), "%s", task_upid(s->task));
	if (lockdb_begin(s->v->locks, true, &t, e) == -1)
		return -1;
	lockdb_session_put(t, &rec, NULL);
	return lockdb_commit(&t, e);
}

int
session_drop_record(struct session *s, enum err_code code, const char *text,
    struct err *e)
{
	struct lockdb_tombstone tomb = {
	    .id = s->id,
	    .expiry_ms = io_boottime_ms() + 2 * s->v->conf.resume_time,
	    .code = (uint32_t)code,
	};
	struct lockdb_txn *t;

	memcpy(tomb.resume_hash, s->resume_hash, sizeof(tomb.resume_hash));
	if (text != NULL)
		snprintf(tomb.text, sizeof(tomb.text), "%s", text);
	if (lockdb_begin(s->v->locks, true, &t, e) == -1)
		return -1;
	lockdb_session_end(t, s->id, text != NULL ? &tomb : NULL, NULL);
	return lockdb_commit(&t, e);
}

static void
session_count_end(struct session *s, enum metrics_end end)
{
	struct metrics_store *m = &s->vs->metrics;

	if (s->kind == SESSION_KIND_READER)
		m->readers[end]++;
	else
		m->backups[end]++;
}

/* Common to all ends: nothing starts any more, what runs stops soon. */
static void
session_wind_down(struct session *s)
{
	session_check_stop(s);
	if (s->vs->pool == NULL)
		return;
	store_flow_cancel(&s->strand);
	store_flow_cancel(&s->bulk);
	store_flow_cancel(&s->stat);
}

void
sessions_use(const struct sessions *ss, const char *auth_id,
    struct session_use *out)
{
	size_t len = strcspn(auth_id, "!");
	const struct session *s;

	memset(out, 0, sizeof(*out));
	TAILQ_FOREACH(s, &ss->list, entry) {
		if (s->state == SESSION_FINISHED ||
		    s->state == SESSION_ABORTED || s->state == SESSION_CLOSED ||
		    strcspn(s->auth_id, "!") != len ||
		    memcmp(s->auth_id, auth_id, len) != 0)
			continue;
		out->sessions++;
		if (s->kind == SESSION_KIND_BACKUP)
			out->inflight += s->v->conf.arena_size;
	}
}

void
session_audit(const struct session *s, const char *event, const struct err *why)
{
	char id[24];

	snprintf(id, sizeof(id), "%016" PRIx64, s->id);
	audit_add(s->v->audit, event, "outcome", why == NULL ? "ok" : "refused",
	    "reason", why == NULL ? NULL : why->msg, "kind",
	    s->kind == SESSION_KIND_READER ? "reader" : "backup", "session", id,
	    "auth-id", s->auth_id, "peer", s->peer_text, "store",
	    s->vs->conf->title, "ns", s->ns.name, "target", s->snap_text, NULL);
}

void
session_abort(struct session *s, const struct err *why)
{
	struct msg_ABORTED m = {.code = (uint16_t)why->code};
	struct err e;

	if (s->state == SESSION_ABORTED || s->state == SESSION_CLOSED ||
	    s->sessions->suspended)
		return;
	log_info("session",
	    "aborted: %s id=%016" PRIx64 " store=%s snapshot=%s user=%s",
	    why->msg, s->id, s->vs->conf->title, s->snap_text,
	    STR_VIS(s->auth_id));
	session_audit(s, "session-abort", why);
	s->why = *why;
	session_set_state(s, SESSION_ABORTED);
	session_count_end(s, METRICS_ABORTED);
	if (session_drop_record(s, why->code, why->msg, &e) == -1)
		log_err_e("session", &e, "cannot free the locks id=%016" PRIx64,
		    s->id);
	session_log_line(s, "%s failed: %s",
	    s->kind == SESSION_KIND_READER ? "reader" : "backup",
	    STR_VIS(why->msg));
	task_end(&s->task, why);
	if (s->peer != NULL) {
		memcpy(m.text, why->msg, sizeof(why->msg));
		PEER_SEND(s->peer, ABORTED, s->id, 0, &m, -1);
	}
	session_wind_down(s);
	/* Whose worker is gone is asked for nothing more; one that comes back
	 * finds the tombstone. */
	if (s->peer == NULL)
		session_set_state(s, SESSION_CLOSED);
	session_hold(s);
	session_unhold(s);
}

/* What the task log says of an end without finish. */
static void
session_end_task(struct session *s, const struct err *why)
{
	struct err e;

	if (s->kind == SESSION_KIND_READER) {
		session_log_line(s, "reader finished");
		task_end(&s->task, NULL);
		return;
	}
	if (s->flags & SESSION_FLAG_BENCHMARK) {
		session_log_line(s, "benchmark finished successfully");
		task_end(&s->task, NULL);
		return;
	}
	if (why->code == ERR_OK || why->code == ERR_ABORTED) {
		err_set(&e, ERR_ABORTED,
		    "backup ended but finished flag is not set.");
		session_log_line(s, "backup ended and finish failed: %s",
		    e.msg);
	} else {
		e = *why;
		session_log_line(s, "backup failed: %s", STR_VIS(e.msg));
	}
	session_log_line(s, "removing unfinished backup");
	task_end(&s->task, &e);
}

void
session_close(struct session *s, const struct err *why)
{
	enum session_state was = s->state;
	struct err e;

	if (was == SESSION_CLOSED || s->sessions->suspended)
		return;
	session_set_state(s, SESSION_CLOSED);
	if (was != SESSION_FINISHED && was != SESSION_ABORTED) {
		if (session_drop_record(s, ERR_ABORTED, NULL, &e) == -1)
			log_err_e("session", &e,
			    "cannot free the locks id=%016" PRIx64, s->id);
		session_count_end(s,
		    s->kind == SESSION_KIND_READER ||
			    s->flags & SESSION_FLAG_BENCHMARK
			? METRICS_FINISHED
			: METRICS_LEFT);
		session_end_task(s, why);
		session_wind_down(s);
	}
	session_hold(s);
	session_unhold(s);
}

void
session_finished(struct session *s)
{
	session_set_state(s, SESSION_FINISHED);
	session_count_end(s, METRICS_FINISHED);
	session_wind_down(s);
	/* The record is gone; with no worker there is nobody to answer. */
	if (s->peer == NULL)
		session_set_state(s, SESSION_CLOSED);
	session_hold(s);
	session_unhold(s);
}

void
session_peer_gone(struct session *s, const struct err *why)
{
	s->peer = NULL;
	switch (s->state) {
	case SESSION_FINISHING:
		finish_peer_gone(s);
		break;
	case SESSION_OPENING:
	case SESSION_OPEN:
	case SESSION_FINISHED:
	case SESSION_ABORTED:
		finish_cancel(s);
		session_close(s, why);
		break;
	case SESSION_AWAY:
	case SESSION_CLOSED:
	case SESSION_STATE_COUNT:
	default:
		break;
	}
}

int
session_stop(struct session *s, const struct err *why, struct err *e)
{
	if (s->state == SESSION_FINISHED || s->state == SESSION_CLOSED ||
	    s->state == SESSION_ABORTED)
		return err_set(e, ERR_BAD_STATE, "session is %s already",
		    session_state_str(s->state));
	if (finish_cancel(s))
		return 0; /* the commit decides which of the two came first */
	session_abort(s, why);
	return 0;
}

/* --- messages --- */

int
val_on_session_log(void *ctx, struct ipc_msg *m)
{
	struct session *s = peer_session_of(ctx, m);
	struct msg_SESSION_LOG msg;
	char text[4 * IPC_TEXT_MAX + 1];

	if (s == NULL || PEER_GET(m, SESSION_LOG, &msg) == -1)
		return -1;
	session_log_line(s, "%s", str_vis(text, sizeof(text), msg.text));
	return 0;
}

int
val_on_session_close(void *ctx, struct ipc_msg *m)
{
	struct session *s = peer_session_of(ctx, m);
	struct msg_SESSION_CLOSE msg;
	struct err why;

	if (s == NULL || PEER_GET(m, SESSION_CLOSE, &msg) == -1)
		return -1;
	/* About to end: the successor gets it again, from a worker that was not
	 * answered, and frees the session then. */
	if (s->sessions->suspended)
		return 0;
	if (msg.clean)
		err_clear(&why);
	else
		err_set(&why, ERR_IO, "%s", STR_VIS(msg.text));
	peer_send_done(ctx, s->id, m->seq);
	peer_detach(ctx);
	session_peer_gone(s, &why);
	return 0;
}

/* --- the table --- */

struct session *
sessions_get(struct sessions *ss, uint64_t id)
{
	struct session *s;

	TAILQ_FOREACH(s, &ss->list, entry)
		if (s->id == id)
			return s;
	return NULL;
}

unsigned int
sessions_count(const struct sessions *ss)
{
	return ss->n;
}

void
sessions_each(struct sessions *ss, int (*fn)(void *arg, struct session *s),
    void *arg)
{
	struct session *s, *next;

	for (s = TAILQ_FIRST(&ss->list); s != NULL; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (fn(arg, s) != 0)
			return;
	}
}

void
sessions_store_poisoned(struct sessions *ss, struct vstore *vs,
    const struct err *why)
{
	struct session *s, *next;

	for (s = TAILQ_FIRST(&ss->list); s != NULL; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (s->vs == vs && s->kind == SESSION_KIND_BACKUP &&
		    s->state == SESSION_OPEN && !finish_cancel(s))
			session_abort(s, why);
	}
}

void
session_get_info(const struct session *s, struct session_info *out)
{
	memset(out, 0, sizeof(*out));
	out->id = s->id;
	out->is_backup = s->kind == SESSION_KIND_BACKUP;
	out->state = s->state;
	out->store = s->vs->conf->title;
	out->ns = s->ns.name;
	out->snapshot = s->snap_text;
	out->auth_id = s->auth_id;
	out->peer = s->peer_text;
	out->upid = s->task != NULL ? task_upid(s->task) : "";
	out->started = s->started;
	out->worker_pid = s->worker_pid;
	if (s->reuse != NULL) {
		out->check = reuse_state_str(reuse_state(s->reuse));
		out->checked = reuse_checked(s->reuse);
		out->left = reuse_left(s->reuse);
		out->missing = reuse_missing_count(s->reuse);
	}
	if (s->page != NULL && !s->cleaned) {
		out->deposits = s->page->uploads.count;
		out->bytes = s->page->uploads.size;
	}
}
