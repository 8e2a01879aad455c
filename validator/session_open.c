/*
 * SESSION_OPEN: from a grant to a session with its locks, base and folder.
 * Runs in the validator's loop, the disk's part in the store's threads.  The
 * message is a worker's: only what the grant says is believed, and checks
 * come in the order of wire-protocol 4.1 and 5.1, with those texts.
 */
#include "config.h"

#include "validator/session_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/grant.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/privs.h"
#include "common/str.h"
#include "validator/manifest_ask.h"
#include "validator/peer.h"
#include "validator/store/deposit_log.h"
#include "validator/store/group.h"
#include "validator/store/layout.h"
#include "validator/store/lockdb.h"
#include "validator/store/namespace.h"
#include "validator/store/poison.h"
#include "validator/store/session_dir.h"
#include "validator/store/snapshot.h"
#include "validator/store/verified.h"
#include "validator/task.h"
#include "validator/validator.h"

/* A session that is being opened. */
struct opening {
	struct session_req req;
	bool owner_needed; /* reader without Datastore.Read */
	bool debug;
	uint8_t resume_key[32];
	int manifest_fd; /* of the base */
	struct manifest_ask *ask;
	int64_t base_time;
	int64_t verified; /* when, by this server */
};

static void
open_free(struct opening *o)
{
	io_close(&o->manifest_fd);
	manifest_ask_free(&o->ask);
	mem_wipe(o->resume_key, sizeof(o->resume_key));
	session_req_end(&o->req);
	free(o);
}

/* Refused: the peer is as it was, and may ask for something else. */
static void
open_fail(struct opening *o, const struct err *why)
{
	struct session *s = o->req.s;
	struct peer *peer = s->peer;

	log_info("session", "refused: %s store=%s snapshot=%s user=%s",
	    why->msg, s->vs->conf->title, s->snap_text, STR_VIS(s->auth_id));
	session_audit(s, "session-open", why);
	if (peer != NULL) {
		peer_send_fail(peer, 0, o->req.seq, why);
		peer_detach(peer);
		s->peer = NULL;
	}
	task_end(&s->task, why);
	session_close(s, why);
	open_free(o);
}

/* True if the worker went away meanwhile: nothing is to be opened any more. */
static bool
open_is_over(struct opening *o)
{
	if (o->req.s->state == SESSION_OPENING && o->req.s->peer != NULL)
		return false;
	open_free(o);
	return true;
}

/* --- locks --- */

static int
open_lock(struct session *s, enum lock_kind kind, int64_t time,
    const char *what, const char *why, struct err *e)
{
	struct lock_target target = {
	    .store = s->vs->conf->title,
	    .ns = &s->ns,
	    .group = &s->snap.group,
	    .time = time,
	};
	char name[SNAPSHOT_STR_MAX + 1], holder[LOCKDB_WHAT_MAX];
	struct backup_snapshot snap = {s->snap.group, time};
	struct lock_info other = {0};
	struct lockdb_txn *t;

	session_what(s, holder, sizeof(holder));
	if (lockdb_begin(s->v->locks, true, &t, e) == -1)
		return -1;
	if (lockdb_lock(t, kind, &target, s->id, holder, &other, e) == 0)
		return lockdb_commit(&t, e);
	lockdb_abort(&t);
	if (e->code != ERR_LOCKED)
		return -1;
	if (kind == LOCK_GROUP)
		group_to_str(&s->snap.group, name);
	else
		snapshot_to_str(&snap, name);
	log_info("session", "locked: \"%s\" by %016" PRIx64 " (%s)", name,
	    other.holder, STR_VIS(other.what));
	return err_set(e, ERR_LOCKED,
	    "unable to acquire lock on %s directory \"%s\" - %s (session "
	    "%016" PRIx64 ")",
	    what, name, why, other.holder);
}

/* --- a reader --- */

