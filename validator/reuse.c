/*
 * The state machine of the check of reused chunks (reuse.h).  Runs in the
 * validator's loop.  It believes the validator's own threads and index files;
 * positions were compared with the file's length by the caller.
 */
#include "config.h"

#include "validator/reuse.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "validator/store/bitmap.h"

#define WHAT_SIZE 128

struct reuse_file {
	struct bitmap *checked; /* NULL: no such file */
	struct bitmap *referenced;
};

struct reuse_chunk {
	struct digest digest;
	bool damaged; /* else missing */
};

struct reuse {
	struct reuse_cb cb;
	enum on_missing on_missing;
	bool not_needed;
	enum reuse_state state;
	bool joining; /* finish waits */
	bool marking; /* mark() is on its way */
	bool marked;  /* it was answered; the base is never marked twice */
	bool doomed;  /* the session ends as soon as the mark is made */
	struct err mark_err;
	bool nothing_to_mark;
	char what[WHAT_SIZE]; /* is wrong with the base: the reason of doom */
	/* What is missing and not needed yet (abort-when-referenced); one
	 * chunk may stand at several positions. */
	size_t nmissing;
	struct reuse_chunk missing[REUSE_MISSING_MAX];
	uint32_t nfiles;
	struct reuse_file files[REUSE_FILES_MAX];
};

static const char *const state_names[REUSE_STATE_COUNT] = {
    "not-initialised",
    "not-needed",
    "running",
    "joined",
    "aborted",
};

/* Which states may follow which. */
static const unsigned int state_next[REUSE_STATE_COUNT] = {
    [REUSE_NOT_INITIALISED] =
	1u << REUSE_NOT_NEEDED | 1u << REUSE_RUNNING | 1u << REUSE_JOINED,
    [REUSE_NOT_NEEDED] = 1u << REUSE_RUNNING,
    [REUSE_RUNNING] = 1u << REUSE_JOINED | 1u << REUSE_ABORTED,
    [REUSE_JOINED] = 1u << REUSE_RUNNING | 1u << REUSE_NOT_INITIALISED,
    [REUSE_ABORTED] = 0,
};

const char *
reuse_state_str(enum reuse_state state)
{
	return state_names[state];
}

enum reuse_state
reuse_state(const struct reuse *r)
{
	return r->state;
}

static void
reuse_set_state(struct reuse *r, enum reuse_state next)
{
	if ((state_next[r->state] & 1u << next) == 0)
		fatal("reuse", "state %s after %s", state_names[next],
		    state_names[r->state]);
	r->state = next;
}

struct reuse *
reuse_new(const struct reuse_cb *cb, enum on_missing on_missing,
    bool not_needed)
{
	struct reuse *r = xcalloc(1, sizeof(*r));

	r->cb = *cb;
	r->on_missing = on_missing;
	r->not_needed = not_needed;
	return r;
}

void
reuse_free(struct reuse **r)
{
	free(*r);
	*r = NULL;
}

/* --- ending --- */

static void
reuse_abort(struct reuse *r, const struct err *why)
{
	r->joining = false;
	reuse_set_state(r, REUSE_ABORTED);
	r->cb.abort(r->cb.ctx, why);
}

static void
reuse_abort_bad(struct reuse *r)
{
	struct err why;

	if (r->nothing_to_mark)
		err_set(&why, ERR_MISSING,
		    "%s; there is no previous snapshot any more that could be "
		    "marked as bad",
		    r->what);
	else if (r->mark_err.code != ERR_OK)
		err_set(&why, ERR_MISSING,
		    "%s; marking the previous snapshot as bad failed: %s",
		    r->what, r->mark_err.msg);
	else
		err_set(&why, ERR_MISSING,
		    "%s; the previous snapshot was marked as bad, the next "
		    "backup will be a full one",
		    r->what);
	reuse_abort(r, &why);
}

/* Joins if finish waits for nothing any more. */
static void
reuse_try_join(struct reuse *r)
{
	if (!r->joining || r->doomed || reuse_left(r) > 0)
		return;
	r->joining = false;
	if (r->state != REUSE_NOT_NEEDED)
		reuse_set_state(r, REUSE_JOINED);
	r->cb.joined(r->cb.ctx);
}

/* --- files and references --- */

int
reuse_add_file(struct reuse *r, uint32_t file, struct bitmap *checked,
    struct bitmap *referenced, struct err *e)
{
	if (file >= REUSE_FILES_MAX || r->files[file].checked != NULL)
		fatal("reuse", "file %u added twice", file);
	if (r->state == REUSE_ABORTED || r->state == REUSE_JOINED)
		return err_set(e, ERR_BAD_STATE, "check of reused chunks is %s",
		    reuse_state_str(r->state));
	r->files[file].checked = checked;
	r->files[file].referenced = referenced;
	if (file >= r->nfiles)
		r->nfiles = file + 1;
	if (r->state == REUSE_NOT_INITIALISED)
		reuse_set_state(r,
		    r->not_needed ? REUSE_NOT_NEEDED : REUSE_RUNNING);
	if (r->state == REUSE_RUNNING)
		r->cb.scan(r->cb.ctx, file);
	return 0;
}

bool
reuse_has_file(const struct reuse *r, uint32_t file)
{
	return file < REUSE_FILES_MAX && r->files[file].checked != NULL;
}

/* Ends the session, at once or when the mark is made. */
static void
reuse_doom(struct reuse *r, const char *what)
{
	if (r->doomed)
		return;
	r->doomed = true;
	snprintf(r->what, sizeof(r->what), "%s", what);
	if (r->marked)
		reuse_abort_bad(r);
}

