/*
 * Requests and responses of both transports.  Runs in a worker; head and body
 * are a client's.  The body of a call with parameters is limited here, that
 * of a raw call by its handler.
 */
#include "config.h"

#include "server/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/err.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/router.h"

#define TYPE_JSON "application/json;charset=UTF-8"
#define TYPE_TEXT "text/plain;charset=UTF-8"
#define TYPE_BYTES "application/octet-stream"

static const char *const header_names[HEADER_COUNT] = {
    [HEADER_CONTENT_TYPE] = "content-type",
    [HEADER_COOKIE] = "cookie",
    [HEADER_AUTHORIZATION] = "authorization",
    [HEADER_CSRF] = "csrfpreventiontoken",
    [HEADER_UPGRADE] = "upgrade",
    [HEADER_HOST] = "host",
};

struct request *
request_new(struct event_base *base, const struct request_ops *ops,
    void *transport, void *app)
{
	struct request *req = xcalloc(1, sizeof(*req));

	req->base = base;
	req->ops = ops;
	req->transport = transport;
	req->app = app;
	req->method = METHOD_OTHER;
	req->res.fd = -1;
	return req;
}

static void
request_drop_body(struct request *req)
{
	/* It may hold a password. */
	mem_wipe_free(req->body, req->body_cap);
	req->body = NULL;
	req->body_len = req->body_cap = 0;
}

void
request_free(struct request *req)
{
	size_t i;

	if (req == NULL)
		return;
	if (req->cancel != NULL)
		req->cancel(req);
	if (req->delay != NULL)
		event_free(req->delay);
	for (i = 0; i < HEADER_COUNT; i++) {
		if (req->headers[i] != NULL)
			mem_wipe_free(req->headers[i], strlen(req->headers[i]));
	}
	if (req->res.stream != NULL)
		req->res.stream->free(req->res.stream_arg);
	request_drop_body(req);
	params_fini(&req->params);
	io_close(&req->res.fd);
	free(req->res.body);
	free(req->res.location);
	free(req->target);
	free(req);
}

/* HTTP/2 may send one cookie header for each cookie (RFC 9113, 8.2.3). */
static char *
request_join_cookies(char *old, const char *value, size_t len)
{
	char *joined = xasprintf("%s; %.*s", old, (int)len, value);

	mem_wipe_free(old, strlen(old));
	return joined;
}

int
request_set_header(struct request *req, const char *name, size_t name_len,
    const char *value, size_t value_len, struct err *e)
{
	char **slot;
	size_t i;

	for (i = 0; i < HEADER_COUNT; i++) {
		if (strlen(header_names[i]) == name_len &&
		    strncasecmp(header_names[i], name, name_len) == 0)
			break;
	}
	if (i == HEADER_COUNT)
		return 0;
	if (memchr(value, '\0', value_len) != NULL)
		return err_set(e, ERR_INVALID, "invalid header value");
	slot = &req->headers[i];
	if (*slot == NULL) {
		*slot = xmalloc(value_len + 1);
		memcpy(*slot, value, value_len);
		(*slot)[value_len] = '\0';
		return 0;
	}
	if (i != HEADER_COOKIE)
		return err_set(e, ERR_INVALID, "repeated header %s",
		    header_names[i]);
	*slot = request_join_cookies(*slot, value, value_len);
	return 0;
}

/* --- parameters and the handler ------------------------------------------ */

/* Whether the content type is this one, whatever follows a ';'. */
static int
request_type_is(const struct request *req, const char *type)
{
	const char *have = req->headers[HEADER_CONTENT_TYPE];
	size_t len = strlen(type);

	if (strncasecmp(have, type, len) != 0)
		return 0;
	have += len;
	have += strspn(have, " \t");
	return *have == ';' || *have == '\0';
}

static const char *
request_query(const struct request *req)
{
	const char *mark = strchr(req->target, '?');

	return mark != NULL ? mark + 1 : "";
}

