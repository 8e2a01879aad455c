/*
 * HTTP/1.1 on one connection.  Runs in a worker, for a client that nobody may
 * know yet: everything has a limit in bytes and in time.
 *
 * At most one request is in work.  What arrives behind it waits in "pending",
 * and when that is full, in the kernel.
 */
#include "config.h"

#include "server/http1.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "common/err.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/sbuf.h"
#include "server/http1_parser.h"
#include "server/request.h"
#include "server/tls.h"

#define HTTP1_SEND_CHUNK (64u << 10)
#define HTTP1_RESPONSE_HEAD_MAX 8192

enum http1_phase {
	HTTP1_PHASE_IDLE, /* between requests */
	HTTP1_PHASE_HEAD,
	HTTP1_PHASE_DISPATCH, /* the body waits until somebody wants it */
	HTTP1_PHASE_BODY,
	HTTP1_PHASE_WAIT, /* for the reply; the request is complete */
	HTTP1_PHASE_SEND,
	HTTP1_PHASE_DISCARD, /* replied, but the body is still coming */
	HTTP1_PHASE_CLOSING,
};

struct http1 {
	struct http1_cfg cfg;
	struct tls_conn *conn; /* NULL when given away */
	struct http1_parser *parser;
	struct request *req;
	enum http1_phase phase;
	int complete; /* the request was read to its end */
	int replied;  /* req->res may be sent */
	int close;    /* after this reply */
	int drain;
	size_t discarded;

	uint8_t *pending; /* HTTP1_PENDING_MAX and one read */
	size_t pending_len;
	size_t pending_cap;
	struct event *deadline;
	struct event *pump;
};

const struct http1_limits http1_limits_default = {
    .head_ms = HTTP1_HEAD_MS,
    .body_ms = HTTP1_BODY_MS,
    .idle_ms = HTTP1_IDLE_MS,
    .send_ms = HTTP1_SEND_MS,
};

static void http1_start(struct http1 *h);
static void http1_on_respond(struct request *req);
static void http1_on_started(struct request *req);
static void http1_on_more(struct request *req);

static const struct request_ops http1_request_ops = {
    .respond = http1_on_respond,
    .started = http1_on_started,
    .more = http1_on_more,
};

/* --- phases -------------------------------------------------------------- */

static void
http1_set_phase(struct http1 *h, enum http1_phase phase)
{
	const struct http1_limits *l = h->cfg.limits;
	struct timeval tv;
	unsigned int ms = 0;

	h->phase = phase;
	switch (phase) {
	case HTTP1_PHASE_IDLE:
		ms = l->idle_ms;
		break;
	case HTTP1_PHASE_HEAD:
		ms = l->head_ms;
		break;
	case HTTP1_PHASE_BODY:
	case HTTP1_PHASE_DISCARD:
		ms = l->body_ms;
		break;
	case HTTP1_PHASE_SEND:
		ms = l->send_ms;
		break;
	case HTTP1_PHASE_DISPATCH: /* somebody else's time */
	case HTTP1_PHASE_WAIT:
	case HTTP1_PHASE_CLOSING:
		event_del(h->deadline);
		return;
	}
	tv.tv_sec = ms / 1000;
	tv.tv_usec = (suseconds_t)(ms % 1000) * 1000;
	evtimer_add(h->deadline, &tv);
}

/* Bytes of the client may be parsed now. */
static int
http1_may_parse(const struct http1 *h)
{
	return h->conn != NULL &&
	    (h->phase == HTTP1_PHASE_IDLE || h->phase == HTTP1_PHASE_HEAD ||
		h->phase == HTTP1_PHASE_DISCARD ||
		(h->phase == HTTP1_PHASE_BODY && !h->complete) ||
		(h->phase == HTTP1_PHASE_SEND && !h->complete));
}

static void
http1_close(struct http1 *h)
{
	http1_set_phase(h, HTTP1_PHASE_CLOSING);
	request_free(h->req);
	h->req = NULL;
	tls_conn_finish(h->conn);
}

/* --- responses ----------------------------------------------------------- */

static void
http1_add_date(struct sbuf *b)
{
	char date[64];
	time_t now = time(NULL);
	struct tm tm;

	if (gmtime_r(&now, &tm) != NULL &&
	    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0)
		sbuf_add_fmt(b, "date: %s\r\n", date);
}

