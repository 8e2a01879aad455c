/*
 * When a datastore will be full (capacity.h).  Runs in the validator's loop;
 * the store's disk and the record in STATE/validator are asked in one of its
 * threads, so that a disk that hangs hurts only its own estimate.
 */
#include "config.h"

#include "validator/capacity.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>

#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "validator/store/layout.h"
#include "validator/store/usage_log.h"
#include "validator/validator.h"

#define FILE_PREFIX "usage-"
#define LOOK_S 600 /* more often than samples, so that one is soon made up */

struct capacity {
	struct store_job job; /* first: a job is its capacity */
	struct store_flow flow;
	struct store *store;
	int dirfd; /* STATE/validator */
	char name[sizeof(FILE_PREFIX) + DATASTORE_NAME_MAX];
	struct event *timer;
	struct usage_log log; /* the job's while it runs */
	bool loaded;
	int64_t full_date;
	int64_t found; /* by the job */
	int rv;
	struct err err;
};

/* A record that cannot be read is made anew. */
static int
sample(struct capacity *c, struct err *e)
{
	uint64_t reserve = c->store->reserve;
	struct store_usage u;
	int rv = 0;

	if (store_get_usage(c->store, &u, e) == -1)
		return -1;
	if (!c->loaded)
		rv = usage_log_load(&c->log, c->dirfd, c->name, e);
	c->loaded = true;
	if (usage_log_add(&c->log, io_realtime_s(), u.used) &&
	    usage_log_save(&c->log, c->dirfd, c->name, e) == -1)
		rv = -1;
	c->found = usage_log_full(&c->log,
	    u.used + (u.avail > reserve ? u.avail - reserve : 0));
	return rv;
}

static void
sample_run(struct store_job *job)
{
	struct capacity *c = (struct capacity *)job;

	c->rv = sample(c, &c->err);
}

static void
sample_done(struct store_job *job)
{
	const struct timeval tv = {LOOK_S, 0};
	struct capacity *c = (struct capacity *)job;

	if (c->rv == -1)
		log_warn_e("capacity", &c->err, "cannot record usage store=%s",
		    c->store->name);
	c->full_date = c->found;
	event_add(c->timer, &tv);
}

static void
look(evutil_socket_t fd, short what, void *ctx)
{
	struct capacity *c = ctx;

	(void)fd;
	(void)what;
	store_job_submit(&c->flow, &c->job);
}

struct capacity *
capacity_new(struct validator *v, struct vstore *vs, struct err *e)
{
	const struct timeval soon = {0, 0};
	struct capacity *c = xcalloc(1, sizeof(*c));
	char *dir = xasprintf("%s/validator", v->conf.state_dir);

	c->store = vs->store;
	snprintf(c->name, sizeof(c->name), FILE_PREFIX "%s", vs->store->name);
	c->job.run = sample_run;
	c->job.done = sample_done;
	store_flow_init(&c->flow, vs->pool, STORE_CLASS_IO, 1);
	if ((c->timer = evtimer_new(v->base, look, c)) == NULL)
		fatal("capacity", "no event");
	c->dirfd = io_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, e);
	free(dir);
	if (c->dirfd == -1)
		capacity_free(&c);
	else
		event_add(c->timer, &soon);
	return c;
}

void
capacity_free(struct capacity **cp)
{
	struct capacity *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	event_free(c->timer);
	io_close(&c->dirfd);
	free(c);
}

int64_t
capacity_full_date(const struct capacity *c)
{
	return c != NULL ? c->full_date : 0;
}
