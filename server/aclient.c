/*
 * The worker's side of the channel to holdfast-auth.  Runs in a worker, which
 * trusts auth (the reverse is not true).  Requests hold passwords and
 * tickets: they are wiped as soon as they are answered.
 */
#include "config.h"

#include "server/aclient.h"

#include <sys/queue.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/err.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/proc.h"
#include "server/signer.h"

#define ACLIENT_RETRY_MS 100

struct aclient_req {
	TAILQ_ENTRY(aclient_req) link;
	struct aclient *a;
	uint64_t seq;
	uint16_t type;
	uint8_t *body; /* encoded */
	size_t len;
	aclient_done_fn *done; /* NULL: our own */
	void *arg;
};
TAILQ_HEAD(aclient_reqs, aclient_req);

struct aclient_pem {
	char *data;
	size_t len;
};

struct aclient {
	struct event_base *base;
	char *path;
	struct ipc *ipc; /* NULL while away */
	struct aclient_pem chain;
	struct aclient_pem client_ca;
	void (*changed)(void *arg);
	void *arg;

	struct aclient_reqs reqs; /* in the order of their making */
	uint64_t last_seq;
	uint8_t *identity; /* the last VERIFY that passed */
	size_t identity_len;
	uint32_t fail_delay_ms; /* of the AUTH_FAIL being told */

	struct proc_backoff backoff;
	struct event *reconnect;
	struct event *give_up;
};

static void aclient_connect(struct aclient *a);

/* --- requests ------------------------------------------------------------ */

static void
aclient_req_free(struct aclient_req *req)
{
	TAILQ_REMOVE(&req->a->reqs, req, link);
	mem_wipe_free(req->body, req->len);
	free(req);
}

void
aclient_cancel(struct aclient_req *req)
{
	if (req != NULL)
		aclient_req_free(req);
}

static void
aclient_req_done(struct aclient_req *req, const struct aclient_reply *r,
    const struct err *e)
{
	struct aclient *a = req->a;
	aclient_done_fn *done = req->done;
	void *arg = req->arg;

	if (req->type == MSG_ID_VERIFY && r != NULL) {
		mem_wipe_free(a->identity, a->identity_len);
		a->identity = req->body;
		a->identity_len = req->len;
		req->body = NULL;
		req->len = 0;
	}
	aclient_req_free(req);
	if (done != NULL)
		done(arg, r, e);
}

static struct aclient_req *
aclient_find(struct aclient *a, uint64_t seq)
{
	struct aclient_req *req;

	TAILQ_FOREACH(req, &a->reqs, link) {
		if (req->seq == seq)
			return req;
	}
	return NULL;
}

static int
aclient_ready(const struct aclient *a)
{
	return a->ipc != NULL && ipc_state(a->ipc) == IPC_S_READY;
}

/* A failure shows itself through closed(), and then it is sent again. */
static void
aclient_send(struct aclient *a, struct aclient_req *req)
{
	struct err e = {0};

	if (ipc_send(a->ipc, req->type, 0, req->seq, req->body, req->len, &e) ==
	    -1)
		log_debug_e("auth", &e, "cannot send to auth");
}

static void
aclient_wait(struct aclient *a)
{
	static const struct timeval limit = {PROC_CALL_WAIT_MS / 1000, 0};

	if (!evtimer_pending(a->give_up, NULL))
		evtimer_add(a->give_up, &limit);
	if (a->ipc == NULL && !evtimer_pending(a->reconnect, NULL))
		aclient_connect(a);
}

static struct aclient_req *
aclient_req_new(struct aclient *a, uint16_t type, uint8_t *body, size_t len,
    aclient_done_fn *done, void *arg)
{
	struct aclient_req *req = xcalloc(1, sizeof(*req));

	req->a = a;
	req->seq = ++a->last_seq;
	req->type = type;
	req->body = body;
	req->len = len;
	req->done = done;
	req->arg = arg;
	return req;
}

/* Handlers fill messages by the limits of their fields, so that encoding
 * cannot fail. */
