/*
 * One worker's connection to auth: greeting, the one TLS signature, grants.
 * Runs in auth.  A worker talks to the network and may be captured: its
 * messages are checked like a stranger's, and what it may do is bound to the
 * kernel's word on its pid and uid.
 */
#include "config.h"

#include "server/auth/worker_peer.h"

#include <sys/socket.h>

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/audit.h"
#include "common/format/auth_id.h"
#include "common/format/names.h"
#include "common/grant.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/msg.h"
#include "common/peer_process.h"
#include "common/proc.h"
#include "common/str.h"
#include "server/auth/accounts.h"
#include "server/auth/acl.h"
#include "server/auth/auth.h"
#include "server/auth/guess_delay.h"
#include "server/auth/hasher.h"
#include "server/auth/secrets.h"
#include "server/auth/tls_identity.h"

#define SUB "worker"

static int auth_on_sign(void *ctx, struct ipc_msg *m);
static int auth_on_grant_get(void *ctx, struct ipc_msg *m);

#define AUTH_TO_AUTH(handler) auth_on_##handler
#define AUTH_TO_WRK(handler) NULL
#define IPC_ROW_WA(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, AUTH_##dir(handler), states, fds)
static const struct ipc_row worker_rows[] = {
#include "common/msg_rows.h"
};

static const struct ipc_proto worker_proto = {
    .name = "worker",
    .rows = worker_rows,
    .nrows = sizeof(worker_rows) / sizeof(worker_rows[0]),
    .version = IPC_VERSION,
    .version_min = IPC_VERSION,
};

/* --- connection ---------------------------------------------------------- */

static void
worker_peer_free(struct worker_peer *p)
{
	hasher_cancel(&p->job);
	ipc_free(&p->ipc);
	peer_process_leave(&p->process);
	tls_identity_unref(&p->identity);
	LIST_REMOVE(p, entry);
	p->auth->worker_count--;
	free(p);
}

static void
worker_closed(void *ctx, const struct err *why)
{
	struct worker_peer *p = ctx;

	if (why->code == ERR_PROTO)
		log_warn_e(SUB, why, "BUG: closing a worker pid=%d",
		    (int)ipc_peer_pid(p->ipc));
	worker_peer_free(p);
}

static int
worker_welcome(struct worker_peer *p, struct err *e)
{
	struct msg_AUTH_WELCOME w = {0};
	uint8_t *buf = xmalloc(MSG_MAX_AUTH_WELCOME);
	size_t chain_len, ca_len;
	struct wire_w out;
	int rv;

	w.chain = (const uint8_t *)tls_identity_chain(p->identity, &chain_len);
	w.chain_len = (uint32_t)chain_len;
	w.client_ca =
	    (const uint8_t *)tls_identity_client_ca(p->identity, &ca_len);
	w.client_ca_len = (uint32_t)ca_len;
	wire_w_init(&out, buf, MSG_MAX_AUTH_WELCOME);
	if (msg_put_AUTH_WELCOME(&out, &w) == -1)
		rv = err_set(e, ERR_INTERNAL, "certificates do not fit");
	else
		rv = ipc_send(p->ipc, MSG_ID_AUTH_WELCOME, 0, 0, buf,
		    (size_t)wire_w_len(&out), e);
	free(buf);
	return rv;
}

/* The socket's folder is open to everybody, so the uid decides. */
static int
worker_admitted(const struct auth *a, int fd, uid_t *uid_out)
{
	const struct ipc_admitted workers = {
	    .uids = {a->worker_uid},
	    .nuids = 1,
	    .gid = (gid_t)-1,
	};

	if (!ipc_fd_admitted(fd, &workers, uid_out)) {
		log_warn(SUB, "refused a connection that is no worker's uid=%u",
		    (unsigned int)*uid_out);
		return 0;
	}
	if (a->worker_count >= PROC_WORKERS_MAX) {
		log_warn(SUB, "too many workers");
		return 0;
	}
	return 1;
}

/* Root may have as many as it likes, and so may all processes where they have
 * one user: there a worker is not kept from worse. */
static int
worker_enter(struct worker_peer *p, uid_t uid)
{
	const struct auth *a = p->auth;
	pid_t pid = ipc_peer_pid(p->ipc);

	p->process = peer_process_enter(a->processes, pid,
	    uid == 0 || uid == a->start_uid ? UINT_MAX : PROC_WORKER_CONNS_MAX);
	if (p->process != NULL)
		return 0;
	log_warn(SUB, "BUG: a worker has too many connections pid=%d",
	    (int)pid);
	return -1;
}

