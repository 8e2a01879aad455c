/*
 * Streams of HTTP/2: each is a request, its body within the credit that its
 * handler gives, and its response.  Runs in a worker; all that arrives here
 * was sent by the client.
 */
#include "config.h"

#include "server/h2_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/request.h"
#include "server/router.h"

#define LOG_SUB "h2"
#define ANY_WINDOW (4 << 20)
/* Of a body after its reply; then the stream is reset. */
#define DISCARD_MAX (64u << 20)
/* Parameter bodies that are longer than the first window, all together. */
#define BODIES_MAX 16u
#define SEND_MAX (128u << 10) /* one DATA frame of ours */

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
void
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

void
h2_stream_data(struct h2_stream *s, const uint8_t *data, size_t len)
{
	bool raw =
	    s->req->route != NULL && (s->req->route->flags & ROUTE_RAW) != 0;

	request_data(s->req, data, len);
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

ssize_t
h2_stream_read_len(nghttp2_session *session, uint8_t type, int32_t id,
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
		req->res.len > 0 && req->method != METHOD_HEAD ? &body
							       : NULL) != 0)
		fatal(LOG_SUB, "cannot submit a response");
	stream_give_back(s);
	h2_wake(h2);
}

static const struct request_ops h2_request_ops = {
    .respond = request_ready,
};

/* ---- streams ---- */

struct h2_stream *
h2_stream_new(struct h2 *h2, int32_t id)
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

void
h2_stream_free(struct h2_stream *s)
{
	struct h2 *h2 = s->h2;

	TAILQ_REMOVE(&h2->streams, s, entry);
	if (s->has_body)
		h2->bodies--;
	request_free(s->req);
	free(s);
}

void
h2_stream_start(struct h2_stream *s)
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
	    {"HEAD", METHOD_HEAD},
	};
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strlen(methods[i].name) == len &&
		    memcmp(methods[i].name, value, len) == 0)
			return methods[i].method;
	}
	return METHOD_OTHER;
}

int
h2_stream_header(struct h2_stream *s, const uint8_t *name, size_t name_len,
    const uint8_t *value, size_t value_len)
{
	struct request *req = s->req;
	struct err e;

	if (name_len == 7 && memcmp(name, ":method", 7) == 0)
		req->method = method_parse(value, value_len);
	else if (name_len == 5 && memcmp(name, ":path", 5) == 0) {
		free(req->target);
		req->target = xmalloc(value_len + 1);
		memcpy(req->target, value, value_len);
		req->target[value_len] = '\0';
	} else if (request_set_header(req, (const char *)name, name_len,
		       (const char *)value, value_len, &e) == -1)
		return -1;
	return 0;
}
