/*
 * FINISH: from an open session to its commit (finish.h), steps (1) and (2).
 * Runs in the validator's loop, the disk's part in the store's threads.  The
 * worker only asks; whether the backup is whole is decided here.
 */
#include "config.h"

#include "validator/finish_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "validator/manifest_ask.h"
#include "validator/peer.h"
#include "validator/reuse.h"
#include "validator/store/layout.h"
#include "validator/store/lost.h"
#include "validator/store/poison.h"
#include "validator/store/snapshot.h"
#include "validator/task.h"
#include "validator/validator.h"

/* Which phase may follow which; NONE again after a refusal. */
static const unsigned int phase_next[FINISH_PHASE_COUNT] = {
    [FINISH_NONE] = 1u << FINISH_WAIT | 1u << FINISH_COMMIT,
    [FINISH_WAIT] = 1u << FINISH_MANIFEST | 1u << FINISH_NONE,
    [FINISH_MANIFEST] = 1u << FINISH_COMMIT | 1u << FINISH_NONE,
    [FINISH_COMMIT] = 1u << FINISH_DONE | 1u << FINISH_NONE,
    [FINISH_DONE] = 0,
};

void
finish_set_phase(struct session *s, enum finish_phase next)
{
	struct finish *f = s->finish;

	if ((phase_next[f->phase] & 1u << next) == 0)
		fatal("finish", "phase %d after %d", (int)next, (int)f->phase);
	f->phase = next;
	if (s->page != NULL)
		s->page->phase = (uint32_t)next;
}

static void
finish_tell_left(struct session *s)
{
	struct finish *f = s->finish;
	struct msg_FINISH_WAIT m = {.left = reuse_left(s->reuse)};

	if (m.left != f->last_left)
		session_log_line(s,
		    "waiting for the check of %" PRIu64 " reused chunks",
		    m.left);
	f->last_left = m.left;
	if (s->peer != NULL && f->asked)
		PEER_SEND(s->peer, FINISH_WAIT, s->id, f->seq, &m, -1);
}

static void
finish_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct session *s = ctx;
	struct timeval tv = {FINISH_WAIT_MS / 1000, 0};

	(void)fd;
	(void)what;
	session_hold(s);
	reuse_progress(s->reuse);
	if (s->finish->phase == FINISH_WAIT) {
		finish_tell_left(s);
		event_add(s->finish->timer, &tv);
	}
	session_unhold(s);
}

struct finish *
finish_new(struct session *s)
{
	struct finish *f = s->finish = xcalloc(1, sizeof(*f));

	f->manifest_fd = f->look_fd = -1;
	f->timer = evtimer_new(s->v->base, finish_tick, s);
	if (f->timer == NULL)
		fatal("finish", "no event");
	return f;
}

void
finish_free(struct session *s)
{
	struct finish *f = s->finish;

	s->finish = NULL;
	if (f == NULL)
		return;
	if (f->timer != NULL)
		event_free(f->timer);
	manifest_ask_free(&f->ask);
	io_close(&f->manifest_fd);
	lost_watch_end(&f->commit.watch);
	io_close(&f->look_fd);
	free(f);
}

void
finish_refuse(struct session *s, const struct err *why)
{
	struct finish *f = s->finish;

	event_del(f->timer);
	manifest_ask_free(&f->ask);
	io_close(&f->manifest_fd);
	lost_watch_end(&f->commit.watch);
	atomic_store(&s->check_urgent, false);
	reuse_unjoin(s->reuse);
	finish_set_phase(s, FINISH_NONE);
	session_log_line(s, "finish failed: %s", STR_VIS(why->msg));
	if (f->asked)
		session_fail(s, f->seq, why);
	f->asked = false;
}

void
finish_run(struct session *s, struct store_flow *flow,
    void (*run)(struct store_job *job), void (*done)(struct store_job *job))
{
	struct finish *f = s->finish;

	f->req.s = s;
	session_hold(s);
	session_req_submit(&f->req, flow, run, done);
}

