#ifndef VALIDATOR_METRICS_H
#define VALIDATOR_METRICS_H

#include <stdint.h>

struct json;
struct validator;

/*
 * What happened since the start, in numbers, for monitoring.  Counted where
 * it happens, in the loop; what is now (open sessions, locks, space) is asked
 * of those who know.
 */
enum metrics_end {
	METRICS_FINISHED,
	METRICS_ABORTED, /* by us: a missing chunk, the operator, an error */
	METRICS_LEFT,    /* its client went away */
	METRICS_END_COUNT
};

/* Seconds that the check of one index of a base took; upper bounds. */
#define METRICS_SCAN_BOUNDS               \
	{                                 \
		0.1, 1, 10, 60, 600, 3600 \
	}
#define METRICS_SCAN_NBOUNDS 6

struct metrics_store {
	uint64_t backups[METRICS_END_COUNT];
	uint64_t readers[METRICS_END_COUNT];
	uint64_t uploads; /* chunks */
	uint64_t upload_bytes;
	uint64_t stored_bytes; /* as compressed by clients */
	uint64_t duplicates;
	uint64_t reuse_checked; /* in scans that ended */
	uint64_t reuse_missing;
	uint64_t scans[METRICS_SCAN_NBOUNDS + 1]; /* the last: longer */
	uint64_t scan_ms;
};

void metrics_scan(struct metrics_store *m, uint64_t chunks, uint64_t ms);

/* The reply to the operator's command "metrics"; the caller's. */
struct json *metrics_json(const struct validator *v);

#endif
