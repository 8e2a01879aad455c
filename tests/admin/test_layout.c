/*
 * The layout of a new datastore, and where none may be made.
 */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "admin/layout.h"
#include "common/err.h"
#include "common/mem.h"
#include "common/path.h"

static char folder[] = "/tmp/holdfast-layout-XXXXXX";
static char *path;
static struct err e;

static void
set_up(void)
{
	cr_assert_not_null(mkdtemp(folder));
	path = xasprintf("%s/store", folder);
}

static void
tear_down(void)
{
	int fd = open("/tmp", O_RDONLY | O_DIRECTORY);

	path_remove_tree(fd, folder + 5, &e);
	close(fd);
	free(path);
}

static int
create(const char *where)
{
	return layout_create(where, getuid(), getgid(), NULL, &e);
}

static mode_t
mode_of(const char *name)
{
	char *full = xasprintf("%s/%s", path, name);
	struct stat st;
	int rc = lstat(full, &st);

	free(full);
	return rc == 0 ? st.st_mode & 07777 : 0;
}

Test(layout, is_what_the_format_says, .init = set_up, .fini = tear_down)
{
	struct dirent *d;
	char *chunks;
	int n = 0;
	DIR *dir;

	umask(077);
	cr_assert_eq(create(path), 0, "%s", e.msg);
	cr_assert_eq(mode_of("."), 0755);
	cr_assert_eq(mode_of(".lock"), 0644);
	cr_assert_eq(mode_of(".chunks"), 0750);
	cr_assert_eq(mode_of(".chunks/0000"), 0750);
	cr_assert_eq(mode_of(".chunks/ffff"), 0750);
	chunks = xasprintf("%s/.chunks", path);
	dir = opendir(chunks);
	while ((d = readdir(dir)) != NULL)
		n += d->d_name[0] != '.' && strlen(d->d_name) == 4;
	closedir(dir);
	free(chunks);
	cr_assert_eq(n, 65536);
}

Test(layout, refuses_what_is_there, .init = set_up, .fini = tear_down)
{
	char *inside;

	cr_assert_eq(mkdir(path, 0755), 0);
	inside = xasprintf("%s/file", path);
	cr_assert_eq(close(open(inside, O_CREAT | O_WRONLY, 0644)), 0);
	cr_assert_eq(create(path), -1);
	cr_assert_eq(e.code, ERR_EXISTS);
	cr_assert_eq(unlink(inside), 0);
	free(inside);
	inside = xasprintf("%s/.chunks", path);
	cr_assert_eq(mkdir(inside, 0755), 0);
	cr_assert_eq(create(path), -1);
	cr_assert_not_null(strstr(e.msg, "is a datastore already"));
	free(inside);
}

Test(layout, refuses_to_lie_in_another_one, .init = set_up, .fini = tear_down)
{
	char *inside = xasprintf("%s/a", folder), *deep;

	cr_assert_eq(mkdir(inside, 0755), 0);
	deep = xasprintf("%s/.chunks", folder);
	cr_assert_eq(mkdir(deep, 0755), 0);
	free(deep);
	deep = xasprintf("%s/store", inside);
	cr_assert_eq(create(deep), -1);
	cr_assert_eq(e.code, ERR_EXISTS);
	cr_assert_eq(access(deep, F_OK), -1);
	free(deep);
	free(inside);
}

Test(layout, needs_an_absolute_path_and_a_parent, .init = set_up,
    .fini = tear_down)
{
	char *deep = xasprintf("%s/no/store", folder);

	cr_assert_eq(create("store"), -1);
	cr_assert_eq(e.code, ERR_PARAM);
	cr_assert_eq(create(deep), -1);
	cr_assert_eq(e.code, ERR_NOT_FOUND);
	free(deep);
}
