/* Heads and bodies of HTTP/1.1, friendly and hostile. */
#include "config.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/http1_parser.h"
#include "server/request.h"

static char body[4096];
static size_t body_len;

static void
on_body(void *arg, const uint8_t *p, size_t len)
{
	(void)arg;
	cr_assert_leq(body_len + len, sizeof(body));
	memcpy(body + body_len, p, len);
	body_len += len;
}

static void
never(struct request *req)
{
	(void)req;
}

static const struct request_ops ops = {.respond = never};

struct run {
	struct http1_parser *p;
	struct request *req;
	enum http1_event last;
	size_t taken;
	int heads;
	int ends;
};

/* Feeds step bytes at a time until the first end or error. */
static void
run_feed(struct run *r, const char *text, size_t len, size_t step)
{
	size_t n, have;

	r->p = http1_parser_new(on_body, NULL);
	r->req = request_new(NULL, &ops, NULL, NULL);
	http1_parser_start(r->p, r->req);
	body_len = 0;
	r->taken = 0;
	r->heads = r->ends = 0;
	r->last = HTTP1_MORE;
	for (have = step; r->taken < len;) {
		if (have > len)
			have = len;
		n = http1_parser_feed(r->p, (const uint8_t *)text + r->taken,
		    have - r->taken, &r->last);
		r->taken += n;
		r->heads += r->last == HTTP1_HEAD;
		r->ends += r->last == HTTP1_END;
		if (r->last == HTTP1_END || r->last == HTTP1_ERROR)
			return;
		if (r->last == HTTP1_MORE) {
			cr_assert_eq(r->taken, have, "all is taken");
			have += step;
		}
	}
}

static void
run_end(struct run *r)
{
	http1_parser_free(r->p);
	request_free(r->req);
}

struct http_case {
	char text[512];
	int status; /* 0: good */
	char target[64];
	char body[64];
	char rest[64];
	int keep_alive;
};

#define H "Host: x\r\n"

