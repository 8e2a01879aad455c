/* The accounts database, in a folder of its own for each test. */
#include "config.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/lmdb.h"
#include "common/privs.h"
#include "server/auth/accounts.h"
#include "server/auth/acl.h"
#include "tests/auth/scratch.h"

static char dir[SCRATCH_MAX];
static struct accounts *a;
static struct lmdb_txn *t;
static struct err e;

static void
setup(void)
{
	char db[SCRATCH_MAX + 8];

	scratch_make(dir);
	snprintf(db, sizeof(db), "%s/db", dir);
	cr_assert_eq(accounts_open(&a, db, &e), 0, "%s", e.msg);
	cr_assert_eq(accounts_begin(a, 1, &t, &e), 0, "%s", e.msg);
}

static void
teardown(void)
{
	accounts_abort(&t);
	accounts_close(&a);
	scratch_remove(dir);
}

TestSuite(accounts, .init = setup, .fini = teardown);

static const struct account_user plain = {.enable = 1};

static int
make_user(const char *id)
{
	return accounts_user_put(a, t, id, &plain, ACCOUNT_CREATE, &e);
}

static int
make_token(const char *id)
{
	struct account_token k = {.enable = 1};

	return accounts_token_put(a, t, id, &k, ACCOUNT_CREATE, &e);
}

static int
count_acl(void *ctx, const char *auth_id, const char *path, const char *role,
    int propagate)
{
	(void)auth_id;
	(void)path;
	(void)role;
	(void)propagate;
	++*(int *)ctx;
	return 0;
}

static int
count_token(void *ctx, const char *id, const struct account_token *k)
{
	(void)id;
	(void)k;
	++*(int *)ctx;
	return 0;
}

static int
acl_count(const char *auth_id)
{
	int n = 0;

	cr_assert_eq(accounts_acl_each(a, t, auth_id, count_acl, &n, &e), 0);
	return n;
}

Test(accounts, superuser_is_there_and_stays)
{
	struct account_user u;

	cr_assert_eq(accounts_user_get(a, t, "root@pam", &u, &e), 1);
	cr_expect(u.enable);
	cr_expect_str_eq(u.hash, "");
	cr_expect_eq(accounts_user_del(a, t, "root@pam", &e), -1);
	cr_expect_eq(e.code, ERR_NOT_ALLOWED);
}

Test(accounts, user_is_kept_as_given)
{
	struct account_user u = {.enable = 1,
	    .expire = 4102444800,
	    .comment = "a comment",
	    .email = "b@c",
	    .firstname = "B",
	    .lastname = "C",
	    .hash = "$y$j9T$x$y"};
	struct account_user got;

	cr_assert_eq(accounts_user_put(a, t, "bob@pbs", &u, ACCOUNT_CREATE, &e),
	    0, "%s", e.msg);
	cr_assert_eq(accounts_user_get(a, t, "bob@pbs", &got, &e), 1);
	cr_expect_eq(got.expire, u.expire);
	cr_expect_str_eq(got.comment, u.comment);
	cr_expect_str_eq(got.hash, u.hash);
	cr_expect_str_eq(got.lastname, u.lastname);
	cr_expect_eq(accounts_user_get(a, t, "eve@pbs", &got, &e), 0);
}

Test(accounts, create_update_replace)
{
	cr_expect_eq(make_user("bob@pbs"), 0);
	cr_expect_eq(make_user("bob@pbs"), -1);
	cr_expect_eq(e.code, ERR_EXISTS);
	cr_expect_eq(accounts_user_put(a, t, "eve@pbs", &plain, ACCOUNT_UPDATE,
			 &e),
	    -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	cr_expect_eq(accounts_user_put(a, t, "eve@pbs", &plain, ACCOUNT_REPLACE,
			 &e),
	    0);
}

Test(accounts, bad_names_and_texts_are_refused)
{
	static const char *const ids[] = {"", "bob", "@pbs", "bob@", "a b@pbs",
	    "bob:x@pbs", "a/b@pbs", "bob@pbs!tok", "a!b@pbs", "bob@p"};
	struct account_user u = {.enable = 1};
	size_t i;

	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		cr_expect_eq(make_user(ids[i]), -1, "'%s'", ids[i]);
		cr_expect_eq(e.code, ERR_PARAM, "'%s'", ids[i]);
	}
	strcpy(u.comment, "two\nlines");
	cr_expect_eq(accounts_user_put(a, t, "bob@pbs", &u, ACCOUNT_CREATE, &e),
	    -1);
	strcpy(u.comment, "\xff\xfe");
	cr_expect_eq(accounts_user_put(a, t, "bob@pbs", &u, ACCOUNT_CREATE, &e),
	    -1);
	strcpy(u.comment, "");
	u.expire = -1;
	cr_expect_eq(accounts_user_put(a, t, "bob@pbs", &u, ACCOUNT_CREATE, &e),
	    -1);
}

