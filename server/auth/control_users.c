/*
 * The operator's commands about users and API tokens.  Runs in auth.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "common/audit.h"
#include "common/err.h"
#include "common/format/auth_id.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "server/auth/accounts.h"
#include "server/auth/auth.h"
#include "server/auth/control.h"
#include "server/auth/hasher.h"
#include "server/auth/token_secret.h"

#define SUB "control"

/* The text if it was given; it may be empty, which removes it. */
static int
take_text(const struct control_args *args, const char *key, char *dst,
    size_t dst_size, struct err *e)
{
	const char *s = control_arg(args, key);

	if (s == NULL)
		return 0;
	if (strlen(s) >= dst_size)
		return err_set(e, ERR_PARAM, "%s: longer than %zu bytes", key,
		    dst_size - 1);
	memcpy(dst, s, strlen(s) + 1);
	return 0;
}

static int
take_state(const struct control_args *args, uint8_t *enable, int64_t *expire,
    struct err *e)
{
	int on = *enable;

	if (control_arg_bool(args, "enable", &on, e) == -1 ||
	    control_arg_i64(args, "expire", expire, e) == -1)
		return -1;
	*enable = on != 0;
	return 0;
}

static int
take_user(const struct control_args *args, struct account_user *u,
    struct err *e)
{
	if (take_text(args, "comment", u->comment, sizeof(u->comment), e) ==
		-1 ||
	    take_text(args, "email", u->email, sizeof(u->email), e) == -1 ||
	    take_text(args, "firstname", u->firstname, sizeof(u->firstname),
		e) == -1 ||
	    take_text(args, "lastname", u->lastname, sizeof(u->lastname), e) ==
		-1)
		return -1;
	return take_state(args, &u->enable, &u->expire, e);
}

static int
realm_check(const char *userid, struct err *e)
{
	struct auth_id id;

	if (user_id_parse(&id, userid, e) == -1)
		return -1;
	if (strcmp(id.realm, "pbs") != 0 && strcmp(id.realm, "pam") != 0)
		return err_set(e, ERR_PARAM,
		    "userid: realm must be pbs or pam");
	return 0;
}

/* --- storing ------------------------------------------------------------- */

/* One write of one user in a transaction of its own. */
static int
user_store(struct auth *a, const char *userid, const struct account_user *u,
    enum account_put how, struct err *e)
{
	struct lmdb_txn *t = NULL;

	if (accounts_begin(a->accounts, 1, &t, e) == -1)
		return -1;
	if (accounts_user_put(a->accounts, t, userid, u, how, e) == -1) {
		accounts_abort(&t);
		return -1;
	}
	return accounts_commit(&t, e);
}

/* The user as stored; ERR_NOT_FOUND. */
static int
user_load(struct auth *a, const char *userid, struct account_user *u,
    struct err *e)
{
	struct lmdb_txn *t = NULL;
	int there;

	if (accounts_begin(a->accounts, 0, &t, e) == -1)
		return -1;
	there = accounts_user_get(a->accounts, t, userid, u, e);
	accounts_abort(&t);
	if (there == 0)
		return err_set(e, ERR_NOT_FOUND, "no such user '%s'",
		    STR_VIS(userid));
	return there == 1 ? 0 : -1;
}

/* The password is hashed: store it, with the user if that is new. */
static int
hashed_store(struct control_peer *p, const char *hash, struct err *e)
{
	struct account_user u = {0};
	int rv = 0;

	if (p->job_new != NULL)
		u = *p->job_new;
	else
		rv = user_load(p->auth, p->job_user, &u, e);
	if (rv == 0) {
		u.hash[0] = '\0';
		strncat(u.hash, hash, IPC_HASH_MAX);
		rv = user_store(p->auth, p->job_user, &u,
		    p->job_new != NULL ? ACCOUNT_CREATE : ACCOUNT_UPDATE, e);
	}
	mem_wipe(&u, sizeof(u));
	return rv;
}

