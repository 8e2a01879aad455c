/*
 * The control socket of auth: who may use it, dispatch, answers.  Runs in auth.
 * The socket's mode lets only root and the admin group in; the kernel's
 * credentials are checked all the same.
 */
#include "config.h"

#include "server/auth/control.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/audit.h"
#include "common/err.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/msg.h"
#include "common/str.h"
#include "server/auth/accounts.h"
#include "server/auth/auth.h"
#include "server/auth/hasher.h"

#define SUB "control"

static int auth_on_ctl_request(void *ctx, struct ipc_msg *m);

#define CONTROL_TO_SRV(handler) auth_on_##handler
#define CONTROL_TO_CTL(handler) NULL
#define IPC_ROW_CTL(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, CONTROL_##dir(handler), states, fds)
static const struct ipc_row control_rows[] = {
#include "common/msg_rows.h"
};

static const struct ipc_proto control_proto = {
    .name = "control",
    .rows = control_rows,
    .nrows = sizeof(control_rows) / sizeof(control_rows[0]),
    .version = IPC_VERSION,
    .version_min = IPC_VERSION,
};

static const struct control_row {
	const char *name;
	const char *required;
	const char *optional;
	control_fn *run;
} commands[] = {
#define CONTROL_CMD(name, required, optional, function) \
	{name, required, optional, control_##function},
#include "server/auth/control_cmds.def"
#undef CONTROL_CMD
};

/* --- connections --------------------------------------------------------- */

static void
control_peer_free(struct control_peer *p)
{
	hasher_cancel(&p->job);
	ipc_free(&p->ipc);
	if (p->job_new != NULL)
		mem_wipe_free(p->job_new, sizeof(*p->job_new));
	LIST_REMOVE(p, entry);
	p->auth->control_count--;
	free(p);
}

static void
control_closed(void *ctx, const struct err *why)
{
	struct control_peer *p = ctx;

	if (why->code == ERR_PROTO)
		log_warn_e(SUB, why, "closing a command %s", p->who);
	control_peer_free(p);
}

void
control_accepted(void *ctx, int fd)
{
	struct auth *a = ctx;
	struct ipc_cfg cfg = {
	    .base = a->base,
	    .proto = &control_proto,
	    .role = IPC_D_TO_SRV,
	    .state = IPC_S_READY,
	    .closed = control_closed,
	};
	const struct ipc_admitted admins = {
	    .uids = {0, a->start_uid},
	    .nuids = 2,
	    .gid = a->admin_gid,
	};
	struct control_peer *p;
	struct err e;
	uid_t uid;

	if (!ipc_fd_admitted(fd, &admins, &uid)) {
		log_warn(SUB, "refused a command uid=%u", (unsigned int)uid);
		close(fd);
		return;
	}
	if (a->control_count >= AUTH_CONTROLS_MAX) {
		log_warn(SUB, "too many commands at a time");
		close(fd);
		return;
	}
	p = xcalloc(1, sizeof(*p));
	p->auth = a;
	snprintf(p->who, sizeof(p->who), "uid=%u", (unsigned int)uid);
	cfg.ctx = p;
	p->ipc = ipc_new(fd, &cfg, &e);
	if (p->ipc == NULL) {
		log_warn_e(SUB, &e, "cannot serve a command");
		free(p);
		return;
	}
	LIST_INSERT_HEAD(&a->controls, p, entry);
	a->control_count++;
}

void
controls_free(struct auth *a)
{
	while (!LIST_EMPTY(&a->controls))
		control_peer_free(LIST_FIRST(&a->controls));
}

/* --- requests ------------------------------------------------------------ */

void
control_failed(struct control_peer *p, uint64_t seq, const struct err *why)
{
	uint8_t buf[MSG_MAX_CTL_FAIL];
	struct msg_CTL_FAIL fail = {0};
	struct wire_w w;
	struct err e;

	fail.code = (uint16_t)why->code;
	snprintf(fail.text, sizeof(fail.text), "%s", why->msg);
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_CTL_FAIL(&w, &fail);
	if (ipc_send(p->ipc, MSG_ID_CTL_FAIL, 0, seq, buf,
		(size_t)wire_w_len(&w), &e) == -1)
		log_debug_e(SUB, &e, "cannot answer a command");
}

void
control_done(struct control_peer *p, uint64_t seq, const struct json *reply)
{
	struct err e;

	if (reply_json(p->ipc, MSG_ID_CTL_REPLY, seq, reply, &e) == -1)
		log_warn_e(SUB, &e, "cannot answer a command");
}

static const struct control_row *
command_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

/* All but those that only look. */
static int
command_changes(const struct control_row *row)
{
	static const char *const verbs[] = {"create", "update", "passwd",
	    "remove", "revoke", "export", "import"};
	const char *verb = strrchr(row->name, '-');
	size_t i;

	verb = verb == NULL ? row->name : verb + 1;
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i], verb) == 0)
			return 1;
	}
	return 0;
}

