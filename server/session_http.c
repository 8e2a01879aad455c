/*
 * A session and the HTTP/2 connection that drives it.  Runs in a worker.
 */
#include "config.h"

#include "server/session_http.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/err.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "server/h2.h"
#include "server/request.h"
#include "server/router.h"
#include "server/session_int.h"
#include "server/session_params.h"
#include "server/vclient.h"

#define LOG_SUB "session"
/* The validator cuts off a worker with more unanswered requests; those of
 * streams that were reset count too. */
#define REQUESTS_MAX 400

struct session_http {
	struct session *s; /* NULL once it was ended */
	struct h2 *h2;
	struct h2_service service;
	void (*ended)(void *arg);
	void *arg;
};

static const struct route backup_routes[] = {
#define ROUTES_BOTH(...) {__VA_ARGS__},
#define ROUTES_BACKUP(...) {__VA_ARGS__},
#define ROUTES_READER(...)
#define H2_ROUTE(session, method, path, params, flags, handler) \
	ROUTES_##session(METHOD_##method, path, params, flags, handler)
#include "server/h2_routes.def"
#undef H2_ROUTE
#undef ROUTES_BACKUP
#undef ROUTES_READER
};

static const struct route reader_routes[] = {
#define ROUTES_BACKUP(...)
#define ROUTES_READER(...) {__VA_ARGS__},
#define H2_ROUTE(session, method, path, params, flags, handler) \
	ROUTES_##session(METHOD_##method, path, params, flags, handler)
#include "server/h2_routes.def"
#undef H2_ROUTE
#undef ROUTES_BACKUP
#undef ROUTES_READER
};

const struct route *
session_routes(enum session_kind kind, size_t *count_out)
{
	if (kind == SESSION_KIND_BACKUP) {
		*count_out = sizeof(backup_routes) / sizeof(*backup_routes);
		return backup_routes;
	}
	*count_out = sizeof(reader_routes) / sizeof(*reader_routes);
	return reader_routes;
}

struct session *
session_of(const struct request *req)
{
	struct session_http *h = req->app;

	return h->s;
}

static int
admit(void *app, const struct route *route, struct err *e)
{
	struct session_http *h = app;

	(void)route;
	if (h->s->aborted) {
		*e = h->s->err;
		return -1;
	}
	if (vclient_pending(h->s->v) >= REQUESTS_MAX)
		return err_set(e, ERR_LIMIT, "too many requests at a time");
	return 0;
}

static const char *
method_text(enum request_method method)
{
	static const char *const names[] = {
	    [METHOD_GET] = "GET",
	    [METHOD_PUT] = "PUT",
	    [METHOD_POST] = "POST",
	    [METHOD_DELETE] = "DELETE",
	    [METHOD_HEAD] = "HEAD",
	    [METHOD_OTHER] = "OTHER",
	};

	return names[method];
}

/* Into the task log (datastore-format 5.12). */
static void
failed(void *app, const struct request *req)
{
	struct session_http *h = app;
	struct msg_SESSION_LOG m = {.level = 1};
	char path[256], text[512];

	if (h->s->aborted ||
	    !token_bucket_take(&h->s->log_rate, 1, io_monotonic_ms()))
		return;
	str_vis(path, sizeof(path), req->target != NULL ? req->target : "");
	str_vis_mem(text, sizeof(text),
	    req->res.body != NULL ? req->res.body : "",
	    req->res.body != NULL ? (size_t)req->res.len : 0);
	snprintf(m.text, sizeof(m.text), "%s %s: %d %s: %s",
	    method_text(req->method), path, req->res.status,
	    response_reason(req->res.status), text);
	vclient_session_log(h->s->v, &m);
}

static void
on_session_ended(void *arg)
{
	struct session_http *h = arg;

	h->ended(h->arg);
}

static void
on_h2_ended(void *app, const struct err *why)
{
	struct session_http *h = app;
	struct session *s = h->s;

	if (why != NULL)
		log_info(LOG_SUB, "connection ended: %s", why->msg);
	h2_free(h->h2);
	h->h2 = NULL;
	h->s = NULL;
	session_end(s, why == NULL, why != NULL ? why->msg : "",
	    on_session_ended, h);
}

struct session_http *
session_http_new(struct event_base *base, struct session *s,
    struct tls_conn *conn, const uint8_t *rest, size_t rest_len,
    void (*ended)(void *arg), void *arg)
{
	struct session_http *h = xcalloc(1, sizeof(*h));

	h->service.routes = session_routes(s->kind, &h->service.count);
	h->service.admit = admit;
	h->service.failed = failed;
	h->service.ended = on_h2_ended;
	h->s = s;
	h->ended = ended;
	h->arg = arg;
	h->h2 = h2_new(base, conn, &h->service, h, rest, rest_len);
	return h;
}

void
session_http_free(struct session_http *h)
{
	if (h == NULL)
		return;
	h2_free(h->h2);
	if (h->s != NULL)
		session_free(h->s);
	free(h);
}
