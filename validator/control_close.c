/*
 * The operator's command that closes a datastore, so that it can be taken out
 * of the configuration or handed to another server, while the others go on.
 * Runs in the validator's loop.  Nobody may begin anything on it from then on;
 * who is at work on it for long is named instead, and short calls are waited
 * for.
 */
#include "config.h"

#include "validator/control_int.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/sbuf.h"
#include "common/str.h"
#include "validator/jobs/verify.h"
#include "validator/store/layout.h"
#include "validator/store/verified.h"
#include "validator/task.h"
#include "validator/validator.h"

#define NAMED_MAX 3 /* tasks in the error text */

struct closing {
	struct store_job job; /* first: a job is its closing */
	struct store_flow flow;
	struct control_req *r;
	struct vstore *vs;
	char *path;
	bool clean;
	int rv;
	struct err err;
};

static void
reply_path(struct control_req *r, const char *path)
{
	struct json *o = json_new_object();

	json_set_str(o, "path", path);
	control_reply(r, o);
}

/* --- who is at work ------------------------------------------------------ */

/* Names the tasks as "backup store:host/a by u@pbs". */
static int
check_unused(const struct validator *v, const struct vstore *vs, struct err *e)
{
	const char *store = vs->conf->title, **upids;
	size_t i, n, named = 0;
	struct sbuf text;
	struct upid u;

	sbuf_init(&text, sizeof(e->msg));
	upids = tasks_running(v->tasks, &n);
	for (i = 0; i < n; i++) {
		if (upid_parse(&u, upids[i], NULL) == -1 ||
		    !upid_is_on_store(&u, store))
			continue;
		if (named++ < NAMED_MAX)
			sbuf_add_fmt(&text, "%s %s %s by %s",
			    named > 1 ? "," : ":", u.type, STR_VIS(u.worker_id),
			    STR_VIS(u.auth_id));
	}
	free(upids);
	if (named > NAMED_MAX)
		sbuf_add_fmt(&text, ", and %zu more", named - NAMED_MAX);
	if (named > 0 || vs->nsessions > 0)
		err_set(e, ERR_LOCKED, "datastore '%s' is in use%s", store,
		    named > 0 ? sbuf_str(&text) : " by a session");
	sbuf_fini(&text);
	return named > 0 || vs->nsessions > 0 ? -1 : 0;
}

/* --- closing ------------------------------------------------------------- */

static void
closing_free(struct closing *c)
{
	c->vs->unused = NULL;
	free(c->path);
	free(c);
}

/* It is in use again. */
static void
closing_fail(struct closing *c, const struct err *why)
{
	struct verifier *vr = c->r->v->verifier;

	control_fail(c->r, why);
	closing_free(c);
	verify_new_go_on(vr);
}

/* Another datastore of that name must not pass for verified. */
static void
forget_run(struct store_job *job)
{
	struct closing *c = (struct closing *)job;

	c->rv =
	    verified_del_store(c->r->v->verified, c->vs->store->name, &c->err);
}

static void
forget_done(struct store_job *job)
{
	struct closing *c = (struct closing *)job;

	if (c->rv == -1) {
		closing_fail(c, &c->err);
		return;
	}
	vstore_close(c->r->v, c->vs, c->clean);
	reply_path(c->r, c->path);
	closing_free(c);
}

static void
submit(struct closing *c, struct store_flow *flow,
    void (*run)(struct store_job *job), void (*done)(struct store_job *job))
{
	c->rv = err_set(&c->err, ERR_UNAVAILABLE, "validator ends");
	c->job.run = run;
	c->job.done = done;
	store_job_submit(flow, &c->job);
}

static void
sync_run(struct store_job *job)
{
	struct closing *c = (struct closing *)job;

	c->rv = store_sync(c->vs->store, &c->err);
}

/* One that is poisoned may go: it is no better if it stays.  The rest in a
 * thread that is not the store's, since those end. */
static void
sync_done(struct store_job *job)
{
	struct closing *c = (struct closing *)job;

	c->clean = c->rv == 0;
	if (c->rv == -1 && c->err.code != ERR_POISONED)
		closing_fail(c, &c->err);
	else
		submit(c, &c->r->v->verified_flow, forget_run, forget_done);
}

/* At once, or when the last call has ended. */
static void
is_unused(void *arg)
{
	struct closing *c = arg;
	struct err e;

	if (c->vs->pool == NULL) {
		err_set(&e, ERR_UNAVAILABLE, "validator ends");
		closing_fail(c, &e);
		return;
	}
	store_flow_init(&c->flow, c->vs->pool, STORE_CLASS_SYNC, 1);
	submit(c, &c->flow, sync_run, sync_done);
}

static void
closing_start(struct control_req *r, struct vstore *vs)
{
	struct closing *c = xcalloc(1, sizeof(*c));

	c->r = r;
	c->vs = vs;
	c->path = xstrdup(vs->conf->path);
	vs->unused = is_unused;
	vs->unused_arg = c;
	if (vs->nholds == 0)
		is_unused(c);
}

void
control_datastore_close(struct control_req *r)
{
	const char *name;
	struct vstore *vs;
	struct err e;

	if ((name = control_arg_need(r, "name", &e)) == NULL) {
		control_fail(r, &e);
		return;
	}
	if ((vs = validator_store(r->v, name)) == NULL) {
		err_set(&e, ERR_NOT_FOUND, "no such datastore '%s'", name);
		control_fail(r, &e);
	} else if (vs->store == NULL) {
		vs->closed = true; /* one that was refused never was open */
		reply_path(r, vs->conf->path);
	} else if (vs->unused != NULL) {
		err_set(&e, ERR_LOCKED, "datastore '%s' is being closed", name);
		control_fail(r, &e);
	} else if (check_unused(r->v, vs, &e) == -1) {
		control_fail(r, &e);
	} else {
		closing_start(r, vs);
	}
}
