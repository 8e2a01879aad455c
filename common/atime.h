#ifndef COMMON_ATIME_H
#define COMMON_ATIME_H

#include <stdint.h>

struct err;

/*
 * What garbage collection needs of a datastore's file system (datastore-format
 * 6.6): it keeps the access time that is set on a file, by which chunks in use
 * are told from garbage, and its clock is ours.
 *
 * Tries it with a file of its own in the folder, which is gone at the end.
 * ERR_UNSUPPORTED, with what to do, if a time is not kept or the clocks differ
 * by more than max_skew_s; else what the disk said.  May block on the disk.
 */
int atime_check(int dirfd, int64_t max_skew_s, struct err *e);

/*
 * What was last used before that time may go, unless the wall clock was set
 * back since by more than skew_max_s: then what is used now looks old.
 */
struct atime_cutoff {
	int64_t time; /* Unix seconds */
	int64_t skew_max_s;
	int64_t clock_start; /* how far the wall clock was before boot time */
};
/* Of the clock as it is now. */
struct atime_cutoff atime_cutoff_now(int64_t time, int64_t skew_max_s);
/* ERR_ABORTED.  From any thread; does not block. */
int atime_cutoff_check(const struct atime_cutoff *c, struct err *e);

#endif
