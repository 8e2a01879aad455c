#ifndef VALIDATOR_STORE_SCAN_WINDOW_H
#define VALIDATOR_STORE_SCAN_WINDOW_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/format/digest.h"

#define SCAN_PARTS 256u

/*
 * A stretch of an index in the order of the store's folders: what a scan
 * (reuse_scan.h) checks at a time.  One thread adds entries; when the window
 * is turned, any threads place them into parts, by the first byte of their
 * digests, and then sort and read the parts, while the next stretch may be
 * added already.
 */
struct scan_entry {
	struct digest digest;
	uint32_t pos; /* in the index */
};

struct scan_window {
	size_t cap;
	struct scan_entry *added; /* as they come */
	size_t nadded;
	size_t nadded_in[SCAN_PARTS];

	struct scan_entry *entries; /* by parts */
	size_t len;
	size_t part_end[SCAN_PARTS];
	atomic_size_t next[SCAN_PARTS]; /* place of each part */
};

/*
 * Empty, with room for as many entries as wanted, but not more than an eighth
 * of what is left of the 4 Mi (300 MB) that all windows share: 32 Ki (2.3 MB)
 * to 512 Ki (38 MB).  -1 if there is no memory.  These two are for the loop's
 * thread.
 */
int scan_window_init(struct scan_window *w, size_t wanted);
void scan_window_fini(struct scan_window *w);
/* nadded must be less than cap. */
void scan_window_add(struct scan_window *w, const struct digest *digest,
    uint32_t pos);
/* What was added takes the place of the entries.  Returns how many blocks
 * scan_window_place() has to place, each once, before the first is added or
 * a part is sorted. */
size_t scan_window_turn(struct scan_window *w);
void scan_window_place(struct scan_window *w, size_t block);
/* Sorts part i by digest, and equal ones by position; it becomes [*start_out,
 * *end_out) of the entries.  Not slower for digests that somebody chose than
 * for others, but for a factor of a few. */
void scan_window_sort_part(struct scan_window *w, unsigned int i,
    size_t *start_out, size_t *end_out);
/* How many entries from i on, and before end, have the digest of entry i, in
 * a sorted part. */
size_t scan_window_group(const struct scan_window *w, size_t i, size_t end);

#endif
