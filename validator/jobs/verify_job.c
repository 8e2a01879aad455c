/*
 * The verification job: which snapshots, in which order (datastore-format
 * 7.5).  Runs in holdfast-job, which may read the datastore and change
 * nothing.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/str.h"
#include "validator/jobs/job.h"
#include "validator/jobs/verify_chunks.h"
#include "validator/jobs/verify_peer.h"
#include "validator/jobs/verify_snap.h"
#include "validator/store/group.h"
#include "validator/store/layout.h"
#include "validator/store/namespace.h"
#include "validator/store/snapshot.h"

/* A group that is to be verified; its snapshots are listed when it is its
 * turn. */
struct target {
	struct backup_ns ns;
	struct backup_group group;
};

struct verify {
	struct verify_ctx ctx;
	struct store store;
	struct backup_ns ns;
	uint64_t max_depth;
	bool one_group;
	bool one_snapshot;
	struct backup_snapshot snap;

	struct target *targets;
	size_t ntargets;
	size_t at;     /* target at work */
	size_t nsnaps; /* of it */
	bool told;     /* of the target */
	uint64_t good;
	uint64_t bad;
	uint64_t unknown;
	uint64_t skipped;
	char **failed; /* names */
	size_t nfailed;
	struct err *e; /* of the listing */
};

/* --- what is asked for -------------------------------------------------- */

static int
parse_args(struct verify *v, struct err *e)
{
	struct job *j = v->ctx.job;
	const char *type = job_arg(j, "type"), *id = job_arg(j, "id");
	uint64_t time;

	v->ctx.ignore_verified = job_arg(j, "ignore-verified") != NULL;
	v->ctx.outdated = job_arg(j, "outdated-after") != NULL;
	v->one_group = type != NULL && id != NULL;
	v->one_snapshot = v->one_group && job_arg(j, "time") != NULL;
	v->ctx.show_chunks = v->one_snapshot;
	if (job_arg_u64(j, "outdated-after", 0, &v->ctx.outdated_after, e) ==
		-1 ||
	    job_arg_u64(j, "max-depth", NAMESPACE_DEPTH_MAX, &v->max_depth,
		e) == -1 ||
	    job_arg_u64(j, "time", 1, &time, e) == -1 ||
	    ns_parse(&v->ns, job_arg(j, "ns"), e) == -1)
		return -1;
	if (!v->one_group)
		return 0;
	if (time > INT64_MAX)
		return err_set(e, ERR_PARAM, "not the time of a snapshot");
	return snapshot_set(&v->snap, type, id, (int64_t)time, e);
}

static void
add_target(struct verify *v, const struct backup_ns *ns,
    const struct backup_group *g)
{
	if (v->ntargets % 64 == 0)
		v->targets = xreallocarray(v->targets, v->ntargets + 64,
		    sizeof(*v->targets));
	v->targets[v->ntargets].ns = *ns;
	v->targets[v->ntargets++].group = *g;
}

static int
add_namespace(void *ctx, const struct backup_ns *ns)
{
	struct verify *v = ctx;
	struct backup_group *groups;
	size_t i, n;

	if (group_dir_list(&v->store, ns, &groups, &n, v->e) == -1)
		return -1;
	for (i = 0; i < n; i++)
		if (!group_is_benchmark(&groups[i]))
			add_target(v, ns, &groups[i]);
	free(groups);
	return job_check_stop(v->ctx.job, v->e);
}

static int
find_targets(struct verify *v, struct err *e)
{
	unsigned int depth = v->max_depth < NAMESPACE_DEPTH_MAX
	    ? (unsigned int)v->max_depth
	    : NAMESPACE_DEPTH_MAX;

	if (v->one_group) {
		add_target(v, &v->ns, &v->snap.group);
		return 0;
	}
	v->e = e;
	err_clear(e);
	if (ns_dir_each(&v->store, &v->ns, depth, add_namespace, v, e) == -1 ||
	    e->code != ERR_OK)
		return -1;
	job_log(v->ctx.job, "found %zu groups", v->ntargets);
	return 0;
}

/* --- one after the other ------------------------------------------------ */

/* Only of what the caller may verify. */
static void
tell_target(void *arg)
{
	struct verify *v = arg;
	const struct target *t = &v->targets[v->at];
	char group[GROUP_STR_MAX + 1];

	if (v->told || v->one_snapshot)
		return;
	v->told = true;
	group_to_str(&t->group, group);
	job_log(v->ctx.job, "verify group %s:%s%s%s (%zu snapshots)",
	    job_store(v->ctx.job), t->ns.name, t->ns.depth > 0 ? "/" : "",
	    group, v->nsnaps);
}

