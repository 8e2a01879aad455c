#ifndef VALIDATOR_JOBS_VERIFY_SNAP_H
#define VALIDATOR_JOBS_VERIFY_SNAP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/format/snapshot.h"

struct err;
struct job;
struct store;
struct verify_chunks;
struct verify_peer;

/* Verifying one snapshot (datastore-format 7.1). */
struct verify_ctx {
	struct job *job;
	struct store *store; /* for reading only */
	struct verify_peer *peer;
	struct verify_chunks *chunks;
	bool ignore_verified;
	bool outdated; /* after this many days */
	uint64_t outdated_after;
	bool show_chunks; /* progress by chunks: there is one snapshot */
};

enum verify_result {
	VERIFY_GOOD,
	VERIFY_SKIPPED,
	VERIFY_BAD,
	VERIFY_UNKNOWN, /* something could not be read */
	VERIFY_NOT_ALLOWED,
};

/* "store:ns/vm/100/2024-..." */
#define VERIFY_NAME_MAX 600
void verify_snap_name(const struct verify_ctx *c, const struct backup_ns *ns,
    const struct backup_snapshot *snap, char out[VERIFY_NAME_MAX + 1]);

/* Locks, verifies, marks and logs.  before(arg) is called before the first line
 * of the log.  -1 ends the job. */
int verify_snap(struct verify_ctx *c, const struct backup_ns *ns,
    const struct backup_snapshot *snap, void (*before)(void *arg), void *arg,
    enum verify_result *out, struct err *e);

#endif