/* wire-protocol 1.5: which carriers count. */
static int
request_collect(struct request *req, struct err *e)
{
	const char *query = request_query(req);
	const char *body = req->body != NULL ? req->body : "";

	if ((req->route->flags & ROUTE_RAW) != 0)
		return params_add_form(&req->params, query, strcspn(query, "#"),
		    e);
	if (req->headers[HEADER_CONTENT_TYPE] == NULL ||
	    request_type_is(req, "application/x-www-form-urlencoded")) {
		if (params_add_form(&req->params, query, strcspn(query, "#"),
			e) == -1)
			return -1;
		return params_add_form(&req->params, body, req->body_len, e);
	}
	if (request_type_is(req, "application/json"))
		return params_set_json(&req->params, body, req->body_len, e);
	return err_set(e, ERR_INVALID, "unsupported content type");
}

static void
request_run(struct request *req)
{
	const struct route *route = req->route;
	struct err e = {0};

	if (request_collect(req, &e) == -1 ||
	    params_check(&req->params, route->params,
		(route->flags & ROUTE_LAX) != 0 ? PARAMS_LAX : 0, &e) == -1) {
		request_reply_err(req, &e);
		return;
	}
	route->handler(req);
}

void
request_start(struct request *req, const struct route *route)
{
	int raw = (route->flags & ROUTE_RAW) != 0;

	req->route = route;
	if (!raw && req->body_len >= REQUEST_BODY_MAX) {
		request_reply_text(req, 400, "Request body too large");
		return;
	}
	if (raw || req->body_ended)
		request_run(req);
	if (req->ops->started != NULL)
		req->ops->started(req);
	if (!raw || req->replied)
		return;
	/* What came while the transport was still asking who it is. */
	if (req->body_len > 0 && req->sink != NULL && req->sink->data != NULL)
		req->sink->data(req, (uint8_t *)req->body, req->body_len);
	request_drop_body(req);
	if (req->body_ended && !req->replied)
		request_end(req);
}

static int
request_keep(struct request *req, const uint8_t *p, size_t len)
{
	size_t cap;
	char *grown;

	if (len > REQUEST_BODY_MAX || req->body_len + len > REQUEST_BODY_MAX)
		return -1;
	if (req->body_len + len > req->body_cap) {
		cap = req->body_cap == 0 ? 4096 : req->body_cap;
		while (cap < req->body_len + len)
			cap *= 2;
		grown = xmalloc(cap);
		if (req->body_len > 0)
			memcpy(grown, req->body, req->body_len);
		mem_wipe_free(req->body, req->body_cap);
		req->body = grown;
		req->body_cap = cap;
	}
	memcpy(req->body + req->body_len, p, len);
	req->body_len += len;
	return 0;
}

void
request_data(struct request *req, const uint8_t *p, size_t len)
{
	if (req->replied || len == 0)
		return;
	if (req->route != NULL && (req->route->flags & ROUTE_RAW) != 0) {
		if (req->sink != NULL && req->sink->data != NULL)
			req->sink->data(req, p, len);
		return;
	}
	if (request_keep(req, p, len) == -1 ||
	    (req->route != NULL && req->body_len >= REQUEST_BODY_MAX))
		request_reply_text(req, 400, "Request body too large");
}

void
request_end(struct request *req)
{
	req->body_ended = 1;
	if (req->replied || req->route == NULL)
		return;
	if ((req->route->flags & ROUTE_RAW) == 0)
		request_run(req);
	else if (req->sink != NULL && req->sink->end != NULL)
		req->sink->end(req);
}

/* --- replies ------------------------------------------------------------- */

static void
request_on_delay(evutil_socket_t fd, short what, void *arg)
{
	struct request *req = arg;

	(void)fd;
	(void)what;
	req->ops->respond(req);
}

