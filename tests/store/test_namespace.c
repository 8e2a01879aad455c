/* Namespaces: making, walking, removing. */
#include "config.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "tests/store/fixture.h"
#include "validator/store/layout.h"
#include "validator/store/namespace.h"

TestSuite(namespace, .init = fixture_init, .fini = fixture_fini);

static int
make(const char *name, struct err *e)
{
	struct backup_ns ns = fixture_ns(name);

	return ns_dir_create(fx.store, &ns, e);
}

static int
check(const char *name, struct err *e)
{
	struct backup_ns ns = fixture_ns(name);

	return ns_dir_check(fx.store, &ns, e);
}

static int
unmake(const char *name, struct err *e)
{
	struct backup_ns ns = fixture_ns(name);

	return ns_dir_remove(fx.store, &ns, e);
}

Test(namespace, needs_its_parent)
{
	struct err e = {0};
	struct stat st;

	umask(077);
	cr_expect_eq(check("", &e), 0);
	cr_expect_eq(check("a", &e), -1);
	cr_expect_eq(e.code, ERR_NO_NAMESPACE);
	cr_expect_str_eq(e.msg, "namespace not found");
	cr_expect_eq(make("a/b", &e), -1);
	cr_expect_eq(e.code, ERR_NO_NAMESPACE);
	cr_expect_eq(make("a", &e), 0);
	cr_expect_eq(make("a", &e), 0);
	cr_expect_eq(make("a/b", &e), 0);
	cr_expect_eq(check("a/b", &e), 0);
	cr_assert_eq(fstatat(fx.store->root_fd, "ns/a/ns/b", &st, 0), 0);
	cr_expect_eq(st.st_mode & 07777, 0755);
	cr_expect_eq(make("", &e), -1);
	cr_expect_eq(e.code, ERR_PARAM);
}

static char walked[512];

static int
note(void *ctx, const struct backup_ns *ns)
{
	int *stop_after = ctx;

	snprintf(walked + strlen(walked), sizeof(walked) - strlen(walked),
	    "[%s]", ns->name);
	return stop_after != NULL && --*stop_after == 0;
}

static const char *
walk(const char *name, unsigned int depth, int stop)
{
	struct backup_ns ns = fixture_ns(name);
	int want = stop > 0;

	walked[0] = '\0';
	cr_assert_eq(ns_dir_each(fx.store, &ns, depth, note,
			 stop > 0 ? &stop : NULL, NULL),
	    want);
	return walked;
}

Test(namespace, is_walked_from_above)
{
	static const char *const all[] = {"a", "b", "a/x", "a/x/y", "a/z"};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(*all); i++)
		cr_assert_eq(make(all[i], NULL), 0);
	cr_assert_eq(symlinkat("a", fx.store->root_fd, "ns/link"), 0);
	cr_assert_eq(mkdirat(fx.store->root_fd, "ns/.hidden", 0755), 0);
	fixture_write("ns/file", "x", 1);
	cr_expect_str_eq(walk("", 7, 0), "[][a][a/x][a/x/y][a/z][b]");
	cr_expect_str_eq(walk("", 1, 0), "[][a][b]");
	cr_expect_str_eq(walk("", 0, 0), "[]");
	cr_expect_str_eq(walk("a", 7, 0), "[a][a/x][a/x/y][a/z]");
	cr_expect_str_eq(walk("none", 7, 0), "[none]");
	cr_expect_str_eq(walk("", 7, 3), "[][a][a/x]");
}

Test(namespace, does_not_follow_links)
{
	struct err e = {0};

	cr_assert_eq(mkdirat(fx.store->root_fd, "ns", 0755), 0);
	cr_assert_eq(symlinkat("/tmp", fx.store->root_fd, "ns/a"), 0);
	cr_expect_eq(check("a", &e), -1);
	cr_expect_eq(e.code, ERR_NO_NAMESPACE);
	cr_expect_eq(make("a/b", &e), -1);
	cr_expect_eq(make("a", &e), -1);
}

Test(namespace, is_removed_only_if_empty)
{
	struct err e = {0};

	cr_expect_eq(unmake("none", &e), 0);
	cr_expect_eq(unmake("", &e), -1);
	cr_expect_str_eq(e.msg, "Cannot create/delete root namespace!");
	cr_assert_eq(make("a", &e), 0);
	cr_assert_eq(make("a/b", &e), 0);
	cr_assert_eq(make("a/c", &e), 0);
	cr_assert_eq(mkdirat(fx.store->root_fd, "ns/a/vm", 0755), 0);
	fixture_make_snapshot("a/c", "vm/1/2022-05-02T08:11:33Z", "a@pbs");
	cr_expect_eq(unmake("a", &e), -1);
	cr_expect_eq(e.code, ERR_EXISTS);
	cr_expect_not_null(strstr(e.msg, "partially deleted"));
	cr_expect_eq(check("a/b", &e), -1, "what was empty is gone");
	cr_expect(fixture_exists("ns/a/ns/c/vm/1/owner"));
	cr_expect_eq(unmake("a/c", &e), -1);
	cr_assert_eq(mkdirat(fx.store->root_fd, "ns/empty", 0755), 0);
	cr_expect_eq(unmake("empty", &e), 0);
	cr_expect_not(fixture_exists("ns/empty"));
}
