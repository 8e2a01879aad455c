/*
 * Garbage collection, the validator's part (gc.h).  Runs in the loop; what
 * touches the store runs in its threads.  The job only proposes: what is
 * removed is looked at here, in order with whoever stores that chunk now, and
 * must be older than the cutoff that was fixed at the start.
 */
#include "config.h"

#include "validator/jobs/gc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/atime.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/sbuf.h"
#include "validator/jobs/jobs_int.h"
#include "validator/session.h"
#include "validator/store/chunk_name.h"
#include "validator/store/chunk_store.h"
#include "validator/store/damage.h"
#include "validator/store/layout.h"
#include "validator/task.h"
#include "validator/validator.h"

#define REMOVE_THREADS 2 /* of the store's, so that backups go on */
#define REMOVE_REQUESTS_MAX 16
#define CUTOFF_SLACK_S 2 /* both clocks are read in whole seconds */

struct gc {
	struct store_job probe; /* first: a job is its gc */
	struct validator *v;
	struct vstore *vs;
	struct atime_cutoff cutoff;
	int64_t oldest; /* session, or the start */
	bool dry_run;
	struct digest *lost; /* damaged or missing when it began */
	size_t nlost;
	uint64_t adds; /* damage_adds() then */
	uint64_t nforgotten;
	bool has_unseen; /* and said so */
	struct store_flow flow;
	struct running_job *waiting; /* for the answer to a step */
	uint64_t waiting_seq;
	enum gc_step step;
	int rv; /* of the probe */
	struct err err;
};

static const struct {
	const char *name;
	bool probes; /* first: can the disk's times be trusted? */
} steps[GC_STEP_COUNT] = {
    [GC_STEP_LIST] = {"list", true},
    [GC_STEP_MARK] = {"mark", false},
    [GC_STEP_MARKED] = {"marked", false},
    [GC_STEP_SWEEP] = {"sweep", true},
};

/* --- steps --- */

static void
step_reply(struct running_job *r, uint64_t seq)
{
	struct store *s = running_job_store(r)->store;
	struct msg_JOB_REPLY m = {.code = ERR_OK};

	/* This order: one that ends between is taken for running. */
	m.n1 = atomic_load(&s->removals_ended);
	m.n0 = atomic_load(&s->removals_begun);
	running_job_reply(r, seq, &m);
}

static void
step_go_on(void *arg)
{
	struct gc *g = arg;
	struct running_job *r = g->waiting;

	g->waiting = NULL;
	step_reply(r, g->waiting_seq);
}

static void
probe_run(struct store_job *job)
{
	struct gc *g = (struct gc *)job;

	g->rv =
	    atime_check(g->vs->store->chunks_fd, g->cutoff.skew_max_s, &g->err);
	if (g->rv == -1)
		err_wrap(&g->err, "cannot collect garbage in datastore '%s'",
		    g->vs->store->name);
}

static void
probe_done(struct store_job *job)
{
	struct gc *g = (struct gc *)job;
	struct running_job *r = g->waiting;

	if (g->rv == 0) {
		running_job_step(r, steps[g->step].name, step_go_on, g);
	} else {
		g->waiting = NULL;
		running_job_reply_err(r, g->waiting_seq, &g->err);
	}
	running_job_unhold(r);
}

static void
probe(struct gc *g)
{
	g->rv = err_set(&g->err, ERR_ABORTED, "validator ends");
	g->probe.run = probe_run;
	g->probe.done = probe_done;
	running_job_hold(g->waiting);
	store_job_submit(&g->flow, &g->probe);
}

JOB_HANDLER(gc_step)
{
	struct running_job *r = ctx;
	struct gc *g = running_job_state(r, JOB_KIND_GC, m);
	struct msg_JOB_GC_STEP msg;

	if (g == NULL)
		return -1;
	if (msg_get_JOB_GC_STEP(&m->body, &msg) == -1 || msg.step == 0 ||
	    msg.step >= GC_STEP_COUNT || g->waiting != NULL)
		return err_set(&m->err, ERR_PROTO, "malformed JOB_GC_STEP");
	g->waiting = r;
	g->waiting_seq = m->seq;
	g->step = (enum gc_step)msg.step;
	if (steps[g->step].probes)
		probe(g);
	else
		running_job_step(r, steps[g->step].name, step_go_on, g);
	return 0;
}

