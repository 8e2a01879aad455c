#ifndef VALIDATOR_SCHEDULE_H
#define VALIDATOR_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct schedule;
struct validator;

/*
 * What runs by the calendar: garbage collection, verify jobs and prune jobs of
 * each datastore, as the configuration says now.  When each ran last stands in
 * STATE/validator/schedule, so that a run which was missed (this machine was
 * off, the datastore was in maintenance, one of its kind was still running) is
 * made up, once; so is one that was begun in vain (the validator ended, or
 * others had locked what it needs), at its next time or a little later.  A job
 * that is new waits for its first time.  The loop's; the record is written in
 * the threads of local_pool.  now is the clock, in Unix seconds.
 */
struct schedule *schedule_new(struct validator *v, int64_t (*now)(void),
    struct err *e);
/* After the jobs and those threads ended.  Blocks on the disk. */
void schedule_free(struct schedule **s);
/* The configuration was read again. */
void schedule_changed(struct schedule *s);

struct schedule_info {
	const char *kind; /* "gc", "verify", "prune"; all are lent */
	const char *store;
	const char *name; /* of the job, "" for gc */
	const char *event;
	int64_t last;     /* 0: never */
	const char *upid; /* of that run, "" */
	bool running;
	int64_t next;    /* 0: never again; in the past: as soon as possible */
	const char *why; /* it could not start so far, "" */
};
void schedule_each(struct schedule *s,
    void (*fn)(void *arg, const struct schedule_info *info), void *arg);

#endif
