#ifndef VALIDATOR_STORE_REUSE_SCAN_H
#define VALIDATOR_STORE_REUSE_SCAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/format/digest.h"
#include "validator/store/chunk_store.h"

struct bitmap;
struct err;
struct store;
struct store_flow;

/*
 * Proves that the chunks of an index are there, one stat each, in the store's
 * STAT threads.  A window of unchecked positions is read, those that the new
 * backup references first, sorted by digest (so by folder), equal ones only
 * once, and checked in slices that take turns with those of other sessions.
 * Memory: a window until it is over, 38 MB or less (scan_window.h).
 *
 * All functions and callbacks are the loop's.
 */
struct reuse_scan;

struct reuse_scan_opts {
	struct store *store;
	struct store_flow *flow; /* class STAT, without limit; the session's */
	int fd;                  /* the index, kept open by the caller */
	struct bitmap *checked;  /* by position; gets set */
	const struct bitmap *referenced; /* may grow meanwhile */
	/* While true, only what is referenced is checked, since finish waits
	 * for nothing else; may be NULL. */
	const atomic_bool *urgent;
	void *ctx;
	/* Over: result.state OK: every position (if urgent: that is referenced)
	 * is checked or suspect.
	 * MISSING or ERROR: the first such, and the scan has stopped.  The scan
	 * may be freed in it. */
	void (*done)(void *ctx, struct reuse_scan *scan);
	/* After each window: bits were set, suspects added; may be NULL. */
	void (*progress)(void *ctx, struct reuse_scan *scan);
};

struct reuse_scan_result {
	enum chunk_state state;
	bool cancelled;
	uint64_t position;
	struct digest digest;
	const struct err *err; /* lent */
};

/* Never blocks: the index is opened by the first job, and a damaged one is
 * result.state ERROR with ERR_CORRUPT.  checked must have a bit for each entry.
 * ERR_NOMEM.  The caller's. */
int reuse_scan_start(struct reuse_scan **out, const struct reuse_scan_opts *o,
    struct err *e);
/* Stops soon; done() still comes, once. */
void reuse_scan_cancel(struct reuse_scan *scan);
/* After done() only. */
void reuse_scan_free(struct reuse_scan **scan);

void reuse_scan_get_result(const struct reuse_scan *scan,
    struct reuse_scan_result *out);
/* Chunks stat'ed so far, for the rate. */
uint64_t reuse_scan_stats(const struct reuse_scan *scan);

/* The next position whose chunk must be decoded by a checker (the caller then
 * sets its bit in checked); false if there is none now. */
bool reuse_scan_take_suspect(struct reuse_scan *scan, uint64_t *position_out);

#endif
