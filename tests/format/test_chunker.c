/* The chunker against the vectors of the specification, chapter 10, fed in
 * pieces of different sizes: boundaries may not depend on them. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/format/chunker.h"

#define KIB 1024u
#define MIB (1024u * 1024u)

static void
expect_lengths(const uint8_t *data, size_t len, size_t avg, size_t piece,
    const size_t *want)
{
	size_t start = 0, pos = 0, n, k = 0, part;
	struct chunker c;

	chunker_init(&c, avg);
	while (pos < len) {
		part = len - pos < piece ? len - pos : piece;
		n = chunker_scan(&c, data + pos, part);
		if (n == 0) {
			pos += part;
			continue;
		}
		pos += n;
		cr_assert_eq(pos - start, want[k], "chunk %zu: %zu", k,
		    pos - start);
		k++;
		start = pos;
	}
	if (pos > start) {
		cr_assert_eq(pos - start, want[k]);
		k++;
	}
	cr_expect_eq(want[k], 0);
}

/* X of the specification: low bytes of a xorshift. */
static uint8_t *
xorshift_bytes(size_t len)
{
	uint8_t *buf = malloc(len);
	uint64_t x = UINT64_C(88172645463325252);
	size_t i;

	for (i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf[i] = (uint8_t)x;
	}
	return buf;
}

Test(chunker, counter)
{
	static const size_t want[] = {143377, 262144, 262144, 262144, 118767,
	    0};
	uint8_t *buf = malloc(MIB);
	uint32_t i;

	for (i = 0; i < MIB / 4; i++) {
		buf[4 * i] = (uint8_t)i;
		buf[4 * i + 1] = (uint8_t)(i >> 8);
		buf[4 * i + 2] = (uint8_t)(i >> 16);
		buf[4 * i + 3] = (uint8_t)(i >> 24);
	}
	expect_lengths(buf, MIB, 64 * KIB, MIB, want);
	expect_lengths(buf, MIB, 64 * KIB, 1, want);
	expect_lengths(buf, MIB, 64 * KIB, 63, want);
	free(buf);
}

Test(chunker, zeros)
{
	static const size_t want[] = {262144, 262144, 262144, 262144, 0};
	uint8_t *buf = calloc(1, MIB);

	expect_lengths(buf, MIB, 64 * KIB, 1000, want);
	free(buf);
}

Test(chunker, small)
{
	static const size_t want[] = {45065, 25293, 153633, 62239, 23725, 38139,
	    22661, 59186, 32681, 45563, 93869, 55784, 45603, 25364, 39801,
	    73650, 49560, 55794, 48868, 52098, 0};
	uint8_t *buf = xorshift_bytes(MIB);

	expect_lengths(buf, MIB, 64 * KIB, MIB, want);
	expect_lengths(buf, MIB, 64 * KIB, 65, want);
	free(buf);
}

Test(chunker, catalog)
{
	static const size_t want[] = {768606, 179004, 289194, 1106454, 216519,
	    594548, 493181, 286992, 676229, 229739, 218331, 162755, 220766,
	    800104, 682389, 301328, 260608, 527162, 374699, 0};
	uint8_t *buf = xorshift_bytes(8 * MIB);

	expect_lengths(buf, 8 * MIB, CHUNKER_AVG_CATALOG, 100003, want);
	free(buf);
}

Test(chunker, archive)
{
	static const size_t want[] = {8013909, 3940697, 1830022, 6111762,
	    1954858, 1286353, 2400849, 6258047, 2614396, 1351957, 16777216,
	    8268897, 2250967, 3651644, 397290, 0};
	uint8_t *buf = xorshift_bytes(64 * MIB);

	expect_lengths(buf, 64 * MIB, CHUNKER_AVG_ARCHIVE, MIB, want);
	free(buf);
}

Test(chunker, reset_forgets)
{
	static const size_t want[] = {45065, 25293, 0};
	uint8_t *buf = xorshift_bytes(MIB);
	struct chunker c;

	chunker_init(&c, 64 * KIB);
	cr_expect_eq(chunker_scan(&c, buf + 1000, 20000), 0);
	chunker_reset(&c);
	cr_expect_eq(chunker_scan(&c, buf, MIB), want[0]);
	cr_expect_eq(chunker_scan(&c, buf + want[0], MIB - want[0]), want[1]);
	cr_expect_eq(chunker_scan(&c, buf, 0), 0);
	free(buf);
}
