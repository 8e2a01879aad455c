/*
 * Starting verifications (verify.h).  Runs in the validator's loop.  Rights
 * were checked by the caller; those of each namespace below are when the job
 * wants to lock there.
 */
#include "config.h"

#include "validator/jobs/verify_int.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/sbuf.h"
#include "validator/jobs/jobs.h"
#include "validator/validator.h"

#define ARGS_MAX 4096

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

int
verify_start_job(struct validator *v, const struct verify_request *q,
    struct job_spec *spec, char upid_out[IPC_UPID_MAX + 1], struct err *e)
{
	char id[UPID_WORKER_ID_MAX + 1];
	struct sbuf args;
	int rv;

	worker_id(q, id);
	sbuf_init(&args, ARGS_MAX);
	make_args(q, spec->kind == JOB_KIND_VERIFY_NEW, &args);
	spec->vs = q->vs;
	spec->type = q->type != NULL ? q->type : task_types[q->scope];
	spec->worker_id = id;
	spec->auth_id = q->auth_id;
	spec->args = args.data;
	spec->args_len = args.len;
	spec->state = verify_job_new(v, q);
	spec->state_free = verify_job_free;
	rv = jobs_start(v->jobs, spec, upid_out, e);
	sbuf_fini(&args);
	return rv;
}

int
verify_start(struct validator *v, const struct verify_request *q,
    char upid_out[IPC_UPID_MAX + 1], struct err *e)
{
	struct job_spec spec = {.kind = JOB_KIND_VERIFY};

	return verify_start_job(v, q, &spec, upid_out, e);
}
