#ifndef VALIDATOR_STORE_LOST_H
#define VALIDATOR_STORE_LOST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/format/digest.h"

struct err;
struct store;

/*
 * What a store loses while a backup is committed: chunks that a verification,
 * or the check of another backup, finds missing or renames as damaged.  A watch
 * is told each of them from its begin on, so its owner looks at the indexes
 * once, and after that only for what is new.
 */
#define LOST_NEWS_MAX (1u << 20) /* between two looks; 32 MiB */

struct lost_watch;

/* Any thread: a chunk was found missing, or is about to be renamed with
 * publish_lock held. */
void lost_tell(struct store *s, const struct digest *d);

/* suspects: lost already, lent.  all: there are more than those, so the first
 * look asks the disk for each chunk.  The caller's; the store outlives it. */
struct lost_watch *lost_watch_begin(struct store *s,
    const struct digest *suspects, size_t n, bool all);
void lost_watch_end(struct lost_watch **w);

/*
 * For store threads, one at a time: whether an index in the folder dirfd refers
 * to a chunk that was lost and is not there.  1 and the first such, 0, or -1;
 * ERR_ABORTED once *stop is set.
 *
 * It does all, or if more is not NULL a slice: *more then says that it must be
 * called again, with the same folder.  After an error it can only be ended.
 */
int lost_watch_look(struct lost_watch *w, int dirfd, const atomic_bool *stop,
    bool *more, struct digest *hit_out, struct err *e);
/* Whether an index refers to one that was lost and is there again, written
 * nobody knows when. */
bool lost_watch_refers(const struct lost_watch *w);

#endif
