/* HTTP/1.1 over TLS: order, limits, deadlines, upgrade. */
#include "config.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "server/http1.h"
#include "server/router.h"
#include "server/tls.h"
#include "tls_peer.h"

struct app {
	struct event_base *base;
	struct tls_test test;
	struct tls_peer *peer;
	struct tls_conn *conn;
	struct http1 *http;
	struct http1_limits limits;
	struct request *held; /* its reply comes when the test says so */
	int hold_dispatch;    /* likewise its start */
	int dispatched;
	int cancelled;
	int closed;
	size_t raw;
	/* after an upgrade */
	struct tls_conn *upgraded;
	char got[64];
};

/* --- the application ----------------------------------------------------- */

static void
echo(struct request *req)
{
	struct json *o = json_new_object();

	json_set_i64(o, "n", params_int(&req->params, "n", -1));
	request_reply_json(req, o);
}

static void
held_cancel(struct request *req)
{
	((struct app *)req->app)->cancelled++;
}

static void
hold(struct request *req)
{
	((struct app *)req->app)->held = req;
	req->cancel = held_cancel;
}

static void
raw_data(struct request *req, const uint8_t *p, size_t len)
{
	(void)p;
	((struct app *)req->app)->raw += len;
}

static void
raw_end(struct request *req)
{
	char text[32];

	snprintf(text, sizeof(text), "got %zu", ((struct app *)req->app)->raw);
	request_reply_raw(req, xstrdup(text), strlen(text));
}

static void
raw(struct request *req)
{
	static const struct request_sink sink = {raw_data, raw_end};

	req->sink = &sink;
}

static void
file(struct request *req)
{
	int fd = io_memfd("test", 3 << 20, 0, NULL);

	request_reply_fd(req, fd, 3 << 20);
}

static void
short_file(struct request *req)
{
	request_reply_fd(req, io_memfd("test", 100, 0, NULL), 200);
}

/* A stream of pieces: 'a' as far as the text goes, '.' waits once for more(),
 * '!' fails. */
struct pieces {
	struct request *req;
	const char *next;
	struct event *later;
};

static void
pieces_later(evutil_socket_t fd, short what, void *arg)
{
	struct pieces *p = arg;

	(void)fd;
	(void)what;
	p->req->ops->more(p->req);
}

static ssize_t
pieces_read(void *arg, void *buf, size_t len, struct err *e)
{
	struct pieces *p = arg;
	size_t n = strspn(p->next, "a");

	if (n == 0 && *p->next == '.') {
		p->next++;
		event_active(p->later, EV_TIMEOUT, 0);
		return RESPONSE_WAIT;
	}
	if (*p->next == '!')
		return err_set(e, ERR_CORRUPT, "broken");
	cr_assert(n <= len);
	memcpy(buf, p->next, n);
	p->next += n;
	return (ssize_t)n;
}

static int pieces_freed;

static void
pieces_free(void *arg)
{
	struct pieces *p = arg;

	pieces_freed++;
	event_free(p->later);
	free(p);
}

static void
pieces(struct request *req, const char *text, uint64_t len)
{
	static const struct response_stream stream = {pieces_read, pieces_free};
	struct pieces *p = xcalloc(1, sizeof(*p));

	p->req = req;
	p->next = text;
	p->later = event_new(req->base, -1, 0, pieces_later, p);
	request_reply_stream(req, "text/x-pieces", len, &stream, p);
}

static void
stream(struct request *req)
{
	pieces(req, "aaa.aaaaa..a", RESPONSE_LEN_UNKNOWN);
}

static void
sized_stream(struct request *req)
{
	pieces(req, "aaa.aaaaa", 8);
}

static void
short_stream(struct request *req)
{
	pieces(req, "aaa.a", 8);
}

static void
broken_stream(struct request *req)
{
	pieces(req, "aaa.!", RESPONSE_LEN_UNKNOWN);
}

static const struct param_def echo_params[] = {
    {"n", PARAM_INTEGER, PARAM_OPTIONAL, 0, 1000, NULL},
    {.name = NULL},
};

