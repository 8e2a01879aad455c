/*
 * Archives of a snapshot, decoded for their reader.  Runs in a worker, in a
 * coroutine; index, chunks and blobs were made by a client: sizes are
 * limited before anything is read.
 */
#include "config.h"

#include "server/file_archive.h"

#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "common/err.h"
#include "common/format/blob.h"
#include "common/format/manifest.h"
#include "common/io.h"
#include "common/mem.h"

/* --- chunks -------------------------------------------------------------- */

/* The stored bytes of a file of limited length; the caller frees. */
static int
read_stored(int fd, uint64_t size, uint8_t **out, struct err *e)
{
	uint8_t *data;

	if (size > BLOB_ENCODED_MAX)
		return err_set(e, ERR_LIMIT, "stored blob is too long");
	data = malloc(size > 0 ? (size_t)size : 1);
	if (data == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (io_pread_full(fd, data, (size_t)size, 0, e) == -1) {
		free(data);
		return -1;
	}
	*out = data;
	return 0;
}

/* Stored bytes into the chunk that an entry of the index names. */
static int
decode_chunk(struct file_archive *a, const struct index_entry *entry,
    const uint8_t *stored, size_t stored_len, uint8_t **out, struct err *e)
{
	size_t want = (size_t)(entry->end - entry->start), len;
	struct blob_info info;
	struct digest d;

	if (blob_parse(stored, stored_len, &info, e) == -1 ||
	    blob_check_crc(&info, e) == -1 ||
	    blob_decode_dup(a->codec, &info, want, out, &len, e) == -1)
		return -1;
	digest_of(a->digest, *out, len, &d);
	if (len == want && digest_equal(&d, &entry->digest))
		return 0;
	free(*out);
	return err_set(e, ERR_CORRUPT, "chunk has a wrong digest or length");
}

static int
fetch_chunk(struct file_archive *a, uint64_t i, struct file_chunk *c,
    struct err *e)
{
	struct index_entry entry;
	uint8_t *stored = NULL;
	uint64_t size;
	int fd, rv = -1;

	if (index_get_entry(&a->index, i, &entry, e) == -1)
		return -1;
	if (entry.end - entry.start > CHUNK_RAW_MAX)
		return err_set(e, ERR_LIMIT, "chunk is too long");
	if (file_job_open_chunk(a->job, a->file.number, (uint32_t)i,
		entry.digest.b, &fd, &size, e) == -1)
		return -1;
	if (read_stored(fd, size, &stored, e) == -1)
		goto out;
	free(c->data);
	c->data = NULL;
	c->start = c->end = 0;
	if (decode_chunk(a, &entry, stored, (size_t)size, &c->data, e) == -1) {
		c->data = NULL;
		goto out;
	}
	c->start = entry.start;
	c->end = entry.end;
	rv = 0;
out:
	free(stored);
	io_close(&fd);
	return rv;
}

/* The chunk that covers a byte; lent until the next call. */
static struct file_chunk *
chunk_at(struct file_archive *a, uint64_t off, struct err *e)
{
	struct file_chunk *oldest = &a->chunks[0], *c;
	uint64_t i;

	for (c = a->chunks; c < a->chunks + FILE_ARCHIVE_CHUNKS; c++) {
		if (off >= c->start && off < c->end) {
			c->used = ++a->clock;
			return c;
		}
		if (c->used < oldest->used)
			oldest = c;
	}
	if (index_find(&a->index, off, &i, e) == -1)
		return NULL;
	oldest->used = ++a->clock;
	return fetch_chunk(a, i, oldest, e) == 0 ? oldest : NULL;
}

/* --- archives ------------------------------------------------------------ */

int
file_archive_open(struct file_archive *a, struct file_job *j, const char *name,
    struct err *e)
{
	memset(a, 0, sizeof(*a));
	a->job = j;
	if (file_job_open(j, name, &a->file, e) == -1)
		return -1;
	a->codec = blob_codec_new();
	a->digest = digest_ctx_new();
	if (a->file.kind == ARCHIVE_BLOB)
		return err_set(e, ERR_INVALID, "'%s' is not an archive", name);
	return index_open_fd(&a->index, a->file.fd, e);
}

void
file_archive_fini(struct file_archive *a)
{
	size_t i;

	if (a->job == NULL)
		return;
	for (i = 0; i < FILE_ARCHIVE_CHUNKS; i++)
		free(a->chunks[i].data);
	if (a->codec != NULL)
		blob_codec_free(a->codec);
	if (a->digest != NULL)
		digest_ctx_free(a->digest);
	io_close(&a->file.fd);
}

uint64_t
file_archive_size(const struct file_archive *a)
{
	return a->index.size;
}

int
file_archive_read_at(void *arg, uint64_t off, void *buf, size_t len,
    struct err *e)
{
	struct file_archive *a = arg;
	uint8_t *to = buf;
	struct file_chunk *c;
	size_t n;

	if (off > a->index.size || len > a->index.size - off)
		return err_set(e, ERR_CORRUPT, "archive ends too early");
	for (; len > 0; to += n, off += n, len -= n) {
		if ((c = chunk_at(a, off, e)) == NULL)
			return -1;
		n = (size_t)MIN((uint64_t)len, c->end - off);
		memcpy(to, c->data + (off - c->start), n);
	}
	return 0;
}

int
file_archive_copy(struct file_archive *a, uint64_t off, uint64_t len,
    pack_write_fn *write, void *arg, struct err *e)
{
	struct file_chunk *c;
	uint64_t n;

	if (off > a->index.size || len > a->index.size - off)
		return err_set(e, ERR_CORRUPT, "archive ends too early");
	for (; len > 0; off += n, len -= n) {
		if ((c = chunk_at(a, off, e)) == NULL)
			return -1;
		n = MIN(len, c->end - off);
		if (write(arg, c->data + (off - c->start), (size_t)n, e) == -1)
			return -1;
	}
	return 0;
}

/* --- blobs --------------------------------------------------------------- */

int
file_blob_read(struct file_job *j, const char *name, uint8_t **data_out,
    size_t *len_out, struct err *e)
{
	struct blob_codec *codec = blob_codec_new();
	struct file_job_file file;
	uint8_t *stored = NULL;
	struct blob_info info;
	int rv = -1;

	if (file_job_open(j, name, &file, e) == -1)
		goto out;
	if (read_stored(file.fd, file.size, &stored, e) == -1 ||
	    blob_parse(stored, (size_t)file.size, &info, e) == -1 ||
	    blob_check_crc(&info, e) == -1 ||
	    blob_decode_dup(codec, &info, BLOB_RAW_MAX, data_out, len_out, e) ==
		-1)
		goto out;
	rv = 0;
out:
	free(stored);
	io_close(&file.fd);
	blob_codec_free(codec);
	return rv;
}

int
file_manifest_read(struct file_job *j, struct manifest **out, struct err *e)
{
	uint8_t *json;
	size_t len;
	int rv;

	if (file_blob_read(j, MANIFEST_NAME, &json, &len, e) == -1)
		return -1;
	rv = manifest_parse(json, len, out, e);
	free(json);
	return rv;
}
