#ifndef COMMON_FORMAT_INDEX_INT_H
#define COMMON_FORMAT_INDEX_INT_H

/* Shared by index.c and the writers of both kinds. */

#include "common/format/index.h"

enum { /* positions in the header, 3.1 and 3.2 */
	INDEX_POS_UUID = 8,
	INDEX_POS_CTIME = 24,
	INDEX_POS_CSUM = 32,
	INDEX_POS_SIZE = 64,
	INDEX_POS_CHUNK_SIZE = 72
};

/* The fields that both kinds have; the rest becomes zero. */
void index_put_header(uint8_t out[INDEX_HEADER_LEN], const uint8_t magic[8],
    const uint8_t uuid[INDEX_UUID_LEN], int64_t ctime,
    const struct digest *csum);
/* SHA-256 of len bytes behind the header, in bounded memory. */
int index_csum_fd(int fd, uint64_t len, struct digest *out, struct err *e);

#endif
