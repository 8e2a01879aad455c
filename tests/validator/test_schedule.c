/*
 * What runs by the calendar, with a clock of the test's own: when, how often,
 * and that it is remembered.  What a job does is not ours to test: its
 * starting is counted.
 */
#include "config.h"

#include "validator/schedule.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/err.h"
#include "common/io.h"
#include "common/path.h"
#include "validator/jobs/gc.h"
#include "validator/jobs/verify.h"
#include "validator/prune.h"
#include "validator/store/threads.h"
#include "validator/task.h"
#include "validator/validator.h"

#define MINUTE 60
#define HOUR 3600
#define DAY 86400

static char dir[64];
static int64_t clock_now;
static struct validator v;
static struct vstore store;
static struct vstore *stores[] = {&store};
static struct datastore_conf conf;
static struct verify_job_conf verify_conf;
static struct prune_job_conf prune_conf;
static struct schedule *s;
static struct schedule_info seen[8]; /* strings lent until the next look */
static size_t nseen;

static struct {
	unsigned int gc, verify, prune;
	const char *busy;   /* why none can start */
	const char *closed; /* why the datastore cannot be used */
	bool running;       /* what was started runs on */
} jobs;

static struct {
	void (*ended)(void *arg, const struct err *why);
	void *arg;
} tasks[8]; /* that run */
static size_t ntasks;
static pthread_t loop;
static atomic_uint syncs, syncs_in_loop;
static unsigned int looks; /* at the clock */

/* --- in place of the validator ------------------------------------------ */

static int
started(unsigned int *count, const char *name, char *upid_out, struct err *e)
{
	if (jobs.busy != NULL)
		return err_set(e, ERR_LOCKED, "%s", jobs.busy);
	snprintf(upid_out, IPC_UPID_MAX + 1, "UPID:%s:%u", name, ++*count);
	return 0;
}

int
gc_start(struct validator *vp, struct vstore *vs, const char *auth_id,
    bool dry_run, char upid_out[IPC_UPID_MAX + 1], struct err *e)
{
	cr_assert(vp == &v && vs == &store && !dry_run);
	cr_assert_str_eq(auth_id, "root@pam");
	return started(&jobs.gc, "gc", upid_out, e);
}

int
verify_start(struct validator *vp, const struct verify_request *q,
    char upid_out[IPC_UPID_MAX + 1], struct err *e)
{
	cr_assert(vp == &v && q->vs == &store);
	cr_assert_eq(q->scope, VERIFY_SCOPE_NS);
	cr_assert_str_eq(q->ns.name, "a/b");
	cr_assert_eq(q->max_depth, 3);
	cr_assert(q->ignore_verified);
	cr_assert_eq(q->outdated_after, 30);
	return started(&jobs.verify, "verify", upid_out, e);
}

int
prune_job_start(struct validator *vp, struct vstore *vs,
    const struct prune_job *job, char upid_out[IPC_UPID_MAX + 1], struct err *e)
{
	cr_assert(vp == &v && vs == &store);
	cr_assert_str_eq(job->name, "old");
	return started(&jobs.prune, "prune", upid_out, e);
}

struct task *
tasks_find(struct tasks *t, const char *upid)
{
	(void)t;
	(void)upid;
	return (struct task *)&jobs;
}

void
task_on_end(struct task *k, void (*ended)(void *arg, const struct err *why),
    void *arg)
{
	cr_assert(k == (struct task *)&jobs);
	tasks[ntasks].ended = ended;
	tasks[ntasks++].arg = arg;
}

/* All of them. */
static void
end_tasks(const struct err *why)
{
	for (; ntasks > 0; ntasks--)
		tasks[ntasks - 1].ended(tasks[ntasks - 1].arg, why);
}

int
fsync(int fd)
{
	(void)fd;
	syncs++;
	syncs_in_loop += pthread_equal(pthread_self(), loop) != 0;
	return 0;
}

