/*
 * The table of sessions over the life of a process: what the last one left is
 * taken over at start, what nobody resumes is reaped, folders that belong to
 * no session are removed.  Runs in the validator's loop; folders are the
 * business of the stores' threads.
 */
#include "config.h"

#include "validator/session_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "validator/store/layout.h"
#include "validator/store/lockdb.h"
#include "validator/store/session_dir.h"
#include "validator/task.h"
#include "validator/validator.h"

struct recovery {
	struct lockdb_session *v;
	size_t n;
	uint64_t *holders; /* of locks */
	size_t nholders;
};

static int
recover_collect(void *ctx, const struct lockdb_session *rec)
{
	struct recovery *r = ctx;

	r->v = xreallocarray(r->v, r->n + 1, sizeof(*r->v));
	r->v[r->n++] = *rec;
	return 0;
}

static int
recover_holder(void *ctx, const struct lock_info *lock)
{
	struct recovery *r = ctx;

	r->holders =
	    xreallocarray(r->holders, r->nholders + 1, sizeof(*r->holders));
	r->holders[r->nholders++] = lock->holder;
	return 0;
}

/* True if it goes on. */
static bool
recover_session(struct sessions *ss, const struct lockdb_session *rec)
{
	struct vstore *vs = validator_store(ss->v, rec->store);
	enum session_state state =
	    rec->state == SESSION_FINISHING ? SESSION_FINISHING : SESSION_AWAY;
	struct session *s;
	struct err e;

	if (vs == NULL || rec->state == SESSION_OPENING)
		return false;
	s = session_new(ss, vs, rec->id, rec->kind, state);
	s->flags = rec->flags;
	s->ns = rec->ns;
	s->snap = rec->snap;
	s->base_time = rec->base_time;
	s->started = rec->started;
	s->check_missing = rec->check_state != 0;
	memcpy(s->resume_hash, rec->resume_hash, sizeof(s->resume_hash));
	snapshot_to_str(&s->snap, s->snap_text);
	snprintf(s->auth_id, sizeof(s->auth_id), "%s", rec->auth_id);
	snprintf(s->peer_text, sizeof(s->peer_text), "%s", rec->peer);
	s->task = task_adopt(ss->v->tasks, rec->upid, NULL);
	if (s->task == NULL && session_start_task(s, &e) == -1) {
		log_err_e("session", &e, "ended without a log id=%016" PRIx64,
		    s->id);
		session_free(s);
		return false;
	}
	task_on_stop(s->task, session_stop_asked, s);
	if (state == SESSION_FINISHING && vs->store != NULL)
		finish_continue(s);
	else if (state == SESSION_FINISHING)
		log_warn("session",
		    "a backup in its commit waits for its datastore "
		    "id=%016" PRIx64 " store=%s snapshot=%s",
		    s->id, vs->conf->title, s->snap_text);
	return true;
}

/* Whatever no session that goes on holds. */
static int
recover_drop(struct sessions *ss, const struct recovery *r, struct err *e)
{
	struct lockdb_txn *t;
	size_t i;

	if (lockdb_begin(ss->v->locks, true, &t, e) == -1)
		return -1;
	for (i = 0; i < r->n; i++)
		if (sessions_get(ss, r->v[i].id) == NULL)
			lockdb_session_end(t, r->v[i].id, NULL, NULL);
	for (i = 0; i < r->nholders; i++)
		if (sessions_get(ss, r->holders[i]) == NULL)
			lockdb_unlock_all(t, r->holders[i], NULL);
	lockdb_tombstones_expire(t, io_boottime_ms(), NULL);
	return lockdb_commit(&t, e);
}

/* --- folders without a session --- */

/* One a store, at start.  What is listed in a thread is compared with the
 * sessions afterwards, in the loop: one that began meanwhile is known there. */
struct cleaning {
	struct store_job job;
	struct store_flow flow;
	struct sessions *ss;
	struct vstore *vs;
	uint64_t *ids;
	size_t n;
	unsigned int removed;
};

static int
clean_collect(void *ctx, uint64_t id)
{
	struct cleaning *c = ctx;

	c->ids = xreallocarray(c->ids, c->n + 1, sizeof(id));
	c->ids[c->n++] = id;
	return 0;
}

static void
clean_list(struct store_job *job)
{
	struct cleaning *c = (struct cleaning *)job;

	if (session_dir_each(c->vs->store, clean_collect, c, NULL) == -1)
		c->n = 0;
}

static void
clean_remove(struct store_job *job)
{
	struct cleaning *c = (struct cleaning *)job;
	size_t i;

	for (i = 0; i < c->n; i++)
		if (session_dir_remove(c->vs->store, c->ids[i], NULL) == 0)
			c->removed++;
}

static void
clean_removed(struct store_job *job)
{
	struct cleaning *c = (struct cleaning *)job;

	if (c->removed > 0)
		log_info("session", "removed %u old session folders store=%s",
		    c->removed, c->vs->conf->title);
	vstore_unhold(c->vs);
	free(c->ids);
	free(c);
}

static void
clean_listed(struct store_job *job)
{
	struct cleaning *c = (struct cleaning *)job;
	size_t i, n = 0;

	for (i = 0; i < c->n; i++)
		if (sessions_get(c->ss, c->ids[i]) == NULL)
			c->ids[n++] = c->ids[i];
	c->n = n;
	c->job.run = clean_remove;
	c->job.done = clean_removed;
	store_job_submit(&c->flow, &c->job);
}

