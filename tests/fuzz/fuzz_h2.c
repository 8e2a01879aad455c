/* HTTP/2: what a client sends behind its preface, in pieces of any size, to
 * the real connection over a TLS layer that is none. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include <event2/event.h>

#include "common/err.h"
#include "common/json.h"
#include "server/h2.h"
#include "server/router.h"
#include "server/tls.h"

#define OUTPUT_MAX (8u << 20)
#define TURNS_MAX 64

/* --- a TLS layer that is none -------------------------------------------- */

struct tls_conn {
	const struct tls_events *ev;
	void *arg;
	size_t written;
	int finished;
};

static struct tls_conn conn;

void
tls_conn_set_events(struct tls_conn *c, const struct tls_events *ev, void *arg)
{
	c->ev = ev;
	c->arg = arg;
}

void
tls_conn_write(struct tls_conn *c, const void *p, size_t len)
{
	FUZZ_REQUIRE(p != NULL && len > 0);
	c->written += len;
}

int
tls_conn_is_full(const struct tls_conn *c)
{
	return c->written >= OUTPUT_MAX;
}

void
tls_conn_finish(struct tls_conn *c)
{
	c->finished = 1;
}

void
tls_conn_free(struct tls_conn *c)
{
	(void)c;
}

/* --- a service ----------------------------------------------------------- */

static int streams; /* handlers that have not replied */
static int ended;

static void
on_cancel(struct request *req)
{
	req->state = NULL;
	streams--;
}

static void
body_data(struct request *req, const uint8_t *p, size_t len)
{
	static volatile uint8_t last;

	FUZZ_REQUIRE(req->state != NULL && len > 0);
	last = p[len - 1];
	(void)last;
}

static void
body_end(struct request *req)
{
	streams--;
	request_reply_json(req, NULL);
}

static const struct request_sink sink = {.data = body_data, .end = body_end};

static void
on_upload(struct request *req)
{
	req->state = &streams;
	req->sink = &sink;
	req->cancel = on_cancel;
	streams++;
	h2_allow(req, (uint64_t)params_int(&req->params, "n", 0));
}

static void
on_list(struct request *req)
{
	request_reply_json(req, json_new_u64(params_count(&req->params, "a")));
}

static void
on_large(struct request *req)
{
	request_reply_raw(req, xcalloc(1, 1 << 20), 1 << 20);
}

static const struct param_def upload_params[] = {
    {"n", PARAM_INTEGER, PARAM_OPTIONAL, 0, 16 << 20, NULL},
    {NULL},
};
static const struct param_def list_params[] = {
    {"a", PARAM_INTEGERS, PARAM_OPTIONAL, 0, 100, NULL},
    {NULL},
};
static const struct route routes[] = {
    {METHOD_POST, "u", upload_params, ROUTE_RAW, on_upload},
    {METHOD_PUT, "l", list_params, 0, on_list},
    {METHOD_GET, "", NULL, 0, on_large},
};

static int
admit(void *app, const struct route *route, struct err *e)
{
	(void)app;
	(void)route;
	(void)e;
	return 0;
}

static void
on_failed(void *app, const struct request *req)
{
	(void)app;
	FUZZ_REQUIRE(req->res.status >= 400);
}

static void
on_ended(void *app, const struct err *why)
{
	(void)app;
	(void)why;
	ended++;
}

static const struct h2_service service = {
    .routes = routes,
    .count = sizeof(routes) / sizeof(routes[0]),
    .admit = admit,
    .failed = on_failed,
    .ended = on_ended,
};

static void
serve(struct event_base *base, const uint8_t *data, size_t len, size_t step)
{
	static const uint8_t hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				       "\0\0\0\4\0\0\0\0\0";
	struct h2 *h2;
	size_t off, n;
	int i;

	memset(&conn, 0, sizeof(conn));
	streams = ended = 0;
	h2 = h2_new(base, &conn, &service, NULL, hello, sizeof(hello) - 1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	for (off = 0; off < len && !conn.finished; off += n) {
		n = len - off < step ? len - off : step;
		conn.ev->data(conn.arg, data + off, n);
		if (step > 1)
			event_base_loop(base, EVLOOP_NONBLOCK);
	}
	for (i = 0; i < TURNS_MAX; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	conn.ev->closed(conn.arg, NULL);
	FUZZ_REQUIRE(ended == 1 && streams == 0);
	h2_free(h2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct event_base *base;

	if (base == NULL)
		base = event_base_new();
	serve(base, data, len, 16384);
	serve(base, data, len, 1);
	return 0;
}