/* Always from the loop, so that no caller loses the request under its feet. */
static void
request_respond(struct request *req, int status, const char *type,
    unsigned int delay_ms)
{
	struct timeval tv;

	if (req->replied)
		fatal("request", "second reply to one request");
	req->replied = 1;
	if (delay_ms < req->delay_min_ms)
		delay_ms = req->delay_min_ms;
	tv.tv_sec = delay_ms / 1000;
	tv.tv_usec = (suseconds_t)(delay_ms % 1000) * 1000;
	req->cancel = NULL;
	req->sink = NULL;
	req->res.status = status;
	req->res.content_type = type;
	request_drop_body(req);
	req->delay = evtimer_new(req->base, request_on_delay, req);
	if (req->delay == NULL)
		fatal("request", "cannot make a timer");
	if (delay_ms == 0)
		event_active(req->delay, EV_TIMEOUT, 0);
	else
		evtimer_add(req->delay, &tv);
}

static unsigned int
request_delay_ms(int status)
{
	if (status == 401)
		return REQUEST_DELAY_401_MS;
	return status == 403 ? REQUEST_DELAY_403_MS : 0;
}

void
request_reply_envelope(struct request *req, struct json *object)
{
	size_t len;

	req->res.body = json_compact(object, &len);
	req->res.len = len;
	json_free(&object);
	request_respond(req, 200, TYPE_JSON, 0);
}

void
request_reply_json(struct request *req, struct json *data)
{
	struct json *object = json_new_object();

	json_set(object, "data", data != NULL ? data : json_new_null());
	request_reply_envelope(req, object);
}

void
request_reply_text(struct request *req, int status, const char *text)
{
	req->res.body = xstrdup(text);
	req->res.len = strlen(text);
	request_respond(req, status, TYPE_TEXT, request_delay_ms(status));
}

void
request_reply_err(struct request *req, const struct err *e)
{
	request_reply_text(req, err_http_status(e->code), e->msg);
}

void
request_reply_fd(struct request *req, int fd, uint64_t len)
{
	req->res.fd = fd;
	req->res.len = len;
	request_respond(req, 200, TYPE_BYTES, 0);
}

void
request_reply_raw(struct request *req, char *body, size_t len)
{
	req->res.body = body;
	req->res.len = len;
	request_respond(req, 200, TYPE_BYTES, 0);
}

void
request_reply_stream(struct request *req, const char *type, uint64_t len,
    const struct response_stream *stream, void *arg)
{
	req->res.stream = stream;
	req->res.stream_arg = arg;
	req->res.len = len;
	request_respond(req, 200, type, 0);
}

static ssize_t
response_read_stream(struct response *res, void *buf, size_t len, struct err *e)
{
	ssize_t n = res->stream->read(res->stream_arg, buf, len, e);

	if (n == 0 && res->len != RESPONSE_LEN_UNKNOWN)
		return err_set(e, ERR_CORRUPT,
		    "response is shorter than announced");
	if (n > 0)
		res->off += (uint64_t)n;
	return n;
}

ssize_t
response_read(struct response *res, void *buf, size_t len, struct err *e)
{
	ssize_t n;

	if (len > res->len - res->off)
		len = (size_t)(res->len - res->off);
	if (len == 0)
		return 0;
	if (res->stream != NULL)
		return response_read_stream(res, buf, len, e);
	if (res->fd == -1) {
		memcpy(buf, res->body + res->off, len);
		res->off += len;
		return (ssize_t)len;
	}
	do
		n = pread(res->fd, buf, len, (off_t)res->off);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return err_errno(e, errno, "cannot read file");
	if (n == 0)
		return err_set(e, ERR_CORRUPT,
		    "file is shorter than announced");
	res->off += (uint64_t)n;
	return n;
}

const char *
response_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
	    {101, "Switching Protocols"},
	    {200, "OK"},
	    {301, "Moved Permanently"},
	    {308, "Permanent Redirect"},
	    {400, "Bad Request"},
	    {401, "Unauthorized"},
	    {403, "Forbidden"},
	    {404, "Not Found"},
	    {408, "Request Timeout"},
	    {414, "URI Too Long"},
	    {431, "Request Header Fields Too Large"},
	    {500, "Internal Server Error"},
	    {503, "Service Unavailable"},
	};
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].status == status)
			return reasons[i].reason;
	}
	return "Unknown";
}