static const struct route routes[] = {
    {METHOD_GET, "echo", echo_params, 0, echo},
    {METHOD_POST, "echo", echo_params, 0, echo},
    {METHOD_GET, "hold", NULL, 0, hold},
    {METHOD_GET, "upgrade", NULL, ROUTE_RAW, hold},
    {METHOD_POST, "raw", NULL, ROUTE_RAW, raw},
    {METHOD_GET, "file", NULL, 0, file},
    {METHOD_GET, "short", NULL, 0, short_file},
    {METHOD_GET, "stream", NULL, 0, stream},
    {METHOD_GET, "sized-stream", NULL, 0, sized_stream},
    {METHOD_GET, "short-stream", NULL, 0, short_stream},
    {METHOD_GET, "broken-stream", NULL, 0, broken_stream},
};

static void
dispatch_now(struct request *req)
{
	struct router_path path;
	const struct route *r;
	struct err e = {0};

	cr_assert_eq(router_split(&path, req->target, &e), 0);
	r = router_find(routes, sizeof(routes) / sizeof(routes[0]), req->method,
	    &path, 0, &req->params, &e);
	router_path_fini(&path);
	if (r == NULL)
		request_reply_err(req, &e);
	else
		request_start(req, r);
}

static void
dispatch(struct request *req)
{
	struct app *app = req->app;

	app->dispatched++;
	if (app->hold_dispatch) {
		app->held = req;
		req->cancel = held_cancel;
	} else
		dispatch_now(req);
}

static void
on_closed(void *arg, const struct err *why)
{
	struct app *app = arg;

	(void)why;
	app->closed = 1;
}

static void
on_ready(void *arg)
{
	struct app *app = arg;
	const struct http1_cfg cfg = {
	    .base = app->base,
	    .limits = &app->limits,
	    .app = app,
	    .dispatch = dispatch,
	    .closed = on_closed,
	    .arg = app,
	};

	app->http = http1_new(app->conn, &cfg);
	app->conn = NULL;
}

static void
on_early_close(void *arg, const struct err *why)
{
	(void)why;
	((struct app *)arg)->closed = 1;
}

static const struct tls_events tls_events = {
    .ready = on_ready,
    .closed = on_early_close,
};

static struct app app;

static void
setup_plain(void)
{
	struct err e = {0};
	int fd;

	signal(SIGPIPE, SIG_IGN);
	memset(&app, 0, sizeof(app));
	app.limits = http1_limits_default;
	app.base = event_base_new();
	tls_test_init(&app.test, "EC");
	app.peer = tls_peer_new(app.base, 13, &fd);
	app.conn = tls_conn_new(app.base, app.test.ctx, fd, 20000, &tls_events,
	    &app, &e);
	cr_assert_not_null(app.conn);
}

static void
setup(void)
{
	setup_plain();
	cr_assert_eq(tls_peer_handshake(app.peer), 0);
}

static void
teardown(void)
{
	http1_free(app.http);
	tls_conn_free(app.conn);
	tls_conn_free(app.upgraded);
	tls_peer_free(app.peer);
	tls_test_fini(&app.test);
	event_base_free(app.base);
}

TestSuite(http1, .init = setup, .fini = teardown, .timeout = 60);
/* The same before the handshake. */
TestSuite(http1_start, .init = setup_plain, .fini = teardown, .timeout = 60);

static void
say(const char *text)
{
	tls_peer_send(app.peer, text, strlen(text));
}

static int
count(const char *needle)
{
	const char *s = tls_peer_text(app.peer);
	int n = 0;

	while ((s = strstr(s, needle)) != NULL) {
		n++;
		s++;
	}
	return n;
}

/* --- ordinary requests --------------------------------------------------- */

