/*
 * Listings for workers: records in a memory file, filled in a store thread
 * through a buffer.  What it holds was read from a store, so no size in it is
 * trusted; too much is an error, never memory without end.
 */
#include "config.h"

#include "validator/store/record_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"

#define BUFFER_LEN ((size_t)256 << 10)

struct record_file {
	int fd;
	uint64_t size; /* in the file, without the buffer */
	struct wire_w buf;
	uint8_t *mem;
	struct err err; /* the first */
};

struct record_file *
record_file_new(void)
{
	struct record_file *f = xcalloc(1, sizeof(*f));

	f->mem = xmalloc(BUFFER_LEN);
	wire_w_init(&f->buf, f->mem, BUFFER_LEN);
	f->fd = io_memfd("holdfast-records", 0, 0, &f->err);
	return f;
}

void
record_file_free(struct record_file **fp)
{
	struct record_file *f = *fp;

	if (f == NULL)
		return;
	*fp = NULL;
	io_close(&f->fd);
	free(f->mem);
	free(f);
}

static void
flush(struct record_file *f, const uint8_t *data, size_t len)
{
	if (f->err.code != ERR_OK || len == 0)
		return;
	if (f->size + len > RECORD_FILE_MAX) {
		err_set(&f->err, ERR_LIMIT, "listing is too long");
		return;
	}
	if (io_write_full(f->fd, data, len, &f->err) == 0)
		f->size += len;
}

static void
flush_buffer(struct record_file *f)
{
	flush(f, f->mem, (size_t)(f->buf.p - f->buf.start));
	wire_w_init(&f->buf, f->mem, BUFFER_LEN);
}

/* What is longer than the buffer (a manifest) goes by a block of its own. */
#define RECORD_KIND(NAME)                                                  \
	void record_file_put_##NAME(struct record_file *f,                 \
	    const struct rec_##NAME *rec)                                  \
	{                                                                  \
		uint8_t *start = f->buf.p;                                 \
		struct wire_w big;                                         \
		uint8_t *mem;                                              \
		if (f->err.code != ERR_OK ||                               \
		    rec_put_##NAME(&f->buf, rec) == 0)                     \
			return;                                            \
		f->buf.p = start;                                          \
		f->buf.error = 0;                                          \
		flush_buffer(f);                                           \
		mem = malloc(REC_MAX_##NAME);                              \
		if (mem == NULL) {                                         \
			err_set(&f->err, ERR_NOMEM, "out of memory");      \
			return;                                            \
		}                                                          \
		wire_w_init(&big, mem, REC_MAX_##NAME);                    \
		if (rec_put_##NAME(&big, rec) == -1)                       \
			err_set(&f->err, ERR_LIMIT, #NAME " is too long"); \
		flush(f, mem, (size_t)(big.p - big.start));                \
		free(mem);                                                 \
	}
#include "common/record_kinds.def"
#undef RECORD_KIND

int
record_file_finish(struct record_file *f, int *fd_out, uint64_t *size_out,
    struct err *e)
{
	flush_buffer(f);
	if (f->err.code == ERR_OK &&
	    fcntl(f->fd, F_ADD_SEALS,
		F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == -1)
		err_errno(&f->err, errno, "seal a listing");
	if (f->err.code != ERR_OK) {
		if (e != NULL)
			*e = f->err;
		return -1;
	}
	*fd_out = f->fd;
	*size_out = f->size;
	f->fd = -1;
	return 0;
}
