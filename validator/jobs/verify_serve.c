/*
 * What a verification asks of the validator: checkers, locks, marks, and the
 * judgement of chunks that it doubts.  Runs in the validator's loop.  The job
 * reads what clients made, so it decides nothing: before a chunk is renamed,
 * it is read once more here, by a checker that the job never saw, and a mark
 * is made only for the snapshot that the job has locked.
 */
#include "config.h"

#include "validator/jobs/verify_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/privs.h"
#include "common/format/blob.h"
#include "validator/checker.h"
#include "validator/jobs/jobs_int.h"
#include "validator/manifest_edit.h"
#include "validator/store/chunk_store.h"
#include "validator/store/damage.h"
#include "validator/store/layout.h"
#include "validator/store/lockdb.h"
#include "validator/store/verified.h"
#include "validator/validator.h"

/* Checkers of one job, those that ended too: it may have kept the arena of each
 * mapped. */
#define LENT_MAX (2 * JOB_CHECKERS_MAX + 64)

struct verify_job *
verify_job_new(struct validator *v, const struct verify_request *q)
{
	struct verify_job *k = xcalloc(1, sizeof(*k));

	k->v = v;
	k->vs = q->vs;
	k->started = io_realtime_s();
	k->fd = -1;
	store_flow_init(&k->io, q->vs->pool, STORE_CLASS_IO, 1);
	if (q->grant != NULL) {
		k->limited = true;
		k->grant = *q->grant;
		memset(q->grant, 0, sizeof(*q->grant));
		k->is_owner = q->is_owner;
		k->owned_ns = q->ns;
		k->owned = q->snap.group;
	}
	return k;
}

void
verify_job_free(void *arg)
{
	struct verify_job *k = arg;
	size_t i;

	for (i = 0; i < JOB_CHECKERS_MAX; i++)
		checker_release(&k->lent[i]);
	checker_release(&k->checker);
	io_close(&k->fd);
	grant_fini(&k->grant);
	free(k);
}

/* Of both kinds. */
static struct verify_job *
verify_job_of(struct running_job *r, struct ipc_msg *m)
{
	struct verify_job *k = running_job_state(r, JOB_KIND_VERIFY, m);

	return k != NULL ? k : running_job_state(r, JOB_KIND_VERIFY_NEW, m);
}

/* A request that takes a while: one at a time. */
static int
request_begin(struct verify_job *k, struct running_job *r, struct ipc_msg *m)
{
	if (k->r != NULL)
		return err_set(&m->err, ERR_PROTO, "two requests at a time");
	k->r = r;
	k->seq = m->seq;
	running_job_hold(r);
	return 0;
}

/* k is gone afterwards if the job has ended. */
static void
request_end(struct verify_job *k, const struct msg_JOB_REPLY *reply)
{
	struct running_job *r = k->r;

	k->r = NULL;
	io_close(&k->fd);
	running_job_reply(r, k->seq, reply);
	running_job_unhold(r);
}

static void
request_fail(struct verify_job *k, const struct err *why)
{
	struct msg_JOB_REPLY reply = {.code = (uint16_t)why->code};

	snprintf(reply.text, sizeof(reply.text), "%s", why->msg);
	request_end(k, &reply);
}

static void
request_submit(struct verify_job *k, struct store_flow *flow,
    void (*run)(struct store_job *job), void (*done)(struct store_job *job))
{
	k->rv = err_set(&k->err, ERR_UNAVAILABLE, "validator ends");
	k->job.run = run;
	k->job.done = done;
	store_job_submit(flow, &k->job);
}

/* --- checkers --- */