/* Refuses in the words of wire-protocol 5.1, or in those of calls (6.3). */
static int
reader_check_owner(struct session *s, struct err *e)
{
	char owner[AUTH_ID_MAX + 1];
	struct auth_id a, actor;
	bool is_call = (s->flags & SESSION_FLAG_CALL) != 0;

	if (group_owner_get(s->vs->store, &s->ns, &s->snap.group, owner, e) ==
	    -1)
		return is_call
		    ? -1
		    : err_set(e, ERR_INVALID, "backup owner check failed!");
	if (auth_id_parse(&a, owner, NULL) == 0 &&
	    auth_id_parse(&actor, s->auth_id, NULL) == 0 &&
	    auth_id_owns(&a, &actor))
		return 0;
	return is_call
	    ? err_set(e, ERR_INVALID, "backup owner check failed (%s != %s)",
		  s->auth_id, owner)
	    : err_set(e, ERR_INVALID, "backup owner check failed!");
}

static int
reader_denied(const struct msg_SESSION_OPEN *m, const struct backup_ns *ns,
    struct err *e)
{
	const char *slash = ns->depth > 0 ? "/" : "";
	uint32_t privs = PRIV_DATASTORE_READ | PRIV_DATASTORE_BACKUP;
	char text[256];

	if (m->flags & SESSION_FLAG_CALL)
		return err_set(e, ERR_PERM,
		    "permission check failed - missing %s on "
		    "/datastore/%s%s%s",
		    privs_text(privs, text, sizeof(text)), m->store, slash,
		    ns->name);
	return err_set(e, ERR_INVALID, "no permissions on /datastore/%s%s%s",
	    m->store, slash, ns->name);
}

static void
reader_run(struct store_job *job)
{
	struct opening *o = (struct opening *)job;
	struct session *s = o->req.s;
	struct err *e = &o->req.err;

	if (o->owner_needed && reader_check_owner(s, e) == -1)
		return;
	s->base_fd = snap_dir_open(s->vs->store, &s->ns, &s->snap, e);
	if (s->base_fd != -1)
		o->req.rv = 0;
	else if (e->code == ERR_NOT_FOUND || e->code == ERR_NO_NAMESPACE)
		err_set(e, ERR_NOT_FOUND, "snapshot %s does not exist.",
		    s->snap_text);
}

int
session_start_task(struct session *s, struct err *e)
{
	char id[UPID_WORKER_ID_MAX + 1], group[GROUP_STR_MAX + 1];
	const char *type = "backup";

	group_to_str(&s->snap.group, group);
	if (s->kind == SESSION_KIND_READER) {
		type = "reader";
		snprintf(id, sizeof(id), "%s:%s/%08" PRIX64, s->vs->conf->title,
		    group, (uint64_t)s->snap.time);
	} else {
		if (s->flags & SESSION_FLAG_BENCHMARK)
			type = "benchmark";
		snprintf(id, sizeof(id), "%s:%s", s->vs->conf->title, group);
	}
	s->task = task_start(s->v->tasks, type, id, s->auth_id, e);
	return s->task == NULL ? -1 : 0;
}

void
session_stop_asked(void *arg)
{
	struct err why;

	err_set(&why, ERR_ABORTED, "task aborted");
	session_stop(arg, &why, NULL);
}

static void
open_ready(struct opening *o)
{
	struct session *s = o->req.s;

	task_on_stop(s->task, session_stop_asked, s);
	session_set_state(s, SESSION_OPEN);
	peer_attach(s->peer);
}

static void
reader_done(struct store_job *job)
{
	struct opening *o = (struct opening *)job;
	struct session *s = o->req.s;
	struct msg_SESSION_READY m = {0};
	struct err e;

	if (open_is_over(o))
		return;
	if (o->req.rv == -1) {
		open_fail(o, &o->req.err);
		return;
	}
	if (open_lock(s, LOCK_SNAP_SHARED, s->snap.time, "snapshot",
		"locked by another operation", &e) == -1 ||
	    session_start_task(s, &e) == -1) {
		open_fail(o, &e);
		return;
	}
	session_log_line(s, "starting new backup reader datastore '%s': \"%s\"",
	    s->vs->conf->title, s->snap_text);
	open_ready(o);
	if (session_save(s, &e) == -1)
		log_err_e("session", &e, "cannot save id=%016" PRIx64, s->id);
	memcpy(m.resume_key, o->resume_key, sizeof(m.resume_key));
	snprintf(m.upid, sizeof(m.upid), "%s", task_upid(s->task));
	session_audit(s, "session-open", NULL);
	PEER_SEND(s->peer, SESSION_READY, s->id, o->req.seq, &m, -1);
	open_free(o);
}

