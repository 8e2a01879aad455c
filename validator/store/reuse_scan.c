/*
 * The check of reused chunks, in store threads: one stat for each chunk of an
 * index that may be tens of millions long.  The index was made by a validator
 * or by another server, so it is read with bounds; a chunk's name is all that
 * is taken from it.
 *
 * A scan has one window (scan_window.h): while the jobs of all threads sort
 * and check its parts, another job adds what comes next; then all of them
 * place that.  Sorting by digest means that a folder is looked at once and its
 * entries in order, which on a cold cache is worth a factor of two; a job does
 * a short slice at a time, so that sessions take turns.  Smaller windows would
 * begin sooner and cost more than that: each folder is looked up again in each.
 */
#include "config.h"

#include "validator/store/reuse_scan.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/index.h"
#include "common/mem.h"
#include "validator/store/bitmap.h"
#include "validator/store/layout.h"
#include "validator/store/scan_window.h"
#include "validator/store/threads.h"

#define SLICE_LEN ((size_t)512)
#define BLOCK_WORDS ((size_t)16) /* read at a time: 1024 entries */
#define WORD_BITS ((size_t)64)

struct scan_job {
	struct store_job job;
	struct reuse_scan *scan;
	size_t at, end; /* what is left of the part that it checks */
};

struct reuse_scan {
	struct reuse_scan_opts o;
	struct index_view view;
	bool opened;
	struct bitmap taken;  /* was checked before, or is in a window */
	atomic_bool left_out; /* something was, for urgency */

	struct scan_window window;
	bool placing;       /* else its parts are checked, and it is filled */
	size_t nblocks;     /* to place */
	atomic_size_t next; /* block to place, or part to check */

	struct scan_job fill;
	struct scan_job jobs[STORE_STAT_THREADS];
	unsigned int active; /* jobs not done; the loop's */
	atomic_bool stop;
	atomic_uint_fast64_t stats;

	pthread_mutex_t lock; /* what follows, while jobs run */
	struct err err;
	struct reuse_scan_result result;
	uint32_t *suspects;
	size_t nsuspects;
	size_t suspects_cap;
};

/* --- findings, from all threads ----------------------------------------- */

static void
found(struct reuse_scan *s, enum chunk_state state, uint64_t pos,
    const struct digest *d, const struct err *why)
{
	pthread_mutex_lock(&s->lock);
	if (s->result.state == CHUNK_OK) {
		s->result.state = state;
		s->result.position = pos;
		if (d != NULL)
			s->result.digest = *d;
		s->err = *why;
	}
	pthread_mutex_unlock(&s->lock);
	atomic_store(&s->stop, true);
}

static int
add_suspects(struct reuse_scan *s, const struct scan_entry *group, size_t n,
    struct err *e)
{
	size_t i, cap;
	int rv = 0;

	pthread_mutex_lock(&s->lock);
	if (s->nsuspects + n > s->suspects_cap) {
		cap = 2 * s->suspects_cap + n;
		rv = mem_grow(&s->suspects, cap, sizeof(*s->suspects), e);
		if (rv == 0)
			s->suspects_cap = cap;
	}
	for (i = 0; i < n && rv == 0; i++)
		s->suspects[s->nsuspects++] = group[i].pos;
	pthread_mutex_unlock(&s->lock);
	return rv;
}

static bool
is_urgent(const struct reuse_scan *s)
{
	return s->o.urgent != NULL && s->o.referenced != NULL &&
	    atomic_load(s->o.urgent);
}

/* --- filling the window ------------------------------------------------- */

/* Opens the index here, not in the loop, since that waits for the disk. */
static int
open_index(struct reuse_scan *s, struct err *e)
{
	if (index_open_fd(&s->view, s->o.fd, e) == -1)
		return -1;
	if (s->view.count != s->taken.bits || s->view.count > UINT32_MAX)
		return err_set(e, ERR_CORRUPT,
		    "index has an unexpected number of entries");
	s->opened = true;
	return 0;
}

/* The lowest n bits that are set in a word. */
static uint64_t
first_bits(uint64_t word, size_t n)
{
	uint64_t rest = word;

	while (n-- > 0 && rest != 0)
		rest &= rest - 1;
	return word & ~rest;
}

/* Adds untaken positions of a word, of those set in wanted, until the window is
 * full; block has their entries. */
static void
add_word(struct reuse_scan *s, size_t w, uint64_t mask,
    const struct index_entry *block)
{
	size_t room = s->window.cap - s->window.nadded;
	unsigned int bit;

	mask = first_bits(mask, room);
	bitmap_set_word(&s->taken, w, mask);
	for (; mask != 0; mask &= mask - 1) {
		bit = (unsigned int)__builtin_ctzll(mask);
		scan_window_add(&s->window, &block[bit].digest,
		    (uint32_t)(w * WORD_BITS + bit));
	}
}