JOB_HANDLER(checker)
{
	struct verify_job *k = verify_job_of(ctx, m);
	struct msg_JOB_CHECKER msg;
	struct err e;
	int i, fds[3];

	if (k == NULL)
		return -1;
	if (msg_get_JOB_CHECKER(&m->body, &msg) == -1 ||
	    msg.slot >= JOB_CHECKERS_MAX)
		return err_set(&m->err, ERR_PROTO, "malformed JOB_CHECKER");
	if (k->nlent++ >= LENT_MAX) {
		err_set(&e, ERR_LIMIT, "checkers ended too often");
		running_job_reply_err(ctx, m->seq, &e);
		return 0;
	}
	checker_release(&k->lent[msg.slot]);
	k->lent[msg.slot] = checker_lend(k->v->checkers, fds, &e);
	if (k->lent[msg.slot] == NULL) {
		running_job_reply_err(ctx, m->seq, &e);
		return 0;
	}
	running_job_send(ctx, MSG_ID_JOB_CHECKER_READY, m->seq, NULL, 0, fds,
	    3);
	for (i = 0; i < 3; i++)
		io_close(&fds[i]);
	return 0;
}

/* --- locks --- */

static bool
is_allowed(const struct verify_job *k)
{
	if (!k->limited ||
	    (grant_privs_ns(&k->grant, k->vs->conf->title, k->ns.name) &
		PRIV_DATASTORE_VERIFY) != 0)
		return true;
	return k->is_owner && strcmp(k->ns.name, k->owned_ns.name) == 0 &&
	    group_equal(&k->snap.group, &k->owned);
}

static int
snap_lock(struct verify_job *k, const struct running_job *r, struct err *e)
{
	struct lock_target target = {
	    .store = k->vs->conf->title,
	    .ns = &k->ns,
	    .group = &k->snap.group,
	    .time = k->snap.time,
	};
	struct lock_info other = {0};
	char name[SNAPSHOT_STR_MAX + 1];
	struct lockdb_txn *t;

	if (lockdb_begin(k->v->locks, true, &t, e) == -1)
		return -1;
	if (lockdb_lock(t, LOCK_SNAP_SHARED, &target, running_job_holder(r),
		"verify", &other, e) == 0)
		return lockdb_commit(&t, e);
	lockdb_abort(&t);
	if (e->code != ERR_LOCKED)
		return -1;
	snapshot_to_str(&k->snap, name);
	return err_set(e, ERR_LOCKED,
	    "unable to acquire lock on snapshot directory \"%s\" - locked by "
	    "another operation (%s, session %016" PRIx64 ")",
	    name, other.what, other.holder);
}

static void
snap_unlock(struct verify_job *k, const struct running_job *r)
{
	struct lockdb_txn *t;
	struct err e;

	k->locked = false;
	if (lockdb_begin(k->v->locks, true, &t, &e) == 0) {
		lockdb_unlock_all(t, running_job_holder(r), NULL);
		if (lockdb_commit(&t, &e) == 0)
			return;
	}
	log_err_e("verify", &e, "cannot free a lock");
}

static void
lock_go_on(void *arg)
{
	struct verify_job *k = arg;
	struct msg_JOB_REPLY reply = {.code = ERR_OK};
	struct err e;

	if (!is_allowed(k)) {
		err_set(&e, ERR_PERM, "not allowed");
		request_fail(k, &e);
	} else if (snap_lock(k, k->r, &e) == -1) {
		request_fail(k, &e);
	} else {
		k->locked = true;
		request_end(k, &reply);
	}
}

JOB_HANDLER(snap_lock)
{
	struct verify_job *k = verify_job_of(ctx, m);
	struct msg_JOB_SNAP_LOCK msg;

	if (k == NULL)
		return -1;
	if (msg_get_JOB_SNAP_LOCK(&m->body, &msg) == -1 || k->locked ||
	    msg.type >= BACKUP_TYPE_COUNT ||
	    ns_parse(&k->ns, msg.ns, NULL) == -1 ||
	    snapshot_set(&k->snap, backup_type_str((enum backup_type)msg.type),
		msg.id, msg.time, NULL) == -1)
		return err_set(&m->err, ERR_PROTO, "malformed JOB_SNAP_LOCK");
	if (request_begin(k, ctx, m) == -1)
		return -1;
	running_job_step(ctx, "lock", lock_go_on, k);
	return 0;
}

