#ifndef VALIDATOR_PRUNE_H
#define VALIDATOR_PRUNE_H

#include "common/ipc_fields.h"

struct backup_ns;
struct err;
struct prune_rules;
struct validator;
struct vstore;

/*
 * Pruning that the server does by itself (call_prune.c): all groups of a
 * namespace and below, whoever owns them.  The loop's.
 */
struct prune_job {
	const char *name;
	const struct backup_ns *ns;
	unsigned int max_depth;
	const struct prune_rules *keep;
};

/* Goes on in the store's threads; upid_out gets its task. */
int prune_job_start(struct validator *v, struct vstore *vs,
    const struct prune_job *job, char upid_out[IPC_UPID_MAX + 1],
    struct err *e);

#endif
