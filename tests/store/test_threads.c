/* The pool: order, turns, limits, cancelling, shutting down. */
#include "config.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "common/err.h"
#include "validator/store/threads.h"

#define JOBS 64

struct work {
	struct store_job job; /* first */
	int id;
	int laps; /* how often it asks for another turn */
	bool ran;
	bool was_cancelled;
	bool in_loop; /* run() was in the loop's thread */
};

static struct event_base *base;
static struct store_pool *pool;
static pthread_t loop_thread;
static struct work works[JOBS];
static atomic_int started; /* order of run() */
static int run_order[4 * JOBS];
static int done_order[JOBS];
static int done_count;
static int wanted;
static sem_t gate;
static atomic_int inside, most_inside;

static void
setup(void)
{
	loop_thread = pthread_self();
	base = event_base_new();
	cr_assert_not_null(base);
	sem_init(&gate, 0, 0);
}

static void
make_pool(unsigned int stat, unsigned int io)
{
	struct store_pool_opts o = {
	    .threads = {[STORE_CLASS_STAT] = stat, [STORE_CLASS_IO] = io}};
	struct err e = {0};

	pool = store_pool_new(base, &o, &e);
	cr_assert_not_null(pool, "%s", e.msg);
}

static void
teardown(void)
{
	store_pool_free(&pool);
	event_base_free(base);
	sem_destroy(&gate);
}

TestSuite(threads, .init = setup, .fini = teardown, .timeout = 60);

static void
note(struct work *w)
{
	run_order[atomic_fetch_add(&started, 1)] = w->id;
	w->ran = true;
	w->in_loop = pthread_equal(pthread_self(), loop_thread);
}

static void
run_simple(struct store_job *job)
{
	struct work *w = (struct work *)job;
	int now = atomic_fetch_add(&inside, 1) + 1, most;

	note(w);
	most = atomic_load(&most_inside);
	while (now > most &&
	    !atomic_compare_exchange_weak(&most_inside, &most, now))
		;
	sched_yield();
	atomic_fetch_sub(&inside, 1);
	if (w->laps > 0) {
		w->laps--;
		job->again = true;
	}
}

static void
run_gated(struct store_job *job)
{
	note((struct work *)job);
	sem_wait(&gate);
}

static void
on_done(struct store_job *job)
{
	struct work *w = (struct work *)job;

	cr_assert(pthread_equal(pthread_self(), loop_thread));
	w->was_cancelled = store_job_is_cancelled(job);
	done_order[done_count++] = w->id;
	if (done_count == wanted)
		event_base_loopbreak(base);
}

static void
submit(struct store_flow *f, int id, void (*run)(struct store_job *))
{
	works[id].id = id;
	works[id].job.run = run;
	works[id].job.done = on_done;
	store_job_submit(f, &works[id].job);
}

static void
loop_until(int n)
{
	wanted = n;
	while (done_count < n)
		event_base_loop(base, EVLOOP_ONCE);
}

Test(threads, runs_outside_the_loop_and_tells_the_loop)
{
	struct store_flow f;

	make_pool(0, 0);
	store_flow_init(&f, pool, STORE_CLASS_IO, 0);
	submit(&f, 0, run_simple);
	cr_expect_not(store_flow_is_idle(&f));
	loop_until(1);
	cr_expect(works[0].ran && !works[0].in_loop);
	cr_expect_not(works[0].was_cancelled);
	cr_expect(store_flow_is_idle(&f));
}

Test(threads, keeps_the_order_of_a_strand)
{
	struct store_flow f;
	int i;

	make_pool(0, 4);
	store_flow_init(&f, pool, STORE_CLASS_IO, 1);
	for (i = 0; i < JOBS; i++)
		submit(&f, i, run_simple);
	loop_until(JOBS);
	for (i = 0; i < JOBS; i++) {
		cr_expect_eq(run_order[i], i);
		cr_expect_eq(done_order[i], i);
	}
	cr_expect_eq(most_inside, 1);
}

Test(threads, runs_a_flow_without_limit_side_by_side)
{
	struct store_flow f;
	int i;

	make_pool(4, 0);
	store_flow_init(&f, pool, STORE_CLASS_STAT, 0);
	/* All four wait at the gate at once, or the test hangs. */
	for (i = 0; i < 4; i++)
		submit(&f, i, run_gated);
	while (atomic_load(&started) < 4)
		sched_yield();
	for (i = 0; i < 4; i++)
		sem_post(&gate);
	loop_until(4);
}

