#ifndef VALIDATOR_STORE_USAGE_LOG_H
#define VALIDATOR_STORE_USAGE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * How much of a store was used at the hours of the last 30 days, so that one
 * can tell when it will be full.  Kept in a file of STATE/validator, a line
 * for each sample.  Loading and saving block on that disk.
 */
#define USAGE_INTERVAL_S 3600
#define USAGE_KEPT_S (30 * 86400)
#define USAGE_SAMPLES_MAX (USAGE_KEPT_S / USAGE_INTERVAL_S)
/* Fewer, or of a shorter time, tell nothing. */
#define USAGE_SAMPLES_MIN 12
#define USAGE_SPAN_MIN_S 86400

struct usage_sample {
	int64_t time;
	uint64_t used;
};

struct usage_log {
	struct usage_sample v[USAGE_SAMPLES_MAX]; /* the oldest first */
	size_t n;
};

/* One that is not there is empty; damaged lines are left out. */
int usage_log_load(struct usage_log *l, int dirfd, const char *name,
    struct err *e);
int usage_log_save(const struct usage_log *l, int dirfd, const char *name,
    struct err *e);

/* False, and nothing is added, if the last sample is younger than an hour.
 * Those that are too old, or in the future (the clock was wrong), go. */
bool usage_log_add(struct usage_log *l, int64_t now, uint64_t used);

/* When so much will be used if usage goes on growing as it did (least
 * squares); 0: that cannot be told, or it does not grow. */
int64_t usage_log_full(const struct usage_log *l, uint64_t capacity);

#endif
