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
 * was made for (one of 30 at twice as many).  The hash has a random key, so it
 * is another chunk each time, and nobody can upload one that it takes for
 * marked.
 *
 * Beside each block lies one of those that were seen on the disk.  If the two
 * are equal, every marked chunk was seen, but for one of 1,100 that are not
 * there.  16 bits a chunk and block: 3.8 MiB for a million chunks.
 *
 * One thread may mark while none looks; any number may look and see.
 */
#define GC_FILTER_BITS 16 /* for each chunk, in each of the two */

struct gc_filter {
	uint64_t *words; /* nblocks times 8 of marks, 8 of what was seen */
	uint64_t nblocks;
	uint64_t marked; /* different ones, give or take the error above */
	uint64_t key[4];
};

/* For so many chunks, of which the caller has an idea.  ERR_NOMEM. */
int gc_filter_init(struct gc_filter *f, uint64_t nchunks, struct err *e);
void gc_filter_fini(struct gc_filter *f);
void gc_filter_mark(struct gc_filter *f, const struct digest *d);
/* It is looked for soon: whoever says so of several before waits for memory
 * once. */
void gc_filter_prefetch(const struct gc_filter *f, const struct digest *d);
bool gc_filter_has(const struct gc_filter *f, const struct digest *d);
/* The same; remembers that it was seen, if so. */
bool gc_filter_see(struct gc_filter *f, const struct digest *d);
bool gc_filter_was_seen(const struct gc_filter *f, const struct digest *d);
/* False: some marked chunk surely was not seen. */
bool gc_filter_all_seen(const struct gc_filter *f);

uint64_t gc_filter_bytes(const struct gc_filter *f);
/* The expected share of other chunks that it takes for marked, as it is. */
double gc_filter_error(const struct gc_filter *f);

#endif
