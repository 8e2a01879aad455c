#ifndef VALIDATOR_STORE_THREADS_H
#define VALIDATOR_STORE_THREADS_H

#include <sys/queue.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct err;
struct event_base;
struct store_pool;

/*
 * The threads of one store, so that a slow disk hurts its own tenants only.
 *
 * A store_job is embedded in the caller's own struct; submitting allocates
 * nothing.  run() is called in a store thread, done() later in the loop.  Jobs
 * are queued in a store_flow, one for each owner (a session) and class; the
 * threads of a class take one job of each flow in turn, so that no session can
 * starve another.  A flow with limit 1 is a strand: its jobs run one after the
 * other and their done() come in that order.
 *
 * All functions are for the loop's thread, except where run() is named.
 */
enum store_class {
	STORE_CLASS_STAT, /* checks of reused chunks */
	STORE_CLASS_IO,   /* everything else */
	STORE_CLASS_SYNC, /* syncfs and what waits for it */
	STORE_CLASS_COUNT
};

#define STORE_STAT_THREADS 8
#define STORE_IO_THREADS 4
#define STORE_SYNC_THREADS 1

struct store_flow;

struct store_job {
	/* Set by the owner before store_job_submit(). */
	void (*run)(struct store_job *job);
	void (*done)(struct store_job *job); /* may free or resubmit the job */

	/* run() sets it to be queued again behind the flow's other jobs and
	 * other sessions' instead of being done. */
	bool again;
	/* Set by store_flow_cancel(): run() of a queued job is skipped (done()
	 * still comes), a running one may look at it. */
	atomic_bool cancelled;

	struct store_flow *flow; /* private from here on */
	TAILQ_ENTRY(store_job) link;
};

TAILQ_HEAD(store_job_list, store_job);

struct store_flow {
	struct store_pool *pool;
	enum store_class cls;
	unsigned int limit;   /* running at a time, 0: any number */
	unsigned int pending; /* submitted, done() not yet called */

	struct store_job_list queue; /* the rest is private */
	struct store_job_list running;
	unsigned int running_count;
	bool ready; /* in the class's list of flows with work */
	TAILQ_ENTRY(store_flow) link;
};

struct store_pool_opts {
	unsigned int threads[STORE_CLASS_COUNT]; /* 0: the default */
};

/* Threads start when work comes.  opts may be NULL.  The caller's. */
struct store_pool *store_pool_new(struct event_base *base,
    const struct store_pool_opts *opts, struct err *e);
/*
 * Cancels what is queued, waits for what is running, and calls every done()
 * that is due.  Blocks as long as the disk does.  Flows stay their owners'.
 */
void store_pool_free(struct store_pool **pool);

void store_flow_init(struct store_flow *f, struct store_pool *pool,
    enum store_class cls, unsigned int limit);
/* Whether the flow may go: no job is queued, running or waiting for done(). */
bool store_flow_is_idle(const struct store_flow *f);
/* Every job of the flow; done() comes for each, later, from the loop. */
void store_flow_cancel(struct store_flow *f);

void store_job_submit(struct store_flow *f, struct store_job *job);
/* For run(). */
bool store_job_is_cancelled(const struct store_job *job);

/* Jobs queued and running in a class, for status. */
unsigned int store_pool_load(struct store_pool *pool, enum store_class cls);

#endif
