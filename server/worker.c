/*
 * A worker: one client's connection and nothing else.  Runs as the server's
 * unprivileged user in an empty root folder without a network; whoever
 * captures it has what its own client sends and may restore.  It distrusts
 * the client; it trusts the master, auth and the validator.
 */
#include "config.h"

#include "server/worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/err.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/msg.h"
#include "common/proc.h"
#include "common/sandbox.h"
#include "common/str.h"
#include "server/aclient.h"
#include "server/api.h"
#include "server/http1.h"
#include "server/request.h"
#include "server/session.h"
#include "server/session_http.h"
#include "server/signer.h"
#include "server/tls.h"
#include "server/vclient.h"

/* In the folder where the worker settles. */
#define VALIDATOR_SOCKET "validator.sock"
#define REFUSE_MS 10000 /* for a client that is only told why */

struct worker {
	const struct server_conf *conf;
	struct event_base *base;
	struct ipc *master; /* NULL: gone, so this connection is the last */
	struct aclient *auth;
	struct vclient *validator;
	struct signer *signer;
	struct tls_ctx *tls_ctx;
	struct api api;

	char peer[IPC_PEER_MAX + 1];
	char refusal[128]; /* what requests are answered; "": they are served */
	char auth_id[IPC_AUTHID_MAX + 1];
	enum worker_state state; /* 0: spare */
	/* The connection belongs to one of these at a time. */
	struct tls_conn *conn;
	struct http1 *http;
	struct session_http *session;
};

/* --- towards the master -------------------------------------------------- */

static void
worker_tell(struct worker *w)
{
	struct msg_WRK_STATE m = {.state = (uint8_t)w->state};
	uint8_t buf[MSG_MAX_WRK_STATE];
	struct wire_w out;

	if (w->master == NULL)
		return;
	snprintf(m.auth_id, sizeof(m.auth_id), "%s", w->auth_id);
	wire_w_init(&out, buf, sizeof(buf));
	if (msg_put_WRK_STATE(&out, &m) == 0)
		ipc_send(w->master, MSG_ID_WRK_STATE, 0, 0, buf,
		    (size_t)wire_w_len(&out), NULL);
}

static void
worker_set_state(struct worker *w, enum worker_state state)
{
	w->state = state;
	worker_tell(w);
}

static void
worker_end(struct worker *w)
{
	event_base_loopexit(w->base, NULL);
}

/* --- the connection ------------------------------------------------------ */

static void
worker_on_closed(void *arg, const struct err *why)
{
	struct worker *w = arg;

	if (why != NULL)
		log_info("worker", "connection ended: %s", STR_VIS(why->msg));
	else
		log_debug("worker", "connection ended");
	worker_end(w);
}

static void
worker_on_session_ended(void *arg)
{
	worker_end(arg);
}

static void
worker_on_upgraded(struct api *api, struct session *s, struct tls_conn *conn,
    const uint8_t *rest, size_t rest_len)
{
	struct worker *w = api->arg;

	w->session = session_http_new(w->base, s, conn, rest, rest_len,
	    worker_on_session_ended, w);
	worker_set_state(w,
	    session_kind_of(s) == SESSION_KIND_BACKUP ? WORKER_STATE_BACKUP
						      : WORKER_STATE_READER);
}

static void
worker_on_identified(struct api *api, const char *auth_id)
{
	struct worker *w = api->arg;

	if (strcmp(w->auth_id, auth_id) == 0)
		return;
	snprintf(w->auth_id, sizeof(w->auth_id), "%s", auth_id);
	log_set_prefix("%s %s", w->peer, STR_VIS(auth_id));
	log_set_field("HOLDFAST_TENANT", STR_VIS(auth_id));
	worker_tell(w);
}

/* Beyond a limit: the first request is told so, and that is all. */
static void
worker_refuse(struct request *req)
{
	const struct api *api = req->app;
	struct worker *w = api->arg;
	struct err e;

	http1_drain(w->http);
	err_set(&e, ERR_UNAVAILABLE, "%s", w->refusal);
	request_reply_err(req, &e);
}

