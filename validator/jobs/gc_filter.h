#ifndef VALIDATOR_JOBS_GC_FILTER_H
#define VALIDATOR_JOBS_GC_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/format/digest.h"

struct err;

/*
 * Which chunks are in use: a Bloom filter in blocks of a cache line, so that
 * a mark and a look cost one access to memory.  It never forgets a mark; it
 * takes about one of 1,100 other chunks for marked, if it holds as many as it
 * was made for (one of 30 at twice as many).  16 bits a chunk: 1.9 MiB for a
 * million.  The hash has a random key, so it is another chunk each time, and
 * nobody can upload one that it takes for marked.
 *
 * One thread may mark while none looks; any number may look.
 */
#define GC_FILTER_BITS 16 /* for each chunk */

struct gc_filter {
	uint64_t *words; /* nblocks * 8 */
	uint64_t nblocks;
	uint64_t marked; /* different ones, give or take the error above */
	uint64_t key[4];
};

/* For so many chunks, of which the caller has an idea.  ERR_NOMEM. */
int gc_filter_init(struct gc_filter *f, uint64_t nchunks, struct err *e);
void gc_filter_fini(struct gc_filter *f);
void gc_filter_mark(struct gc_filter *f, const struct digest *d);
bool gc_filter_has(const struct gc_filter *f, const struct digest *d);

uint64_t gc_filter_bytes(const struct gc_filter *f);
/* The expected share of other chunks that it takes for marked, as it is. */
double gc_filter_error(const struct gc_filter *f);

#endif
