/*
 * That a file system's times can be trusted; that they cannot is shown over
 * real processes (tests/process/test_gc.py).
 */
#include "config.h"

#include "common/atime.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/err.h"

#define LEFT_OVER ".atime-check"

static char path[] = "/tmp/holdfast-atime-XXXXXX";
static int dir;
static struct err e;

static void
set_up(void)
{
	cr_assert_not_null(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_neq(dir, -1);
}

static void
tear_down(void)
{
	close(dir);
	cr_expect_eq(rmdir(path), 0, "nothing is left");
}

static void
make(const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	cr_assert_neq(fd, -1);
	close(fd);
}

Test(atime, a_good_file_system, .init = set_up, .fini = tear_down)
{
	cr_expect_eq(atime_check(dir, 60, &e), 0, "%s", e.msg);
	/* After one that was killed. */
	make(LEFT_OVER);
	cr_expect_eq(atime_check(dir, 60, &e), 0, "%s", e.msg);
}

Test(atime, a_trap, .init = set_up, .fini = tear_down)
{
	struct stat before, after;

	make("target");
	cr_assert_eq(fstatat(dir, "target", &before, 0), 0);
	cr_assert_eq(symlinkat("target", dir, LEFT_OVER), 0);
	cr_expect_eq(atime_check(dir, 60, &e), 0, "%s", e.msg);
	cr_assert_eq(fstatat(dir, "target", &after, 0), 0);
	cr_expect_eq(memcmp(&before, &after, sizeof(before)), 0);
	cr_assert_eq(unlinkat(dir, "target", 0), 0);
	cr_assert_eq(mkdirat(dir, LEFT_OVER, 0700), 0);
	cr_expect_eq(atime_check(dir, 60, &e), -1);
	cr_expect_eq(e.code, ERR_EXISTS);
	cr_assert_eq(unlinkat(dir, LEFT_OVER, AT_REMOVEDIR), 0);
}

Test(atime, a_folder_that_takes_no_file)
{
	dir = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_expect_eq(atime_check(dir, 60, &e), -1);
	cr_expect_not_null(strstr(e.msg, "among the chunks"));
	close(dir);
}

Test(atime, a_full_disk)
{
	struct stat st;

	/* A skipped test is not torn down, so first this. */
	if (unshare(CLONE_NEWNS) == -1 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		cr_skip_test("mounting needs root");
	set_up();
	cr_assert_eq(mount("none", path, "tmpfs", 0, "nr_inodes=2"), 0);
	close(dir);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	make("last");
	cr_expect_eq(openat(dir, "more", O_WRONLY | O_CREAT, 0600), -1);
	cr_expect_eq(atime_check(dir, 60, &e), 0, "%s", e.msg);
	cr_assert_eq(fstat(dir, &st), 0);
	cr_expect_neq(st.st_atim.tv_sec, 1000000000);
	cr_expect_eq(umount2(path, MNT_DETACH), 0);
	tear_down();
}
