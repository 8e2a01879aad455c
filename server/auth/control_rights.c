/*
 * The operator's commands about rights, export and import, the certificate and
 * the process itself.  Runs in auth.
 */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/format/auth_id.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"
#include "server/auth/accounts.h"
#include "server/auth/acl.h"
#include "server/auth/auth.h"
#include "server/auth/control.h"
#include "server/auth/tls_identity.h"

#define SUB "control"

int
control_acl_update(struct control_call *c, struct err *e)
{
	const char *auth_id = control_arg(c->args, "auth-id");
	const char *path = control_arg(c->args, "path");
	const char *role = control_arg(c->args, "role");
	struct lmdb_txn *t = NULL;
	int propagate = 1;

	if (control_arg_bool(c->args, "propagate", &propagate, e) == -1 ||
	    accounts_begin(c->auth->accounts, 1, &t, e) == -1)
		return -1;
	if (accounts_acl_set(c->auth->accounts, t, auth_id, path, role,
		propagate, e) == -1) {
		accounts_abort(&t);
		return -1;
	}
	if (accounts_commit(&t, e) == -1)
		return -1;
	log_info(SUB, "acl set identity=%s path=%s role=%s propagate=%d by %s",
	    STR_VIS(auth_id), STR_VIS(path), STR_VIS(role), propagate,
	    c->peer->who);
	return 0;
}

int
control_acl_remove(struct control_call *c, struct err *e)
{
	const char *auth_id = control_arg(c->args, "auth-id");
	const char *path = control_arg(c->args, "path");
	const char *role = control_arg(c->args, "role");
	struct lmdb_txn *t = NULL;
	int removed;

	if (accounts_begin(c->auth->accounts, 1, &t, e) == -1)
		return -1;
	removed =
	    accounts_acl_del(c->auth->accounts, t, auth_id, path, role, e);
	if (removed == 0)
		err_set(e, ERR_NOT_FOUND, "no such entry");
	if (removed <= 0) {
		accounts_abort(&t);
		return -1;
	}
	if (accounts_commit(&t, e) == -1)
		return -1;
	json_set_i64(c->reply, "removed", removed);
	log_info(SUB, "acl removed identity=%s path=%s role=%s by %s",
	    STR_VIS(auth_id), STR_VIS(path), role == NULL ? "*" : STR_VIS(role),
	    c->peer->who);
	return 0;
}

int
control_acl_list(struct control_call *c, struct err *e)
{
	struct lmdb_txn *t = NULL;
	struct json *list;

	if (accounts_begin(c->auth->accounts, 0, &t, e) == -1)
		return -1;
	list = view_acl(c->auth, t, control_arg(c->args, "auth-id"),
	    control_arg(c->args, "path"), e);
	accounts_abort(&t);
	if (list == NULL)
		return -1;
	json_set(c->reply, "acl", list);
	return 0;
}

int
control_role_list(struct control_call *c, struct err *e)
{
	(void)e;
	json_set(c->reply, "roles", view_roles());
	return 0;
}

static int
copy_member(void *ctx, const char *key, const struct json *val)
{
	json_set(ctx, key, json_dup(val));
	return 0;
}

int
control_permissions(struct control_call *c, struct err *e)
{
	const char *auth_id = control_arg(c->args, "auth-id");
	const char *path = control_arg(c->args, "path");
	struct lmdb_txn *t = NULL;
	struct json *all;
	struct auth_id id;

	if (auth_id_parse(&id, auth_id, e) == -1 ||
	    (path != NULL && acl_path_check(path, e) == -1) ||
	    accounts_begin(c->auth->accounts, 0, &t, e) == -1)
		return -1;
	all = view_permissions(c->auth, t, auth_id, path, e);
	accounts_abort(&t);
	if (all == NULL)
		return -1;
	json_each(all, copy_member, c->reply);
	json_free(&all);
	return 0;
}

int
control_export(struct control_call *c, struct err *e)
{
	struct json *all = transfer_export(c->auth, e);

	if (all == NULL)
		return -1;
	json_each(all, copy_member, c->reply);
	json_free(&all);
	log_info(SUB, "accounts exported by %s", c->peer->who);
	return 0;
}

int
control_import(struct control_call *c, struct err *e)
{
	const char *data = control_arg(c->args, "data");
	struct json *all;
	int dry_run = 0, rv;

	if (control_arg_bool(c->args, "dry-run", &dry_run, e) == -1)
		return -1;
	all = json_parse(data, strlen(data), JSON_DEPTH_DEFAULT, e);
	if (all == NULL)
		return -1;
	rv = transfer_import(c->auth, all, dry_run, c->reply, e);
	json_free(&all);
	if (rv == 0 && !dry_run)
		log_info(SUB, "accounts imported by %s", c->peer->who);
	return rv;
}

int
control_cert_info(struct control_call *c, struct err *e)
{
	struct json *info = tls_identity_describe(c->auth->identity);

	(void)e;
	json_each(info, copy_member, c->reply);
	json_free(&info);
	return 0;
}

static int
count_user(void *ctx, const char *userid, const struct account_user *u)
{
	(void)userid;
	(void)u;
	++*(uint64_t *)ctx;
	return 0;
}

int
control_status(struct control_call *c, struct err *e)
{
	struct lmdb_txn *t = NULL;
	uint64_t users = 0;
	int rv;

	if (accounts_begin(c->auth->accounts, 0, &t, e) == -1)
		return -1;
	rv = accounts_user_each(c->auth->accounts, t, count_user, &users, e);
	accounts_abort(&t);
	if (rv == -1)
		return -1;
	json_set_str(c->reply, "version", PACKAGE_VERSION);
	json_set_i64(c->reply, "pid", getpid());
	json_set_i64(c->reply, "started", c->auth->started);
	json_set_u64(c->reply, "workers", c->auth->worker_count);
	json_set_u64(c->reply, "users", users);
	return 0;
}
