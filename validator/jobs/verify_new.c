/*
 * The queue of new snapshots (verify.h).  Runs in the validator's loop; its
 * record in STATE is changed in the thread of that.
 */
#include "config.h"

#include "validator/jobs/verify_int.h"

#include <sys/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/log.h"
#include "common/mem.h"
#include "validator/session.h"
#include "validator/store/verified.h"
#include "validator/validator.h"

#define WAITING_MAX 100000u
#define RETRY_S 2

struct new_snapshot {
	struct store_job job; /* first: a job is its snapshot */
	TAILQ_ENTRY(new_snapshot) entry;
	struct verifier *vr;
	struct vstore *vs;
	char store[DATASTORE_NAME_MAX + 1];
	struct backup_ns ns;
	struct backup_snapshot snap;
	char auth_id[IPC_AUTHID_MAX + 1];
	int rv;
	struct err err;
};

TAILQ_HEAD(new_snapshots, new_snapshot);
struct verifier {
	struct validator *v;
	struct new_snapshots waiting;
	unsigned int nwaiting;
	struct event *timer; /* one could not start */
};

static void
new_add(struct verifier *vr, struct vstore *vs, const struct backup_ns *ns,
    const struct backup_snapshot *snap, const char *auth_id)
{
	struct new_snapshot *n = xcalloc(1, sizeof(*n));

	n->vr = vr;
	n->vs = vs;
	snprintf(n->store, sizeof(n->store), "%s", vs->conf->title);
	n->ns = *ns;
	n->snap = *snap;
	snprintf(n->auth_id, sizeof(n->auth_id), "%s", auth_id);
	TAILQ_INSERT_TAIL(&vr->waiting, n, entry);
	vr->nwaiting++;
}

static void
new_remove(struct new_snapshot *n)
{
	TAILQ_REMOVE(&n->vr->waiting, n, entry);
	n->vr->nwaiting--;
}

/* --- its end --- */

static void
forget_run(struct store_job *job)
{
	struct new_snapshot *n = (struct new_snapshot *)job;

	n->rv = verified_end(n->vr->v->verified, n->store, &n->ns, &n->snap,
	    &n->err);
}

static void
forget_done(struct store_job *job)
{
	struct new_snapshot *n = (struct new_snapshot *)job;

	if (n->rv == -1)
		log_err_e("verify", &n->err,
		    "a new snapshot will be verified again store=%s", n->store);
	free(n);
}

static void
new_forget(struct new_snapshot *n)
{
	n->job.run = forget_run;
	n->job.done = forget_done;
	store_job_submit(&n->vr->v->verified_flow, &n->job);
}

static void new_next(struct verifier *vr, struct vstore *vs);

/* What the end of the server cut short is done again by the next one. */
static void
new_verified(void *arg, const struct err *why)
{
	struct new_snapshot *n = arg;
	struct verifier *vr = n->vr;
	struct vstore *vs = n->vs;

	if (why != NULL && why->code == ERR_UNAVAILABLE)
		free(n);
	else
		new_forget(n);
	new_next(vr, vs);
}

/* --- its turn --- */

static int
new_start(struct new_snapshot *n, struct err *e)
{
	struct verify_request q = {
	    .vs = n->vs,
	    .scope = VERIFY_SCOPE_SNAPSHOT,
	    .ns = n->ns,
	    .snap = n->snap,
	    .outdated_after = VERIFY_ALWAYS,
	    .type = "verify",
	    .auth_id = n->auth_id,
	};
	struct job_spec spec = {
	    .kind = JOB_KIND_VERIFY_NEW,
	    .done = new_verified,
	    .arg = n,
	};

	return verify_start_job(n->vr->v, &q, &spec, NULL, e);
}

/* This machine lacks something, which is said once. */
static void
new_try_again(struct new_snapshot *n, const struct err *why)
{
	static const struct timeval later = {RETRY_S, 0};
	char name[SNAPSHOT_STR_MAX + 1];

	snapshot_to_str(&n->snap, name);
	if (strcmp(n->err.msg, why->msg) != 0)
		log_err_e("verify", why,
		    "cannot verify a new snapshot, will try again store=%s "
		    "ns=%s snapshot=%s",
		    n->store, n->ns.name, name);
	n->err = *why;
	event_add(n->vr->timer, &later);
}

/* The first one that waits for this datastore, unless one is at work.  In
 * maintenance all of them wait for its end. */
