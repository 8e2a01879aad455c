#ifndef VALIDATOR_JOBS_JOB_INT_H
#define VALIDATOR_JOBS_JOB_INT_H

/* For job_main.c and tests. */

#include "validator/jobs/job.h"

/* Takes the contract's descriptors (common/proc.h) and reads JOB_START. */
struct job *job_new(struct err *e);
void job_free(struct job **j);
/* Runs its kind's function, says how it ended; the exit code. */
int job_run(struct job *j);

#endif
