/*
 * Joins the check of reused chunks (reuse.c) to the store's scans, to the
 * base's manifest and to the session.  Runs in the validator's loop.
 * Everything here is the validator's own; a suspect chunk (after a power cut)
 * is decoded by the session's checker.
 */
#include "config.h"

#include "validator/session_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "validator/checker.h"
#include "validator/forget.h"
#include "validator/manifest_edit.h"
#include "validator/reuse.h"
#include "validator/store/chunk_store.h"
#include "validator/store/damage.h"
#include "validator/store/layout.h"
#include "validator/store/reuse_scan.h"
#include "validator/task.h"
#include "validator/validator.h"

#define CHECK_HELD_US 5000
#define SUSPECT_TRIES 5 /* checkers that ended in a row: no verdict */

/* Neither there nor missing: the index itself is damaged, or something that
 * says nothing of the base. */
static void
check_error(struct session *s, const struct session_file *f,
    const struct err *why)
{
	if (why->code != ERR_CORRUPT) {
		reuse_failed(s->reuse, why);
		return;
	}
	session_log_line(s, "cannot read '%s' of the previous snapshot: %s",
	    f->name, STR_VIS(why->msg));
	reuse_damaged(s->reuse, f->name);
}

/* --- suspects: chunks that may not be whole after a power cut --- */

struct suspect {
	struct session_req req;
	struct session_file *file;
	uint64_t pos;
	struct index_entry entry;
	struct checker *checker;
	int fd;
	unsigned int tries;
};

static void suspect_next(struct session *s);
static void suspect_start(struct suspect *u);

static void
suspect_end(struct suspect *u)
{
	struct session *s = u->req.s;

	io_close(&u->fd);
	checker_release(&u->checker);
	s->suspect_busy = false;
	if (session_is_open(s))
		suspect_next(s);
	session_unhold(s);
	free(u);
}

static void
suspect_touch(struct store_job *job)
{
	struct suspect *u = (struct suspect *)job;

	u->req.rv =
	    chunk_touch(u->req.s->vs->store, &u->entry.digest, &u->req.err);
}

static void
suspect_touched(struct store_job *job)
{
	struct suspect *u = (struct suspect *)job;
	struct session *s = u->req.s;

	if (u->req.rv == 0) {
		bitmap_set(&u->file->checked, u->pos);
		reuse_progress(s->reuse);
	} else if (session_is_open(s)) {
		reuse_failed(s->reuse, &u->req.err);
	}
	suspect_end(u);
}

static void
check_lost(struct session *s, const struct session_file *f, uint64_t position,
    const struct digest *digest, bool damaged)
{
	vstore_add_damage(s->vs, digest,
	    damaged ? DAMAGE_DAMAGED : DAMAGE_MISSING);
	reuse_missing(s->reuse, f->number, position, digest, damaged);
}

/* A checker that ended, whoever killed it, says nothing of the chunk. */
static void
suspect_unjudged(struct suspect *u, const struct err *why)
{
	if ((why->code == ERR_ABORTED || why->code == ERR_UNAVAILABLE) &&
	    ++u->tries < SUSPECT_TRIES) {
		io_close(&u->fd);
		suspect_start(u);
		return;
	}
	reuse_failed(u->req.s->reuse, why);
	suspect_end(u);
}

static void
suspect_judged(void *arg, const struct checker_verdict *v)
{
	struct suspect *u = arg;
	struct session *s = u->req.s;

	if (!session_is_open(s)) {
		suspect_end(u);
	} else if (v->err.code == ERR_OK) {
		session_req_submit(&u->req, &s->bulk, suspect_touch,
		    suspect_touched);
	} else if (v->err.code == ERR_CORRUPT) {
		check_lost(s, u->file, u->pos, &u->entry.digest, true);
		suspect_end(u);
	} else {
		suspect_unjudged(u, &v->err);
	}
}

/* By a checker that has seen nothing else: its word takes the doubt away for
 * all tenants, and this session's own one has parsed what its client sent. */
static void
suspect_judge(struct suspect *u)
{
	struct err e;

	checker_release(&u->checker);
	u->checker = checker_take(u->req.s->v->checkers, NULL, &e);
	if (u->checker == NULL ||
	    checker_stored(u->checker, u->fd,
		(uint32_t)(u->entry.end - u->entry.start), &u->entry.digest,
		suspect_judged, u, &e) == -1)
		suspect_unjudged(u, &e);
}

