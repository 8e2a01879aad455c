/*
 * The REST calls about accounts (wire-protocol 2.4), as messages ACCESS_CALL.
 * Runs in auth; the caller is the connection's identity, the rest is a
 * client's.
 */
#include "config.h"

#include "server/auth/access.h"

#include <stdlib.h>
#include <string.h>

#include "common/audit.h"
#include "common/format/auth_id.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/msg.h"
#include "common/privs.h"
#include "common/str.h"
#include "server/auth/accounts.h"
#include "server/auth/acl.h"
#include "server/auth/auth.h"
#include "server/auth/hasher.h"
#include "server/auth/worker_peer.h"

#define SUB "access"
#define PATH_USERS "/access/users"

struct access_call {
	struct worker_peer *peer;
	struct lmdb_txn *txn; /* for reading */
	const struct msg_ACCESS_CALL *req;
	uint64_t seq;
	struct json *result; /* the handler's answer; NULL: it comes later */
};

static int
missing(struct err *e, uint32_t privs, const char *path)
{
	char text[128];

	return err_set(e, ERR_PERM,
	    "permission check failed - missing %s on %s",
	    privs_text(privs, text, sizeof(text)), path);
}

/* 1 if the caller has the privilege at the path. */
static int
caller_has(struct access_call *c, uint32_t priv, const char *path,
    struct err *e)
{
	uint32_t privs;

	if (rights_at(c->peer->auth, c->txn, c->peer->auth_id, path, &privs,
		e) == -1)
		return -1;
	return (privs & priv) != 0;
}

/* "name@realm" of the caller, a token's user if it is one. */
static int
caller_user(const struct access_call *c, char out[AUTH_ID_MAX + 1],
    struct err *e)
{
	struct auth_id id;

	if (auth_id_parse(&id, c->peer->auth_id, e) == -1)
		return -1;
	auth_id_user_to_str(&id, out);
	return 0;
}

/* Own rights and those of own tokens; of others with Sys.Audit. */
static int
access_permissions(struct access_call *c, struct err *e)
{
	const char *subject =
	    c->req->auth_id[0] == '\0' ? c->peer->auth_id : c->req->auth_id;
	const char *path = c->req->path[0] == '\0' ? NULL : c->req->path;
	struct auth_id caller, of;
	int may;

	if (auth_id_parse(&of, subject, e) == -1 ||
	    auth_id_parse(&caller, c->peer->auth_id, e) == -1 ||
	    (path != NULL && acl_path_check(path, e) == -1))
		return -1;
	if (!auth_id_owns(&of, &caller)) {
		may = caller_has(c, PRIV_SYS_AUDIT, "/access", e);
		if (may != 1)
			return may == -1
			    ? -1
			    : missing(e, PRIV_SYS_AUDIT, "/access");
	}
	c->result = view_permissions(c->peer->auth, c->txn, subject, path, e);
	return c->result == NULL ? -1 : 0;
}

/* All users with Sys.Audit, else oneself. */
static int
access_users(struct access_call *c, struct err *e)
{
	unsigned int flags =
	    c->req->flags & ACCESS_F_TOKENS ? VIEW_F_TOKENS : 0;
	char self[AUTH_ID_MAX + 1];
	int all = caller_has(c, PRIV_SYS_AUDIT, PATH_USERS, e);

	if (all == -1 || caller_user(c, self, e) == -1)
		return -1;
	c->result =
	    view_users(c->peer->auth, c->txn, all ? NULL : self, flags, e);
	return c->result == NULL ? -1 : 0;
}

static struct json *
domain(const char *realm, const char *comment, int is_default)
{
	struct json *obj = json_new_object();

	json_set_str(obj, "realm", realm);
	json_set_str(obj, "type", realm);
	json_set_str(obj, "comment", comment);
	if (is_default)
		json_set_bool(obj, "default", 1);
	return obj;
}

static int
access_domains(struct access_call *c, struct err *e)
{
	(void)e;
	c->result = json_new_array();
	json_append(c->result, domain("pam", "Operators of this server", 0));
	json_append(c->result, domain("pbs", "Users of this server", 1));
	return 0;
}

static int
access_instance(struct access_call *c, struct err *e)
{
	(void)e;
	c->result = json_new_object();
	json_set_str(c->result, "pbs-instance-id", c->peer->auth->instance_id);
	return 0;
}

static int
access_roles(struct access_call *c, struct err *e)
{
	(void)e;
	c->result = view_roles();
	return 0;
}

/* --- PASSWORD ------------------------------------------------------------ */

/* Users their own; others with Permissions.Modify, but only the superuser the
 * superuser's, since that would be a way to all rights. */
static int
may_set_password(struct access_call *c, const char *userid, struct err *e)
{
	int may;

	if (strcmp(userid, c->peer->auth_id) == 0)
		return 0;
	may = strcmp(userid, ACCOUNT_SUPERUSER) == 0
	    ? 0
	    : caller_has(c, PRIV_PERMISSIONS_MODIFY, PATH_USERS, e);
	if (may == 1)
		return 0;
	return may == -1 ? -1 : missing(e, PRIV_PERMISSIONS_MODIFY, PATH_USERS);
}

