#ifndef VALIDATOR_MANIFEST_EDIT_H
#define VALIDATOR_MANIFEST_EDIT_H

#include <stdbool.h>

#include "common/format/snapshot.h"

struct checker_op;
struct err;
struct validator;
struct vstore;

/*
 * Changing the manifest of a stored snapshot: read, changed by a checker,
 * replaced atomically and durably.  Edits of one manifest are made one after
 * the other: that is the manifest lock (datastore-format 6.1).  The caller
 * sees to it that the snapshot stays (a lock in the lock database).  The
 * loop's; the disk's part runs in the store's threads.
 */
struct manifest_edits;

/* why NULL: it is on disk.  no_manifest: there was nothing to change. */
typedef void manifest_edit_fn(void *arg, const struct err *why,
    bool no_manifest);

struct manifest_edits *manifest_edits_new(struct validator *v);
/* After the stores' threads ended. */
void manifest_edits_free(struct manifest_edits **m);

/* op and text (its UPID or notes) are copied.  fn comes once, from the loop. */
void manifest_edit_start(struct manifest_edits *m, struct vstore *vs,
    const struct backup_ns *ns, const struct backup_snapshot *snap,
    const struct checker_op *op, const char *text, manifest_edit_fn *fn,
    void *arg);

#endif
