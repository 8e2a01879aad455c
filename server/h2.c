/*
 * HTTP/2 over nghttp2, which no other file of the server sees.  Runs in a
 * worker, in its sandbox; all that arrives here was sent by the client, who
 * is authenticated for one session but may be captured.
 */
#include "config.h"

#include "server/h2.h"

#include <sys/queue.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <nghttp2/nghttp2.h>

#include "common/err.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/h2_limits.h"
#include "server/request.h"
#include "server/router.h"
#include "server/tls.h"

#define LOG_SUB "h2"
#define CONNECTION_WINDOW INT32_MAX
#define ANY_WINDOW (4 << 20)
/* Of a body after its reply; then the stream is reset. */
#define DISCARD_MAX (64u << 20)
/* Parameter bodies that are longer than the first window, all together. */
#define BODIES_MAX 16u
#define SEND_MAX (128u << 10) /* one DATA frame of ours */

struct h2_stream {
	TAILQ_ENTRY(h2_stream) entry;
	struct h2 *h2;
	struct request *req;
	int32_t id;
	uint64_t received;
	uint64_t held; /* received and not given back to the client */
	uint64_t allowed;
	bool discard;    /* give back what arrives */
	bool wants_body; /* parameters do not fit the first window */
	bool has_body;   /* and has one of BODIES_MAX */
	bool reset;
	bool is_head; /* a response without its body */
};
TAILQ_HEAD(h2_streams, h2_stream);

struct h2 {
	struct event_base *base;
	struct tls_conn *conn;
	const struct h2_service *service;
	void *app;
	nghttp2_session *session;
	struct event *flush; /* something to send */
	struct event *begin; /* the early bytes */
	uint8_t *early;
	size_t early_len;
	struct h2_streams streams;
	unsigned int bodies;
	struct h2_limits limits;
	const char *abuse; /* why the client is cut off */
	bool finishing;
};

static void
h2_wake(struct h2 *h2)
{
	event_active(h2->flush, EV_TIMEOUT, 0);
}

/* For nghttp2's callbacks: abuse is NULL, or why the client is cut off. */
static int
h2_judge(struct h2 *h2, const char *abuse)
{
	if (abuse == NULL)
		return 0;
	h2->abuse = abuse;
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* ---- flow control ---- */

static void
stream_give_back(struct h2_stream *s)
{
	if (s->held == 0)
		return;
	nghttp2_session_consume_stream(s->h2->session, s->id, (size_t)s->held);
	s->held = 0;
	h2_wake(s->h2);
}

void
h2_allow(struct request *req, uint64_t total)
{
	struct h2_stream *s = req->transport;

	/* One more, so that a body that is too long is seen, not stalled. */
	if (total + 1 <= s->allowed)
		return;
	s->allowed = total + 1;
	nghttp2_session_set_local_window_size(s->h2->session, NGHTTP2_FLAG_NONE,
	    s->id, (int32_t)s->allowed);
	h2_wake(s->h2);
}

void
h2_allow_any(struct request *req)
{
	struct h2_stream *s = req->transport;

	h2_allow(req, ANY_WINDOW);
	s->discard = true;
	stream_give_back(s);
}

/* Large parameter bodies: as many at a time as BODIES_MAX says, in order. */
static void
h2_share_bodies(struct h2 *h2)
{
	struct h2_stream *s;

	TAILQ_FOREACH(s, &h2->streams, entry) {
		if (h2->bodies >= BODIES_MAX)
			return;
		if (!s->wants_body || s->has_body)
			continue;
		s->has_body = true;
		h2->bodies++;
		h2_allow(s->req, REQUEST_BODY_MAX);
	}
}

static void
stream_reset(struct h2_stream *s)
{
	if (s->reset)
		return;
	s->reset = true;
	nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id,
	    NGHTTP2_NO_ERROR);
}

static void
stream_received(struct h2_stream *s, size_t len)
{
	bool raw =
	    s->req->route != NULL && (s->req->route->flags & ROUTE_RAW) != 0;

	s->received += len;
	s->held += len;
	if (s->req->replied || s->discard) {
		stream_give_back(s);
		if (s->req->replied && s->received > DISCARD_MAX)
			stream_reset(s);
	} else if (!raw && !s->wants_body && s->received > H2_WINDOW / 2) {
		s->wants_body = true;
		h2_share_bodies(s->h2);
	}
}

/* ---- streams ---- */

static void request_ready(struct request *req);

