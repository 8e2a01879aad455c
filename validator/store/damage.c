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
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/format/names.h"

/* The file: a byte and a digest for each change, in order. */
#define RECORD_LEN (1 + DIGEST_LEN)
#define RECORD_DAMAGED 'a'
#define RECORD_MISSING 'm'
#define RECORD_HEAL 'h'
#define RECORD_OVERFLOW 'o' /* of any digest, as the next */
#define RECORD_CLEARED 'c'  /* an overflow was */
#define FILE_MODE 0600
/* It is written anew at twice the number of records that it needs, and so
 * many: some MiB at most. */
#define RECORDS_SPARE 4096
#define BATCH 1000

struct entry {
	struct digest digest; /* first: compared as one */
	uint8_t kind;
	uint64_t added; /* d->adds when it was added, last */
};

struct damage {
	struct entry *v; /* sorted */
	size_t n;
	size_t nmissing;
	bool overflowed;
	bool cleared;
	uint64_t overflows;
	uint64_t adds;

	int dirfd;
	char name[DATASTORE_NAME_MAX + 16];
	int fd;         /* of its file, for appending; -1: none */
	size_t records; /* in the file */
	size_t compact_at;
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
		c = cmp(&d->v[mid].digest, digest);
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

enum change {
	CHANGE_NONE,
	CHANGE_DONE,
	CHANGE_NO_ROOM,
};

/* One that is damaged and then missing was renamed: it stays damaged. */
static enum change
insert(struct damage *d, const struct digest *digest, enum damage_kind kind)
{
	bool there;
	size_t i = place(d, digest, &there);

	if (there)
		d->v[i].added = d->adds;
	if (there && (kind == DAMAGE_MISSING || d->v[i].kind == DAMAGE_DAMAGED))
		return CHANGE_NONE;
	if (there) {
		d->v[i].kind = DAMAGE_DAMAGED;
		d->nmissing--;
		return CHANGE_DONE;
	}
	if (d->n == DAMAGE_MAX ||
	    (kind == DAMAGE_MISSING && d->nmissing == DAMAGE_MISSING_MAX))
		return CHANGE_NO_ROOM;
	memmove(&d->v[i + 1], &d->v[i], (d->n - i) * sizeof(d->v[0]));
	d->v[i] = (struct entry){*digest, (uint8_t)kind, d->adds};
	d->n++;
	d->nmissing += kind == DAMAGE_MISSING;
	return CHANGE_DONE;
}

static bool
drop(struct damage *d, const struct digest *digest, uint64_t adds)
{
	bool there;
	size_t i = place(d, digest, &there);

	if (!there || d->v[i].added > adds)
		return false;
	d->nmissing -= d->v[i].kind == DAMAGE_MISSING;
	d->n--;
	memmove(&d->v[i], &d->v[i + 1], (d->n - i) * sizeof(d->v[0]));
	return true;
}

static void
overflow(struct damage *d)
{
	d->overflowed = true;
	d->overflows++;
}

/* --- the file ----------------------------------------------------------- */

static void
put_record(uint8_t rec[RECORD_LEN], char what, const struct digest *digest)
{
	rec[0] = (uint8_t)what;
	memcpy(rec + 1, digest->b, DIGEST_LEN);
}

static char
record_of(enum damage_kind kind)
{
	return kind == DAMAGE_MISSING ? RECORD_MISSING : RECORD_DAMAGED;
}

/* The file anew, with what is in the set now. */
static int
compact(struct damage *d, struct err *e)
{
	uint8_t *data = xcalloc(d->n + 2, RECORD_LEN);
	static const struct digest none;
	size_t i;
	int rv;

	for (i = 0; i < d->n; i++)
		put_record(data + i * RECORD_LEN,
		    record_of((enum damage_kind)d->v[i].kind), &d->v[i].digest);
	d->records = d->n;
	if (d->overflowed)
		put_record(data + d->records++ * RECORD_LEN, RECORD_OVERFLOW,
		    &none);
	if (d->cleared)
		put_record(data + d->records++ * RECORD_LEN, RECORD_CLEARED,
		    &none);
	d->compact_at = 2 * d->records + RECORDS_SPARE;
	rv = io_write_file_atomic(d->dirfd, d->name, data,
	    d->records * RECORD_LEN, FILE_MODE, 0, e);
	free(data);
	io_close(&d->fd);
	if (rv == 0)
		d->fd = io_openat(d->dirfd, d->name, O_WRONLY | O_APPEND, 0, e);
	return d->fd == -1 ? -1 : 0;
}

/*
 * A record that cannot be written only shortens what a restart knows.  Nothing
 * is appended to one that was cut short: the file is written anew, at the next
 * change if not now.
 */
static void
append(struct damage *d, char what, const struct digest *digest)
{
	uint8_t rec[RECORD_LEN];

	put_record(rec, what, digest);
	if (d->fd != -1 && d->records < d->compact_at &&
	    io_write_full(d->fd, rec, sizeof(rec), NULL) == 0)
		d->records++;
	else
		compact(d, NULL);
}

/* A record of an unknown kind was one of ours: something is not known. */
static void
load_record(struct damage *d, const uint8_t *rec)
{
	struct digest digest;

	memcpy(digest.b, rec + 1, DIGEST_LEN);
	switch (rec[0]) {
	case RECORD_DAMAGED:
	case RECORD_MISSING:
		if (insert(d, &digest,
			rec[0] == RECORD_MISSING
			    ? DAMAGE_MISSING
			    : DAMAGE_DAMAGED) == CHANGE_NO_ROOM)
			d->overflowed = true;
		break;
	case RECORD_HEAL:
		drop(d, &digest, UINT64_MAX);
		break;
	case RECORD_CLEARED:
		d->cleared = true;
		break;
	case RECORD_OVERFLOW:
	default:
		d->overflowed = true;
		break;
	}
}

/* The last record may be cut short; its change is lost. */
static int
load(struct damage *d, int fd)
{
	uint8_t data[BATCH * RECORD_LEN];
	uint64_t at, len;
	struct stat st;
	size_t i, n;

	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		return -1;
	len = (uint64_t)st.st_size;
	for (at = 0; at + RECORD_LEN <= len; at += n * RECORD_LEN) {
		n = len - at < sizeof(data) ? (size_t)(len - at) / RECORD_LEN
					    : BATCH;
		if (io_pread_full(fd, data, n * RECORD_LEN, (off_t)at, NULL) ==
		    -1)
			return -1;
		for (i = 0; i < n; i++)
			load_record(d, data + i * RECORD_LEN);
	}
	return 0;
}

int
damage_open(struct damage **out, int dirfd, const char *store, struct err *e)
{
	struct damage *d = xcalloc(1, sizeof(*d));
	struct err why;
	int fd;

	*out = NULL;
	d->fd = -1;
	d->v = xcalloc(DAMAGE_MAX, sizeof(*d->v));
	snprintf(d->name, sizeof(d->name), "damaged-%s", store);
	d->dirfd = io_openat(dirfd, ".", O_RDONLY | O_DIRECTORY, 0, e);
	if (d->dirfd == -1) {
		damage_close(&d);
		return -1;
	}
	fd = io_openat(d->dirfd, d->name, O_RDONLY | O_NOFOLLOW, 0, &why);
	if ((fd == -1 && why.code != ERR_NOT_FOUND) ||
	    (fd != -1 && load(d, fd) == -1))
		d->overflowed = true;
	/* A backup may go on that began before. */
	d->overflows = d->overflowed || d->cleared;
	io_close(&fd);
	if (compact(d, e) == -1) {
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
	io_close(&d->dirfd);
	free(d->v);
	free(d);
}

void
damage_discard(struct damage **dp)
{
	struct damage *d = *dp;

	/* What stays is only a suspicion. */
	if (d != NULL)
		unlinkat(d->dirfd, d->name, 0);
	damage_close(dp);
}

/* --- changes ------------------------------------------------------------ */

bool
damage_add(struct damage *d, const struct digest *digest, enum damage_kind kind)
{
	bool before = d->overflowed;

	d->adds++;
	switch (insert(d, digest, kind)) {
	case CHANGE_NONE:
		break;
	case CHANGE_DONE:
		append(d, record_of(kind), digest);
		break;
	case CHANGE_NO_ROOM:
		overflow(d);
		if (!before)
			append(d, RECORD_OVERFLOW, digest);
		return false;
	}
	return true;
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
	return damage_heal_seen(d, digest, UINT64_MAX);
}

uint64_t
damage_adds(const struct damage *d)
{
	return d->adds;
}

bool
damage_heal_seen(struct damage *d, const struct digest *digest, uint64_t adds)
{
	if (!drop(d, digest, adds))
		return false;
	append(d, RECORD_HEAL, digest);
	return true;
}

size_t
damage_count(const struct damage *d)
{
	return d->n;
}

bool
damage_is_overflowed(const struct damage *d)
{
	return d->overflowed;
}

uint64_t
damage_overflows(const struct damage *d)
{
	return d->overflows;
}

int
damage_clear_overflow(struct damage *d, struct err *e)
{
	bool before = d->cleared;

	if (!d->overflowed)
		return 0;
	d->overflowed = false;
	d->cleared = true;
	if (compact(d, e) == 0)
		return 0;
	d->overflowed = true;
	d->cleared = before;
	return -1;
}

struct digest *
damage_dup(const struct damage *d, size_t *n_out)
{
	struct digest *v = xcalloc(d->n + 1, sizeof(*v));
	size_t i;

	for (i = 0; i < d->n; i++)
		v[i] = d->v[i].digest;
	*n_out = d->n;
	return v;
}
