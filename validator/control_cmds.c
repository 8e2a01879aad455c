/*
 * The operator's commands (control.h).  Runs in the validator's loop; what
 * reads files or asks a disk runs in threads.  Whoever may connect may do all
 * of this.
 */
#include "config.h"

#include "validator/control_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/msg.h"
#include "common/str.h"
#include "validator/capacity.h"
#include "validator/checker.h"
#include "validator/peer.h"
#include "validator/session.h"
#include "validator/store/chunk_store.h"
#include "validator/store/layout.h"
#include "validator/store/lockdb.h"
#include "validator/store/poison.h"
#include "validator/task.h"
#include "validator/task_read.h"
#include "validator/validator.h"

#define CONTROL_LINES_MAX 100000u

/* --- arguments --- */

const char *
control_arg(const struct control_req *r, const char *key)
{
	size_t i, n = strlen(key);

	for (i = 0; i < r->args_len; i += strlen(r->args + i) + 1)
		if (strncmp(r->args + i, key, n) == 0 && r->args[i + n] == '=')
			return r->args + i + n + 1;
	return NULL;
}

const char *
control_arg_need(const struct control_req *r, const char *key, struct err *e)
{
	const char *v = control_arg(r, key);

	if (v == NULL)
		err_set(e, ERR_PARAM, "argument '%s' is missing", key);
	return v;
}

int
control_arg_u64(const struct control_req *r, const char *key, uint64_t def,
    uint64_t *out, struct err *e)
{
	const char *v = control_arg(r, key);

	*out = def;
	if (v != NULL && str_to_u64(v, 0, UINT64_MAX, out) == -1)
		return err_set(e, ERR_PARAM, "argument '%s' is no number", key);
	return 0;
}

static int
arg_id(const struct control_req *r, uint64_t *out, struct err *e)
{
	const char *v = control_arg_need(r, "id", e);
	uint8_t b[8];
	size_t i;

	if (v == NULL)
		return -1;
	if (str_unhex(b, sizeof(b), v, strlen(v)) == -1)
		return err_set(e, ERR_PARAM, "not the id of a session");
	for (*out = 0, i = 0; i < sizeof(b); i++)
		*out = *out << 8 | b[i];
	return 0;
}

static void
set_id(struct json *o, const char *key, uint64_t id)
{
	char text[20];

	snprintf(text, sizeof(text), "%016" PRIx64, id);
	json_set_str(o, key, text);
}

/* --- status --- */

static void
cmd_status(struct control_req *r)
{
	struct json *o = json_new_object(), *checkers = json_new_object();

	json_set_str(o, "version", PACKAGE_VERSION);
	json_set_i64(o, "pid", getpid());
	json_set_i64(o, "started", r->v->started);
	json_set_u64(o, "stores", r->v->nstores);
	json_set_u64(o, "sessions", sessions_count(r->v->sessions));
	json_set_u64(o, "workers", peers_count(r->v->peers));
	json_set_u64(checkers, "spare", checker_pool_spare(r->v->checkers));
	json_set_u64(checkers, "busy", checker_pool_busy(r->v->checkers));
	json_set(o, "checkers", checkers);
	control_reply(r, o);
}

/* --- datastores --- */

/* Its disk is asked in its own thread; a slow one delays only this answer. */
struct usage {
	struct store_job job;
	struct store_flow flow;
	struct control_req *r;
	struct vstore *vs;
	struct json *o; /* in the request's list */
	struct store_usage usage;
	bool known;
};

static void
usage_run(struct store_job *job)
{
	struct usage *u = (struct usage *)job;

	u->known = store_get_usage(u->vs->store, &u->usage, NULL) == 0;
}

static void
datastores_reply(struct control_req *r)
{
	struct json *o;

	if (--r->pending > 0)
		return;
	o = json_new_object();
	json_set(o, "datastores", r->list);
	r->list = NULL;
	control_reply(r, o);
}

static void
usage_done(struct store_job *job)
{
	struct usage *u = (struct usage *)job;

	if (u->known) {
		json_set_u64(u->o, "total", u->usage.total);
		json_set_u64(u->o, "used", u->usage.used);
		json_set_u64(u->o, "avail", u->usage.avail);
	}
	vstore_unhold(u->vs);
	datastores_reply(u->r);
	free(u);
}

