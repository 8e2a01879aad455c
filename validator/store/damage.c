/*
 * Chunks known to be damaged or missing (damage.h).  Runs in the validator's
 * loop, looking for references in store threads.  The record is the
 * validator's own; indexes are checked entry by entry as they are read.
 */
#include "config.h"

#include "validator/store/damage.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/format/index.h"
#include "common/format/names.h"
#include "validator/store/chunk_store.h"
#include "validator/store/snapshot.h"

/* The file: a byte and a digest for each change, in order. */
#define RECORD_LEN (1 + DIGEST_LEN)
#define RECORD_ADD 'a'
#define RECORD_HEAL 'h'
#define FILE_MAX_LEN (8u << 20)
#define FILE_MODE 0600
#define BATCH 1000

struct damage {
	struct digest *v; /* sorted */
	size_t n;
	int fd; /* of its file, for appending; -1: none */
};

static int
cmp(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST_LEN);
}

/* Where it stands, or belongs. */
static size_t
place(const struct damage *d, const struct digest *digest, bool *there)
{
	size_t lo = 0, hi = d->n, mid;
	int c;

	*there = false;
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		c = cmp(&d->v[mid], digest);
		if (c == 0) {
			*there = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int
insert(struct damage *d, const struct digest *digest)
{
	bool there;
	size_t i = place(d, digest, &there);

	if (there)
		return 0;
	if (d->n == DAMAGE_MAX)
		return -1;
	memmove(&d->v[i + 1], &d->v[i], (d->n - i) * sizeof(d->v[0]));
	d->v[i] = *digest;
	d->n++;
	return 1;
}

static bool
drop(struct damage *d, const struct digest *digest)
{
	bool there;
	size_t i = place(d, digest, &there);

	if (!there)
		return false;
	d->n--;
	memmove(&d->v[i], &d->v[i + 1], (d->n - i) * sizeof(d->v[0]));
	return true;
}

/* A record that cannot be written only shortens what a restart knows. */
static void
append(const struct damage *d, char what, const struct digest *digest)
{
	uint8_t rec[RECORD_LEN];

	rec[0] = (uint8_t)what;
	memcpy(rec + 1, digest->b, DIGEST_LEN);
	if (d->fd != -1)
		io_write_full(d->fd, rec, sizeof(rec), NULL);
}

static void
load(struct damage *d, const uint8_t *data, size_t len)
{
	struct digest digest;
	size_t i;

	for (i = 0; i + RECORD_LEN <= len; i += RECORD_LEN) {
		memcpy(digest.b, data + i + 1, DIGEST_LEN);
		if (data[i] == RECORD_ADD)
			insert(d, &digest);
		else
			drop(d, &digest);
	}
}

/* The file anew, without what was healed. */
static int
compact(const struct damage *d, int dirfd, const char *name, struct err *e)
{
	uint8_t *data = xcalloc(d->n + 1, RECORD_LEN);
	size_t i;
	int rv;

	for (i = 0; i < d->n; i++) {
		data[i * RECORD_LEN] = RECORD_ADD;
		memcpy(data + i * RECORD_LEN + 1, d->v[i].b, DIGEST_LEN);
	}
	rv = io_write_file_atomic(dirfd, name, data, d->n * RECORD_LEN,
	    FILE_MODE, 0, e);
	free(data);
	return rv;
}

int
damage_open(struct damage **out, int dirfd, const char *store, struct err *e)
{
	struct damage *d = xcalloc(1, sizeof(*d));
	char name[DATASTORE_NAME_MAX + 16];
	struct err why = {0};
	char *data = NULL;
	size_t len;

	d->fd = -1;
	d->v = xcalloc(DAMAGE_MAX, sizeof(*d->v));
	snprintf(name, sizeof(name), "damaged-%s", store);
	if (io_read_file(dirfd, name, FILE_MAX_LEN, &data, &len, &why) == 0)
		load(d, (const uint8_t *)data, len);
	free(data);
	if (why.code == ERR_NOMEM)
		err_set(e, ERR_NOMEM, "%s", why.msg);
	else if (compact(d, dirfd, name, e) == 0)
		d->fd = io_openat(dirfd, name, O_WRONLY | O_APPEND, 0, e);
	if (d->fd == -1) {
		damage_close(&d);
		return -1;
	}
	*out = d;
	return 0;
}

void
damage_close(struct damage **dp)
{
	struct damage *d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	io_close(&d->fd);
	free(d->v);
	free(d);
}

int
damage_add(struct damage *d, const struct digest *digest, struct err *e)
{
	int rv = insert(d, digest);

	if (rv == -1)
		return err_set(e, ERR_LIMIT,
		    "more than %u chunks are damaged or missing", DAMAGE_MAX);
	if (rv == 1)
		append(d, RECORD_ADD, digest);
	return 0;
}

bool
damage_has(const struct damage *d, const struct digest *digest)
{
	bool there;

	place(d, digest, &there);
	return there;
}

bool
damage_heal(struct damage *d, const struct digest *digest)
{
	if (!drop(d, digest))
		return false;
	append(d, RECORD_HEAL, digest);
	return true;
}

size_t
damage_count(const struct damage *d)
{
	return d->n;
}

struct digest *
damage_dup(const struct damage *d, size_t *n_out)
{
	struct digest *v = xcalloc(d->n + 1, sizeof(*v));

	memcpy(v, d->v, d->n * sizeof(*v));
	*n_out = d->n;
	return v;
}

/* --- references --------------------------------------------------------- */

static int
find_in_index(struct store *s, int fd, const struct digest *digests, size_t n,
    struct digest *hit_out, struct err *e)
{
	struct index_entry entries[BATCH];
	struct index_view view;
	enum chunk_state state;
	uint64_t first;
	size_t i, want;

	if (index_open_fd(&view, fd, e) == -1)
		return -1;
	for (first = 0; first < view.count; first += want) {
		want = view.count - first < BATCH ? (size_t)(view.count - first)
						  : BATCH;
		if (index_get_entries(&view, first, want, entries, e) == -1)
			return -1;
		for (i = 0; i < want; i++) {
			if (bsearch(&entries[i].digest, digests, n,
				sizeof(*digests), cmp) == NULL)
				continue;
			state = chunk_check(s, 0, &entries[i].digest, e);
			if (state == CHUNK_ERROR)
				return -1;
			*hit_out = entries[i].digest;
			if (state == CHUNK_MISSING)
				return 1;
		}
	}
	return 0;
}

static bool
is_index(const char *name)
{
	enum archive_kind kind;

	return archive_name_parse(name, &kind, NULL) == 0 &&
	    kind != ARCHIVE_BLOB;
}

int
damage_find_reference(struct store *s, int dirfd, const struct digest *digests,
    size_t n, struct digest *hit_out, struct err *e)
{
	struct snap_file *files;
	size_t i, nfiles;
	uint64_t size;
	int fd, rv = 0;

	if (snap_files_list(dirfd, &files, &nfiles, e) == -1)
		return -1;
	for (i = 0; i < nfiles && rv == 0; i++) {
		if (!is_index(files[i].name))
			continue;
		fd = snap_file_open(dirfd, files[i].name, &size, e);
		rv = fd == -1 ? -1
			      : find_in_index(s, fd, digests, n, hit_out, e);
		io_close(&fd);
	}
	free(files);
	return rv;
}
