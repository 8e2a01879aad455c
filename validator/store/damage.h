#ifndef VALIDATOR_STORE_DAMAGE_H
#define VALIDATOR_STORE_DAMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/format/digest.h"

struct damage;
struct err;

/*
 * The chunks of a store that a verification or the check of a backup found
 * missing or damaged, that nobody has uploaded again since, and that an index
 * referred to when garbage was last collected: this server's own record, a
 * file below STATE/validator.  What it holds is a suspicion; whether a chunk is
 * there says only chunk_check().
 *
 * It holds so many and no more, and the missing ones, which may be a whole
 * disk full, at most half of that.  What does not fit makes it overflow, which
 * is remembered too, until an operator clears it: whoever goes by the set
 * looks at the disk then.  That also takes those out which are there again
 * without an upload.
 *
 * The set is the loop's; its changes are appended without a sync, since after
 * a power cut no session is open that had to know.  The file is written anew
 * when most of it is over.
 */
#define DAMAGE_MAX 65536u
#define DAMAGE_MISSING_MAX (DAMAGE_MAX / 2)

enum damage_kind {
	DAMAGE_MISSING,
	DAMAGE_DAMAGED,
};

/* dirfd: of STATE/validator, lent.  One that cannot be read, or only in part,
 * counts as overflowed. */
int damage_open(struct damage **out, int dirfd, const char *store,
    struct err *e);
void damage_close(struct damage **d);
/* The same, of a store that leaves this server: its file goes. */
void damage_discard(struct damage **d);

/* False: there is no room for it, and the set has overflowed.  One that is
 * there already is success. */
bool damage_add(struct damage *d, const struct digest *digest,
    enum damage_kind kind);
bool damage_has(const struct damage *d, const struct digest *digest);
/* It was stored again; whether it was in the set. */
bool damage_heal(struct damage *d, const struct digest *digest);
/* How often damage_add() was called. */
uint64_t damage_adds(const struct damage *d);
/* It was seen to be there, or not needed, by a look that began when
 * damage_adds() was this: nothing is done if it was added since. */
bool damage_heal_seen(struct damage *d, const struct digest *digest,
    uint64_t adds);
size_t damage_count(const struct damage *d);

/* Whether there were more than it holds. */
bool damage_is_overflowed(const struct damage *d);
/* Grows with each that found no room; 0: never, nor in the file's life. */
uint64_t damage_overflows(const struct damage *d);
/* What did not fit is known to be stored again, or not needed. */
int damage_clear_overflow(struct damage *d, struct err *e);

/* All of them, sorted; the caller's. */
struct digest *damage_dup(const struct damage *d, size_t *n_out);

#endif