/* Adds untaken positions, of those set in wanted (NULL: all), until the window
 * is full. */
static int
add_positions(struct reuse_scan *s, const struct bitmap *wanted,
    struct index_entry *block, struct err *e)
{
	size_t w, nwords = bitmap_words(&s->taken), read_to = 0, first = 0;
	uint64_t mask, start, n;

	for (w = 0; w < nwords && s->window.nadded < s->window.cap; w++) {
		mask = bitmap_word_and_not(wanted, &s->taken, w);
		if (mask == 0)
			continue;
		if (w >= read_to) {
			first = w;
			read_to = w + BLOCK_WORDS;
			start = w * WORD_BITS;
			n = s->view.count - start;
			if (n > BLOCK_WORDS * WORD_BITS)
				n = BLOCK_WORDS * WORD_BITS;
			if (index_get_entries(&s->view, start, (size_t)n, block,
				e) == -1)
				return -1;
		}
		add_word(s, w, mask, block + (w - first) * WORD_BITS);
	}
	return 0;
}

static void
fill_run(struct store_job *job)
{
	struct reuse_scan *s = ((struct scan_job *)job)->scan;
	struct index_entry *block;
	struct err e = {0};
	int rv = 0;

	if (!s->opened && open_index(s, &e) == -1) {
		found(s, CHUNK_ERROR, 0, NULL, &e);
		return;
	}
	block = xmalloc(BLOCK_WORDS * WORD_BITS * sizeof(*block));
	/* Finish waits for what is referenced, so that comes first. */
	if (s->o.referenced != NULL)
		rv = add_positions(s, s->o.referenced, block, &e);
	if (is_urgent(s))
		atomic_store(&s->left_out, true);
	else if (rv == 0)
		rv = add_positions(s, NULL, block, &e);
	free(block);
	if (rv == -1)
		found(s, CHUNK_ERROR, 0, NULL, &e);
}

static void
place_run(struct store_job *job)
{
	struct reuse_scan *s = ((struct scan_job *)job)->scan;
	size_t block;

	while ((block = atomic_fetch_add(&s->next, 1)) < s->nblocks)
		scan_window_place(&s->window, block);
}

/* --- checking it -------------------------------------------------------- */

static bool
is_referenced(const struct reuse_scan *s, const struct scan_entry *group,
    size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (bitmap_get(s->o.referenced, group[i].pos))
			return true;
	return false;
}

/* For a later window. */
static void
leave_out(struct reuse_scan *s, const struct scan_entry *group, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		bitmap_clear(&s->taken, group[i].pos);
	atomic_store(&s->left_out, true);
}

/* One chunk, which n neighbours in the window name. */
static void
check_group(struct reuse_scan *s, unsigned int lane,
    const struct scan_entry *group, size_t n)
{
	enum chunk_state state;
	struct err e;
	size_t i;

	bitmap_prefetch(s->o.checked, group->pos);
	state = chunk_check(s->o.store, lane, &group->digest, &e);
	switch (state) {
	case CHUNK_OK:
		for (i = 0; i < n; i++)
			bitmap_set(s->o.checked, group[i].pos);
		break;
	case CHUNK_SUSPECT:
		if (add_suspects(s, group, n, &e) == -1)
			found(s, CHUNK_ERROR, group->pos, &group->digest, &e);
		break;
	case CHUNK_MISSING:
	case CHUNK_ERROR:
		found(s, state, group->pos, &group->digest, &e);
		break;
	}
}

/* Whether there is something left for this job. */
static bool
take_part(struct reuse_scan *s, struct scan_job *j)
{
	size_t part;

	while (j->at == j->end) {
		part = atomic_fetch_add(&s->next, 1);
		if (part >= SCAN_PARTS)
			return false;
		scan_window_sort_part(&s->window, (unsigned int)part, &j->at,
		    &j->end);
	}
	return true;
}

static void
check_run(struct store_job *job)
{
	struct scan_job *j = (struct scan_job *)job;
	struct reuse_scan *s = j->scan;
	const struct scan_entry *group;
	unsigned int lane = (unsigned int)(j - s->jobs) % STORE_LANES;
	size_t n, done = 0, stats = 0;

	for (; done < SLICE_LEN && take_part(s, j); j->at += n, done += n) {
		if (atomic_load(&s->stop) || store_job_is_cancelled(job))
			break;
		group = &s->window.entries[j->at];
		n = scan_window_group(&s->window, j->at, j->end);
		if (is_urgent(s) && !is_referenced(s, group, n)) {
			leave_out(s, group, n);
		} else {
			check_group(s, lane, group, n);
			stats++;
		}
	}
	atomic_fetch_add(&s->stats, stats);
	job->again = done >= SLICE_LEN;
}

