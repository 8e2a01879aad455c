/* Export and import of accounts. */
#include "config.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/json.h"
#include "common/lmdb.h"
#include "server/auth/accounts.h"
#include "server/auth/auth.h"
#include "tests/auth/scratch.h"

#define DIGITS "00112233445566778899aabbccddeeff"
#define HEX64 DIGITS DIGITS

static char dir[SCRATCH_MAX];
static struct auth a;
static struct err e;

static void
setup(void)
{
	char db[SCRATCH_MAX + 8];

	scratch_make(dir);
	snprintf(db, sizeof(db), "%s/db", dir);
	cr_assert_eq(accounts_open(&a.accounts, db, &e), 0, "%s", e.msg);
}

static void
teardown(void)
{
	accounts_close(&a.accounts);
	scratch_remove(dir);
}

TestSuite(transfer, .init = setup, .fini = teardown);

static int
import(const char *text, int dry_run)
{
	struct json *all, *counts = json_new_object();
	int rv;

	all = json_parse(text, strlen(text), JSON_DEPTH_DEFAULT, &e);
	cr_assert_not_null(all, "%s", e.msg);
	rv = transfer_import(&a, all, dry_run, counts, &e);
	json_free(&all);
	json_free(&counts);
	return rv;
}

static char *export(void)
{
	struct json *all = transfer_export(&a, &e);
	char *text;

	cr_assert_not_null(all, "%s", e.msg);
	text = json_compact(all, NULL);
	json_free(&all);
	return text;
}

static const char whole[] =
    "{\"users\":[{\"userid\":\"bob@pbs\",\"enable\":false,\"expire\":99,"
    "\"comment\":\"c\",\"hash\":\"$y$j9T$salt$hash\"}],"
    "\"tokens\":[{\"tokenid\":\"bob@pbs!tok\",\"salt\":\"" HEX64
    "\",\"digest\":\"" HEX64 "\"}],"
    "\"acl\":[{\"auth-id\":\"bob@pbs\",\"path\":\"/datastore\","
    "\"role\":\"Audit\",\"propagate\":false},"
    "{\"auth-id\":\"bob@pbs!tok\",\"path\":\"/\",\"role\":\"Admin\"}]}";

Test(transfer, what_comes_out_goes_in_again)
{
	char *one, *two;

	cr_assert_eq(import(whole, 0), 0, "%s", e.msg);
	one = export();
	cr_expect_not_null(strstr(one, "$y$j9T$salt$hash"));
	cr_expect_not_null(strstr(one, HEX64));
	cr_expect_eq(import(one, 0), 0, "%s", e.msg);
	two = export();
	cr_expect_str_eq(one, two);
	free(one);
	free(two);
}

Test(transfer, dry_run_changes_nothing)
{
	char *before = export(), *after;

	cr_expect_eq(import(whole, 1), 0, "%s", e.msg);
	after = export();
	cr_expect_str_eq(before, after);
	free(before);
	free(after);
}

Test(transfer, all_or_nothing)
{
	static const char *const bad[] = {
	    "{\"users\":[{\"userid\":\"new@pbs\"},{\"userid\":\"bad\"}]}",
	    "{\"users\":[{\"userid\":\"new@pbs\",\"hash\":\"plain text\"}]}",
	    "{\"users\":[{\"userid\":\"new@pbs\",\"enable\":\"yes\"}]}",
	    "{\"users\":[{\"userid\":\"new@pbs\",\"expire\":-1}]}",
	    "{\"users\":[{\"userid\":\"new@pbs\"},17]}",
	    "{\"users\":{\"userid\":\"new@pbs\"}}",
	    "{\"users\":[{\"comment\":\"x\"}]}",
	    "{\"users\":[{\"userid\":\"new@pbs\"}],\"groups\":[]}",
	    "{\"users\":[{\"userid\":\"new@pbs\"}],\"tokens\":[{\"tokenid\":"
	    "\"new@pbs!tok\",\"salt\":\"00\",\"digest\":\"" HEX64 "\"}]}",
	    "{\"tokens\":[{\"tokenid\":\"nobody@pbs!tok\",\"salt\":\"" HEX64
	    "\",\"digest\":\"" HEX64 "\"}]}",
	    "{\"users\":[{\"userid\":\"new@pbs\"}],\"acl\":[{\"auth-id\":"
	    "\"new@pbs\",\"path\":\"/\",\"role\":\"Emperor\"}]}",
	    "{\"users\":[{\"userid\":\"new@pbs\"}],\"acl\":[{\"auth-id\":"
	    "\"new@pbs\",\"path\":\"/etc\",\"role\":\"Audit\"}]}",
	    "[]",
	};
	char *before = export(), *after;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(import(bad[i], 0), -1, "%s", bad[i]);
		cr_expect_eq(e.code == ERR_PARAM || e.code == ERR_NOT_FOUND, 1,
		    "%s: %s", bad[i], e.msg);
	}
	after = export();
	cr_expect_str_eq(before, after);
	free(before);
	free(after);
}