static void
control_hashed(void *arg, int match, const char *hash, const struct err *why)
{
	struct control_peer *p = arg;
	struct json *reply = json_new_object();
	struct err e;

	(void)match;
	p->job = NULL;
	if (why != NULL) {
		control_failed(p, p->job_seq, why);
	} else if (hashed_store(p, hash, &e) == -1) {
		control_failed(p, p->job_seq, &e);
	} else {
		log_info(SUB, "%s user=%s by %s",
		    p->job_new != NULL ? "user created" : "password changed",
		    STR_VIS(p->job_user), p->who);
		control_audit(p,
		    p->job_new != NULL ? "user-create" : "user-passwd",
		    p->job_user, NULL);
		control_done(p, p->job_seq, reply);
	}
	json_free(&reply);
	if (p->job_new != NULL)
		mem_wipe_free(p->job_new, sizeof(*p->job_new));
	p->job_new = NULL;
}

/* Starts the hashing; user NULL: only a new password. */
static int
hash_start(struct control_call *c, const char *userid,
    const struct account_user *user, struct err *e)
{
	const char *password = control_arg(c->args, "password");
	struct control_peer *p = c->peer;

	if (password_rules_check(password, strlen(password), e) == -1)
		return -1;
	snprintf(p->job_user, sizeof(p->job_user), "%s", userid);
	p->job = hasher_make(c->auth->hashers, p->who, password,
	    strlen(password), control_hashed, p, e);
	if (p->job == NULL)
		return -1;
	if (user != NULL)
		p->job_new = xmemdup(user, sizeof(*user));
	return 0;
}

/* --- users --------------------------------------------------------------- */

int
control_user_create(struct control_call *c, struct err *e)
{
	const char *userid = control_arg(c->args, "userid");
	struct account_user u = {.enable = 1}, old;
	struct err why;

	if (realm_check(userid, e) == -1 || take_user(c->args, &u, e) == -1)
		return -1;
	/* Before the work of hashing; storing looks again. */
	if (user_load(c->auth, userid, &old, &why) == 0)
		return err_set(e, ERR_EXISTS, "user '%s' already exists",
		    STR_VIS(userid));
	if (why.code != ERR_NOT_FOUND)
		return err_set(e, why.code, "%s", why.msg);
	if (control_arg(c->args, "password") != NULL)
		return hash_start(c, userid, &u, e);
	if (user_store(c->auth, userid, &u, ACCOUNT_CREATE, e) == -1)
		return -1;
	log_info(SUB, "user created user=%s by %s", STR_VIS(userid),
	    c->peer->who);
	return 0;
}

int
control_user_update(struct control_call *c, struct err *e)
{
	const char *userid = control_arg(c->args, "userid");
	struct account_user u = {0};
	int rv = -1;

	if (user_load(c->auth, userid, &u, e) == 0 &&
	    take_user(c->args, &u, e) == 0)
		rv = user_store(c->auth, userid, &u, ACCOUNT_UPDATE, e);
	mem_wipe(&u, sizeof(u));
	if (rv == 0)
		log_info(SUB, "user changed user=%s by %s", STR_VIS(userid),
		    c->peer->who);
	return rv;
}

int
control_user_passwd(struct control_call *c, struct err *e)
{
	const char *userid = control_arg(c->args, "userid");
	struct account_user u = {0};
	int rv = user_load(c->auth, userid, &u, e);

	mem_wipe(&u, sizeof(u));
	return rv == -1 ? -1 : hash_start(c, userid, NULL, e);
}

int
control_user_remove(struct control_call *c, struct err *e)
{
	const char *userid = control_arg(c->args, "userid");
	struct lmdb_txn *t = NULL;

	if (accounts_begin(c->auth->accounts, 1, &t, e) == -1)
		return -1;
	if (accounts_user_del(c->auth->accounts, t, userid, e) == -1) {
		accounts_abort(&t);
		return -1;
	}
	if (accounts_commit(&t, e) == -1)
		return -1;
	log_info(SUB, "user removed user=%s by %s", STR_VIS(userid),
	    c->peer->who);
	return 0;
}

