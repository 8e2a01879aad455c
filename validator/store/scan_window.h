#ifndef VALIDATOR_STORE_SCAN_WINDOW_H
#define VALIDATOR_STORE_SCAN_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "common/format/digest.h"

#define SCAN_PARTS 256u

/*
 * A stretch of an index in the order of the store's folders: what a scan
 * (reuse_scan.h) checks at a time.  One thread splits it into parts, then
 * any thread may sort a part.
 */
struct scan_entry {
	struct digest digest;
	uint32_t pos; /* in the index */
};

struct scan_window {
	struct scan_entry *entries;
	size_t len;
	size_t cap;
	size_t part_end[SCAN_PARTS];
};

/* Empty, with room for cap entries; -1 if there is no memory. */
int scan_window_init(struct scan_window *w, size_t cap);
void scan_window_fini(struct scan_window *w);
/* By the first byte of the digest: the parts may be of any size. */
void scan_window_split(struct scan_window *w);
/* Sorts part i of a split window by digest, and equal ones by position; it
 * becomes [*start_out, *end_out) of the entries.  Not slower for digests that
 * somebody chose than for others, but for a factor of a few. */
void scan_window_sort_part(struct scan_window *w, unsigned int i,
    size_t *start_out, size_t *end_out);
/* How many entries from i on, and before end, have the digest of entry i, in
 * a sorted part. */
size_t scan_window_group(const struct scan_window *w, size_t i, size_t end);

#endif
