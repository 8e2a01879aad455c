/*
 * Indexes while they grow in a session folder, in store threads.  Digests and
 * lengths come from the validator's own records; positions and counts are a
 * worker's claims and checked here.
 */
#include "config.h"

#include "validator/store/index_writer.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/format/dynamic_index.h"
#include "common/format/fixed_index.h"
#include "common/io.h"
#include "common/mem.h"

#define CLONE_STEP ((size_t)64 << 10)

struct index_writer {
	int dirfd; /* lent */
	int fd;
	enum index_kind kind;
	char name[ARCHIVE_NAME_MAX + 1];
	char temp[ARCHIVE_NAME_MAX + 8];
	uint64_t size; /* fixed */
	bool reuse;
	bool closed;
	struct index_writer_state *state; /* lent */
};

static const char *
kind_text(const struct index_writer *w)
{
	return w->kind == INDEX_FIXED ? "fixed" : "dynamic";
}

static uint64_t
positions(const struct index_writer *w)
{
	return fixed_index_count(w->size, FIXED_INDEX_CHUNK_SIZE);
}

static struct index_writer *
writer_new(const struct index_writer_opts *o)
{
	struct index_writer *w = xcalloc(1, sizeof(*w));

	w->dirfd = o->dirfd;
	w->fd = -1;
	w->kind = o->kind;
	snprintf(w->name, sizeof(w->name), "%s", o->name);
	io_temp_name(w->temp, sizeof(w->temp), o->name,
	    o->kind == INDEX_FIXED ? "tmp_fidx" : "tmp_didx");
	w->size = o->size;
	w->reuse = o->reuse || o->base_fd != -1;
	w->state = o->state;
	return w;
}

void
index_writer_free(struct index_writer **wp)
{
	struct index_writer *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	io_close(&w->fd);
	free(w);
}

/* --- creating ----------------------------------------------------------- */

