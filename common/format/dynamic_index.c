/*
 * Bytes of dynamic indexes.  The validator writes them, entry by entry, from
 * its own records.
 */
#include "config.h"

#include "common/format/dynamic_index.h"

#include <string.h>

#include "common/err.h"
#include "common/format/index_int.h"
#include "common/format/le.h"

const uint8_t dynamic_index_magic[8] = {0x1c, 0x91, 0x4e, 0xa5, 0x19, 0xba,
    0xb3, 0xcd};

void
dynamic_index_put_header(uint8_t out[INDEX_HEADER_LEN],
    const uint8_t uuid[INDEX_UUID_LEN], int64_t ctime,
    const struct digest *csum)
{
	index_put_header(out, dynamic_index_magic, uuid, ctime, csum);
}

void
dynamic_index_put_entry(uint8_t out[DYNAMIC_INDEX_ENTRY_LEN], uint64_t end,
    const struct digest *d)
{
	put_le64(out, end);
	memcpy(out + 8, d->b, DIGEST_LEN);
}

void
dynamic_index_get_entry(const uint8_t in[DYNAMIC_INDEX_ENTRY_LEN],
    uint64_t *end_out, struct digest *d_out)
{
	*end_out = get_le64(in);
	memcpy(d_out->b, in + 8, DIGEST_LEN);
}

uint64_t
dynamic_index_entry_pos(uint64_t i)
{
	return INDEX_HEADER_LEN + i * DYNAMIC_INDEX_ENTRY_LEN;
}

int
dynamic_index_csum_fd(int fd, uint64_t n, struct digest *out, struct err *e)
{
	return index_csum_fd(fd, n * DYNAMIC_INDEX_ENTRY_LEN, out, e);
}