int
control_user_list(struct control_call *c, struct err *e)
{
	struct lmdb_txn *t = NULL;
	struct json *list;
	int tokens = 0;

	if (control_arg_bool(c->args, "tokens", &tokens, e) == -1 ||
	    accounts_begin(c->auth->accounts, 0, &t, e) == -1)
		return -1;
	list = view_users(c->auth, t, NULL,
	    VIEW_F_OPERATOR | (tokens ? VIEW_F_TOKENS : 0), e);
	accounts_abort(&t);
	if (list == NULL)
		return -1;
	json_set(c->reply, "users", list);
	return 0;
}

/* --- tokens -------------------------------------------------------------- */

static int
token_store(struct auth *a, const char *tokenid, const struct account_token *k,
    enum account_put how, struct err *e)
{
	struct lmdb_txn *t = NULL;

	if (accounts_begin(a->accounts, 1, &t, e) == -1)
		return -1;
	if (accounts_token_put(a->accounts, t, tokenid, k, how, e) == -1) {
		accounts_abort(&t);
		return -1;
	}
	return accounts_commit(&t, e);
}

int
control_token_create(struct control_call *c, struct err *e)
{
	const char *tokenid = control_arg(c->args, "tokenid");
	struct account_token k = {.enable = 1};
	char secret[TOKEN_SECRET_LEN + 1];

	if (take_text(c->args, "comment", k.comment, sizeof(k.comment), e) ==
		-1 ||
	    take_state(c->args, &k.enable, &k.expire, e) == -1)
		return -1;
	token_secret_make(&k, secret);
	if (token_store(c->auth, tokenid, &k, ACCOUNT_CREATE, e) == -1)
		return -1;
	json_set_str(c->reply, "tokenid", tokenid);
	json_set_str(c->reply, "value", secret);
	mem_wipe(secret, sizeof(secret));
	log_info(SUB, "token created token=%s by %s", STR_VIS(tokenid),
	    c->peer->who);
	return 0;
}

int
control_token_update(struct control_call *c, struct err *e)
{
	const char *tokenid = control_arg(c->args, "tokenid");
	struct account_token k = {0};
	struct lmdb_txn *t = NULL;
	int there;

	if (accounts_begin(c->auth->accounts, 0, &t, e) == -1)
		return -1;
	there = accounts_token_get(c->auth->accounts, t, tokenid, &k, e);
	accounts_abort(&t);
	if (there == 0)
		return err_set(e, ERR_NOT_FOUND, "no such API token '%s'",
		    STR_VIS(tokenid));
	if (there == -1 ||
	    take_text(c->args, "comment", k.comment, sizeof(k.comment), e) ==
		-1 ||
	    take_state(c->args, &k.enable, &k.expire, e) == -1 ||
	    token_store(c->auth, tokenid, &k, ACCOUNT_UPDATE, e) == -1)
		return -1;
	log_info(SUB, "token changed token=%s by %s", STR_VIS(tokenid),
	    c->peer->who);
	return 0;
}

int
control_token_revoke(struct control_call *c, struct err *e)
{
	const char *tokenid = control_arg(c->args, "tokenid");
	struct lmdb_txn *t = NULL;

	if (accounts_begin(c->auth->accounts, 1, &t, e) == -1)
		return -1;
	if (accounts_token_del(c->auth->accounts, t, tokenid, e) == -1) {
		accounts_abort(&t);
		return -1;
	}
	if (accounts_commit(&t, e) == -1)
		return -1;
	log_info(SUB, "token revoked token=%s by %s", STR_VIS(tokenid),
	    c->peer->who);
	return 0;
}

int
control_token_list(struct control_call *c, struct err *e)
{
	struct lmdb_txn *t = NULL;
	struct json *list;

	if (accounts_begin(c->auth->accounts, 0, &t, e) == -1)
		return -1;
	list = view_tokens(c->auth, t, control_arg(c->args, "userid"), 0, e);
	accounts_abort(&t);
	if (list == NULL)
		return -1;
	json_set(c->reply, "tokens", list);
	return 0;
}