static struct json *
datastore_json(const struct vstore *vs)
{
	static const char *const modes[] = {"none", "read-only", "offline"};
	struct json *o = json_new_object();
	int64_t full = capacity_full_date(vs->capacity);
	struct store_state_info info;

	json_set_str(o, "name", vs->conf->title);
	json_set_str(o, "path", vs->conf->path);
	json_set_str(o, "comment", vs->conf->comment);
	json_set_u64(o, "sessions", vs->nsessions);
	if (vs->conf->maintenance != MAINTENANCE_NONE)
		json_set_str(o, "maintenance", modes[vs->conf->maintenance]);
	if (vs->store == NULL) {
		json_set_str(o, "state", vs->closed ? "closed" : "refused");
		json_set_str(o, "reason", vs->refused.msg);
		return o;
	}
	store_state_get(vs->store->state, &info);
	json_set_str(o, "state", info.poisoned ? "poisoned" : "open");
	if (full != 0)
		json_set_i64(o, "estimated-full-date", full);
	json_set_u64(o, "damaged-chunks", damage_count(vs->damage));
	if (damage_is_overflowed(vs->damage))
		json_set_bool(o, "damaged-unknown", 1);
	if (info.poisoned)
		json_set_str(o, "reason", info.reason);
	else if (damage_is_overflowed(vs->damage))
		json_set_str(o, "reason",
		    "too many chunks are damaged or missing to remember all: "
		    "verify, then \"datastore clear\"");
	return o;
}

static void
cmd_datastore_list(struct control_req *r)
{
	struct usage *u;
	struct json *o;
	size_t i;

	r->list = json_new_array();
	r->pending = 1;
	for (i = 0; i < r->v->nstores; i++) {
		o = datastore_json(r->v->stores[i]);
		json_append(r->list, o);
		if (r->v->stores[i]->store == NULL)
			continue;
		u = xcalloc(1, sizeof(*u));
		u->r = r;
		u->vs = r->v->stores[i];
		vstore_hold(u->vs);
		u->o = o;
		u->job.run = usage_run;
		u->job.done = usage_done;
		r->pending++;
		store_flow_init(&u->flow, u->vs->pool, STORE_CLASS_IO, 1);
		store_job_submit(&u->flow, &u->job);
	}
	datastores_reply(r);
}

struct clearing {
	struct store_job job;
	struct store_flow flow;
	struct control_req *r;
	struct vstore *vs;
	uint64_t adds; /* to the set of damaged chunks, when known was it */
	struct digest *known; /* its first there: those that are there again */
	size_t nknown, at, there;
	int rv;
	struct err err;
};

#define CLEAR_LOOKS 512 /* chunks of the set at a time */

static void
clear_run(struct store_job *job)
{
	struct clearing *c = (struct clearing *)job;
	struct err e;
	size_t i;

	if (c->at == 0)
		c->rv = store_state_clear(c->vs->store->state, &c->err);
	for (i = 0; i < CLEAR_LOOKS && c->rv == 0 && c->at < c->nknown; i++) {
		if (chunk_check(c->vs->store, 0, &c->known[c->at], &e) ==
		    CHUNK_OK)
			c->known[c->there++] = c->known[c->at];
		c->at++;
	}
	job->again = c->rv == 0 && c->at < c->nknown;
}

static void
clear_done(struct store_job *job)
{
	struct clearing *c = (struct clearing *)job;
	size_t i;

	for (i = 0; i < c->there; i++)
		damage_heal_seen(c->vs->damage, &c->known[i], c->adds);
	if (c->rv == 0)
		c->rv = damage_clear_overflow(c->vs->damage, &c->err);
	if (c->rv == 0) {
		log_info("control", "writes are allowed again store=%s",
		    c->vs->conf->title);
		control_reply(c->r, json_new_object());
	} else {
		control_fail(c->r, &c->err);
	}
	vstore_unhold(c->vs);
	free(c->known);
	free(c);
}

