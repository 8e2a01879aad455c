/*
 * The health call for load balancers: do auth and the validator answer?  Runs
 * in a worker, for anybody who can connect: it says "ok" or "unavailable" and
 * no more, and asks them once a second at most on one connection.
 */
#include "config.h"

#include <stdlib.h>

#include <event2/event.h>

#include "common/err.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/msg.h"
#include "server/aclient.h"
#include "server/api.h"
#include "server/api_int.h"
#include "server/auth/access.h"
#include "server/vclient.h"

#define HEALTH_WAIT_MS 5000
#define HEALTH_PACE_MS 1000

struct health {
	struct request *req;
	struct aclient_req *auth_req; /* NULL: auth has answered */
	struct ipc *validator;
	struct event *deadline;
};

static void
health_free(struct health *h)
{
	if (h->auth_req != NULL)
		aclient_cancel(h->auth_req);
	ipc_free(&h->validator);
	event_free(h->deadline);
	free(h);
}

static void
health_cancel(struct request *req)
{
	health_free(req->state);
}

static void
health_reply(struct health *h, int ok)
{
	struct request *req = h->req;

	req->state = NULL;
	req->cancel = NULL;
	health_free(h);
	if (ok)
		request_reply_text(req, 200, "ok\n");
	else
		request_reply_text(req, 503, "unavailable\n");
}

static void
health_on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	health_reply(arg, 0);
}

/* --- the validator: a connection of its own, which is greeted ------------ */

static int
health_on_any(void *ctx, struct ipc_msg *m)
{
	struct msg_WELCOME b;

	health_reply(ctx,
	    m->type == MSG_ID_WELCOME && msg_get_WELCOME(&m->body, &b) == 0);
	wire_r_bytes(&m->body, wire_r_left(&m->body));
	return 0;
}

static void
health_on_closed(void *ctx, const struct err *why)
{
	(void)why;
	health_reply(ctx, 0);
}

#define HEALTH_TO_VAL NULL
#define HEALTH_TO_WRK health_on_any
#define IPC_ROW_WV(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, HEALTH_##dir, states, fds)
static const struct ipc_row health_rows[] = {
#include "common/msg_rows.h"
};

static const struct ipc_proto health_proto = {
    .name = "validator",
    .rows = health_rows,
    .nrows = sizeof(health_rows) / sizeof(health_rows[0]),
    .version = IPC_VERSION,
    .version_min = IPC_VERSION_MIN,
};

static int
health_greet(struct health *h)
{
	const struct api *api = h->req->app;
	const struct ipc_cfg cfg = {
	    .base = api->base,
	    .proto = &health_proto,
	    .role = IPC_D_TO_WRK,
	    .state = IPC_S_NEW,
	    .ctx = h,
	    .closed = health_on_closed,
	};
	struct err e;
	int fd;

	if ((fd = ipc_connect(api->validator_path, &e)) == -1 ||
	    (h->validator = ipc_new(fd, &cfg, &e)) == NULL)
		return -1;
	return vclient_send_hello(h->validator, 1, &e);
}

/* --- auth ---------------------------------------------------------------- */

static void
health_on_auth(void *arg, const struct aclient_reply *r, const struct err *e)
{
	struct health *h = arg;

	(void)e;
	h->auth_req = NULL;
	if (r == NULL || health_greet(h) == -1)
		health_reply(h, 0);
}

/* How long this answer waits, since the one before was just given. */
static unsigned int
health_pace(struct api *api)
{
	uint64_t now = io_monotonic_ms(), wait = 0;

	if (api->health_next_ms > now)
		wait = api->health_next_ms - now;
	api->health_next_ms = now + wait + HEALTH_PACE_MS;
	return (unsigned int)wait;
}

void
api_health(struct request *req)
{
	static const struct timeval tv = {HEALTH_WAIT_MS / 1000, 0};
	/* What auth tells everybody. */
	const struct msg_ACCESS_CALL m = {.op = ACCESS_DOMAINS};
	struct api *api = req->app;
	struct health *h = xcalloc(1, sizeof(*h));

	h->req = req;
	h->deadline = evtimer_new(api->base, health_on_deadline, h);
	if (h->deadline == NULL)
		fatal("api", "cannot make a timer");
	evtimer_add(h->deadline, &tv);
	req->delay_min_ms = health_pace(api);
	req->state = h;
	req->cancel = health_cancel;
	h->auth_req = aclient_access_call(api->auth, &m, health_on_auth, h);
}