void
worker_peer_accepted(void *ctx, int fd)
{
	struct auth *a = ctx;
	struct ipc_cfg cfg = {
	    .base = a->base,
	    .proto = &worker_proto,
	    .role = IPC_D_TO_AUTH,
	    .state = IPC_S_READY,
	    .closed = worker_closed,
	};
	struct worker_peer *p;
	struct err e;
	uid_t uid;

	if (!worker_admitted(a, fd, &uid)) {
		close(fd);
		return;
	}
	p = xcalloc(1, sizeof(*p));
	p->auth = a;
	cfg.ctx = p;
	p->ipc = ipc_new(fd, &cfg, &e);
	if (p->ipc == NULL) {
		log_warn_e(SUB, &e, "cannot serve a worker");
		free(p);
		return;
	}
	p->identity = tls_identity_ref(a->identity);
	LIST_INSERT_HEAD(&a->workers, p, entry);
	a->worker_count++;
	if (worker_enter(p, uid) == -1)
		worker_peer_free(p);
	else if (worker_welcome(p, &e) == -1) {
		log_warn_e(SUB, &e, "cannot greet a worker");
		worker_peer_free(p);
	}
}

void
worker_peers_free(struct auth *a)
{
	while (!LIST_EMPTY(&a->workers))
		worker_peer_free(LIST_FIRST(&a->workers));
}

/* --- answers ------------------------------------------------------------- */

void
worker_wipe(const uint8_t *secret, size_t len)
{
	mem_wipe((void *)(uintptr_t)secret, len);
}

int
worker_send(struct worker_peer *p, uint16_t type, uint64_t seq,
    const uint8_t *body, size_t len)
{
	struct err e;

	/* A connection that just failed is closed from the loop. */
	if (ipc_send(p->ipc, type, 0, seq, body, len, &e) == -1)
		log_debug_e(SUB, &e, "cannot answer a worker");
	return 0;
}

static int
worker_send_fail(struct worker_peer *p, uint64_t seq,
    const struct msg_AUTH_FAIL *fail)
{
	uint8_t buf[MSG_MAX_AUTH_FAIL];
	struct wire_w w;

	wire_w_init(&w, buf, sizeof(buf));
	msg_put_AUTH_FAIL(&w, fail);
	return worker_send(p, MSG_ID_AUTH_FAIL, seq, buf,
	    (size_t)wire_w_len(&w));
}

int
worker_fail(struct worker_peer *p, uint64_t seq, enum err_code code,
    const char *fmt, ...)
{
	struct msg_AUTH_FAIL fail = {.code = (uint16_t)code};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fail.text, sizeof(fail.text), fmt, ap);
	va_end(ap);
	return worker_send_fail(p, seq, &fail);
}

int
worker_fail_auth(struct worker_peer *p, uint64_t seq, const char *user,
    const char *peer, const char *text, const char *reason)
{
	struct msg_AUTH_FAIL fail = {.code = ERR_AUTH};

	fail.delay_ms =
	    guess_delay_failed(p->auth->guesses, user, peer, io_monotonic_ms());
	snprintf(fail.text, sizeof(fail.text), "%s", text);
	log_warn(SUB, "authentication failed: %s user=%s peer=%s", reason,
	    STR_VIS(user), STR_VIS(peer));
	audit_add(p->auth->audit, "login", "outcome", "refused", "auth-id",
	    user, "peer", peer, "reason", reason, NULL);
	return worker_send_fail(p, seq, &fail);
}

unsigned int
worker_count_of_user(const struct worker_peer *p)
{
	size_t len = strcspn(p->auth_id, "!");
	const struct worker_peer *other;
	unsigned int n = 0;

	LIST_FOREACH(other, &p->auth->workers, entry) {
		if (strcspn(other->auth_id, "!") == len &&
		    memcmp(other->auth_id, p->auth_id, len) == 0)
			n++;
	}
	return n;
}

/* --- signature ----------------------------------------------------------- */

static int
auth_on_sign(void *ctx, struct ipc_msg *m)
{
	struct worker_peer *p = ctx;
	uint8_t sig[TLS_SIGNATURE_MAX], buf[MSG_MAX_SIGNED];
	struct msg_SIGNED reply = {0};
	struct msg_SIGN req;
	struct wire_w w;
	size_t len;

	if (msg_get_SIGN(&m->body, &req) == -1)
		return err_set(&m->err, ERR_PROTO, "malformed SIGN");
	/* Counts even if it fails: no second try with other bytes. */
	if (peer_process_once(p->process, &m->err) == -1)
		return err_wrap(&m->err, "signature");
	if (tls_identity_sign(p->identity, req.scheme, req.tbs, req.tbs_len,
		sig, &len, &m->err) == -1) {
		log_warn_e(SUB, &m->err, "no signature pid=%d",
		    (int)ipc_peer_pid(p->ipc));
		return worker_fail(p, m->seq, m->err.code, "%s", m->err.msg);
	}
	reply.signature = sig;
	reply.signature_len = (uint32_t)len;
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_SIGNED(&w, &reply);
	return worker_send(p, MSG_ID_SIGNED, m->seq, buf,
	    (size_t)wire_w_len(&w));
}

/* --- grants -------------------------------------------------------------- */