static void
cmd_datastore_clear(struct control_req *r)
{
	struct clearing *c;
	struct vstore *vs;
	const char *name;
	struct err e;

	if ((name = control_arg_need(r, "name", &e)) == NULL ||
	    validator_store_use(r->v, name, 0, &vs, &e) == -1) {
		control_fail(r, &e);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->r = r;
	c->vs = vs;
	vstore_hold(vs);
	c->rv = err_set(&c->err, ERR_UNAVAILABLE, "validator ends");
	c->adds = damage_adds(vs->damage);
	c->known = damage_dup(vs->damage, &c->nknown);
	c->job.run = clear_run;
	c->job.done = clear_done;
	store_flow_init(&c->flow, vs->pool, STORE_CLASS_IO, 1);
	store_job_submit(&c->flow, &c->job);
}

/* --- sessions --- */

static int
session_json(void *arg, struct session *s)
{
	struct control_req *r = arg;
	const char *store = control_arg(r, "store");
	struct session_info i;
	struct json *o, *check;

	session_get_info(s, &i);
	if (store != NULL && strcmp(store, i.store) != 0)
		return 0;
	o = json_new_object();
	set_id(o, "id", i.id);
	json_set_str(o, "kind", i.is_backup ? "backup" : "reader");
	json_set_str(o, "state", session_state_str(i.state));
	json_set_str(o, "store", i.store);
	json_set_str(o, "ns", i.ns);
	json_set_str(o, "snapshot", i.snapshot);
	json_set_str(o, "user", i.auth_id);
	json_set_str(o, "peer", i.peer);
	json_set_i64(o, "started", i.started);
	json_set_u64(o, "worker-pid", i.worker_pid);
	json_set_str(o, "upid", i.upid);
	if (i.check != NULL) {
		check = json_new_object();
		json_set_str(check, "state", i.check);
		json_set_u64(check, "checked", i.checked);
		json_set_u64(check, "left", i.left);
		json_set_u64(check, "missing", i.missing);
		json_set(o, "check", check);
		json_set_u64(o, "deposits", i.deposits);
		json_set_u64(o, "bytes", i.bytes);
	}
	json_append(r->list, o);
	return 0;
}

static void
cmd_session_list(struct control_req *r)
{
	struct json *o = json_new_object();

	r->list = json_new_array();
	sessions_each(r->v->sessions, session_json, r);
	json_set(o, "sessions", r->list);
	r->list = NULL;
	control_reply(r, o);
}

static void
cmd_session_stop(struct control_req *r)
{
	struct session *s;
	struct err e, why;
	uint64_t id = 0;

	err_set(&why, ERR_ABORTED, "stopped by the operator");
	if (arg_id(r, &id, &e) == -1) {
		control_fail(r, &e);
		return;
	}
	s = sessions_get(r->v->sessions, id);
	if (s == NULL) {
		err_set(&e, ERR_NOT_FOUND, "no such session");
		control_fail(r, &e);
	} else if (session_stop(s, &why, &e) == -1) {
		control_fail(r, &e);
	} else {
		control_reply(r, json_new_object());
	}
}

/* --- locks --- */

static int
lock_json(void *arg, const struct lock_info *l)
{
	struct control_req *r = arg;
	bool group = l->kind == LOCK_GROUP || l->kind == LOCK_GROUP_TREE;
	struct backup_snapshot snap = {l->group, l->time};
	char name[SNAPSHOT_STR_MAX + 1], *key;
	struct json *o = json_new_object();

	if (group)
		group_to_str(&l->group, name);
	else
		snapshot_to_str(&snap, name);
	key = xasprintf("%s/%s%s%s", l->store, l->ns,
	    l->ns[0] == '\0' ? "" : "/", name);
	json_set_str(o, "key", key);
	free(key);
	json_set_str(o, "mode",
	    l->kind == LOCK_SNAP_SHARED ? "shared" : "exclusive");
	set_id(o, "session", l->holder);
	json_set_str(o, "what", l->what);
	json_set_i64(o, "since", l->since);
	json_append(r->list, o);
	return 0;
}

static void
cmd_lock_list(struct control_req *r)
{
	struct lockdb_txn *t;
	struct json *o;
	struct err e;
	int rv;

	r->list = json_new_array();
	if (lockdb_begin(r->v->locks, false, &t, &e) == -1) {
		control_fail(r, &e);
		return;
	}
	rv = lockdb_each_lock(t, control_arg(r, "store"), lock_json, r, &e);
	lockdb_abort(&t);
	if (rv == -1) {
		control_fail(r, &e);
		return;
	}
	o = json_new_object();
	json_set(o, "locks", r->list);
	r->list = NULL;
	control_reply(r, o);
}

/* --- tasks --- */

static void
task_json(void *arg, const char *upid, int64_t endtime, const char *status)
{
	struct control_req *r = arg;
	struct json *o = json_new_object();

	json_set_str(o, "upid", upid);
	if (endtime != 0) {
		json_set_i64(o, "endtime", endtime);
		json_set_str(o, "status", status);
	}
	json_append(r->list, o);
}

static void
task_list_run(struct store_job *job)
{
	struct control_req *r = (struct control_req *)job;
	struct task_filter f = {
	    .flags = control_arg(r, "running") != NULL ? TASK_FLAG_RUNNING : 0,
	    .store = control_arg(r, "store"),
	    .user = control_arg(r, "user"),
	};

	if (control_arg_u64(r, "limit", 50, &f.limit, &r->err) == 0)
		r->rv = task_list(tasks_dirfd(r->v->tasks),
		    (const char *const *)r->running, r->nrunning, &f, task_json,
		    r, &r->total, &r->err);
}

static void
task_list_done(struct store_job *job)
{
	struct control_req *r = (struct control_req *)job;
	struct json *o;

	if (r->rv == -1) {
		control_fail(r, &r->err);
		return;
	}
	o = json_new_object();
	json_set(o, "tasks", r->list);
	r->list = NULL;
	json_set_u64(o, "total", r->total);
	control_reply(r, o);
}

static void
request_submit(struct control_req *r, void (*run)(struct store_job *job),
    void (*done)(struct store_job *job))
{
	r->rv = err_set(&r->err, ERR_UNAVAILABLE, "validator ends");
	r->list = json_new_array();
	r->job.run = run;
	r->job.done = done;
	store_flow_init(&r->flow, r->v->local_pool, STORE_CLASS_IO, 1);
	store_job_submit(&r->flow, &r->job);
}

static void
cmd_task_list(struct control_req *r)
{
	const char **running = tasks_running(r->v->tasks, &r->nrunning);
	size_t i;

	r->running = xcalloc(r->nrunning + 1, sizeof(*r->running));
	for (i = 0; i < r->nrunning; i++)
		r->running[i] = xstrdup(running[i]);
	free(running);
	request_submit(r, task_list_run, task_list_done);
}

static int
line_json(void *arg, uint64_t n, const char *text, size_t len)
{
	struct control_req *r = arg;
	struct json *o;

	(void)len;
	if (json_len(r->list) >= CONTROL_LINES_MAX)
		return -1;
	o = json_new_object();
	json_set_u64(o, "n", n);
	json_set_str(o, "t", text);
	json_append(r->list, o);
	return 0;
}

static void
task_log_run(struct store_job *job)
{
	struct control_req *r = (struct control_req *)job;
	uint64_t start, limit;

	if (control_arg_u64(r, "start", 1, &start, &r->err) == 0 &&
	    control_arg_u64(r, "limit", 500, &limit, &r->err) == 0)
		r->rv = task_log_read(tasks_dirfd(r->v->tasks), &r->upid, start,
		    limit, line_json, r, &r->total, &r->err);
}

static void
task_log_done(struct store_job *job)
{
	struct control_req *r = (struct control_req *)job;
	struct json *o;

	if (r->rv == -1) {
		control_fail(r, &r->err);
		return;
	}
	o = json_new_object();
	json_set(o, "lines", r->list);
	r->list = NULL;
	json_set_u64(o, "total", r->total);
	json_set_bool(o, "active", r->active);
	control_reply(r, o);
}

static void
cmd_task_log(struct control_req *r)
{
	const char *upid;
	struct err e;

	if ((upid = control_arg_need(r, "upid", &e)) == NULL) {
		control_fail(r, &e);
		return;
	}
	if (upid_parse(&r->upid, upid, &e) == -1) {
		err_set(&e, ERR_NOT_FOUND, "'%s' is not the name of a task",
		    STR_VIS(upid));
		control_fail(r, &e);
		return;
	}
	r->active = tasks_find(r->v->tasks, upid) != NULL;
	request_submit(r, task_log_run, task_log_done);
}

static void
cmd_task_stop(struct control_req *r)
{
	const char *upid;
	struct err e;

	if ((upid = control_arg_need(r, "upid", &e)) == NULL ||
	    tasks_stop(r->v->tasks, upid, &e) == -1)
		control_fail(r, &e);
	else
		control_reply(r, json_new_object());
}

static void
cmd_metrics(struct control_req *r)
{
	control_reply(r, metrics_json(r->v));
}

static void
cmd_reload(struct control_req *r)
{
	struct err e;

	if (validator_reload(r->v, &e) == -1)
		control_fail(r, &e);
	else
		control_reply(r, json_new_object());
}

const struct control_cmd control_cmds[] = {
    {"status", cmd_status, true},
    {"datastore-list", cmd_datastore_list, true},
    {"datastore-clear", cmd_datastore_clear, false},
    {"datastore-close", control_datastore_close, false},
    {"session-list", cmd_session_list, true},
    {"session-stop", cmd_session_stop, false},
    {"lock-list", cmd_lock_list, true},
    {"task-list", cmd_task_list, true},
    {"task-log", cmd_task_log, true},
    {"task-stop", cmd_task_stop, false},
    {"gc-start", control_gc_start, false},
    {"gc-status", control_gc_status, true},
    {"verify", control_verify, false},
    {"schedule-list", control_schedule_list, true},
    {"metrics", cmd_metrics, true},
    {"reload", cmd_reload, false},
    {NULL, NULL, false},
};
