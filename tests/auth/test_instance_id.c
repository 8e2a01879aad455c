/* The id of an installation. */
#include "config.h"

#include "tests/auth/scratch.h"

#include "server/auth/instance_id.h"

static char dir[SCRATCH_MAX];

static void
setup(void)
{
	scratch_make(dir);
}

static void
teardown(void)
{
	scratch_remove(dir);
}

static void
write_id(const char *text)
{
	struct err e;
	int fd = io_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, &e);

	cr_assert_eq(io_write_file_atomic(fd, "instance.id", text, strlen(text),
			 0600, 0, &e),
	    0, "%s", e.msg);
	io_close(&fd);
}

TestSuite(instance_id, .init = setup, .fini = teardown);

Test(instance_id, is_made_once)
{
	char first[INSTANCE_ID_LEN + 1], again[INSTANCE_ID_LEN + 1];
	struct err e;

	cr_assert_eq(instance_id_load(dir, first, &e), 0, "%s", e.msg);
	cr_expect_eq(strspn(first, "0123456789abcdef"), INSTANCE_ID_LEN);
	cr_assert_eq(instance_id_load(dir, again, &e), 0, "%s", e.msg);
	cr_expect_str_eq(first, again);
}

Test(instance_id, is_another_elsewhere)
{
	char one[INSTANCE_ID_LEN + 1], two[INSTANCE_ID_LEN + 1];
	char other[SCRATCH_MAX];
	struct err e;

	scratch_make(other);
	cr_assert_eq(instance_id_load(dir, one, &e), 0);
	cr_assert_eq(instance_id_load(other, two, &e), 0);
	cr_expect_str_neq(one, two);
	scratch_remove(other);
}

Test(instance_id, may_end_in_a_newline)
{
	char id[INSTANCE_ID_LEN + 1];
	struct err e;

	write_id("00112233445566778899aabbccddeeff\n");
	cr_assert_eq(instance_id_load(dir, id, &e), 0, "%s", e.msg);
	cr_expect_str_eq(id, "00112233445566778899aabbccddeeff");
}

Test(instance_id, nonsense_is_not_replaced)
{
	static const char *const bad[] = {"", "x", "00112233",
	    "00112233445566778899AABBCCDDEEFF",
	    "00112233445566778899aabbccddeeff00112233"};
	char id[INSTANCE_ID_LEN + 1];
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_id(bad[i]);
		cr_expect_eq(instance_id_load(dir, id, &e), -1, "%s", bad[i]);
		cr_expect_not_null(strstr(e.msg, "instance.id"));
	}
}

Test(instance_id, needs_its_folder)
{
	char id[INSTANCE_ID_LEN + 1];
	struct err e;

	cr_expect_eq(instance_id_load("/nowhere", id, &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
}