#define ACLIENT_REQUEST(NAME, name)                                       \
	struct aclient_req *aclient_##name(struct aclient *a,             \
	    const struct msg_##NAME *m, aclient_done_fn *done, void *arg) \
	{                                                                 \
		uint8_t buf[MSG_MAX_##NAME];                              \
		struct wire_w w;                                          \
                                                                          \
		wire_w_init(&w, buf, sizeof(buf));                        \
		if (msg_put_##NAME(&w, m) == -1)                          \
			fatal("auth", "cannot encode %s", #NAME);         \
		return aclient_request(a, MSG_ID_##NAME, buf,             \
		    (size_t)wire_w_len(&w), done, arg);                   \
	}

static struct aclient_req *
aclient_request(struct aclient *a, uint16_t type, uint8_t *buf, size_t len,
    aclient_done_fn *done, void *arg)
{
	struct aclient_req *req =
	    aclient_req_new(a, type, xmemdup(buf, len), len, done, arg);

	mem_wipe(buf, len);
	TAILQ_INSERT_TAIL(&a->reqs, req, link);
	if (aclient_ready(a))
		aclient_send(a, req);
	else
		aclient_wait(a);
	return req;
}

ACLIENT_REQUEST(LOGIN, login)
ACLIENT_REQUEST(VERIFY, verify)
ACLIENT_REQUEST(GRANT_GET, grant_get)
ACLIENT_REQUEST(ACCESS_CALL, access_call)

/* --- answers ------------------------------------------------------------- */

static int
aclient_on_reply(struct aclient *a, struct ipc_msg *m,
    const struct aclient_reply *r, const struct err *e)
{
	struct aclient_req *req = aclient_find(a, m->seq);

	if (req == NULL && (m->seq == 0 || m->seq > a->last_seq))
		return err_set(&m->err, ERR_PROTO,
		    "answer to no request of ours");
	if (req != NULL) /* else cancelled */
		aclient_req_done(req, r, e);
	return 0;
}

#define ACLIENT_REPLY(NAME, name)                                          \
	static int aclient_on_##name(void *ctx, struct ipc_msg *m)         \
	{                                                                  \
		struct aclient_reply r = {.type = MSG_ID_##NAME,           \
		    .fd = m->nfds > 0 ? m->fds[0] : -1};                   \
		int rv;                                                    \
                                                                           \
		if (msg_get_##NAME(&m->body, &r.name) == -1)               \
			return err_set(&m->err, ERR_PROTO, "bad message"); \
		rv = aclient_on_reply(ctx, m, &r, NULL);                   \
		mem_wipe(&r, sizeof(r));                                   \
		return rv;                                                 \
	}
ACLIENT_REPLY(LOGGED_IN, logged_in)
ACLIENT_REPLY(VERIFIED, verified)
ACLIENT_REPLY(GRANT, grant)
ACLIENT_REPLY(ACCESS_REPLY, access_reply)

static int
aclient_on_auth_fail(void *ctx, struct ipc_msg *m)
{
	struct aclient *a = ctx;
	struct msg_AUTH_FAIL fail;
	struct err e = {0};
	int rv;

	if (msg_get_AUTH_FAIL(&m->body, &fail) == -1)
		return err_set(&m->err, ERR_PROTO, "bad message");
	a->fail_delay_ms = fail.delay_ms;
	err_set(&e, err_code_from_wire(fail.code), "%s", fail.text);
	rv = aclient_on_reply(a, m, NULL, &e);
	a->fail_delay_ms = 0;
	return rv;
}

uint32_t
aclient_fail_delay_ms(const struct aclient *a)
{
	return a->fail_delay_ms;
}

/* Only aclient_sign() asks for it, and waits for it there; this one came too
 * late. */
static int
aclient_on_signed(void *ctx, struct ipc_msg *m)
{
	struct msg_SIGNED s;

	(void)ctx;
	return msg_get_SIGNED(&m->body, &s);
}

static void
aclient_take_pem(struct aclient_pem *pem, const uint8_t *data, size_t len)
{
	free(pem->data);
	pem->data = xmemdup(data, len);
	pem->len = len;
}

/* 1 if they are not those that we have, which then stay. */
static int
aclient_pem_differs(const struct aclient_pem *pem, const uint8_t *data,
    size_t len)
{
	return pem->len != len || memcmp(pem->data, data, len) != 0;
}

static int
aclient_welcome(struct aclient *a, struct ipc_msg *m, int *changed_out)
{
	struct msg_AUTH_WELCOME w;

	if (msg_get_AUTH_WELCOME(&m->body, &w) == -1)
		return err_set(&m->err, ERR_PROTO, "bad message");
	*changed_out = 0;
	if (a->chain.data == NULL) {
		aclient_take_pem(&a->chain, w.chain, w.chain_len);
		aclient_take_pem(&a->client_ca, w.client_ca, w.client_ca_len);
	} else
		*changed_out =
		    aclient_pem_differs(&a->chain, w.chain, w.chain_len) ||
		    aclient_pem_differs(&a->client_ca, w.client_ca,
			w.client_ca_len);
	ipc_set_state(a->ipc, IPC_S_READY);
	proc_backoff_reset(&a->backoff);
	evtimer_del(a->give_up);
	return 0;
}

/* Who the client is first: auth keeps that per connection. */
static void
aclient_resend(struct aclient *a)
{
	struct aclient_req *req = TAILQ_FIRST(&a->reqs);
	struct aclient_req *who;

	if (req != NULL && req->type != MSG_ID_VERIFY &&
	    req->type != MSG_ID_LOGIN && a->identity != NULL) {
		who = aclient_req_new(a, MSG_ID_VERIFY,
		    xmemdup(a->identity, a->identity_len), a->identity_len,
		    NULL, NULL);
		TAILQ_INSERT_HEAD(&a->reqs, who, link);
	}
	TAILQ_FOREACH(req, &a->reqs, link)
		aclient_send(a, req);
}

static int
aclient_on_auth_welcome(void *ctx, struct ipc_msg *m)
{
	struct aclient *a = ctx;
	int changed;

	if (aclient_welcome(a, m, &changed) == -1)
		return -1;
	aclient_resend(a);
	if (changed && a->changed != NULL)
		a->changed(a->arg);
	return 0;
}

/* --- the connection ------------------------------------------------------ */

#define ACLIENT_TO_AUTH(handler) NULL
#define ACLIENT_TO_WRK(handler) aclient_on_##handler
#define IPC_ROW_WA(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, ACLIENT_##dir(handler), states, fds)
static const struct ipc_row aclient_rows[] = {
#include "common/msg_rows.h"
};

static const struct ipc_proto aclient_proto = {
    .name = "auth",
    .rows = aclient_rows,
    .nrows = sizeof(aclient_rows) / sizeof(aclient_rows[0]),
    .version = 1,
    .version_min = 1,
};

static void
aclient_schedule(struct aclient *a)
{
	uint32_t ms = proc_backoff_next(&a->backoff);
	struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

	evtimer_add(a->reconnect, &tv);
}

static void
aclient_on_closed(void *ctx, const struct err *why)
{
	struct aclient *a = ctx;

	log_debug_e("auth", why, "connection to auth lost");
	ipc_free(&a->ipc);
	aclient_schedule(a);
	if (!TAILQ_EMPTY(&a->reqs))
		aclient_wait(a);
}

static int
aclient_open(struct aclient *a, struct err *e)
{
	const struct ipc_cfg cfg = {
	    .base = a->base,
	    .proto = &aclient_proto,
	    .role = IPC_D_TO_WRK,
	    .state = IPC_S_NEW,
	    .ctx = a,
	    .closed = aclient_on_closed,
	};
	int fd = ipc_connect(a->path, e);

	if (fd == -1)
		return -1;
	a->ipc = ipc_new(fd, &cfg, e);
	return a->ipc != NULL ? 0 : -1;
}

static void
aclient_connect(struct aclient *a)
{
	struct err e = {0};

	if (a->ipc == NULL && aclient_open(a, &e) == -1) {
		log_debug_e("auth", &e, "cannot connect to auth");
		aclient_schedule(a);
	}
}

static void
aclient_on_reconnect(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	aclient_connect(arg);
}

static void
aclient_on_give_up(evutil_socket_t fd, short what, void *arg)
{
	struct aclient *a = arg;
	struct aclient_req *req;
	uint64_t last = a->last_seq;
	struct err e = {0};

	(void)fd;
	(void)what;
	err_set(&e, ERR_UNAVAILABLE, "authentication service is not available");
	/* A callback may make new requests: those have their own time. */
	while ((req = TAILQ_FIRST(&a->reqs)) != NULL && req->seq <= last)
		aclient_req_done(req, NULL, &e);
}

struct aclient *
aclient_new(struct event_base *base, const char *path,
    void (*changed)(void *arg), void *arg)
{
	struct aclient *a = xcalloc(1, sizeof(*a));

	a->base = base;
	a->path = xstrdup(path);
	a->changed = changed;
	a->arg = arg;
	TAILQ_INIT(&a->reqs);
	a->backoff.min_ms = PROC_BACKOFF_MIN_MS;
	a->backoff.max_ms = PROC_RECONNECT_MAX_MS;
	a->reconnect = evtimer_new(base, aclient_on_reconnect, a);
	a->give_up = evtimer_new(base, aclient_on_give_up, a);
	if (a->reconnect == NULL || a->give_up == NULL)
		fatal("auth", "cannot make a timer");
	return a;
}

void
aclient_free(struct aclient *a)
{
	if (a == NULL)
		return;
	while (!TAILQ_EMPTY(&a->reqs))
		aclient_req_free(TAILQ_FIRST(&a->reqs));
	ipc_free(&a->ipc);
	event_free(a->reconnect);
	event_free(a->give_up);
	mem_wipe_free(a->identity, a->identity_len);
	free(a->chain.data);
	free(a->client_ca.data);
	free(a->path);
	free(a);
}

void
aclient_set_path(struct aclient *a, const char *path)
{
	free(a->path);
	a->path = xstrdup(path);
}

/* --- what blocks --------------------------------------------------------- */

static int
aclient_time_left(uint64_t deadline_ms)
{
	uint64_t now = io_monotonic_ms();

	return now < deadline_ms ? (int)(deadline_ms - now) : 0;
}

/* Connected and greeted, or -1 at the deadline. */
static int
aclient_connect_now(struct aclient *a, uint64_t deadline_ms, struct err *e)
{
	struct ipc_msg m;
	int changed;

	while (a->ipc == NULL && aclient_open(a, e) == -1) {
		if (aclient_time_left(deadline_ms) == 0)
			return -1;
		poll(NULL, 0, ACLIENT_RETRY_MS);
	}
	if (aclient_ready(a))
		return 0;
	evtimer_del(a->reconnect);
	if (ipc_recv(a->ipc, aclient_time_left(deadline_ms), &m, e) == -1)
		goto fail;
	if (m.type == MSG_ID_AUTH_WELCOME &&
	    aclient_welcome(a, &m, &changed) == 0)
		return 0;
	ipc_msg_close(&m);
	err_set(e, ERR_PROTO, "unexpected greeting of auth");
fail:
	ipc_free(&a->ipc);
	return -1;
}

int
aclient_start(struct aclient *a, int timeout_ms, struct err *e)
{
	return aclient_connect_now(a, io_monotonic_ms() + (uint64_t)timeout_ms,
	    e);
}

const char *
aclient_chain(const struct aclient *a, size_t *len_out)
{
	*len_out = a->chain.len;
	return a->chain.data;
}

const char *
aclient_client_ca(const struct aclient *a, size_t *len_out)
{
	*len_out = a->client_ca.len;
	return a->client_ca.data;
}

static int
aclient_take_signature(struct ipc_msg *m, uint8_t *sig, size_t *len_out,
    struct err *e)
{
	struct msg_SIGNED s;
	struct msg_AUTH_FAIL fail;

	if (m->type == MSG_ID_SIGNED && msg_get_SIGNED(&m->body, &s) == 0) {
		memcpy(sig, s.signature, s.signature_len);
		*len_out = s.signature_len;
		return 0;
	}
	if (m->type == MSG_ID_AUTH_FAIL &&
	    msg_get_AUTH_FAIL(&m->body, &fail) == 0)
		return err_set(e, err_code_from_wire(fail.code), "%s",
		    fail.text);
	return err_set(e, ERR_PROTO, "unexpected answer of auth");
}

int
aclient_sign(void *arg, uint16_t scheme, const uint8_t *tbs, size_t tbs_len,
    uint8_t *sig, size_t *len_out, struct err *e)
{
	struct aclient *a = arg;
	uint64_t deadline_ms = io_monotonic_ms() + PROC_SIGN_MS;
	struct msg_SIGN sign = {.scheme = scheme, .tbs = tbs};
	uint8_t buf[MSG_MAX_SIGN];
	struct wire_w w;
	struct ipc_msg m;
	int rv;

	_Static_assert(MSG_MAX_SIGNED <= 4 + SIGNER_SIGNATURE_MAX,
	    "a signature fits its buffer");
	sign.tbs_len = (uint32_t)tbs_len;
	wire_w_init(&w, buf, sizeof(buf));
	if (tbs_len > UINT32_MAX || msg_put_SIGN(&w, &sign) == -1)
		return err_set(e, ERR_LIMIT, "message to sign is too long");
	/* A connection that was lost in silence is noticed only now. */
	do {
		if (aclient_connect_now(a, deadline_ms, e) == -1)
			return -1;
		rv = ipc_call(a->ipc, MSG_ID_SIGN, 0, ++a->last_seq, buf,
		    (size_t)wire_w_len(&w), NULL, 0,
		    aclient_time_left(deadline_ms), &m, e);
		if (rv == -1)
			ipc_free(&a->ipc);
	} while (rv == -1 && e->code == ERR_ABORTED &&
	    aclient_time_left(deadline_ms) > 0);
	if (rv == -1)
		return -1;
	rv = aclient_take_signature(&m, sig, len_out, e);
	ipc_msg_close(&m);
	return rv;
}
