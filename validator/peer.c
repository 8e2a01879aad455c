/*
 * Workers' connections: greeting, states, sending.  Runs in the validator's
 * loop.  Every byte comes from a process that a client may have captured, or
 * from any local user, since the socket is open to all: until a grant is
 * shown a peer can do nothing.
 */
#include "config.h"

#include "validator/peer.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/peer_process.h"
#include "common/proc.h"
#include "common/str.h"
#include "validator/call_int.h"
#include "validator/session.h"
#include "validator/validator.h"

struct peer {
	TAILQ_ENTRY(peer) entry;
	struct peers *peers;
	struct ipc *ipc;
	struct event *timer; /* for the greeting */
	struct session *session;
	struct peer_process *process; /* that it is a connection of */
	struct call_list calls;
	unsigned int ncalls;
	char program[33]; /* as it called itself, escaped */
};

struct peers {
	struct validator *v;
	struct ipc_listener *listener;
	struct peer_processes *processes;
	TAILQ_HEAD(, peer) list;
	unsigned int n;
};

#define VAL_TO_VAL(handler) val_on_##handler
#define VAL_TO_WRK(handler) NULL
#define IPC_ROW_WV(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, VAL_##dir(handler), states, fds)
static const struct ipc_row peer_rows[] = {
#include "common/msg_rows.h"
};
const struct ipc_proto peer_proto = {
    .name = "worker",
    .rows = peer_rows,
    .nrows = sizeof(peer_rows) / sizeof(peer_rows[0]),
    .version = IPC_VERSION,
    .version_min = IPC_VERSION_MIN,
};

static void
peer_free(struct peer *p)
{
	struct call *c;

	while ((c = TAILQ_FIRST(&p->calls)) != NULL) {
		peer_remove_call(p, c);
		call_peer_gone(c);
	}
	if (p->timer != NULL)
		event_free(p->timer);
	ipc_free(&p->ipc);
	peer_process_leave(&p->process);
	TAILQ_REMOVE(&p->peers->list, p, entry);
	p->peers->n--;
	free(p);
}

static void
peer_closed(void *ctx, const struct err *why)
{
	struct peer *p = ctx;
	struct session *s = p->session;

	if (why->code == ERR_PROTO)
		log_err_e("peer", why, "BUG: worker broke the rules pid=%d",
		    (int)peer_pid(p));
	else
		log_debug_e("peer", why, "worker is gone pid=%d",
		    (int)peer_pid(p));
	p->session = NULL;
	peer_free(p);
	if (s != NULL)
		session_peer_gone(s, why);
}

static void
peer_hello_timeout(evutil_socket_t fd, short what, void *ctx)
{
	struct peer *p = ctx;
	struct err e;

	(void)fd;
	(void)what;
	err_set(&e, ERR_PROTO, "no greeting in time");
	ipc_fail(p->ipc, &e);
}

/* The socket's folder is open to everybody, so the uid decides. */
static int
peer_admitted(const struct peers *ps, int fd, uid_t *uid_out)
{
	const struct validator *v = ps->v;
	const struct ipc_admitted workers = {
	    .uids = {0, v->start_uid, v->worker_uid},
	    .nuids = 3,
	    .gid = (gid_t)-1,
	};

	if (!ipc_fd_admitted(fd, &workers, uid_out)) {
		log_warn("peer",
		    "refused a connection that is no worker's uid=%u",
		    (unsigned int)*uid_out);
		return 0;
	}
	if (ps->n >= PEERS_MAX) {
		log_warn("peer", "too many workers");
		return 0;
	}
	return 1;
}

/* Root may have as many as it likes, and so may all processes where they have
 * one user: there a worker is not kept from worse. */
static int
peer_enter(struct peer *p, uid_t uid)
{
	const struct peers *ps = p->peers;

	p->process = peer_process_enter(ps->processes, peer_pid(p),
	    uid == 0 || uid == ps->v->start_uid ? UINT_MAX
						: PROC_WORKER_CONNS_MAX);
	if (p->process != NULL)
		return 0;
	log_warn("peer", "BUG: a worker has too many connections pid=%d",
	    (int)peer_pid(p));
	return -1;
}

static void
peer_accepted(void *ctx, int fd)
{
	struct peers *ps = ctx;
	struct timeval tv = {PEER_HELLO_MS / 1000, 0};
	struct peer *p;
	struct ipc_cfg cfg = {
	    .base = ps->v->base,
	    .proto = &peer_proto,
	    .role = IPC_D_TO_VAL,
	    .state = IPC_S_NEW,
	    .closed = peer_closed,
	};
	struct err e;
	uid_t uid;

	if (!peer_admitted(ps, fd, &uid)) {
		io_close(&fd);
		return;
	}
	p = xcalloc(1, sizeof(*p));
	cfg.ctx = p;
	p->peers = ps;
	TAILQ_INIT(&p->calls);
	TAILQ_INSERT_TAIL(&ps->list, p, entry);
	ps->n++;
	p->timer = evtimer_new(ps->v->base, peer_hello_timeout, p);
	if (p->timer == NULL)
		fatal("peer", "no event");
	event_add(p->timer, &tv);
	if ((p->ipc = ipc_new(fd, &cfg, &e)) == NULL) {
		log_warn_e("peer", &e, "cannot serve a worker");
		peer_free(p);
	} else if (peer_enter(p, uid) == -1)
		peer_free(p);
}