static void
http1_send_head(struct http1 *h)
{
	const struct response *res = &h->req->res;
	const struct http1_head *head = http1_parser_head(h->parser);
	struct sbuf b;

	sbuf_init(&b, HTTP1_RESPONSE_HEAD_MAX);
	sbuf_add_fmt(&b, "HTTP/1.1 %d %s\r\n", res->status,
	    response_reason(res->status));
	if (res->content_type != NULL && res->len > 0)
		sbuf_add_fmt(&b, "content-type: %s\r\n", res->content_type);
	if (res->location != NULL)
		sbuf_add_fmt(&b, "location: %s\r\n", res->location);
	if (res->len != RESPONSE_LEN_UNKNOWN)
		sbuf_add_fmt(&b, "content-length: %llu\r\n",
		    (unsigned long long)res->len);
	else if (!head->http_1_0)
		sbuf_add_str(&b, "transfer-encoding: chunked\r\n");
	http1_add_date(&b);
	if (h->close)
		sbuf_add_str(&b, "connection: close\r\n");
	else if (head->http_1_0)
		sbuf_add_str(&b, "connection: keep-alive\r\n");
	sbuf_add_str(&b, "\r\n");
	if (b.overflow)
		fatal("http", "head of a response is too long");
	tls_conn_write(h->conn, b.data, b.len);
	sbuf_fini(&b);
}

/* The reply is out (or in the queue of TLS): the next request, or the end. */
static void
http1_reply_done(struct http1 *h)
{
	if (h->close) {
		http1_close(h);
		return;
	}
	if (!h->complete) {
		http1_set_phase(h, HTTP1_PHASE_DISCARD);
		return;
	}
	request_free(h->req);
	h->req = NULL;
	http1_start(h);
	event_active(h->pump, EV_TIMEOUT, 0);
}

/* A length that nobody knows is told piece by piece; len 0 is the end. */
static void
http1_send_piece(struct http1 *h, const uint8_t *p, size_t len)
{
	const struct http1_head *head = http1_parser_head(h->parser);
	char size[32];

	if (h->req->res.len != RESPONSE_LEN_UNKNOWN || head->http_1_0) {
		tls_conn_write(h->conn, p, len);
		return;
	}
	tls_conn_write(h->conn, size,
	    (size_t)snprintf(size, sizeof(size), "%zx\r\n", len));
	tls_conn_write(h->conn, p, len);
	tls_conn_write(h->conn, "\r\n", 2);
}

/* Whatever the client takes gives it time for more: a large file may take
 * hours, a client that stops reading may not. */
static void
http1_send_body(struct http1 *h)
{
	uint8_t buf[HTTP1_SEND_CHUNK];
	struct err e = {0};
	ssize_t n = 0;

	http1_set_phase(h, HTTP1_PHASE_SEND);
	if (h->req->method != METHOD_HEAD) {
		while (!tls_conn_is_full(h->conn) &&
		    (n = response_read(&h->req->res, buf, sizeof(buf), &e)) > 0)
			http1_send_piece(h, buf, (size_t)n);
	}
	mem_wipe(buf, sizeof(buf)); /* a ticket, perhaps */
	if (n > 0 || n == RESPONSE_WAIT)
		return; /* drained() or more() goes on */
	if (n == 0) {
		http1_send_piece(h, buf, 0);
		http1_reply_done(h);
		return;
	}
	/* Its length is announced: only a broken connection tells the truth. */
	log_warn_e("http", &e, "response cut off");
	tls_conn_free(h->conn);
	h->conn = NULL;
	http1_set_phase(h, HTTP1_PHASE_CLOSING);
	h->cfg.closed(h->cfg.arg, &e);
}

static void
http1_on_respond(struct request *req)
{
	struct http1 *h = req->transport;
	const struct http1_head *head = http1_parser_head(h->parser);

	h->replied = 1;
	if (!head->keep_alive || h->drain)
		h->close = 1;
	/* Whoever waits for "100 Continue" may send the body or not: only a
	 * new connection is in step. */
	if (!h->complete && head->expect_continue)
		h->close = 1;
	/* HTTP/1.0 knows no other end of such a body. */
	if (req->res.len == RESPONSE_LEN_UNKNOWN && head->http_1_0)
		h->close = 1;
	http1_send_head(h);
	http1_send_body(h);
	if (h->conn != NULL && !h->complete)
		event_active(h->pump, EV_TIMEOUT, 0);
}

/* The queue of TLS may be full of what came before. */
static void
http1_on_more(struct request *req)
{
	struct http1 *h = req->transport;

	if (h->phase == HTTP1_PHASE_SEND && !tls_conn_is_full(h->conn))
		http1_send_body(h);
}

