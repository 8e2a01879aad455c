/*
 * Export and import of accounts.  Runs in auth; the JSON comes from an
 * operator, and every name and value in it is checked as if typed in.
 *
 *   {"users": [...], "tokens": [...], "acl": [...]}, members as in view.c,
 *   "hash" as libcrypt has it, "salt" and "digest" in hexadecimal.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/str.h"
#include "server/auth/accounts.h"
#include "server/auth/auth.h"

struct import {
	struct auth *auth;
	struct lmdb_txn *txn;
};

struct json *
transfer_export(struct auth *a, struct err *e)
{
	struct json *all = json_new_object(), *list;
	struct lmdb_txn *t = NULL;

	if (accounts_begin(a->accounts, 0, &t, e) == -1)
		goto fail;
	if ((list = view_users(a, t, NULL, VIEW_F_SECRETS, e)) == NULL)
		goto fail;
	json_set(all, "users", list);
	if ((list = view_tokens(a, t, NULL, VIEW_F_SECRETS, e)) == NULL)
		goto fail;
	json_set(all, "tokens", list);
	if ((list = view_acl(a, t, NULL, NULL, e)) == NULL)
		goto fail;
	json_set(all, "acl", list);
	accounts_abort(&t);
	return all;
fail:
	accounts_abort(&t);
	json_free(&all);
	return NULL;
}

/* A text that may be missing. */
static int
take_text(const struct json *obj, const char *key, char *dst, size_t dst_size,
    struct err *e)
{
	const char *s;

	dst[0] = '\0';
	if (json_get(obj, key) == NULL)
		return 0;
	if ((s = json_get_str(obj, key, e)) == NULL)
		return -1;
	if (strlen(s) >= dst_size)
		return err_set(e, ERR_PARAM, "%s: too long", key);
	memcpy(dst, s, strlen(s) + 1);
	return 0;
}

static int
take_bool(const struct json *obj, const char *key, int def, uint8_t *out,
    struct err *e)
{
	int v = def;

	if (json_get(obj, key) != NULL && json_get_bool(obj, key, &v, e) == -1)
		return -1;
	*out = v != 0;
	return 0;
}

static int
take_expire(const struct json *obj, int64_t *out, struct err *e)
{
	*out = 0;
	if (json_get(obj, "expire") == NULL)
		return 0;
	return json_get_i64(obj, "expire", 0, INT64_MAX, out, e);
}

/* Hashes that libcrypt knows start with "$" and a letter or digit. */
static int
hash_check(const char *hash, struct err *e)
{
	if (hash[0] == '\0' ||
	    (hash[0] == '$' && hash[1] != '\0' && hash[1] != '$' &&
		strchr(hash + 2, '$') != NULL))
		return 0;
	return err_set(e, ERR_PARAM, "hash: not a password hash");
}

static int
import_user(struct import *im, const struct json *obj, struct err *e)
{
	const char *userid = json_get_str(obj, "userid", e);
	struct account_user u = {0};
	int rv = -1;

	if (userid != NULL && take_bool(obj, "enable", 1, &u.enable, e) == 0 &&
	    take_expire(obj, &u.expire, e) == 0 &&
	    take_text(obj, "comment", u.comment, sizeof(u.comment), e) == 0 &&
	    take_text(obj, "email", u.email, sizeof(u.email), e) == 0 &&
	    take_text(obj, "firstname", u.firstname, sizeof(u.firstname), e) ==
		0 &&
	    take_text(obj, "lastname", u.lastname, sizeof(u.lastname), e) ==
		0 &&
	    take_text(obj, "hash", u.hash, sizeof(u.hash), e) == 0 &&
	    hash_check(u.hash, e) == 0)
		rv = accounts_user_put(im->auth->accounts, im->txn, userid, &u,
		    ACCOUNT_REPLACE, e);
	mem_wipe(&u, sizeof(u));
	return rv;
}

static int
take_hex32(const struct json *obj, const char *key, uint8_t out[32],
    struct err *e)
{
	const char *s = json_get_str(obj, key, e);

	if (s == NULL)
		return -1;
	if (str_unhex(out, 32, s, strlen(s)) == -1)
		return err_set(e, ERR_PARAM,
		    "%s: must be 64 hexadecimal digits", key);
	return 0;
}

static int
import_token(struct import *im, const struct json *obj, struct err *e)
{
	const char *tokenid = json_get_str(obj, "tokenid", e);
	struct account_token k = {0};

	if (tokenid == NULL ||
	    take_bool(obj, "enable", 1, &k.enable, e) == -1 ||
	    take_expire(obj, &k.expire, e) == -1 ||
	    take_text(obj, "comment", k.comment, sizeof(k.comment), e) == -1 ||
	    take_hex32(obj, "salt", k.salt, e) == -1 ||
	    take_hex32(obj, "digest", k.digest, e) == -1)
		return -1;
	return accounts_token_put(im->auth->accounts, im->txn, tokenid, &k,
	    ACCOUNT_REPLACE, e);
}

static int
import_acl(struct import *im, const struct json *obj, struct err *e)
{
	const char *auth_id = json_get_str(obj, "auth-id", e);
	const char *path, *role;
	uint8_t propagate;

	if (auth_id == NULL || (path = json_get_str(obj, "path", e)) == NULL ||
	    (role = json_get_str(obj, "role", e)) == NULL ||
	    take_bool(obj, "propagate", 1, &propagate, e) == -1)
		return -1;
	return accounts_acl_set(im->auth->accounts, im->txn, auth_id, path,
	    role, propagate, e);
}

static int
import_list(struct import *im, const struct json *all, const char *name,
    int (*one)(struct import *im, const struct json *obj, struct err *e),
    struct json *counts, struct err *e)
{
	const struct json *list;
	size_t i;

	if (json_get(all, name) == NULL)
		return 0;
	if ((list = json_get_array(all, name, e)) == NULL)
		return -1;
	for (i = 0; i < json_len(list); i++) {
		if (json_type(json_at(list, i)) != JSON_OBJECT)
			return err_set(e, ERR_PARAM, "%s[%zu]: not an object",
			    name, i);
		if (one(im, json_at(list, i), e) == -1)
			return err_wrap(e, "%s[%zu]", name, i);
	}
	json_set_u64(counts, name, json_len(list));
	return 0;
}

static int
known_member(void *ctx, const char *key, const struct json *val)
{
	(void)val;
	if (strcmp(key, "users") == 0 || strcmp(key, "tokens") == 0 ||
	    strcmp(key, "acl") == 0)
		return 0;
	return err_set(ctx, ERR_PARAM, "'%s' is not something to import",
	    STR_VIS(key));
}

int
transfer_import(struct auth *a, const struct json *all, int dry_run,
    struct json *counts, struct err *e)
{
	struct import im = {a, NULL};

	if (json_type(all) != JSON_OBJECT)
		return err_set(e, ERR_PARAM, "import: not a JSON object");
	if (json_each(all, known_member, e) != 0 ||
	    accounts_begin(a->accounts, 1, &im.txn, e) == -1)
		return -1;
	if (import_list(&im, all, "users", import_user, counts, e) == -1 ||
	    import_list(&im, all, "tokens", import_token, counts, e) == -1 ||
	    import_list(&im, all, "acl", import_acl, counts, e) == -1) {
		accounts_abort(&im.txn);
		return -1;
	}
	if (dry_run) {
		accounts_abort(&im.txn);
		return 0;
	}
	return accounts_commit(&im.txn, e);
}
