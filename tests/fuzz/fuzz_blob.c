/* Data blobs: layout, CRC, decoding into little room. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "common/format/blob.h"

#define ROOM (1 << 16)

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct blob_codec *codec;
	static uint8_t room[ROOM];
	const uint8_t *raw;
	struct blob_info info;
	uint8_t *copy, *dup;
	size_t raw_len;
	struct err e;

	if (codec == NULL)
		codec = blob_codec_new();
	if (blob_parse(data, len, &info, &e) < 0)
		return 0;
	FUZZ_REQUIRE(info.header_len + info.payload_len == len);
	copy = xmalloc(len);
	memcpy(copy, data, len);
	blob_set_crc(copy, blob_crc32(0, info.payload, info.payload_len));
	FUZZ_REQUIRE(blob_parse(copy, len, &info, &e) == 0);
	FUZZ_REQUIRE(blob_check_crc(&info, &e) == 0);
	if (blob_decode(codec, &info, room, ROOM, &raw, &raw_len, &e) == 0)
		FUZZ_REQUIRE(raw_len <= ROOM);
	if (blob_decode_dup(codec, &info, 100, &dup, &raw_len, &e) == 0) {
		FUZZ_REQUIRE(raw_len <= 100);
		free(dup);
	}
	free(copy);
	return 0;
}
