#ifndef VALIDATOR_JOBS_GC_H
#define VALIDATOR_JOBS_GC_H

#include <stdbool.h>

#include "common/ipc_fields.h"

struct err;
struct validator;
struct vstore;

/*
 * Garbage collection.  The job (gc.c) marks and looks for what is not marked;
 * the validator (gc_serve.c) says what is old, removes, and writes .gc-status.
 * docs/architecture.md says why no snapshot can lose a chunk.
 */
enum gc_step {
	GC_STEP_LIST = 1, /* before a listing of all indexes */
	GC_STEP_MARK,     /* before those that are new are read */
	GC_STEP_MARKED,   /* after that */
	GC_STEP_SWEEP,
	GC_STEP_COUNT
};

/* Starts the job; not in a thread.  ERR_LOCKED if one runs there. */
int gc_start(struct validator *v, struct vstore *vs, const char *auth_id,
    bool dry_run, char upid_out[IPC_UPID_MAX + 1], struct err *e);

#endif