struct session *
finish_step_done(struct store_job *job, struct finish **f_out)
{
	struct session_req *r = (struct session_req *)job;
	struct session *s = r->s;

	*f_out = s->finish;
	return s;
}

bool
finish_is_over(struct session *s)
{
	return s->sessions->suspended || s->finish->cancelled ||
	    !session_is_open(s);
}

/* --- (2) --- */

static void
manifest_write(struct store_job *job)
{
	struct session_req *r = (struct session_req *)job;
	struct session *s = r->s;
	struct finish *f = s->finish;

	r->rv = snap_file_write(s->vs->store, s->dir_fd, MANIFEST_NAME, f->data,
	    f->len, false, &r->err);
}

static void
manifest_written(struct store_job *job)
{
	struct finish *f;
	struct session *s = finish_step_done(job, &f);

	manifest_ask_free(&f->ask);
	if (!finish_is_over(s)) {
		if (f->req.rv == -1)
			finish_refuse(s, &f->req.err);
		else
			finish_commit(s);
	}
	session_unhold(s);
}

static void
manifest_changed(void *arg, const struct checker_manifest *m,
    const uint8_t *out)
{
	struct session *s = arg;
	struct finish *f = s->finish;
	struct err e;

	if (!finish_is_over(s)) {
		f->len = m->out_len;
		f->data = out;
		if (m->err.code == ERR_OK && f->data != NULL) {
			finish_run(s, &s->strand, manifest_write,
			    manifest_written);
		} else {
			err_set(&e, ERR_INVALID,
			    "unable to update manifest blob - %.300s",
			    m->err.msg);
			finish_refuse(s, &e);
		}
	}
	session_unhold(s);
}

static void
manifest_open(struct store_job *job)
{
	struct session_req *r = (struct session_req *)job;
	struct session *s = r->s;
	struct backup_snapshot base = {s->snap.group, s->base_time};
	char text[SNAPSHOT_STR_MAX + 1];
	uint64_t size;
	int there = 1;

	s->finish->manifest_fd =
	    snap_file_open(s->dir_fd, MANIFEST_NAME, &size, &r->err);
	if (s->finish->manifest_fd == -1) {
		/* A file that the client forgot is no wrong path (404). */
		if (r->err.code == ERR_NO_FILE)
			r->err.code = ERR_NOT_FOUND;
		err_wrap(&r->err, "unable to update manifest blob - %s",
		    MANIFEST_NAME);
		return;
	}
	if (s->base_time != 0)
		there = snap_dir_exists(s->vs->store, &s->ns, &base, &r->err);
	if (there == 0) {
		snapshot_to_str(&base, text);
		err_set(&r->err, ERR_INVALID,
		    "base snapshot %s was removed during backup, cannot "
		    "finish as chunks might be missing",
		    text);
	}
	r->rv = there == 1 ? 0 : -1;
}

static void
manifest_opened(struct store_job *job)
{
	struct finish *f;
	struct session *s = finish_step_done(job, &f);
	struct checker_op op = {.op = MANIFEST_OP_STATS};
	struct err e;

	if (finish_is_over(s)) {
		session_unhold(s);
		return;
	}
	op.stats.count = s->page->uploads.count;
	op.stats.size = s->page->uploads.size;
	op.stats.compressed_size = s->page->uploads.compressed;
	op.stats.duplicates = s->page->uploads.duplicates;
	if (f->req.rv == 0) {
		f->ask = manifest_ask_new(s->v->checkers, NULL, f->manifest_fd,
		    &op, manifest_changed, s, &e);
		if (f->ask != NULL)
			return; /* held on */
	}
	finish_refuse(s, f->req.rv == 0 ? &e : &f->req.err);
	session_unhold(s);
}

/* --- (1) --- */

