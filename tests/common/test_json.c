#include "config.h"

#include "common/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "common/err.h"

static struct json *
parse(const char *s)
{
	struct err e = {.code = ERR_OK};
	struct json *j = json_parse(s, strlen(s), JSON_DEPTH_DEFAULT, &e);

	cr_assert(j != NULL, "%s: %s", s, e.msg);
	return j;
}

static int
refused(const char *s, size_t len)
{
	struct err e = {.code = ERR_OK};
	struct json *j = json_parse(s, len, JSON_DEPTH_DEFAULT, &e);
	int rv = j == NULL && e.code == ERR_INVALID;

	json_free(&j);
	return rv;
}

Test(json, what_is_not_strict_json_is_refused)
{
	static const char *const bad[] = {"", " ", "{", "[1,]", "{\"a\":1,}",
	    "{a:1}", "{'a':1}", "['a']", "[1] x", "[1][2]", "{} {}", "tru",
	    "True", "NULL", "nul", "NaN", "[NaN]", "Infinity", "-Infinity",
	    "[-Infinity]", "01", "-01", "[01]", "1.", ".5", "+1", "1e", "--1",
	    "0x10", "[1e999]", "18446744073709551616", "-9223372036854775809",
	    "1 2", "\"a", "\"\\x\"", "\"\\u12\"", "\"tab\there\"", "\"nl\n\"",
	    "\"\\u0000\"", "{\"a\\u0000b\":1}", "{\"a\":1,\"a\":2}",
	    "{\"x\":{\"a\":1,\"\\u0061\":2}}", "\"\xff\"", "\"\xc0\x80\"",
	    "\"\xed\xa0\x80\"", "\"\\ud800\"", "\"\\udc00x\"", "/* c */ 1",
	    "[1 // c\n]", "[1;2]", "{\"a\" 1}", "{\"a\"=1}", "{1:2}", "]",
	    "[,1]", "{,}", "-", "[\"\\\"]", "\xef\xbb\xbf{}"};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect(refused(bad[i], strlen(bad[i])), "%s", bad[i]);
	cr_expect(refused("1\0", 2), "NUL behind");
	cr_expect(refused("\"a\0b\"", 5), "NUL inside");
	cr_expect(refused("{}x", 3) && !refused("{}x", 2), "only len bytes");
}

Test(json, what_is_json_is_taken)
{
	static const char *const good[] = {"0", "-0", "-1", "1.5", "1e3",
	    "-1.5E-3", "true", "false", "null", "\"\"", "[]", "{}", " [ ] ",
	    "\t\r\n{ \"a\" : [ 1 , 2 ] }\n", "18446744073709551615",
	    "-9223372036854775808", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
	    "\"\\ud83d\\ude00\"", "{\"a:b\":\":\",\"c\":{\"a:b\":null}}",
	    "\"it's\"", "\"12345678901234567890123\"", "\"\\\\u0000\""};
	struct json *j;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		j = parse(good[i]);
		json_free(&j);
		cr_expect(j == NULL);
	}
}

Test(json, depth)
{
	char deep[256];
	struct err e;
	struct json *j;
	int n;

	for (n = 1; n < 100; n++) {
		memset(deep, '[', (size_t)n);
		memset(deep + n, ']', (size_t)n);
		j = json_parse(deep, (size_t)n * 2, 16, &e);
		cr_expect(n > 16 ? j == NULL : n >= 16 || j != NULL, "%d", n);
		json_free(&j);
	}
}

Test(json, null_is_a_value)
{
	struct json *j = parse("{\"a\":null}");
	const struct json *a = json_get(j, "a");

	cr_assert(a != NULL && json_type(a) == JSON_NULL);
	cr_assert(json_get(j, "b") == NULL);
	json_free(&j);
	j = parse("null");
	cr_assert(json_type(j) == JSON_NULL);
	json_free(&j);
}

Test(json, getters)
{
	struct json *j = parse("{\"s\":\"text\",\"n\":-5,\"u\":"
			       "18446744073709551615,\"b\":true,\"d\":1.5,"
			       "\"a\":[1,\"x\"],\"o\":{\"k\":\"v\"}}");
	const struct json *a;
	struct err e;
	uint64_t u;
	int64_t n;
	int b;

	cr_expect_str_eq(json_get_str(j, "s", &e), "text");
	cr_expect(json_str_len(json_get(j, "s")) == 4);
	cr_expect(json_get_i64(j, "n", -10, 10, &n, &e) == 0 && n == -5);
	cr_expect(json_get_i64(j, "n", -4, 10, &n, &e) == -1);
	cr_expect(json_get_u64(j, "n", 0, UINT64_MAX, &u, &e) == -1);
	cr_expect(json_get_u64(j, "u", 0, UINT64_MAX, &u, &e) == 0 &&
	    u == UINT64_MAX);
	cr_expect(json_get_i64(j, "u", INT64_MIN, INT64_MAX, &n, &e) == -1);
	cr_expect(json_get_bool(j, "b", &b, &e) == 0 && b == 1);
	cr_expect(json_double(json_get(j, "d")) == 1.5);
	a = json_get_array(j, "a", &e);
	cr_assert(a != NULL && json_len(a) == 2);
	cr_expect(json_i64(json_at(a, 0), &n) == 0 && n == 1);
	cr_expect_str_eq(json_str(json_at(a, 1)), "x");
	cr_expect(json_str(json_at(a, 0)) == NULL);
	cr_expect(json_i64(json_at(a, 1), &n) == -1);
	cr_expect(json_at(a, 2) == NULL);
	cr_expect_str_eq(json_get_str(json_get_object(j, "o", &e), "k", &e),
	    "v");
	json_free(&j);
}