static const struct request_ops h2_request_ops = {
    .respond = request_ready,
};

static struct h2_stream *
stream_new(struct h2 *h2, int32_t id)
{
	struct h2_stream *s;

	s = xcalloc(1, sizeof(*s));
	s->h2 = h2;
	s->id = id;
	s->allowed = H2_WINDOW;
	s->req = request_new(h2->base, &h2_request_ops, s, h2->app);
	TAILQ_INSERT_TAIL(&h2->streams, s, entry);
	return s;
}

static void
stream_free(struct h2_stream *s)
{
	struct h2 *h2 = s->h2;

	TAILQ_REMOVE(&h2->streams, s, entry);
	if (s->has_body)
		h2->bodies--;
	request_free(s->req);
	free(s);
}

static struct h2_stream *
stream_get(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

/* The head is complete. */
static void
stream_start(struct h2_stream *s)
{
	struct request *req = s->req;
	const struct route *route = NULL;
	struct router_path path = {0};
	struct err e = {0};

	if (router_split(&path, req->target != NULL ? req->target : "", &e) ==
	    0)
		route =
		    router_find(s->h2->service->routes, s->h2->service->count,
			req->method, &path, 0, &req->params, &e);
	router_path_fini(&path);
	if (route == NULL || s->h2->service->admit(s->h2->app, route, &e) == -1)
		request_reply_err(req, &e);
	else
		request_start(req, route);
}

static enum request_method
method_parse(const uint8_t *value, size_t len)
{
	static const struct {
		const char *name;
		enum request_method method;
	} methods[] = {
	    {"GET", METHOD_GET},
	    {"PUT", METHOD_PUT},
	    {"POST", METHOD_POST},
	    {"DELETE", METHOD_DELETE},
	};
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strlen(methods[i].name) == len &&
		    memcmp(methods[i].name, value, len) == 0)
			return methods[i].method;
	}
	return METHOD_OTHER;
}

/* ---- nghttp2's callbacks ---- */

static int
on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
	struct h2 *h2 = arg;

	(void)session;
	return h2_judge(h2,
	    h2_limits_frame(&h2->limits, hd->type, hd->flags, hd->length,
		io_monotonic_ms()));
}

/* Frames of unknown types are ignored (RFC 9113, 4.1), but counted, which
 * nghttp2 does only for types that somebody could unpack. */
static int
on_unknown_frame(nghttp2_session *session, void **payload,
    const nghttp2_frame_hd *hd, void *arg)
{
	(void)session;
	(void)payload;
	(void)hd;
	(void)arg;
	return NGHTTP2_ERR_CANCEL;
}

static int
on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code,
    void *arg)
{
	struct h2 *h2 = arg;

	(void)session;
	(void)frame;
	(void)code;
	return h2_judge(h2,
	    h2_limits_take(&h2->limits, H2_COST_INVALID, io_monotonic_ms()));
}

