/* Groups: owners, notes, order, removal, and links that lead elsewhere. */
#include "config.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "tests/store/fixture.h"
#include "validator/store/group.h"
#include "validator/store/layout.h"
#include "validator/store/poison.h"
#include "validator/store/snapshot.h"

TestSuite(group, .init = fixture_init, .fini = fixture_fini);

static struct backup_group
group_of(const char *text)
{
	struct backup_group g;

	cr_assert_eq(group_parse(&g, text, NULL), 0);
	return g;
}

static char owner[AUTH_ID_MAX + 1];

static int
create(const char *ns_name, const char *group, const char *who, bool *created,
    struct err *e)
{
	struct backup_ns ns = fixture_ns(ns_name);
	struct backup_group g = group_of(group);

	return group_dir_create(fx.store, &ns, &g, who, owner, created, e);
}

static mode_t
mode_of(const char *name)
{
	struct stat st;

	cr_assert_eq(fstatat(fx.store->root_fd, name, &st, 0), 0, "%s", name);
	return st.st_mode & 07777;
}

Test(group, belongs_to_who_came_first)
{
	bool created;
	struct err e = {0};

	umask(077);
	cr_assert_eq(create("", "vm/100", "a@pbs", &created, &e), 0, "%s",
	    e.msg);
	cr_expect(created);
	cr_expect_str_eq(owner, "a@pbs");
	cr_expect_eq(mode_of("vm"), 0755);
	cr_expect_eq(mode_of("vm/100"), 0755);
	cr_expect_eq(mode_of("vm/100/owner"), 0644);
	cr_assert_eq(create("", "vm/100", "b@pbs", &created, &e), 0);
	cr_expect_not(created);
	cr_expect_str_eq(owner, "a@pbs");
}

Test(group, whose_creation_was_cut_short_can_be_had)
{
	bool created;
	struct err e = {0};

	cr_assert_eq(mkdirat(fx.store->root_fd, "vm", 0755), 0);
	cr_assert_eq(mkdirat(fx.store->root_fd, "vm/100", 0755), 0);
	cr_assert_eq(create("", "vm/100", "b@pbs", &created, &e), 0);
	cr_expect(created);
	cr_expect_str_eq(owner, "b@pbs");
}

