#ifndef COMMON_FORMAT_FIXED_INDEX_H
#define COMMON_FORMAT_FIXED_INDEX_H

/*
 * Writing fixed indexes (.fidx, datastore-format 3.1): the bytes; where and
 * when they are written is the caller's affair.  Entry i is the digest
 * itself, at fixed_index_entry_pos(i).
 */

#include "common/format/index.h"

#define FIXED_INDEX_ENTRY_LEN DIGEST_LEN
#define FIXED_INDEX_CHUNK_SIZE (4u << 20) /* of every backup over the API */

extern const uint8_t fixed_index_magic[8];

/* csum NULL: zeros, for a file that is not complete. */
void fixed_index_put_header(uint8_t out[INDEX_HEADER_LEN],
    const uint8_t uuid[INDEX_UUID_LEN], int64_t ctime,
    const struct digest *csum, uint64_t size, uint64_t chunk_size);
/* ceil(size / chunk_size), without overflow; chunk_size > 0. */
uint64_t fixed_index_count(uint64_t size, uint64_t chunk_size);
uint64_t fixed_index_entry_pos(uint64_t i);
/* SHA-256 of n digests in a row, read from a descriptor in bounded memory,
 * starting at entry 0; for an index that is being written. */
int fixed_index_csum_fd(int fd, uint64_t n, struct digest *out, struct err *e);

#endif
