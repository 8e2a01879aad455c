/*
 * Read, change, replace a stored manifest (manifest_edit.h).  Runs in the
 * validator's loop.  The bytes are a client's: only a checker looks at them.
 */
#include "config.h"

#include "validator/manifest_edit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "validator/manifest_ask.h"
#include "validator/session.h"
#include "validator/store/layout.h"
#include "validator/store/snapshot.h"
#include "validator/store/threads.h"
#include "validator/validator.h"

struct edit {
	struct store_job job;
	TAILQ_ENTRY(edit) entry;
	struct manifest_edits *edits;
	struct store_flow flow;
	struct vstore *vs;
	struct backup_ns ns;
	struct backup_snapshot snap;
	struct checker_op op;
	char *text;
	struct arena arena; /* the text, for the checker */
	manifest_edit_fn *fn;
	void *arg;
	bool started;
	int dir_fd;
	int fd;
	struct manifest_ask *ask;
	const uint8_t *data;
	size_t len;
	int rv;
	struct err err;
};

struct manifest_edits {
	struct validator *v;
	TAILQ_HEAD(edit_list, edit) list;
};

struct manifest_edits *
manifest_edits_new(struct validator *v)
{
	struct manifest_edits *m = xcalloc(1, sizeof(*m));

	m->v = v;
	TAILQ_INIT(&m->list);
	return m;
}

static void
edit_free(struct edit *d)
{
	TAILQ_REMOVE(&d->edits->list, d, entry);
	vstore_unhold(d->vs);
	manifest_ask_free(&d->ask);
	arena_fini(&d->arena);
	io_close(&d->fd);
	io_close(&d->dir_fd);
	free(d->text);
	free(d);
}

void
manifest_edits_free(struct manifest_edits **mp)
{
	struct manifest_edits *m = *mp;
	struct edit *d;

	*mp = NULL;
	if (m == NULL)
		return;
	while ((d = TAILQ_FIRST(&m->list)) != NULL)
		edit_free(d);
	free(m);
}

static bool
edit_same(const struct edit *a, const struct edit *b)
{
	return a->vs == b->vs && strcmp(a->ns.name, b->ns.name) == 0 &&
	    snapshot_equal(&a->snap, &b->snap);
}

static void edit_read(struct store_job *job);
static void edit_was_read(struct store_job *job);

/* The first one of each manifest runs. */
static void
edit_try_start(struct edit *d)
{
	struct edit *o;

	TAILQ_FOREACH(o, &d->edits->list, entry) {
		if (o == d)
			break;
		if (edit_same(o, d))
			return;
	}
	d->started = true;
	d->job.run = edit_read;
	d->job.done = edit_was_read;
	store_job_submit(&d->flow, &d->job);
}

static void
edit_end(struct edit *d, const struct err *why)
{
	struct manifest_edits *m = d->edits;
	struct edit *o, *next = NULL;
	bool none = why != NULL &&
	    (why->code == ERR_NOT_FOUND || why->code == ERR_NO_FILE ||
		why->code == ERR_NO_NAMESPACE);

	for (o = TAILQ_NEXT(d, entry); o != NULL; o = TAILQ_NEXT(o, entry)) {
		if (edit_same(o, d)) {
			next = o;
			break;
		}
	}
	d->fn(d->arg, why, none);
	if (why != NULL && why->code == ERR_POISONED)
		sessions_store_poisoned(m->v->sessions, d->vs, why);
	edit_free(d);
	if (next != NULL && !next->started)
		edit_try_start(next);
}

static void
edit_write(struct store_job *job)
{
	struct edit *d = (struct edit *)job;

	d->rv = snap_file_write(d->vs->store, d->dir_fd, MANIFEST_NAME, d->data,
	    d->len, true, &d->err);
}

static void
edit_written(struct store_job *job)
{
	struct edit *d = (struct edit *)job;

	edit_end(d, d->rv == 0 ? NULL : &d->err);
}

static void
edit_changed(void *arg, const struct checker_manifest *m, const uint8_t *out)
{
	struct edit *d = arg;
	struct err e;

	if (m->err.code != ERR_OK) {
		e = m->err;
		edit_end(d, &e);
		return;
	}
	d->len = m->out_len;
	d->data = out;
	if (d->data == NULL) {
		err_set(&e, ERR_CORRUPT, "changing the manifest failed");
		edit_end(d, &e);
		return;
	}
	d->rv = -1;
	err_set(&d->err, ERR_ABORTED, "cancelled");
	d->job.run = edit_write;
	d->job.done = edit_written;
	store_job_submit(&d->flow, &d->job);
}

static void
edit_read(struct store_job *job)
{
	struct edit *d = (struct edit *)job;
	uint64_t size;

	d->dir_fd = snap_dir_open(d->vs->store, &d->ns, &d->snap, &d->err);
	if (d->dir_fd == -1)
		return;
	d->fd = snap_file_open(d->dir_fd, MANIFEST_NAME, &size, &d->err);
	d->rv = d->fd == -1 ? -1 : 0;
}

static int
edit_ask(struct edit *d, struct err *e)
{
	size_t len = strlen(d->text);

	if (arena_create(&d->arena, "text", arena_blocks_for(len + 1), e) == -1)
		return -1;
	memcpy(d->arena.base, d->text, len);
	d->op.text_len = (uint32_t)len;
	d->ask = manifest_ask_new(d->edits->v->checkers, &d->arena, d->fd,
	    &d->op, edit_changed, d, e);
	return d->ask == NULL ? -1 : 0;
}

static void
edit_was_read(struct store_job *job)
{
	struct edit *d = (struct edit *)job;
	struct err e;

	if (d->rv == -1)
		edit_end(d, &d->err);
	else if (edit_ask(d, &e) == -1)
		edit_end(d, &e);
}

void
manifest_edit_start(struct manifest_edits *m, struct vstore *vs,
    const struct backup_ns *ns, const struct backup_snapshot *snap,
    const struct checker_op *op, const char *text, manifest_edit_fn *fn,
    void *arg)
{
	struct edit *d = xcalloc(1, sizeof(*d));

	d->edits = m;
	d->vs = vs;
	vstore_hold(vs);
	d->ns = *ns;
	d->snap = *snap;
	d->op = *op;
	d->text = xstrdup(text);
	d->fn = fn;
	d->arg = arg;
	d->dir_fd = d->fd = d->arena.fd = -1;
	d->rv = -1;
	err_set(&d->err, ERR_ABORTED, "cancelled");
	store_flow_init(&d->flow, vs->pool, STORE_CLASS_IO, 1);
	TAILQ_INSERT_TAIL(&m->list, d, entry);
	edit_try_start(d);
}
