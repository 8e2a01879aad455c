#include "config.h"

#include "common/path.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/err.h"

static char path[] = "/tmp/holdfast-path-XXXXXX";
static int top, dir;

/* PATH/in is what the functions get, PATH/out what they must not reach. */
static void
dir_make(void)
{
	int fd;

	cr_assert(mkdtemp(path) != NULL);
	top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert(mkdirat(top, "in", 0700) == 0);
	cr_assert(mkdirat(top, "out", 0700) == 0);
	dir = openat(top, "in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert(mkdirat(dir, "a", 0700) == 0);
	cr_assert(mkdirat(dir, "a/b", 0700) == 0);
	fd = openat(dir, "a/b/f", O_WRONLY | O_CREAT, 0600);
	cr_assert(fd >= 0);
	close(fd);
	fd = openat(top, "out/f", O_WRONLY | O_CREAT, 0600);
	cr_assert(fd >= 0);
	close(fd);
	cr_assert(symlinkat("../../out", dir, "a/link") == 0);
	cr_assert(symlinkat("b", dir, "a/inner") == 0);
	cr_assert(symlinkat("f", dir, "a/b/flink") == 0);
}

static void
dir_remove(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", path);
	cr_assert(system(cmd) == 0);
}

static int
exists(int at, const char *name)
{
	struct stat st;

	return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

Test(path, names)
{
	char name[257];

	memset(name, 'x', sizeof(name));
	name[255] = '\0';
	cr_expect(path_is_name("a") && path_is_name("..a") &&
	    path_is_name(" ") && path_is_name(name));
	name[255] = 'x';
	name[256] = '\0';
	cr_expect(!path_is_name("") && !path_is_name(".") &&
	    !path_is_name("..") && !path_is_name("a/b") && !path_is_name(name));
	cr_expect(path_is_relative("a") && path_is_relative("a/b/..c"));
	cr_expect(!path_is_relative("") && !path_is_relative("/a") &&
	    !path_is_relative("a/") && !path_is_relative("a//b") &&
	    !path_is_relative("a/./b") && !path_is_relative("a/../b") &&
	    !path_is_relative(".."));
}

static void
check_open(int (*fn)(int, const char *, int, mode_t, struct err *))
{
	static const struct {
		const char *name;
		int sys;
	} bad[] = {
	    {"a/none", ENOENT},
	    {"none/f", ENOENT},
	    {"a/link/f", ELOOP},
	    {"a/inner/f", ELOOP},
	    {"a/b/flink", ELOOP},
	    {"a/b/f/g", ENOTDIR},
	};
	struct err e;
	size_t i;
	int fd;

	fd = fn(dir, "a/b/f", O_RDONLY, 0, &e);
	cr_assert(fd >= 0, "%s", e.msg);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	fd = fn(dir, "a/b/new", O_WRONLY | O_CREAT | O_EXCL, 0600, &e);
	cr_assert(fd >= 0);
	close(fd);
	cr_assert(unlinkat(dir, "a/b/new", 0) == 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect(fn(dir, bad[i].name, O_RDONLY, 0, &e) == -1);
		/* The walk sees a link on the way as "not a folder". */
		cr_expect(e.sys == bad[i].sys ||
			(bad[i].sys == ELOOP && e.sys == ENOTDIR),
		    "%s: %s", bad[i].name, e.msg);
	}
	cr_expect(fn(dir, "a/../a/b/f", O_RDONLY, 0, &e) == -1 &&
	    e.code == ERR_INVALID);
	cr_expect(fn(dir, "/etc/passwd", O_RDONLY, 0, &e) == -1 &&
	    e.code == ERR_INVALID);
}

Test(path, open, .init = dir_make, .fini = dir_remove)
{
	check_open(path_open);
}

Test(path, open_walk, .init = dir_make, .fini = dir_remove)
{
	check_open(path_open_walk);
}

Test(path, make_folder, .init = dir_make, .fini = dir_remove)
{
	char name[64];
	struct stat st;
	struct err e;

	snprintf(name, sizeof(name), "%s/own", path);
	cr_assert_eq(path_make_folder(name, 0750, getuid(), getgid(), &e), 0,
	    "%s", e.msg);
	cr_assert_eq(path_make_folder(name, 0700, getuid(), getgid(), &e), 0);
	cr_assert_eq(stat(name, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0750, "as it was");
	snprintf(name, sizeof(name), "%s/none/own", path);
	cr_expect_eq(path_make_folder(name, 0700, getuid(), getgid(), &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND, "%s", e.msg);
}

Test(path, mkdirs, .init = dir_make, .fini = dir_remove)
{
	struct stat st;
	struct err e;

	umask(077);
	cr_assert(path_mkdirs(dir, "a/x/y", 0755, &e) == 0, "%s", e.msg);
	cr_assert(path_mkdirs(dir, "a/x/y", 0700, &e) == 0, "again");
	cr_assert(fstatat(dir, "a/x/y", &st, 0) == 0);
	cr_expect((st.st_mode & 07777) == 0755, "exactly, and kept");
	cr_assert(fstatat(dir, "a", &st, 0) == 0);
	cr_expect((st.st_mode & 07777) == 0700, "was there");
	cr_expect(path_mkdirs(dir, "a/link/x", 0755, &e) == -1);
	cr_expect(!exists(top, "out/x"));
	cr_expect(path_mkdirs(dir, "a/b/f/x", 0755, &e) == -1);
	cr_expect(
	    path_mkdirs(dir, "../x", 0755, &e) == -1 && e.code == ERR_INVALID);
}

Test(path, remove_tree, .init = dir_make, .fini = dir_remove)
{
	struct err e;

	cr_assert(path_remove_tree(dir, "a", &e) == 0, "%s", e.msg);
	cr_expect(!exists(dir, "a"));
	cr_expect(exists(top, "out/f"), "links are not followed");
	cr_expect(path_remove_tree(dir, "a", &e) == 0, "not there is fine");
	cr_expect(path_remove_tree(dir, "..", &e) == -1);
	cr_expect(path_remove_tree(dir, "a/b", &e) == -1);
	cr_assert(symlinkat("../out", dir, "l") == 0);
	cr_expect(path_remove_tree(dir, "l", &e) == 0);
	cr_expect(exists(top, "out/f") && !exists(dir, "l"));
}

Test(path, remove_tree_is_bounded, .init = dir_make, .fini = dir_remove)
{
	char deep[2 * (PATH_DEPTH_MAX + 2)] = "d";
	struct err e;
	int i;

	for (i = 0; i < PATH_DEPTH_MAX; i++)
		strcat(deep, "/d");
	cr_assert(path_mkdirs(dir, deep, 0700, &e) == 0);
	cr_expect(path_remove_tree(dir, "d", &e) == -1);
	cr_expect(e.code == ERR_LIMIT, "%s", e.msg);
}

/* A bind mount of the same file system has the same device number. */
Test(path, remove_tree_stops_at_mounts)
{
	char from[64], to[64];
	struct err e;

	/* A skipped test is not torn down, so first this. */
	if (unshare(CLONE_NEWNS) == -1 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		cr_skip_test("mounting needs root");
	dir_make();
	snprintf(from, sizeof(from), "%s/out", path);
	snprintf(to, sizeof(to), "%s/in/a/b", path);
	cr_assert(mount(from, to, NULL, MS_BIND, NULL) == 0);
	cr_expect(path_remove_tree(dir, "a", &e) == -1);
	cr_expect(e.code == ERR_INVALID, "%s", e.msg);
	cr_expect(exists(top, "out/f"));
	cr_expect(umount2(to, MNT_DETACH) == 0);
	dir_remove();
}

Test(path, resolve_as_far_as_there_is_anything, .init = dir_make,
    .fini = dir_remove)
{
	static const char *const rows[][2] = {
	    {"in/a/link", "out"},
	    {"in/a/link/", "out"},
	    {"in/a/link/f", "out/f"},
	    {"in/a/link/none/x", "out/none/x"},
	    {"in/a/../a/b", "in/a/b"},
	    {"none", "none"},
	};
	char *top_path = path_resolve(path), *real;
	char asked[128], want[128];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(asked, sizeof(asked), "%s/%s", path, rows[i][0]);
		snprintf(want, sizeof(want), "%s/%s", top_path, rows[i][1]);
		real = path_resolve(asked);
		cr_expect_str_eq(real, want);
		free(real);
	}
	free(top_path);
	real = path_resolve("/none/x");
	cr_expect_str_eq(real, "/none/x");
	free(real);
}

Test(path, is_below)
{
	cr_expect(path_is_below("/a/b", "/a"));
	cr_expect(path_is_below("/a/b/c", "/a"));
	cr_expect_not(path_is_below("/a", "/a"));
	cr_expect_not(path_is_below("/a", "/a/b"));
	cr_expect_not(path_is_below("/ab", "/a"));
	cr_expect(path_is_below("/a", "/"));
}
