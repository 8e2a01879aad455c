#ifndef VALIDATOR_TASK_READ_H
#define VALIDATOR_TASK_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/format/upid.h"

struct err;
struct sbuf;

/*
 * Reading of task logs and of the index of ended tasks.  All of it reads
 * files, so it may block, and touches nothing but the folder: it may run in
 * any thread.
 */
#define TASK_LIST_MAX 100000 /* tasks in one answer */

struct task_filter {
	uint64_t start; /* skip so many */
	uint64_t limit; /* 0: all */
	uint32_t flags; /* TASK_FLAG_* (common/msg.h) */
	/* NULL or "": any */
	const char *store;
	const char *user;    /* part of the auth id */
	const char *type;    /* part of the type */
	int64_t since;       /* start time */
	int64_t until;       /* 0: any */
	const char *auth_id; /* only visible ones; NULL: all */
};

/* endtime 0: running, status "" then; both lent. */
typedef void task_each_fn(void *arg, const char *upid, int64_t endtime,
    const char *status);

/*
 * Calls fn for each task that passes, the running ones (n UPIDs) and those of
 * the index, newest first.  total_out: how many pass, whatever start and limit
 * say.
 */
int task_list(int dirfd, const char *const *running, size_t n,
    const struct task_filter *f, task_each_fn *fn, void *arg,
    uint64_t *total_out, struct err *e);

/*
 * Lines start .. start + limit - 1 of a log (first line is 1; start 0 is 1;
 * limit 0: all), and how many lines it has, from one reading.  ERR_NOT_FOUND,
 * ERR_LIMIT.
 */
typedef int task_line_fn(void *arg, uint64_t n, const char *text, size_t len);
int task_log_read(int dirfd, const struct upid *u, uint64_t start,
    uint64_t limit, task_line_fn *fn, void *arg, uint64_t *total_out,
    struct err *e);

/* What the last line says: "OK", "WARNINGS: n", an error, or "unknown", and
 * when.  ERR_NOT_FOUND if there is no log. */
int task_log_status(int dirfd, const struct upid *u, char *status,
    size_t status_size, int64_t *endtime_out, struct err *e);

#endif