/* --- a backup: 4. folder --- */

static void
folder_run(struct store_job *job)
{
	struct opening *o = (struct opening *)job;
	struct session *s = o->req.s;
	struct err *e = &o->req.err;
	int there;

	there = snap_dir_exists(s->vs->store, &s->ns, &s->snap, e);
	if (there == 1)
		err_set(e, ERR_EXISTS, "backup directory already exists.");
	if (there != 0)
		return;
	if ((s->dir_fd = session_dir_create(s->vs->store, s->id, e)) == -1 ||
	    (s->deposits_fd = deposit_log_open(s->dir_fd, e)) == -1 ||
	    (s->run_fd = session_run_dir_open(s->sessions->run_fd, s->id, e)) ==
		-1 ||
	    session_page_open(&s->page, s->run_fd, e) == -1)
		return;
	o->req.rv = 0;
}

int
session_make_arena(struct session *s, struct err *e)
{
	uint32_t blocks = (uint32_t)(s->v->conf.arena_size / ARENA_BLOCK);

	if (arena_create(&s->arena, "session-arena", blocks, e) == -1)
		return -1;
	arena_use_init(&s->arena_use, blocks);
	return 0;
}

static void
open_log_start(struct session *s)
{
	char from[IPC_PEER_MAX + 8] = "";

	if (s->peer_text[0] != '\0')
		snprintf(from, sizeof(from), " from %s", s->peer_text);
	session_log_line(s, "starting new %s on datastore '%s'%s: \"%s\"",
	    s->flags & SESSION_FLAG_BENCHMARK ? "benchmark" : "backup",
	    s->vs->conf->title, from, s->snap_text);
	if (s->base_time == 0)
		session_log_line(s,
		    "no previous snapshot to reuse chunks of, nothing to check");
}

static void
folder_done(struct store_job *job)
{
	struct opening *o = (struct opening *)job;
	struct session *s = o->req.s;
	struct msg_BACKUP_READY m = {.base_time = s->base_time};
	struct err e;

	if (open_is_over(o))
		return;
	if (o->req.rv == -1) {
		open_fail(o, &o->req.err);
		return;
	}
	if (session_start_task(s, &e) == -1 ||
	    session_make_arena(s, &e) == -1) {
		open_fail(o, &e);
		return;
	}
	open_log_start(s);
	session_check_init(s);
	open_ready(o);
	if (session_save(s, &e) == -1) {
		peer_send_fail(s->peer, 0, o->req.seq, &e);
		session_abort(s, &e);
		open_free(o);
		return;
	}
	memcpy(m.resume_key, o->resume_key, sizeof(m.resume_key));
	snprintf(m.upid, sizeof(m.upid), "%s", task_upid(s->task));
	m.arena_blocks = s->arena.nblocks;
	m.credit_slots = SESSION_CREDIT_SLOTS;
	session_audit(s, "session-open", NULL);
	PEER_SEND(s->peer, BACKUP_READY, s->id, o->req.seq, &m, s->arena.fd);
	open_free(o);
	validator_kill_point(s->v, "session-open");
}

/* --- a backup: 3. base --- */

static void
open_with_base(struct opening *o)
{
	struct session *s = o->req.s;
	struct err e;

	manifest_ask_free(&o->ask);
	s->base_time = o->base_time;
	if (s->base_time != 0 && s->snap.time <= s->base_time) {
		err_set(&e, ERR_INVALID,
		    "backup timestamp is older than last backup.");
		open_fail(o, &e);
		return;
	}
	if ((s->base_time != 0 &&
		open_lock(s, LOCK_SNAP_SHARED, s->base_time, "snapshot",
		    "base snapshot is already locked by another operation",
		    &e) == -1) ||
	    open_lock(s, LOCK_SNAP_EXCLUSIVE, s->snap.time, "snapshot",
		"locked by another operation", &e) == -1) {
		open_fail(o, &e);
		return;
	}
	session_req_submit(&o->req, &s->strand, folder_run, folder_done);
}

