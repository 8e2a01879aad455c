#ifndef CLIENT_KNOWN_H
#define CLIENT_KNOWN_H

#include <stddef.h>
#include <stdint.h>

#include "common/format/digest.h"

struct err;

/*
 * The chunks that the server knows in this session: those of the previous
 * backup, and those that were uploaded.  Safe for threads.
 */
struct known;

struct known *known_new(void);
void known_free(struct known *k);

/* Chunks of the previous backup: ready, and counted as reused. */
int known_add_base(struct known *k, const struct digest *digests, size_t n,
    struct err *e);

enum known_claim {
	KNOWN_CLAIM_UPLOAD, /* the caller uploads it, then known_ready() */
	KNOWN_CLAIM_SHARED, /* somebody uploads it, or did, in this session */
	KNOWN_CLAIM_REUSED, /* the previous backup has it */
};
/* ref_out names the chunk from now on. -1 only if it is one too many. */
int known_claim(struct known *k, const struct digest *d,
    enum known_claim *claim_out, uint32_t *ref_out, struct err *e);
/* The server has it: indexes may refer to it. */
void known_set_ready(struct known *k, uint32_t ref);
int known_is_ready(struct known *k, uint32_t ref);
void known_digest(struct known *k, uint32_t ref, struct digest *out);

#endif
