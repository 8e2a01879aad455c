#include "config.h"

#include "common/str.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/mem.h"

Test(str, vis_keeps_text_and_escapes_the_rest)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
	    {"", ""},
	    {"plain text/ok", "plain text/ok"},
	    {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
	    {"a\nb\x1b[31m", "a\\x0ab\\x1b[31m"},
	    {"back\\slash", "back\\x5cslash"},
	    {"\xff\xfe", "\\xff\\xfe"},
	    {"\xc0\x80", "\\xc0\\x80"},
	    /* C1 controls are valid UTF-8 and drive terminals. */
	    {"\xc2\x9b", "\\xc2\\x9b"},
	    {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
	    {"cut \xe2\x82", "cut \\xe2\\x82"},
	    {"\x7f", "\\x7f"},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_str_eq(STR_VIS(cases[i].in), cases[i].out);
}

Test(str, vis_is_bounded)
{
	char dst[16], guard[17];

	cr_assert_str_eq(str_vis(dst, sizeof(dst), "0123456789abcdefgh"),
	    "0123456789ab...");
	cr_assert_str_eq(str_vis(dst, sizeof(dst), "0123456789abcde"),
	    "0123456789abcde");
	/* An escape is never cut in two. */
	memset(guard, 'G', sizeof(guard));
	str_vis(guard, 16, "\x01\x02\x03\x04\x05\x06");
	cr_assert(guard[16] == 'G');
	cr_assert_str_eq(guard, "\\x01\\x02\\x03...");
	cr_assert_str_eq(STR_VIS_MEM("a\0b", 3), "a\\x00b");
}

Test(str, utf8)
{
	cr_expect(str_is_utf8("", 0));
	cr_expect(str_is_utf8("\xf0\x9f\x98\x80", 4));
	cr_expect(!str_is_utf8("\xf4\x90\x80\x80", 4), "above U+10FFFF");
	cr_expect(!str_is_utf8("\xe0\x80\x80", 3), "overlong");
	cr_expect(!str_is_utf8("\xf0\x9f\x98", 3), "cut off");
	cr_expect(!str_is_utf8("\x80", 1));
}

Test(str, hex)
{
	static const uint8_t bin[4] = {0x00, 0x9f, 0xab, 0xff};
	uint8_t back[4];

	cr_assert_str_eq(STR_HEX(bin, sizeof(bin)), "009fabff");
	cr_assert(str_unhex(back, 4, "009fabff", 8) == 0);
	cr_assert(memcmp(bin, back, 4) == 0);
	cr_expect(str_unhex(back, 4, "009FABFF", 8) == -1, "upper case");
	cr_expect(str_unhex(back, 4, "009fabf", 7) == -1);
	cr_expect(str_unhex(back, 4, "009fabff0", 9) == -1);
	cr_expect(str_unhex(back, 4, "009fabfg", 8) == -1);
	cr_expect(str_unhex(back, 4, " 09fabff", 8) == -1);
}

Test(str, equal_ct)
{
	cr_expect(str_equal_ct("abc", "abc", 3) == 1);
	cr_expect(str_equal_ct("abc", "abd", 3) == 0);
	cr_expect(str_equal_ct("abc", "abd", 2) == 1);
	cr_expect(str_equal_ct("", "", 0) == 1);
}

Test(str, u64)
{
	static const char *const bad[] = {"", " 1", "1 ", "+1", "-1", "01",
	    "0x1", "1e3", "18446744073709551616", "99999999999999999999999",
	    "1\n", "\xd9\xa1"};
	uint64_t v = 77;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect(str_to_u64(bad[i], 0, UINT64_MAX, &v) == -1, "%s",
		    bad[i]);
	cr_expect(str_to_u64("9", 10, 20, &v) == -1);
	cr_expect(str_to_u64("21", 10, 20, &v) == -1);
	cr_expect(v == 77, "set only on success");
	cr_expect(str_to_u64("0", 0, 9, &v) == 0 && v == 0);
	cr_expect(str_to_u64("18446744073709551615", 0, UINT64_MAX, &v) == 0 &&
	    v == UINT64_MAX);
	cr_expect(str_to_u64_mem("123456", 3, 0, 999, &v) == 0 && v == 123);
	cr_expect(str_to_u64_mem("12\0", 3, 0, 999, &v) == -1);
}

Test(str, i64)
{
	int64_t v;

	cr_expect(str_to_i64("-9223372036854775808", INT64_MIN, 0, &v) == 0 &&
	    v == INT64_MIN);
	cr_expect(str_to_i64("-9223372036854775809", INT64_MIN, 0, &v) == -1);
	cr_expect(str_to_i64("9223372036854775807", 0, INT64_MAX, &v) == 0);
	cr_expect(str_to_i64("9223372036854775808", 0, INT64_MAX, &v) == -1);
	cr_expect(str_to_i64("-0", INT64_MIN, INT64_MAX, &v) == -1);
	cr_expect(str_to_i64("-", INT64_MIN, INT64_MAX, &v) == -1);
	cr_expect(str_to_i64("-5", -4, 4, &v) == -1);
}

/* RFC 4648, section 10, and what it says to refuse. */
Test(str, base64)
{
	static const struct {
		const char *plain, *coded;
		unsigned int flags;
	} cases[] = {
	    {"", "", 0},
	    {"f", "Zg==", 0},
	    {"fo", "Zm8=", 0},
	    {"foo", "Zm9v", 0},
	    {"foobar", "Zm9vYmFy", 0},
	    {"f", "Zg", STR_B64_NOPAD},
	    {"fo", "Zm8", STR_B64_NOPAD},
	    {"\xff\xfe\xfd", "__79", STR_B64_URL},
	    {"\xff\xfe\xfd", "//79", 0},
	};
	static const char *const bad[] = {"Zg=", "Zg",
	    "Zh==", "Zm9=", "Zm9v=", "Zg==Zg==", "Z", "Zm9v\n", " Zm9v", "Zm-v",
	    "===="};
	uint8_t buf[16];
	size_t i, len;
	char *s;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		s = str_base64_encode(cases[i].plain, strlen(cases[i].plain),
		    cases[i].flags);
		cr_expect_str_eq(s, cases[i].coded);
		free(s);
		cr_expect(
		    str_base64_decode(cases[i].coded, strlen(cases[i].coded),
			cases[i].flags, buf, sizeof(buf), &len) == 0);
		cr_expect(len == strlen(cases[i].plain) &&
		    memcmp(buf, cases[i].plain, len) == 0);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect(str_base64_decode(bad[i], strlen(bad[i]), 0, buf,
			      sizeof(buf), &len) == -1,
		    "%s", bad[i]);
	cr_expect(
	    str_base64_decode("Zg==", 4, STR_B64_NOPAD, buf, 16, &len) == -1);
	cr_expect(str_base64_decode("Zm9vYmFy", 8, 0, buf, 5, &len) == -1,
	    "does not fit");
	cr_expect(str_base64_decode("Zm9vYmFy", 8, 0, buf, 6, &len) == 0);
}

static int
decode(char *dst, size_t size, const char *s, int form)
{
	return str_percent_decode(dst, size, s, strlen(s), form);
}

Test(str, percent)
{
	char dst[8];
	char *s;

	cr_expect(decode(dst, sizeof(dst), "a%2Fb%2f", 0) == 0);
	cr_expect_str_eq(dst, "a/b/");
	cr_expect(decode(dst, sizeof(dst), "a+b", 0) == 0);
	cr_expect_str_eq(dst, "a+b");
	cr_expect(decode(dst, sizeof(dst), "a+b%2B", 1) == 0);
	cr_expect_str_eq(dst, "a b+");
	cr_expect(decode(dst, sizeof(dst), "%", 0) == -1);
	cr_expect(decode(dst, sizeof(dst), "%2", 0) == -1);
	cr_expect(decode(dst, sizeof(dst), "%zz", 0) == -1);
	cr_expect(decode(dst, sizeof(dst), "a%00b", 0) == -1);
	cr_expect(decode(dst, sizeof(dst), "12345678", 0) == -1);
	cr_expect(decode(dst, sizeof(dst), "1234567", 0) == 0);
	/* Stops at len, even inside of an escape. */
	cr_expect(str_percent_decode(dst, sizeof(dst), "a%41", 3, 0) == -1);
	s = str_percent_encode("a/b c~\xc3\xbc");
	cr_expect_str_eq(s, "a%2Fb%20c~%C3%BC");
	free(s);
}