void
control_audit(const struct control_peer *p, const char *command,
    const char *userid, const struct err *why)
{
	audit_add(p->auth->audit, "account", "command", command, "outcome",
	    why == NULL ? "ok" : "refused", "reason",
	    why == NULL ? NULL : why->msg, "userid", userid, "by", p->who,
	    NULL);
}

/* Of the arguments only those that are no secret. */
static void
command_audit(const struct control_call *c, const struct control_row *row,
    const struct err *why)
{
	audit_add(c->auth->audit, "account", "command", row->name, "outcome",
	    why == NULL ? "ok" : "refused", "reason",
	    why == NULL ? NULL : why->msg, "userid",
	    control_arg(c->args, "userid"), "tokenid",
	    control_arg(c->args, "tokenid"), "enable",
	    control_arg(c->args, "enable"), "expire",
	    control_arg(c->args, "expire"), "auth-id",
	    control_arg(c->args, "auth-id"), "path",
	    control_arg(c->args, "path"), "role", control_arg(c->args, "role"),
	    "by", c->peer->who, NULL);
}

static int
command_run(struct control_peer *p, const struct msg_CTL_REQUEST *req,
    uint64_t seq, struct json *reply, struct err *e)
{
	const struct control_row *row = command_find(req->command);
	struct control_args args;
	struct control_call c = {p, p->auth, &args, reply};
	int rv;

	if (row == NULL)
		return err_set(e, ERR_INVALID, "unknown command '%s'",
		    STR_VIS(req->command));
	if (control_args_parse(&args, (const char *)req->args, req->args_len,
		e) == -1 ||
	    control_args_check(&args, row->required, row->optional, e) == -1)
		return -1;
	p->job_seq = seq;
	rv = row->run(&c, e);
	/* A password is still being hashed: told when it is stored. */
	if (p->job == NULL && command_changes(row))
		command_audit(&c, row, rv == -1 ? e : NULL);
	return rv;
}

static int
auth_on_ctl_request(void *ctx, struct ipc_msg *m)
{
	struct control_peer *p = ctx;
	struct msg_CTL_REQUEST req;
	struct json *reply;
	struct err e;

	if (msg_get_CTL_REQUEST(&m->body, &req) == -1)
		return err_set(&m->err, ERR_PROTO, "malformed CTL_REQUEST");
	if (p->job != NULL)
		return err_set(&m->err, ERR_PROTO,
		    "a second request before the first was answered");
	reply = json_new_object();
	if (command_run(p, &req, m->seq, reply, &e) == -1)
		control_failed(p, m->seq, &e);
	else if (p->job == NULL)
		control_done(p, m->seq, reply);
	json_free(&reply);
	/* There may be a password in it; the message is lent, but ours. */
	mem_wipe((void *)(uintptr_t)req.args, req.args_len);
	return 0;
}