Test(json, getters_name_the_key)
{
	struct json *j = parse("{\"n\":\"5\",\"f\":1.0}");
	struct err e = {.code = ERR_OK};
	int64_t n = 77;
	int b;

	cr_expect(json_get_i64(j, "n", 0, 9, &n, &e) == -1);
	cr_expect(e.code == ERR_PARAM && strstr(e.msg, "\"n\"") != NULL);
	cr_expect(json_get_i64(j, "f", 0, 9, &n, &e) == -1);
	cr_expect(json_get_str(j, "none", &e) == NULL);
	cr_expect(e.code == ERR_PARAM && strstr(e.msg, "none") != NULL);
	cr_expect(json_get_array(j, "n", &e) == NULL);
	cr_expect(json_get_object(j, "n", &e) == NULL);
	cr_expect(json_get_bool(j, "n", &b, &e) == -1);
	cr_expect(n == 77);
	json_free(&j);
}

static int
collect(void *ctx, const char *key, const struct json *val)
{
	(void)val;
	strcat(ctx, key);
	return strcmp(key, "c") == 0 ? 5 : 0;
}

Test(json, each_is_ordered)
{
	struct json *j = parse("{\"d\":1,\"b\":2,\"a\":3,\"c\":4,\"B\":5}");
	char out[16] = "";

	cr_expect(json_each(j, collect, out) == 5);
	cr_expect_str_eq(out, "Babc");
	json_free(&j);
}

static void
expect_text(const char *in, char *(*fn)(const struct json *, size_t *),
    const char *want)
{
	struct json *j = parse(in);
	size_t len;
	char *s = fn(j, &len);

	cr_expect_str_eq(s, want);
	cr_expect(len == strlen(want));
	free(s);
	json_free(&j);
}

Test(json, compact)
{
	expect_text("{ \"b\" : [ 1, 2.5, \"/\" ], \"a\" : { } }", json_compact,
	    "{\"a\":{},\"b\":[1,2.5,\"/\"]}");
	expect_text("\"\\u00e9\\u0001\\b\\f\\n\\r\\t\\\"\\\\\\u007f\"",
	    json_compact, "\"\xc3\xa9\\u0001\\b\\f\\n\\r\\t\\\"\\\\\x7f\"");
	expect_text("18446744073709551615", json_compact,
	    "18446744073709551615");
	expect_text("[true,false,null,-0]", json_compact,
	    "[true,false,null,0]");
}

Test(json, pretty)
{
	expect_text("{\"b\":[1,{\"x\":null}],\"a\":[],\"c\":{}}", json_pretty,
	    "{\n  \"a\": [],\n  \"b\": [\n    1,\n    {\n"
	    "      \"x\": null\n    }\n  ],\n  \"c\": {}\n}");
}

Test(json, canonical)
{
	struct json *j = parse("{\"b\":{\"z\":1,\"a\":\"\\u00fc\"},\"a\":2}");
	struct err e;
	size_t len;
	char *s = json_canonical(j, &len, &e);

	cr_assert_str_eq(s, "{\"a\":2,\"b\":{\"a\":\"\xc3\xbc\",\"z\":1}}");
	free(s);
	json_free(&j);
	j = parse("{\"a\":[{\"b\":null}]}");
	cr_expect(json_canonical(j, &len, &e) == NULL);
	cr_expect(e.code == ERR_INVALID);
	json_free(&j);
	j = parse("{\"a\":1.5}");
	cr_expect(json_canonical(j, &len, &e) == NULL);
	json_free(&j);
}

Test(json, building)
{
	struct json *o = json_new_object(), *a = json_new_array(), *copy;
	char *s;

	json_set_str(o, "s", "a\"b");
	json_set_i64(o, "i", -1);
	json_set_u64(o, "u", UINT64_MAX);
	json_set_bool(o, "t", 7);
	json_set_null(o, "z");
	json_append(a, json_new_str("x"));
	json_append(a, json_new_double(0.5));
	json_append(a, json_new_null());
	json_set(o, "a", a);
	json_set_str(o, "gone", "x");
	json_del(o, "gone");
	json_set_i64(o, "i", -2);
	copy = json_dup(o);
	json_set_i64(o, "i", -3);
	s = json_compact(copy, NULL);
	cr_expect_str_eq(s,
	    "{\"a\":[\"x\",0.5,null],\"i\":-2,\"s\":\"a\\\"b\",\"t\":true,"
	    "\"u\":18446744073709551615,\"z\":null}");
	free(s);
	json_free(&copy);
	json_free(&o);
}

Test(json, strings_that_are_not_utf8)
{
	struct json *j = json_new_str("a\xff z");
	char *s = json_compact(j, NULL);

	cr_expect_str_eq(s, "\"a\xef\xbf\xbd z\"");
	free(s);
	json_free(&j);
}

/* What is written can be read again and is written the same. */
Test(json, round_trip)
{
	static const char text[] =
	    "{\"a\":[0.1,1e+300,5e-324,123456789.125,0],\"b\":\"\\u001f\"}";
	struct json *j = parse(text), *k;
	char *s = json_compact(j, NULL), *r;

	k = parse(s);
	r = json_compact(k, NULL);
	cr_expect_str_eq(s, r);
	cr_expect(json_double(json_at(json_get(k, "a"), 2)) == 5e-324);
	free(s);
	free(r);
	json_free(&j);
	json_free(&k);
}
