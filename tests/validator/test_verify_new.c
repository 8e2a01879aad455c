/*
 * The queue of new snapshots: that none is lost if its verification cannot
 * start.  What a verification does is not ours to test: it is started in name
 * only.
 */
#include "config.h"

#include "validator/jobs/verify_int.h"

#include <criterion/criterion.h>
#include <string.h>

#include <event2/event.h>

#include "validator/session.h"
#include "validator/store/verified.h"
#include "validator/validator.h"

static struct validator v;
static struct datastore_conf conf = {.title = (char *)"store"};
static struct vstore store = {.conf = &conf};
static struct vstore *stores[] = {&store};
static struct verifier *vr;

static struct {
	enum err_code fails; /* ERR_OK: it starts */
	unsigned int tries;
	int64_t running; /* the snapshot of that time; 0: none */
	void (*done)(void *arg, const struct err *why);
	void *arg;
} job;

/* --- in place of the validator ------------------------------------------ */

int
verify_start_job(struct validator *vp, const struct verify_request *q,
    struct job_spec *spec, char upid_out[IPC_UPID_MAX + 1], struct err *e)
{
	(void)upid_out;
	cr_assert(vp == &v && q->vs == &store && job.running == 0);
	job.tries++;
	if (job.fails != ERR_OK)
		return err_set(e, job.fails, "no process");
	job.running = q->snap.time;
	job.done = spec->done;
	job.arg = spec->arg;
	return 0;
}

bool
jobs_is_running(const struct jobs *js, enum job_kind_id kind,
    const struct vstore *vs)
{
	(void)js;
	cr_assert(kind == JOB_KIND_VERIFY_NEW && vs == &store);
	return job.running != 0;
}

int
validator_store_use(struct validator *vp, const char *name, int writes,
    struct vstore **out, struct err *e)
{
	(void)e;
	cr_assert(vp == &v && writes);
	cr_assert_str_eq(name, conf.title);
	*out = &store;
	return 0;
}

struct vstore *
validator_store(struct validator *vp, const char *name)
{
	(void)vp;
	(void)name;
	return &store;
}

int
verified_each_waiting(struct verified *vf,
    void (*fn)(void *arg, const char *name, const struct backup_ns *ns,
	const struct backup_snapshot *snap, const char *auth_id),
    void *arg, struct err *e)
{
	(void)vf;
	(void)fn;
	(void)arg;
	(void)e;
	return 0;
}

int
verified_end(struct verified *vf, const char *name, const struct backup_ns *ns,
    const struct backup_snapshot *snap, struct err *e)
{
	(void)vf;
	(void)name;
	(void)ns;
	(void)snap;
	return err_set(e, ERR_INTERNAL, "none has ended");
}

void
sessions_each(struct sessions *ss, int (*fn)(void *arg, struct session *s),
    void *arg)
{
	(void)ss;
	(void)fn;
	(void)arg;
}

void
session_get_info(const struct session *s, struct session_info *out)
{
	(void)s;
	(void)out;
}

static void
add(int64_t time)
{
	struct backup_snapshot snap;
	struct backup_ns ns;
	struct err e;

	cr_assert_eq(ns_parse(&ns, "", &e), 0);
	cr_assert_eq(snapshot_set(&snap, "host", "a", time, &e), 0);
	verify_new(vr, &store, &ns, &snap, "user@pbs");
}

/* So it stays in the record, too. */
static void
end_job(void)
{
	struct err e;

	err_set(&e, ERR_UNAVAILABLE, "cut short");
	job.running = 0;
	job.done(job.arg, &e);
}

static void
set_up(void)
{
	struct err e;

	v.stores = stores;
	v.nstores = 1;
	v.base = event_base_new();
	vr = verifier_new(&v, &e);
	cr_assert_not_null(vr, "%s", e.msg);
}

static void
tear_down(void)
{
	verifier_free(&vr);
	event_base_free(v.base);
}

TestSuite(verify_new, .init = set_up, .fini = tear_down);

Test(verify_new, one_after_the_other)
{
	add(1);
	add(2);
	cr_assert_eq(job.running, 1);
	end_job();
	cr_assert_eq(job.running, 2);
}

/* In order, and without anybody's doing. */
Test(verify_new, one_that_cannot_start_is_tried_again)
{
	job.fails = ERR_SYS;
	add(1);
	add(2);
	event_base_loop(v.base, EVLOOP_ONCE);
	cr_assert_eq(job.tries, 3);
	job.fails = ERR_OK;
	event_base_loop(v.base, EVLOOP_ONCE);
	cr_assert_eq(job.running, 1);
	end_job();
	cr_assert_eq(job.running, 2);
	end_job();
	cr_assert_eq(job.tries, 5);
}

Test(verify_new, none_is_tried_again_when_the_server_ends)
{
	job.fails = ERR_UNAVAILABLE;
	add(1);
	cr_assert_eq(event_base_loop(v.base, EVLOOP_NONBLOCK), 1,
	    "no event is left");
	cr_assert_eq(job.tries, 1);
}
