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

#endif
