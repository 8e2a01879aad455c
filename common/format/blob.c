/*
 * Data blobs.  Runs in checkers and workers on bytes that a client made, and
 * in the client on bytes of a server: every length is checked before use,
 * and decompression never writes past what the caller allows.
 */
#include "config.h"

#include "common/format/blob.h"

#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include <isa-l/crc.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "common/err.h"
#include "common/format/le.h"
#include "common/log.h"
#include "common/mem.h"

#define BLOB_MAGIC_LEN 8
#define BLOB_CRC_POS 8
#define ZSTD_LEVEL 1
#define ZSTD_FRAME_MAGIC 0xfd2fb528u
#define ZSTD_SKIPPABLE_MAGIC 0x184d2a50u
#define ZSTD_SKIPPABLE_MASK 0xfffffff0u

static const struct {
	uint8_t magic[BLOB_MAGIC_LEN];
	uint8_t header_len;
	bool encrypted;
	bool compressed;
} kinds[BLOB_KIND_COUNT] = {
    [BLOB_PLAIN] = {{0x42, 0xab, 0x38, 0x07, 0xbe, 0x83, 0x70, 0xa1},
	BLOB_HEADER_LEN, false, false},
    [BLOB_ZSTD] = {{0x31, 0xb9, 0x58, 0x42, 0x6f, 0xb6, 0xa3, 0x7f},
	BLOB_HEADER_LEN, false, true},
    [BLOB_ENCRYPTED] = {{0x7b, 0x67, 0x85, 0xbe, 0x22, 0x2d, 0x4c, 0xf0},
	BLOB_ENCRYPTED_HEADER_LEN, true, false},
    [BLOB_ENCRYPTED_ZSTD] = {{0xe6, 0x59, 0x1b, 0xbf, 0x0b, 0xbf, 0xd8, 0x0b},
	BLOB_ENCRYPTED_HEADER_LEN, true, true},
};

struct blob_codec {
	ZSTD_CCtx *compress;
	ZSTD_DCtx *decompress;
};

bool
blob_kind_encrypted(enum blob_kind kind)
{
	return kinds[kind].encrypted;
}

bool
blob_kind_compressed(enum blob_kind kind)
{
	return kinds[kind].compressed;
}

int
blob_parse(const void *data, size_t len, struct blob_info *out, struct err *e)
{
	const uint8_t *p = data;
	int i;

	if (len < BLOB_HEADER_LEN)
		return err_set(e, ERR_CORRUPT, "blob too small (%zu bytes).",
		    len);
	for (i = 0; i < BLOB_KIND_COUNT; i++) {
		if (memcmp(p, kinds[i].magic, BLOB_MAGIC_LEN) == 0)
			break;
	}
	if (i == BLOB_KIND_COUNT)
		return err_set(e, ERR_CORRUPT,
		    "unable to parse raw blob - wrong magic");
	if (len < kinds[i].header_len)
		return err_set(e, ERR_CORRUPT,
		    "encrypted blob too small (%zu bytes).", len);
	out->kind = (enum blob_kind)i;
	out->header_len = kinds[i].header_len;
	out->payload = p + out->header_len;
	out->payload_len = len - out->header_len;
	out->crc = get_le32(p + BLOB_CRC_POS);
	return 0;
}

uint32_t
blob_crc32(uint32_t crc, const void *data, size_t len)
{
	return crc32_gzip_refl(crc, data, len);
}

int
blob_expect_crc(const struct blob_info *info, uint32_t crc, struct err *e)
{
	if (crc != info->crc)
		return err_set(e, ERR_CORRUPT,
		    "Data blob has wrong CRC checksum.");
	return 0;
}

int
blob_check_crc(const struct blob_info *info, struct err *e)
{
	return blob_expect_crc(info,
	    blob_crc32(0, info->payload, info->payload_len), e);
}

void
blob_set_crc(uint8_t *data, uint32_t crc)
{
	put_le32(data + BLOB_CRC_POS, crc);
}

void
blob_put_header(uint8_t *data, size_t len, enum blob_kind kind)
{
	size_t header_len = kinds[kind].header_len;

	memcpy(data, kinds[kind].magic, BLOB_MAGIC_LEN);
	put_le32(data + BLOB_CRC_POS,
	    blob_crc32(0, data + header_len, len - header_len));
}

struct blob_codec *
blob_codec_new(void)
{
	struct blob_codec *codec = xcalloc(1, sizeof(*codec));

	codec->compress = ZSTD_createCCtx();
	codec->decompress = ZSTD_createDCtx();
	if (codec->compress == NULL || codec->decompress == NULL)
		fatal("format", "out of memory");
	return codec;
}

void
blob_codec_free(struct blob_codec *codec)
{
	if (codec == NULL)
		return;
	ZSTD_freeCCtx(codec->compress);
	ZSTD_freeDCtx(codec->decompress);
	free(codec);
}

static int
err_zstd(struct err *e, size_t code)
{
	return err_set(e, ERR_CORRUPT, "%s", ZSTD_getErrorName(code));
}

