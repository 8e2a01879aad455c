/* Snapshots: lists, files, protection, removal. */
#include "config.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "tests/store/fixture.h"
#include "validator/store/layout.h"
#include "validator/store/poison.h"
#include "validator/store/snapshot.h"

TestSuite(snapshot, .init = fixture_init, .fini = fixture_fini);

#define GROUP "vm/100"
#define OLD GROUP "/2022-05-02T08:11:33Z"
#define NEW GROUP "/2022-05-03T08:11:33Z"

static struct backup_ns root;

static int
open_snap(const char *text, struct err *e)
{
	struct backup_snapshot s = fixture_snap(text);

	return snap_dir_open(fx.store, &root, &s, e);
}

Test(snapshot, lists_newest_first)
{
	struct backup_snapshot s = fixture_snap(OLD);
	struct snap_info *snaps;
	struct err e = {0};
	int64_t newest;
	size_t n;

	cr_expect_eq(snap_dir_list(fx.store, &root, &s.group, &snaps, &n, &e),
	    -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	cr_assert_eq(snap_dir_newest(fx.store, &root, &s.group, &newest, &e),
	    0);
	cr_expect_eq(newest, 0);
	fixture_make_snapshot("", OLD, "a@pbs");
	fixture_make_snapshot("", NEW, "a@pbs");
	cr_assert_eq(unlinkat(fx.store->root_fd, NEW "/index.json.blob", 0), 0);
	fixture_write(OLD "/.protected", "", 0);
	/* Not canonical, no folder, a link. */
	cr_assert_eq(mkdirat(fx.store->root_fd, GROUP "/2022-05-02T08:11:60Z",
			 0755),
	    0);
	fixture_write(GROUP "/2022-05-04T08:11:33Z", "x", 1);
	cr_assert_eq(symlinkat("2022-05-02T08:11:33Z", fx.store->root_fd,
			 GROUP "/2022-05-05T08:11:33Z"),
	    0);
	cr_assert_eq(snap_dir_list(fx.store, &root, &s.group, &snaps, &n, &e),
	    0);
	cr_assert_eq(n, 2);
	cr_expect_eq(snaps[1].time, s.time);
	cr_expect_eq(snaps[0].time, s.time + 86400);
	cr_expect(snaps[1].finished && snaps[1].is_protected);
	cr_expect(!snaps[0].finished && !snaps[0].is_protected);
	free(snaps);
	cr_assert_eq(snap_dir_newest(fx.store, &root, &s.group, &newest, &e),
	    0);
	cr_expect_eq(newest, s.time);
}

Test(snapshot, tells_whether_its_name_is_taken)
{
	struct backup_snapshot s = fixture_snap(OLD), n = fixture_snap(NEW);

	cr_expect_eq(snap_dir_exists(fx.store, &root, &s, NULL), 0);
	fixture_make_snapshot("", OLD, "a@pbs");
	cr_expect_eq(snap_dir_exists(fx.store, &root, &s, NULL), 1);
	cr_expect_eq(snap_dir_exists(fx.store, &root, &n, NULL), 0);
	fixture_write(NEW, "x", 1);
	cr_expect_eq(snap_dir_exists(fx.store, &root, &n, NULL), 1);
}

Test(snapshot, lists_only_archives)
{
	struct snap_file *files;
	size_t n;
	int fd;

	fixture_make_snapshot("", OLD, "a@pbs");
	fixture_write(OLD "/root.pxar.tmp_didx", "x", 1);
	fixture_write(OLD "/.protected", "", 0);
	fixture_write(OLD "/notes", "x", 1);
	cr_assert_eq(symlinkat("root.pxar.didx", fx.store->root_fd,
			 OLD "/link.didx"),
	    0);
	cr_assert_eq(mkdirat(fx.store->root_fd, OLD "/dir.didx", 0755), 0);
	fd = open_snap(OLD, NULL);
	cr_assert_eq(snap_files_list(fd, &files, &n, NULL), 0);
	cr_assert_eq(n, 2);
	cr_expect_str_eq(files[0].name, "index.json.blob");
	cr_expect_eq(files[0].size, 8);
	cr_expect_str_eq(files[1].name, "root.pxar.didx");
	free(files);
	close(fd);
}

Test(snapshot, opens_only_regular_files)
{
	struct err e = {0};
	uint8_t *data;
	uint64_t size;
	size_t len;
	int fd, file;

	fixture_make_snapshot("", OLD, "a@pbs");
	cr_assert_eq(symlinkat("/etc/passwd", fx.store->root_fd,
			 OLD "/link.blob"),
	    0);
	cr_assert_eq(mkfifoat(fx.store->root_fd, OLD "/fifo.blob", 0644), 0);
	fd = open_snap(OLD, NULL);
	file = snap_file_open(fd, "root.pxar.didx", &size, &e);
	cr_assert_neq(file, -1);
	cr_expect_eq(size, 5);
	close(file);
	cr_expect_eq(snap_file_open(fd, "none.blob", &size, &e), -1);
	cr_expect_eq(e.code, ERR_NO_FILE);
	cr_expect_eq(snap_file_open(fd, "link.blob", &size, &e), -1);
	cr_expect_eq(e.code, ERR_NO_FILE);
	cr_expect_eq(snap_file_open(fd, "fifo.blob", &size, &e), -1);
	cr_expect_eq(e.code, ERR_CORRUPT);
	cr_expect_eq(snap_file_open(fd, "../owner", &size, &e), -1);
	cr_expect_eq(e.code, ERR_INVALID);
	cr_assert_eq(snap_file_read(fd, "index.json.blob", &data, &len, &e), 0);
	cr_expect_eq(len, 8);
	cr_expect_arr_eq(data, "manifest", 8);
	free(data);
	cr_expect_eq(snap_file_read(fd, "link.blob", &data, &len, &e), -1);
	cr_expect_null(data);
	close(fd);
}

Test(snapshot, writes_files_whole)
{
	struct err e = {0};
	struct stat st;
	int fd;

	umask(077);
	fixture_make_snapshot("", OLD, "a@pbs");
	fd = open_snap(OLD, NULL);
	cr_assert_eq(snap_file_write(fx.store, fd, "index.json.blob", "new", 3,
			 true, &e),
	    0, "%s", e.msg);
	cr_assert_eq(fstatat(fd, "index.json.blob", &st, 0), 0);
	cr_expect_eq(st.st_size, 3);
	cr_expect_eq(st.st_mode & 07777, 0644);
	cr_assert_eq(snap_file_add(fx.store, fd, "client.log.blob", "log", 3,
			 &e),
	    0);
	cr_expect_eq(snap_file_add(fx.store, fd, "client.log.blob", "2nd", 3,
			 &e),
	    -1);
	cr_expect_eq(e.code, ERR_EXISTS);
	store_state_poison(fx.store->state, "test", NULL);
	cr_expect_eq(snap_file_write(fx.store, fd, "index.json.blob", "x", 1,
			 false, &e),
	    -1);
	cr_expect_eq(e.code, ERR_POISONED);
	cr_assert_eq(fstatat(fd, "index.json.blob", &st, 0), 0);
	cr_expect_eq(st.st_size, 3);
	close(fd);
}

Test(snapshot, can_be_protected)
{
	struct backup_snapshot s = fixture_snap(OLD);
	struct err e = {0};
	bool on = true;

	cr_assert_eq(snap_protected_get(fx.store, &root, &s, &on, &e), 0);
	cr_expect_not(on);
	cr_expect_eq(snap_protected_set(fx.store, &root, &s, true, &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	fixture_make_snapshot("", OLD, "a@pbs");
	cr_assert_eq(snap_protected_set(fx.store, &root, &s, true, &e), 0);
	cr_assert_eq(snap_protected_set(fx.store, &root, &s, true, &e), 0);
	cr_assert_eq(snap_protected_get(fx.store, &root, &s, &on, &e), 0);
	cr_expect(on);
	cr_expect_eq(snap_dir_remove(fx.store, &root, &s, &e), -1);
	cr_expect_eq(e.code, ERR_BAD_STATE);
	cr_expect_str_eq(e.msg, "cannot remove protected snapshot");
	cr_assert_eq(snap_protected_set(fx.store, &root, &s, false, &e), 0);
	cr_assert_eq(snap_protected_set(fx.store, &root, &s, false, &e), 0);
	cr_assert_eq(snap_protected_get(fx.store, &root, &s, &on, &e), 0);
	cr_expect_not(on);
}

Test(snapshot, is_removed_with_everything_in_it)
{
	struct backup_snapshot s = fixture_snap(OLD);
	struct err e = {0};

	fixture_make_snapshot("", OLD, "a@pbs");
	fixture_make_snapshot("", NEW, "a@pbs");
	fixture_write(OLD "/whatever", "x", 1);
	cr_assert_eq(snap_dir_remove(fx.store, &root, &s, &e), 0, "%s", e.msg);
	cr_expect_not(fixture_exists(OLD));
	cr_expect(fixture_exists(NEW "/index.json.blob"));
	cr_expect(fixture_exists(GROUP "/owner"));
	cr_expect_eq(snap_dir_remove(fx.store, &root, &s, &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
}

Test(snapshot, is_whole_on_a_poisoned_store)
{
	struct backup_snapshot s = fixture_snap(OLD);
	struct err e = {0};

	fixture_make_snapshot("", OLD, "a@pbs");
	store_state_poison(fx.store->state, "test", NULL);
	cr_expect_eq(snap_dir_remove(fx.store, &root, &s, &e), -1);
	cr_expect_eq(e.code, ERR_POISONED);
	cr_expect(fixture_exists(OLD "/index.json.blob"));
	cr_expect_eq(snap_protected_set(fx.store, &root, &s, true, &e), -1);
	cr_expect_not(fixture_exists(OLD "/.protected"));
}

Test(snapshot, is_gone_though_its_files_cannot_be_removed)
{
	struct backup_snapshot s = fixture_snap(OLD);
	struct err e = {0};
	int i;

	fixture_make_snapshot("", OLD, "a@pbs");
	cr_assert_eq(mkdirat(fx.store->root_fd, OLD "/deep", 0755), 0);
	cr_assert_eq(chdir(fx.path), 0);
	cr_assert_eq(chdir(OLD "/deep"), 0);
	for (i = 0; i < 70; i++) {
		cr_assert_eq(mkdir("d", 0755), 0);
		cr_assert_eq(chdir("d"), 0);
	}
	cr_assert_eq(chdir("/"), 0);
	cr_expect_eq(snap_dir_remove(fx.store, &root, &s, &e), 0, "%s", e.msg);
	cr_expect_not(fixture_exists(OLD));
	/* For the fixture, which removes trees the same way. */
	cr_assert_eq(chdir(fx.path), 0);
	cr_assert_eq(system("rm -r .holdfast/sessions/.????????????????"), 0);
}