static void
new_next(struct verifier *vr, struct vstore *vs)
{
	struct new_snapshot *n;
	struct err e;

	if (validator_store_use(vr->v, vs->conf->title, 1, &vs, &e) == -1 ||
	    jobs_is_running(vr->v->jobs, JOB_KIND_VERIFY_NEW, vs))
		return;
	TAILQ_FOREACH(n, &vr->waiting, entry)
		if (n->vs == vs)
			break;
	if (n == NULL)
		return;
	if (new_start(n, &e) == 0)
		new_remove(n);
	else if (e.code != ERR_UNAVAILABLE) /* else the server ends */
		new_try_again(n, &e);
}

void
verify_new(struct verifier *vr, struct vstore *vs, const struct backup_ns *ns,
    const struct backup_snapshot *snap, const char *auth_id)
{
	if (vr->nwaiting >= WAITING_MAX) {
		log_err("verify",
		    "too many new snapshots wait, one more after a restart "
		    "store=%s",
		    vs->conf->title);
		return;
	}
	new_add(vr, vs, ns, snap, auth_id);
	new_next(vr, vs);
}

void
verify_new_go_on(struct verifier *vr)
{
	size_t i;

	for (i = 0; i < vr->v->nstores; i++)
		new_next(vr, vr->v->stores[i]);
}

static void
on_timer(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	verify_new_go_on(ctx);
}

void
verify_new_drop(struct verifier *vr, const struct vstore *vs)
{
	struct new_snapshot *n, *next;

	for (n = TAILQ_FIRST(&vr->waiting); n != NULL; n = next) {
		next = TAILQ_NEXT(n, entry);
		if (n->vs != vs)
			continue;
		new_remove(n);
		free(n);
	}
}

/* --- over a restart --- */

static void
new_load(void *arg, const char *store, const struct backup_ns *ns,
    const struct backup_snapshot *snap, const char *auth_id)
{
	struct verifier *vr = arg;
	struct vstore *vs = validator_store(vr->v, store);

	/* One that was refused keeps its own until it is open again. */
	if (vs != NULL && vs->store != NULL && vr->nwaiting < WAITING_MAX)
		new_add(vr, vs, ns, snap, auth_id);
}

struct verifier *
verifier_new(struct validator *v, struct err *e)
{
	struct verifier *vr = xcalloc(1, sizeof(*vr));

	vr->v = v;
	TAILQ_INIT(&vr->waiting);
	if ((vr->timer = evtimer_new(v->base, on_timer, vr)) == NULL)
		fatal("verify", "no event");
	if (verified_each_waiting(v->verified, new_load, vr, e) == -1)
		verifier_free(&vr);
	return vr;
}

struct session_search {
	const struct new_snapshot *n;
	char name[SNAPSHOT_STR_MAX + 1];
	bool found;
};

static int
compare_session(void *arg, struct session *s)
{
	struct session_search *q = arg;
	struct session_info i;

	session_get_info(s, &i);
	q->found = i.is_backup && strcmp(i.store, q->n->store) == 0 &&
	    strcmp(i.ns, q->n->ns.name) == 0 &&
	    strcmp(i.snapshot, q->name) == 0;
	return q->found;
}

/* Its session goes on: it is no snapshot yet. */
static bool
is_unfinished(const struct new_snapshot *n)
{
	struct session_search q = {.n = n};

	snapshot_to_str(&n->snap, q.name);
	sessions_each(n->vr->v->sessions, compare_session, &q);
	return q.found;
}

void
verifier_start(struct verifier *vr)
{
	struct new_snapshot *n, *next;

	for (n = TAILQ_FIRST(&vr->waiting); n != NULL; n = next) {
		next = TAILQ_NEXT(n, entry);
		if (is_unfinished(n)) {
			new_remove(n);
			free(n);
		}
	}
	if (vr->nwaiting > 0)
		log_info("verify", "%u new snapshots wait for verification",
		    vr->nwaiting);
	verify_new_go_on(vr);
}

void
verifier_free(struct verifier **vrp)
{
	struct verifier *vr = *vrp;
	struct new_snapshot *n;

	*vrp = NULL;
	if (vr == NULL)
		return;
	while ((n = TAILQ_FIRST(&vr->waiting)) != NULL) {
		new_remove(n);
		free(n);
	}
	event_free(vr->timer);
	free(vr);
}