static void
suspect_open(struct store_job *job)
{
	struct suspect *u = (struct suspect *)job;
	uint64_t len;

	if (index_get_entry(&u->file->view, u->pos, &u->entry, &u->req.err) ==
	    -1)
		return;
	u->fd = chunk_open(u->req.s->vs->store, &u->entry.digest, &len,
	    &u->req.err);
	u->req.rv = u->fd == -1 ? -1 : 0;
}

static void
suspect_opened(struct store_job *job)
{
	struct suspect *u = (struct suspect *)job;
	struct session *s = u->req.s;

	if (!session_is_open(s)) {
		suspect_end(u);
	} else if (u->req.rv == 0) {
		suspect_judge(u);
	} else {
		if (u->req.err.code == ERR_MISSING)
			check_lost(s, u->file, u->pos, &u->entry.digest, false);
		else
			check_error(s, u->file, &u->req.err);
		suspect_end(u);
	}
}

static void
suspect_start(struct suspect *u)
{
	session_req_submit(&u->req, &u->req.s->bulk, suspect_open,
	    suspect_opened);
}

/* One at a time: they are few. */
static void
suspect_next(struct session *s)
{
	struct suspect *u;
	uint64_t pos;
	uint32_t i;

	if (s->suspect_busy)
		return;
	for (i = 0; i < s->nfiles; i++) {
		if (s->files[i]->scan == NULL ||
		    !reuse_scan_take_suspect(s->files[i]->scan, &pos))
			continue;
		u = xcalloc(1, sizeof(*u));
		u->req.s = s;
		u->file = s->files[i];
		u->pos = pos;
		u->fd = -1;
		s->suspect_busy = true;
		session_hold(s);
		suspect_start(u);
		return;
	}
}

/* --- scans --- */

static void
scan_progress(void *ctx, struct reuse_scan *scan)
{
	struct session_file *f = ctx;

	(void)scan;
	if (!session_is_open(f->session))
		return;
	reuse_progress(f->session->reuse);
	if (session_is_open(f->session))
		suspect_next(f->session);
}

static void
scan_done(void *ctx, struct reuse_scan *scan)
{
	struct session_file *f = ctx;
	struct session *s = f->session;
	struct reuse_scan_result r;
	struct err why;

	f->scanning = false;
	reuse_scan_get_result(scan, &r);
	if (!r.cancelled && session_is_open(s)) {
		if (r.state == CHUNK_MISSING) {
			s->vs->metrics.reuse_missing++;
			check_lost(s, f, r.position, &r.digest, false);
		} else if (r.state == CHUNK_ERROR) {
			why = *r.err;
			check_error(s, f, &why);
		} else {
			metrics_scan(&s->vs->metrics, f->view.count,
			    io_monotonic_ms() - f->scan_started_ms);
			session_log_line(s,
			    "%" PRIu64 " reused chunks checked in '%s' in "
			    "%" PRIu64 " ms",
			    bitmap_count(&f->checked), f->name,
			    io_monotonic_ms() - f->scan_started_ms);
			reuse_progress(s->reuse);
		}
		if (session_is_open(s))
			suspect_next(s);
	}
	session_unhold(s);
}

/* --- what the state machine wants done --- */

static void
check_scan(void *ctx, uint32_t file)
{
	struct session *s = ctx;
	struct session_file *f = s->files[file];
	struct timeval now = {0, 0}, later = {0, CHECK_HELD_US};
	struct reuse_scan_opts o = {
	    .store = s->vs->store,
	    .flow = &s->stat,
	    .fd = f->fd,
	    .checked = &f->checked,
	    .referenced = &f->referenced,
	    .urgent = &s->check_urgent,
	    .ctx = f,
	    .done = scan_done,
	    .progress = scan_progress,
	};

	if (f->scanning)
		return; /* a suspect turned out bad meanwhile */
	if (validator_check_is_held(s->v)) {
		event_add(s->check_held, &later);
		return;
	}
	if (f->scan != NULL)
		reuse_scan_free(&f->scan);
	if (reuse_scan_start(&f->scan, &o, &s->check_err) == -1) {
		event_add(s->check_failed, &now);
		return;
	}
	f->scanning = true;
	f->scan_started_ms = io_monotonic_ms();
	session_hold(s);
}

/* Starts what was held back. */
static void
check_held(evutil_socket_t fd, short what, void *ctx)
{
	struct session *s = ctx;
	uint32_t i;

	(void)fd;
	(void)what;
	for (i = 0; i < s->nfiles && session_is_open(s); i++)
		if (reuse_has_file(s->reuse, i) && s->files[i]->scan == NULL)
			check_scan(s, i);
}