/* Only what zstd calls its format: the library would also hand the frames of
 * its old versions to decoders that nobody looks at any more. */
static bool
is_zstd_frame(const uint8_t *in, size_t len)
{
	uint32_t magic;

	if (len < 4)
		return false;
	magic = get_le32(in);
	return magic == ZSTD_FRAME_MAGIC ||
	    (magic & ZSTD_SKIPPABLE_MASK) == ZSTD_SKIPPABLE_MAGIC;
}

/* Frame after frame; the output itself serves as zstd's window, so no frame
 * can ask for more memory than cap. */
int
blob_decompress(struct blob_codec *codec, const void *in, size_t len, void *out,
    size_t cap, size_t *len_out, struct err *e)
{
	const uint8_t *p = in;
	uint8_t *to = out;
	size_t done = 0, frame, n;

	for (; len > 0; p += frame, len -= frame) {
		if (!is_zstd_frame(p, len))
			return err_set(e, ERR_CORRUPT,
			    "Unknown frame descriptor");
		frame = ZSTD_findFrameCompressedSize(p, len);
		if (ZSTD_isError(frame))
			return err_zstd(e, frame);
		n = ZSTD_decompressDCtx(codec->decompress, to + done,
		    cap - done, p, frame);
		if (ZSTD_isError(n)) {
			if (ZSTD_getErrorCode(n) == ZSTD_error_dstSize_tooSmall)
				return err_set(e, ERR_LIMIT,
				    "data is longer than %zu bytes", cap);
			return err_zstd(e, n);
		}
		done += n;
	}
	*len_out = done;
	return 0;
}

int
blob_compress(struct blob_codec *codec, const void *raw, size_t len, void *out,
    size_t cap, size_t *len_out, struct err *e)
{
	size_t n;

	*len_out = 0;
	if (len == 0)
		return 0;
	/* With no room for a result as long as the input, zstd stops as soon
	 * as compression does not pay. */
	n = ZSTD_compressCCtx(codec->compress, out, MIN(cap, len - 1), raw, len,
	    ZSTD_LEVEL);
	if (!ZSTD_isError(n))
		*len_out = n;
	else if (ZSTD_getErrorCode(n) != ZSTD_error_dstSize_tooSmall)
		return err_set(e, ERR_INTERNAL, "zstd: %s",
		    ZSTD_getErrorName(n));
	return 0;
}

static int
check_unencrypted(const struct blob_info *info, struct err *e)
{
	if (blob_kind_encrypted(info->kind))
		return err_set(e, ERR_INVALID,
		    "cannot decode an encrypted blob without its key");
	return 0;
}

int
blob_decode(struct blob_codec *codec, const struct blob_info *info, void *buf,
    size_t cap, const uint8_t **data_out, size_t *len_out, struct err *e)
{
	if (check_unencrypted(info, e) < 0)
		return -1;
	if (info->kind == BLOB_PLAIN) {
		if (info->payload_len > cap)
			return err_set(e, ERR_LIMIT,
			    "data is longer than %zu bytes", cap);
		*data_out = info->payload;
		*len_out = info->payload_len;
		return 0;
	}
	*data_out = buf;
	return blob_decompress(codec, info->payload, info->payload_len, buf,
	    cap, len_out, e);
}

int
blob_decode_dup(struct blob_codec *codec, const struct blob_info *info,
    size_t limit, uint8_t **data_out, size_t *len_out, struct err *e)
{
	const uint8_t *data;
	uint8_t *buf;
	size_t cap = limit;

	if (info->kind == BLOB_PLAIN)
		cap = MIN(limit, info->payload_len);
	if ((buf = malloc(cap + 1)) == NULL)
		return err_set(e, ERR_NOMEM, "no memory for a blob");
	if (blob_decode(codec, info, buf, limit, &data, len_out, e) < 0) {
		free(buf);
		return -1;
	}
	if (data != buf)
		memcpy(buf, data, *len_out);
	*data_out = xreallocarray(buf, *len_out + 1, 1);
	return 0;
}

size_t
blob_encode_bound(size_t len)
{
	return BLOB_HEADER_LEN + len;
}

int
blob_encode(struct blob_codec *codec, const void *raw, size_t len,
    bool compress, uint8_t *out, size_t cap, size_t *len_out, struct err *e)
{
	size_t n = 0;

	if (len > BLOB_RAW_MAX || cap < blob_encode_bound(len))
		return err_set(e, ERR_LIMIT, "no room to encode %zu bytes",
		    len);
	if (compress &&
	    blob_compress(codec, raw, len, out + BLOB_HEADER_LEN,
		cap - BLOB_HEADER_LEN, &n, e) < 0)
		return -1;
	if (n == 0 && len > 0)
		memcpy(out + BLOB_HEADER_LEN, raw, len);
	*len_out = BLOB_HEADER_LEN + (n > 0 ? n : len);
	blob_put_header(out, *len_out, n > 0 ? BLOB_ZSTD : BLOB_PLAIN);
	return 0;
}
