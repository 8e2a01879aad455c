/*
 * Work by the calendar (schedule.h).  Runs in the validator's loop.  The
 * configuration is the operator's, the record of runs our own.
 */
#include "config.h"

#include "validator/schedule.h"

#include <sys/queue.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/calendar.h"
#include "common/err.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/sbuf.h"
#include "common/str.h"
#include "common/format/names.h"
#include "common/format/upid.h"
#include "validator/jobs/gc.h"
#include "validator/jobs/verify.h"
#include "validator/prune.h"
#include "validator/task.h"
#include "validator/validator.h"

#define FILE_NAME "schedule"
#define FILE_MAX_LEN (4u << 20)
#define FILE_MODE 0600
#define TICK_MAX_S 60 /* so that a clock that is set is noticed */
#define RETRY_S 2
#define MAKE_UP_S 600
#define OPERATOR "root@pam"
#define NAME_MAX_LEN 64

/* What is known of a job; it stays when the job is taken out of the
 * configuration, in case it comes back. */
struct entry {
	TAILQ_ENTRY(entry) link;
	struct schedule *s;
	char kind[8];
	char store[DATASTORE_NAME_MAX + 1];
	char name[NAME_MAX_LEN + 1];
	int64_t seen; /* since when it is known */
	int64_t last; /* when it was started; 0: never */
	char upid[UPID_STR_MAX + 1];
	/* That run has not ended, or in vain; in the record, so that it is
	 * known of one that we did not see end. */
	bool open;
	bool running;
	int64_t again;  /* when one in vain is made up; 0: there is none */
	struct err why; /* it could not start, or was in vain; ERR_OK: not so */
};

struct schedule {
	struct validator *v;
	int64_t (*now)(void);
	struct event *timer;
	int dirfd; /* STATE/validator */
	TAILQ_HEAD(, entry) entries;
	bool changed; /* the record, since it was last written */
	bool saving;
	struct store_flow flow;
};

/* A job of the configuration. */
struct planned {
	const char *kind;
	const char *name;
	const char *event;
	const void *conf;
	int (*start)(struct validator *v, struct vstore *vs,
	    const struct planned *p, char *upid_out, struct err *e);
};

/* --- starting ----------------------------------------------------------- */

static int
start_gc(struct validator *v, struct vstore *vs, const struct planned *p,
    char *upid_out, struct err *e)
{
	(void)p;
	return gc_start(v, vs, OPERATOR, false, upid_out, e);
}

static int
start_verify(struct validator *v, struct vstore *vs, const struct planned *p,
    char *upid_out, struct err *e)
{
	const struct verify_job_conf *conf = p->conf;
	struct verify_request q = {
	    .vs = vs,
	    .scope = VERIFY_SCOPE_NS,
	    .max_depth = (unsigned int)conf->max_depth,
	    .ignore_verified = conf->ignore_verified != 0,
	    .outdated_after = conf->outdated_after == 0 ? VERIFY_ALWAYS
							: conf->outdated_after,
	    .type = "verificationjob",
	    .auth_id = OPERATOR,
	};

	if (ns_parse(&q.ns, conf->ns, e) == -1)
		return -1;
	return verify_start(v, &q, upid_out, e);
}

static int
start_prune(struct validator *v, struct vstore *vs, const struct planned *p,
    char *upid_out, struct err *e)
{
	const struct prune_job_conf *conf = p->conf;
	struct backup_ns ns;
	struct prune_job job = {
	    .name = conf->title,
	    .ns = &ns,
	    .max_depth = (unsigned int)conf->max_depth,
	    .keep = &conf->keep,
	};

	if (ns_parse(&ns, conf->ns, e) == -1)
		return -1;
	return prune_job_start(v, vs, &job, upid_out, e);
}

