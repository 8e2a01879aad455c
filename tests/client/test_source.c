/*
 * Reading images, and writing them again.
 */
#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "client/source.h"
#include "client/target.h"
#include "common/err.h"
#include "common/mem.h"

#define MIB (1u << 20)

static char folder[] = "/tmp/holdfast-source-XXXXXX";
static char *path;
static struct err e;

static void
set_up(void)
{
	cr_assert_not_null(mkdtemp(folder));
	path = xasprintf("%s/image", folder);
}

static void
tear_down(void)
{
	unlink(path);
	rmdir(folder);
	free(path);
}

static void
make_file(off_t size, const char *text, off_t at)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, size), 0);
	cr_assert_eq(pwrite(fd, text, strlen(text), at), (ssize_t)strlen(text));
	close(fd);
}

Test(source, reads_anywhere, .init = set_up, .fini = tear_down)
{
	struct source s;
	char buf[6] = "";

	make_file(3 * MIB, "hello", 2 * MIB);
	cr_assert_eq(source_open(&s, path, &e), 0, "%s", e.msg);
	cr_assert_eq(s.size, 3 * MIB);
	cr_assert_eq(source_read(&s, 2 * MIB, buf, 5, &e), 0);
	cr_assert_str_eq(buf, "hello");
	cr_assert_eq(source_read(&s, 3 * MIB - 2, buf, 5, &e), -1);
	cr_assert_not_null(strstr(e.msg, "became shorter"), "%s", e.msg);
	source_close(&s);
}

Test(source, holes, .init = set_up, .fini = tear_down)
{
	struct source s;

	make_file(9 * MIB, "hello", 4 * MIB);
	cr_assert_eq(source_open(&s, path, &e), 0, "%s", e.msg);
	cr_assert_not(source_is_hole(&s, 4 * MIB, MIB));
	if (s.has_holes) {
		cr_assert(source_is_hole(&s, 0, 4 * MIB));
		cr_assert(source_is_hole(&s, 5 * MIB, 4 * MIB));
		cr_assert_not(source_is_hole(&s, 0, 4 * MIB + 1));
	}
	source_close(&s);
}

Test(source, refuses_what_is_no_image, .init = set_up, .fini = tear_down)
{
	struct source s;

	cr_assert_eq(source_open(&s, folder, &e), -1);
	cr_assert_eq(e.code, ERR_UNSUPPORTED);
	cr_assert_eq(source_open(&s, path, &e), -1);
	cr_assert_eq(e.code, ERR_NOT_FOUND);
	make_file(0, "", 0);
	cr_assert_eq(source_open(&s, path, &e), -1);
	cr_assert_not_null(strstr(e.msg, "is empty"));
	unlink(path);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_assert_eq(source_open(&s, path, &e), -1);
	cr_assert_eq(e.code, ERR_PARAM);
}

Test(source, zeros)
{
	unsigned char buf[4096] = {0};

	cr_assert(bytes_are_zero(buf, 0));
	cr_assert(bytes_are_zero(buf, 1));
	cr_assert(bytes_are_zero(buf, sizeof(buf)));
	buf[4095] = 1;
	cr_assert_not(bytes_are_zero(buf, sizeof(buf)));
	buf[4095] = 0;
	buf[0] = 1;
	cr_assert_not(bytes_are_zero(buf, sizeof(buf)));
	memset(buf, 7, sizeof(buf));
	cr_assert_not(bytes_are_zero(buf, sizeof(buf)));
}

Test(target, new_files_stay_sparse, .init = set_up, .fini = tear_down)
{
	char zeros[4096] = "";
	struct target t;
	struct stat st;

	cr_assert_eq(target_open(&t, path, 8 * MIB, false, &e), 0, "%s", e.msg);
	cr_assert_eq(target_write(&t, MIB, zeros, sizeof(zeros), &e), 0);
	cr_assert_eq(target_write(&t, 7 * MIB, "end", 3, &e), 0);
	cr_assert_eq(target_close(&t, false, &e), 0);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_size, 8 * MIB);
	cr_assert_lt(st.st_blocks * 512, MIB);
	cr_assert_eq(st.st_mode & 0777, 0600);
}

Test(target, does_not_overwrite_unasked, .init = set_up, .fini = tear_down)
{
	struct target t;
	struct stat st;

	make_file(100, "old", 0);
	cr_assert_eq(target_open(&t, path, 3, false, &e), -1);
	cr_assert_eq(e.code, ERR_EXISTS);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_size, 100);
	cr_assert_eq(target_open(&t, path, 3, true, &e), 0, "%s", e.msg);
	cr_assert_eq(target_write(&t, 0, "new", 3, &e), 0);
	cr_assert_eq(target_close(&t, false, &e), 0);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_size, 3);
}

Test(target, a_failed_restore_leaves_no_new_file, .init = set_up,
    .fini = tear_down)
{
	struct target t;

	cr_assert_eq(target_open(&t, path, 10, false, &e), 0);
	cr_assert_eq(target_close(&t, true, &e), 0);
	cr_assert_eq(access(path, F_OK), -1);
}