static int
on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame,
    void *arg)
{
	struct h2 *h2 = arg;
	struct h2_stream *s;

	h2_limits_headers_begin(&h2->limits);
	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	s = stream_new(h2, frame->hd.stream_id);
	if (nghttp2_session_set_stream_user_data(session, s->id, s) != 0) {
		stream_free(s);
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	return 0;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame,
    const uint8_t *name, size_t name_len, const uint8_t *value,
    size_t value_len, uint8_t flags, void *arg)
{
	struct h2 *h2 = arg;
	struct h2_stream *s = stream_get(session, frame->hd.stream_id);
	struct request *req;
	struct err e;

	(void)flags;
	if (!h2_limits_header(&h2->limits, name_len, value_len))
		return h2_judge(h2, "request head too large");
	if (s == NULL || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0; /* a trailer */
	req = s->req;
	if (name_len == 7 && memcmp(name, ":method", 7) == 0) {
		req->method = method_parse(value, value_len);
		s->is_head = value_len == 4 && memcmp(value, "HEAD", 4) == 0;
	} else if (name_len == 5 && memcmp(name, ":path", 5) == 0) {
		free(req->target);
		req->target = xmalloc(value_len + 1);
		memcpy(req->target, value, value_len);
		req->target[value_len] = '\0';
	} else if (request_set_header(req, (const char *)name, name_len,
		       (const char *)value, value_len, &e) == -1)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	return 0;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2_stream *s;

	(void)arg;
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	if ((s = stream_get(session, frame->hd.stream_id)) == NULL)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS &&
	    frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		stream_start(s);
	if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
		request_end(s->req);
	return 0;
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t id,
    const uint8_t *data, size_t len, void *arg)
{
	struct h2_stream *s;

	(void)flags;
	(void)arg;
	nghttp2_session_consume_connection(session, len);
	if ((s = stream_get(session, id)) == NULL)
		return 0;
	request_data(s->req, data, len);
	stream_received(s, len);
	return 0;
}

static int
on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct h2 *h2 = arg;
	struct h2_stream *s = stream_get(session, id);

	(void)code;
	if (s != NULL) {
		nghttp2_session_set_stream_user_data(session, id, NULL);
		stream_free(s);
		h2_share_bodies(h2);
	}
	return 0;
}

/* ---- responses ---- */

static ssize_t
read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct h2 *h2 = arg;
	struct h2_stream *s = source->ptr;
	struct response *res = &s->req->res;
	struct err e;
	ssize_t n;

	(void)session;
	(void)id;
	if ((n = response_read(res, buf, len, &e)) == -1) {
		log_warn_e(LOG_SUB, &e, "response cut off: %s", s->req->target);
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	if (res->off == res->len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	h2_limits_sent(&h2->limits, (size_t)n);
	return n;
}

static ssize_t
read_len(nghttp2_session *session, uint8_t type, int32_t id,
    int32_t session_window, int32_t stream_window, uint32_t frame_max,
    void *arg)
{
	(void)session;
	(void)type;
	(void)id;
	(void)session_window;
	(void)stream_window;
	(void)arg;
	/* nghttp2 cuts it down to the windows. */
	return frame_max < SEND_MAX ? frame_max : SEND_MAX;
}

static nghttp2_nv
header(const char *name, const char *value)
{
	nghttp2_nv nv = {
	    .name = (uint8_t *)(uintptr_t)name,
	    .value = (uint8_t *)(uintptr_t)value,
	    .namelen = strlen(name),
	    .valuelen = strlen(value),
	    .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME,
	};
	return nv;
}

static void
request_ready(struct request *req)
{
	struct h2_stream *s = req->transport;
	struct h2 *h2 = s->h2;
	nghttp2_data_provider body = {.source.ptr = s,
	    .read_callback = read_body};
	nghttp2_nv nv[2];
	char status[16];
	size_t n = 0;

	if (req->res.status >= 400 && h2->service->failed != NULL)
		h2->service->failed(h2->app, req);
	snprintf(status, sizeof(status), "%d", req->res.status);
	nv[n++] = header(":status", status);
	if (req->res.content_type != NULL)
		nv[n++] = header("content-type", req->res.content_type);
	if (nghttp2_submit_response(h2->session, s->id, nv, n,
		req->res.len > 0 && !s->is_head ? &body : NULL) != 0)
		fatal(LOG_SUB, "cannot submit a response");
	stream_give_back(s);
	h2_wake(h2);
}

/* ---- connection ---- */

static void
h2_send(struct h2 *h2)
{
	const uint8_t *p;
	ssize_t n;

	while (!tls_conn_is_full(h2->conn)) {
		n = nghttp2_session_mem_send(h2->session, &p);
		if (n < 0)
			fatal(LOG_SUB, "cannot send: %s",
			    nghttp2_strerror((int)n));
		if (n == 0)
			break;
		tls_conn_write(h2->conn, p, (size_t)n);
	}
	if (!h2->finishing && !nghttp2_session_want_read(h2->session) &&
	    !nghttp2_session_want_write(h2->session)) {
		h2->finishing = true;
		tls_conn_finish(h2->conn);
	}
}

static void
h2_receive(struct h2 *h2, const uint8_t *p, size_t len)
{
	ssize_t n;

	n = nghttp2_session_mem_recv(h2->session, p, len);
	if (n == NGHTTP2_ERR_FLOODED) /* more answers wait than it is sent */
		h2->abuse = "too many control frames";
	if (n < 0) {
		log_warn(LOG_SUB, "client cut off: %s",
		    h2->abuse != NULL ? h2->abuse : nghttp2_strerror((int)n));
		nghttp2_session_terminate_session(h2->session,
		    h2->abuse != NULL ? NGHTTP2_ENHANCE_YOUR_CALM
				      : NGHTTP2_PROTOCOL_ERROR);
	}
	h2_send(h2);
}

/* The bytes that were there before us. */
static void
h2_begin(struct h2 *h2)
{
	uint8_t *early = h2->early;

	h2->early = NULL;
	if (early != NULL)
		h2_receive(h2, early, h2->early_len);
	free(early);
}

static void
on_conn_data(void *arg, const uint8_t *p, size_t len)
{
	struct h2 *h2 = arg;

	h2_begin(h2);
	if (!h2->finishing)
		h2_receive(h2, p, len);
}

static void
on_conn_drained(void *arg)
{
	h2_send(arg);
}

static void
h2_cancel_all(struct h2 *h2)
{
	struct h2_stream *s;

	while ((s = TAILQ_FIRST(&h2->streams)) != NULL)
		stream_free(s);
}

static void
on_conn_closed(void *arg, const struct err *why)
{
	struct h2 *h2 = arg;
	struct err e;

	tls_conn_free(h2->conn);
	h2->conn = NULL;
	event_del(h2->flush);
	event_del(h2->begin);
	h2_cancel_all(h2);
	if (why == NULL && h2->abuse != NULL) {
		err_set(&e, ERR_LIMIT, "%s", h2->abuse);
		why = &e;
	}
	h2->service->ended(h2->app, why);
}

static const struct tls_events conn_events = {
    .data = on_conn_data,
    .drained = on_conn_drained,
    .closed = on_conn_closed,
};

static void
on_flush(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	h2_send(arg);
}

static void
on_begin(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	h2_begin(arg);
}

/* Our first frame, and the window that is never the limit. */
static void
h2_greet(struct h2 *h2)
{
	static const nghttp2_settings_entry settings[] = {
	    {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX},
	    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW},
	    {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, H2_FRAME_MAX},
	    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_HEADERS_MAX},
	};

	if (nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings,
		sizeof(settings) / sizeof(settings[0])) != 0 ||
	    nghttp2_session_set_local_window_size(h2->session,
		NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) != 0)
		fatal(LOG_SUB, "cannot set up a connection");
}

