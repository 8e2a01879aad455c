#ifndef VALIDATOR_STORE_DAMAGE_H
#define VALIDATOR_STORE_DAMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/format/digest.h"

struct damage;
struct err;
struct store;

/*
 * The chunks of a store that a verification or the check of a backup found
 * missing or damaged, and that nobody has uploaded again since: this server's
 * own record, a file below STATE/validator.  What it holds is a suspicion;
 * whether a chunk is there says only chunk_check().
 *
 * The set is the loop's; its changes are appended without a sync, since after
 * a power cut no session is open that had to know.
 */
#define DAMAGE_MAX 65536u

/* dirfd: of STATE/validator, lent.  One that cannot be read begins empty, but
 * for want of memory. */
int damage_open(struct damage **out, int dirfd, const char *store,
    struct err *e);
void damage_close(struct damage **d);

/* ERR_LIMIT: so many that the set is of no use any more.  One that is there
 * already is success. */
int damage_add(struct damage *d, const struct digest *digest, struct err *e);
bool damage_has(const struct damage *d, const struct digest *digest);
/* It was stored again; whether it was in the set. */
bool damage_heal(struct damage *d, const struct digest *digest);
size_t damage_count(const struct damage *d);

/* All of them, sorted; the caller's. */
struct digest *damage_dup(const struct damage *d, size_t *n_out);

/*
 * For store threads: whether an index in the folder dirfd refers to one of
 * these (sorted) chunks that is not there.  1 and the first such, 0, -1.
 */
int damage_find_reference(struct store *s, int dirfd,
    const struct digest *digests, size_t n, struct digest *hit_out,
    struct err *e);

#endif
