#ifndef SERVER_AUTH_ACCOUNTS_H
#define SERVER_AUTH_ACCOUNTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/fields.h"
#include "common/ipc_fields.h"

struct acl;
struct err;
struct lmdb_txn;

/*
 * Accounts: users, API tokens and ACL entries in LMDB under STATE/auth.  Only
 * auth opens it.  Functions work inside a transaction; writing ones check
 * names and values, so that nothing invalid is ever stored.  They may block
 * on the disk, for a commit.
 */

#define ACCOUNT_TEXT_MAX 256
#define ACCOUNT_SALT_LEN 32
#define ACCOUNT_SUPERUSER "root@pam" /* always there, every privilege */

/* expire: Unix seconds, 0 for never.  hash: as libcrypt has it, "" for none
 * (then no password fits). */
#define ACCOUNT_USER_FIELDS(F)              \
	F(u8, enable, 0)                    \
	F(i64, expire, 0)                   \
	F(str, comment, ACCOUNT_TEXT_MAX)   \
	F(str, email, ACCOUNT_TEXT_MAX)     \
	F(str, firstname, ACCOUNT_TEXT_MAX) \
	F(str, lastname, ACCOUNT_TEXT_MAX)  \
	F(str, hash, IPC_HASH_MAX)

/* digest: see token_secret.h. */
#define ACCOUNT_TOKEN_FIELDS(F)           \
	F(u8, enable, 0)                  \
	F(i64, expire, 0)                 \
	F(str, comment, ACCOUNT_TEXT_MAX) \
	F(b32, salt, 0)                   \
	F(b32, digest, 0)

struct account_user {
	ACCOUNT_USER_FIELDS(MSG_DECL)
};

struct account_token {
	ACCOUNT_TOKEN_FIELDS(MSG_DECL)
};

struct accounts;

int accounts_open(struct accounts **out, const char *dir, struct err *e);
void accounts_close(struct accounts **a);

int accounts_begin(struct accounts *a, int write, struct lmdb_txn **out,
    struct err *e);
/* Both consume the transaction; NULL inside is fine for abort. */
int accounts_commit(struct lmdb_txn **t, struct err *e);
void accounts_abort(struct lmdb_txn **t);

enum account_put {
	ACCOUNT_CREATE, /* ERR_EXISTS if it is there */
	ACCOUNT_UPDATE, /* ERR_NOT_FOUND if it is not */
	ACCOUNT_REPLACE,
};

/* Users.  get: 1, 0 if there is none, -1. */
int accounts_user_get(struct accounts *a, struct lmdb_txn *t,
    const char *userid, struct account_user *out, struct err *e);
int accounts_user_put(struct accounts *a, struct lmdb_txn *t,
    const char *userid, const struct account_user *u, enum account_put how,
    struct err *e);
/* With its tokens and all their ACL entries; never the superuser. */
int accounts_user_del(struct accounts *a, struct lmdb_txn *t,
    const char *userid, struct err *e);
/* In order of ids, until fn returns non-zero; -1 if that was negative.  fn
 * must not write. */
int accounts_user_each(struct accounts *a, struct lmdb_txn *t,
    int (*fn)(void *ctx, const char *userid, const struct account_user *u),
    void *ctx, struct err *e);

/* Tokens, by "user@realm!name"; put needs the user to be there. */
int accounts_token_get(struct accounts *a, struct lmdb_txn *t,
    const char *tokenid, struct account_token *out, struct err *e);
int accounts_token_put(struct accounts *a, struct lmdb_txn *t,
    const char *tokenid, const struct account_token *k, enum account_put how,
    struct err *e);
/* With its ACL entries. */
int accounts_token_del(struct accounts *a, struct lmdb_txn *t,
    const char *tokenid, struct err *e);
/* Those of one user, or all if userid is NULL. */
int accounts_token_each(struct accounts *a, struct lmdb_txn *t,
    const char *userid,
    int (*fn)(void *ctx, const char *tokenid, const struct account_token *k),
    void *ctx, struct err *e);

/* 1 if the user, or the token and its user, exist and may be used now. */
int accounts_active(struct accounts *a, struct lmdb_txn *t, const char *auth_id,
    int64_t now, struct err *e);

/* ACL entries.  set needs the identity to be there. */
int accounts_acl_set(struct accounts *a, struct lmdb_txn *t,
    const char *auth_id, const char *path, const char *role, int propagate,
    struct err *e);
/* role NULL: all at that path.  The number removed, or -1. */
int accounts_acl_del(struct accounts *a, struct lmdb_txn *t,
    const char *auth_id, const char *path, const char *role, struct err *e);
/* Those of one identity, or all if auth_id is NULL; by identity, then path. */
int accounts_acl_each(struct accounts *a, struct lmdb_txn *t,
    const char *auth_id,
    int (*fn)(void *ctx, const char *auth_id, const char *path,
	const char *role, int propagate),
    void *ctx, struct err *e);
/* All entries of an identity for evaluation; acl_fini() afterwards, on
 * failure too. */
int accounts_acl_load(struct accounts *a, struct lmdb_txn *t,
    const char *auth_id, struct acl *out, struct err *e);

#endif