/* --- marks --- */

/* This server's own record, for recent-verify: a snapshot is as good as its
 * chunks were when the first of them may have been read. */
static void
record_run(struct store_job *job)
{
	struct verify_job *k = (struct verify_job *)job;
	const char *store = k->vs->conf->title;

	if (k->state == VERIFY_STATE_OK)
		k->rv = verified_put(k->v->verified, store, &k->ns, &k->snap,
		    k->started, &k->err);
	else
		k->rv = verified_del(k->v->verified, store, &k->ns,
		    &k->snap.group, &k->snap.time, 1, &k->err);
}

static void
record_done(struct store_job *job)
{
	struct verify_job *k = (struct verify_job *)job;
	struct msg_JOB_REPLY reply = {.code = ERR_OK};

	if (k->rv == -1)
		log_err_e("verify", &k->err, "cannot record a verification");
	else if (k->rv == 1)
		log_warn("verify",
		    "the record of verifications was full and begins anew");
	snap_unlock(k, k->r);
	request_end(k, &reply);
}

static void
snap_marked(void *arg, const struct err *why, bool no_manifest)
{
	struct verify_job *k = arg;

	(void)no_manifest;
	validator_kill_point(k->v, "verify-marked");
	if (why != NULL) {
		snap_unlock(k, k->r);
		request_fail(k, why);
		return;
	}
	request_submit(k, &k->v->verified_flow, record_run, record_done);
}

static void
done_go_on(void *arg)
{
	struct verify_job *k = arg;
	struct checker_op op = {
	    .op = MANIFEST_OP_VERIFY,
	    .state = k->state,
	};

	manifest_edit_start(k->v->edits, k->vs, &k->ns, &k->snap, &op,
	    running_job_upid(k->r), snap_marked, k);
}

JOB_HANDLER(snap_done)
{
	struct verify_job *k = verify_job_of(ctx, m);
	struct msg_JOB_SNAP_DONE msg;
	struct msg_JOB_REPLY reply = {.code = ERR_OK};

	if (k == NULL)
		return -1;
	if (msg_get_JOB_SNAP_DONE(&m->body, &msg) == -1 || !k->locked ||
	    msg.state > VERIFY_STATE_FAILED)
		return err_set(&m->err, ERR_PROTO, "malformed JOB_SNAP_DONE");
	if (msg.state == VERIFY_STATE_NONE) {
		snap_unlock(k, ctx);
		running_job_reply(ctx, m->seq, &reply);
		return 0;
	}
	if (request_begin(k, ctx, m) == -1)
		return -1;
	k->state = (enum verify_state)msg.state;
	running_job_step(ctx, "done", done_go_on, k);
	return 0;
}

/* --- chunks in doubt --- */

static void
doubt_answer(struct verify_job *k, enum job_chunk what, uint64_t n1,
    uint64_t n2, const char *text)
{
	struct msg_JOB_REPLY reply = {
	    .code = ERR_OK,
	    .n0 = what,
	    .n1 = n1,
	    .n2 = n2,
	};

	snprintf(reply.text, sizeof(reply.text), "%s", text);
	request_end(k, &reply);
}

static void
bad_run(struct store_job *job)
{
	struct verify_job *k = (struct verify_job *)job;
	struct err e;

	k->rv = chunk_rename_bad(k->vs->store, &k->digest, k->fd,
	    &k->bad_number, &e);
	if (k->rv == -1)
		k->err = e;
	k->is_replaced = k->rv == 0 && k->bad_number == -1 &&
	    chunk_check(k->vs->store, 0, &k->digest, &e) == CHUNK_OK;
}