/* In a thread: nothing of the configuration, which a reload may free. */
static void
recent_run(struct store_job *job)
{
	struct opening *o = (struct opening *)job;
	struct session *s = o->req.s;
	struct backup_snapshot base = {s->snap.group, o->base_time};
	struct store_state_info state;

	o->req.rv = verified_get(s->v->verified, s->vs->store->name, &s->ns,
	    &base, &o->verified, &o->req.err);
	/* A power cut may have broken what was read before it. */
	store_state_get(s->vs->store->state, &state);
	if (o->req.rv == 1 && state.suspect_to != 0 &&
	    o->verified <= state.suspect_to)
		o->req.rv = 0;
}

static void
recent_done(struct store_job *job)
{
	struct opening *o = (struct opening *)job;
	struct session *s = o->req.s;
	int64_t age = io_realtime_s() - o->verified;

	if (open_is_over(o))
		return;
	if (o->req.rv == -1)
		log_warn_e("session", &o->req.err,
		    "cannot read when the base was verified");
	s->base_recent = o->req.rv == 1 && age >= 0 &&
	    (uint64_t)age <= s->vs->conf->recent_verify / 1000 &&
	    !damage_is_overflowed(s->vs->damage);
	open_with_base(o);
}

/* The base's own word on its verification, read by a checker.  What cannot
 * be read is treated like a failed one: no base. */
static void
base_manifest_read(void *arg, const struct checker_manifest *m,
    const uint8_t *out)
{
	struct opening *o = arg;
	struct session *s = o->req.s;

	(void)out;
	if (open_is_over(o))
		return;
	if (m->err.code == ERR_UNAVAILABLE) {
		open_fail(o, &m->err);
		return;
	}
	if (m->err.code != ERR_OK) {
		log_warn_e("session", &m->err,
		    "manifest of the newest snapshot is unreadable, so there "
		    "is no base: snapshot=%s",
		    s->snap_text);
		o->base_time = 0;
	} else if (m->verify_state == VERIFY_STATE_FAILED) {
		o->base_time = 0;
	}
	if (o->base_time == 0)
		io_close(&s->base_fd);
	if (o->base_time != 0 && s->vs->conf->recent_verify > 0)
		session_req_submit(&o->req, &s->v->verified_flow, recent_run,
		    recent_done);
	else
		open_with_base(o);
}

/* --- a backup: 2. group --- */

static void
group_run(struct store_job *job)
{
	struct opening *o = (struct opening *)job;
	struct session *s = o->req.s;
	struct store *store = s->vs->store;
	struct backup_snapshot base = {s->snap.group, 0};
	char owner[AUTH_ID_MAX + 1];
	struct auth_id a, actor;
	struct err *e = &o->req.err;
	uint64_t size;
	bool created;

	if (group_dir_create(store, &s->ns, &s->snap.group, s->auth_id, owner,
		&created, e) == -1)
		return;
	if ((s->flags & SESSION_FLAG_BENCHMARK) == 0 &&
	    (auth_id_parse(&a, owner, NULL) == -1 ||
		auth_id_parse(&actor, s->auth_id, NULL) == -1 ||
		!auth_id_owns(&a, &actor))) {
		err_set(e, ERR_INVALID, "backup owner check failed (%s != %s)",
		    s->auth_id, owner);
		return;
	}
	if (snap_dir_newest(store, &s->ns, &s->snap.group, &base.time, e) == -1)
		return;
	o->base_time = base.time;
	if (base.time != 0 &&
	    ((s->base_fd = snap_dir_open(store, &s->ns, &base, e)) == -1 ||
		(o->manifest_fd = snap_file_open(s->base_fd, MANIFEST_NAME,
		     &size, e)) == -1))
		return;
	o->req.rv = 0;
}

static void
group_done(struct store_job *job)
{
	struct opening *o = (struct opening *)job;
	struct checker_op op = {.op = MANIFEST_OP_READ};
	struct err e;

	if (open_is_over(o))
		return;
	if (o->req.rv == -1) {
		open_fail(o, &o->req.err);
		return;
	}
	if (o->base_time == 0) {
		open_with_base(o);
		return;
	}
	o->ask = manifest_ask_new(o->req.s->v->checkers, NULL, o->manifest_fd,
	    &op, base_manifest_read, o, &e);
	if (o->ask == NULL)
		open_fail(o, &e);
}

/* --- a backup: 1. namespace --- */

