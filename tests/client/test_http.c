/*
 * Heads and bodies of answers, from a server that may send anything.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "client/http.h"
#include "common/err.h"
#include "common/json.h"
#include "common/sbuf.h"

static struct http_head head;
static struct err e;

static long
parse(const char *text)
{
	return http_parse_head(text, strlen(text), &head, &e);
}

Test(http, head_with_length)
{
	const char *text = "HTTP/1.1 200 OK\r\nx: y\r\n"
			   "content-length:  12 \r\n\r\nbody";

	cr_assert_eq(parse(text), (long)strlen(text) - 4, "%s", e.msg);
	cr_assert_eq(head.status, 200);
	cr_assert_eq(head.body_len, 12);
}

Test(http, head_of_a_chunked_answer)
{
	cr_assert_gt(parse("HTTP/1.1 400 Bad\r\n"
			   "Transfer-Encoding: chunked\r\n"
			   "Content-Length: 5\r\n\r\n"),
	    0);
	cr_assert_eq(head.status, 400);
	cr_assert_eq(head.body_len, -1);
}

Test(http, head_without_reason_or_body)
{
	cr_assert_gt(parse("HTTP/1.1 101\r\n\r\n"), 0);
	cr_assert_eq(head.status, 101);
	cr_assert_eq(head.body_len, 0);
}

Test(http, incomplete_heads_wait)
{
	cr_assert_eq(parse(""), 0);
	cr_assert_eq(parse("HTTP/1.1 200 OK\r\nx: y\r\n"), 0);
	cr_assert_eq(parse("HTTP/1.1 200 OK\r\n\r"), 0);
}

Test(http, damaged_heads)
{
	static const char *const rows[] = {
	    "\r\n\r\n",
	    "HTTP/2 200\r\n\r\n",
	    "HTTP/1.1 20 OK\r\n\r\n",
	    "HTTP/1.1 2000 OK\r\n\r\n",
	    "HTTP/1.1 xxx OK\r\n\r\n",
	    "ICY 200 OK\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
	    "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
	    "HTTP/1.1 200 OK\r\ncontent-length: 1x\r\n\r\n",
	    "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n",
	    "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect_eq(parse(rows[i]), -1, "%s", rows[i]);
}

Test(http, endless_heads_are_refused)
{
	size_t len = 20000;
	char *text = malloc(len);

	memset(text, 'a', len);
	cr_assert_eq(http_parse_head(text, len, &head, &e), -1);
	cr_assert_eq(e.code, ERR_LIMIT);
	free(text);
}

Test(http, statuses_become_errors)
{
	cr_assert_eq(http_check_status(200, "", 0, &e), 0);
	cr_assert_eq(http_check_status(401, "no", 2, &e), -1);
	cr_assert_eq(e.code, ERR_AUTH);
	cr_assert_str_eq(e.msg, "no");
	cr_assert_eq(http_check_status(403, "", 0, &e), -1);
	cr_assert_eq(e.code, ERR_PERM);
	cr_assert_not_null(strstr(e.msg, "403"));
	cr_assert_eq(http_check_status(503, "x", 1, &e), -1);
	cr_assert_eq(e.code, ERR_UNAVAILABLE);
	cr_assert_eq(http_check_status(400, "a\033b", 3, &e), -1);
	cr_assert_str_eq(e.msg, "a\\x1bb");
}

Test(http, data_of_an_answer)
{
	struct json *j = http_data("{\"data\":5}", 10, &e);
	int64_t v;

	cr_assert_not_null(j);
	cr_assert_eq(json_i64(j, &v), 0);
	cr_assert_eq(v, 5);
	json_free(&j);
	j = http_data("", 0, &e);
	cr_assert_eq(json_type(j), JSON_NULL);
	json_free(&j);
	cr_assert_null(http_data("{\"x\":5}", 7, &e));
	cr_assert_null(http_data("[1]", 3, &e));
	cr_assert_null(http_data("nonsense", 8, &e));
}

Test(http, queries_are_encoded)
{
	struct sbuf b;

	sbuf_init(&b, 100);
	sbuf_add_str(&b, "/x");
	http_add_query(&b, "a", "1 &/");
	http_add_query(&b, "b", NULL);
	http_add_query_u64(&b, "c", 7);
	cr_assert_str_eq(sbuf_str(&b), "/x?a=1%20%26%2F&c=7");
	sbuf_fini(&b);
}