Test(threads, takes_turns_between_flows)
{
	struct store_flow gate_flow, big, small;
	int i, at = -1;

	make_pool(1, 0);
	store_flow_init(&gate_flow, pool, STORE_CLASS_STAT, 0);
	store_flow_init(&big, pool, STORE_CLASS_STAT, 0);
	store_flow_init(&small, pool, STORE_CLASS_STAT, 0);
	submit(&gate_flow, 0, run_gated);
	for (i = 1; i < 50; i++)
		submit(&big, i, run_simple);
	submit(&small, 50, run_simple);
	sem_post(&gate);
	loop_until(51);
	for (i = 0; i < 51; i++)
		if (run_order[i] == 50)
			at = i;
	cr_expect(at >= 0 && at <= 3, "ran as number %d", at);
}

Test(threads, takes_turns_also_with_jobs_that_go_on)
{
	struct store_flow gate_flow, big, small;
	int i, at = -1;

	make_pool(1, 0);
	store_flow_init(&gate_flow, pool, STORE_CLASS_STAT, 0);
	store_flow_init(&big, pool, STORE_CLASS_STAT, 0);
	store_flow_init(&small, pool, STORE_CLASS_STAT, 0);
	submit(&gate_flow, 0, run_gated);
	works[1].laps = 100;
	submit(&big, 1, run_simple);
	submit(&small, 2, run_simple);
	sem_post(&gate);
	loop_until(3);
	cr_expect_eq(works[1].laps, 0);
	for (i = 0; i < 103; i++)
		if (run_order[i] == 2)
			at = i;
	cr_expect(at >= 0 && at <= 3, "ran as number %d", at);
	cr_expect_eq(done_order[2], 1);
}

Test(threads, cancels_what_is_queued_and_tells_what_is_running)
{
	struct store_flow f;
	int i;

	make_pool(0, 1);
	store_flow_init(&f, pool, STORE_CLASS_IO, 1);
	submit(&f, 0, run_gated);
	for (i = 1; i < 10; i++)
		submit(&f, i, run_simple);
	while (atomic_load(&started) < 1)
		sched_yield();
	store_flow_cancel(&f);
	sem_post(&gate);
	loop_until(10);
	for (i = 0; i < 10; i++) {
		cr_expect(works[i].was_cancelled);
		cr_expect_eq(works[i].ran, i == 0);
	}
	cr_expect(store_flow_is_idle(&f));
	/* The flow is as good as new. */
	submit(&f, 10, run_simple);
	loop_until(11);
	cr_expect(works[10].ran);
}

Test(threads, stops_a_job_that_would_go_on_for_ever)
{
	struct store_flow f;

	make_pool(1, 0);
	store_flow_init(&f, pool, STORE_CLASS_STAT, 0);
	works[0].laps = INT32_MAX;
	started = 0;
	works[0].id = 0;
	works[0].job.run = run_gated;
	/* Two laps by hand: the order array is short. */
	works[0].job.done = on_done;
	store_job_submit(&f, &works[0].job);
	while (atomic_load(&started) < 1)
		sched_yield();
	works[0].job.again = true;
	store_flow_cancel(&f);
	sem_post(&gate);
	loop_until(1);
	cr_expect(works[0].was_cancelled);
	cr_expect_eq(started, 1);
}

Test(threads, ends_with_work_queued)
{
	struct store_flow f;
	int i;

	make_pool(0, 1);
	store_flow_init(&f, pool, STORE_CLASS_IO, 0);
	for (i = 0; i < JOBS; i++)
		submit(&f, i, run_simple);
	store_pool_free(&pool);
	cr_expect_eq(done_count, JOBS);
	cr_expect(store_flow_is_idle(&f));
	for (i = 0; i < JOBS; i++)
		cr_expect_neq(works[i].ran, works[i].was_cancelled);
}

static struct store_flow late;

static void
resubmit(struct store_job *job)
{
	on_done(job);
	if (done_count == 1)
		submit(&late, 1, run_simple);
}

Test(threads, finishes_what_a_done_submits_at_the_end)
{
	make_pool(0, 1);
	store_flow_init(&late, pool, STORE_CLASS_IO, 0);
	works[0].job.run = run_simple;
	works[0].job.done = resubmit;
	store_job_submit(&late, &works[0].job);
	store_pool_free(&pool);
	cr_expect_eq(done_count, 2);
	cr_expect(works[1].was_cancelled && !works[1].ran);
	cr_expect(store_flow_is_idle(&late));
}

Test(threads, counts_its_load)
{
	struct store_flow f;
	int i;

	make_pool(0, 1);
	store_flow_init(&f, pool, STORE_CLASS_IO, 0);
	cr_expect_eq(store_pool_load(pool, STORE_CLASS_IO), 0);
	for (i = 0; i < 3; i++)
		submit(&f, i, run_gated);
	cr_expect_eq(store_pool_load(pool, STORE_CLASS_IO), 3);
	cr_expect_eq(store_pool_load(pool, STORE_CLASS_STAT), 0);
	for (i = 0; i < 3; i++)
		sem_post(&gate);
	loop_until(3);
	cr_expect_eq(store_pool_load(pool, STORE_CLASS_IO), 0);
}
