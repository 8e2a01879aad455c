#ifndef VALIDATOR_JOBS_GC_MISSING_H
#define VALIDATOR_JOBS_GC_MISSING_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct gc_filter;

/*
 * Which chunks are missing that an index refers to.  To be asked only if the
 * sweep did not see all that were marked (gc_filter_all_seen()), since it reads
 * the indexes again: what was not seen then, and is not there now either.
 */
#define GC_MISSING_MAX 1000000u /* different ones; more are not counted */

struct gc_missing {
	int root_fd; /* of the datastore, lent, as all of these */
	int chunks_fd;
	const struct gc_filter *filter;
	bool (*is_stopped)(const void *arg);
	/* Each of them once, with the first index that refers to it. */
	void (*found)(void *arg, const char *path, const char *hex);
	void *arg;

	uint64_t chunks;
	uint64_t indexes; /* that refer to one of them */
};

int gc_find_missing(struct gc_missing *g, struct err *e);

#endif
