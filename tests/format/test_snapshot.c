/* Groups, snapshots, times: both ways, and the order of listings. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/snapshot.h"

Test(snapshot, times_both_ways)
{
	static const struct {
		int64_t t;
		const char *s;
	} rows[] = {
	    {1, "1970-01-01T00:00:01Z"},
	    {1593179765, "2020-06-26T13:56:05Z"},
	    {951782400, "2000-02-29T00:00:00Z"},
	    {4102444799, "2099-12-31T23:59:59Z"},
	    {BACKUP_TIME_MAX, "9999-12-31T23:59:59Z"},
	};
	char s[BACKUP_TIME_LEN + 1];
	struct err e;
	int64_t t;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		backup_time_to_str(rows[i].t, s);
		cr_expect_str_eq(s, rows[i].s);
		cr_expect_eq(backup_time_parse(rows[i].s, &t, &e), 0);
		cr_expect_eq(t, rows[i].t);
	}
	cr_expect_not(backup_time_valid(0));
	cr_expect_not(backup_time_valid(-1));
	cr_expect_not(backup_time_valid(BACKUP_TIME_MAX + 1));
	backup_time_to_str(0, s);
	cr_expect_str_eq(s, "");
}

Test(snapshot, refuses_other_spellings_of_a_time)
{
	static const char *const bad[] = {"", "1970-01-01T00:00:00Z",
	    "2020-06-26T13:56:60Z", "2020-06-26T24:00:00Z",
	    "2021-02-29T00:00:00Z", "2020-13-01T00:00:00Z",
	    "2020-06-26t13:56:05Z", "2020-06-26T13:56:05z",
	    "2020-06-26T13:56:05", "2020-06-26T13:56:05Zx",
	    "2020-06-26 13:56:05Z", "0000-00-00T00:00:00Z",
	    "1969-12-31T23:59:59Z", "+020-06-26T13:56:05Z",
	    "2020-06-26T13:56: 5Z", "2020-06-31T13:56:05Z"};
	struct err e;
	int64_t t;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(backup_time_parse(bad[i], &t, &e), -1, "%s",
		    bad[i]);
		cr_expect_eq(e.code, ERR_PARAM);
	}
}

Test(snapshot, both_ways)
{
	char s[SNAPSHOT_STR_MAX + 1];
	struct backup_snapshot snap;
	struct err e;

	cr_assert_eq(snapshot_parse(&snap, "vm/100/2022-05-02T08:11:33Z", &e),
	    0);
	cr_expect_eq(snap.group.type, BACKUP_VM);
	cr_expect_str_eq(snap.group.id, "100");
	cr_expect_eq(snap.time, 1651479093);
	snapshot_to_str(&snap, s);
	cr_expect_str_eq(s, "vm/100/2022-05-02T08:11:33Z");
	group_to_str(&snap.group, s);
	cr_expect_str_eq(s, "vm/100");
}

Test(snapshot, refuses_bad_names)
{
	static const char *const bad_groups[] = {"", "vm", "vm/", "/100",
	    "VM/100", "vm/1/2", "qemu/100", "vm/.100", "vm/..", "vms/1", "v/1"};
	static const char *const bad_snapshots[] = {"", "vm/100", "vm/100/",
	    "vm/100/now", "vm//2022-05-02T08:11:33Z",
	    "vm/100/2022-05-02T08:11:33Z/x", "ns/a/vm/100"};
	struct backup_snapshot snap;
	struct backup_group g;
	struct err e;
	char s[400];
	size_t i;

	for (i = 0; i < sizeof(bad_groups) / sizeof(bad_groups[0]); i++)
		cr_expect_eq(group_parse(&g, bad_groups[i], &e), -1, "%s",
		    bad_groups[i]);
	for (i = 0; i < sizeof(bad_snapshots) / sizeof(bad_snapshots[0]); i++)
		cr_expect_eq(snapshot_parse(&snap, bad_snapshots[i], &e), -1,
		    "%s", bad_snapshots[i]);
	cr_expect_eq(snapshot_set(&snap, "vm", "1", 0, &e), -1);
	cr_expect_eq(snapshot_set(&snap, "vm", "a b", 1, &e), -1);
	cr_expect_eq(snapshot_set(&snap, "host", "h", 1, &e), 0);
	memset(s, 'a', sizeof(s));
	memcpy(s, "vm/", 3);
	s[3 + 255] = '\0';
	cr_expect_eq(group_parse(&g, s, &e), 0);
	s[3 + 255] = 'a';
	s[399] = '\0';
	cr_expect_eq(group_parse(&g, s, &e), -1);
	strcpy(s + 370, "/2022-05-02T08:11:33Z");
	cr_expect_eq(snapshot_parse(&snap, s, &e), -1);
}

static int
by_group(const void *a, const void *b)
{
	return group_cmp(a, b);
}

Test(snapshot, groups_in_listing_order)
{
	static const char *const sorted[] = {"ct/9", "ct/100", "ct/a",
	    "host/18446744073709551615", "host/18446744073709551616",
	    "host/benchmark", "vm/007", "vm/7", "vm/8", "vm/1a", "vm/_"};
	enum {
		N = sizeof(sorted) / sizeof(sorted[0])
	};
	struct backup_group g[N];
	char s[GROUP_STR_MAX + 1];
	int i;

	for (i = 0; i < N; i++)
		group_parse(&g[i], sorted[N - 1 - i], NULL);
	qsort(g, N, sizeof(g[0]), by_group);
	for (i = 0; i < N; i++) {
		group_to_str(&g[i], s);
		cr_expect_str_eq(s, sorted[i]);
	}
	cr_expect(group_is_benchmark(&g[5]));
	cr_expect_not(group_is_benchmark(&g[4]));
}

Test(snapshot, snapshots_oldest_first)
{
	struct backup_snapshot a, b;

	snapshot_set(&a, "vm", "1", 10, NULL);
	snapshot_set(&b, "vm", "1", 20, NULL);
	cr_expect(snapshot_cmp(&a, &b) < 0);
	cr_expect(snapshot_cmp(&b, &a) > 0);
	cr_expect_eq(snapshot_cmp(&a, &a), 0);
	cr_expect_not(snapshot_equal(&a, &b));
	b.time = 10;
	cr_expect(snapshot_equal(&a, &b));
	strcpy(b.group.id, "2");
	cr_expect_not(snapshot_equal(&a, &b));
	cr_expect(snapshot_cmp(&a, &b) < 0);
}