struct peers *
peers_new(struct validator *v, int fd, struct err *e)
{
	struct peers *ps = xcalloc(1, sizeof(*ps));

	ps->v = v;
	TAILQ_INIT(&ps->list);
	ps->processes = peer_processes_new(v->base);
	ps->listener = ipc_listener_new(v->base, fd, peer_accepted, ps, e);
	if (ps->listener == NULL) {
		peer_processes_free(&ps->processes);
		free(ps);
		return NULL;
	}
	return ps;
}

void
peers_free(struct peers **pp)
{
	struct peers *ps = *pp;
	struct peer *p;

	*pp = NULL;
	if (ps == NULL)
		return;
	ipc_listener_free(&ps->listener);
	while ((p = TAILQ_FIRST(&ps->list)) != NULL)
		peer_free(p);
	peer_processes_free(&ps->processes);
	free(ps);
}

unsigned int
peers_count(const struct peers *ps)
{
	return ps->n;
}

struct validator *
peer_validator(const struct peer *p)
{
	return p->peers->v;
}

pid_t
peer_pid(const struct peer *p)
{
	return ipc_peer_pid(p->ipc);
}

struct session *
peer_session(const struct peer *p)
{
	return p->session;
}

void
peer_reserve(struct peer *p, struct session *s)
{
	p->session = s;
}

void
peer_attach(struct peer *p)
{
	ipc_set_state(p->ipc, IPC_S_SESSION);
}

void
peer_detach(struct peer *p)
{
	p->session = NULL;
	ipc_set_state(p->ipc, IPC_S_READY);
}

void
peer_add_call(struct peer *p, struct call *c)
{
	TAILQ_INSERT_TAIL(&p->calls, c, entry);
	p->ncalls++;
}

void
peer_remove_call(struct peer *p, struct call *c)
{
	TAILQ_REMOVE(&p->calls, c, entry);
	p->ncalls--;
}

unsigned int
peer_ncalls(const struct peer *p)
{
	return p->ncalls;
}

/* --- sending --- */

void
peer_send(struct peer *p, uint16_t type, uint64_t session, uint64_t seq,
    const void *body, ssize_t len, int fd)
{
	struct err e;

	if (len == -1)
		fatal("peer", "message %s does not fit", msg_name(type));
	if (ipc_send_fds(p->ipc, type, session, seq, body, (size_t)len, &fd,
		fd == -1 ? 0 : 1, &e) == -1)
		log_debug_e("peer", &e, "cannot send %s", msg_name(type));
}

void
peer_send_fail(struct peer *p, uint64_t session, uint64_t seq,
    const struct err *why)
{
	struct msg_FAIL m = {.code = (uint16_t)why->code};

	memcpy(m.text, why->msg, sizeof(why->msg));
	PEER_SEND(p, FAIL, session, seq, &m, -1);
}

void
peer_send_done(struct peer *p, uint64_t session, uint64_t seq)
{
	peer_send(p, MSG_ID_DONE, session, seq, NULL, 0, -1);
}

struct session *
peer_session_of(struct peer *p, struct ipc_msg *m)
{
	if (p->session == NULL || session_id(p->session) != m->session) {
		err_set(&m->err, ERR_PROTO, "message of another session");
		return NULL;
	}
	return p->session;
}

/* --- greeting --- */

int
val_on_hello(void *ctx, struct ipc_msg *m)
{
	struct peer *p = ctx;
	struct msg_HELLO h;
	struct msg_WELCOME w = {.boot = p->peers->v->boot};
	struct err e;

	if (PEER_GET(m, HELLO, &h) == -1)
		return -1;
	str_vis(p->program, sizeof(p->program), h.program);
	event_del(p->timer);
	w.version = h.version_max < IPC_VERSION ? h.version_max : IPC_VERSION;
	if (w.version < IPC_VERSION_MIN || w.version < h.version_min) {
		err_set(&e, ERR_UNSUPPORTED,
		    "no common version of messages (%u to %u, here %u to %u)",
		    h.version_min, h.version_max, IPC_VERSION_MIN, IPC_VERSION);
		log_warn_e("peer", &e, "cannot serve %s pid=%d", p->program,
		    (int)peer_pid(p));
		peer_send_fail(p, 0, m->seq, &e);
		return 0;
	}
	PEER_SEND(p, WELCOME, 0, m->seq, &w, -1);
	ipc_set_state(m->ipc, IPC_S_READY);
	return 0;
}