/* --- removing --- */

struct removal {
	struct store_job job; /* first: a job is its removal */
	struct running_job *r;
	struct gc *gc; /* held as r is; its cutoff stays */
	uint64_t seq;
	char *names;
	size_t len;
	struct digest *gone; /* chunks that are not there */
	size_t ngone;
	struct msg_JOB_REPLY sum;
	struct err unseen; /* why one could not be looked at */
	int rv;
	struct err err;
};

static void
count_removed(struct removal *d, enum chunk_name kind, uint64_t size)
{
	d->sum.n0 += kind == CHUNK_NAME_CHUNK;
	d->sum.n1 += kind == CHUNK_NAME_BAD;
	d->sum.n2 += kind == CHUNK_NAME_TEMP;
	d->sum.n3 += size;
}

static void
count_young(struct removal *d, const struct chunk_removal *c)
{
	if (c->used < d->gc->oldest) {
		d->sum.n4++;
		d->sum.n5 += c->size;
	} else {
		d->sum.n6++;
		d->sum.n7 += c->size;
	}
}

static void
add_gone(struct removal *d, const struct digest *digest)
{
	d->gone = xreallocarray(d->gone, d->ngone + 1, sizeof(*d->gone));
	d->gone[d->ngone++] = *digest;
}

static int
remove_one(struct removal *d, const char *name, struct err *e)
{
	struct chunk_removal c;
	struct digest digest;
	enum chunk_name kind;

	if (chunk_remove_old(d->gc->vs->store, name, &d->gc->cutoff, &c, e) ==
	    -1)
		return -1;
	kind = chunk_name_parse(name, &digest);
	if (c.result == CHUNK_REMOVE_DONE)
		count_removed(d, kind, c.size);
	else if (c.result == CHUNK_REMOVE_YOUNG && kind == CHUNK_NAME_CHUNK)
		count_young(d, &c);
	else if (c.result == CHUNK_REMOVE_NONE && kind == CHUNK_NAME_CHUNK)
		add_gone(d, &digest);
	else if (c.result == CHUNK_REMOVE_UNSEEN)
		d->unseen = *e;
	return 0;
}

static void
removal_run(struct store_job *job)
{
	struct removal *d = (struct removal *)job;
	size_t i;

	d->rv = 0;
	for (i = 0; i < d->len && d->rv == 0; i += strlen(d->names + i) + 1)
		d->rv = store_job_is_cancelled(job)
		    ? err_set(&d->err, ERR_ABORTED, "validator ends")
		    : remove_one(d, d->names + i, &d->err);
}

/* Nothing refers to them, nor can: whoever stores one anew heals it. */
static void
forget_gone(struct removal *d)
{
	struct gc *g = d->gc;
	size_t i;

	for (i = 0; i < d->ngone; i++)
		g->nforgotten +=
		    damage_heal_seen(g->vs->damage, &d->gone[i], g->adds);
}

/* Whoever reads the log need not be told of each. */
static void
tell_unseen(struct removal *d)
{
	if (d->unseen.code == ERR_OK || d->gc->has_unseen)
		return;
	d->gc->has_unseen = true;
	task_warn(running_job_task(d->r), "%s: it stays", d->unseen.msg);
}

static void
removal_done(struct store_job *job)
{
	struct removal *d = (struct removal *)job;
	struct running_job *r = d->r;

	forget_gone(d);
	tell_unseen(d);
	validator_kill_point(running_job_validator(r), "gc-removed");
	if (d->rv == 0)
		running_job_reply(r, d->seq, &d->sum);
	else
		running_job_reply_err(r, d->seq, &d->err);
	free(d->gone);
	free(d->names);
	free(d);
	running_job_unhold(r);
}

