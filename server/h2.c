/*
 * HTTP/2 over nghttp2, which only h2*.c see: the connection.  Runs in a
 * worker, in its sandbox; all that arrives here was sent by the client, who
 * is authenticated for one session but may be captured.
 */
#include "config.h"

#include "server/h2_int.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/err.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/request.h"
#include "server/tls.h"

#define LOG_SUB "h2"
#define CONNECTION_WINDOW INT32_MAX

void
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

static struct h2_stream *
stream_get(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
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
	s = h2_stream_new(h2, frame->hd.stream_id);
	if (nghttp2_session_set_stream_user_data(session, s->id, s) != 0) {
		h2_stream_free(s);
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
	(void)flags;
	if (!h2_limits_header(&h2->limits, name_len, value_len))
		return h2_judge(h2, "request head too large");
	if (s == NULL || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0; /* a trailer */
	return h2_stream_header(s, name, name_len, value, value_len) == 0
	    ? 0
	    : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
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
		h2_stream_start(s);
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
	h2_stream_data(s, data, len);
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
		h2_stream_free(s);
		h2_share_bodies(h2);
	}
	return 0;
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
		h2_stream_free(s);
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
	    h2_stream_read_len);
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
