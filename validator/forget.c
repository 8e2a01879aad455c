/*
 * Forgets verifications of snapshots (forget.h).  Runs in the validator's loop
 * and in the thread of their record.  All it gets is the validator's own.
 */
#include "config.h"

#include "validator/forget.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/format/names.h"
#include "common/format/snapshot.h"
#include "validator/store/verified.h"
#include "validator/validator.h"

struct forgetting {
	struct store_job job; /* first: a job is its forgetting */
	struct validator *v;
	char store[DATASTORE_NAME_MAX + 1];
	struct backup_ns ns;
	struct backup_group group;
	int64_t *times;
	size_t n;
	int rv;
	struct err err;
};

static void
forget_run(struct store_job *job)
{
	struct forgetting *f = (struct forgetting *)job;

	f->rv = verified_del(f->v->verified, f->store, &f->ns, &f->group,
	    f->times, f->n, &f->err);
}

static void
forget_done(struct store_job *job)
{
	struct forgetting *f = (struct forgetting *)job;

	if (f->rv == -1)
		log_err_e("forget", &f->err, "cannot forget a verification");
	free(f->times);
	free(f);
}

void
forget_verified(struct validator *v, const char *store,
    const struct backup_ns *ns, const struct backup_group *g,
    const int64_t *times, size_t n)
{
	struct forgetting *f;

	if (n == 0)
		return;
	f = xcalloc(1, sizeof(*f));
	f->v = v;
	snprintf(f->store, sizeof(f->store), "%s", store);
	f->ns = *ns;
	f->group = *g;
	f->times = xmemdup(times, n * sizeof(*times));
	f->n = n;
	f->job.run = forget_run;
	f->job.done = forget_done;
	store_job_submit(&v->verified_flow, &f->job);
}
