/*
 * The commit of a backup: steps (3) to (8) of finish (finish.h).  Runs in the
 * validator's loop, the disk's part in the store's threads.  The worker has no
 * say in it any more.  Chunks that a verification finds damaged meanwhile are
 * compared with the new indexes, once before and once more at the rename.
 */
#include "config.h"

#include "validator/finish_int.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/io.h"
#include "common/log.h"
#include "common/str.h"
#include "validator/jobs/verify.h"
#include "validator/peer.h"
#include "validator/reuse.h"
#include "validator/store/damage.h"
#include "validator/store/layout.h"
#include "validator/store/lost.h"
#include "validator/store/verified.h"
#include "validator/task.h"
#include "validator/validator.h"

/* --- (7) and (8) --- */

static void
finish_done(struct session *s)
{
	struct finish *f = s->finish;
	struct msg_FINISHED m = {0};
	struct err e;

	finish_set_phase(s, FINISH_DONE);
	validator_kill_point(s->v, "finish-7");
	/* The log first: once the record is gone, nobody would end it. */
	session_log_line(s, "successfully finished backup");
	session_log_line(s, "backup finished successfully");
	task_end(&s->task, NULL);
	if (session_drop_record(s, ERR_OK, "", &e) == -1)
		log_err_e("finish", &e, "cannot free the locks id=%016" PRIx64,
		    s->id);
	validator_kill_point(s->v, "finish-8");
	session_audit(s, "session-finish", NULL);
	log_info("session",
	    "finished id=%016" PRIx64 " store=%s snapshot=%s user=%s", s->id,
	    s->vs->conf->title, s->snap_text, STR_VIS(s->auth_id));
	if (s->peer != NULL && f->asked)
		PEER_SEND(s->peer, FINISHED, s->id, f->seq, &m, -1);
	if (s->vs->conf->verify_new)
		verify_new(s->v->verifier, s->vs, &s->ns, &s->snap, s->auth_id);
	session_finished(s);
}

/* --- (4) to (6) --- */

/* Marks the base, then aborts the session. */
static void
commit_lost(struct session *s)
{
	if (s->reuse == NULL) /* after a restart */
		session_check_init(s);
	reuse_lost(s->reuse, &s->finish->commit.hit);
}

static void
publish_run(struct store_job *job)
{
	struct session_req *r = (struct session_req *)job;
	struct session *s = r->s;

	r->rv = session_dir_commit(s->vs->store, s->id, &s->ns, &s->snap,
	    &s->finish->commit, &r->err);
}

/* Not committed, and nothing of it is there: open again, unless it was
 * stopped or the store is poisoned. */
static void
commit_failed(struct session *s, const struct err *why)
{
	struct finish *f = s->finish;
	struct err e;

	if (f->cancelled) {
		session_abort(s, &f->stop_why);
		return;
	}
	if (f->commit.published || why->code == ERR_POISONED ||
	    s->dir_fd == -1) {
		if (why->code == ERR_POISONED)
			sessions_store_poisoned(s->sessions, s->vs, why);
		session_abort(s, why);
		return;
	}
	session_set_state(s, SESSION_OPEN);
	if (session_save(s, &e) == -1)
		log_err_e("finish", &e, "cannot save id=%016" PRIx64, s->id);
	finish_refuse(s, why);
	if (s->peer == NULL)
		session_close(s, why);
}

static void
publish_done(struct store_job *job)
{
	struct finish *f;
	struct session *s = finish_step_done(job, &f);

	if (f->req.rv == 0)
		finish_done(s);
	else if (s->sessions->suspended)
		; /* it was told already */
	else if (f->commit.is_lost)
		commit_lost(s);
	else
		commit_failed(s, &f->req.err);
	session_unhold(s);
}

static void
commit_publish(struct session *s)
{
	finish_run(s, &s->sync, publish_run, publish_done);
}

/* --- (3) --- */