static void
bad_done(struct store_job *job)
{
	struct verify_job *k = (struct verify_job *)job;
	char hex[DIGEST_HEX_LEN + 1];

	validator_kill_point(k->v, "verify-renamed");
	digest_to_hex(&k->digest, hex);
	if (k->rv == -1) {
		doubt_answer(k, JOB_CHUNK_UNKNOWN, 0, 0, k->err.msg);
		return;
	}
	if (k->is_replaced) /* perhaps before it was added */
		damage_heal_seen(k->vs->damage, &k->digest, k->adds);
	if (k->bad_number == -1) {
		doubt_answer(k, JOB_CHUNK_REPLACED, 0, 0, "");
		return;
	}
	log_warn("verify", "chunk %s is damaged, renamed to .%d.bad store=%s",
	    hex, k->bad_number, k->vs->conf->title);
	doubt_answer(k, JOB_CHUNK_DAMAGED, (uint64_t)k->bad_number, 0,
	    k->err.msg);
}

/* Open sessions learn of it at their finish, from the set of damaged chunks:
 * so it is in there, or the set is known to lack some, before it is renamed. */
static void
doubt_judged(void *arg, const struct checker_verdict *v)
{
	struct verify_job *k = arg;

	if (v->err.code == ERR_OK) {
		doubt_answer(k, JOB_CHUNK_GOOD,
		    blob_kind_encrypted((enum blob_kind)v->kind) ? 0 : v->size,
		    v->kind, "");
		return;
	}
	/* A checker that ended proves nothing. */
	if (v->err.code != ERR_CORRUPT) {
		doubt_answer(k, JOB_CHUNK_UNKNOWN, 0, 0, v->err.msg);
		return;
	}
	vstore_add_damage(k->vs, &k->digest, DAMAGE_DAMAGED);
	k->adds = damage_adds(k->vs->damage);
	k->rv = -1;
	k->err = v->err; /* bad_done() says why */
	k->job.run = bad_run;
	k->job.done = bad_done;
	store_job_submit(&k->io, &k->job);
}

static void
doubt_run(struct store_job *job)
{
	struct verify_job *k = (struct verify_job *)job;
	uint64_t len;

	k->fd = chunk_open(k->vs->store, &k->digest, &len, &k->err);
	k->rv = k->fd == -1 ? -1 : 0;
}

static void
doubt_opened(struct store_job *job)
{
	struct verify_job *k = (struct verify_job *)job;
	struct err e;

	if (k->rv == -1 && k->err.code == ERR_MISSING) {
		vstore_add_damage(k->vs, &k->digest, DAMAGE_MISSING);
		doubt_answer(k, JOB_CHUNK_MISSING, 0, 0, k->err.msg);
		return;
	}
	if (k->rv == -1) {
		doubt_answer(k, JOB_CHUNK_UNKNOWN, 0, 0, k->err.msg);
		return;
	}
	if (k->checker != NULL && checker_is_dead(k->checker))
		checker_release(&k->checker);
	if (k->checker == NULL)
		k->checker = checker_take(k->v->checkers, NULL, &e);
	if (k->checker == NULL ||
	    checker_stored(k->checker, k->fd, 0, &k->digest, doubt_judged, k,
		&e) == -1)
		doubt_answer(k, JOB_CHUNK_UNKNOWN, 0, 0, e.msg);
}

static void
doubt_go_on(void *arg)
{
	struct verify_job *k = arg;

	request_submit(k, &k->io, doubt_run, doubt_opened);
}

JOB_HANDLER(chunk_doubt)
{
	struct verify_job *k = verify_job_of(ctx, m);
	struct msg_JOB_CHUNK_DOUBT msg;

	if (k == NULL)
		return -1;
	if (msg_get_JOB_CHUNK_DOUBT(&m->body, &msg) == -1)
		return err_set(&m->err, ERR_PROTO, "malformed JOB_CHUNK_DOUBT");
	if (request_begin(k, ctx, m) == -1)
		return -1;
	memcpy(k->digest.b, msg.digest, DIGEST_LEN);
	running_job_step(ctx, "doubt", doubt_go_on, k);
	return 0;
}