static void
http1_reply_now(struct http1 *h, int status, const char *text)
{
	h->close = 1;
	if (h->req->replied) /* its reply is on its way already */
		http1_close(h);
	else
		request_reply_text(h->req, status, text);
}

/* --- requests ------------------------------------------------------------ */

static void
http1_start(struct http1 *h)
{
	h->complete = h->replied = 0;
	h->discarded = 0;
	h->req = request_new(h->cfg.base, &http1_request_ops, h, h->cfg.app);
	http1_parser_start(h->parser, h->req);
	http1_set_phase(h, HTTP1_PHASE_IDLE);
	if (h->drain && h->pending_len == 0)
		http1_close(h);
}

/* The whole answer that a connection without TLS gets (1.1). */
static void
http1_redirect(struct http1 *h)
{
	struct request *req = h->req;
	const char *host = req->headers[HEADER_HOST];
	int get = req->method == METHOD_GET || req->method == METHOD_HEAD;

	h->close = 1;
	if (host == NULL || *host == '\0' || strlen(host) > 256) {
		request_reply_text(req, 400, "this port speaks HTTPS");
		return;
	}
	req->res.location = xasprintf("https://%s%s", host, req->target);
	request_reply_text(req, get ? 301 : 308, "this port speaks HTTPS");
}

static void
http1_on_request_head(struct http1 *h)
{
	http1_set_phase(h, HTTP1_PHASE_DISPATCH);
	if (http1_parser_head(h->parser)->target_too_long) {
		h->close = http1_parser_head(h->parser)->has_body;
		request_reply_text(h->req, 414, "");
	} else if (h->req->headers[HEADER_UPGRADE] != NULL &&
	    http1_parser_head(h->parser)->has_body) {
		/* Where would the other protocol begin? */
		h->close = 1;
		request_reply_text(h->req, 400,
		    "an upgrade request has no body");
	} else if (tls_conn_is_plain(h->conn))
		http1_redirect(h);
	else
		h->cfg.dispatch(h->req);
}

/* Somebody wants the body. */
static void
http1_on_started(struct request *req)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct http1 *h = req->transport;
	const struct http1_head *head = http1_parser_head(h->parser);

	http1_set_phase(h, HTTP1_PHASE_BODY);
	if (head->expect_continue && head->has_body && !req->replied)
		tls_conn_write(h->conn, text, sizeof(text) - 1);
	event_active(h->pump, EV_TIMEOUT, 0);
}

static void
http1_on_request_end(struct http1 *h)
{
	h->complete = 1;
	request_end(h->req);
	if (h->phase == HTTP1_PHASE_BODY)
		http1_set_phase(h, HTTP1_PHASE_WAIT);
	else if (h->phase == HTTP1_PHASE_DISCARD)
		http1_reply_done(h);
}

static void
http1_on_body(void *arg, const uint8_t *p, size_t len)
{
	struct http1 *h = arg;

	request_data(h->req, p, len);
	if (h->req->replied)
		h->discarded += len;
}

/* Parses what it may; returns how many bytes were taken. */
static size_t
http1_parse(struct http1 *h, const uint8_t *p, size_t len)
{
	enum http1_event event;
	size_t n, taken = 0;

	while (taken < len && http1_may_parse(h)) {
		n = http1_parser_feed(h->parser, p + taken, len - taken,
		    &event);
		taken += n;
		if (event == HTTP1_HEAD)
			http1_on_request_head(h);
		else if (event == HTTP1_END)
			http1_on_request_end(h);
		else if (event == HTTP1_ERROR) {
			const struct http1_head *head =
			    http1_parser_head(h->parser);

			h->phase = HTTP1_PHASE_WAIT; /* parses no more */
			http1_reply_now(h, head->status, head->error.msg);
			return len;
		} else if (h->phase == HTTP1_PHASE_IDLE)
			http1_set_phase(h, HTTP1_PHASE_HEAD);
		if (h->discarded > HTTP1_DISCARD_MAX && h->conn != NULL &&
		    h->phase == HTTP1_PHASE_DISCARD) {
			http1_close(h);
			return len;
		}
	}
	return taken;
}

static void
http1_keep(struct http1 *h, const uint8_t *p, size_t len)
{
	if (len == 0)
		return;
	if (h->pending_len + len > h->pending_cap) {
		h->pending_cap = h->pending_len + len;
		h->pending = xreallocarray(h->pending, h->pending_cap, 1);
	}
	memcpy(h->pending + h->pending_len, p, len);
	h->pending_len += len;
	if (h->pending_len >= HTTP1_PENDING_MAX)
		tls_conn_pause(h->conn);
}

