#ifndef VALIDATOR_STORE_SESSION_DIR_H
#define VALIDATOR_STORE_SESSION_DIR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/format/digest.h"
#include "common/format/snapshot.h"

struct err;
struct lost_watch;
struct store;

/*
 * .holdfast/sessions/<id>/: a backup while it is made.  It becomes the
 * snapshot by one rename.  All block; for store threads.
 */
#define SESSION_ID_LEN 16 /* hex digits */

void session_id_to_str(uint64_t id, char out[SESSION_ID_LEN + 1]);

/* Both give a descriptor of the folder, the caller's, or -1. */
int session_dir_create(struct store *s, uint64_t id, struct err *e);
int session_dir_open(struct store *s, uint64_t id, struct err *e);
/* One that is not there is success. */
int session_dir_remove(struct store *s, uint64_t id, struct err *e);
/* Removes a folder of the store, named in dirfd: out of sight in one step.
 * What an error or a power cut leaves of it belongs to no session, and goes at
 * the next start. */
int session_dir_discard(struct store *s, int dirfd, const char *what,
    struct err *e);

/* Every session folder that is there, in no order; what else lies there is
 * removed.  fn returns 0 to go on. */
int session_dir_each(struct store *s, int (*fn)(void *ctx, uint64_t id),
    void *ctx, struct err *e);

struct session_commit {
	atomic_bool cancel; /* set before the rename, it wins: ERR_ABORTED */
	/* Looked at once more right before the rename, while no chunk is
	 * renamed as damaged.  A reference to one that is lost: ERR_MISSING.
	 * NULL: what is lost does not matter. */
	struct lost_watch *watch;
	bool is_lost; /* hit is */
	struct digest hit;
	/* The rename is done, and nothing may be undone, whatever else
	 * failed. */
	bool published;
};

/*
 * Steps (4) to (6) of finish: everything written is made durable, the folder
 * without what only a session needs (the deposit log) is renamed to the
 * snapshot, both parents are synced.  Repeating it, also after a restart, goes
 * on where it stopped.  ERR_EXISTS "backup directory already exists." if the
 * name is taken.
 */
int session_dir_commit(struct store *s, uint64_t id, const struct backup_ns *ns,
    const struct backup_snapshot *snap, struct session_commit *c,
    struct err *e);

#endif