static void
commit_begin(struct session *s)
{
	struct err e;

	if (finish_check(s, &e) == -1) { /* nothing came since it began */
		finish_refuse(s, &e);
		return;
	}
	finish_set_phase(s, FINISH_COMMIT);
	validator_kill_point(s->v, "finish-3");
	session_set_state(s, SESSION_FINISHING);
	if (session_save(s, &e) == -1) {
		session_set_state(s, SESSION_OPEN);
		finish_refuse(s, &e);
		return;
	}
	validator_kill_point(s->v, "finish-4");
	commit_publish(s);
}

/* --- what was lost before --- */

/* A slice: of an index of millions, in a store of which so much is lost that
 * each chunk is looked at, all of them take minutes. */
static void
look_run(struct store_job *job)
{
	struct session_req *r = (struct session_req *)job;
	struct session *s = r->s;
	struct finish *f = s->finish;
	int rv;

	if (f->look_fd == -1)
		f->look_fd = session_dir_open(s->vs->store, s->id, &r->err);
	if (f->look_fd == -1) {
		/* Renamed before a restart, perhaps: the next step knows. */
		r->rv = r->err.code == ERR_NOT_FOUND ? 0 : -1;
		return;
	}
	rv = lost_watch_look(f->commit.watch, f->look_fd, &f->commit.cancel,
	    &job->again, &f->commit.hit, &r->err);
	f->commit.is_lost = rv == 1;
	r->rv = rv == -1 || job->again ? -1 : 0;
}

static void
look_done(struct store_job *job)
{
	struct finish *f;
	struct session *s = finish_step_done(job, &f);
	bool begun = f->phase == FINISH_COMMIT;

	io_close(&f->look_fd);
	if (f->req.rv == 0)
		s->damage_seen = f->overflows;
	if (begun ? s->sessions->suspended : finish_is_over(s))
		; /* it was told already */
	else if (f->commit.is_lost)
		commit_lost(s);
	else if (f->req.rv == -1)
		(begun ? commit_failed : finish_refuse)(s, &f->req.err);
	else
		(begun ? commit_publish : commit_begin)(s);
	session_unhold(s);
}

/* A verification may have found a chunk bad after it was checked or taken for
 * a duplicate.  From here on the watch is told. */
static void
commit_look(struct session *s)
{
	struct finish *f = s->finish;
	struct digest *known;
	size_t n;
	bool all;

	f->overflows = damage_overflows(s->vs->damage);
	all = f->overflows != s->damage_seen;
	if (all)
		session_log_line(s,
		    "many chunks were found damaged or missing meanwhile, so "
		    "all of this backup are looked at");
	known = damage_dup(s->vs->damage, &n);
	f->commit.is_lost = false;
	f->commit.watch = lost_watch_begin(s->vs->store, known, n, all);
	free(known);
	finish_run(s, &s->strand, look_run, look_done);
}

/* --- begin --- */

/* A snapshot of that name may have been verified before it was removed; this
 * one may be to be verified, which nothing that happens now must forget. */
static void
begin_run(struct store_job *job)
{
	struct session_req *r = (struct session_req *)job;
	struct session *s = r->s;

	r->rv = verified_begin(s->v->verified, s->vs->store->name, &s->ns,
	    &s->snap, s->finish->verify_new, s->auth_id, &r->err);
}

static void
begin_done(struct store_job *job)
{
	struct finish *f;
	struct session *s = finish_step_done(job, &f);

	if (!finish_is_over(s)) {
		/* No reason to lose a backup: it waits for its verification
		 * in memory too. */
		if (f->req.rv == -1 && f->req.err.code == ERR_NOSPACE) {
			log_err_e("finish", &f->req.err,
			    "cannot record a new snapshot store=%s",
			    s->vs->conf->title);
			f->req.rv = 0;
		}
		if (f->req.rv == -1)
			finish_refuse(s, &f->req.err);
		else
			commit_look(s);
	}
	session_unhold(s);
}

void
finish_commit(struct session *s)
{
	s->finish->verify_new = s->vs->conf->verify_new != 0;
	finish_run(s, &s->v->verified_flow, begin_run, begin_done);
}

/* Unless it is published already, it is compared with what was lost before
 * the restart. */
void
finish_continue(struct session *s)
{
	finish_new(s);
	finish_set_phase(s, FINISH_COMMIT);
	commit_look(s);
}