/* A scan that could not start: told outside of the state machine's call. */
static void
check_failed(evutil_socket_t fd, short what, void *ctx)
{
	struct session *s = ctx;

	(void)fd;
	(void)what;
	if (session_is_open(s))
		reuse_failed(s->reuse, &s->check_err);
}

static void
check_marked(void *arg, const struct err *why, bool no_manifest)
{
	struct session *s = arg;

	if (!s->sessions->suspended) {
		if (why == NULL)
			session_log_line(s,
			    "marked the previous snapshot as bad");
		else
			session_log_line(s,
			    "cannot mark the previous snapshot as bad: %s",
			    STR_VIS(why->msg));
		reuse_marked(s->reuse, why, no_manifest);
	}
	session_unhold(s);
}

static void
check_mark(void *ctx, const char *what)
{
	struct session *s = ctx;
	struct backup_snapshot base = {s->snap.group, s->base_time};
	char text[SNAPSHOT_STR_MAX + 1];
	struct checker_op op = {
	    .op = MANIFEST_OP_VERIFY,
	    .state = VERIFY_STATE_FAILED,
	};
	struct err e;

	if (s->base_time == 0) {
		reuse_marked(s->reuse, NULL, true);
		return;
	}
	snapshot_to_str(&base, text);
	log_warn("session", "%s, marking %s/%s as bad id=%016" PRIx64, what,
	    s->vs->conf->title, text, s->id);
	session_log_line(s, "%s: marking \"%s\" as bad", what, text);
	err_set(&e, ERR_MISSING, "%s, \"%s\" is bad", what, text);
	session_audit(s, "verdict", &e);
	s->check_missing = true;
	if (session_save(s, &e) == -1)
		log_err_e("session", &e, "cannot save id=%016" PRIx64, s->id);
	session_hold(s);
	manifest_edit_start(s->v->edits, s->vs, &s->ns, &base, &op,
	    task_upid(s->task), check_marked, s);
	forget_verified(s->v, s->vs->conf->title, &s->ns, &base.group,
	    &base.time, 1);
}

static void
check_abort(void *ctx, const struct err *why)
{
	struct session *s = ctx;

	finish_cancel(s);
	session_abort(s, why);
}

static void
check_joined(void *ctx)
{
	finish_joined(ctx);
}

void
session_check_init(struct session *s)
{
	struct reuse_cb cb = {
	    .scan = check_scan,
	    .mark = check_mark,
	    .abort = check_abort,
	    .joined = check_joined,
	    .ctx = s,
	};

	s->reuse = reuse_new(&cb, (enum on_missing)s->vs->conf->on_missing,
	    s->base_recent);
	s->check_failed = evtimer_new(s->v->base, check_failed, s);
	s->check_held = evtimer_new(s->v->base, check_held, s);
	if (s->check_failed == NULL || s->check_held == NULL)
		fatal("session", "no event");
}

int
session_check_file(struct session *s, struct session_file *f, struct err *e)
{
	uint64_t i;

	if (f->checked.words != NULL)
		return 0;
	f->session = s;
	if (session_bitmaps_open(&f->checked, &f->referenced, s->run_fd,
		f->number, f->view.count, e) == -1)
		return -1;
	/* What was found to be missing before a restart is only known to be
	 * something: look again. */
	if (s->check_missing && s->resuming)
		for (i = 0; i < f->view.count; i++)
			bitmap_clear(&f->checked, i);
	if (reuse_add_file(s->reuse, f->number, &f->checked, &f->referenced,
		e) == -1) {
		bitmap_fini(&f->checked);
		bitmap_fini(&f->referenced);
		return -1;
	}
	return 0;
}

void
session_check_stop(struct session *s)
{
	uint32_t i;

	for (i = 0; i < s->nfiles; i++)
		if (s->files[i]->scanning)
			reuse_scan_cancel(s->files[i]->scan);
	if (s->check_failed != NULL)
		event_del(s->check_failed);
	if (s->check_held != NULL)
		event_del(s->check_held);
}

void
session_check_free(struct session *s)
{
	uint32_t i;

	for (i = 0; i < s->nfiles; i++)
		if (s->files[i]->scan != NULL)
			reuse_scan_free(&s->files[i]->scan);
	if (s->check_failed != NULL)
		event_free(s->check_failed);
	s->check_failed = NULL;
	if (s->check_held != NULL)
		event_free(s->check_held);
	s->check_held = NULL;
}