/* --- the loop's side ---------------------------------------------------- */

static void step_done(struct store_job *job);

static void
submit(struct reuse_scan *s, struct scan_job *j,
    void (*run)(struct store_job *job))
{
	j->scan = s;
	j->at = j->end = 0;
	j->job.run = run;
	j->job.done = step_done;
	s->active++;
	store_job_submit(s->o.flow, &j->job);
}

/* By all threads, but not more than there is work for. */
static void
submit_all(struct reuse_scan *s, void (*run)(struct store_job *job),
    size_t nslices)
{
	unsigned int i;

	atomic_store(&s->next, 0);
	for (i = 0; i < STORE_STAT_THREADS && i < nslices; i++)
		submit(s, &s->jobs[i], run);
}

/* The window, and adds meanwhile what comes after it. */
static void
check(struct reuse_scan *s)
{
	s->placing = false;
	submit(s, &s->fill, fill_run);
	submit_all(s, check_run, (s->window.len + SLICE_LEN - 1) / SLICE_LEN);
}

/* What was added becomes the window. */
static void
place(struct reuse_scan *s)
{
	s->placing = true;
	s->nblocks = scan_window_turn(&s->window);
	if (s->nblocks > 0)
		submit_all(s, place_run, s->nblocks);
	else
		check(s);
}

/* The flow was cancelled by its owner, or the scan was. */
static bool
is_over(struct reuse_scan *s, struct store_job *job)
{
	if (store_job_is_cancelled(job)) {
		s->result.cancelled = true;
		atomic_store(&s->stop, true);
	}
	return atomic_load(&s->stop);
}

/* The last thing done with the scan: its owner may free it. */
static void
finish(struct reuse_scan *s)
{
	scan_window_fini(&s->window);
	s->o.done(s->o.ctx, s);
}

static void
step_done(struct store_job *job)
{
	struct reuse_scan *s = ((struct scan_job *)job)->scan;
	bool over = is_over(s, job);

	if (--s->active > 0)
		return;
	if (!over && !s->placing && s->window.len > 0 && s->o.progress != NULL)
		s->o.progress(s->o.ctx, s);
	/* progress() may have cancelled. */
	if (is_over(s, job))
		finish(s);
	else if (s->placing)
		check(s);
	else if (s->window.nadded > 0 ||
	    (!is_urgent(s) && atomic_exchange(&s->left_out, false)))
		place(s);
	else
		finish(s);
}

int
reuse_scan_start(struct reuse_scan **out, const struct reuse_scan_opts *o,
    struct err *e)
{
	struct reuse_scan *s = xcalloc(1, sizeof(*s));
	size_t w, nwords = (size_t)((o->checked->bits + 63) / 64);

	*out = NULL;
	s->o = *o;
	pthread_mutex_init(&s->lock, NULL);
	s->result.err = &s->err;
	if (scan_window_init(&s->window, (size_t)o->checked->bits) == -1) {
		err_set(e, ERR_NOMEM, "out of memory for a scan");
		reuse_scan_free(&s);
		return -1;
	}
	if (bitmap_init(&s->taken, o->checked->bits, e) == -1) {
		reuse_scan_free(&s);
		return -1;
	}
	for (w = 0; w < nwords; w++)
		atomic_store(&s->taken.words[w],
		    atomic_load(&o->checked->words[w]));
	submit(s, &s->fill, fill_run);
	*out = s;
	return 0;
}

void
reuse_scan_cancel(struct reuse_scan *s)
{
	s->result.cancelled = true;
	atomic_store(&s->stop, true);
}

void
reuse_scan_free(struct reuse_scan **sp)
{
	struct reuse_scan *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	bitmap_fini(&s->taken);
	pthread_mutex_destroy(&s->lock);
	scan_window_fini(&s->window);
	free(s->suspects);
	free(s);
}

void
reuse_scan_get_result(const struct reuse_scan *s, struct reuse_scan_result *out)
{
	*out = s->result;
}

uint64_t
reuse_scan_stats(const struct reuse_scan *s)
{
	return atomic_load(&s->stats);
}

bool
reuse_scan_take_suspect(struct reuse_scan *s, uint64_t *position_out)
{
	bool any = false;

	pthread_mutex_lock(&s->lock);
	if (s->nsuspects > 0) {
		*position_out = s->suspects[--s->nsuspects];
		any = true;
	}
	pthread_mutex_unlock(&s->lock);
	return any;
}
