#ifndef COMMON_FORMAT_DYNAMIC_INDEX_H
#define COMMON_FORMAT_DYNAMIC_INDEX_H

/*
 * Writing dynamic indexes (.didx, datastore-format 3.2): the bytes.  The
 * checksum is SHA-256 over all entry bytes in order: feed each entry to a
 * digest_ctx, or use dynamic_index_csum_fd().
 */

#include "common/format/index.h"

#define DYNAMIC_INDEX_ENTRY_LEN (8 + DIGEST_LEN)

extern const uint8_t dynamic_index_magic[8];

/* csum NULL: zeros, for a file that is not complete. */
void dynamic_index_put_header(uint8_t out[INDEX_HEADER_LEN],
    const uint8_t uuid[INDEX_UUID_LEN], int64_t ctime,
    const struct digest *csum);
/* end: offset after the chunk. */
void dynamic_index_put_entry(uint8_t out[DYNAMIC_INDEX_ENTRY_LEN], uint64_t end,
    const struct digest *d);
void dynamic_index_get_entry(const uint8_t in[DYNAMIC_INDEX_ENTRY_LEN],
    uint64_t *end_out, struct digest *d_out);
uint64_t dynamic_index_entry_pos(uint64_t i);
int dynamic_index_csum_fd(int fd, uint64_t n, struct digest *out,
    struct err *e);

#endif
