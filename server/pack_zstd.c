/*
 * zstd around a stream of unknown length: one frame for each piece, which
 * every decoder reads as one stream (RFC 8878, 3.1).  Runs in a worker.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "common/err.h"
#include "common/format/blob.h"
#include "common/format/le.h"
#include "common/mem.h"
#include "server/pack.h"

#define PIECE_LEN (128u << 10) /* also the longest block */
#define FRAME_HEAD_LEN 12      /* of a frame with one raw block */
#define FRAME_MAGIC 0xfd2fb528u
/* Single segment, content size in four bytes, no checksum. */
#define FRAME_DESCRIPTOR 0xa0
#define BLOCK_LAST_RAW 0x1u

struct pack_zstd {
	pack_write_fn *write;
	void *arg;
	struct blob_codec *codec;
	size_t len;
	uint8_t piece[PIECE_LEN];
	uint8_t frame[FRAME_HEAD_LEN + PIECE_LEN];
};

struct pack_zstd *
pack_zstd_new(pack_write_fn *write, void *arg)
{
	struct pack_zstd *z = xcalloc(1, sizeof(*z));

	z->write = write;
	z->arg = arg;
	z->codec = blob_codec_new();
	return z;
}

void
pack_zstd_free(struct pack_zstd *z)
{
	if (z == NULL)
		return;
	blob_codec_free(z->codec);
	free(z);
}

/* A frame that holds the piece as it is. */
static size_t
raw_frame(struct pack_zstd *z)
{
	uint32_t block = (uint32_t)z->len << 3 | BLOCK_LAST_RAW;

	put_le32(z->frame, FRAME_MAGIC);
	z->frame[4] = FRAME_DESCRIPTOR;
	put_le32(z->frame + 5, (uint32_t)z->len);
	z->frame[9] = (uint8_t)block;
	z->frame[10] = (uint8_t)(block >> 8);
	z->frame[11] = (uint8_t)(block >> 16);
	memcpy(z->frame + FRAME_HEAD_LEN, z->piece, z->len);
	return FRAME_HEAD_LEN + z->len;
}

static int
flush_piece(struct pack_zstd *z, struct err *e)
{
	size_t n;

	if (blob_compress(z->codec, z->piece, z->len, z->frame,
		sizeof(z->frame), &n, e) == -1)
		return -1;
	if (n == 0)
		n = raw_frame(z);
	z->len = 0;
	return z->write(z->arg, z->frame, n, e);
}

int
pack_zstd_write(void *arg, const void *p, size_t len, struct err *e)
{
	struct pack_zstd *z = arg;
	const uint8_t *bytes = p;
	size_t n;

	for (; len > 0; bytes += n, len -= n) {
		n = MIN(len, PIECE_LEN - z->len);
		memcpy(z->piece + z->len, bytes, n);
		z->len += n;
		if (z->len == PIECE_LEN && flush_piece(z, e) == -1)
			return -1;
	}
	return 0;
}

int
pack_zstd_finish(struct pack_zstd *z, struct err *e)
{
	return z->len > 0 ? flush_piece(z, e) : 0;
}
