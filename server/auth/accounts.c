/*
 * Users and tokens in the accounts database.  Runs in auth, as holdfast-auth,
 * which is the only one that opens it.  Names and texts come from operators
 * and, for passwords, from users: checked before they are stored.
 *
 * Keys: "user@realm" in users, "user@realm!token" in tokens.  Values: u8
 * version, then the fields of accounts.h.
 */
#include "config.h"

#include "server/auth/accounts.h"
#include "server/auth/accounts_int.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/auth_id.h"
#include "common/lmdb.h"
#include "common/mem.h"
#include "common/str.h"

#define ACCOUNTS_MAP_SIZE ((size_t)1 << 30)
#define ACCOUNTS_VERSION 1
#define ACCOUNT_VALUE_MAX 2048

static int
user_encode(struct wire_w *w, const struct account_user *m) MSG_PUT_BODY(
    ACCOUNT_USER_FIELDS)

    static int user_decode(struct wire_r *r,
	struct account_user *m) MSG_GET_BODY(ACCOUNT_USER_FIELDS)

	static int token_encode(struct wire_w *w,
	    const struct account_token *m) MSG_PUT_BODY(ACCOUNT_TOKEN_FIELDS)

	    static int token_decode(struct wire_r *r, struct account_token *m)
		MSG_GET_BODY(ACCOUNT_TOKEN_FIELDS)

		    static int superuser_make(struct accounts *a, struct err *e)
{
	static const struct account_user root = {
	    .enable = 1,
	    .comment = "superuser",
	};
	struct lmdb_txn *t = NULL;
	struct err why;

	if (accounts_begin(a, 1, &t, e) == -1)
		return -1;
	if (accounts_user_put(a, t, ACCOUNT_SUPERUSER, &root, ACCOUNT_CREATE,
		&why) == -1) {
		accounts_abort(&t);
		if (why.code == ERR_EXISTS)
			return 0;
		return err_set(e, why.code, "%s", why.msg);
	}
	return accounts_commit(&t, e);
}

int
accounts_open(struct accounts **out, const char *dir, struct err *e)
{
	struct accounts *a = xcalloc(1, sizeof(*a));

	if (lmdb_open(&a->db, dir, ACCOUNTS_MAP_SIZE, 3, LMDB_F_CREATE, 0600,
		e) == -1 ||
	    lmdb_db_open(a->db, "users", &a->users, e) == -1 ||
	    lmdb_db_open(a->db, "tokens", &a->tokens, e) == -1 ||
	    lmdb_db_open(a->db, "acl", &a->acl, e) == -1 ||
	    superuser_make(a, e) == -1) {
		accounts_close(&a);
		return err_wrap(e, "accounts in %s", dir);
	}
	*out = a;
	return 0;
}

void
accounts_close(struct accounts **a)
{
	if (*a == NULL)
		return;
	lmdb_close(&(*a)->db);
	free(*a);
	*a = NULL;
}

int
accounts_begin(struct accounts *a, int write, struct lmdb_txn **out,
    struct err *e)
{
	return lmdb_begin(a->db, write, out, e);
}

int
accounts_commit(struct lmdb_txn **t, struct err *e)
{
	return lmdb_commit(t, e);
}

void
accounts_abort(struct lmdb_txn **t)
{
	lmdb_abort(t);
}

/* --- values -------------------------------------------------------------- */

static int
text_check(const char *name, const char *s, struct err *e)
{
	size_t i;

	if (!str_is_utf8(s, strlen(s)))
		return err_set(e, ERR_PARAM, "%s: not UTF-8", name);
	for (i = 0; s[i] != '\0'; i++) {
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return err_set(e, ERR_PARAM,
			    "%s: control characters are not allowed", name);
	}
	return 0;
}

static int
expire_check(int64_t expire, struct err *e)
{
	if (expire < 0)
		return err_set(e, ERR_PARAM, "expire: before 1970");
	return 0;
}