static void
worker_on_ready(void *arg)
{
	static const struct http1_limits brief = {
	    .head_ms = REFUSE_MS,
	    .body_ms = REFUSE_MS,
	    .idle_ms = REFUSE_MS,
	    .send_ms = REFUSE_MS,
	};
	struct worker *w = arg;
	int refuse = w->refusal[0] != '\0';
	const struct http1_cfg cfg = {
	    .base = w->base,
	    .limits = refuse ? &brief : &http1_limits_default,
	    .app = &w->api,
	    .dispatch = refuse ? worker_refuse : api_dispatch,
	    .closed = worker_on_closed,
	    .arg = w,
	};

	log_debug("worker", "connected tls=%s", tls_conn_describe(w->conn));
	w->http = http1_new(w->conn, &cfg);
	w->conn = NULL;
	worker_set_state(w, WORKER_STATE_HTTP);
}

static const struct tls_events worker_tls_events = {
    .ready = worker_on_ready,
    .closed = worker_on_closed,
};

/* --- from the master ----------------------------------------------------- */

static int
wrk_on_conn(void *ctx, struct ipc_msg *m)
{
	struct worker *w = ctx;
	struct msg_CONN conn;
	struct err e = {0};
	int fd = m->fds[0];

	if (msg_get_CONN(&m->body, &conn) == -1 || w->state != 0)
		return err_set(&m->err, ERR_PROTO, "unexpected connection");
	m->fds[0] = -1;
	memcpy(w->peer, conn.peer, sizeof(w->peer));
	memcpy(w->refusal, conn.refusal, sizeof(w->refusal));
	if (!conn.certificate)
		tls_ctx_waive_certificates(w->tls_ctx);
	log_set_prefix("%s", w->peer);
	log_set_field("HOLDFAST_PEER", w->peer);
	w->conn = tls_conn_new(w->base, w->tls_ctx, fd,
	    (unsigned int)w->conf->handshake_ms, &worker_tls_events, w, &e);
	if (w->conn == NULL) {
		log_err_e("worker", &e, "cannot serve the connection");
		worker_end(w);
		return 0;
	}
	worker_set_state(w, WORKER_STATE_HANDSHAKE);
	return 0;
}

/* A session goes on to its end; what has none ends soon. */
static void
worker_drain(struct worker *w)
{
	/* Who has not said anything yet can say it to our successor. */
	if (w->state == 0 || w->state == WORKER_STATE_HANDSHAKE)
		worker_end(w);
	else if (w->http != NULL)
		http1_drain(w->http);
}

static int
wrk_on_drain(void *ctx, struct ipc_msg *m)
{
	struct msg_DRAIN drain;

	if (msg_get_DRAIN(&m->body, &drain) == -1)
		return err_set(&m->err, ERR_PROTO, "bad message");
	worker_drain(ctx);
	return 0;
}

static void
worker_on_master_gone(void *ctx, const struct err *why)
{
	struct worker *w = ctx;

	log_debug_e("worker", why, "the master is gone");
	ipc_free(&w->master);
	worker_drain(w);
}

#define WORKER_TO_MASTER(handler) NULL
#define WORKER_TO_WRK(handler) wrk_on_##handler
#define IPC_ROW_MW(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, WORKER_##dir(handler), states, fds)
static const struct ipc_row worker_rows[] = {
#include "common/msg_rows.h"
};

static const struct ipc_proto worker_proto = {
    .name = "master",
    .rows = worker_rows,
    .nrows = sizeof(worker_rows) / sizeof(worker_rows[0]),
    .version = 1,
    .version_min = 1,
};

/* --- start-up ------------------------------------------------------------ */

/* A spare worker whose certificates are old makes room for a new one. */
static void
worker_on_certificates_changed(void *arg)
{
	struct worker *w = arg;

	if (w->state == 0)
		worker_end(w);
}

/*
 * As root: another root folder with nothing but the two sockets, no network,
 * another user.  A container may forbid the first two.
 */
static void
worker_isolate(const struct server_conf *conf, const char *root)
{
	uid_t uid;
	gid_t gid;
	struct err e = {0};

	if (proc_user(conf->user, &uid, &gid, &e) == -1)
		fatal_e("worker", &e, "cannot find the user of workers");
	if (proc_isolate_net(&e) == -1) {
		if (conf->require_sandbox)
			fatal_e("worker", &e, "cannot leave the network");
		log_warn_e("worker", &e, "cannot leave the network");
	}
	if (proc_chroot(root, &e) == -1)
		fatal_e("worker", &e, "cannot change the root folder");
	if (proc_drop(uid, gid, NULL, 0, &e) == -1)
		fatal_e("worker", &e, "cannot drop privileges");
}

