#ifndef COMMON_FORMAT_PRUNE_H
#define COMMON_FORMAT_PRUNE_H

/*
 * Which snapshots of one group a set of keep rules keeps (datastore-format
 * 6.8).  Pure: decides, removes nothing.  Periods are those of the process's
 * time zone (tzset() before a sandbox).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* 0: rule not given. */
struct prune_rules {
	uint64_t last;
	uint64_t hourly;
	uint64_t daily;
	uint64_t weekly;
	uint64_t monthly;
	uint64_t yearly;
};

enum prune_mark {
	PRUNE_NONE, /* only while marking */
	PRUNE_KEEP,
	PRUNE_KEEP_PARTIAL,
	PRUNE_REMOVE,
	PRUNE_PROTECTED
};

struct prune_item {
	int64_t time;
	bool finished; /* has a manifest */
	bool is_protected;
	enum prune_mark mark; /* result */
	void *arg;            /* the caller's */
};

bool prune_rules_empty(const struct prune_rules *rules);
const char *prune_mark_str(enum prune_mark mark); /* "keep-partial" */
/* Sorts the items newest first and marks every one. */
void prune_mark_group(const struct prune_rules *rules, struct prune_item *items,
    size_t n);

#endif