JOB_HANDLER(gc_remove)
{
	struct running_job *r = ctx;
	struct gc *g = running_job_state(r, JOB_KIND_GC, m);
	struct msg_JOB_GC_REMOVE msg;
	struct removal *d;

	if (g == NULL)
		return -1;
	if (msg_get_JOB_GC_REMOVE(&m->body, &msg) == -1 || msg.names_len == 0 ||
	    msg.names[msg.names_len - 1] != '\0' || g->dry_run ||
	    g->flow.pending >= REMOVE_REQUESTS_MAX)
		return err_set(&m->err, ERR_PROTO, "malformed JOB_GC_REMOVE");
	d = xcalloc(1, sizeof(*d));
	d->r = r;
	d->gc = g;
	d->seq = m->seq;
	d->names = xmemdup((const char *)msg.names, msg.names_len);
	d->len = msg.names_len;
	d->rv = err_set(&d->err, ERR_ABORTED, "validator ends");
	d->job.run = removal_run;
	d->job.done = removal_done;
	running_job_hold(r);
	store_job_submit(&g->flow, &d->job);
	return 0;
}

JOB_HANDLER(gc_lost)
{
	static uint8_t buf[MSG_MAX_JOB_GC_LOST_LIST];
	struct running_job *r = ctx;
	struct gc *g = running_job_state(r, JOB_KIND_GC, m);
	struct msg_JOB_GC_LOST_LIST list = {.digests = NULL};
	struct msg_JOB_GC_LOST msg;
	size_t n;
	struct wire_w w;

	if (g == NULL)
		return -1;
	if (msg_get_JOB_GC_LOST(&m->body, &msg) == -1 || msg.first > g->nlost)
		return err_set(&m->err, ERR_PROTO, "malformed JOB_GC_LOST");
	n = g->nlost - (size_t)msg.first;
	if (n > IPC_BULK_MAX / DIGEST_LEN)
		n = IPC_BULK_MAX / DIGEST_LEN;
	list.digests = g->lost[msg.first].b;
	list.digests_len = (uint32_t)(n * DIGEST_LEN);
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_JOB_GC_LOST_LIST(&w, &list);
	running_job_send(r, MSG_ID_JOB_GC_LOST_LIST, m->seq, buf,
	    wire_w_len(&w), NULL, 0);
	return 0;
}

/* --- .gc-status --- */

struct status {
	struct store_job job; /* first */
	struct running_job *r;
	struct store *store;
	uint64_t seq;
	char *text;
	size_t len;
	int rv;
	struct err err;
};

static void
status_run(struct store_job *job)
{
	struct status *s = (struct status *)job;

	s->rv = store_write_file(s->store, s->store->root_fd, ".gc-status",
	    s->text, s->len, 0, &s->err);
}

/* Without it only the figures of this run are lost. */
static void
status_done(struct store_job *job)
{
	static const struct msg_JOB_REPLY ok = {.code = ERR_OK};
	struct status *s = (struct status *)job;
	struct running_job *r = s->r;

	if (s->rv == -1)
		task_warn(running_job_task(r), "cannot write .gc-status: %s",
		    s->err.msg);
	running_job_reply(r, s->seq, &ok);
	free(s->text);
	free(s);
	running_job_unhold(r);
}

static struct json *
status_json(const char *upid, const struct msg_JOB_GC_RESULT *m)
{
	struct json *o = json_new_object();

	json_set_str(o, "upid", upid);
	json_set_u64(o, "index-file-count", m->index_file_count);
	json_set_u64(o, "index-data-bytes", m->index_data_bytes);
	json_set_u64(o, "disk-bytes", m->disk_bytes);
	json_set_u64(o, "disk-chunks", m->disk_chunks);
	json_set_u64(o, "removed-bytes", m->removed_bytes);
	json_set_u64(o, "removed-chunks", m->removed_chunks);
	json_set_u64(o, "pending-bytes", m->pending_bytes);
	json_set_u64(o, "pending-chunks", m->pending_chunks);
	json_set_u64(o, "removed-bad", m->removed_bad);
	json_set_u64(o, "still-bad", m->still_bad);
	return o;
}