/*
 * The worker stays in the folder of the two sockets.  Their names alone are
 * never too long for an address, and a sealed worker could not open the folder
 * to shorten a path.
 */
static void
worker_settle(const struct server_conf *conf)
{
	char *folder = xasprintf("%s/worker", conf->run_dir);

	if (geteuid() == 0)
		worker_isolate(conf, folder);
	else if (chdir(folder) == -1)
		fatal_sys("worker", "cannot go to %s", folder);
	free(folder);
}

static void
worker_clients(struct worker *w)
{
	struct err e = {0};

	w->auth = aclient_new(w->base, "auth.sock",
	    worker_on_certificates_changed, w);
	w->validator = vclient_new(w->base, VALIDATOR_SOCKET);
	w->signer = signer_new(aclient_sign, w->auth, &e);
	if (w->signer == NULL)
		fatal_e("worker", &e, "cannot use OpenSSL");
	w->api.base = w->base;
	w->api.auth = w->auth;
	w->api.validator = w->validator;
	w->api.validator_path = VALIDATOR_SOCKET;
	w->api.peer = w->peer;
	w->api.identified = worker_on_identified;
	w->api.upgraded = worker_on_upgraded;
	w->api.arg = w;
}

static void
worker_certificates(struct worker *w)
{
	const char *chain, *client_ca;
	size_t chain_len, client_ca_len;
	struct err e = {0};

	if (aclient_start(w->auth, PROC_START_MS, &e) == -1)
		fatal_e("worker", &e, "cannot reach holdfast-auth");
	chain = aclient_chain(w->auth, &chain_len);
	client_ca = aclient_client_ca(w->auth, &client_ca_len);
	w->tls_ctx = tls_ctx_new(chain, chain_len, client_ca, client_ca_len,
	    w->signer, &e);
	if (w->tls_ctx == NULL)
		fatal_e("worker", &e, "cannot use the server's certificate");
}

static void
worker_greet(struct worker *w)
{
	const struct ipc_cfg cfg = {
	    .base = w->base,
	    .proto = &worker_proto,
	    .role = IPC_D_TO_WRK,
	    .state = IPC_S_READY,
	    .ctx = w,
	    .closed = worker_on_master_gone,
	};
	struct err e = {0};

	w->master = ipc_new(PROC_FD_MAIN, &cfg, &e);
	if (w->master == NULL ||
	    ipc_send(w->master, MSG_ID_WRK_READY, 0, 0, NULL, 0, &e) == -1)
		fatal_e("worker", &e, "cannot greet the master");
}

struct worker *
worker_new(const struct server_conf *conf)
{
	struct worker *w = xcalloc(1, sizeof(*w));
	struct err e = {0};

	w->conf = conf;
	if (proc_close_from(PROC_FD_MAIN + 1, &e) == -1)
		fatal_e("worker", &e, "cannot close descriptors");
	proc_signals_init();
	/* A terminal sends these to all; the master decides. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	tzset();
	if (tls_ctx_warm_up(&e) == -1)
		fatal_e("worker", &e, "cannot use OpenSSL");
	worker_settle(conf);
	if (proc_harden(0, &e) == -1)
		fatal_e("worker", &e, "cannot harden the process");
	w->base = event_base_new();
	if (w->base == NULL)
		fatal("worker", "cannot make an event base");
	worker_clients(w);
	worker_certificates(w);
	if (sandbox_enter(SANDBOX_WORKER, NULL, 0,
		conf->require_sandbox ? SANDBOX_F_REQUIRE : 0, &e) == -1) {
		log_err_e("worker", &e, "cannot seal the process");
		exit(PROC_EXIT_SANDBOX);
	}
	worker_greet(w);
	return w;
}

int
worker_run(struct worker *w)
{
	if (event_base_dispatch(w->base) == -1) {
		log_err("worker", "event loop failed");
		return PROC_EXIT_FATAL;
	}
	return PROC_EXIT_OK;
}

void
worker_free(struct worker *w)
{
	session_http_free(w->session);
	http1_free(w->http);
	tls_conn_free(w->conn);
	ipc_free(&w->master);
	vclient_free(w->validator);
	aclient_free(w->auth);
	tls_ctx_free(w->tls_ctx);
	signer_free(w->signer);
	event_base_free(w->base);
	free(w);
}