int
validator_store_use(struct validator *vp, const char *name, int writes,
    struct vstore **out, struct err *e)
{
	cr_assert(vp == &v && writes);
	cr_assert_str_eq(name, conf.title);
	*out = &store;
	return jobs.closed != NULL
	    ? err_set(e, ERR_MAINTENANCE, "%s", jobs.closed)
	    : 0;
}

static int64_t
now(void)
{
	looks++;
	return clock_now;
}

/* --- the clock ------------------------------------------------------------ */

static int64_t
at(const char *text)
{
	struct tm tm = {.tm_isdst = -1};

	cr_assert_not_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm), "%s",
	    text);
	return mktime(&tm);
}

/* Until the schedule has looked: what a thread has done may come between. */
static void
run_loop(void)
{
	unsigned int before = looks;

	while (looks == before)
		event_base_loop(v.base, EVLOOP_ONCE);
}

/* A turn of the schedule at that time. */
static void
turn(int64_t when)
{
	clock_now = when;
	if (!jobs.running)
		end_tasks(NULL);
	schedule_changed(s);
	run_loop();
	if (!jobs.running)
		end_tasks(NULL);
}

/* Minute after minute. */
static void
pass(int64_t until)
{
	while (clock_now < until)
		turn(clock_now + MINUTE);
}

static void
see(void *arg, const struct schedule_info *i)
{
	(void)arg;
	seen[nseen++] = *i;
}

static const struct schedule_info *
look(const char *kind)
{
	size_t i;

	nseen = 0;
	schedule_each(s, see, NULL);
	for (i = 0; i < nseen; i++)
		if (strcmp(seen[i].kind, kind) == 0)
			return &seen[i];
	cr_assert_fail("%s is not listed", kind);
	return NULL;
}

static void
stop(void)
{
	store_pool_free(&v.local_pool);
	schedule_free(&s);
	ntasks = 0;
}

static void
restart(void)
{
	struct err e;

	stop();
	v.local_pool = store_pool_new(v.base, NULL, &e);
	cr_assert_not_null(v.local_pool, "%s", e.msg);
	s = schedule_new(&v, now, &e);
	cr_assert_not_null(s, "%s", e.msg);
	run_loop();
}

static void
set_up(void)
{
	char path[80];

	loop = pthread_self();
	setenv("TZ", "Europe/Berlin", 1);
	tzset();
	snprintf(dir, sizeof(dir), "/tmp/test-schedule-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/validator", dir);
	cr_assert_eq(mkdir(path, 0700), 0);
	conf.title = (char *)"store";
	conf.gc_schedule = (char *)"";
	store.conf = &conf;
	v.conf.state_dir = dir;
	v.stores = stores;
	v.nstores = 1;
	v.base = event_base_new();
	clock_now = at("2026-06-01 12:00:00");
	restart();
}

static void
tear_down(void)
{
	stop();
	event_base_free(v.base);
	path_remove_tree(AT_FDCWD, dir, NULL);
}

TestSuite(schedule, .init = set_up, .fini = tear_down);

static void
plan_gc(const char *event)
{
	conf.gc_schedule = (char *)event;
	turn(clock_now);
}

/* --- when ----------------------------------------------------------------- */

Test(schedule, runs_when_it_is_due)
{
	const struct schedule_info *i;

	plan_gc("*-*-* 02:30");
	i = look("gc");
	cr_assert_eq(i->last, 0);
	cr_assert_eq(i->next, at("2026-06-02 02:30:00"));
	turn(at("2026-06-02 02:29:59"));
	cr_assert_eq(jobs.gc, 0);
	turn(at("2026-06-02 02:30:00"));
	cr_assert_eq(jobs.gc, 1);
	i = look("gc");
	cr_assert_eq(i->last, at("2026-06-02 02:30:00"));
	cr_assert_eq(i->next, at("2026-06-03 02:30:00"));
	cr_assert_str_eq(i->upid, "UPID:gc:1");
	pass(at("2026-06-05 02:29:00"));
	cr_assert_eq(jobs.gc, 3);
}