/* Writes version and fields; how says what must be there. */
static int
value_put(struct lmdb_txn *t, unsigned int db, const char *key,
    const struct wire_w *w, enum account_put how, struct err *e)
{
	const void *old;
	size_t old_len;
	int there;

	if (wire_w_len(w) == -1)
		return err_set(e, ERR_INTERNAL, "account does not fit");
	there = lmdb_get(t, db, key, strlen(key), &old, &old_len, e);
	if (there == -1)
		return -1;
	if (there && how == ACCOUNT_CREATE)
		return err_set(e, ERR_EXISTS, "'%s' already exists",
		    STR_VIS(key));
	if (!there && how == ACCOUNT_UPDATE)
		return err_set(e, ERR_NOT_FOUND, "no such user or token '%s'",
		    STR_VIS(key));
	return lmdb_put(t, db, key, strlen(key), w->start,
	    (size_t)wire_w_len(w), e);
}

/* A reader behind the version byte; 1, 0 or -1. */
static int
value_get(struct lmdb_txn *t, unsigned int db, const char *key,
    struct wire_r *r, struct err *e)
{
	const void *val;
	size_t len;
	int there = lmdb_get(t, db, key, strlen(key), &val, &len, e);

	if (there == 1) {
		wire_r_init(r, val, len);
		if (wire_r_u8(r) != ACCOUNTS_VERSION)
			return err_set(e, ERR_CORRUPT,
			    "record of '%s' has an unknown version",
			    STR_VIS(key));
	}
	return there;
}

/* --- users --------------------------------------------------------------- */

static int
user_check(const char *userid, const struct account_user *u, struct err *e)
{
	struct auth_id id;

	if (user_id_parse(&id, userid, e) == -1)
		return -1;
	/* So that "user@realm!" is a prefix of this user's tokens only. */
	if (strchr(id.user, '!') != NULL)
		return err_set(e, ERR_PARAM,
		    "userid: a user name must not contain '!'");
	if (text_check("comment", u->comment, e) == -1 ||
	    text_check("email", u->email, e) == -1 ||
	    text_check("firstname", u->firstname, e) == -1 ||
	    text_check("lastname", u->lastname, e) == -1 ||
	    text_check("hash", u->hash, e) == -1)
		return -1;
	return expire_check(u->expire, e);
}

int
accounts_user_get(struct accounts *a, struct lmdb_txn *t, const char *userid,
    struct account_user *out, struct err *e)
{
	struct wire_r r;
	int rv = value_get(t, a->users, userid, &r, e);

	if (rv == 1 && (user_decode(&r, out) == -1 || wire_r_end(&r) == -1))
		return err_set(e, ERR_CORRUPT, "record of '%s' is damaged",
		    STR_VIS(userid));
	return rv;
}

int
accounts_user_put(struct accounts *a, struct lmdb_txn *t, const char *userid,
    const struct account_user *u, enum account_put how, struct err *e)
{
	uint8_t buf[ACCOUNT_VALUE_MAX];
	struct wire_w w;
	int rv;

	if (user_check(userid, u, e) == -1)
		return -1;
	wire_w_init(&w, buf, sizeof(buf));
	wire_w_u8(&w, ACCOUNTS_VERSION);
	user_encode(&w, u);
	rv = value_put(t, a->users, userid, &w, how, e);
	mem_wipe(buf, sizeof(buf));
	return rv;
}

/* "user@realm!" and its length: the tokens of a user. */
static size_t
token_prefix(const char *userid, char out[AUTH_ID_MAX + 2])
{
	size_t len = strnlen(userid, AUTH_ID_MAX);

	memcpy(out, userid, len);
	out[len] = '!';
	out[len + 1] = '\0';
	return len + 1;
}

