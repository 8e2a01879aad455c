#ifndef VALIDATOR_TASK_H
#define VALIDATOR_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/format/upid.h"
#include "common/ipc_fields.h"

struct err;

/*
 * Tasks: what the server did for whom, with a log that people may read
 * (wire-protocol 7).  Below the log folder:
 *
 *   tasks/XX/<name>  the log; XX and name are made of the UPID's numbers, so
 *                    that no text from outside becomes part of a path
 *   tasks/active     a line "UPID" for a task that began, "-UPID" for one that
 *                    ended; written anew when most of it is over
 *   tasks/index      "UPID endtime status" of ended ones, appended; index.1
 *                    is the older half, whose logs go with it
 *
 * All of this belongs to the loop's thread (reading: task_read.h).  Writes go
 * to the log folder, which is a local disk, never to a store.
 */
#define TASK_LINE_MAX 8192
#define TASK_LOG_MAX (64u << 20) /* further lines are dropped */
#define TASK_INDEX_MAX (4u << 20)
#define TASK_NAME_MAX 64

struct tasks;
struct task;

/* dirfd: the "tasks" folder, taken, also on failure.  Reads what was active
 * when the last process ended. */
struct tasks *tasks_open(int dirfd, struct err *e);
/* Running tasks stay active on disk, for the next process. */
void tasks_close(struct tasks **t);
/* After recovery: ends every task of the last process that task_adopt() did
 * not take. */
void tasks_end_orphans(struct tasks *t);
int tasks_dirfd(const struct tasks *t);

/* Starts a task; the first line of its log is the caller's. */
struct task *task_start(struct tasks *t, const char *type,
    const char *worker_id, const char *auth_id, struct err *e);
/* Goes on with a task of the last process.  ERR_NOT_FOUND. */
struct task *task_adopt(struct tasks *t, const char *upid, struct err *e);
/* Lent as long as the task runs. */
const char *task_upid(const struct task *k);
/* One line; longer ones are cut.  Text from outside passes STR_VIS first.
 * NULL is accepted, so that callers need not care whether a log is there. */
void task_log(struct task *k, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void task_warn(struct task *k, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The last line, and the entry in the index.  why NULL: OK, or WARNINGS if
 * there were some.  Makes the pointer NULL; NULL inside is fine. */
void task_end(struct task **k, const struct err *why);
/* What TASK_STOP does: called from the loop, at most once. */
void task_on_stop(struct task *k, void (*stop)(void *arg), void *arg);
/* Called from task_end(), when the task is over; why as there. */
void task_on_end(struct task *k,
    void (*ended)(void *arg, const struct err *why), void *arg);

/* How the tasks of a type ended since the start; one call for each type. */
#define TASK_TYPES_MAX 32
struct task_count {
	char type[UPID_TYPE_MAX + 1];
	uint64_t ok;
	uint64_t warnings;
	uint64_t failed;
};
void tasks_each_count(const struct tasks *t,
    void (*fn)(void *ctx, const struct task_count *c), void *ctx);

/* The running task of that UPID, or NULL. */
struct task *tasks_find(struct tasks *t, const char *upid);
/* ERR_NOT_FOUND if it does not run, ERR_UNSUPPORTED if it cannot stop. */
int tasks_stop(struct tasks *t, const char *upid, struct err *e);
/* UPIDs of running tasks, newest first; the caller frees the array, whose
 * strings are lent until a task ends. */
const char **tasks_running(const struct tasks *t, size_t *n_out);

/* "XX/<name>" below the tasks folder. */
void task_log_name(const struct upid *u, char out[TASK_NAME_MAX]);
/* May this caller see or stop the task?  Its own, or one of its token's;
 * wire-protocol 7.2. */
bool task_is_visible(const struct upid *u, const char *auth_id);
bool task_is_own(const struct upid *u, const char *auth_id);

#endif