/* --- events -------------------------------------------------------------- */

static void
http1_on_pump(evutil_socket_t fd, short what, void *arg)
{
	struct http1 *h = arg;
	size_t n;

	(void)fd;
	(void)what;
	if (h->conn == NULL || h->phase == HTTP1_PHASE_CLOSING)
		return;
	n = http1_parse(h, h->pending, h->pending_len);
	if (n < h->pending_len)
		memmove(h->pending, h->pending + n, h->pending_len - n);
	h->pending_len -= n;
	if (h->pending_len < HTTP1_PENDING_MAX && h->conn != NULL)
		tls_conn_resume(h->conn);
}

static void
http1_on_data(void *arg, const uint8_t *p, size_t len)
{
	struct http1 *h = arg;
	size_t n = 0;

	if (h->phase == HTTP1_PHASE_CLOSING)
		return;
	if (h->pending_len == 0)
		n = http1_parse(h, p, len);
	if (h->conn != NULL && h->phase != HTTP1_PHASE_CLOSING)
		http1_keep(h, p + n, len - n);
}

static void
http1_on_drained(void *arg)
{
	struct http1 *h = arg;

	if (h->phase == HTTP1_PHASE_SEND)
		http1_send_body(h);
}

static void
http1_on_closed(void *arg, const struct err *why)
{
	struct http1 *h = arg;

	h->cfg.closed(h->cfg.arg, why);
}

static void
http1_on_ready(void *arg)
{
	(void)arg; /* was ready before it came here */
}

static const struct tls_events http1_tls_events = {
    .ready = http1_on_ready,
    .data = http1_on_data,
    .drained = http1_on_drained,
    .closed = http1_on_closed,
};

static void
http1_on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct http1 *h = arg;

	(void)fd;
	(void)what;
	if (h->conn == NULL || h->phase == HTTP1_PHASE_CLOSING)
		return;
	log_debug("http", "client is too slow phase=%d", (int)h->phase);
	if (h->replied || !http1_parser_begun(h->parser))
		http1_close(h);
	else {
		h->phase = HTTP1_PHASE_WAIT;
		http1_reply_now(h, 408, "request took too long");
	}
}

struct http1 *
http1_new(struct tls_conn *conn, const struct http1_cfg *cfg)
{
	struct http1 *h = xcalloc(1, sizeof(*h));

	h->cfg = *cfg;
	h->conn = conn;
	h->parser = http1_parser_new(http1_on_body, h);
	h->deadline = evtimer_new(cfg->base, http1_on_deadline, h);
	h->pump = evtimer_new(cfg->base, http1_on_pump, h);
	if (h->deadline == NULL || h->pump == NULL)
		fatal("http", "cannot make a timer");
	tls_conn_set_events(conn, &http1_tls_events, h);
	http1_start(h);
	return h;
}

void
http1_free(struct http1 *h)
{
	if (h == NULL)
		return;
	request_free(h->req);
	http1_parser_free(h->parser);
	tls_conn_free(h->conn);
	event_free(h->deadline);
	event_free(h->pump);
	mem_wipe_free(h->pending, h->pending_cap);
	free(h);
}

void
http1_drain(struct http1 *h)
{
	h->drain = 1;
	if (h->conn != NULL && h->phase == HTTP1_PHASE_IDLE &&
	    h->pending_len == 0)
		http1_close(h);
}

struct tls_conn *
http1_upgrade(struct request *req, const char *protocol, uint8_t **rest_out,
    size_t *rest_len_out)
{
	struct http1 *h = req->transport;
	struct tls_conn *conn = h->conn;
	struct sbuf b;

	sbuf_init(&b, HTTP1_RESPONSE_HEAD_MAX);
	sbuf_add_fmt(&b,
	    "HTTP/1.1 101 Switching Protocols\r\nupgrade: %s\r\n"
	    "connection: upgrade\r\n",
	    protocol);
	http1_add_date(&b);
	sbuf_add_str(&b, "\r\n");
	tls_conn_write(conn, b.data, b.len);
	sbuf_fini(&b);
	*rest_out = h->pending;
	*rest_len_out = h->pending_len;
	h->pending = NULL;
	h->pending_len = h->pending_cap = 0;
	http1_set_phase(h, HTTP1_PHASE_CLOSING);
	h->conn = NULL;
	h->req = NULL;
	tls_conn_resume(conn);
	req->cancel = NULL;
	request_free(req);
	return conn;
}
