#ifndef VALIDATOR_JOBS_JOBS_INT_H
#define VALIDATOR_JOBS_JOBS_INT_H

/* For the files that serve jobs' requests (job_serve_*.c): one handler,
 * job_on_<handler>, for each row of channel VJ; ctx is the running job. */

#include "common/ipc.h"
#include "common/msg.h"
#include "validator/jobs/jobs.h"

struct event;
struct task;

struct validator *running_job_validator(const struct running_job *r);
struct vstore *running_job_store(const struct running_job *r);
struct task *running_job_task(const struct running_job *r);
const char *running_job_upid(const struct running_job *r);
/* For locks: an id that nobody else has. */
uint64_t running_job_holder(const struct running_job *r);

/* The kind's own; NULL and m->err set if the job is of another kind, which may
 * not ask for this. */
void *running_job_state(struct running_job *r, enum job_kind_id kind,
    struct ipc_msg *m);

/* Is it still there to be answered? */
bool running_job_is_open(const struct running_job *r);
/* While something works for it in other threads, so that it stays, and counts
 * as running, until the last is let go. */
void running_job_hold(struct running_job *r);
void running_job_unhold(struct running_job *r);

/*
 * A step of the job's work, by its name.  Calls go_on(arg): now, or when a
 * test lets the job go on (job_step.c).  One at a time, which is for the
 * caller to see to.
 */
struct job_step {
	struct running_job *job;
	const char *name;
	void (*go_on)(void *arg);
	void *arg;
	struct event *timer; /* NULL: not held */
};
void running_job_step(struct running_job *r, const char *name,
    void (*go_on)(void *arg), void *arg);
struct job_step *running_job_step_of(struct running_job *r);
void job_step_fini(struct job_step *s);

/* The answer to its request seq; lost if it has ended. */
void running_job_reply(struct running_job *r, uint64_t seq,
    const struct msg_JOB_REPLY *m);
void running_job_reply_err(struct running_job *r, uint64_t seq,
    const struct err *why);
void running_job_send(struct running_job *r, uint16_t type, uint64_t seq,
    const void *body, ssize_t len, const int *fds, int nfds);

#define JOB_HANDLER(name) int job_on_##name(void *ctx, struct ipc_msg *m)
JOB_HANDLER(log);      /* jobs.c */
JOB_HANDLER(progress); /* jobs.c */
JOB_HANDLER(end);      /* jobs.c */

JOB_HANDLER(gc_step);   /* gc_serve.c */
JOB_HANDLER(gc_remove); /* gc_serve.c */
JOB_HANDLER(gc_result); /* gc_serve.c */
JOB_HANDLER(gc_lost);   /* gc_serve.c */

JOB_HANDLER(checker);     /* verify_serve.c */
JOB_HANDLER(snap_lock);   /* verify_serve.c */
JOB_HANDLER(snap_done);   /* verify_serve.c */
JOB_HANDLER(chunk_doubt); /* verify_serve.c */

#endif
