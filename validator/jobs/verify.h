#ifndef VALIDATOR_JOBS_VERIFY_H
#define VALIDATOR_JOBS_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/format/snapshot.h"
#include "common/ipc_fields.h"

struct err;
struct grant;
struct validator;
struct verifier;
struct vstore;

/*
 * Verification (datastore-format 7), seen from the validator: what may be
 * asked for, and the snapshots that wait to be verified after their finish.
 * The work is done by a job (verify_job.c) with checkers that we lend it; what
 * it asks for is served here (verify_serve.c).  All of it is the loop's.
 */
#define VERIFY_ALWAYS UINT64_MAX /* never outdated */

enum verify_scope {
	VERIFY_SCOPE_NS, /* and what is below it */
	VERIFY_SCOPE_GROUP,
	VERIFY_SCOPE_SNAPSHOT,
};

struct verify_request {
	struct vstore *vs;
	enum verify_scope scope;
	struct backup_ns ns;
	struct backup_snapshot snap; /* or only its group */
	unsigned int max_depth;      /* below ns */
	bool ignore_verified;
	uint64_t outdated_after; /* days; VERIFY_ALWAYS: a state stays good */
	const char *type;        /* of the task; NULL: by the scope */
	const char *auth_id;
	/* Whose rights bound what is verified; NULL: nobody's.  Taken in any
	 * case, and left empty. */
	struct grant *grant;
	bool is_owner; /* of the group, which then is allowed without rights */
};

/* upid_out may be NULL.  ERR_LOCKED if one runs on that datastore. */
int verify_start(struct validator *v, const struct verify_request *q,
    char upid_out[IPC_UPID_MAX + 1], struct err *e);

/*
 * The queue of new snapshots (verify-new): those of a datastore are verified
 * one after the other, and wait while it is in maintenance, or if the job
 * cannot start.  It is on disk (store/verified.h) before a snapshot is, so none
 * is forgotten over a restart.
 */
/* Before any thread runs: what the last process left. */
struct verifier *verifier_new(struct validator *v, struct err *e);
/* Once the sessions that go on are known: their snapshots come later. */
void verifier_start(struct verifier *vr);
/* After the jobs and the threads ended. */
void verifier_free(struct verifier **vr);
/* A finished snapshot, as soon as those before it are done. */
void verify_new(struct verifier *vr, struct vstore *vs,
    const struct backup_ns *ns, const struct backup_snapshot *snap,
    const char *auth_id);
/* A datastore may be in use again: the configuration has changed. */
void verify_new_go_on(struct verifier *vr);
/* The datastore goes: nothing of it waits any more. */
void verify_new_drop(struct verifier *vr, const struct vstore *vs);

#endif
