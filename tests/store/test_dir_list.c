/* Names in a folder: sorted, of one type, wanted. */
#include "config.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/err.h"
#include "tests/store/fixture.h"
#include "validator/store/dir_list.h"

TestSuite(dir_list, .init = fixture_init, .fini = fixture_fini);

static bool
no_x(const char *name)
{
	return name[0] != '.' && name[0] != 'x';
}

Test(dir_list, sorts_what_is_wanted_of_one_type)
{
	struct name_list l;
	char name[16];
	int i;

	for (i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "%c%02d", i % 4 == 0 ? 'x' : 'a',
		    39 - i);
		cr_assert_eq(mkdirat(fx.state_fd, name, 0700), 0);
	}
	cr_assert_eq(symlinkat("a00", fx.state_fd, "link"), 0);
	cr_assert_eq(close(openat(fx.state_fd, "file", O_CREAT, 0600)), 0);
	cr_assert_eq(dir_list(fx.state_fd, DT_DIR, no_x, &l, NULL), 0);
	cr_assert_eq(l.n, 30);
	cr_expect_str_eq(l.v[0], "a00");
	cr_expect_str_eq(l.v[29], "a38");
	name_list_fini(&l);
	/* The descriptor's position does not matter: once more. */
	cr_assert_eq(dir_list(fx.state_fd, DT_LNK, no_x, &l, NULL), 0);
	cr_assert_eq(l.n, 1);
	cr_expect_str_eq(l.v[0], "link");
	name_list_fini(&l);
	cr_expect(l.v == NULL && l.n == 0);
}

Test(dir_list, of_what_is_no_folder_is_an_error)
{
	struct name_list l = {.n = 7};
	struct err e = {0};
	int fd = openat(fx.state_fd, "file", O_CREAT | O_RDWR, 0600);

	cr_expect_eq(dir_list(fd, DT_DIR, no_x, &l, &e), -1);
	cr_expect(l.v == NULL && l.n == 0);
	cr_expect_neq(e.code, ERR_OK);
	close(fd);
	cr_expect_eq(dir_list(-1, DT_DIR, no_x, &l, &e), -1);
}
