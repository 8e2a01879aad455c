#ifndef VALIDATOR_JOBS_VERIFY_CHUNKS_H
#define VALIDATOR_JOBS_VERIFY_CHUNKS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/msg.h"
#include "common/format/digest.h"

struct err;
struct job;
struct verify_chunks;

/*
 * The chunks of one verification: each is read once, by checkers that work
 * beside each other, whatever number of snapshots refers to it.  A chunk that
 * a checker does not find good is told to the validator, whose word is final.
 *
 * Remembers 16 bytes a chunk in a table that is at least three eighths full:
 * 21 to 43 bytes each.  For the main thread; what waits says so.
 */
struct verify_chunk {
	enum job_chunk what;
	bool encrypted;
	uint32_t size; /* plain; 0 if encrypted, or not good */
};

/* A place that refers to a chunk, as whoever asks wants it back. */
struct verify_ref {
	struct digest digest;
	uint32_t size;
};

/* Told of each reference once: at once, or when its chunk is done.  fresh: the
 * first one of the job; text: what is wrong, if it is known.  -1 ends it. */
typedef int verify_chunk_fn(void *arg, const struct verify_ref *ref,
    const struct verify_chunk *c, bool fresh, const char *text, struct err *e);

/* Starts checkers and threads, as many as there are processors. */
struct verify_chunks *verify_chunks_new(struct job *j, struct err *e);
void verify_chunks_free(struct verify_chunks **vc);

void verify_chunks_on(struct verify_chunks *vc, verify_chunk_fn *fn, void *arg);
/* It will be added, others before it: saves time. */
void verify_chunks_soon(const struct verify_chunks *vc,
    const struct digest *digest);
/* May wait until a checker is free. */
int verify_chunks_add(struct verify_chunks *vc, const struct verify_ref *ref,
    struct err *e);
/* Waits until all that were added are done. */
int verify_chunks_drain(struct verify_chunks *vc, struct err *e);
/* Bytes read and plain bytes checked so far. */
void verify_chunks_stats(const struct verify_chunks *vc, uint64_t *encoded_out,
    uint64_t *plain_out);

#endif
