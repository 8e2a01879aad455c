/*
 * Accounts as JSON, for the REST calls under /access (wire-protocol 2.4) and
 * for operators.  Runs in auth.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/grant.h"
#include "common/json.h"
#include "common/lmdb.h"
#include "common/privs.h"
#include "common/str.h"
#include "server/auth/accounts.h"
#include "server/auth/auth.h"

struct view {
	struct auth *auth;
	struct lmdb_txn *txn;
	struct json *list;
	const char *only;
	unsigned int flags;
	struct err *e;
};

static void
set_text(struct json *obj, const char *key, const char *text)
{
	if (text[0] != '\0')
		json_set_str(obj, key, text);
}

/* Never is the usual case, and said by saying nothing. */
static void
set_expire(struct json *obj, int64_t expire)
{
	if (expire != 0)
		json_set_i64(obj, "expire", expire);
}

static int
view_user(void *ctx, const char *userid, const struct account_user *u)
{
	struct view *v = ctx;
	struct json *obj, *tokens;

	if (v->only != NULL && strcmp(v->only, userid) != 0)
		return 0;
	obj = json_new_object();
	json_set_str(obj, "userid", userid);
	json_set_bool(obj, "enable", u->enable);
	set_expire(obj, u->expire);
	set_text(obj, "comment", u->comment);
	set_text(obj, "email", u->email);
	set_text(obj, "firstname", u->firstname);
	set_text(obj, "lastname", u->lastname);
	if (v->flags & VIEW_F_OPERATOR)
		json_set_bool(obj, "password", u->hash[0] != '\0');
	if (v->flags & VIEW_F_SECRETS)
		set_text(obj, "hash", u->hash);
	if (v->flags & VIEW_F_TOKENS) {
		tokens = view_tokens(v->auth, v->txn, userid, v->flags, v->e);
		if (tokens == NULL) {
			json_free(&obj);
			return -1;
		}
		json_set(obj, "tokens", tokens);
	}
	json_append(v->list, obj);
	return 0;
}

struct json *
view_users(struct auth *a, struct lmdb_txn *t, const char *only_user,
    unsigned int flags, struct err *e)
{
	struct view v = {a, t, json_new_array(), only_user, flags, e};

	if (accounts_user_each(a->accounts, t, view_user, &v, e) == -1)
		json_free(&v.list);
	return v.list;
}

static int
view_token(void *ctx, const char *tokenid, const struct account_token *k)
{
	struct view *v = ctx;
	struct json *obj = json_new_object();

	json_set_str(obj, "tokenid", tokenid);
	json_set_bool(obj, "enable", k->enable);
	set_expire(obj, k->expire);
	set_text(obj, "comment", k->comment);
	if (v->flags & VIEW_F_SECRETS) {
		json_set_str(obj, "salt", STR_HEX(k->salt, sizeof(k->salt)));
		json_set_str(obj, "digest",
		    STR_HEX(k->digest, sizeof(k->digest)));
	}
	json_append(v->list, obj);
	return 0;
}

struct json *
view_tokens(struct auth *a, struct lmdb_txn *t, const char *only_user,
    unsigned int flags, struct err *e)
{
	struct view v = {a, t, json_new_array(), NULL, flags, e};

	if (accounts_token_each(a->accounts, t, only_user, view_token, &v, e) ==
	    -1)
		json_free(&v.list);
	return v.list;
}

static int
view_acl_entry(void *ctx, const char *auth_id, const char *path,
    const char *role, int propagate)
{
	struct view *v = ctx;
	struct json *obj;

	if (v->only != NULL && strcmp(v->only, path) != 0)
		return 0;
	obj = json_new_object();
	json_set_str(obj, "auth-id", auth_id);
	json_set_str(obj, "path", path);
	json_set_str(obj, "role", role);
	json_set_bool(obj, "propagate", propagate);
	json_append(v->list, obj);
	return 0;
}

struct json *
view_acl(struct auth *a, struct lmdb_txn *t, const char *auth_id,
    const char *path, struct err *e)
{
	struct view v = {a, t, json_new_array(), path, 0, e};

	if (accounts_acl_each(a->accounts, t, auth_id, view_acl_entry, &v, e) ==
	    -1)
		json_free(&v.list);
	return v.list;
}

struct json *
view_roles(void)
{
	struct json *list = json_new_array(), *obj, *privs;
	const char *name, *text;
	unsigned int i, bit;
	uint32_t mask;
	int known;

	for (i = 0; (name = privs_role_name(i, &text)) != NULL; i++) {
		mask = privs_of_role(name, &known);
		privs = json_new_array();
		for (bit = 0; privs_bit_name(bit) != NULL; bit++) {
			if (mask & (1u << bit))
				json_append(privs,
				    json_new_str(privs_bit_name(bit)));
		}
		obj = json_new_object();
		json_set_str(obj, "roleid", name);
		json_set_str(obj, "comment", text);
		json_set(obj, "privs", privs);
		json_append(list, obj);
	}
	return list;
}

/* What holds at the node itself; true: and below. */
static struct json *
view_node(uint32_t exact, uint32_t propagated)
{
	struct json *obj = json_new_object();
	unsigned int bit;

	for (bit = 0; privs_bit_name(bit) != NULL; bit++) {
		if (exact & (1u << bit))
			json_set_bool(obj, privs_bit_name(bit),
			    (propagated & (1u << bit)) != 0);
	}
	return obj;
}

struct json *
view_permissions(struct auth *a, struct lmdb_txn *t, const char *auth_id,
    const char *path, struct err *e)
{
	struct grant g = {0};
	struct json *all;
	size_t i, nearest = 0;

	if (rights_load(a, t, auth_id, NULL, NULL, &g.nodes, &g.node_count,
		e) == -1)
		return NULL;
	all = json_new_object();
	for (i = 0; i < g.node_count && path == NULL; i++)
		json_set(all, g.nodes[i].path,
		    view_node(g.nodes[i].exact, g.nodes[i].propagated));
	if (path != NULL) {
		size_t len;

		/* Nodes are in path order: the last ancestor is nearest. */
		for (i = 0; i < g.node_count; i++) {
			len = strlen(g.nodes[i].path);
			if (strncmp(g.nodes[i].path, path, len) == 0 &&
			    (len == 1 || path[len] == '\0' || path[len] == '/'))
				nearest = i;
		}
		json_set(all, path,
		    view_node(grant_privs(&g, path),
			g.nodes[nearest].propagated));
	}
	grant_fini(&g);
	return all;
}