Test(schedule, gives_a_job_what_its_section_says)
{
	verify_conf = (struct verify_job_conf){
	    .title = (char *)"v",
	    .schedule = (char *)"hourly",
	    .ns = (char *)"a/b",
	    .max_depth = 3,
	    .ignore_verified = 1,
	    .outdated_after = 30,
	};
	prune_conf = (struct prune_job_conf){
	    .title = (char *)"old",
	    .schedule = (char *)"*:15",
	    .ns = (char *)"",
	};
	conf.verify_jobs.v = &verify_conf;
	conf.prune_jobs.v = &prune_conf;
	conf.verify_jobs.n = conf.prune_jobs.n = 1;
	turn(clock_now);
	pass(at("2026-06-01 14:10:00"));
	cr_assert_eq(jobs.verify, 2);
	cr_assert_eq(jobs.prune, 2);
	cr_assert_str_eq(look("prune")->name, "old");
	cr_assert_eq(look("verify")->last, at("2026-06-01 14:00:00"));
}

/* In the night of the change 02:30 is twice, or not at all. */
Test(schedule, runs_once_on_days_on_which_the_clocks_change)
{
	clock_now = at("2026-03-28 12:00:00");
	plan_gc("*-*-* 02:30");
	pass(at("2026-03-29 01:59:00"));
	cr_assert_eq(jobs.gc, 0);
	pass(at("2026-03-29 12:00:00"));
	cr_assert_eq(jobs.gc, 1, "02:30 is not there: %u", jobs.gc);
	pass(at("2026-03-30 02:30:00"));
	cr_assert_eq(jobs.gc, 2);

	clock_now = at("2026-10-24 12:00:00");
	turn(clock_now);
	jobs.gc = 0;
	pass(at("2026-10-25 12:00:00"));
	cr_assert_eq(jobs.gc, 1, "02:30 is there twice: %u", jobs.gc);
	pass(at("2026-10-26 02:30:00"));
	cr_assert_eq(jobs.gc, 2);
}

/* --- what was missed ------------------------------------------------------ */

Test(schedule, makes_up_a_missed_run_once)
{
	plan_gc("hourly");
	pass(at("2026-06-01 13:00:00"));
	cr_assert_eq(jobs.gc, 1);
	/* Off for three days, and down meanwhile. */
	stop();
	clock_now = at("2026-06-04 13:20:00");
	restart();
	cr_assert_eq(jobs.gc, 2, "at once");
	pass(at("2026-06-04 13:59:00"));
	cr_assert_eq(jobs.gc, 2, "only one of all");
	pass(at("2026-06-04 14:00:00"));
	cr_assert_eq(jobs.gc, 3);
}

Test(schedule, runs_nothing_again_after_a_restart)
{
	plan_gc("hourly");
	pass(at("2026-06-01 13:00:00"));
	clock_now += 5;
	restart();
	turn(clock_now + 5);
	cr_assert_eq(jobs.gc, 1);
	cr_assert_eq(look("gc")->last, at("2026-06-01 13:00:00"));
	cr_assert_str_eq(look("gc")->upid, "UPID:gc:1");
}

/* Killed, or ended in peace: then what ran was told so. */
ParameterizedTestParameters(schedule, makes_up_what_a_restart_cut_short)
{
	static bool told[] = {false, true};

	return cr_make_param_array(bool, told, 2);
}

