/* The record of what this server verified. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "common/err.h"
#include "tests/store/fixture.h"
#include "validator/store/verified.h"

static struct verified *v;
static char dir[128];

static void
setup(void)
{
	struct err e = {0};

	fixture_init();
	snprintf(dir, sizeof(dir), "%s/verified", fx.dir);
	cr_assert_eq(verified_open(&v, dir, &e), 0, "%s", e.msg);
}

static void
teardown(void)
{
	verified_close(&v);
	fixture_fini();
}

TestSuite(verified, .init = setup, .fini = teardown);

Test(verified, remembers_and_forgets)
{
	struct backup_ns root = fixture_ns(""), a = fixture_ns("a");
	struct backup_snapshot s1 = fixture_snap("vm/1/2022-05-02T08:11:33Z"),
			       s2 = fixture_snap("vm/1/2022-05-02T08:11:34Z");
	int64_t when;

	cr_expect_eq(verified_get(v, "one", &root, &s1, &when, NULL), 0);
	cr_expect_eq(when, 0);
	cr_assert_eq(verified_put(v, "one", &root, &s1, 1000, NULL), 0);
	cr_assert_eq(verified_put(v, "one", &root, &s2, 2000, NULL), 0);
	cr_assert_eq(verified_put(v, "one", &a, &s1, 3000, NULL), 0);
	cr_assert_eq(verified_put(v, "two", &root, &s1, 4000, NULL), 0);
	verified_close(&v);
	cr_assert_eq(verified_open(&v, dir, NULL), 0);
	cr_expect_eq(verified_get(v, "one", &root, &s1, &when, NULL), 1);
	cr_expect_eq(when, 1000);
	cr_assert_eq(verified_put(v, "one", &root, &s1, 1500, NULL), 0);
	cr_expect_eq(verified_get(v, "one", &root, &s1, &when, NULL), 1);
	cr_expect_eq(when, 1500);

	cr_assert_eq(verified_del(v, "one", &root, &s1, NULL), 0);
	cr_assert_eq(verified_del(v, "one", &root, &s1, NULL), 0);
	cr_expect_eq(verified_get(v, "one", &root, &s1, &when, NULL), 0);
	cr_expect_eq(verified_get(v, "one", &root, &s2, &when, NULL), 1);
	cr_expect_eq(verified_get(v, "one", &a, &s1, &when, NULL), 1);
	cr_expect_eq(when, 3000);

	cr_assert_eq(verified_del_store(v, "one", NULL), 0);
	cr_expect_eq(verified_get(v, "one", &root, &s2, &when, NULL), 0);
	cr_expect_eq(verified_get(v, "one", &a, &s1, &when, NULL), 0);
	cr_expect_eq(verified_get(v, "two", &root, &s1, &when, NULL), 1);
	cr_expect_eq(when, 4000);
}

Test(verified, cannot_be_opened_where_there_is_no_folder)
{
	struct verified *none;
	struct err e = {0};

	cr_expect_eq(verified_open(&none, "/proc/nowhere/at/all", &e), -1);
	cr_expect_null(none);
}
