/*
 * ACL entries in the accounts database.  Runs in auth, as holdfast-auth.
 *
 * Key: identity, NUL, path, NUL, role, so that the entries of an identity
 * stand together, in order of path.  Value: u8 propagate.
 */
#include "config.h"

#include "server/auth/accounts.h"
#include "server/auth/accounts_int.h"

#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/format/auth_id.h"
#include "common/lmdb.h"
#include "common/mem.h"
#include "common/privs.h"
#include "common/str.h"
#include "server/auth/acl.h"

/* The parts' lengths are checked by whoever calls; role NULL: a prefix. */
static size_t
acl_key(char key[LMDB_KEY_MAX], const char *auth_id, const char *path,
    const char *role)
{
	int n = snprintf(key, LMDB_KEY_MAX, "%s%c%s%c%s", auth_id, '\0', path,
	    '\0', role == NULL ? "" : role);

	return n < 0 || n >= LMDB_KEY_MAX ? 0 : (size_t)n;
}

static int
role_check(const char *role, struct err *e)
{
	int known;

	privs_of_role(role, &known);
	if (!known)
		return err_set(e, ERR_PARAM, "role: no such role '%s'",
		    STR_VIS(role));
	return 0;
}

/* Does the user or token exist? */
static int
identity_check(struct accounts *a, struct lmdb_txn *t, const char *auth_id,
    struct err *e)
{
	struct account_token k;
	struct account_user u;
	struct auth_id id;
	int rv;

	if (auth_id_parse(&id, auth_id, e) == -1)
		return -1;
	if (auth_id_is_token(&id))
		rv = accounts_token_get(a, t, auth_id, &k, e);
	else
		rv = accounts_user_get(a, t, auth_id, &u, e);
	mem_wipe(&u, sizeof(u));
	if (rv == 0)
		return err_set(e, ERR_NOT_FOUND, "no such %s '%s'",
		    auth_id_is_token(&id) ? "API token" : "user",
		    STR_VIS(auth_id));
	return rv == 1 ? 0 : -1;
}

int
accounts_acl_set(struct accounts *a, struct lmdb_txn *t, const char *auth_id,
    const char *path, const char *role, int propagate, struct err *e)
{
	uint8_t val = propagate != 0;
	char key[LMDB_KEY_MAX];
	size_t len;

	if (acl_path_check(path, e) == -1 || role_check(role, e) == -1 ||
	    identity_check(a, t, auth_id, e) == -1)
		return -1;
	len = acl_key(key, auth_id, path, role);
	if (len == 0)
		return err_set(e, ERR_PARAM, "path: too long");
	return lmdb_put(t, a->acl, key, len, &val, sizeof(val), e);
}

int
accounts_acl_del(struct accounts *a, struct lmdb_txn *t, const char *auth_id,
    const char *path, const char *role, struct err *e)
{
	char key[LMDB_KEY_MAX];
	struct auth_id id;
	size_t len;

	if (auth_id_parse(&id, auth_id, e) == -1 ||
	    acl_path_check(path, e) == -1 ||
	    (role != NULL && role_check(role, e) == -1))
		return -1;
	len = acl_key(key, auth_id, path, role);
	if (len == 0)
		return 0;
	return role == NULL ? (int)lmdb_del_prefix(t, a->acl, key, len, e)
			    : lmdb_del(t, a->acl, key, len, e);
}

struct acl_walk {
	int (*fn)(void *ctx, const char *auth_id, const char *path,
	    const char *role, int propagate);
	void *ctx;
	struct err *e;
};

static int
acl_step(void *ctx, const void *key, size_t key_len, const void *val,
    size_t val_len)
{
	struct acl_walk *w = ctx;
	char text[LMDB_KEY_MAX + 1];
	const char *path, *role;

	/* With a NUL behind it every part ends, and "role" is within. */
	memcpy(text, key, key_len);
	text[key_len] = '\0';
	path = text + strlen(text) + 1;
	if (path > text + key_len || val_len != 1 ||
	    (role = path + strlen(path) + 1) > text + key_len)
		return err_set(w->e, ERR_CORRUPT, "ACL entry is damaged");
	return w->fn(w->ctx, text, path, role, *(const uint8_t *)val != 0);
}

int
accounts_acl_each(struct accounts *a, struct lmdb_txn *t, const char *auth_id,
    int (*fn)(void *ctx, const char *auth_id, const char *path,
	const char *role, int propagate),
    void *ctx, struct err *e)
{
	struct acl_walk w = {fn, ctx, e};

	return lmdb_each(t, a->acl, auth_id == NULL ? "" : auth_id,
	    auth_id == NULL ? 0 : strlen(auth_id) + 1, acl_step, &w, e);
}

struct acl_load {
	struct acl *acl;
	struct err *e;
};

static int
load_step(void *ctx, const char *auth_id, const char *path, const char *role,
    int propagate)
{
	struct acl_load *l = ctx;

	(void)auth_id;
	return acl_add(l->acl, path, role, propagate, l->e);
}

int
accounts_acl_load(struct accounts *a, struct lmdb_txn *t, const char *auth_id,
    struct acl *out, struct err *e)
{
	struct acl_load l = {out, e};

	acl_init(out);
	out->superuser = strcmp(auth_id, ACCOUNT_SUPERUSER) == 0;
	return accounts_acl_each(a, t, auth_id, load_step, &l, e);
}