static void
ns_run(struct store_job *job)
{
	struct opening *o = (struct opening *)job;
	struct session *s = o->req.s;

	/* Space is asked first: nothing of a backup that cannot end is to be
	 * there, and its client is to know before it sends anything. */
	if (store_check_space(s->vs->store, 0, &o->req.err) == 0)
		o->req.rv = ns_dir_check(s->vs->store, &s->ns, &o->req.err);
}

static int
check_benchmark(const struct session *s, struct err *e)
{
	bool flag = (s->flags & SESSION_FLAG_BENCHMARK) != 0;

	if (group_is_benchmark(&s->snap.group) && !flag)
		return err_set(e, ERR_INVALID,
		    "unable to run benchmark without --benchmark flags");
	if (flag && !group_is_benchmark(&s->snap.group))
		return err_set(e, ERR_INVALID,
		    "benchmark flags is only allowed on 'host/benchmark'");
	return 0;
}

static void
ns_done(struct store_job *job)
{
	struct opening *o = (struct opening *)job;
	struct session *s = o->req.s;
	struct err e;

	if (open_is_over(o))
		return;
	if (o->req.rv == -1) {
		open_fail(o, &o->req.err);
		return;
	}
	if (check_benchmark(s, &e) == -1 ||
	    open_lock(s, LOCK_GROUP, 0, "backup group",
		"another backup is already running", &e) == -1) {
		open_fail(o, &e);
		return;
	}
	/* From here on a record frees the locks after a restart. */
	if (session_save(s, &e) == -1) {
		open_fail(o, &e);
		return;
	}
	session_req_submit(&o->req, &s->strand, group_run, group_done);
}

/* --- the message --- */

static int
open_params(const struct msg_SESSION_OPEN *m, struct backup_ns *ns,
    struct backup_snapshot *snap, struct err *e)
{
	if (m->kind != SESSION_KIND_BACKUP && m->kind != SESSION_KIND_READER)
		return err_set(e, ERR_PARAM, "unknown kind of session");
	if (!datastore_name_valid(m->store) || m->type >= BACKUP_TYPE_COUNT)
		return err_set(e, ERR_PARAM, "not a datastore or backup type");
	if (ns_parse(ns, m->ns, e) == -1)
		return -1;
	return snapshot_set(snap, backup_type_str((enum backup_type)m->type),
	    m->id, m->time, e);
}

/* What the grant says; also whether the owner must be asked. */
static int
open_rights(struct peer *p, const struct msg_SESSION_OPEN *m,
    const struct backup_ns *ns, struct grant *g, bool *owner_needed_out,
    struct err *e)
{
	struct validator *v = peer_validator(p);
	uint64_t now = io_boottime_ms();
	struct auth_id who;
	uint32_t privs;

	if (grant_open(g, v->grant_key, m->grant, m->grant_len,
		(uint32_t)peer_pid(p),
		m->kind == SESSION_KIND_BACKUP ? GRANT_PURPOSE_BACKUP
					       : GRANT_PURPOSE_READER,
		now, e) == -1)
		return -1;
	if (grant_seen_add(v->grants, g, now, e) == -1 ||
	    auth_id_parse(&who, g->auth_id, e) == -1)
		return -1;
	if (strcmp(g->store, m->store) != 0 || strcmp(g->ns, ns->name) != 0)
		return err_set(e, ERR_PERM, "grant is for another datastore");
	privs = grant_privs_ns(g, m->store, ns->name);
	*owner_needed_out = (privs & PRIV_DATASTORE_READ) == 0;
	if (m->kind == SESSION_KIND_BACKUP && !(privs & PRIV_DATASTORE_BACKUP))
		return err_set(e, ERR_PERM,
		    "missing permissions 'Datastore.Backup' on "
		    "'/datastore/%s%s%s'",
		    m->store, ns->depth > 0 ? "/" : "", ns->name);
	if (m->kind == SESSION_KIND_READER &&
	    !(privs & (PRIV_DATASTORE_READ | PRIV_DATASTORE_BACKUP)))
		return reader_denied(m, ns, e);
	return 0;
}

