#ifndef SERVER_KNOWN_CHUNKS_H
#define SERVER_KNOWN_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest_map.h"
#include "common/format/digest.h"
#include "common/format/names.h"

struct err;

/*
 * The chunks that a session may refer to (wire-protocol 4.3.4, 5.2), each
 * with the place where the validator will find the same digest: a number in
 * the session's deposit log, or an entry of an index file that the validator
 * opened.  Index files stay mapped and are not copied: a chunk of theirs
 * costs at most 11 bytes here, an uploaded one 32 more.
 */
struct known_source {
	uint32_t file; /* IPC_SOURCE_DEPOSIT, or the file's number */
	uint32_t position;
};

struct known_file;

struct known_chunks {
	struct digest_map map;
	uint8_t **pages; /* digests of deposits, KNOWN_PAGE each */
	uint32_t page_count;
	struct known_file *files; /* in order of first_ref */
	uint32_t file_count;
	uint32_t file_refs; /* entries of all files */
};

void known_init(struct known_chunks *k);
void known_fini(struct known_chunks *k);

/* A deposit that the validator stored. ERR_LIMIT, ERR_NOMEM. */
int known_add_deposit(struct known_chunks *k, uint32_t number,
    const struct digest *d, struct err *e);

/*
 * Maps an index file (fd stays the caller's) and checks its header and
 * length.  Its chunks become known by known_file_step(), a bounded number at
 * a time: 1 there are more, 0 all are known, -1.  A file that was added
 * before is just found again.
 */
int known_add_file(struct known_chunks *k, uint32_t file,
    enum archive_kind kind, int fd, uint64_t size, struct err *e);
int known_file_step(struct known_chunks *k, uint32_t file, struct err *e);

bool known_get(const struct known_chunks *k, const struct digest *d,
    struct known_source *out);

#endif
