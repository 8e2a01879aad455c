#ifndef VALIDATOR_JOBS_VERIFY_SEEN_H
#define VALIDATOR_JOBS_VERIFY_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/format/digest.h"
#include "validator/jobs/verify_chunks.h"

struct err;
struct verify_known;

/*
 * What a verification knows of each chunk: 16 bytes a chunk in a table that is
 * at least three eighths full.  An entry is found by a hash of 64 bits under a
 * random key.  One thread uses it.
 */
struct verify_seen {
	struct verify_known *v;
	uint64_t mask;
	uint64_t used;
	uint64_t key[2];
};

void verify_seen_init(struct verify_seen *t);
void verify_seen_fini(struct verify_seen *t);

/* The chunk will be asked for soon: fetches its entry into the cache. */
void verify_seen_fetch(const struct verify_seen *t, const struct digest *d);
/* *fresh_out: it was not known, and is pending now. */
int verify_seen_add(struct verify_seen *t, const struct digest *d,
    bool *fresh_out, struct err *e);
/* Of one that was added. */
void verify_seen_set(struct verify_seen *t, const struct digest *d,
    const struct verify_chunk *c);
/* The same; false while it is pending. */
bool verify_seen_get(const struct verify_seen *t, const struct digest *d,
    struct verify_chunk *out);

#endif