/* In the order of wire-protocol 4.1 and 5.1. */
static int
open_store(struct validator *v, const struct msg_SESSION_OPEN *m,
    struct vstore **out, struct err *e)
{
	if (validator_store_use(v, m->store, m->kind == SESSION_KIND_BACKUP,
		out, e) == -1)
		return -1;
	if (m->flags & SESSION_FLAG_NO_UPGRADE)
		return err_set(e, ERR_INVALID, "missing Upgrade header");
	if (m->flags & SESSION_FLAG_OTHER_UPGRADE)
		return err_set(e, ERR_INVALID, "invalid protocol name");
	if ((*out)->nsessions >= (*out)->conf->max_sessions)
		return err_set(e, ERR_LIMIT,
		    "datastore '%s' has too many open sessions", m->store);
	return 0;
}

/* One tenant takes so much and no more, so that there is some for others. */
static int
open_tenant(struct validator *v, const struct msg_SESSION_OPEN *m,
    const char *auth_id, struct err *e)
{
	struct session_use use;

	sessions_use(v->sessions, auth_id, &use);
	if (use.sessions >= v->conf.max_per_user)
		return err_set(e, ERR_LIMIT,
		    "too many open sessions of this user "
		    "(max-sessions-per-user)");
	if (m->kind == SESSION_KIND_BACKUP &&
	    use.inflight + v->conf.arena_size > v->conf.max_inflight)
		return err_set(e, ERR_LIMIT,
		    "too much in flight by this user (max-inflight-per-user)");
	return 0;
}

static void
open_start(struct peer *p, struct vstore *vs, struct ipc_msg *m,
    const struct msg_SESSION_OPEN *msg, const struct backup_ns *ns,
    const struct backup_snapshot *snap, const char *auth_id, bool owner_needed)
{
	struct opening *o = xcalloc(1, sizeof(*o));
	struct session *s;
	struct digest hash;
	struct digest_ctx *ctx = digest_ctx_new();

	s = session_new(peer_validator(p)->sessions, vs, lockdb_new_id(),
	    (enum session_kind)msg->kind, SESSION_OPENING);
	s->ns = *ns;
	s->snap = *snap;
	s->flags = msg->flags &
	    (SESSION_FLAG_DEBUG | SESSION_FLAG_BENCHMARK | SESSION_FLAG_CALL);
	s->started = io_realtime_s();
	s->damage_seen = damage_overflows(vs->damage);
	s->worker_pid = (uint32_t)peer_pid(p);
	snapshot_to_str(snap, s->snap_text);
	snprintf(s->auth_id, sizeof(s->auth_id), "%s", auth_id);
	str_vis(s->peer_text, sizeof(s->peer_text), msg->peer);
	io_random(o->resume_key, sizeof(o->resume_key));
	digest_of(ctx, o->resume_key, sizeof(o->resume_key), &hash);
	digest_ctx_free(ctx);
	memcpy(s->resume_hash, hash.b, sizeof(s->resume_hash));
	o->manifest_fd = -1;
	o->owner_needed = owner_needed;
	s->peer = p;
	peer_reserve(p, s);
	session_req_begin(s, m, &o->req); /* the first one: cannot fail */
	if (s->kind == SESSION_KIND_READER)
		session_req_submit(&o->req, &s->strand, reader_run,
		    reader_done);
	else
		session_req_submit(&o->req, &s->strand, ns_run, ns_done);
}

int
val_on_session_open(void *ctx, struct ipc_msg *m)
{
	struct peer *p = ctx;
	struct msg_SESSION_OPEN msg;
	struct backup_snapshot snap;
	struct backup_ns ns;
	struct vstore *vs;
	struct grant g = {0};
	bool owner_needed = false;
	struct err e;

	if (PEER_GET(m, SESSION_OPEN, &msg) == -1)
		return -1;
	if (peer_session(p) != NULL)
		return err_set(&m->err, ERR_PROTO, "second session");
	if (open_params(&msg, &ns, &snap, &e) == -1 ||
	    open_rights(p, &msg, &ns, &g, &owner_needed, &e) == -1 ||
	    open_store(peer_validator(p), &msg, &vs, &e) == -1 ||
	    open_tenant(peer_validator(p), &msg, g.auth_id, &e) == -1)
		peer_send_fail(p, 0, m->seq, &e);
	else
		open_start(p, vs, m, &msg, &ns, &snap, g.auth_id, owner_needed);
	grant_fini(&g);
	return 0;
}
