#ifndef VALIDATOR_JOBS_JOB_H
#define VALIDATOR_JOBS_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ipc.h"
#include "common/msg.h"

/*
 * A job, seen from its own process: what each kind's function may use.  The
 * process is sealed: it reads below the datastore's folder, changes nothing,
 * and talks to the validator only.  A kind is a row of job_kinds.def and
 *
 *   int job_run_NAME(struct job *j, struct err *e);
 *
 * which works in the main thread until it is done and returns 0, or -1 and
 * the reason that the task ends with.  It may start threads; all functions
 * here are for the main thread, except job_is_stopped().
 */
struct job;

struct job_kind {
	const char *name; /* NULL ends the table */
	int (*run)(struct job *j, struct err *e);
};
extern const struct job_kind job_kinds[];

#define JOB_KIND(NAME, name, type, busy) \
	int job_run_##name(struct job *j, struct err *e);
#include "validator/jobs/job_kinds.def"
#undef JOB_KIND

const char *job_store(const struct job *j);
const char *job_upid(const struct job *j);
int job_root_fd(const struct job *j);   /* the datastore's folder, lent */
int job_chunks_fd(const struct job *j); /* its .chunks, lent */

/* Arguments of JOB_START: NULL if there is none; def if there is none. */
const char *job_arg(const struct job *j, const char *key);
int job_arg_u64(const struct job *j, const char *key, uint64_t def,
    uint64_t *out, struct err *e);

/* A line of the task log.  Text from outside passes STR_VIS first. */
void job_log(struct job *j, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void job_warn(struct job *j, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* What is at work and how far; as often as one likes, sent a few times a
 * second.  total 0: not known. */
void job_progress(struct job *j, const char *what, uint64_t done,
    uint64_t total);

/* Asked to stop, or the validator is gone: end soon.  Any thread. */
bool job_is_stopped(const struct job *j);
/* The same as an error: ERR_ABORTED. */
int job_check_stop(const struct job *j, struct err *e);

/*
 * Requests.  job_send() sends one and gives its number; its answer comes from
 * job_recv(), which waits for the next answer to any.  job_call() is both for
 * a request that is answered by JOB_REPLY while no other is on its way; an
 * answer that says an error is returned as that.
 */
int job_send(struct job *j, uint16_t type, const void *body, ssize_t len,
    uint64_t *seq_out, struct err *e);
int job_recv(struct job *j, struct ipc_msg *m, struct err *e);
int job_call(struct job *j, uint16_t type, const void *body, ssize_t len,
    struct msg_JOB_REPLY *out, struct err *e);
/* JOB_CALL(j, GC_PASS, &msg, &reply, e) sends JOB_GC_PASS. */
#define JOB_CALL(j, NAME, m, out, e)                                           \
	__extension__({                                                        \
		uint8_t buf_[MSG_MAX_JOB_##NAME + 1];                          \
		struct wire_w w_;                                              \
                                                                               \
		wire_w_init(&w_, buf_, sizeof(buf_));                          \
		msg_put_JOB_##NAME(&w_, (m));                                  \
		job_call((j), MSG_ID_JOB_##NAME, buf_, wire_w_len(&w_), (out), \
		    (e));                                                      \
	})
/* The error that an answer says, or 0. */
int job_reply_check(const struct msg_JOB_REPLY *r, struct err *e);

#endif