/* Calls fn for each job of a datastore's configuration. */
static void
each_planned(const struct datastore_conf *c,
    void (*fn)(void *arg, const struct planned *p), void *arg)
{
	const struct verify_job_conf *v = c->verify_jobs.v;
	const struct prune_job_conf *p = c->prune_jobs.v;
	struct planned one = {"gc", "", c->gc_schedule, c, start_gc};
	size_t i;

	if (one.event[0] != '\0')
		fn(arg, &one);
	for (i = 0; i < c->verify_jobs.n; i++) {
		one = (struct planned){"verify", v[i].title, v[i].schedule,
		    &v[i], start_verify};
		fn(arg, &one);
	}
	for (i = 0; i < c->prune_jobs.n; i++) {
		one = (struct planned){"prune", p[i].title, p[i].schedule,
		    &p[i], start_prune};
		fn(arg, &one);
	}
}

/* --- the record --------------------------------------------------------- */

static struct entry *
entry_find(struct schedule *s, const char *kind, const char *store,
    const char *name)
{
	struct entry *n;

	TAILQ_FOREACH(n, &s->entries, link)
		if (strcmp(n->kind, kind) == 0 &&
		    strcmp(n->store, store) == 0 && strcmp(n->name, name) == 0)
			return n;
	return NULL;
}

static struct entry *
entry_add(struct schedule *s, const char *kind, const char *store,
    const char *name, int64_t seen)
{
	struct entry *n = xcalloc(1, sizeof(*n));

	snprintf(n->kind, sizeof(n->kind), "%s", kind);
	snprintf(n->store, sizeof(n->store), "%s", store);
	snprintf(n->name, sizeof(n->name), "%s", name);
	n->s = s;
	n->seen = seen;
	TAILQ_INSERT_TAIL(&s->entries, n, link);
	return n;
}

/* A line: kind, datastore, name or "-", since when known, last run, UPID or
 * "-", and "open" if that run has not ended or was in vain.  No name of them
 * has a blank. */
static int
load_line(struct schedule *s, char *line)
{
	char *v[6];
	struct entry *n;
	int64_t seen, last;
	size_t i;

	for (i = 0; i < 6; i++)
		if ((v[i] = strsep(&line, " ")) == NULL)
			return -1;
	if ((line != NULL && strcmp(line, "open") != 0) ||
	    strlen(v[0]) >= sizeof(n->kind) || !datastore_name_valid(v[1]) ||
	    strlen(v[2]) > NAME_MAX_LEN ||
	    str_to_i64(v[3], 0, INT64_MAX, &seen) == -1 ||
	    str_to_i64(v[4], 0, INT64_MAX, &last) == -1 ||
	    strlen(v[5]) > UPID_STR_MAX)
		return -1;
	if (strcmp(v[2], "-") == 0)
		v[2][0] = '\0';
	if (entry_find(s, v[0], v[1], v[2]) != NULL)
		return -1;
	n = entry_add(s, v[0], v[1], v[2], seen);
	n->last = last;
	n->open = line != NULL;
	if (n->open)
		n->again = s->now() + MAKE_UP_S;
	if (strcmp(v[5], "-") != 0)
		snprintf(n->upid, sizeof(n->upid), "%s", v[5]);
	return 0;
}

/* Without a record every job is new: nothing is made up, nothing is lost. */
static void
load(struct schedule *s)
{
	char *data, *rest, *line;
	size_t len;
	struct err e;

	if (io_read_file(s->dirfd, FILE_NAME, FILE_MAX_LEN, &data, &len, &e) ==
	    -1) {
		if (e.code != ERR_NOT_FOUND)
			log_err_e("schedule", &e, "cannot read the last runs");
		return;
	}
	rest = data;
	while ((line = strsep(&rest, "\n")) != NULL)
		if (*line != '\0' && load_line(s, line) == -1)
			log_warn("schedule", "damaged line in the last runs");
	free(data);
}

struct saving {
	struct store_job job; /* first: a job is its saving */
	struct schedule *s;
	struct sbuf text;
	int rv;
	struct err err;
};

static struct saving *
saving_new(struct schedule *s)
{
	struct saving *w = xcalloc(1, sizeof(*w));
	const struct entry *n;

	w->s = s;
	w->rv = err_set(&w->err, ERR_UNAVAILABLE, "validator ends");
	sbuf_init(&w->text, FILE_MAX_LEN);
	TAILQ_FOREACH(n, &s->entries, link)
		sbuf_add_fmt(&w->text,
		    "%s %s %s %" PRId64 " %" PRId64 " %s%s\n", n->kind,
		    n->store, n->name[0] != '\0' ? n->name : "-", n->seen,
		    n->last, n->upid[0] != '\0' ? n->upid : "-",
		    n->open ? " open" : "");
	s->changed = false;
	s->saving = true;
	return w;
}

