/* The record of what this server verified. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "common/err.h"
#include "tests/store/fixture.h"
#include "validator/store/verified.h"

#define MAP_SIZE ((size_t)128 << 10) /* some hundred records fill half */

static struct verified *v;
static char dir[128];

static void
setup(void)
{
	struct err e = {0};

	fixture_init();
	snprintf(dir, sizeof(dir), "%s/verified", fx.dir);
	cr_assert_eq(verified_open(&v, dir, MAP_SIZE, &e), 0, "%s", e.msg);
}

static void
teardown(void)
{
	verified_close(&v);
	fixture_fini();
}

TestSuite(verified, .init = setup, .fini = teardown);

/* n snapshots, a second apart. */
static int
del(const struct backup_ns *ns, const struct backup_snapshot *first, size_t n)
{
	int64_t times[10];
	size_t i;

	for (i = 0; i < n; i++)
		times[i] = first->time + (int64_t)i;
	return verified_del(v, "one", ns, &first->group, times, n, NULL);
}

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
	cr_assert_eq(verified_open(&v, dir, MAP_SIZE, NULL), 0);
	cr_expect_eq(verified_get(v, "one", &root, &s1, &when, NULL), 1);
	cr_expect_eq(when, 1000);
	cr_assert_eq(verified_put(v, "one", &root, &s1, 1500, NULL), 0);
	cr_expect_eq(verified_get(v, "one", &root, &s1, &when, NULL), 1);
	cr_expect_eq(when, 1500);

	cr_assert_eq(del(&root, &s1, 1), 0);
	cr_assert_eq(del(&root, &s1, 1), 0);
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

	cr_expect_eq(verified_open(&none, "/proc/nowhere/at/all", 0, &e), -1);
	cr_expect_null(none);
}

Test(verified, forgets_many_at_once)
{
	struct backup_ns root = fixture_ns("");
	struct backup_snapshot s = fixture_snap("vm/1/2022-05-02T08:11:30Z"),
			       first = s;
	int64_t when;
	int i;

	for (i = 0; i < 5; i++, s.time++)
		cr_assert_eq(verified_put(v, "one", &root, &s, 1000, NULL), 0);
	cr_assert_eq(del(&root, &first, 4), 0);
	s = first;
	for (i = 0; i < 5; i++, s.time++)
		cr_expect_eq(verified_get(v, "one", &root, &s, &when, NULL),
		    i == 4);
}

static void
count(void *arg, const char *store, const struct backup_ns *ns,
    const struct backup_snapshot *snap, const char *auth_id)
{
	(void)store;
	(void)ns;
	(void)snap;
	(void)auth_id;
	++*(unsigned int *)arg;
}

/* A full record is no reason to refuse anything. */
Test(verified, begins_anew_when_full)
{
	struct backup_ns root = fixture_ns("");
	struct backup_snapshot s = fixture_snap("vm/1/2022-05-02T08:11:30Z"),
			       first = s;
	unsigned int emptied = 0, i;
	int64_t when;
	int rv;

	for (i = 0; emptied < 2 && i < 5000; i++, s.time++) {
		rv = verified_put(v, "one", &root, &s, 1000, NULL);
		cr_assert_geq(rv, 0, "after %u", i);
		emptied += rv == 1;
		cr_assert_eq(verified_get(v, "one", &root, &s, &when, NULL), 1);
		if (emptied == 1 && rv == 1)
			cr_expect_eq(verified_get(v, "one", &root, &first,
					 &when, NULL),
			    0);
	}
	cr_expect_eq(emptied, 2);
}

Test(verified, too_many_wait)
{
	struct backup_ns root = fixture_ns("");
	struct backup_snapshot s = fixture_snap("vm/1/2022-05-02T08:11:30Z");
	struct err e = {0};
	unsigned int i, n = 0;
	int64_t when;
	int rv = 0;

	for (i = 0; i < 3000 && rv == 0; i++, s.time++)
		rv = verified_begin(v, "one", &root, &s, true, "u@pbs", &e);
	cr_assert_eq(rv, -1);
	cr_expect_eq(e.code, ERR_NOSPACE);
	verified_each_waiting(v, count, &n, NULL);
	cr_expect_eq(n, i - 1, "all but the last one");
	/* What an earlier snapshot of that name was good for is forgotten all
	 * the same, and the rest goes on. */
	cr_assert_eq(verified_put(v, "one", &root, &s, 1000, NULL), 0);
	cr_expect_eq(verified_begin(v, "one", &root, &s, true, "u@pbs", &e),
	    -1);
	cr_expect_eq(verified_get(v, "one", &root, &s, &when, NULL), 0);
	cr_expect_eq(verified_begin(v, "one", &root, &s, false, "u@pbs", &e),
	    0);
	for (s.time -= i; i > 0; i--, s.time++)
		cr_assert_eq(verified_end(v, "one", &root, &s, &e), 0);
	cr_expect_eq(verified_begin(v, "one", &root, &s, true, "u@pbs", &e), 0);
}
