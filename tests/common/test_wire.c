#include "config.h"

#include "common/wire.h"

#include <string.h>

#include <criterion/criterion.h>

Test(wire, bytes_are_little_endian)
{
	static const uint8_t want[] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04,
	    0x0f, 0x0e, 0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08, 0xfe, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 'a', 'b', 3, 0, 0, 0, 'x', 'y',
	    'z'};
	uint8_t buf[sizeof(want)];
	struct wire_w w;
	struct wire_r r;
	const uint8_t *p;
	char s[3];
	size_t len;

	wire_w_init(&w, buf, sizeof(buf));
	wire_w_u8(&w, 0x01);
	wire_w_u16(&w, 0x0203);
	wire_w_u32(&w, 0x04050607);
	wire_w_u64(&w, 0x08090a0b0c0d0e0f);
	wire_w_i64(&w, -2);
	wire_w_str16(&w, "ab");
	wire_w_blob32(&w, "xyz", 3);
	cr_assert(wire_w_len(&w) == (ssize_t)sizeof(want));
	cr_assert(memcmp(buf, want, sizeof(want)) == 0);

	wire_r_init(&r, buf, sizeof(buf));
	cr_expect(wire_r_u8(&r) == 0x01);
	cr_expect(wire_r_u16(&r) == 0x0203);
	cr_expect(wire_r_u32(&r) == 0x04050607);
	cr_expect(wire_r_u64(&r) == 0x08090a0b0c0d0e0f);
	cr_expect(wire_r_i64(&r) == -2);
	wire_r_str16(&r, s, sizeof(s));
	cr_expect_str_eq(s, "ab");
	cr_expect(wire_r_end(&r) == -1, "bytes are left");
	p = wire_r_blob32(&r, &len);
	cr_expect(p != NULL && len == 3 && memcmp(p, "xyz", 3) == 0);
	cr_expect(wire_r_end(&r) == 0);
}

Test(wire, reading_past_the_end_sticks)
{
	static const uint8_t buf[3] = {1, 2, 3};
	uint8_t copy[4] = {9, 9, 9, 9};
	struct wire_r r;

	wire_r_init(&r, buf, sizeof(buf));
	cr_expect(wire_r_u32(&r) == 0);
	cr_expect(wire_r_u8(&r) == 0, "even what would fit");
	wire_r_copy(&r, copy, sizeof(copy));
	cr_expect(copy[0] == 0 && copy[3] == 0);
	cr_expect(wire_r_bytes(&r, 0) == NULL);
	cr_expect(wire_r_end(&r) == -1);
}

Test(wire, length_prefix_beyond_the_end)
{
	static const uint8_t buf16[] = {4, 0, 'a', 'b', 'c'};
	static const uint8_t buf32[] = {0xff, 0xff, 0xff, 0xff, 'a'};
	struct wire_r r;
	size_t len = 7;

	wire_r_init(&r, buf16, sizeof(buf16));
	cr_expect(wire_r_blob16(&r, &len) == NULL && len == 0);
	cr_expect(wire_r_end(&r) == -1);
	wire_r_init(&r, buf32, sizeof(buf32));
	cr_expect(wire_r_blob32(&r, &len) == NULL && len == 0);
	cr_expect(wire_r_end(&r) == -1);
}

Test(wire, strings_with_nul_or_too_long_are_refused)
{
	static const uint8_t nul[] = {3, 0, 'a', 0, 'c'};
	static const uint8_t longer[] = {4, 0, 'a', 'b', 'c', 'd'};
	struct wire_r r;
	char s[4] = "zzz";

	wire_r_init(&r, nul, sizeof(nul));
	wire_r_str16(&r, s, sizeof(s));
	cr_expect(r.error && s[0] == '\0');
	wire_r_init(&r, longer, sizeof(longer));
	wire_r_str16(&r, s, sizeof(s));
	cr_expect(r.error && s[0] == '\0');
}

Test(wire, writing_past_the_end_sticks)
{
	uint8_t buf[3] = {0};
	struct wire_w w;

	wire_w_init(&w, buf, sizeof(buf));
	wire_w_u16(&w, 1);
	wire_w_u16(&w, 2);
	wire_w_u8(&w, 3);
	cr_expect(wire_w_len(&w) == -1);
	cr_expect(buf[2] == 0);
}

Test(wire, blob_too_long_for_its_prefix)
{
	static uint8_t big[70000], buf[80000];
	struct wire_w w;

	wire_w_init(&w, buf, sizeof(buf));
	wire_w_blob16(&w, big, 65536);
	cr_expect(wire_w_len(&w) == -1);
	wire_w_init(&w, buf, sizeof(buf));
	wire_w_blob16(&w, big, 65535);
	cr_expect(wire_w_len(&w) == 65537);
}