static void
saving_run(struct store_job *job)
{
	struct saving *w = (struct saving *)job;

	w->rv = io_write_file_atomic(w->s->dirfd, FILE_NAME, sbuf_str(&w->text),
	    w->text.len, FILE_MODE, IO_F_FSYNC, &w->err);
}

/* What failed is tried again, but not at once. */
static void
saving_done(struct store_job *job)
{
	struct saving *w = (struct saving *)job;
	struct schedule *s = w->s;

	s->saving = false;
	if (s->changed)
		schedule_changed(s);
	if (w->rv == -1) {
		s->changed = true;
		if (w->err.code != ERR_UNAVAILABLE)
			log_err_e("schedule", &w->err,
			    "cannot record the last runs");
	}
	sbuf_fini(&w->text);
	free(w);
}

static void
save(struct schedule *s)
{
	struct saving *w;

	if (!s->changed || s->saving)
		return;
	w = saving_new(s);
	w->job.run = saving_run;
	w->job.done = saving_done;
	store_job_submit(&s->flow, &w->job);
}

/* No thread is left that could. */
static void
save_now(struct schedule *s)
{
	struct saving *w;

	if (!s->changed)
		return;
	w = saving_new(s);
	saving_run(&w->job);
	saving_done(&w->job);
}

/* --- the clock ---------------------------------------------------------- */

/* A run in the future is one of a clock that was wrong: as if it was now. */
static void
correct_times(struct entry *n, int64_t now)
{
	if (n->again > now + MAKE_UP_S)
		n->again = now + MAKE_UP_S;
	if (n->last <= now && n->seen <= now)
		return;
	n->last = n->last > now ? now : n->last;
	n->seen = n->seen > now ? now : n->seen;
	n->s->changed = true;
}

/* When it is due: after its last run, or after it was first seen, and when
 * that run is made up; 0: never. */
static int64_t
due(const struct entry *n, const char *event)
{
	int64_t from = n->last != 0 ? n->last : n->seen;
	struct calendar c;
	time_t next;

	if (calendar_parse(event, &c, NULL) == -1)
		return 0;
	next = calendar_next(&c, (time_t)from);
	if (n->again != 0 && (next == -1 || n->again < next))
		return n->again;
	return next == -1 ? 0 : next;
}

struct turn {
	struct schedule *s;
	struct vstore *vs;
	int64_t now;
	int64_t next; /* when to look again; 0: nothing is due */
};

/* In vain, if it was not its own fault: the datastore lacks that run. */
static void
run_ended(void *arg, const struct err *why)
{
	struct entry *n = arg;
	struct schedule *s = n->s;

	n->running = false;
	n->open = why != NULL &&
	    (why->code == ERR_UNAVAILABLE || why->code == ERR_LOCKED);
	if (n->open) {
		n->again = s->now() + MAKE_UP_S;
		n->why = *why;
		log_warn_e("schedule", why,
		    "will be made up kind=%s store=%s job=%s", n->kind,
		    n->store, n->name);
	}
	s->changed = true;
	schedule_changed(s);
}

static void
run(struct turn *t, struct entry *n, const struct planned *p)
{
	struct vstore *vs;
	struct err e;
	char upid[IPC_UPID_MAX + 1];

	if (validator_store_use(t->s->v, n->store, 1, &vs, &e) == 0 &&
	    p->start(t->s->v, vs, p, upid, &e) == 0) {
		n->last = t->now;
		snprintf(n->upid, sizeof(n->upid), "%s", upid);
		err_clear(&n->why);
		n->again = 0;
		n->open = n->running = true;
		task_on_end(tasks_find(t->s->v->tasks, upid), run_ended, n);
		t->s->changed = true;
		return;
	}
	/* Tried again, but said once. */
	if (strcmp(n->why.msg, e.msg) != 0)
		log_warn_e("schedule", &e,
		    "cannot start, will try again kind=%s store=%s job=%s",
		    n->kind, n->store, n->name);
	n->why = e;
}

