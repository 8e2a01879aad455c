#ifndef VALIDATOR_JOBS_VERIFY_INT_H
#define VALIDATOR_JOBS_VERIFY_INT_H

/* For verify_start.c, verify_new.c and verify_serve.c. */

#include "common/err.h"
#include "common/grant.h"
#include "common/msg.h"
#include "common/format/digest.h"
#include "common/format/manifest.h"
#include "validator/jobs/jobs.h"
#include "validator/jobs/verify.h"
#include "validator/store/threads.h"

struct checker;
struct running_job;

/* The state of a running verification. */
struct verify_job {
	struct store_job job; /* first: a store job is its verification */
	struct validator *v;
	struct vstore *vs;
	struct store_flow io;
	int64_t started;

	bool limited; /* by these rights, and the group that is owned */
	struct grant grant;
	bool is_owner;
	struct backup_ns owned_ns;
	struct backup_group owned;

	struct checker *lent[JOB_CHECKERS_MAX];
	unsigned int nlent;      /* so far */
	struct checker *checker; /* our own, for chunks in doubt */

	bool locked; /* this snapshot */
	struct backup_ns ns;
	struct backup_snapshot snap;

	/* The one request in work, whose answer goes to r. */
	struct running_job *r; /* NULL: none */
	uint64_t seq;
	struct digest digest;
	enum verify_state state;
	int fd;
	int bad_number;
	uint64_t adds;    /* damage_adds() when it was added */
	bool is_replaced; /* another file is there */
	int rv;
	struct err err;
};

/* Takes the rights of the request. */
struct verify_job *verify_job_new(struct validator *v,
    const struct verify_request *q);
void verify_job_free(void *arg);

/* verify_start() of a kind, whose end the caller may want to know: fills the
 * rest of spec. */
int verify_start_job(struct validator *v, const struct verify_request *q,
    struct job_spec *spec, char upid_out[IPC_UPID_MAX + 1], struct err *e);

#endif