ParameterizedTest(bool *told, schedule, makes_up_what_a_restart_cut_short)
{
	int64_t monday = at("2026-06-08 00:00:00");
	struct err e;

	plan_gc("weekly");
	jobs.running = true;
	turn(monday);
	cr_assert_eq(jobs.gc, 1);
	cr_assert_eq(look("gc")->next, monday + 7 * DAY, "while it runs");
	if (*told) {
		err_set(&e, ERR_UNAVAILABLE, "the server ended");
		end_tasks(&e);
	}
	clock_now = monday + HOUR;
	restart();
	jobs.running = false;
	cr_assert_not(look("gc")->running);
	cr_assert_eq(look("gc")->last, monday);
	cr_assert_eq(look("gc")->next, monday + HOUR + 10 * MINUTE);
	turn(monday + HOUR + 10 * MINUTE - 1);
	cr_assert_eq(jobs.gc, 1,
	    "a validator that it kills is not killed "
	    "again at once");
	turn(monday + HOUR + 10 * MINUTE);
	cr_assert_eq(jobs.gc, 2);
	restart();
	pass(monday + DAY);
	cr_assert_eq(jobs.gc, 2, "once");
	cr_assert_eq(look("gc")->next, monday + 7 * DAY);
}

static void
end_with(enum err_code code, const char *why)
{
	struct err e;

	err_set(&e, code, "%s", why);
	jobs.running = true;
	turn(look("gc")->next);
	end_tasks(&e);
	jobs.running = false;
}

Test(schedule, makes_up_what_was_in_vain)
{
	static const enum err_code codes[] = {ERR_LOCKED, ERR_UNAVAILABLE};
	int64_t monday = at("2026-06-08 00:00:00");
	size_t i;

	plan_gc("weekly");
	for (i = 0; i < 2; i++) {
		end_with(codes[i], "removed meanwhile");
		cr_assert_eq(jobs.gc, i + 1);
		cr_assert_str_eq(look("gc")->why, "removed meanwhile");
		cr_assert_eq(look("gc")->next, clock_now + 10 * MINUTE);
		turn(clock_now + 9 * MINUTE);
		cr_assert_eq(jobs.gc, i + 1);
	}
	pass(monday + HOUR);
	cr_assert_eq(jobs.gc, 3);
	cr_assert_str_eq(look("gc")->why, "");
	cr_assert_eq(look("gc")->next, monday + 7 * DAY);
}

/* It would find the same again, or somebody stopped it. */
Test(schedule, makes_up_no_failure)
{
	plan_gc("weekly");
	end_with(ERR_CORRUPT, "an index is damaged");
	restart();
	pass(clock_now + DAY);
	cr_assert_eq(jobs.gc, 1);
}

Test(schedule, makes_up_no_later_than_it_is_due)
{
	plan_gc("hourly");
	jobs.running = true;
	turn(at("2026-06-01 13:00:00"));
	clock_now = at("2026-06-01 13:55:00");
	restart();
	cr_assert_eq(look("gc")->next, at("2026-06-01 14:00:00"));
}

Test(schedule, is_not_confused_by_a_clock_that_is_set_back)
{
	plan_gc("weekly");
	clock_now = at("2026-06-08 00:00:00");
	end_with(ERR_LOCKED, "removed meanwhile");
	turn(at("2026-06-01 00:00:00"));
	cr_assert_eq(look("gc")->next, clock_now + 10 * MINUTE);
}

