#ifndef SERVER_FILE_ARCHIVE_H
#define SERVER_FILE_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>

#include "common/format/index.h"
#include "server/file_job.h"
#include "server/pack.h"

struct blob_codec;
struct digest_ctx;
struct manifest;

/*
 * The decoded bytes of an archive, anywhere, from its index and chunks; for
 * the function of a file_job.  A few chunks are kept.  Every chunk is proven
 * to be what the index says.
 */
#define FILE_ARCHIVE_CHUNKS 4

struct file_archive {
	struct file_job *job;
	struct file_job_file file;
	struct index_view index;
	struct blob_codec *codec;
	struct digest_ctx *digest;
	uint64_t clock;
	struct file_chunk {
		uint64_t start, end; /* empty if equal */
		uint64_t used;
		uint8_t *data;
	} chunks[FILE_ARCHIVE_CHUNKS];
};

int file_archive_open(struct file_archive *a, struct file_job *j,
    const char *name, struct err *e);
/* Also after a failed or without an open, if zeroed. */
void file_archive_fini(struct file_archive *a);
uint64_t file_archive_size(const struct file_archive *a);
/* Exactly len bytes at off; arg is the archive (pxar_read_at_fn and
 * catalog_read_at_fn). */
int file_archive_read_at(void *arg, uint64_t off, void *buf, size_t len,
    struct err *e);
/* len bytes at off, piece by piece, to write(). */
int file_archive_copy(struct file_archive *a, uint64_t off, uint64_t len,
    pack_write_fn *write, void *arg, struct err *e);

/* The whole content of a blob file, unencrypted; the caller frees. */
int file_blob_read(struct file_job *j, const char *name, uint8_t **data_out,
    size_t *len_out, struct err *e);
/* The manifest of the job's snapshot; manifest_free(). */
int file_manifest_read(struct file_job *j, struct manifest **out,
    struct err *e);

#endif
