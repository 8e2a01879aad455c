#ifndef VALIDATOR_JOBS_GC_SWEEP_H
#define VALIDATOR_JOBS_GC_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct gc_filter;

/*
 * Sweeping: lists the folders of .chunks, several at a time, and proposes
 * what is not marked.  Most chunks cost no system call of their own.
 */
#define GC_BATCH_NAMES 256

struct gc_sweep {
	int chunks_fd;            /* lent, as the filter */
	struct gc_filter *filter; /* learns what was seen */
	/* Looks at chunks that are not marked, to propose only what is old;
	 * else whoever takes a proposal has to. */
	bool look;
	int64_t cutoff; /* older than this: garbage */
	int64_t oldest; /* older than this: pending */
	/* Sizes of marked chunks are taken in one folder of so many, from this
	 * one on, and multiplied; 1: of all. */
	unsigned int sample;
	unsigned int sample_first;
	unsigned int threads;
	bool (*is_stopped)(const void *arg);
	/* In the caller's thread, one at a time; -1 ends the sweep.  names: n
	 * of them, each ended by NUL, all in len bytes; lent. */
	int (*propose)(void *arg, const char *names, size_t len, size_t n,
	    struct err *e);
	/* The same, often. */
	int (*progress)(void *arg, unsigned int folders, uint64_t chunks,
	    struct err *e);
	void *arg;
};

/* What was seen; what was proposed is not in disk, pending and still. */
struct gc_swept {
	uint64_t disk_chunks;
	uint64_t disk_bytes; /* an estimate if sample is not 1 */
	uint64_t pending_chunks;
	uint64_t pending_bytes;
	uint64_t still_bad;
	uint64_t old_chunks; /* proposed */
	uint64_t old_bad;
	uint64_t old_temp;
	uint64_t old_bytes; /* without those that were not looked at */
};

int gc_sweep(const struct gc_sweep *s, struct gc_swept *out, struct err *e);

/* About how many chunks there are, from one folder of GC_ESTIMATE_STEP.  first:
 * of them, at random, since clients choose where encrypted chunks lie. */
#define GC_ESTIMATE_STEP 1024u
int gc_estimate_chunks(int chunks_fd, unsigned int first, uint64_t *n_out,
    struct err *e);

#endif
