/*
 * The operator's commands (control.h).  Runs in the validator's loop; what
 * reads files or asks a disk runs in threads.  The peer is root, our own uid or
 * the admin group: its wishes are carried out, but its bytes are checked like
 * anyone's.
 */
#include "config.h"

#include "validator/control.h"
#include "validator/control_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/audit.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/msg.h"
#include "common/str.h"
#include "validator/validator.h"

#define CONTROL_PEERS_MAX 64

struct control_peer {
	TAILQ_ENTRY(control_peer) entry;
	struct control *control;
	struct ipc *ipc;
	unsigned int refs; /* the connection, and each request in threads */
};

struct control {
	struct validator *v;
	struct ipc_listener *listener;
	TAILQ_HEAD(, control_peer) peers;
	unsigned int n;
};

/* --- answers --- */

static void
peer_unref(struct control_peer *p)
{
	if (--p->refs > 0)
		return;
	free(p);
}

static void
request_free(struct control_req *r)
{
	size_t i;

	for (i = 0; i < r->nrunning; i++)
		free(r->running[i]);
	free(r->running);
	json_free(&r->list);
	free(r->args);
	peer_unref(r->peer);
	free(r);
}

void
control_fail(struct control_req *r, const struct err *why)
{
	struct msg_CTL_FAIL m = {.code = (uint16_t)why->code};
	uint8_t buf[MSG_MAX_CTL_FAIL];
	struct wire_w w;

	memcpy(m.text, why->msg, sizeof(why->msg));
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_CTL_FAIL(&w, &m);
	if (r->peer->ipc != NULL)
		ipc_send(r->peer->ipc, MSG_ID_CTL_FAIL, 0, r->seq, buf,
		    (size_t)wire_w_len(&w), NULL);
	request_free(r);
}

/* Takes obj. */
void
control_reply(struct control_req *r, struct json *obj)
{
	struct msg_CTL_REPLY m;
	uint8_t buf[MSG_MAX_CTL_REPLY];
	struct wire_w w;
	struct err e;
	size_t len;
	char *text = json_compact(obj, &len);
	int fd = io_memfd_data("reply", text, len, &e);

	free(text);
	json_free(&obj);
	if (fd == -1) {
		control_fail(r, &e);
		return;
	}
	m.size = len;
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_CTL_REPLY(&w, &m);
	if (r->peer->ipc != NULL)
		ipc_send_fds(r->peer->ipc, MSG_ID_CTL_REPLY, 0, r->seq, buf,
		    (size_t)wire_w_len(&w), &fd, 1, NULL);
	close(fd);
	request_free(r);
}

/* --- the message --- */

/* What changes something is remembered. */
static void
request_record(const struct control_peer *p, const struct msg_CTL_REQUEST *m)
{
	char uid[24];

	snprintf(uid, sizeof(uid), "uid=%u",
	    (unsigned int)ipc_peer_uid(p->ipc));
	log_info("control", "command %s %s", m->command, uid);
	/* Strings, the last one ended: the first argument says on what. */
	audit_add(p->control->v->audit, "command", "command", m->command, "by",
	    uid, "argument", m->args_len > 0 ? (const char *)m->args : NULL,
	    NULL);
}

static void
request_start(struct control_peer *p, uint64_t seq,
    const struct msg_CTL_REQUEST *m)
{
	struct control_req *r = xcalloc(1, sizeof(*r));
	struct err e;
	size_t i;

	p->refs++;
	r->peer = p;
	r->v = p->control->v;
	r->seq = seq;
	r->args = xmemdup(m->args_len > 0 ? (const char *)m->args : "",
	    m->args_len > 0 ? m->args_len : 1);
	r->args_len = m->args_len;
	for (i = 0; control_cmds[i].name != NULL; i++) {
		if (strcmp(control_cmds[i].name, m->command) == 0) {
			if (!control_cmds[i].reads)
				request_record(p, m);
			control_cmds[i].run(r);
			return;
		}
	}
	err_set(&e, ERR_UNSUPPORTED, "no such command '%s'",
	    STR_VIS(m->command));
	control_fail(r, &e);
}

static int
srv_on_ctl_request(void *ctx, struct ipc_msg *m)
{
	struct msg_CTL_REQUEST msg;

	if (msg_get_CTL_REQUEST(&m->body, &msg) == -1 ||
	    (msg.args_len > 0 && msg.args[msg.args_len - 1] != '\0'))
		return err_set(&m->err, ERR_PROTO, "malformed request");
	request_start(ctx, m->seq, &msg);
	return 0;
}

#define SRV_TO_SRV(handler) srv_on_##handler
#define SRV_TO_CTL(handler) NULL
#define IPC_ROW_CTL(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, SRV_##dir(handler), states, fds)
static const struct ipc_row control_rows[] = {
#include "common/msg_rows.h"
};
static const struct ipc_proto control_proto = {
    .name = "command",
    .rows = control_rows,
    .nrows = sizeof(control_rows) / sizeof(control_rows[0]),
    .version = IPC_VERSION,
    .version_min = IPC_VERSION_MIN,
};

static void
control_peer_end(struct control_peer *p)
{
	ipc_free(&p->ipc);
	TAILQ_REMOVE(&p->control->peers, p, entry);
	p->control->n--;
	peer_unref(p);
}

static void
control_closed(void *ctx, const struct err *why)
{
	if (why->code == ERR_PROTO)
		log_warn_e("control", why, "command broke the rules");
	control_peer_end(ctx);
}

static void
control_accepted(void *ctx, int fd)
{
	struct control *c = ctx;
	const struct ipc_admitted admins = {
	    .uids = {0, c->v->start_uid},
	    .nuids = 2,
	    .gid = c->v->admin_gid,
	};
	struct ipc_cfg cfg = {
	    .base = c->v->base,
	    .proto = &control_proto,
	    .role = IPC_D_TO_SRV,
	    .state = IPC_S_READY,
	    .closed = control_closed,
	};
	struct control_peer *p;
	struct err e;
	uid_t uid;

	if (!ipc_fd_admitted(fd, &admins, &uid)) {
		log_warn("control", "refused a command uid=%u",
		    (unsigned int)uid);
		io_close(&fd);
		return;
	}
	if (c->n >= CONTROL_PEERS_MAX) {
		log_warn("control", "too many commands");
		io_close(&fd);
		return;
	}
	cfg.ctx = p = xcalloc(1, sizeof(*p));
	p->control = c;
	p->refs = 1;
	if ((p->ipc = ipc_new(fd, &cfg, &e)) == NULL) {
		log_warn_e("control", &e, "cannot serve a command");
		free(p);
		return;
	}
	TAILQ_INSERT_TAIL(&c->peers, p, entry);
	c->n++;
}

struct control *
control_new(struct validator *v, int fd, struct err *e)
{
	struct control *c = xcalloc(1, sizeof(*c));

	c->v = v;
	TAILQ_INIT(&c->peers);
	c->listener = ipc_listener_new(v->base, fd, control_accepted, c, e);
	if (c->listener == NULL) {
		free(c);
		return NULL;
	}
	return c;
}

void
control_free(struct control **cp)
{
	struct control *c = *cp;
	struct control_peer *p;

	*cp = NULL;
	if (c == NULL)
		return;
	ipc_listener_free(&c->listener);
	while ((p = TAILQ_FIRST(&c->peers)) != NULL)
		control_peer_end(p);
	free(c);
}
