#ifndef COMMON_FORMAT_BLOB_H
#define COMMON_FORMAT_BLOB_H

/*
 * Data blobs: the container of every chunk and of every .blob file
 * (datastore-format 2).  The texts of errors are those that clients know
 * (wire-protocol 4.4.1).  Encryption is in crypt.h: a server has no key.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOB_HEADER_LEN 12
#define BLOB_ENCRYPTED_HEADER_LEN 44
#define BLOB_IV_LEN 16
#define BLOB_TAG_LEN 16
#define CHUNK_RAW_MAX (16u << 20)
/* Longest chunk or blob on the wire and in the store. */
#define BLOB_ENCODED_MAX (CHUNK_RAW_MAX + BLOB_ENCRYPTED_HEADER_LEN)
#define CHUNK_ENCODED_MIN 13 /* a chunk holds at least one byte */
#define BLOB_RAW_MAX (128u << 20)

struct err;

/* CRC-32 (as of gzip and zip) of more bytes behind those of crc; 0 at first. */
uint32_t blob_crc32(uint32_t crc, const void *data, size_t len);

enum blob_kind {
	BLOB_PLAIN,
	BLOB_ZSTD,
	BLOB_ENCRYPTED,
	BLOB_ENCRYPTED_ZSTD,
	BLOB_KIND_COUNT
};

/* Points into the bytes that were parsed. */
struct blob_info {
	enum blob_kind kind;
	size_t header_len;
	const uint8_t *payload;
	size_t payload_len;
	uint32_t crc; /* as the header says */
};

/* Reusable zstd contexts; no allocation per blob once warm. */
struct blob_codec;

bool blob_kind_encrypted(enum blob_kind kind);
bool blob_kind_compressed(enum blob_kind kind);

/* Length and magic; the CRC is not looked at.  ERR_CORRUPT. */
int blob_parse(const void *data, size_t len, struct blob_info *out,
    struct err *e);
/* "Data blob has wrong CRC checksum."  ERR_CORRUPT. */
int blob_check_crc(const struct blob_info *info, struct err *e);
/* The same for who has computed the payload's CRC. */
int blob_expect_crc(const struct blob_info *info, uint32_t crc, struct err *e);
/* Stores the payload's CRC in the header that data begins with. */
void blob_set_crc(uint8_t *data, uint32_t crc);
/* Writes magic and CRC in front of a payload that is already at its place;
 * IV and tag of the encrypted kinds too, and must be set before. */
void blob_put_header(uint8_t *data, size_t len, enum blob_kind kind);

struct blob_codec *blob_codec_new(void);
void blob_codec_free(struct blob_codec *codec);

/*
 * Raw data of an unencrypted blob.  *data_out points to the payload itself
 * for a plain blob, else to buf, which takes at most cap bytes: more is
 * ERR_LIMIT, however small the compressed form.  Broken zstd is ERR_CORRUPT
 * "Unknown frame descriptor" (or zstd's text); an encrypted blob is
 * ERR_INVALID.
 */
int blob_decode(struct blob_codec *codec, const struct blob_info *info,
    void *buf, size_t cap, const uint8_t **data_out, size_t *len_out,
    struct err *e);
/* The same into memory of its own, at most limit bytes; the caller frees
 * *data_out. */
int blob_decode_dup(struct blob_codec *codec, const struct blob_info *info,
    size_t limit, uint8_t **data_out, size_t *len_out, struct err *e);

/* Room that blob_encode() needs for len bytes of raw data. */
size_t blob_encode_bound(size_t len);
/* zstd level 1 if wanted and smaller, else plain.  cap >= the bound. */
int blob_encode(struct blob_codec *codec, const void *raw, size_t len,
    bool compress, uint8_t *out, size_t cap, size_t *len_out, struct err *e);

/* The two halves for crypt.c.  blob_compress() gives 0 in *len_out when the
 * result would not be smaller; blob_decompress() takes concatenated frames
 * up to the end of the input. */
int blob_compress(struct blob_codec *codec, const void *raw, size_t len,
    void *out, size_t cap, size_t *len_out, struct err *e);
int blob_decompress(struct blob_codec *codec, const void *in, size_t len,
    void *out, size_t cap, size_t *len_out, struct err *e);

#endif