static int
password_store(struct auth *a, const char *userid, const char *hash,
    struct err *e)
{
	struct account_user u = {0};
	struct lmdb_txn *t = NULL;
	int rv = -1, there;

	if (accounts_begin(a->accounts, 1, &t, e) == -1)
		return -1;
	there = accounts_user_get(a->accounts, t, userid, &u, e);
	if (there == 0)
		err_set(e, ERR_NOT_FOUND, "no such user '%s'", STR_VIS(userid));
	if (there == 1) {
		u.hash[0] = '\0';
		strncat(u.hash, hash, IPC_HASH_MAX);
		rv = accounts_user_put(a->accounts, t, userid, &u,
		    ACCOUNT_UPDATE, e);
	}
	mem_wipe(&u, sizeof(u));
	if (rv == 0)
		return accounts_commit(&t, e);
	accounts_abort(&t);
	return -1;
}

static void
password_hashed(void *arg, int match, const char *hash, const struct err *why)
{
	struct worker_peer *p = arg;
	struct json *null;
	struct err e;

	(void)match;
	p->job = NULL;
	if (why != NULL)
		e = *why;
	else if (password_store(p->auth, p->job_user, hash, &e) == 0) {
		log_info(SUB, "password changed user=%s by=%s",
		    STR_VIS(p->job_user), STR_VIS(p->job_peer));
		audit_add(p->auth->audit, "account", "command", "user-passwd",
		    "outcome", "ok", "userid", p->job_user, "by", p->job_peer,
		    NULL);
		null = json_new_null();
		if (reply_json(p->ipc, MSG_ID_ACCESS_REPLY, p->job_seq, null,
			&e) == -1)
			log_warn_e(SUB, &e, "cannot answer a worker");
		json_free(&null);
		return;
	}
	worker_fail(p, p->job_seq, e.code, "%s", e.msg);
}

static int
access_password(struct access_call *c, struct err *e)
{
	struct worker_peer *p = c->peer;
	struct auth_id id;

	if (user_id_parse(&id, c->req->auth_id, e) == -1 ||
	    may_set_password(c, c->req->auth_id, e) == -1 ||
	    password_rules_check(c->req->secret, c->req->secret_len, e) == -1)
		return -1;
	if (p->job != NULL)
		return err_set(e, ERR_UNAVAILABLE, "one password at a time");
	p->job_seq = c->seq;
	memcpy(p->job_user, c->req->auth_id, sizeof(p->job_user));
	memcpy(p->job_peer, p->auth_id, sizeof(p->job_peer));
	p->job = hasher_make(p->auth->hashers, p->auth_id, c->req->secret,
	    c->req->secret_len, password_hashed, p, e);
	return p->job == NULL ? -1 : 0;
}

/* --- table --------------------------------------------------------------- */

static const struct access_row {
	enum access_op op;
	int (*handler)(struct access_call *c, struct err *e);
	int open;
} access_rows[] = {
#define ACCESS_OP(NAME, id, function, is_open) \
	{ACCESS_##NAME, access_##function, is_open},
#include "server/auth/access_ops.def"
#undef ACCESS_OP
};

static const struct access_row *
access_find(unsigned int op)
{
	size_t i;

	for (i = 0; i < sizeof(access_rows) / sizeof(access_rows[0]); i++) {
		if (access_rows[i].op == op)
			return &access_rows[i];
	}
	return NULL;
}

static int
access_run(const struct access_row *row, struct access_call *c, struct err *e)
{
	struct auth *a = c->peer->auth;
	int rv;

	if (accounts_begin(a->accounts, 0, &c->txn, e) == -1)
		return -1;
	rv = row->handler(c, e);
	accounts_abort(&c->txn);
	if (rv == 0 && c->result != NULL)
		rv = reply_json(c->peer->ipc, MSG_ID_ACCESS_REPLY, c->seq,
		    c->result, e);
	json_free(&c->result);
	return rv;
}

int
auth_on_access_call(void *ctx, struct ipc_msg *m)
{
	struct worker_peer *p = ctx;
	struct msg_ACCESS_CALL req;
	struct access_call c = {.peer = p, .req = &req, .seq = m->seq};
	const struct access_row *row;
	struct err e;
	int rv = 0;

	if (msg_get_ACCESS_CALL(&m->body, &req) == -1 ||
	    (row = access_find(req.op)) == NULL)
		return err_set(&m->err, ERR_PROTO, "malformed ACCESS_CALL");
	if (!row->open && p->auth_id[0] == '\0')
		rv = worker_fail(p, m->seq, ERR_AUTH,
		    "authentication failed - no authentication credentials "
		    "provided.");
	else if (access_run(row, &c, &e) == -1)
		rv = worker_fail(p, m->seq, e.code, "%s", e.msg);
	worker_wipe(req.secret, req.secret_len);
	return rv;
}
