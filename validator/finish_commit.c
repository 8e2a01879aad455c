/*
 * The commit of a backup: steps (3) to (8) of finish (finish.h).  Runs in the
 * validator's loop, the disk's part in the store's threads.  The worker has no
 * say in it any more.  Chunks that a verification finds damaged meanwhile are
 * compared with the new indexes, until none is left at the rename.
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
#include "validator/store/chunk_store.h"
#include "validator/store/damage.h"
#include "validator/store/layout.h"
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

static void commit_compare(struct session *s);

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
	else if (f->commit.stale && !s->sessions->suspended)
		commit_compare(s);
	else if (!s->sessions->suspended)
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

/* --- what was lost meanwhile --- */

static void
compare_run(struct store_job *job)
{
	struct session_req *r = (struct session_req *)job;
	struct session *s = r->s;
	struct finish *f = s->finish;
	int fd, rv = -1;

	if (f->nlost == 0 && !f->look_at_all) {
		r->rv = 0;
		return;
	}
	fd = session_dir_open(s->vs->store, s->id, &r->err);
	if (fd != -1)
		rv = damage_find_reference(s->vs->store, fd, f->lost, f->nlost,
		    &f->commit.cancel, &f->hit, &r->err);
	io_close(&fd);
	r->rv = rv == -1 ? -1 : 0;
	f->is_lost = rv == 1;
}

/* Marks the base, then aborts the session. */
static void
commit_lost(struct session *s)
{
	if (s->reuse == NULL) /* after a restart */
		session_check_init(s);
	reuse_lost(s->reuse, &s->finish->hit);
}

static void
compare_done(struct store_job *job)
{
	struct finish *f;
	struct session *s = finish_step_done(job, &f);
	bool begun = f->phase == FINISH_COMMIT;

	free(f->lost);
	f->lost = NULL;
	f->nlost = 0;
	if (f->req.rv == 0)
		s->damage_seen = f->overflows;
	if (begun ? s->sessions->suspended : finish_is_over(s))
		; /* it was told already */
	else if (f->is_lost)
		commit_lost(s);
	else if (f->req.rv == -1)
		(begun ? commit_failed : finish_refuse)(s, &f->req.err);
	else
		(begun ? commit_publish : commit_begin)(s);
	session_unhold(s);
}

/* A verification may have found a chunk bad after it was checked or taken for
 * a duplicate.  Before the commit, and again when that was too late. */
static void
commit_compare(struct session *s)
{
	struct finish *f = s->finish;

	f->is_lost = false;
	f->commit.lost_seen = chunk_lost_count(s->vs->store);
	f->overflows = damage_overflows(s->vs->damage);
	f->look_at_all = f->overflows != s->damage_seen;
	if (f->look_at_all)
		session_log_line(s,
		    "many chunks were found damaged or missing meanwhile, so "
		    "all of this backup are looked at");
	else
		f->lost = damage_dup(s->vs->damage, &f->nlost);
	finish_run(s, &s->strand, compare_run, compare_done);
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
			commit_compare(s);
	}
	session_unhold(s);
}

void
finish_commit(struct session *s)
{
	s->finish->verify_new = s->vs->conf->verify_new != 0;
	s->finish->commit.synced = false;
	finish_run(s, &s->v->verified_flow, begin_run, begin_done);
}

/* Unless it is published already, it is compared with what was lost before
 * the restart. */
void
finish_continue(struct session *s)
{
	struct finish *f = finish_new(s);

	finish_set_phase(s, FINISH_COMMIT);
	f->commit.lost_seen = damage_count(s->vs->damage) > 0 ||
		damage_is_overflowed(s->vs->damage)
	    ? UINT64_MAX
	    : chunk_lost_count(s->vs->store);
	commit_publish(s);
}
