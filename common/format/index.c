/*
 * Reading indexes.  Runs in workers on base files and in jobs; the file may
 * have been written by another server or have rotted, so neither its header
 * nor the order of its entries is believed.
 */
#include "config.h"

#include "common/format/index.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>

#include "common/err.h"
#include "common/io.h"
#include "common/format/dynamic_index.h"
#include "common/format/fixed_index.h"
#include "common/format/index_int.h"
#include "common/format/le.h"

#define MAGIC_LEN 8
#define BATCH 1024 /* entries per read */

static size_t
entry_len(enum index_kind kind)
{
	return kind == INDEX_FIXED ? FIXED_INDEX_ENTRY_LEN
				   : DYNAMIC_INDEX_ENTRY_LEN;
}

static int
parse_fixed(const uint8_t *buf, uint64_t body_len, struct index_header *out,
    struct err *e)
{
	out->size = get_le64(buf + INDEX_POS_SIZE);
	out->chunk_size = get_le64(buf + INDEX_POS_CHUNK_SIZE);
	if (out->chunk_size == 0 || out->chunk_size > INDEX_CHUNK_MAX ||
	    (out->chunk_size & (out->chunk_size - 1)) != 0)
		return err_set(e, ERR_CORRUPT,
		    "fixed index has chunk size %" PRIu64, out->chunk_size);
	out->count = fixed_index_count(out->size, out->chunk_size);
	if (body_len % FIXED_INDEX_ENTRY_LEN != 0 ||
	    body_len / FIXED_INDEX_ENTRY_LEN != out->count)
		return err_set(e, ERR_CORRUPT,
		    "length of the fixed index does not fit its size");
	return 0;
}

static int
parse_dynamic(uint64_t body_len, struct index_header *out, struct err *e)
{
	if (body_len % DYNAMIC_INDEX_ENTRY_LEN != 0)
		return err_set(e, ERR_CORRUPT,
		    "length of the dynamic index is no multiple of an entry");
	out->count = body_len / DYNAMIC_INDEX_ENTRY_LEN;
	return 0;
}

int
index_header_parse(const uint8_t buf[INDEX_HEADER_LEN], uint64_t file_len,
    struct index_header *out, struct err *e)
{
	int rv;

	if (file_len < INDEX_HEADER_LEN || file_len > INT64_MAX)
		return err_set(e, ERR_CORRUPT, "index too small");
	memset(out, 0, sizeof(*out));
	memcpy(out->uuid, buf + INDEX_POS_UUID, INDEX_UUID_LEN);
	out->ctime = (int64_t)get_le64(buf + INDEX_POS_CTIME);
	memcpy(out->csum.b, buf + INDEX_POS_CSUM, DIGEST_LEN);
	if (memcmp(buf, fixed_index_magic, MAGIC_LEN) == 0) {
		out->kind = INDEX_FIXED;
		rv = parse_fixed(buf, file_len - INDEX_HEADER_LEN, out, e);
	} else if (memcmp(buf, dynamic_index_magic, MAGIC_LEN) == 0) {
		out->kind = INDEX_DYNAMIC;
		rv = parse_dynamic(file_len - INDEX_HEADER_LEN, out, e);
	} else {
		rv = err_set(e, ERR_CORRUPT, "index has a wrong magic number");
	}
	if (rv == 0 && out->count == 0)
		rv = err_set(e, ERR_CORRUPT, "index has no entries");
	return rv;
}

/* Every byte of the view comes through here. */
static int
read_at(const struct index_view *v, uint64_t off, void *buf, size_t len,
    struct err *e)
{
	if (off > v->file_len || len > v->file_len - off)
		return err_set(e, ERR_CORRUPT, "read beyond the index");
	if (v->map != NULL) {
		memcpy(buf, v->map + off, len);
		return 0;
	}
	if (v->read != NULL)
		return v->read(v->read_arg, off, buf, len, e);
	return io_pread_full(v->fd, buf, len, (off_t)off, e);
}

static uint64_t
entry_pos(const struct index_view *v, uint64_t i)
{
	return INDEX_HEADER_LEN + i * entry_len(v->kind);
}

static int
open_view(struct index_view *v, struct err *e)
{
	uint8_t buf[INDEX_HEADER_LEN], last[8];

	if (v->file_len < INDEX_HEADER_LEN)
		return err_set(e, ERR_CORRUPT, "index too small");
	if (read_at(v, 0, buf, sizeof(buf), e) < 0 ||
	    index_header_parse(buf, v->file_len, &v->header, e) < 0)
		return -1;
	v->kind = v->header.kind;
	v->count = v->header.count;
	v->chunk_size = v->header.chunk_size;
	v->size = v->header.size;
	if (v->kind == INDEX_FIXED)
		return 0;
	if (read_at(v, entry_pos(v, v->count - 1), last, sizeof(last), e) < 0)
		return -1;
	v->size = get_le64(last);
	return 0;
}

int
index_open_fd(struct index_view *v, int fd, struct err *e)
{
	struct stat st;

	memset(v, 0, sizeof(*v));
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "fstat");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_CORRUPT, "index is not a regular file");
	v->fd = fd;
	v->file_len = (uint64_t)st.st_size;
	return open_view(v, e);
}

int
index_open_map(struct index_view *v, const void *map, size_t len, struct err *e)
{
	memset(v, 0, sizeof(*v));
	v->fd = -1;
	v->map = map;
	v->file_len = len;
	return open_view(v, e);
}

int
index_open_read(struct index_view *v, uint64_t file_len, index_read_fn *read,
    void *arg, struct err *e)
{
	memset(v, 0, sizeof(*v));
	v->fd = -1;
	v->read = read;
	v->read_arg = arg;
	v->file_len = file_len;
	return open_view(v, e);
}