/* All ACL entries of an identity; see accounts_acl.c for the keys. */
static int
acl_del_all(struct accounts *a, struct lmdb_txn *t, const char *auth_id,
    struct err *e)
{
	return lmdb_del_prefix(t, a->acl, auth_id, strlen(auth_id) + 1, e) == -1
	    ? -1
	    : 0;
}

int
accounts_user_del(struct accounts *a, struct lmdb_txn *t, const char *userid,
    struct err *e)
{
	char prefix[AUTH_ID_MAX + 2];
	struct auth_id id;
	size_t len;
	int rv;

	if (user_id_parse(&id, userid, e) == -1)
		return -1;
	if (strcmp(userid, ACCOUNT_SUPERUSER) == 0)
		return err_set(e, ERR_NOT_ALLOWED,
		    "%s cannot be removed, only disabled", userid);
	rv = lmdb_del(t, a->users, userid, strlen(userid), e);
	if (rv == 0)
		return err_set(e, ERR_NOT_FOUND, "no such user '%s'",
		    STR_VIS(userid));
	if (rv == -1 || acl_del_all(a, t, userid, e) == -1)
		return -1;
	/* "user@realm!name\0path\0role": one prefix for all tokens. */
	len = token_prefix(userid, prefix);
	if (lmdb_del_prefix(t, a->acl, prefix, len, e) == -1 ||
	    lmdb_del_prefix(t, a->tokens, prefix, len, e) == -1)
		return -1;
	return 0;
}

struct user_walk {
	int (*fn)(void *ctx, const char *userid, const struct account_user *u);
	void *ctx;
	struct err *e;
};

static int
key_to_id(char id[AUTH_ID_MAX + 1], const void *key, size_t len, struct err *e)
{
	if (len > AUTH_ID_MAX)
		return err_set(e, ERR_CORRUPT,
		    "key in the accounts is damaged");
	memcpy(id, key, len);
	id[len] = '\0';
	return 0;
}

static int
user_step(void *ctx, const void *key, size_t key_len, const void *val,
    size_t val_len)
{
	struct user_walk *w = ctx;
	char id[AUTH_ID_MAX + 1];
	struct account_user u;
	struct wire_r r;
	int rv;

	if (key_to_id(id, key, key_len, w->e) == -1)
		return -1;
	wire_r_init(&r, val, val_len);
	if (wire_r_u8(&r) != ACCOUNTS_VERSION || user_decode(&r, &u) == -1)
		return err_set(w->e, ERR_CORRUPT, "record of '%s' is damaged",
		    STR_VIS(id));
	rv = w->fn(w->ctx, id, &u);
	mem_wipe(&u, sizeof(u));
	return rv;
}

int
accounts_user_each(struct accounts *a, struct lmdb_txn *t,
    int (*fn)(void *ctx, const char *userid, const struct account_user *u),
    void *ctx, struct err *e)
{
	struct user_walk w = {fn, ctx, e};

	return lmdb_each(t, a->users, NULL, 0, user_step, &w, e);
}

/* --- tokens -------------------------------------------------------------- */

static int
token_id_parse(struct auth_id *id, const char *tokenid, struct err *e)
{
	if (auth_id_parse(id, tokenid, e) == -1)
		return -1;
	if (!auth_id_is_token(id))
		return err_set(e, ERR_PARAM,
		    "'%s' is a user, not an API token (user@realm!name)",
		    STR_VIS(tokenid));
	return 0;
}

int
accounts_token_get(struct accounts *a, struct lmdb_txn *t, const char *tokenid,
    struct account_token *out, struct err *e)
{
	struct wire_r r;
	int rv = value_get(t, a->tokens, tokenid, &r, e);

	if (rv == 1 && (token_decode(&r, out) == -1 || wire_r_end(&r) == -1))
		return err_set(e, ERR_CORRUPT, "record of '%s' is damaged",
		    STR_VIS(tokenid));
	return rv;
}

