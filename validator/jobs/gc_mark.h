#ifndef VALIDATOR_JOBS_GC_MARK_H
#define VALIDATOR_JOBS_GC_MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest_map.h"
#include "common/format/digest.h"

struct err;
struct gc_filter;

/*
 * Marking: every index file of a datastore, wherever it lies
 * (datastore-format 6.5), and what open sessions have uploaded.  A pass lists
 * the files that no pass before has marked, then marks them one by one:
 *
 *   gc_marks_list(m)  while ((rv = gc_marks_next(m)) == 1) ...
 *
 * An index that cannot be read, or whose checksum is wrong, is an error.  What
 * vanishes between is only noted: the caller decides whether it needs another
 * pass.
 */
struct gc_marks {
	int root_fd;              /* of the datastore, lent */
	struct gc_filter *filter; /* lent */
	bool (*is_stopped)(const void *arg);
	/* Not NULL: instead of the filter it gets each chunk that the index at
	 * path (a session: "") refers to, as often as it does. */
	void (*see)(void *arg, const char *path, const struct digest *d);
	void *arg;

	char **found; /* paths of this pass, not marked yet: from next on */
	size_t nfound;
	size_t cap;
	size_t next;
	bool vanished;    /* in this pass */
	const char *path; /* being read */

	struct digest *ids; /* of the files marked so far */
	size_t nids;
	size_t ids_cap;
	struct digest_map known; /* of ids */
	struct digest_ctx *hash;

	uint64_t files;      /* index files marked */
	uint64_t bytes;      /* of the archives that they describe */
	uint64_t unexpected; /* outside of the scheme of snapshots */
};

void gc_marks_init(struct gc_marks *m, int root_fd, struct gc_filter *filter);
void gc_marks_fini(struct gc_marks *m);
/* Marks what sessions have, then lists. */
int gc_marks_list(struct gc_marks *m, struct err *e);
/* 1 marked one (or it vanished), 0 none is left, -1. */
int gc_marks_next(struct gc_marks *m, struct err *e);

/* Is it "[ns/x/...]type/id/time/file"? */
bool gc_path_is_expected(const char *path);

#endif
