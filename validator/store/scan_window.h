#ifndef VALIDATOR_STORE_SCAN_WINDOW_H
#define VALIDATOR_STORE_SCAN_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "common/format/digest.h"

/*
 * A part of an index, in the order of the store's folders: what a scan
 * (reuse_scan.h) checks at a time.
 */
struct scan_entry {
	struct digest digest;
	uint32_t pos; /* in the index */
};

struct scan_window {
	struct scan_entry *entries;
	size_t len;
	size_t cap;
};

/* Empty, with room for cap entries; -1 if there is no memory. */
int scan_window_init(struct scan_window *w, size_t cap);
void scan_window_fini(struct scan_window *w);
/* By digest, and equal ones by position.  Not slower for digests that somebody
 * chose than for others, but for a factor of a few. */
void scan_window_sort(struct scan_window *w);
/* How many entries from i on have the digest of entry i, in a sorted one. */
size_t scan_window_group(const struct scan_window *w, size_t i);

#endif