int
accounts_token_put(struct accounts *a, struct lmdb_txn *t, const char *tokenid,
    const struct account_token *k, enum account_put how, struct err *e)
{
	char userid[AUTH_ID_MAX + 1];
	uint8_t buf[ACCOUNT_VALUE_MAX];
	struct account_user u;
	struct auth_id id;
	struct wire_w w;
	int rv;

	if (token_id_parse(&id, tokenid, e) == -1 ||
	    text_check("comment", k->comment, e) == -1 ||
	    expire_check(k->expire, e) == -1)
		return -1;
	auth_id_user_to_str(&id, userid);
	rv = accounts_user_get(a, t, userid, &u, e);
	mem_wipe(&u, sizeof(u));
	if (rv == 0)
		return err_set(e, ERR_NOT_FOUND, "no such user '%s'",
		    STR_VIS(userid));
	if (rv == -1)
		return -1;
	wire_w_init(&w, buf, sizeof(buf));
	wire_w_u8(&w, ACCOUNTS_VERSION);
	token_encode(&w, k);
	return value_put(t, a->tokens, tokenid, &w, how, e);
}

int
accounts_token_del(struct accounts *a, struct lmdb_txn *t, const char *tokenid,
    struct err *e)
{
	struct auth_id id;
	int rv;

	if (token_id_parse(&id, tokenid, e) == -1)
		return -1;
	rv = lmdb_del(t, a->tokens, tokenid, strlen(tokenid), e);
	if (rv == 0)
		return err_set(e, ERR_NOT_FOUND, "no such API token '%s'",
		    STR_VIS(tokenid));
	return rv == -1 ? -1 : acl_del_all(a, t, tokenid, e);
}

struct token_walk {
	int (
	    *fn)(void *ctx, const char *tokenid, const struct account_token *k);
	void *ctx;
	struct err *e;
};

static int
token_step(void *ctx, const void *key, size_t key_len, const void *val,
    size_t val_len)
{
	struct token_walk *w = ctx;
	char id[AUTH_ID_MAX + 1];
	struct account_token k;
	struct wire_r r;

	if (key_to_id(id, key, key_len, w->e) == -1)
		return -1;
	wire_r_init(&r, val, val_len);
	if (wire_r_u8(&r) != ACCOUNTS_VERSION || token_decode(&r, &k) == -1)
		return err_set(w->e, ERR_CORRUPT, "record of '%s' is damaged",
		    STR_VIS(id));
	return w->fn(w->ctx, id, &k);
}

int
accounts_token_each(struct accounts *a, struct lmdb_txn *t, const char *userid,
    int (*fn)(void *ctx, const char *tokenid, const struct account_token *k),
    void *ctx, struct err *e)
{
	struct token_walk w = {fn, ctx, e};
	char prefix[AUTH_ID_MAX + 2] = "";
	size_t len = userid == NULL ? 0 : token_prefix(userid, prefix);

	return lmdb_each(t, a->tokens, prefix, len, token_step, &w, e);
}

static int
usable(uint8_t enable, int64_t expire, int64_t now)
{
	return enable && (expire == 0 || expire > now);
}

int
accounts_active(struct accounts *a, struct lmdb_txn *t, const char *auth_id,
    int64_t now, struct err *e)
{
	char userid[AUTH_ID_MAX + 1];
	struct account_token k;
	struct account_user u;
	struct auth_id id;
	struct err ignored;
	int rv;

	if (auth_id_parse(&id, auth_id, &ignored) == -1)
		return 0;
	auth_id_user_to_str(&id, userid);
	rv = accounts_user_get(a, t, userid, &u, e);
	if (rv == 1)
		rv = usable(u.enable, u.expire, now);
	mem_wipe(&u, sizeof(u));
	if (rv != 1 || !auth_id_is_token(&id))
		return rv;
	rv = accounts_token_get(a, t, auth_id, &k, e);
	return rv == 1 ? usable(k.enable, k.expire, now) : rv;
}