Test(group, with_snapshots_but_no_owner_is_nobodys)
{
	struct backup_ns ns = fixture_ns("");
	struct backup_group g = group_of("vm/100");
	bool created;
	struct err e = {0};

	fixture_make_snapshot("", "vm/100/2022-05-02T08:11:33Z", "a@pbs");
	cr_assert_eq(unlinkat(fx.store->root_fd, "vm/100/owner", 0), 0);
	cr_expect_eq(create("", "vm/100", "b@pbs", &created, &e), -1);
	cr_expect_eq(e.code, ERR_CORRUPT);
	cr_expect_not(fixture_exists("vm/100/owner"));
	cr_expect_eq(group_owner_get(fx.store, &ns, &g, owner, &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
}

Test(group, owner_files_are_read_strictly)
{
	static const char *const bad[] = {"", "\n", "nobody\n", "a@pbs x\n",
	    "a/b@pbs\n", "\na@pbs\n"};
	struct backup_ns ns = fixture_ns("");
	struct backup_group g = group_of("vm/100");
	struct err e = {0};
	size_t i;

	fixture_make_snapshot("", "vm/100/2022-05-02T08:11:33Z", "a@pbs");
	fixture_write("vm/100/owner", "a@pbs!tok \t\r\nsecond", 18);
	cr_assert_eq(group_owner_get(fx.store, &ns, &g, owner, &e), 0);
	cr_expect_str_eq(owner, "a@pbs!tok");
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		fixture_write("vm/100/owner", bad[i], strlen(bad[i]));
		cr_expect_eq(group_owner_get(fx.store, &ns, &g, owner, &e), -1,
		    "%zu", i);
		cr_expect_eq(e.code, ERR_CORRUPT);
		cr_expect_str_eq(owner, "");
	}
}

Test(group, changes_its_owner)
{
	struct backup_ns ns = fixture_ns("");
	struct backup_group g = group_of("vm/100");
	struct err e = {0};

	cr_expect_eq(group_owner_set(fx.store, &ns, &g, "b@pbs", &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	fixture_make_snapshot("", "vm/100/2022-05-02T08:11:33Z", "a@pbs");
	cr_assert_eq(group_owner_set(fx.store, &ns, &g, "b@pbs!tok", &e), 0);
	cr_assert_eq(group_owner_get(fx.store, &ns, &g, owner, &e), 0);
	cr_expect_str_eq(owner, "b@pbs!tok");
	cr_expect_eq(group_owner_set(fx.store, &ns, &g, "x\n", &e), -1);
	cr_expect_eq(e.code, ERR_PARAM);
	store_state_poison(fx.store->state, "test", NULL);
	cr_expect_eq(group_owner_set(fx.store, &ns, &g, "c@pbs", &e), -1);
	cr_expect_eq(e.code, ERR_POISONED);
	cr_assert_eq(group_owner_get(fx.store, &ns, &g, owner, &e), 0);
	cr_expect_str_eq(owner, "b@pbs!tok");
}

Test(group, keeps_notes)
{
	struct backup_ns ns = fixture_ns("");
	struct backup_group g = group_of("vm/100");
	struct err e = {0};
	char *text;

	cr_assert_eq(group_notes_get(fx.store, &ns, &g, &text, &e), 0);
	cr_expect_str_eq(text, "", "no group");
	free(text);
	cr_expect_eq(group_notes_set(fx.store, &ns, &g, "x", 1, &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	fixture_make_snapshot("", "vm/100/2022-05-02T08:11:33Z", "a@pbs");
	cr_assert_eq(group_notes_set(fx.store, &ns, &g, "one\ntwo", 7, &e), 0);
	cr_assert_eq(group_notes_get(fx.store, &ns, &g, &text, &e), 0);
	cr_expect_str_eq(text, "one\ntwo");
	free(text);
	cr_expect_eq(mode_of("vm/100/notes"), 0644);
}

Test(group, lists_in_order_and_passes_over_what_is_none)
{
	static const char *const want[] = {"ct/5", "host/a", "vm/9", "vm/10",
	    "vm/100", "vm/a"};
	struct backup_ns ns = fixture_ns("");
	struct backup_group *groups;
	char text[GROUP_STR_MAX + 1];
	size_t n, i;

	for (i = sizeof(want) / sizeof(*want); i-- > 0;) {
		snprintf(text, sizeof(text), "%s", want[i]);
		*strchr(text, '/') = '\0';
		mkdirat(fx.store->root_fd, text, 0755);
		cr_assert_eq(mkdirat(fx.store->root_fd, want[i], 0755), 0);
	}
	cr_assert_eq(mkdirat(fx.store->root_fd, "vm/.hidden", 0755), 0);
	cr_assert_eq(mkdirat(fx.store->root_fd, "vm/sp ace", 0755), 0);
	cr_assert_eq(symlinkat("100", fx.store->root_fd, "vm/101"), 0);
	fixture_write("vm/102", "x", 1);
	cr_assert_eq(group_dir_list(fx.store, &ns, &groups, &n, NULL), 0);
	cr_assert_eq(n, sizeof(want) / sizeof(*want));
	for (i = 0; i < n; i++) {
		group_to_str(&groups[i], text);
		cr_expect_str_eq(text, want[i]);
	}
	free(groups);
	ns = fixture_ns("none");
	cr_expect_eq(group_dir_list(fx.store, &ns, &groups, &n, NULL), -1);
	cr_expect_eq(n, 0);
}

Test(group, does_not_follow_links)
{
	struct backup_ns ns = fixture_ns("");
	struct backup_group g = group_of("vm/100"), in = group_of("ct/1");
	struct backup_group *groups;
	bool created;
	struct err e = {0};
	size_t n;

	cr_assert_eq(mkdirat(fx.store->root_fd, "vm", 0755), 0);
	cr_assert_eq(symlinkat("/tmp", fx.store->root_fd, "vm/100"), 0);
	cr_expect_eq(group_dir_open(fx.store, &ns, &g, &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	cr_expect_eq(create("", "vm/100", "a@pbs", &created, &e), -1);
	cr_assert_eq(symlinkat("vm", fx.store->root_fd, "ct"), 0);
	cr_expect_eq(group_dir_open(fx.store, &ns, &in, &e), -1);
	cr_assert_eq(group_dir_list(fx.store, &ns, &groups, &n, &e), 0);
	cr_expect_eq(n, 0);
	free(groups);
	/* An owner file that is a link. */
	fixture_make_snapshot("", "host/h/2022-05-02T08:11:33Z", "a@pbs");
	cr_assert_eq(unlinkat(fx.store->root_fd, "host/h/owner", 0), 0);
	cr_assert_eq(symlinkat("/etc/hostname", fx.store->root_fd,
			 "host/h/owner"),
	    0);
	g = group_of("host/h");
	cr_expect_eq(group_owner_get(fx.store, &ns, &g, owner, &e), -1);
}

Test(group, goes_with_its_snapshots)
{
	struct backup_ns ns = fixture_ns("a");
	struct backup_group g = group_of("vm/100");
	struct group_removed r;
	struct err e = {0};

	fixture_make_snapshot("a", "vm/100/2022-05-02T08:11:33Z", "a@pbs");
	fixture_make_snapshot("a", "vm/100/2022-05-02T08:11:34Z", "a@pbs");
	fixture_make_snapshot("a", "vm/101/2022-05-02T08:11:34Z", "a@pbs");
	cr_assert_eq(group_dir_remove(fx.store, &ns, &g, &r, &e), 0, "%s",
	    e.msg);
	cr_expect_eq(r.snapshots, 2);
	cr_expect_eq(r.kept, 0);
	cr_expect_eq(r.times[0], 1651479094);
	cr_expect_eq(r.times[1], 1651479093);
	free(r.times);
	cr_expect_not(fixture_exists("ns/a/vm/100"));
	cr_expect(fixture_exists("ns/a/vm/101/owner"));
	cr_expect_eq(group_dir_remove(fx.store, &ns, &g, &r, &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	cr_expect_not_null(strstr(e.msg, "ENOENT: No such file or directory"));
}

Test(group, goes_when_it_is_empty)
{
	struct backup_ns ns = fixture_ns("");
	struct backup_group g = group_of("vm/100");
	struct backup_snapshot snap =
	    fixture_snap("vm/100/2022-05-02T08:11:33Z");
	struct err e = {0};

	fixture_make_snapshot("", "vm/100/2022-05-02T08:11:33Z", "a@pbs");
	fixture_write("vm/100/notes", "x", 1);
	cr_expect_eq(group_dir_is_empty(fx.store, &ns, &g, &e), 0);
	cr_assert_eq(group_dir_remove_empty(fx.store, &ns, &g, &e), 0);
	cr_expect(fixture_exists("vm/100/owner"), "it has a snapshot");
	cr_assert_eq(snap_dir_remove(fx.store, &ns, &snap, &e), 0);
	cr_expect_eq(group_dir_is_empty(fx.store, &ns, &g, &e), 1);
	fixture_write("vm/100/of-somebody", "x", 1);
	cr_assert_eq(group_dir_remove_empty(fx.store, &ns, &g, &e), 0);
	cr_expect(fixture_exists("vm/100/notes"), "it has something else");
	cr_assert_eq(unlinkat(fx.store->root_fd, "vm/100/of-somebody", 0), 0);
	cr_assert_eq(group_dir_remove_empty(fx.store, &ns, &g, &e), 0, "%s",
	    e.msg);
	cr_expect_not(fixture_exists("vm/100"));
	cr_expect(fixture_exists("vm"));
	cr_expect_eq(group_dir_remove_empty(fx.store, &ns, &g, &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
}

Test(group, stays_with_what_is_protected)
{
	struct backup_ns ns = fixture_ns("");
	struct backup_group g = group_of("vm/100");
	struct group_removed r;

	fixture_make_snapshot("", "vm/100/2022-05-02T08:11:33Z", "a@pbs");
	fixture_make_snapshot("", "vm/100/2022-05-02T08:11:34Z", "a@pbs");
	fixture_write("vm/100/2022-05-02T08:11:33Z/.protected", "", 0);
	cr_assert_eq(group_dir_remove(fx.store, &ns, &g, &r, NULL), 0);
	cr_expect_eq(r.snapshots, 1);
	cr_expect_eq(r.kept, 1);
	free(r.times);
	cr_expect(fixture_exists("vm/100/owner"));
	cr_expect(fixture_exists("vm/100/2022-05-02T08:11:33Z"));
	cr_expect_not(fixture_exists("vm/100/2022-05-02T08:11:34Z"));
}