static void
h2_session_new(struct h2 *h2)
{
	nghttp2_session_callbacks *cb;
	nghttp2_option *opt;
	unsigned int type;

	if (nghttp2_session_callbacks_new(&cb) != 0 ||
	    nghttp2_option_new(&opt) != 0)
		fatal(LOG_SUB, "out of memory");
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb,
	    on_begin_frame);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb,
	    on_invalid_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb,
	    on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb,
	    on_stream_close);
	nghttp2_session_callbacks_set_data_source_read_length_callback(cb,
	    read_len);
	nghttp2_session_callbacks_set_unpack_extension_callback(cb,
	    on_unknown_frame);
	for (type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
		nghttp2_option_set_user_recv_extension_type(opt, (uint8_t)type);
	nghttp2_option_set_no_auto_window_update(opt, 1);
	nghttp2_option_set_no_closed_streams(opt, 1);
	if (nghttp2_session_server_new2(&h2->session, cb, h2, opt) != 0)
		fatal(LOG_SUB, "out of memory");
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cb);
}

struct h2 *
h2_new(struct event_base *base, struct tls_conn *conn,
    const struct h2_service *service, void *app, const uint8_t *early,
    size_t early_len)
{
	struct h2 *h2;

	h2 = xcalloc(1, sizeof(*h2));
	h2->base = base;
	h2->conn = conn;
	h2->service = service;
	h2->app = app;
	TAILQ_INIT(&h2->streams);
	h2_limits_init(&h2->limits, io_monotonic_ms());
	h2->flush = event_new(base, -1, 0, on_flush, h2);
	h2->begin = event_new(base, -1, 0, on_begin, h2);
	if (h2->flush == NULL || h2->begin == NULL)
		fatal(LOG_SUB, "out of memory");
	h2_session_new(h2);
	tls_conn_set_events(conn, &conn_events, h2);
	h2_greet(h2);
	h2_wake(h2);
	if (early_len > 0) {
		h2->early = xmemdup(early, early_len);
		h2->early_len = early_len;
		event_active(h2->begin, EV_TIMEOUT, 0);
	}
	return h2;
}

void
h2_free(struct h2 *h2)
{
	if (h2 == NULL)
		return;
	h2_cancel_all(h2);
	nghttp2_session_del(h2->session);
	tls_conn_free(h2->conn);
	event_free(h2->flush);
	event_free(h2->begin);
	free(h2->early);
	free(h2);
}

void
h2_finish(struct h2 *h2)
{
	nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
	    nghttp2_session_get_last_proc_stream_id(h2->session),
	    NGHTTP2_NO_ERROR, NULL, 0);
	h2_wake(h2);
}