/* Durable, by another thread. */
Test(schedule, writes_its_record_for_good)
{
	char path[128], *text = NULL;
	struct err e;
	size_t len;
	int i;

	snprintf(path, sizeof(path), "%s/validator/schedule", dir);
	plan_gc("hourly");
	jobs.running = true;
	turn(at("2026-06-01 13:00:00"));
	for (i = 0; i < 60000; i++) {
		event_base_loop(v.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		if (io_read_file(AT_FDCWD, path, 4096, &text, &len, &e) == 0 &&
		    strstr(text, "UPID:gc:1 open\n") != NULL)
			break;
		free(text);
		text = NULL;
		usleep(1000);
	}
	cr_assert_not_null(text);
	free(text);
	cr_assert_geq(syncs, 1);
	cr_assert_eq(syncs_in_loop, 0);
}

Test(schedule, waits_with_a_new_job_for_its_first_time)
{
	plan_gc("yearly");
	turn(clock_now + 30 * DAY);
	restart();
	cr_assert_eq(jobs.gc, 0);
	cr_assert_eq(look("gc")->next, at("2027-01-01 00:00:00"));
}

/* --- what has to wait ----------------------------------------------------- */

Test(schedule, tries_again_until_it_can_start)
{
	plan_gc("hourly");
	jobs.busy = "another one is already running";
	pass(at("2026-06-01 13:10:00"));
	cr_assert_eq(look("gc")->last, 0);
	cr_assert_str_eq(look("gc")->why, jobs.busy);
	cr_assert_eq(look("gc")->next, at("2026-06-01 13:00:00"));
	jobs.busy = NULL;
	jobs.closed = "moving";
	turn(clock_now + 2);
	cr_assert_str_eq(look("gc")->why, "moving");
	jobs.closed = NULL;
	turn(clock_now + 2);
	cr_assert_eq(jobs.gc, 1);
	cr_assert_str_eq(look("gc")->why, "");
	cr_assert_eq(look("gc")->next, at("2026-06-01 14:00:00"));
}

Test(schedule, does_not_start_what_still_runs)
{
	plan_gc("*:0/5");
	jobs.running = true;
	pass(at("2026-06-01 12:05:00"));
	pass(at("2026-06-01 13:01:00"));
	cr_assert_eq(jobs.gc, 1);
	cr_assert(look("gc")->running);
	jobs.running = false;
	turn(clock_now + 1);
	cr_assert_eq(jobs.gc, 2, "made up once");
	pass(at("2026-06-01 13:04:00"));
	cr_assert_eq(jobs.gc, 2);
}

/* --- what changes --------------------------------------------------------- */

Test(schedule, follows_the_configuration)
{
	plan_gc("daily");
	cr_assert_eq(look("gc")->next, at("2026-06-02 00:00:00"));
	plan_gc("*:30");
	cr_assert_eq(look("gc")->next, at("2026-06-01 12:30:00"));
	pass(at("2026-06-01 12:30:00"));
	cr_assert_eq(jobs.gc, 1);
	plan_gc("");
	pass(at("2026-06-01 15:00:00"));
	cr_assert_eq(jobs.gc, 1);
	nseen = 0;
	schedule_each(s, see, NULL);
	cr_assert_eq(nseen, 0);
	/* Back again, it has missed something. */
	plan_gc("hourly");
	cr_assert_eq(jobs.gc, 2);
	cr_assert_eq(look("gc")->next, at("2026-06-01 16:00:00"));
}

Test(schedule, survives_a_clock_that_was_wrong)
{
	plan_gc("hourly");
	turn(at("2036-06-01 13:00:00"));
	cr_assert_eq(jobs.gc, 1);
	turn(at("2026-06-01 12:10:00"));
	cr_assert_eq(jobs.gc, 1);
	cr_assert_eq(look("gc")->next, at("2026-06-01 13:00:00"));
	pass(at("2026-06-01 13:00:00"));
	cr_assert_eq(jobs.gc, 2);
}

Test(schedule, leaves_damaged_lines_of_its_record_out)
{
	static const char text[] = "gc store - 1 x UPID\n"
				   "nonsense\n"
				   "\n"
				   "verify store a/b/c/d/e/f -5 0 -\n"
				   "gc store - 1 2 UPID:gc:8 ajar\n"
				   "gc store - 1000 2000 UPID:gc:7\n"
				   "gc store - 1 1 twice\n"
				   "gc ../.. - 1 1 -\n";
	char path[128];
	struct err e;

	conf.gc_schedule = (char *)"1970-01-01";
	snprintf(path, sizeof(path), "%s/validator/schedule", dir);
	cr_assert_eq(io_write_file_atomic(AT_FDCWD, path, text,
			 sizeof(text) - 1, 0600, 0, &e),
	    0);
	restart();
	cr_assert_eq(look("gc")->last, 2000);
	cr_assert_str_eq(look("gc")->upid, "UPID:gc:7");
	cr_assert_eq(look("gc")->next, 0, "never again");
}