Test(accounts, token_needs_its_user)
{
	struct account_token k;

	cr_expect_eq(make_token("bob@pbs!tok"), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	make_user("bob@pbs");
	cr_expect_eq(make_token("bob@pbs!tok"), 0, "%s", e.msg);
	cr_expect_eq(make_token("bob@pbs!tok"), -1);
	cr_expect_eq(e.code, ERR_EXISTS);
	cr_expect_eq(make_token("bob@pbs"), -1);
	cr_expect_eq(e.code, ERR_PARAM);
	cr_expect_eq(accounts_token_get(a, t, "bob@pbs!tok", &k, &e), 1);
	cr_expect_eq(accounts_token_get(a, t, "bob@pbs!other", &k, &e), 0);
}

Test(accounts, removal_takes_tokens_and_entries_along)
{
	int n = 0;

	make_user("bob@pbs");
	make_user("bobby@pbs");
	make_token("bob@pbs!one");
	make_token("bob@pbs!two");
	make_token("bobby@pbs!one");
	accounts_acl_set(a, t, "bob@pbs", "/", "Admin", 1, &e);
	accounts_acl_set(a, t, "bob@pbs!one", "/", "Admin", 1, &e);
	accounts_acl_set(a, t, "bobby@pbs", "/", "Admin", 1, &e);
	cr_assert_eq(acl_count(NULL), 3);
	cr_assert_eq(accounts_user_del(a, t, "bob@pbs", &e), 0, "%s", e.msg);
	cr_expect_eq(acl_count(NULL), 1);
	cr_expect_eq(acl_count("bobby@pbs"), 1);
	cr_expect_eq(accounts_token_each(a, t, NULL, count_token, &n, &e), 0);
	cr_expect_eq(n, 1);
	cr_expect_eq(accounts_user_del(a, t, "bob@pbs", &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
}

Test(accounts, revoked_token_loses_its_entries)
{
	make_user("bob@pbs");
	make_token("bob@pbs!one");
	accounts_acl_set(a, t, "bob@pbs!one", "/", "Admin", 1, &e);
	cr_assert_eq(accounts_token_del(a, t, "bob@pbs!one", &e), 0);
	cr_expect_eq(acl_count(NULL), 0);
	/* One of the same name starts from nothing. */
	make_token("bob@pbs!one");
	cr_expect_eq(acl_count("bob@pbs!one"), 0);
}

Test(accounts, activity)
{
	struct account_token k = {.enable = 1};
	struct account_user u = {.enable = 1};

	make_user("bob@pbs");
	make_token("bob@pbs!tok");
	cr_expect_eq(accounts_active(a, t, "bob@pbs", 100, &e), 1);
	cr_expect_eq(accounts_active(a, t, "bob@pbs!tok", 100, &e), 1);
	cr_expect_eq(accounts_active(a, t, "eve@pbs", 100, &e), 0);
	cr_expect_eq(accounts_active(a, t, "bob@pbs!no-such", 100, &e), 0);
	cr_expect_eq(accounts_active(a, t, "not an id", 100, &e), 0);
	k.expire = 100;
	accounts_token_put(a, t, "bob@pbs!tok", &k, ACCOUNT_UPDATE, &e);
	cr_expect_eq(accounts_active(a, t, "bob@pbs!tok", 99, &e), 1);
	cr_expect_eq(accounts_active(a, t, "bob@pbs!tok", 100, &e), 0);
	k.expire = 0;
	k.enable = 0;
	accounts_token_put(a, t, "bob@pbs!tok", &k, ACCOUNT_UPDATE, &e);
	cr_expect_eq(accounts_active(a, t, "bob@pbs!tok", 99, &e), 0);
	k.enable = 1;
	accounts_token_put(a, t, "bob@pbs!tok", &k, ACCOUNT_UPDATE, &e);
	/* A token of a user who may not is worth nothing. */
	u.expire = 100;
	accounts_user_put(a, t, "bob@pbs", &u, ACCOUNT_UPDATE, &e);
	cr_expect_eq(accounts_active(a, t, "bob@pbs!tok", 100, &e), 0);
	u.expire = 0;
	u.enable = 0;
	accounts_user_put(a, t, "bob@pbs", &u, ACCOUNT_UPDATE, &e);
	cr_expect_eq(accounts_active(a, t, "bob@pbs!tok", 1, &e), 0);
	cr_expect_eq(accounts_active(a, t, "bob@pbs", 1, &e), 0);
}

Test(accounts, entries)
{
	make_user("bob@pbs");
	cr_expect_eq(accounts_acl_set(a, t, "eve@pbs", "/", "Admin", 1, &e),
	    -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	cr_expect_eq(accounts_acl_set(a, t, "bob@pbs", "/x", "Admin", 1, &e),
	    -1);
	cr_expect_eq(e.code, ERR_PARAM);
	cr_expect_eq(accounts_acl_set(a, t, "bob@pbs", "/", "Emperor", 1, &e),
	    -1);
	cr_expect_eq(e.code, ERR_PARAM);
	cr_expect_eq(accounts_acl_set(a, t, "bob@pbs", "/datastore/s/a",
			 "Admin", 1, &e),
	    -1, "a store has 3 characters");
	accounts_acl_set(a, t, "bob@pbs", "/datastore/store", "Admin", 1, &e);
	accounts_acl_set(a, t, "bob@pbs", "/datastore/store", "Audit", 1, &e);
	accounts_acl_set(a, t, "bob@pbs", "/datastore/store/a", "Audit", 1, &e);
	accounts_acl_set(a, t, "bob@pbs", "/datastore/store", "Audit", 0, &e);
	cr_expect_eq(acl_count("bob@pbs"), 3, "set again is no new entry");
	cr_expect_eq(accounts_acl_del(a, t, "bob@pbs", "/datastore/store",
			 "Audit", &e),
	    1);
	cr_expect_eq(accounts_acl_del(a, t, "bob@pbs", "/datastore/store",
			 "Audit", &e),
	    0);
	accounts_acl_set(a, t, "bob@pbs", "/datastore/store", "Audit", 0, &e);
	cr_expect_eq(accounts_acl_del(a, t, "bob@pbs", "/datastore/store", NULL,
			 &e),
	    2);
	cr_expect_eq(acl_count("bob@pbs"), 1, "what is below stays");
}

Test(accounts, entries_load_in_order_of_path)
{
	struct acl acl;

	make_user("bob@pbs");
	accounts_acl_set(a, t, "bob@pbs", "/datastore/store/b", "Audit", 1, &e);
	accounts_acl_set(a, t, "bob@pbs", "/", "DatastoreBackup", 1, &e);
	accounts_acl_set(a, t, "bob@pbs", "/datastore/store", "NoAccess", 1,
	    &e);
	cr_assert_eq(accounts_acl_load(a, t, "bob@pbs", &acl, &e), 0, "%s",
	    e.msg);
	cr_expect_eq(acl_exact(&acl, "/datastore/other"),
	    PRIV_DATASTORE_BACKUP);
	cr_expect_eq(acl_exact(&acl, "/datastore/store/a"), 0);
	cr_expect_neq(acl_exact(&acl, "/datastore/store/b/c"), 0);
	acl_fini(&acl);
	cr_assert_eq(accounts_acl_load(a, t, "root@pam", &acl, &e), 0);
	cr_expect_eq(acl_exact(&acl, "/"), PRIV_ALL);
	acl_fini(&acl);
}

Test(accounts, survive_closing)
{
	struct account_user u;
	char db[SCRATCH_MAX + 8];

	make_user("bob@pbs");
	cr_assert_eq(accounts_commit(&t, &e), 0);
	accounts_close(&a);
	snprintf(db, sizeof(db), "%s/db", dir);
	cr_assert_eq(accounts_open(&a, db, &e), 0, "%s", e.msg);
	cr_assert_eq(accounts_begin(a, 0, &t, &e), 0);
	cr_expect_eq(accounts_user_get(a, t, "bob@pbs", &u, &e), 1);
}

Test(accounts, aborted_changes_are_gone)
{
	struct account_user u;

	make_user("bob@pbs");
	accounts_abort(&t);
	cr_assert_eq(accounts_begin(a, 1, &t, &e), 0);
	cr_expect_eq(accounts_user_get(a, t, "bob@pbs", &u, &e), 0);
}