static void
add_failed(struct verify *v, const struct backup_ns *ns,
    const struct backup_snapshot *snap)
{
	char name[VERIFY_NAME_MAX + 1];

	verify_snap_name(&v->ctx, ns, snap, name);
	v->failed =
	    xreallocarray(v->failed, v->nfailed + 1, sizeof(*v->failed));
	v->failed[v->nfailed++] = xstrdup(name);
}

static int
verify_one(struct verify *v, const struct backup_ns *ns,
    const struct backup_snapshot *snap, struct err *e)
{
	enum verify_result r = VERIFY_SKIPPED;

	if (job_check_stop(v->ctx.job, e) == -1 ||
	    verify_snap(&v->ctx, ns, snap, tell_target, v, &r, e) == -1)
		return -1;
	switch (r) {
	case VERIFY_GOOD:
		v->good++;
		break;
	case VERIFY_BAD:
		v->bad++;
		add_failed(v, ns, snap);
		break;
	case VERIFY_UNKNOWN:
		v->unknown++;
		add_failed(v, ns, snap);
		break;
	case VERIFY_SKIPPED:
	case VERIFY_NOT_ALLOWED:
		v->skipped++;
		break;
	}
	return 0;
}

/* Newest first, so that the bases of the next backups come first. */
static int
verify_target(struct verify *v, struct err *e)
{
	const struct target *t = &v->targets[v->at];
	struct backup_snapshot snap = {.group = t->group};
	struct snap_info *snaps;
	struct err why;
	size_t i;
	int rv = 0;

	v->told = false;
	if (snap_dir_list(&v->store, &t->ns, &t->group, &snaps, &v->nsnaps,
		&why) == -1) {
		if (why.code == ERR_NOT_FOUND || why.code == ERR_NO_NAMESPACE)
			return 0;
		v->unknown++;
		job_warn(v->ctx.job, "cannot list the snapshots of a group: %s",
		    STR_VIS(why.msg));
		return 0;
	}
	for (i = 0; i < v->nsnaps && rv == 0; i++) {
		snap.time = snaps[i].time;
		rv = verify_one(v, &t->ns, &snap, e);
	}
	free(snaps);
	return rv;
}

static int
verify_all(struct verify *v, struct err *e)
{
	struct job *j = v->ctx.job;

	if (v->one_snapshot)
		return verify_one(v, &v->ns, &v->snap, e);
	for (v->at = 0; v->at < v->ntargets; v->at++) {
		job_progress(j, "verifying groups", v->at, v->ntargets);
		if (verify_target(v, e) == -1)
			return -1;
		if (v->told)
			job_log(j, "percentage done: %.2f%% (%zu/%zu groups)",
			    (double)(v->at + 1) * 100 / (double)v->ntargets,
			    v->at + 1, v->ntargets);
	}
	return 0;
}

static int
conclude(struct verify *v, struct err *e)
{
	struct job *j = v->ctx.job;
	size_t i;

	job_log(j,
	    "%" PRIu64 " snapshots are good, %" PRIu64 " failed, %" PRIu64
	    " could not be read, %" PRIu64 " skipped",
	    v->good, v->bad, v->unknown, v->skipped);
	if (v->bad == 0 && v->unknown == 0)
		return 0;
	job_log(j, "Failed to verify the following snapshots/groups:");
	for (i = 0; i < v->nfailed; i++)
		job_log(j, "  %s", v->failed[i]);
	return err_set(e, ERR_CORRUPT,
	    "verification failed - please check the log for details");
}

int
job_run_verify(struct job *j, struct err *e)
{
	struct verify_peer peer = {0};
	struct verify v = {
	    .ctx = {.job = j, .peer = &peer},
	    .store = {.root_fd = job_root_fd(j), .chunks_fd = job_chunks_fd(j)},
	};
	int rv = -1;

	v.ctx.store = &v.store;
	if (parse_args(&v, e) == -1)
		return -1;
	if (job_arg(j, "new") != NULL)
		job_log(j, "Automatically verifying newly added snapshot");
	else if (!v.one_group)
		job_log(j, "verify datastore %s%s%s", job_store(j),
		    v.ns.depth > 0 ? ":" : "", v.ns.name);
	if (verify_peer_open(&peer, j, 0, e) == 0 &&
	    (v.ctx.chunks = verify_chunks_new(j, e)) != NULL &&
	    find_targets(&v, e) == 0 && verify_all(&v, e) == 0)
		rv = conclude(&v, e);
	verify_chunks_free(&v.ctx.chunks);
	verify_peer_close(&peer);
	while (v.nfailed > 0)
		free(v.failed[--v.nfailed]);
	free(v.failed);
	free(v.targets);
	return rv;
}

int
job_run_verify_new(struct job *j, struct err *e)
{
	return job_run_verify(j, e);
}