static int
name_is_free(const struct index_writer *w, const char *name, struct err *e)
{
	struct stat st;

	if (fstatat(w->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(e, ERR_EXISTS,
		    "archive '%s' was opened in this backup before", w->name);
	return errno == ENOENT ? 0 : err_errno(e, errno, "stat \"%s\"", name);
}

static int
write_header(const struct index_writer *w, const struct digest *csum,
    struct err *e)
{
	uint8_t uuid[INDEX_UUID_LEN], header[INDEX_HEADER_LEN];

	/* A random UUID of version 4. */
	io_random(uuid, sizeof(uuid));
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
	if (w->kind == INDEX_FIXED)
		fixed_index_put_header(header, uuid, io_realtime_s(), csum,
		    w->size, FIXED_INDEX_CHUNK_SIZE);
	else
		dynamic_index_put_header(header, uuid, io_realtime_s(), csum);
	return io_pwrite_full(w->fd, header, sizeof(header), 0, e);
}

/* The base's digests, after the checks of wire-protocol 4.5.2. */
static int
clone_base(const struct index_writer *w, const struct index_writer_opts *o,
    struct err *e)
{
	char want[DIGEST_HEX_LEN + 1], got[DIGEST_HEX_LEN + 1];
	uint64_t pos, end = fixed_index_entry_pos(positions(w));
	struct index_view base;
	struct digest csum;
	uint8_t *buf;
	size_t step;
	int rv = 0;

	if (index_open_fd(&base, o->base_fd, e) == -1 ||
	    index_csum(&base, &csum, e) == -1)
		return err_wrap(e, "cannot reuse index");
	if (!digest_equal(&csum, &o->reuse_csum)) {
		digest_to_hex(&o->reuse_csum, want);
		digest_to_hex(&csum, got);
		return err_set(e, ERR_INVALID,
		    "expected csum (%s) doesn't match last backup's (%s), "
		    "cannot do incremental backup",
		    want, got);
	}
	if (base.kind != INDEX_FIXED || base.count != positions(w) ||
	    base.chunk_size != FIXED_INDEX_CHUNK_SIZE)
		return err_set(e, ERR_INVALID,
		    "clone_data_from failed - index sizes not equal");
	buf = xmalloc(CLONE_STEP);
	for (pos = fixed_index_entry_pos(0); rv == 0 && pos < end;
	     pos += step) {
		step =
		    end - pos < CLONE_STEP ? (size_t)(end - pos) : CLONE_STEP;
		rv = io_pread_full(o->base_fd, buf, step, (off_t)pos, e);
		if (rv == 0)
			rv = io_pwrite_full(w->fd, buf, step, (off_t)pos, e);
	}
	free(buf);
	return rv;
}

int
index_writer_create(struct index_writer **out,
    const struct index_writer_opts *o, struct err *e)
{
	struct index_writer *w = writer_new(o);

	*out = NULL;
	if (name_is_free(w, w->name, e) == -1 ||
	    name_is_free(w, w->temp, e) == -1)
		goto fail;
	w->fd = io_openat(w->dirfd, w->temp,
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, e);
	if (w->fd == -1)
		goto fail;
	if (fchmod(w->fd, 0644) == -1) {
		err_errno(e, errno, "chmod \"%s\"", w->temp);
		goto fail_unlink;
	}
	if (w->kind == INDEX_FIXED &&
	    ftruncate(w->fd, (off_t)fixed_index_entry_pos(positions(w))) ==
		-1) {
		err_errno(e, errno, "index of %llu bytes",
		    (unsigned long long)w->size);
		goto fail_unlink;
	}
	if (write_header(w, NULL, e) == -1 ||
	    (o->base_fd != -1 && clone_base(w, o, e) == -1))
		goto fail_unlink;
	*out = w;
	return 0;
fail_unlink:
	unlinkat(w->dirfd, w->temp, 0);
fail:
	index_writer_free(&w);
	return -1;
}

/* A SIGKILL may have come between the two halves of the state, and the count
 * is the one that tells what was appended. */
static int
restore_end(struct index_writer *w, struct err *e)
{
	uint8_t entry[DYNAMIC_INDEX_ENTRY_LEN];
	struct digest d;

	w->state->end = 0;
	if (w->kind == INDEX_FIXED || w->state->count == 0)
		return 0;
	if (io_pread_full(w->fd, entry, sizeof(entry),
		(off_t)dynamic_index_entry_pos(w->state->count - 1), e) == -1)
		return err_wrap(e, "index '%s'", w->name);
	dynamic_index_get_entry(entry, &w->state->end, &d);
	return 0;
}

int
index_writer_reopen(struct index_writer **out,
    const struct index_writer_opts *o, struct err *e)
{
	struct index_writer *w = writer_new(o);
	struct err why = {0};

	*out = NULL;
	w->fd = io_openat(w->dirfd, w->temp, O_RDWR | O_NOFOLLOW, 0, &why);
	if (w->fd == -1 && why.code == ERR_NOT_FOUND) {
		w->closed = true;
		w->fd = io_openat(w->dirfd, w->name, O_RDONLY | O_NOFOLLOW, 0,
		    &why);
	}
	if (w->fd == -1 || restore_end(w, &why) == -1) {
		if (e != NULL)
			*e = why;
		index_writer_free(&w);
		return -1;
	}
	*out = w;
	return 0;
}

uint64_t
index_writer_count(const struct index_writer *w)
{
	return w->state->count;
}

uint64_t
index_writer_end(const struct index_writer *w)
{
	return w->kind == INDEX_FIXED ? w->size : w->state->end;
}

/* --- appending ---------------------------------------------------------- */

static int
append_dynamic(struct index_writer *w, const struct index_append *a,
    struct err *e)
{
	uint8_t entry[DYNAMIC_INDEX_ENTRY_LEN];
	uint64_t end;

	if (a->start != w->state->end)
		return err_set(e, ERR_INVALID,
		    "dynamic writer '%s' append chunk failed - got strange "
		    "chunk offset (%llu != %llu)",
		    w->name, (unsigned long long)w->state->end,
		    (unsigned long long)a->start);
	if (__builtin_add_overflow(a->start, a->length, &end) ||
	    end > INT64_MAX)
		return err_set(e, ERR_LIMIT, "archive '%s' is too long",
		    w->name);
	dynamic_index_put_entry(entry, end, &a->digest);
	if (io_pwrite_full(w->fd, entry, sizeof(entry),
		(off_t)dynamic_index_entry_pos(w->state->count), e) == -1)
		return -1;
	w->state->end = end;
	return 0;
}

static int
append_fixed(struct index_writer *w, const struct index_append *a,
    struct err *e)
{
	uint64_t end;

	if (__builtin_add_overflow(a->start, a->length, &end) || end > w->size)
		return err_set(e, ERR_INVALID,
		    "fixed writer '%s' append chunk failed - chunk data "
		    "exceeds size (%llu >= %llu)",
		    w->name, (unsigned long long)(a->start + a->length),
		    (unsigned long long)w->size);
	if (a->length == 0 || a->length > FIXED_INDEX_CHUNK_SIZE ||
	    (a->length != FIXED_INDEX_CHUNK_SIZE && end != w->size))
		return err_set(e, ERR_INVALID,
		    "fixed writer '%s' append chunk failed - chunk with "
		    "unexpected length (%u != %u",
		    w->name, a->length, FIXED_INDEX_CHUNK_SIZE);
	if (a->start % FIXED_INDEX_CHUNK_SIZE != 0)
		return err_set(e, ERR_INVALID,
		    "fixed writer '%s' append chunk failed - got unaligned "
		    "chunk (pos = %llu)",
		    w->name, (unsigned long long)a->start);
	return io_pwrite_full(w->fd, a->digest.b, DIGEST_LEN,
	    (off_t)fixed_index_entry_pos(a->start / FIXED_INDEX_CHUNK_SIZE), e);
}

int
index_writer_append(struct index_writer *w, uint64_t first,
    const struct index_append *entries, size_t n, struct err *e)
{
	uint64_t skip;
	size_t i;
	int rv;

	if (first > w->state->count)
		return err_set(e, ERR_PROTO,
		    "entries %llu to %llu of '%s' were left out",
		    (unsigned long long)w->state->count,
		    (unsigned long long)first - 1, w->name);
	skip = w->state->count - first;
	if (skip >= n)
		return 0;
	if (w->closed)
		return err_set(e, ERR_BAD_STATE, "%s writer '%s' is closed",
		    kind_text(w), w->name);
	for (i = (size_t)skip; i < n; i++) {
		rv = w->kind == INDEX_FIXED ? append_fixed(w, &entries[i], e)
					    : append_dynamic(w, &entries[i], e);
		if (rv == -1)
			return -1;
		/* After the entry, so that one that a SIGKILL cut off is
		 * written again; for dynamic ones at the same place. */
		w->state->count++;
	}
	return 0;
}

/* --- closing ------------------------------------------------------------ */

static int
err_close(struct err *e, const struct index_writer *w, const char *what,
    uint64_t ours, uint64_t theirs)
{
	return err_set(e, ERR_INVALID,
	    "%s writer '%s' close failed - %s (%llu != %llu)", kind_text(w),
	    w->name, what, (unsigned long long)ours,
	    (unsigned long long)theirs);
}

static int
compare(const struct index_writer *w, uint64_t count, uint64_t size,
    struct err *e)
{
	/* As a fixed one always has a chunk; nobody could read it. */
	if (w->kind == INDEX_DYNAMIC) {
		if (count == 0)
			return err_set(e, ERR_INVALID,
			    "dynamic writer '%s' close failed - index has no "
			    "entries",
			    w->name);
		if (count != w->state->count)
			return err_close(e, w, "unexpected chunk count",
			    w->state->count, count);
		if (size != w->state->end)
			return err_close(e, w, "unexpected file size",
			    w->state->end, size);
		return 0;
	}
	if (count != w->state->count)
		return err_close(e, w, "received wrong number of chunk",
		    w->state->count, count);
	if (w->reuse)
		return 0;
	if (count != positions(w))
		return err_close(e, w, "unexpected chunk count", positions(w),
		    count);
	if (size != w->size)
		return err_close(e, w, "unexpected file size", w->size, size);
	return 0;
}

static int
compute_csum(const struct index_writer *w, struct digest *out, struct err *e)
{
	return w->kind == INDEX_FIXED
	    ? fixed_index_csum_fd(w->fd, positions(w), out, e)
	    : dynamic_index_csum_fd(w->fd, w->state->count, out, e);
}

int
index_writer_close(struct index_writer *w, uint64_t count, uint64_t size,
    const struct digest *csum, uint64_t *size_out, struct err *e)
{
	struct digest ours;

	if (!w->closed && compare(w, count, size, e) == -1)
		return -1;
	if (compute_csum(w, &ours, e) == -1)
		return -1;
	if (!digest_equal(&ours, csum))
		return err_set(e, ERR_INVALID,
		    "%s writer '%s' close failed - got unexpected checksum",
		    kind_text(w), w->name);
	*size_out = index_writer_end(w);
	if (w->closed)
		return 0;
	/* What a SIGKILL left behind the last counted entry. */
	if (w->kind == INDEX_DYNAMIC &&
	    ftruncate(w->fd, (off_t)dynamic_index_entry_pos(w->state->count)) ==
		-1)
		return err_errno(e, errno, "truncate \"%s\"", w->temp);
	if (write_header(w, &ours, e) == -1)
		return -1;
	if (renameat2(w->dirfd, w->temp, w->dirfd, w->name, RENAME_NOREPLACE) ==
	    -1)
		return err_errno(e, errno, "rename \"%s\"", w->name);
	w->closed = true;
	return 0;
}
