/*
 * What users name on the command line.
 */
#include "config.h"

#include <string.h>

#include <criterion/criterion.h>

#include "client/client.h"
#include "client/spec.h"
#include "common/err.h"

Test(spec, images_and_files)
{
	struct spec s;
	struct err e;

	cr_assert_eq(spec_parse(&s, "disk.img:/dev/a:b", &e), 0, "%s", e.msg);
	cr_assert_str_eq(s.archive, "disk.img.fidx");
	cr_assert_str_eq(s.name, "disk.img");
	cr_assert_str_eq(s.path, "/dev/a:b");
	cr_assert_eq(s.kind, ARCHIVE_FIXED);
	cr_assert_eq(spec_parse(&s, "vm.conf:x", &e), 0, "%s", e.msg);
	cr_assert_str_eq(s.archive, "vm.conf.blob");
	cr_assert_eq(s.kind, ARCHIVE_BLOB);
	cr_assert_eq(spec_parse(&s, "job.log:x", &e), 0, "%s", e.msg);
	cr_assert_str_eq(s.archive, "job.log.blob");
}

Test(spec, refuses)
{
	static const char *const rows[] = {"", "disk.img", "disk.img:", ":x",
	    ".img:x", "a/b.img:x", "../x.img:y", "disk.raw:x", "disk:x",
	    "index.json:x", "index.json.blob:x", "disk.img.fidx:x",
	    "a b.img:x"};
	struct spec s;
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_expect_eq(spec_parse(&s, rows[i], &e), -1, "%s", rows[i]);
		cr_expect_eq(e.code, ERR_PARAM, "%s", rows[i]);
	}
}

Test(spec, folders_are_refused_with_the_reason)
{
	struct spec s;
	struct err e;

	cr_assert_eq(spec_parse(&s, "root.pxar:/", &e), -1);
	cr_assert_eq(e.code, ERR_UNSUPPORTED);
	cr_assert_not_null(strstr(e.msg, "not supported yet"));
}

Test(spec, a_name_stands_once)
{
	struct spec s[2];
	struct err e;

	cr_assert_eq(spec_parse(&s[0], "a.img:x", &e), 0);
	cr_assert_eq(spec_parse(&s[1], "a.img:y", &e), 0);
	cr_assert_eq(spec_check_unique(s, 2, &e), -1);
	cr_assert_eq(spec_parse(&s[1], "a.conf:y", &e), 0);
	cr_assert_eq(spec_check_unique(s, 2, &e), 0);
}

Test(spec, archives_of_a_restore)
{
	char name[ARCHIVE_NAME_MAX + 1];
	enum archive_kind kind;
	struct err e;

	cr_assert_eq(spec_archive("d.img", name, &kind, &e), 0);
	cr_assert_str_eq(name, "d.img.fidx");
	cr_assert_eq(spec_archive("d.img.fidx", name, &kind, &e), 0);
	cr_assert_str_eq(name, "d.img.fidx");
	cr_assert_eq(spec_archive("x.blob", name, &kind, &e), 0);
	cr_assert_eq(kind, ARCHIVE_BLOB);
	cr_assert_eq(spec_archive("index.json", name, &kind, &e), 0);
	cr_assert_str_eq(name, "index.json.blob");
	cr_assert_eq(spec_archive("root.pxar.didx", name, &kind, &e), -1);
	cr_assert_eq(e.code, ERR_UNSUPPORTED);
}

Test(spec, snapshot_by_options_and_default)
{
	struct client_opts o = {0};
	struct backup_snapshot s;
	struct err e;

	cr_assert_eq(spec_snapshot(&o, &s, &e), 0, "%s", e.msg);
	cr_assert_eq(s.group.type, BACKUP_HOST);
	cr_assert_gt(s.time, 0);
	o.backup_type = "vm";
	o.backup_id = "100";
	o.backup_time.given = 1;
	o.backup_time.v = 5;
	cr_assert_eq(spec_snapshot(&o, &s, &e), 0, "%s", e.msg);
	cr_assert_eq(s.group.type, BACKUP_VM);
	cr_assert_str_eq(s.group.id, "100");
	cr_assert_eq(s.time, 5);
	o.backup_type = "xy";
	cr_assert_eq(spec_snapshot(&o, &s, &e), -1);
	o.backup_type = "vm";
	o.backup_id = "a/b";
	cr_assert_eq(spec_snapshot(&o, &s, &e), -1);
	o.backup_id = "ab";
	o.backup_time.v = UINT64_MAX;
	cr_assert_eq(spec_snapshot(&o, &s, &e), -1);
}
