/*
 * From a request's head to its handler: path, credentials, route (in the
 * order of wire-protocol 1.3 and 2.1: credentials first, so that nobody
 * unknown learns which paths exist).  Runs in a worker.
 */
#include "config.h"

#include "server/api.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "server/aclient.h"
#include "server/api_int.h"
#include "server/identity.h"
#include "server/router.h"

#define API_PREFIX_COUNT 2 /* "api2", "json" */

#define ROUTE_FLAG_0 0
#define ROUTE_FLAG_OPEN ROUTE_OPEN
#define ROUTE_FLAG_RAW ROUTE_RAW
#define ROUTE_FLAG_LAX ROUTE_LAX

static const struct route api_routes[] = {
#define ROUTE(method, pattern, params, flags, handler) \
	{METHOD_##method, pattern, params, ROUTE_FLAG_##flags, handler},
#define ROUTE_OF_ALL(pattern, handler)
#include "server/routes.def"
#undef ROUTE_OF_ALL
#undef ROUTE
};

static const struct route api_routes_of_all[] = {
#define ROUTE(method, pattern, params, flags, handler)
#define ROUTE_OF_ALL(pattern, handler)                    \
	{METHOD_GET, pattern, NULL, ROUTE_OPEN, handler}, \
	    {METHOD_HEAD, pattern, NULL, ROUTE_OPEN, handler},
#include "server/routes.def"
#undef ROUTE_OF_ALL
#undef ROUTE
};

#define API_COUNT(routes) (sizeof(routes) / sizeof((routes)[0]))

/* A request that waits for auth to say who it is. */
struct api_asking {
	struct aclient_req *verify;
	const struct route *route; /* NULL: not_found is its answer */
	struct err not_found;
};

void
api_copy(char *dst, size_t size, const char *value)
{
	size_t len = strlen(value);

	if (len >= size)
		fatal("api", "parameter is longer than its schema allows");
	memcpy(dst, value, len + 1);
}

static void
api_asking_cancel(struct request *req)
{
	struct api_asking *ask = req->state;

	aclient_cancel(ask->verify);
	free(ask);
}

static void
api_proceed(struct request *req, const struct route *route,
    const struct err *not_found)
{
	if (route == NULL)
		request_reply_err(req, not_found);
	else
		request_start(req, route);
}

static void
api_on_verified(void *arg, const struct aclient_reply *r, const struct err *e)
{
	struct request *req = arg;
	struct api *api = req->app;
	struct api_asking *ask = req->state;
	const struct route *route = ask->route;
	struct err not_found = ask->not_found;

	free(ask);
	req->state = NULL;
	req->cancel = NULL;
	if (r == NULL) {
		req->delay_min_ms = aclient_fail_delay_ms(api->auth);
		request_reply_err(req, e);
		return;
	}
	if (api->identified != NULL)
		api->identified(api, r->verified.auth_id);
	api_proceed(req, route, &not_found);
}

static void
api_ask(struct request *req, const struct route *route,
    const struct err *not_found)
{
	struct api *api = req->app;
	struct api_asking *ask;
	struct identity id;
	struct err e = {0};

	if (identity_parse(&id, req, api->peer, &e) == -1) {
		identity_fini(&id);
		request_reply_err(req, &e);
		return;
	}
	ask = xcalloc(1, sizeof(*ask));
	ask->route = route;
	ask->not_found = *not_found;
	req->state = ask;
	req->cancel = api_asking_cancel;
	ask->verify =
	    aclient_verify(api->auth, &id.verify, api_on_verified, req);
	identity_fini(&id);
}

static int
api_is_ours(const struct router_path *path)
{
	return path->count > 0 && strcmp(path->component[0], "api2") == 0;
}

static const struct route *
api_find(struct request *req, const struct router_path *path, struct err *e)
{
	if (!api_is_ours(path))
		return router_find(api_routes_of_all,
		    API_COUNT(api_routes_of_all), req->method, path, 0,
		    &req->params, e);
	if (path->count < API_PREFIX_COUNT ||
	    strcmp(path->component[1], "json") != 0) {
		router_not_found(path, e);
		return NULL;
	}
	return router_find(api_routes, API_COUNT(api_routes), req->method, path,
	    API_PREFIX_COUNT, &req->params, e);
}

void
api_dispatch(struct request *req)
{
	const struct route *route;
	struct router_path path;
	struct err e = {0};
	int ours;

	if (router_split(&path, req->target, &e) == -1) {
		request_reply_err(req, &e);
		return;
	}
	log_debug("api", "request path=%s", STR_VIS(req->target));
	ours = api_is_ours(&path);
	route = api_find(req, &path, &e);
	router_path_fini(&path);
	/* Outside of /api2 would be static files, which are open to all. */
	if (!ours || (route != NULL && (route->flags & ROUTE_OPEN) != 0))
		api_proceed(req, route, &e);
	else
		api_ask(req, route, &e);
}