static int
grant_request_valid(const struct msg_GRANT_GET *req)
{
	struct backup_ns ns;
	struct err ignored;

	return req->purpose >= GRANT_PURPOSE_BACKUP &&
	    req->purpose <= GRANT_PURPOSE_CALL &&
	    (req->store[0] == '\0' ? req->ns[0] == '\0'
				   : datastore_name_valid(req->store)) &&
	    ns_parse(&ns, req->ns, &ignored) == 0;
}

/* The new owner of a group must be active (wire-protocol 6.3).  Who is not
 * stands in no grant, and the validator says so: it alone knows whether the
 * client may ask. */
static int
grant_fill_subject(struct auth *a, struct lmdb_txn *t,
    const struct msg_GRANT_GET *req, struct grant *g, struct err *e)
{
	int active = 0;

	if (req->subject[0] != '\0')
		active = accounts_active(a->accounts, t, req->subject,
		    io_realtime_s(), e);
	if (active == 1)
		memcpy(g->subject, req->subject, sizeof(g->subject));
	return active == -1 ? -1 : 0;
}

static int
grant_fill(struct worker_peer *p, struct lmdb_txn *t,
    const struct msg_GRANT_GET *req, struct grant *g, struct err *e)
{
	struct auth *a = p->auth;
	int active =
	    accounts_active(a->accounts, t, p->auth_id, io_realtime_s(), e);

	if (active == 0)
		return err_set(e, ERR_AUTH,
		    "authentication failed - user or token is not active");
	if (active == -1 || grant_fill_subject(a, t, req, g, e) == -1)
		return -1;
	g->purpose = (enum grant_purpose)req->purpose;
	g->pid = (uint32_t)ipc_peer_pid(p->ipc);
	g->expiry_ms = io_boottime_ms() + GRANT_LIFETIME_MS;
	io_random(g->nonce, sizeof(g->nonce));
	memcpy(g->auth_id, p->auth_id, sizeof(g->auth_id));
	memcpy(g->store, req->store, sizeof(g->store));
	memcpy(g->ns, req->ns, sizeof(g->ns));
	return rights_load(a, t, p->auth_id, req->store, req->ns, &g->nodes,
	    &g->node_count, e);
}

static int
grant_make(struct worker_peer *p, const struct msg_GRANT_GET *req,
    uint8_t out[IPC_GRANT_MAX], size_t *len_out, struct err *e)
{
	struct lmdb_txn *t = NULL;
	struct grant g = {0};
	int rv = -1;

	if (accounts_begin(p->auth->accounts, 0, &t, e) == -1)
		return -1;
	if (grant_fill(p, t, req, &g, e) == 0) {
		rv = grant_seal(&g, p->auth->secrets->grant, out, IPC_GRANT_MAX,
		    len_out, e);
		if (rv == -1 && e->code == ERR_LIMIT && req->store[0] == '\0') {
			acl_nodes_reduce(&g.nodes, &g.node_count);
			rv = grant_seal(&g, p->auth->secrets->grant, out,
			    IPC_GRANT_MAX, len_out, e);
		}
	}
	accounts_abort(&t);
	grant_fini(&g);
	return rv;
}

static void
grant_audit(const struct worker_peer *p, const struct msg_GRANT_GET *req,
    const struct err *why)
{
	static const char *const purposes[] = {
	    [GRANT_PURPOSE_BACKUP] = "backup",
	    [GRANT_PURPOSE_READER] = "reader",
	    [GRANT_PURPOSE_CALL] = "call",
	};

	audit_add(p->auth->audit, "grant", "outcome",
	    why == NULL ? "ok" : "refused", "reason",
	    why == NULL ? NULL : why->msg, "auth-id", p->auth_id, "purpose",
	    purposes[req->purpose], "store", req->store, "ns", req->ns, NULL);
}

static int
auth_on_grant_get(void *ctx, struct ipc_msg *m)
{
	struct worker_peer *p = ctx;
	struct msg_GRANT reply = {0};
	struct msg_GRANT_GET req;
	uint8_t *grant, *buf;
	struct wire_w w;
	struct err e;
	size_t len;
	int rv;

	if (msg_get_GRANT_GET(&m->body, &req) == -1 ||
	    !grant_request_valid(&req))
		return err_set(&m->err, ERR_PROTO, "malformed GRANT_GET");
	if (p->auth_id[0] == '\0')
		return worker_fail(p, m->seq, ERR_AUTH,
		    "authentication failed - no authentication credentials "
		    "provided.");
	grant = xmalloc(IPC_GRANT_MAX);
	buf = xmalloc(MSG_MAX_GRANT);
	rv = grant_make(p, &req, grant, &len, &e);
	grant_audit(p, &req, rv == -1 ? &e : NULL);
	if (rv == -1) {
		rv = worker_fail(p, m->seq, e.code, "%s", e.msg);
	} else {
		reply.grant = grant;
		reply.grant_len = (uint32_t)len;
		wire_w_init(&w, buf, MSG_MAX_GRANT);
		msg_put_GRANT(&w, &reply);
		rv = worker_send(p, MSG_ID_GRANT, m->seq, buf,
		    (size_t)wire_w_len(&w));
	}
	free(buf);
	free(grant);
	return rv;
}