JOB_HANDLER(gc_result)
{
	struct running_job *r = ctx;
	struct gc *g = running_job_state(r, JOB_KIND_GC, m);
	struct msg_JOB_GC_RESULT msg;
	struct status *s;
	struct json *o;

	if (g == NULL)
		return -1;
	if (msg_get_JOB_GC_RESULT(&m->body, &msg) == -1 || g->dry_run ||
	    g->flow.pending > 0)
		return err_set(&m->err, ERR_PROTO, "malformed JOB_GC_RESULT");
	if (g->nforgotten > 0)
		task_log(running_job_task(r),
		    "Forgot damaged or missing chunks that nothing refers to: "
		    "%" PRIu64,
		    g->nforgotten);
	s = xcalloc(1, sizeof(*s));
	o = status_json(running_job_upid(r), &msg);
	s->text = json_compact(o, &s->len);
	json_free(&o);
	s->r = r;
	s->store = g->vs->store;
	s->seq = m->seq;
	s->rv = err_set(&s->err, ERR_ABORTED, "validator ends");
	s->job.run = status_run;
	s->job.done = status_done;
	running_job_hold(r);
	store_job_submit(&g->flow, &s->job);
	return 0;
}

/* --- start --- */

struct oldest {
	const char *store;
	int64_t time;
};

static int
find_oldest(void *arg, struct session *s)
{
	struct oldest *o = arg;
	struct session_info i;

	session_get_info(s, &i);
	if (i.is_backup && strcmp(i.store, o->store) == 0 &&
	    i.started < o->time)
		o->time = i.started;
	return 0;
}

/* Whoever opens a session from now on stores nothing before it. */
static void
gc_fix_cutoff(struct gc *g, struct sbuf *args)
{
	struct oldest o = {g->vs->conf->title, io_realtime_s()};
	int64_t margin_s = (int64_t)(g->vs->conf->gc_margin / 1000);
	int64_t cutoff;

	sessions_each(g->v->sessions, find_oldest, &o);
	g->oldest = o.time;
	cutoff = o.time - margin_s - CUTOFF_SLACK_S;
	g->cutoff = atime_cutoff_now(cutoff < 0 ? 0 : cutoff,
	    margin_s + CUTOFF_SLACK_S - 1);
	sbuf_add_fmt(args, "cutoff=%lld%c", (long long)g->cutoff.time, 0);
	sbuf_add_fmt(args, "oldest=%lld%c", (long long)o.time, 0);
	sbuf_add_fmt(args, "dry-run=%d%c", g->dry_run, 0);
}

static void
gc_free(void *arg)
{
	struct gc *g = arg;

	free(g->lost);
	free(g);
}

int
gc_start(struct validator *v, struct vstore *vs, const char *auth_id,
    bool dry_run, char upid_out[IPC_UPID_MAX + 1], struct err *e)
{
	struct gc *g = xcalloc(1, sizeof(*g));
	struct job_spec spec = {
	    .kind = JOB_KIND_GC,
	    .vs = vs,
	    .worker_id = vs->conf->title,
	    .auth_id = auth_id,
	    .state = g,
	    .state_free = gc_free,
	};
	struct sbuf args;
	int rv;

	g->v = v;
	g->vs = vs;
	g->dry_run = dry_run;
	g->adds = damage_adds(vs->damage);
	g->lost = damage_dup(vs->damage, &g->nlost);
	store_flow_init(&g->flow, vs->pool, STORE_CLASS_IO, REMOVE_THREADS);
	sbuf_init(&args, 4096);
	gc_fix_cutoff(g, &args);
	spec.args = sbuf_str(&args);
	spec.args_len = args.len;
	rv = jobs_start(v->jobs, &spec, upid_out, e);
	sbuf_fini(&args);
	return rv;
}