static int
check_range(const struct index_view *v, uint64_t i,
    const struct index_entry *entry, struct err *e)
{
	if (entry->end <= entry->start || entry->end > v->size ||
	    entry->end - entry->start > INDEX_CHUNK_MAX)
		return err_set(e, ERR_CORRUPT,
		    "index entry %" PRIu64 " has an impossible offset", i);
	return 0;
}

/* n entries from their bytes; start is the end of the entry before. */
static int
decode(const struct index_view *v, const uint8_t *bytes, uint64_t first,
    size_t n, uint64_t start, struct index_entry *out, struct err *e)
{
	size_t i;

	for (i = 0; i < n; i++) {
		out[i].start = start;
		if (v->kind == INDEX_FIXED) {
			memcpy(out[i].digest.b, bytes, DIGEST_LEN);
			out[i].end = v->size - start > v->chunk_size
			    ? start + v->chunk_size
			    : v->size;
		} else {
			dynamic_index_get_entry(bytes, &out[i].end,
			    &out[i].digest);
		}
		if (check_range(v, first + i, &out[i], e) < 0)
			return -1;
		start = out[i].end;
		bytes += entry_len(v->kind);
	}
	return 0;
}

static int
start_of(const struct index_view *v, uint64_t i, uint64_t *out, struct err *e)
{
	uint8_t end[8];

	if (v->kind == INDEX_FIXED || i == 0) {
		*out = i * v->chunk_size;
		return 0;
	}
	if (read_at(v, entry_pos(v, i - 1), end, sizeof(end), e) < 0)
		return -1;
	*out = get_le64(end);
	return 0;
}

int
index_get_entries(const struct index_view *v, uint64_t first, size_t n,
    struct index_entry *out, struct err *e)
{
	uint8_t bytes[BATCH * DYNAMIC_INDEX_ENTRY_LEN];
	uint64_t start;
	size_t part;

	if (first > v->count || n > v->count - first)
		return err_set(e, ERR_INVALID, "no such index entry");
	if (n > 0 && start_of(v, first, &start, e) < 0)
		return -1;
	for (; n > 0; n -= part, first += part, out += part) {
		part = MIN(n, (size_t)BATCH);
		if (read_at(v, entry_pos(v, first), bytes,
			part * entry_len(v->kind), e) < 0 ||
		    decode(v, bytes, first, part, start, out, e) < 0)
			return -1;
		start = out[part - 1].end;
	}
	return 0;
}

int
index_get_entry(const struct index_view *v, uint64_t i, struct index_entry *out,
    struct err *e)
{
	return index_get_entries(v, i, 1, out, e);
}

int
index_find(const struct index_view *v, uint64_t offset, uint64_t *i_out,
    struct err *e)
{
	uint64_t low = 0, high = v->count - 1, mid;
	struct index_entry entry;

	if (offset >= v->size)
		return err_set(e, ERR_INVALID, "offset beyond the archive");
	if (v->kind == INDEX_FIXED) {
		*i_out = offset / v->chunk_size;
		return 0;
	}
	/* First entry whose end lies behind the offset. */
	while (low < high) {
		mid = low + (high - low) / 2;
		if (index_get_entry(v, mid, &entry, e) < 0)
			return -1;
		if (entry.end > offset)
			high = mid;
		else
			low = mid + 1;
	}
	*i_out = low;
	return 0;
}

int
index_csum(const struct index_view *v, struct digest *out, struct err *e)
{
	struct digest_ctx *ctx = digest_ctx_new();
	uint8_t bytes[BATCH * DYNAMIC_INDEX_ENTRY_LEN];
	struct index_entry entries[BATCH];
	uint64_t i, start = 0;
	size_t n, len;
	int rv = -1;

	for (i = 0; i < v->count; i += n) {
		n = (size_t)MIN(v->count - i, (uint64_t)BATCH);
		len = n * entry_len(v->kind);
		if (read_at(v, entry_pos(v, i), bytes, len, e) < 0 ||
		    decode(v, bytes, i, n, start, entries, e) < 0)
			goto out;
		start = entries[n - 1].end;
		digest_update(ctx, bytes, len);
	}
	digest_final(ctx, out);
	rv = 0;
out:
	digest_ctx_free(ctx);
	return rv;
}

void
index_put_header(uint8_t out[INDEX_HEADER_LEN], const uint8_t magic[8],
    const uint8_t uuid[INDEX_UUID_LEN], int64_t ctime,
    const struct digest *csum)
{
	memset(out, 0, INDEX_HEADER_LEN);
	memcpy(out, magic, MAGIC_LEN);
	memcpy(out + INDEX_POS_UUID, uuid, INDEX_UUID_LEN);
	put_le64(out + INDEX_POS_CTIME, (uint64_t)ctime);
	if (csum != NULL)
		memcpy(out + INDEX_POS_CSUM, csum->b, DIGEST_LEN);
}

int
index_csum_fd(int fd, uint64_t len, struct digest *out, struct err *e)
{
	struct digest_ctx *ctx = digest_ctx_new();
	uint64_t pos = INDEX_HEADER_LEN;
	uint8_t buf[32768];
	int rv = -1;
	size_t n;

	for (; len > 0; len -= n, pos += n) {
		n = (size_t)MIN(len, (uint64_t)sizeof(buf));
		if (io_pread_full(fd, buf, n, (off_t)pos, e) < 0)
			goto out;
		digest_update(ctx, buf, n);
	}
	digest_final(ctx, out);
	rv = 0;
out:
	digest_ctx_free(ctx);
	return rv;
}
