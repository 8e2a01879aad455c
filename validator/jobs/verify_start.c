/*
 * Starting verifications (verify.h), and the queue of new snapshots.  Runs in
 * the validator's loop.  Rights were checked by the caller; those of each
 * namespace below are when the job wants to lock there.
 */
#include "config.h"

#include "validator/jobs/verify_int.h"

#include <sys/queue.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/sbuf.h"
#include "validator/jobs/jobs.h"
#include "validator/validator.h"

#define ARGS_MAX 4096
#define NEW_MAX 100000u /* waiting snapshots */

struct new_snapshot {
	TAILQ_ENTRY(new_snapshot) entry;
	struct vstore *vs;
	struct backup_ns ns;
	struct backup_snapshot snap;
	char auth_id[IPC_AUTHID_MAX + 1];
};

struct verifier {
	struct validator *v;
	TAILQ_HEAD(, new_snapshot) waiting;
	unsigned int nwaiting;
};

struct verifier *
verifier_new(struct validator *v)
{
	struct verifier *vr = xcalloc(1, sizeof(*vr));

	vr->v = v;
	TAILQ_INIT(&vr->waiting);
	return vr;
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
		TAILQ_REMOVE(&vr->waiting, n, entry);
		free(n);
	}
	free(vr);
}

/* --- starting --- */

/* The part of a UPID that says what is verified. */
static void
worker_id(const struct verify_request *q, char out[UPID_WORKER_ID_MAX + 1])
{
	char group[GROUP_STR_MAX + 1];
	const char *store = q->vs->conf->title;
	const char *sep = q->ns.depth > 0 ? "/" : "";
	size_t size = UPID_WORKER_ID_MAX + 1;

	group_to_str(&q->snap.group, group);
	if (q->scope == VERIFY_SCOPE_SNAPSHOT)
		snprintf(out, size, "%s:%s%s%s/%08" PRIX64, store, q->ns.name,
		    sep, group, (uint64_t)q->snap.time);
	else if (q->scope == VERIFY_SCOPE_GROUP)
		snprintf(out, size, "%s:%s%s%s", store, q->ns.name, sep, group);
	else if (q->ns.depth > 0)
		snprintf(out, size, "%s:%s", store, q->ns.name);
	else
		snprintf(out, size, "%s", store);
}

static const char *const task_types[] = {
    [VERIFY_SCOPE_NS] = "verify",
    [VERIFY_SCOPE_GROUP] = "verify_group",
    [VERIFY_SCOPE_SNAPSHOT] = "verify_snapshot",
};

static void
add_arg(struct sbuf *b, const char *key, const char *value)
{
	sbuf_add_fmt(b, "%s=%s", key, value);
	sbuf_add_char(b, '\0');
}

static void
add_number(struct sbuf *b, const char *key, uint64_t v)
{
	sbuf_add_fmt(b, "%s=%" PRIu64, key, v);
	sbuf_add_char(b, '\0');
}

static void
make_args(const struct verify_request *q, bool is_new, struct sbuf *b)
{
	if (is_new)
		add_arg(b, "new", "1");
	add_arg(b, "ns", q->ns.name);
	add_number(b, "max-depth", q->max_depth);
	if (q->scope != VERIFY_SCOPE_NS) {
		add_arg(b, "type", backup_type_str(q->snap.group.type));
		add_arg(b, "id", q->snap.group.id);
	}
	if (q->scope == VERIFY_SCOPE_SNAPSHOT)
		add_number(b, "time", (uint64_t)q->snap.time);
	if (q->ignore_verified)
		add_arg(b, "ignore-verified", "1");
	if (q->outdated_after != VERIFY_ALWAYS)
		add_number(b, "outdated-after", q->outdated_after);
}

static void new_next(struct verifier *vr, struct vstore *vs);

struct new_done {
	struct verifier *vr;
	struct vstore *vs;
};

static void
new_done(void *arg, const struct err *why)
{
	struct new_done *d = arg;

	(void)why;
	new_next(d->vr, d->vs);
	free(d);
}

static int
start(struct verifier *vr, const struct verify_request *q, bool is_new,
    char upid_out[IPC_UPID_MAX + 1], struct err *e)
{
	char id[UPID_WORKER_ID_MAX + 1];
	struct job_spec spec = {
	    .kind = is_new ? JOB_KIND_VERIFY_NEW : JOB_KIND_VERIFY,
	    .vs = q->vs,
	    .type = q->type != NULL ? q->type : task_types[q->scope],
	    .worker_id = id,
	    .auth_id = q->auth_id,
	    .state = verify_job_new(vr->v, q),
	    .state_free = verify_job_free,
	};
	struct new_done *done = NULL;
	struct sbuf args;
	int rv;

	worker_id(q, id);
	sbuf_init(&args, ARGS_MAX);
	make_args(q, is_new, &args);
	spec.args = args.data;
	spec.args_len = args.len;
	if (is_new) {
		done = xcalloc(1, sizeof(*done));
		*done = (struct new_done){vr, q->vs};
		spec.done = new_done;
		spec.arg = done;
	}
	rv = jobs_start(vr->v->jobs, &spec, upid_out, e);
	if (rv == -1)
		free(done);
	sbuf_fini(&args);
	return rv;
}

int
verify_start(struct verifier *vr, const struct verify_request *q,
    char upid_out[IPC_UPID_MAX + 1], struct err *e)
{
	return start(vr, q, false, upid_out, e);
}

/* --- new snapshots --- */

/* False if the validator ends. */
static bool
new_start(struct verifier *vr, const struct new_snapshot *n)
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
	char name[SNAPSHOT_STR_MAX + 1];
	struct err e;

	if (start(vr, &q, true, NULL, &e) == 0)
		return true;
	if (e.code == ERR_UNAVAILABLE)
		return false;
	snapshot_to_str(&n->snap, name);
	log_err_e("verify", &e,
	    "cannot verify a new snapshot store=%s ns=%s snapshot=%s",
	    n->vs->conf->title, n->ns.name, name);
	return true;
}

/* The first one that waits for this datastore, unless one is at work. */
static void
new_next(struct verifier *vr, struct vstore *vs)
{
	struct new_snapshot *n, *next;

	for (n = TAILQ_FIRST(&vr->waiting); n != NULL; n = next) {
		next = TAILQ_NEXT(n, entry);
		if (n->vs != vs)
			continue;
		if (jobs_is_running(vr->v->jobs, JOB_KIND_VERIFY_NEW, vs))
			return;
		if (!new_start(vr, n))
			return;
		TAILQ_REMOVE(&vr->waiting, n, entry);
		vr->nwaiting--;
		free(n);
	}
}

void
verify_new(struct verifier *vr, struct vstore *vs, const struct backup_ns *ns,
    const struct backup_snapshot *snap, const char *auth_id)
{
	struct new_snapshot *n;

	if (vr->nwaiting >= NEW_MAX) {
		log_err("verify", "too many new snapshots wait store=%s",
		    vs->conf->title);
		return;
	}
	n = xcalloc(1, sizeof(*n));
	n->vs = vs;
	n->ns = *ns;
	n->snap = *snap;
	snprintf(n->auth_id, sizeof(n->auth_id), "%s", auth_id);
	TAILQ_INSERT_TAIL(&vr->waiting, n, entry);
	vr->nwaiting++;
	new_next(vr, vs);
}