/* The runtime folder is in memory: no thread needed. */
static void
clean_run_dirs(struct sessions *ss)
{
	struct dirent *d;
	uint64_t id;
	DIR *dir;
	int fd;

	if ((fd = dup(ss->run_fd)) == -1 || (dir = fdopendir(fd)) == NULL) {
		io_close(&fd);
		return;
	}
	rewinddir(dir);
	while ((d = readdir(dir)) != NULL)
		if (strlen(d->d_name) == SESSION_ID_LEN &&
		    sscanf(d->d_name, "%16" SCNx64, &id) == 1 &&
		    sessions_get(ss, id) == NULL)
			session_run_dir_remove(ss->run_fd, id, NULL);
	closedir(dir);
}

static void
sessions_clean(struct sessions *ss)
{
	struct cleaning *c;
	size_t i;

	clean_run_dirs(ss);
	for (i = 0; i < ss->v->nstores; i++) {
		if (ss->v->stores[i]->store == NULL)
			continue;
		c = xcalloc(1, sizeof(*c));
		c->ss = ss;
		c->vs = ss->v->stores[i];
		vstore_hold(c->vs);
		c->job.run = clean_list;
		c->job.done = clean_listed;
		store_flow_init(&c->flow, c->vs->pool, STORE_CLASS_IO, 1);
		store_job_submit(&c->flow, &c->job);
	}
}

/* --- the table --- */

static void
sessions_reap(evutil_socket_t fd, short what, void *ctx)
{
	struct sessions *ss = ctx;
	struct session *s, *next;
	struct err why;

	(void)fd;
	(void)what;
	err_set(&why, ERR_UNAVAILABLE,
	    "the worker did not come back after a restart of the server");
	for (s = TAILQ_FIRST(&ss->list); s != NULL; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (s->state == SESSION_AWAY && !s->resuming) {
			log_info("session", "reaped id=%016" PRIx64, s->id);
			session_close(s, &why);
		}
	}
}

static void
sessions_expire(evutil_socket_t fd, short what, void *ctx)
{
	struct sessions *ss = ctx;
	struct lockdb_txn *t;
	struct err e;

	(void)fd;
	(void)what;
	if (lockdb_begin(ss->v->locks, true, &t, &e) == 0) {
		lockdb_tombstones_expire(t, io_boottime_ms(), NULL);
		if (lockdb_commit(&t, &e) == 0)
			return;
	}
	log_err_e("session", &e, "cannot forget old sessions");
}

static void
sessions_start_timers(struct sessions *ss)
{
	uint64_t ms = ss->v->conf.resume_time;
	struct timeval tv = {(time_t)(ms / 1000),
	    (suseconds_t)(ms % 1000 * 1000)};
	struct timeval minute = {60, 0};

	ss->reap = evtimer_new(ss->v->base, sessions_reap, ss);
	ss->expire =
	    event_new(ss->v->base, -1, EV_PERSIST, sessions_expire, ss);
	if (ss->reap == NULL || ss->expire == NULL)
		fatal("session", "no event");
	event_add(ss->reap, &tv);
	event_add(ss->expire, &minute);
}

int
sessions_recover(struct sessions *ss, struct err *e)
{
	struct recovery r = {0};
	struct lockdb_txn *t;
	size_t i, n = 0;
	int rv;

	if (lockdb_begin(ss->v->locks, false, &t, e) == -1)
		return -1;
	rv = lockdb_each_session(t, recover_collect, &r, e);
	if (rv == 0)
		rv = lockdb_each_lock(t, NULL, recover_holder, &r, e);
	lockdb_abort(&t);
	for (i = 0; i < r.n && rv == 0; i++)
		n += recover_session(ss, &r.v[i]);
	if (rv == 0)
		rv = recover_drop(ss, &r, e);
	tasks_end_orphans(ss->v->tasks);
	if (r.n > 0)
		log_info("session", "%zu of %zu sessions go on", n, r.n);
	sessions_clean(ss);
	sessions_start_timers(ss);
	free(r.v);
	free(r.holders);
	return rv;
}

struct sessions *
sessions_new(struct validator *v, struct err *e)
{
	struct sessions *ss = xcalloc(1, sizeof(*ss));
	char *path = xasprintf("%s/validator/sessions", v->conf.run_dir);

	ss->v = v;
	TAILQ_INIT(&ss->list);
	if (mkdir(path, 0700) == -1 && errno != EEXIST) {
		err_errno(e, errno, "cannot make %s", path);
		ss->run_fd = -1;
	} else {
		ss->run_fd = io_openat(AT_FDCWD, path,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
	}
	free(path);
	if (ss->run_fd == -1) {
		free(ss);
		return NULL;
	}
	return ss;
}

void
sessions_suspend(struct sessions *ss)
{
	struct session *s;

	ss->suspended = true;
	TAILQ_FOREACH(s, &ss->list, entry) {
		s->peer = NULL;
		session_check_stop(s);
	}
}

void
sessions_free(struct sessions **ssp)
{
	struct sessions *ss = *ssp;
	struct session *s;

	*ssp = NULL;
	if (ss == NULL)
		return;
	while ((s = TAILQ_FIRST(&ss->list)) != NULL)
		session_free(s);
	if (ss->reap != NULL)
		event_free(ss->reap);
	if (ss->expire != NULL)
		event_free(ss->expire);
	io_close(&ss->run_fd);
	free(ss);
}