static void
look_at(void *arg, const struct planned *p)
{
	struct turn *t = arg;
	const char *store = t->vs->conf->title;
	struct entry *n = entry_find(t->s, p->kind, store, p->name);
	int64_t when;

	if (n == NULL) {
		n = entry_add(t->s, p->kind, store, p->name, t->now);
		t->s->changed = true;
	}
	correct_times(n, t->now);
	when = due(n, p->event);
	if (when != 0 && when <= t->now && !n->running) {
		run(t, n, p);
		when = due(n, p->event);
	}
	/* One that has to wait for another looks again. */
	if (when != 0 && when <= t->now)
		when = t->now + RETRY_S;
	if (when != 0 && (t->next == 0 || when < t->next))
		t->next = when;
}

static void
tick(evutil_socket_t fd, short what, void *ctx)
{
	struct schedule *s = ctx;
	struct turn t = {.s = s, .now = s->now()};
	struct timeval tv = {TICK_MAX_S, 0};
	size_t i;

	(void)fd;
	(void)what;
	for (i = 0; i < s->v->nstores; i++) {
		t.vs = s->v->stores[i];
		each_planned(t.vs->conf, look_at, &t);
	}
	save(s);
	if (t.next != 0 && t.next - t.now < TICK_MAX_S)
		tv.tv_sec = (time_t)(t.next - t.now);
	event_add(s->timer, &tv);
}

void
schedule_changed(struct schedule *s)
{
	struct timeval soon = {0, 0};

	event_add(s->timer, &soon);
}

struct schedule *
schedule_new(struct validator *v, int64_t (*now)(void), struct err *e)
{
	struct schedule *s = xcalloc(1, sizeof(*s));
	char *path = xasprintf("%s/validator", v->conf.state_dir);

	s->v = v;
	s->now = now;
	TAILQ_INIT(&s->entries);
	store_flow_init(&s->flow, v->local_pool, STORE_CLASS_IO, 1);
	s->dirfd = io_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, e);
	free(path);
	if (s->dirfd == -1) {
		schedule_free(&s);
		return NULL;
	}
	if ((s->timer = evtimer_new(v->base, tick, s)) == NULL)
		fatal("schedule", "no event");
	load(s);
	schedule_changed(s);
	return s;
}

void
schedule_free(struct schedule **sp)
{
	struct schedule *s = *sp;
	struct entry *n;

	*sp = NULL;
	if (s == NULL)
		return;
	save_now(s);
	while ((n = TAILQ_FIRST(&s->entries)) != NULL) {
		TAILQ_REMOVE(&s->entries, n, link);
		free(n);
	}
	if (s->timer != NULL)
		event_free(s->timer);
	io_close(&s->dirfd);
	free(s);
}

/* --- what is shown ------------------------------------------------------ */

struct show {
	struct schedule *s;
	const char *store;
	void (*fn)(void *arg, const struct schedule_info *info);
	void *arg;
};

static void
show_planned(void *arg, const struct planned *p)
{
	struct show *w = arg;
	const struct entry *n = entry_find(w->s, p->kind, w->store, p->name);
	struct schedule_info i = {
	    .kind = p->kind,
	    .store = w->store,
	    .name = p->name,
	    .event = p->event,
	    .upid = "",
	    .why = "",
	};

	if (n != NULL) {
		i.last = n->last;
		i.upid = n->upid;
		i.running = n->running;
		i.next = due(n, p->event);
		i.why = n->why.msg;
	}
	w->fn(w->arg, &i);
}

void
schedule_each(struct schedule *s,
    void (*fn)(void *arg, const struct schedule_info *info), void *arg)
{
	struct show w = {.s = s, .fn = fn, .arg = arg};
	size_t i;

	for (i = 0; i < s->v->nstores; i++) {
		w.store = s->v->stores[i]->conf->title;
		each_planned(s->v->stores[i]->conf, show_planned, &w);
	}
}
