/*
 * Bytes of fixed indexes.  The validator writes them, entry by entry, from
 * its own records.
 */
#include "config.h"

#include "common/format/fixed_index.h"

#include "common/err.h"
#include "common/format/index_int.h"
#include "common/format/le.h"

const uint8_t fixed_index_magic[8] = {0x2f, 0x7f, 0x41, 0xed, 0x91, 0xfd, 0x0f,
    0xcd};

void
fixed_index_put_header(uint8_t out[INDEX_HEADER_LEN],
    const uint8_t uuid[INDEX_UUID_LEN], int64_t ctime,
    const struct digest *csum, uint64_t size, uint64_t chunk_size)
{
	index_put_header(out, fixed_index_magic, uuid, ctime, csum);
	put_le64(out + INDEX_POS_SIZE, size);
	put_le64(out + INDEX_POS_CHUNK_SIZE, chunk_size);
}

uint64_t
fixed_index_count(uint64_t size, uint64_t chunk_size)
{
	return size / chunk_size + (size % chunk_size != 0);
}

uint64_t
fixed_index_entry_pos(uint64_t i)
{
	return INDEX_HEADER_LEN + i * FIXED_INDEX_ENTRY_LEN;
}

int
fixed_index_csum_fd(int fd, uint64_t n, struct digest *out, struct err *e)
{
	return index_csum_fd(fd, n * FIXED_INDEX_ENTRY_LEN, out, e);
}