void
finish_joined(struct session *s)
{
	struct finish *f = s->finish;

	event_del(f->timer);
	finish_set_phase(s, FINISH_MANIFEST);
	validator_kill_point(s->v, "finish-2");
	finish_run(s, &s->strand, manifest_open, manifest_opened);
}

bool
finish_is_under_way(const struct session *s)
{
	return s->finish != NULL && s->finish->phase != FINISH_NONE;
}

/* wire-protocol 4.7.1 */
int
finish_check(struct session *s, struct err *e)
{
	unsigned int i;

	for (i = 1; i <= IPC_WRITERS_MAX; i++)
		if (s->writers[i] != NULL && !s->writers[i]->closed)
			return err_set(e, ERR_BAD_STATE,
			    "found open index writer - unable to finish "
			    "backup");
	if (s->page->files == 0)
		return err_set(e, ERR_BAD_STATE,
		    "backup does not contain valid files (file count == 0)");
	if (s->changes > 0)
		return err_set(e, ERR_BAD_STATE,
		    "requests of this backup are still in work");
	return store_state_check(s->vs->store->state, e);
}

static void
finish_start(struct session *s, uint64_t seq)
{
	struct finish *f = s->finish != NULL ? s->finish : finish_new(s);
	struct timeval tv = {FINISH_WAIT_MS / 1000, 0};
	struct err e;

	if (finish_check(s, &e) == -1) {
		session_fail(s, seq, &e);
		return;
	}
	f->asked = true;
	f->seq = seq;
	f->last_left = 0;
	finish_set_phase(s, FINISH_WAIT);
	validator_kill_point(s->v, "finish-1");
	session_hold(s);
	atomic_store(&s->check_urgent, true);
	reuse_join(s->reuse);
	if (s->finish->phase == FINISH_WAIT && session_is_open(s)) {
		finish_tell_left(s);
		event_add(f->timer, &tv);
	}
	session_unhold(s);
}

/* --- ends from outside --- */

bool
finish_cancel(struct session *s)
{
	struct finish *f = s->finish;

	if (f == NULL || f->phase == FINISH_NONE || f->phase == FINISH_DONE)
		return false;
	if (f->phase == FINISH_COMMIT) {
		f->cancelled = true;
		err_set(&f->stop_why, ERR_ABORTED, "task aborted");
		atomic_store(&f->commit.cancel, true);
		return true;
	}
	f->cancelled = true;
	atomic_store(&f->commit.cancel, true);
	event_del(f->timer);
	atomic_store(&s->check_urgent, false);
	if (f->phase == FINISH_WAIT)
		reuse_unjoin(s->reuse);
	return false;
}

void
finish_peer_gone(struct session *s)
{
	s->finish->asked = false;
}

/* --- the message --- */

/* The snapshot of a benchmark is never kept; its end is the answer. */
static void
finish_benchmark(struct session *s, uint64_t seq)
{
	struct msg_FINISHED m = {0};

	s->benchmark_done = true;
	PEER_SEND(s->peer, FINISHED, s->id, seq, &m, -1);
}

int
val_on_finish(void *ctx, struct ipc_msg *m)
{
	struct session *s = peer_session_of(ctx, m);
	struct msg_FINISH msg;
	struct msg_FINISHED done = {0};

	if (s == NULL || PEER_GET(m, FINISH, &msg) == -1)
		return -1;
	if (s->kind != SESSION_KIND_BACKUP)
		return err_set(&m->err, ERR_PROTO, "a reader cannot finish");
	if (s->state == SESSION_FINISHED) {
		PEER_SEND(s->peer, FINISHED, s->id, m->seq, &done, -1);
	} else if (s->state == SESSION_FINISHING && !s->finish->asked) {
		s->finish->asked = true;
		s->finish->seq = m->seq;
	} else if (!session_refuses_change(s, m->seq)) {
		if (s->flags & SESSION_FLAG_BENCHMARK)
			finish_benchmark(s, m->seq);
		else
			finish_start(s, m->seq);
	}
	return 0;
}