Test(http1, keep_alive)
{
	say("GET /echo?n=1 HTTP/1.1\r\nHost: x\r\n\r\n");
	cr_assert(tls_peer_wait(app.peer, "{\"data\":{\"n\":1}}"));
	cr_expect_eq(count("HTTP/1.1 200 OK\r\n"), 1);
	cr_expect_eq(count("content-type: application/json;charset=UTF-8\r\n"),
	    1);
	cr_expect_eq(count("content-length: 16\r\n"), 1);
	cr_expect_eq(count("connection:"), 0);
	say("GET /echo?n=2 HTTP/1.1\r\n\r\n");
	cr_assert(tls_peer_wait(app.peer, "{\"data\":{\"n\":2}}"));
}

Test(http1, pipelined_requests_are_answered_in_order)
{
	say("GET /echo?n=1 HTTP/1.1\r\n\r\n"
	    "POST /echo HTTP/1.1\r\nContent-Length: 3\r\n\r\nn=2"
	    "POST /echo HTTP/1.1\r\nContent-Type: application/json\r\n"
	    "Content-Length: 7\r\n\r\n{\"n\":3}"
	    "GET /none HTTP/1.1\r\n\r\nGET /echo?n=4 HTTP/1.1\r\n\r\n");
	cr_assert(tls_peer_wait(app.peer, "{\"data\":{\"n\":4}}"));
	cr_expect_eq(count("200 OK"), 4);
	cr_expect_eq(count("404 Not Found"), 1);
	cr_expect_lt(strstr(tls_peer_text(app.peer), "\"n\":1"),
	    strstr(tls_peer_text(app.peer), "\"n\":2"));
	cr_expect_lt(strstr(tls_peer_text(app.peer), "\"n\":3"),
	    strstr(tls_peer_text(app.peer), "404"));
}

Test(http1, the_next_request_waits_for_the_first)
{
	say("GET /hold HTTP/1.1\r\n\r\nGET /echo?n=1 HTTP/1.1\r\n\r\n");
	while (app.held == NULL)
		tls_peer_wait(app.peer, "");
	tls_peer_wait(app.peer, "");
	cr_expect_eq(app.dispatched, 1);
	cr_expect_eq(tls_peer_len(app.peer), 0);
	request_reply_json(app.held, NULL);
	cr_assert(tls_peer_wait(app.peer, "{\"data\":{\"n\":1}}"));
	cr_expect_eq(count("{\"data\":null}"), 1);
}

Test(http1, a_client_that_goes_cancels_its_request)
{
	say("GET /hold HTTP/1.1\r\n\r\n");
	while (app.held == NULL)
		tls_peer_wait(app.peer, "");
	shutdown(tls_peer_fd(app.peer), SHUT_RDWR);
	cr_assert(tls_peer_wait_flag(app.peer, &app.closed));
	http1_free(app.http);
	app.http = NULL;
	cr_expect_eq(app.cancelled, 1);
}

Test(http1, connection_close_and_http_1_0)
{
	say("GET /echo?n=1 HTTP/1.1\r\nConnection: close\r\n\r\n");
	cr_expect(tls_peer_wait_closed(app.peer));
	cr_expect_eq(count("connection: close\r\n"), 1);
	cr_expect_eq(count("\"n\":1"), 1);
}

Test(http1, http_1_0_keep_alive_is_told)
{
	say("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	cr_assert(tls_peer_wait(app.peer, "\"n\":-1"));
	cr_expect_eq(count("connection: keep-alive\r\n"), 1);
}

Test(http1, head_has_no_body)
{
	say("HEAD /echo HTTP/1.1\r\n\r\nGET /echo?n=5 HTTP/1.1\r\n\r\n");
	cr_assert(tls_peer_wait(app.peer, "\"n\":5"));
	cr_expect_eq(count("404 Not Found"), 1);
	cr_expect_eq(count("Path"), 0);
}

Test(http1, chunked_bodies_and_files)
{
	say("POST /raw HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "5\r\nabcde\r\n3\r\nfgh\r\n0\r\n\r\n"
	    "GET /file HTTP/1.1\r\n\r\n");
	cr_assert(tls_peer_wait(app.peer, "got 8"));
	cr_assert(tls_peer_wait(app.peer, "content-length: 3145728\r\n"));
	while (tls_peer_len(app.peer) < 3145728)
		tls_peer_wait(app.peer, "");
}