ParameterizedTestParameters(http1_parser, requests)
{
	static struct http_case rows[] = {
	    {"GET /a?b=c HTTP/1.1\r\n" H "\r\n", 0, "/a?b=c", "", "", 1},
	    {"GET / HTTP/1.1\r\n\r\n", 0, "/", "", "", 1},
	    {"GET / HTTP/1.0\r\n\r\n", 0, "/", "", "", 0},
	    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 0, "/", "", "",
		1},
	    {"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 0, "/", "", "", 0},
	    {"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /", 0, "/x",
		"abc", "GET /", 1},
	    {"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
	     "3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\nPRI",
		0, "/x", "abcde", "PRI", 1},
	    {"\r\nGET /b HTTP/1.1\r\n\r\n", 0, "/b", "", "", 1},
	    {"GET https://h:8007/api2 HTTP/1.1\r\n\r\n", 0, "/api2", "", "", 1},
	    {"GET HTTP://h HTTP/1.1\r\n\r\n", 0, "/", "", "", 1},
	    {"GET /u HTTP/1.1\r\nUPGRADE: p\r\nConnection: Upgrade\r\n\r\nPRI *",
		0, "/u", "", "PRI *", 1},
	    {"GET /u HTTP/1.1\r\nUpgrade: p\r\n\r\nPRI *", 0, "/u", "", "PRI *",
		1},
	    {"OPTIONS * HTTP/1.1\r\n\r\n", 0, "*", "", "", 1},
	    /* hostile */
	    {"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
		400, "", "", "", 0},
	    {"POST / HTTP/1.1\r\nContent-Length: 3\r\n"
	     "Transfer-Encoding: chunked\r\n\r\n",
		400, "", "", "", 0},
	    {"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, "", "", "",
		0},
	    {"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n"
	     "\r\n",
		400, "", "", "", 0},
	    {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400,
		"", "", "", 0},
	    {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
	     "fffffffffffffffff\r\n",
		400, "", "", "", 0},
	    {"GET / HTTP/1.1\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
		400, "", "", "", 0},
	    {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "", "", "",
		0},
	    {"PRI * HTTP/2.0\r\n\r\n", 400, "", "", "", 0},
	    {"nonsense\r\n\r\n", 400, "", "", "", 0},
	    {"GET / HTTP/1.1\r\nHo st: x\r\n\r\n", 400, "", "", "", 0},
	    {"GET /\x01 HTTP/1.1\r\n\r\n", 400, "", "", "", 0},
	};

	return cr_make_param_array(struct http_case, rows,
	    sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct http_case *row, http1_parser, requests)
{
	static const size_t steps[] = {1, 7, 4096};
	struct run r;
	size_t i;

	for (i = 0; i < 3; i++) {
		run_feed(&r, row->text, strlen(row->text), steps[i]);
		if (row->status != 0) {
			cr_expect_eq(r.last, HTTP1_ERROR, "%s", row->text);
			cr_expect_eq(http1_parser_head(r.p)->status,
			    row->status);
			run_end(&r);
			continue;
		}
		cr_assert_eq(r.last, HTTP1_END, "%s: %s", row->text,
		    http1_parser_head(r.p)->error.msg);
		cr_expect_eq(r.heads, 1);
		cr_expect_str_eq(r.req->target, row->target);
		cr_expect_eq(body_len, strlen(row->body));
		cr_expect_eq(memcmp(body, row->body, body_len), 0);
		cr_expect_str_eq(row->text + r.taken, row->rest);
		cr_expect_eq(http1_parser_head(r.p)->keep_alive,
		    row->keep_alive);
		run_end(&r);
	}
}

Test(http1_parser, headers_reach_the_request)
{
	static const char text[] =
	    "PUT / HTTP/1.1\r\n"
	    "cookie: PBSAuthCookie=x; a=b \t\r\n"
	    "CSRFPREVENTIONTOKEN: \t y\r\n"
	    "Content-Type: application/json;charset=UTF-8\r\n"
	    "Expect: 100-Continue\r\nContent-Length: 0\r\n"
	    "X-Long: 1\r\n\r\n";
	struct run r;

	run_feed(&r, text, strlen(text), 3);
	cr_assert_eq(r.last, HTTP1_END);
	cr_expect_eq(r.req->method, METHOD_PUT);
	cr_expect_str_eq(r.req->headers[HEADER_COOKIE], "PBSAuthCookie=x; a=b");
	cr_expect_str_eq(r.req->headers[HEADER_CSRF], "y");
	cr_expect_str_eq(r.req->headers[HEADER_CONTENT_TYPE],
	    "application/json;charset=UTF-8");
	cr_expect(http1_parser_head(r.p)->expect_continue);
	cr_expect_not(http1_parser_head(r.p)->has_body);
	run_end(&r);
}

struct length_case {
	size_t target; /* bytes of path and query, the '?' apart */
	int too_long;
};

ParameterizedTestParameters(http1_parser, target_limit)
{
	static struct length_case rows[] = {
	    {3071, 0},
	    {3072, 0},
	    {3073, 1},
	    {3500, 1},
	    {30000, 1},
	};

	return cr_make_param_array(struct length_case, rows,
	    sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct length_case *row, http1_parser, target_limit)
{
	char *text = calloc(1, row->target + 64);
	struct run r;

	strcpy(text, "GET /?");
	memset(text + 6, 'a', row->target - 1);
	strcat(text, " HTTP/1.1\r\n\r\n");
	run_feed(&r, text, strlen(text), 1000);
	cr_assert_eq(r.last, HTTP1_END);
	cr_expect_eq(http1_parser_head(r.p)->target_too_long, row->too_long);
	run_end(&r);
	free(text);
}

Test(http1_parser, endless_head_is_cut_off)
{
	size_t len = 4 * HTTP1_HEAD_MAX;
	char *text = malloc(len);
	struct run r;
	size_t i;

	memcpy(text, "GET / HTTP/1.1\r\n", 16);
	for (i = 16; i + 8 <= len; i += 8)
		memcpy(text + i, "Ab: cd\r\n", 8);
	run_feed(&r, text, i, 4096);
	cr_expect_eq(r.last, HTTP1_ERROR);
	cr_expect_eq(http1_parser_head(r.p)->status, 431);
	cr_expect_lt(r.taken, 2 * HTTP1_HEAD_MAX);
	run_end(&r);
	free(text);
}

Test(http1_parser, a_failed_parser_takes_nothing)
{
	struct run r;
	enum http1_event event;

	run_feed(&r, "bad\r\n", 5, 5);
	cr_assert_eq(r.last, HTTP1_ERROR);
	cr_expect_eq(http1_parser_feed(r.p, (const uint8_t *)"GET", 3, &event),
	    0);
	cr_expect_eq(event, HTTP1_ERROR);
	run_end(&r);
}
