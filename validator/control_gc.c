/*
 * The operator's commands on garbage collection (control.h).  Runs in the
 * validator's loop; .gc-status, which another server may have written, is read
 * in a thread.
 */
#include "config.h"

#include "validator/control_int.h"

#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/str.h"
#include "validator/jobs/gc.h"
#include "validator/jobs/jobs.h"
#include "validator/store/layout.h"
#include "validator/validator.h"

#define STATUS_MAX 16384
#define OPERATOR "root@pam"

void
control_gc_start(struct control_req *r)
{
	const char *store, *dry = control_arg(r, "dry-run");
	char upid[IPC_UPID_MAX + 1];
	struct vstore *vs;
	struct json *o;
	struct err e;

	if ((store = control_arg_need(r, "store", &e)) == NULL ||
	    validator_store_use(r->v, store, 1, &vs, &e) == -1 ||
	    gc_start(r->v, vs, OPERATOR, dry != NULL && strcmp(dry, "1") == 0,
		upid, &e) == -1) {
		control_fail(r, &e);
		return;
	}
	o = json_new_object();
	json_set_str(o, "upid", upid);
	control_reply(r, o);
}

struct gc_query {
	struct store_job job; /* first: a job is its query */
	struct store_flow flow;
	struct control_req *r;
	struct vstore *vs;
	char *data;
	size_t len;
	int rv;
	struct err err;
};

static void
query_run(struct store_job *job)
{
	struct gc_query *q = (struct gc_query *)job;

	q->rv = io_read_file(q->vs->store->root_fd, ".gc-status", STATUS_MAX,
	    &q->data, &q->len, &q->err);
}

struct gc_running {
	const char *store;
	struct json *o;
};

static int
add_running(void *arg, const struct job_info *i)
{
	struct gc_running *g = arg;

	if (i->kind != JOB_KIND_GC || strcmp(i->store, g->store) != 0)
		return 0;
	json_set_bool(g->o, "running", true);
	json_set_str(g->o, "upid", i->upid);
	json_set_i64(g->o, "started", i->started);
	json_set_str(g->o, "step", i->what);
	json_set_u64(g->o, "done", i->done);
	json_set_u64(g->o, "total", i->total);
	if (i->left_s >= 0)
		json_set_i64(g->o, "seconds-left", i->left_s);
	return 1;
}

static void
query_done(struct store_job *job)
{
	struct gc_query *q = (struct gc_query *)job;
	struct gc_running g = {q->vs->conf->title, json_new_object()};

	json_set_str(g.o, "store", g.store);
	json_set_bool(g.o, "running", false);
	jobs_each(q->r->v->jobs, add_running, &g);
	/* As the original server does: what cannot be read is nothing.  It is
	 * parsed by whoever asks. */
	if (q->rv == 0 && str_is_utf8(q->data, strlen(q->data)))
		json_set_str(g.o, "last", q->data);
	control_reply(q->r, g.o);
	vstore_unhold(q->vs);
	free(q->data);
	free(q);
}

void
control_gc_status(struct control_req *r)
{
	struct gc_query *q;
	struct vstore *vs;
	const char *store;
	struct err e;

	if ((store = control_arg_need(r, "store", &e)) == NULL ||
	    validator_store_use(r->v, store, 0, &vs, &e) == -1) {
		control_fail(r, &e);
		return;
	}
	q = xcalloc(1, sizeof(*q));
	q->r = r;
	q->vs = vs;
	vstore_hold(vs);
	q->rv = err_set(&q->err, ERR_UNAVAILABLE, "validator ends");
	q->job.run = query_run;
	q->job.done = query_done;
	store_flow_init(&q->flow, vs->pool, STORE_CLASS_IO, 1);
	store_job_submit(&q->flow, &q->job);
}