Test(http1, a_file_that_is_too_short_breaks_the_connection)
{
	say("GET /short HTTP/1.1\r\n\r\n");
	cr_expect(tls_peer_wait_flag(app.peer, &app.closed));
}

Test(http1, a_stream_of_unknown_length_is_chunked)
{
	say("GET /stream HTTP/1.1\r\n\r\nGET /echo?n=6 HTTP/1.1\r\n\r\n");
	cr_assert(tls_peer_wait(app.peer, "\"n\":6"));
	cr_expect_eq(count("content-type: text/x-pieces\r\n"), 1);
	cr_expect_eq(count("transfer-encoding: chunked\r\n"), 1);
	cr_expect_eq(count("content-length"), 1); /* that of the second */
	cr_expect_eq(
	    count("\r\n\r\n3\r\naaa\r\n5\r\naaaaa\r\n1\r\na\r\n0\r\n\r\n"), 1);
	cr_expect_eq(pieces_freed, 1);
}

/* HTTP/1.0 knows its end from that of the connection. */
Test(http1, a_stream_of_unknown_length_for_http_1_0)
{
	say("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	cr_expect(tls_peer_wait_closed(app.peer));
	cr_expect_eq(count("chunked"), 0);
	cr_expect_eq(count("connection: close\r\n"), 1);
	cr_expect_eq(count("\r\n\r\naaaaaaaaa"), 1);
}

Test(http1, a_stream_of_known_length)
{
	say("GET /sized-stream HTTP/1.1\r\n\r\n"
	    "GET /echo?n=6 HTTP/1.1\r\n\r\n");
	cr_assert(tls_peer_wait(app.peer, "\"n\":6"));
	cr_expect_eq(count("content-length: 8\r\n"), 1);
	cr_expect_eq(count("\r\n\r\naaaaaaaaHTTP/1.1 200"), 1);
	cr_expect_eq(pieces_freed, 1);
}

Test(http1, a_stream_that_is_too_short_breaks_the_connection)
{
	say("GET /short-stream HTTP/1.1\r\n\r\n");
	cr_expect(tls_peer_wait_flag(app.peer, &app.closed));
}

Test(http1, a_stream_that_fails_breaks_the_connection)
{
	say("GET /broken-stream HTTP/1.1\r\n\r\n");
	cr_expect(tls_peer_wait_flag(app.peer, &app.closed));
	cr_expect_eq(count("0\r\n\r\n"), 0);
}

Test(http1, the_body_waits_for_the_dispatch)
{
	size_t len = 300000;
	char *body = malloc(len);

	app.hold_dispatch = 1;
	memset(body, 'b', len);
	say("POST /raw HTTP/1.1\r\nContent-Length: 300000\r\n\r\n");
	tls_peer_send(app.peer, body, 100000);
	while (app.held == NULL)
		tls_peer_wait(app.peer, "");
	cr_expect_eq(app.raw, 0);
	app.held->cancel = NULL;
	dispatch_now(app.held);
	tls_peer_send(app.peer, body, len - 100000);
	cr_expect(tls_peer_wait(app.peer, "got 300000"));
	free(body);
}

Test(http1, expect_continue)
{
	say("POST /raw HTTP/1.1\r\nContent-Length: 2\r\n"
	    "Expect: 100-continue\r\n\r\n");
	cr_assert(tls_peer_wait(app.peer, "HTTP/1.1 100 Continue\r\n\r\n"));
	say("ab");
	cr_expect(tls_peer_wait(app.peer, "got 2"));
}

Test(http1, expect_without_continue_ends_the_connection)
{
	say("POST /none HTTP/1.1\r\nContent-Length: 2\r\n"
	    "Expect: 100-continue\r\n\r\n");
	cr_expect(tls_peer_wait_closed(app.peer));
	cr_expect_eq(count("100 Continue"), 0);
	cr_expect_eq(count("404 Not Found"), 1);
}

/* --- limits -------------------------------------------------------------- */

static void
post_body(size_t len)
{
	char head[128], *body = malloc(len);

	memset(body, ' ', len);
	memcpy(body, "{\"n\":7}", 7);
	snprintf(head, sizeof(head),
	    "POST /echo HTTP/1.1\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    len);
	say(head);
	tls_peer_send(app.peer, body, len);
	free(body);
}

Test(http1, body_of_one_less_than_the_limit)
{
	post_body(REQUEST_BODY_MAX - 1);
	cr_expect(tls_peer_wait(app.peer, "\"n\":7"));
}

Test(http1, body_of_the_limit_is_refused_and_the_connection_lives)
{
	post_body(REQUEST_BODY_MAX);
	cr_expect(tls_peer_wait(app.peer, "Request body too large"));
	say("GET /echo?n=8 HTTP/1.1\r\n\r\n");
	cr_expect(tls_peer_wait(app.peer, "\"n\":8"));
}

Test(http1, a_body_without_end_is_cut_off)
{
	post_body(4 << 20);
	cr_expect(tls_peer_wait_closed(app.peer));
}

Test(http1, long_target)
{
	char *text = calloc(1, 4096);

	strcpy(text, "GET /echo?");
	memset(text + 10, 'a', 3073 - 5);
	strcat(text, " HTTP/1.1\r\n\r\nGET /echo?n=9 HTTP/1.1\r\n\r\n");
	say(text);
	cr_expect(tls_peer_wait(app.peer, "\"n\":9"));
	cr_expect_eq(count("HTTP/1.1 414 URI Too Long\r\n"), 1);
	cr_expect_eq(count("content-length: 0\r\n"), 1);
	free(text);
}

Test(http1, nonsense_is_answered_and_ends_the_connection)
{
	say("GET /echo HTTP/1.1\r\n\r\nnonsense\r\n\r\n");
	cr_expect(tls_peer_wait_closed(app.peer));
	cr_expect_eq(count("200 OK"), 1);
	cr_expect_eq(count("400 Bad Request"), 1);
	cr_expect_eq(count("connection: close"), 1);
}

Test(http1, slow_heads_and_idle_connections_end)
{
	app.limits.head_ms = 50;
	say("GET /echo HTTP/1.1\r\nX: ");
	cr_expect(tls_peer_wait_closed(app.peer));
	cr_expect_eq(count("408 Request Timeout"), 1);
}

Test(http1, slow_bodies_end)
{
	app.limits.body_ms = 50;
	say("POST /raw HTTP/1.1\r\nContent-Length: 10\r\n\r\nab");
	cr_expect(tls_peer_wait_closed(app.peer));
	cr_expect_eq(count("408 Request Timeout"), 1);
}

Test(http1_start, idle_connections_end_in_silence)
{
	app.limits.idle_ms = 50;
	cr_assert_eq(tls_peer_handshake(app.peer), 0);
	cr_expect(tls_peer_wait_closed(app.peer));
	cr_expect_eq(tls_peer_len(app.peer), 0);
}

Test(http1, drain_ends_after_the_request_in_work)
{
	say("GET /hold HTTP/1.1\r\n\r\n");
	while (app.held == NULL)
		tls_peer_wait(app.peer, "");
	http1_drain(app.http);
	tls_peer_wait(app.peer, "");
	cr_expect_not(app.closed);
	request_reply_json(app.held, NULL);
	cr_expect(tls_peer_wait_closed(app.peer));
	cr_expect_eq(count("connection: close"), 1);
}

/* --- upgrade and plain HTTP ---------------------------------------------- */

static void
up_data(void *arg, const uint8_t *p, size_t len)
{
	(void)arg;
	strncat(app.got, (const char *)p, len);
}

static void
up_closed(void *arg, const struct err *why)
{
	(void)arg;
	(void)why;
}

static const struct tls_events up_events = {
    .data = up_data,
    .closed = up_closed,
};

Test(http1, upgrade_hands_over_every_byte)
{
	uint8_t *rest;
	size_t rest_len;

	say("GET /echo HTTP/1.1\r\n\r\nGET /upgrade HTTP/1.1\r\nUpgrade: p\r\n"
	    "Connection: upgrade\r\n\r\nPRI * ");
	while (app.held == NULL)
		tls_peer_wait(app.peer, "");
	say("HTTP/");
	tls_peer_wait(app.peer, "");
	app.upgraded = http1_upgrade(app.held, "p", &rest, &rest_len);
	tls_conn_set_events(app.upgraded, &up_events, NULL);
	strncat(app.got, (char *)rest, rest_len);
	free(rest);
	say("2.0");
	while (strstr(app.got, "2.0") == NULL)
		tls_peer_wait(app.peer, "");
	cr_expect_str_eq(app.got, "PRI * HTTP/2.0");
	cr_expect(tls_peer_wait(app.peer,
	    "HTTP/1.1 101 Switching Protocols\r\nupgrade: p\r\n"));
	cr_expect_eq(app.cancelled, 0);
}

/* A session may be silent for hours (wire-protocol 1.1). */
Test(http1, an_upgraded_connection_has_no_time_limit)
{
	const struct timeval longer = {.tv_usec = 300000};
	uint8_t *rest;
	size_t rest_len;

	app.limits.head_ms = app.limits.body_ms = 50;
	app.limits.idle_ms = app.limits.send_ms = 50;
	say("GET /upgrade HTTP/1.1\r\nUpgrade: p\r\n\r\n");
	while (app.held == NULL)
		tls_peer_wait(app.peer, "");
	app.upgraded = http1_upgrade(app.held, "p", &rest, &rest_len);
	free(rest);
	tls_conn_set_events(app.upgraded, &up_events, NULL);
	event_base_loopexit(app.base, &longer);
	event_base_dispatch(app.base);
	say("still here");
	while (strstr(app.got, "still here") == NULL)
		tls_peer_wait(app.peer, "");
}

Test(http1, an_upgrade_with_a_body_is_refused)
{
	say("GET /upgrade HTTP/1.1\r\nUpgrade: p\r\nContent-Length: 3\r\n\r\n"
	    "abc");
	cr_expect(tls_peer_wait_closed(app.peer));
	cr_expect_eq(count("400 Bad Request"), 1);
	cr_expect_eq(app.dispatched, 0);
}

static void
plain(const char *request, char *answer, size_t size)
{
	size_t len = strlen(request), n = 0;
	ssize_t r;

	cr_assert_eq(write(tls_peer_fd(app.peer), request, len), (ssize_t)len);
	for (int i = 0; i < 10000 && n < size - 1; i++) {
		event_base_loop(app.base, EVLOOP_NONBLOCK);
		r = read(tls_peer_fd(app.peer), answer + n, size - 1 - n);
		if (r == 0)
			break;
		if (r > 0)
			n += (size_t)r;
		else
			usleep(1000);
	}
	answer[n] = '\0';
}

Test(http1_start, plain_http_is_redirected)
{
	char text[2048];

	plain("GET /api2/json/ping HTTP/1.1\r\nHost: pbs:8007\r\n\r\n", text,
	    sizeof(text));
	cr_expect_not_null(strstr(text, "HTTP/1.1 301 Moved Permanently\r\n"));
	cr_expect_not_null(
	    strstr(text, "location: https://pbs:8007/api2/json/ping\r\n"));
	cr_expect_eq(app.dispatched, 0);
}

Test(http1_start, plain_post_keeps_its_method)
{
	char text[2048];

	plain("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na", text,
	    sizeof(text));
	cr_expect_not_null(strstr(text, "308 Permanent Redirect\r\n"));
}

Test(http1_start, plain_without_host)
{
	char text[2048];

	plain("GET / HTTP/1.1\r\n\r\n", text, sizeof(text));
	cr_expect_not_null(strstr(text, "400 Bad Request\r\n"));
}
