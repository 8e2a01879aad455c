#ifndef VALIDATOR_STORE_INDEX_WRITER_H
#define VALIDATOR_STORE_INDEX_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/format/index.h"
#include "common/format/names.h"

struct err;

/*
 * Growing indexes in a session folder (datastore-format 3, 5.4 to 5.6;
 * wire-protocol 4.5).  Only the validator writes them.  Error texts are those
 * that clients know.  All block; one call at a time for each writer.
 */
struct index_writer;

/* Lives in the session page, so that it survives a SIGKILL; zero at first. */
struct index_writer_state {
	uint64_t count; /* entries appended, each counted once */
	uint64_t end;   /* dynamic: end of the archive */
};

struct index_writer_opts {
	int dirfd; /* session folder; lent while the writer lives */
	enum index_kind kind;
	const char *name; /* archive name; copied */
	uint64_t size;    /* fixed: of the image, at least 1 */
	/* Fixed: start as a copy of the base's index; -1 if not.  Only used
	 * by index_writer_create(). */
	int base_fd;
	struct digest reuse_csum;
	bool reuse; /* is incremental; set with base_fd and when reopened */
	struct index_writer_state *state; /* lent */
};

struct index_append {
	uint64_t start;
	uint32_t length; /* from the validator's own record */
	struct digest digest;
};

/* A new one; ERR_EXISTS if the name was used before in this session. */
int index_writer_create(struct index_writer **out,
    const struct index_writer_opts *o, struct err *e);
/* After a restart.  One that was closed already is accepted: its close can be
 * repeated. */
int index_writer_reopen(struct index_writer **out,
    const struct index_writer_opts *o, struct err *e);
/* Closes; the file stays (it goes with the session folder). */
void index_writer_free(struct index_writer **w);

uint64_t index_writer_count(const struct index_writer *w);
uint64_t index_writer_end(const struct index_writer *w);

/*
 * Appends entries first .. first + n - 1.  Those below the writer's count are
 * skipped, they came before; first above it is ERR_PROTO.  On failure the
 * entries in front of the failing one stay appended (index_writer_count()).
 */
int index_writer_append(struct index_writer *w, uint64_t first,
    const struct index_append *entries, size_t n, struct err *e);

/* Compares, then writes the header and renames; on failure the writer stays
 * open.  Repeating a close that succeeded is success if csum is the same.
 * size_out: of the archive. */
int index_writer_close(struct index_writer *w, uint64_t count, uint64_t size,
    const struct digest *csum, uint64_t *size_out, struct err *e);

#endif