static void
chunk_what(const struct reuse_chunk *c, char what[WHAT_SIZE])
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_to_hex(&c->digest, hex);
	snprintf(what, WHAT_SIZE, "chunk %s of the previous snapshot is %s",
	    hex, c->damaged ? "damaged" : "missing");
}

static void
reuse_doom_chunk(struct reuse *r, const struct reuse_chunk *c)
{
	char what[WHAT_SIZE];

	chunk_what(c, what);
	reuse_doom(r, what);
}

void
reuse_reference(struct reuse *r, uint32_t file, uint64_t pos,
    const struct digest *digest)
{
	size_t i;

	bitmap_set(r->files[file].referenced, pos);
	if (r->state != REUSE_RUNNING)
		return;
	for (i = 0; i < r->nmissing; i++) {
		if (digest_equal(&r->missing[i].digest, digest)) {
			reuse_doom_chunk(r, &r->missing[i]);
			return;
		}
	}
}

void
reuse_reference_all(struct reuse *r, uint32_t file)
{
	struct reuse_file *f = &r->files[file];
	uint64_t pos;

	for (pos = 0; pos < f->referenced->bits; pos++)
		bitmap_set(f->referenced, pos);
	if (r->state == REUSE_RUNNING && r->nmissing > 0)
		reuse_doom_chunk(r, &r->missing[0]);
}

/* --- findings --- */

void
reuse_progress(struct reuse *r)
{
	if (r->state == REUSE_RUNNING)
		reuse_try_join(r);
}

static void
reuse_mark(struct reuse *r, const char *what)
{
	if (r->marking || r->marked)
		return;
	r->marking = true;
	r->cb.mark(r->cb.ctx, what);
}

void
reuse_missing(struct reuse *r, uint32_t file, uint64_t pos,
    const struct digest *digest, bool damaged)
{
	struct reuse_chunk chunk = {*digest, damaged};
	struct reuse_file *f = &r->files[file];
	char what[WHAT_SIZE];

	if (r->state != REUSE_RUNNING)
		return;
	if (r->nmissing < REUSE_MISSING_MAX)
		r->missing[r->nmissing++] = chunk;
	chunk_what(&chunk, what);
	reuse_mark(r, what);
	if (r->on_missing == ON_MISSING_ABORT ||
	    bitmap_get(f->referenced, pos) || r->nmissing == REUSE_MISSING_MAX)
		reuse_doom(r, what);
	if (r->state != REUSE_RUNNING || r->doomed)
		return;
	/* Known by its digest from now on; the scan need not find it again. */
	bitmap_set(f->checked, pos);
	r->cb.scan(r->cb.ctx, file);
}

void
reuse_damaged(struct reuse *r, const char *name)
{
	char what[WHAT_SIZE];

	if (r->state != REUSE_RUNNING)
		return;
	snprintf(what, sizeof(what),
	    "index \"%.64s\" of the previous snapshot is damaged", name);
	reuse_mark(r, what);
	reuse_doom(r, what);
}

void
reuse_lost(struct reuse *r, const struct digest *digest)
{
	char hex[DIGEST_HEX_LEN + 1], what[WHAT_SIZE];

	if (r->state == REUSE_ABORTED)
		return;
	if (r->state != REUSE_RUNNING)
		reuse_set_state(r, REUSE_RUNNING);
	digest_to_hex(digest, hex);
	snprintf(what, sizeof(what),
	    "chunk %s of this backup was found damaged meanwhile", hex);
	reuse_mark(r, what);
	reuse_doom(r, what);
}

void
reuse_failed(struct reuse *r, const struct err *why)
{
	struct err e = *why;

	if (r->state != REUSE_RUNNING)
		return;
	err_wrap(&e, "cannot check reused chunks");
	reuse_abort(r, &e);
}

void
reuse_marked(struct reuse *r, const struct err *failed, bool nothing_to_mark)
{
	r->marking = false;
	r->marked = true;
	r->nothing_to_mark = nothing_to_mark;
	if (failed != NULL)
		r->mark_err = *failed;
	if (r->state == REUSE_RUNNING && r->doomed)
		reuse_abort_bad(r);
}

/* --- finish --- */

void
reuse_join(struct reuse *r)
{
	if (r->state == REUSE_ABORTED)
		return;
	r->joining = true;
	reuse_try_join(r);
}

/* Meanwhile, the scans may have come to a missing chunk, or to their end
 * without what is not referenced. */
void
reuse_unjoin(struct reuse *r)
{
	uint32_t i;

	r->joining = false;
	if (r->state == REUSE_JOINED)
		reuse_set_state(r,
		    r->nfiles > 0 ? REUSE_RUNNING : REUSE_NOT_INITIALISED);
	if (r->state != REUSE_RUNNING || r->doomed)
		return;
	for (i = 0; i < r->nfiles; i++)
		if (r->files[i].checked != NULL)
			r->cb.scan(r->cb.ctx, i);
}

uint64_t
reuse_left(const struct reuse *r)
{
	uint64_t left = 0;
	uint32_t i;

	if (r->state != REUSE_RUNNING)
		return 0;
	for (i = 0; i < r->nfiles; i++)
		if (r->files[i].checked != NULL)
			left += bitmap_count_and_not(r->files[i].referenced,
			    r->files[i].checked);
	return left;
}

uint64_t
reuse_checked(const struct reuse *r)
{
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < r->nfiles; i++)
		if (r->files[i].checked != NULL)
			n += bitmap_count(r->files[i].checked);
	return n;
}

uint64_t
reuse_missing_count(const struct reuse *r)
{
	return r->nmissing;
}
