#ifndef VALIDATOR_JOBS_JOBS_H
#define VALIDATOR_JOBS_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ipc_fields.h"

struct err;
struct validator;
struct vstore;

/*
 * Long work on a datastore, seen from the validator: one process each
 * (holdfast-job), which may read the store and change nothing, and a task
 * with its log.  A job looks and proposes; what is to be changed it asks the
 * validator for, over channel VJ.  At most one of a kind runs on a datastore.
 *
 * A job ends with the validator, and its task with an error if its process
 * ends without having said so.  It has an id of its own for locks, which are
 * freed when it ends.  All of it belongs to the loop.
 */
enum job_kind_id {
	JOB_KIND_NONE,
#define JOB_KIND(NAME, name, type, busy) JOB_KIND_##NAME,
#include "validator/jobs/job_kinds.def"
#undef JOB_KIND
	JOB_KIND_COUNT
};

struct jobs;
struct running_job; /* its handlers: jobs_int.h */

struct jobs *jobs_new(struct validator *v);
/* The validator ends: processes are killed, tasks end with that reason.  No
 * more can start.  Before the stores' threads end. */
void jobs_stop_all(struct jobs *js);
/* After the stores' threads ended. */
void jobs_free(struct jobs **js);
/* A child ended (SIGCHLD): collects those that are ours. */
void jobs_reap(struct jobs *js);

struct job_spec {
	enum job_kind_id kind;
	struct vstore *vs;
	const char *type;      /* of the task; NULL: the kind's */
	const char *worker_id; /* of the UPID: "store", "store:vm/100/..." */
	const char *auth_id;   /* for whom */
	const char *args;      /* for the child: "key=value" NUL ... */
	size_t args_len;

	/* The kind's own, for its handlers; freed when the job has ended, also
	 * if it cannot start.  May be NULL. */
	void *state;
	void (*state_free)(void *state);
	/* Ended; why NULL: well.  May be NULL; not called if jobs_start()
	 * fails. */
	void (*done)(void *arg, const struct err *why);
	void *arg;
};
/*
 * Starts a job; upid_out (may be NULL) gets its task.  Waits for the exec.
 * ERR_LOCKED with the kind's text if one runs there already.
 */
int jobs_start(struct jobs *js, const struct job_spec *spec,
    char upid_out[IPC_UPID_MAX + 1], struct err *e);
bool jobs_is_running(const struct jobs *js, enum job_kind_id kind,
    const struct vstore *vs);

/* Strings are lent. */
struct job_info {
	enum job_kind_id kind;
	const char *name; /* of the kind */
	const char *store;
	const char *upid;
	int64_t started;
	const char *what; /* "marking"; "" before it said anything */
	uint64_t done;
	uint64_t total; /* 0: not known */
	int64_t left_s; /* estimate for this part; -1: not known */
};
/* Until fn returns non-zero. */
void jobs_each(struct jobs *js,
    int (*fn)(void *arg, const struct job_info *info), void *arg);

#endif
