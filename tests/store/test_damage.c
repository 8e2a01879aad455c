#include "config.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "common/format/dynamic_index.h"
#include "common/io.h"
#include "tests/store/fixture.h"
#include "validator/store/damage.h"

TestSuite(damage, .init = fixture_init, .fini = fixture_fini);

static struct digest
number(uint32_t i)
{
	struct digest d = {{0}};

	/* Not in ascending order. */
	i *= 2654435761u;
	memcpy(d.b, &i, sizeof(i));
	return d;
}

static struct damage *
open_it(void)
{
	struct damage *d = NULL;
	struct err e;

	cr_assert(damage_open(&d, fx.state_fd, "store", &e) == 0, "%s", e.msg);
	return d;
}

Test(damage, adds_and_heals)
{
	struct damage *d = open_it();
	struct digest x;
	struct err e;
	uint32_t i;

	for (i = 0; i < 1000; i++) {
		x = number(i);
		cr_assert_eq(damage_add(d, &x, &e), 0);
		cr_assert_eq(damage_add(d, &x, &e), 0, "twice is once");
	}
	cr_expect_eq(damage_count(d), 1000);
	for (i = 0; i < 1000; i += 2) {
		x = number(i);
		cr_assert(damage_has(d, &x));
		cr_assert(damage_heal(d, &x));
		cr_assert_not(damage_heal(d, &x));
		cr_assert_not(damage_has(d, &x));
	}
	cr_expect_eq(damage_count(d), 500);
	damage_close(&d);
	cr_expect_null(d);
}

Test(damage, outlives_the_process)
{
	struct damage *d = open_it();
	struct digest a = number(1), b = number(2), c = number(3);
	struct digest *all;
	struct err e;
	size_t n;

	damage_add(d, &a, &e);
	damage_add(d, &b, &e);
	damage_add(d, &c, &e);
	damage_heal(d, &b);
	damage_close(&d);
	d = open_it();
	cr_expect_eq(damage_count(d), 2);
	cr_expect(damage_has(d, &a) && damage_has(d, &c));
	damage_heal(d, &a);
	damage_close(&d);
	d = open_it();
	all = damage_dup(d, &n);
	cr_assert_eq(n, 1);
	cr_expect(digest_equal(&all[0], &c));
	free(all);
	damage_close(&d);
}

Test(damage, survives_a_record_cut_short)
{
	struct damage *d = open_it();
	struct digest a = number(1), b = number(2);
	struct err e;
	int fd;

	damage_add(d, &a, &e);
	damage_add(d, &b, &e);
	damage_close(&d);
	fd = openat(fx.state_fd, "damaged-store", O_WRONLY);
	cr_assert_eq(ftruncate(fd, 33 + 20), 0);
	close(fd);
	d = open_it();
	cr_expect_eq(damage_count(d), 1);
	cr_expect(damage_has(d, &a));
	damage_close(&d);
}

Test(damage, has_a_limit)
{
	struct damage *d = open_it();
	struct digest x;
	struct err e;
	uint32_t i;

	for (i = 0; i < DAMAGE_MAX; i++) {
		x = number(i);
		cr_assert_eq(damage_add(d, &x, &e), 0);
	}
	x = number(i);
	cr_assert_eq(damage_add(d, &x, &e), -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	x = number(0);
	cr_expect_eq(damage_add(d, &x, &e), 0);
	damage_close(&d);
}

/* A folder with a dynamic index of chunks 0 to n - 1; none is stored. */
static int
make_folder(uint32_t n)
{
	uint8_t head[INDEX_HEADER_LEN], uuid[16] = {0};
	uint8_t entry[DYNAMIC_INDEX_ENTRY_LEN];
	struct digest d;
	uint32_t i;
	int dir, fd;

	cr_assert_eq(mkdirat(fx.state_fd, "folder", 0700), 0);
	dir = openat(fx.state_fd, "folder", O_RDONLY | O_DIRECTORY);
	fd = openat(dir, "root.pxar.didx", O_WRONLY | O_CREAT, 0600);
	cr_assert_neq(fd, -1);
	dynamic_index_put_header(head, uuid, 1, NULL);
	cr_assert_eq(io_write_full(fd, head, sizeof(head), NULL), 0);
	for (i = 0; i < n; i++) {
		d = fixture_digest(i);
		dynamic_index_put_entry(entry, (i + 1) * UINT64_C(1000), &d);
		cr_assert_eq(io_write_full(fd, entry, sizeof(entry), NULL), 0);
	}
	close(fd);
	fd = openat(dir, "notes.blob", O_WRONLY | O_CREAT, 0600);
	close(fd);
	return dir;
}

static int
look(int dir, uint32_t i, struct digest *hit, struct err *e)
{
	struct digest d = fixture_digest(i);

	return damage_find_reference(fx.store, dir, &d, 1, hit, e);
}

Test(damage, finds_references)
{
	struct digest hit, d = fixture_digest(2500);
	int dir = make_folder(2501);
	char path[200];
	struct err e;

	cr_expect_eq(look(dir, 2501, &hit, &e), 0, "nobody refers to it");
	cr_assert_eq(look(dir, 2500, &hit, &e), 1);
	cr_expect(digest_equal(&hit, &d));
	fixture_chunk_path(&d, path);
	fixture_write(path, "123456789012", 12);
	cr_expect_eq(look(dir, 2500, &hit, &e), 0, "it is there again");
	close(dir);
}

Test(damage, a_folder_without_indexes)
{
	struct digest hit;
	struct err e;
	int dir;

	cr_assert_eq(mkdirat(fx.state_fd, "empty", 0700), 0);
	dir = openat(fx.state_fd, "empty", O_RDONLY | O_DIRECTORY);
	cr_expect_eq(look(dir, 1, &hit, &e), 0);
	close(dir);
}

Test(damage, a_damaged_index_is_an_error)
{
	struct digest hit;
	int dir = make_folder(10), fd;
	struct err e;

	fd = openat(dir, "root.pxar.didx", O_WRONLY);
	cr_assert_eq(ftruncate(fd, INDEX_HEADER_LEN + 17), 0);
	close(fd);
	cr_expect_eq(look(dir, 1, &hit, &e), -1);
	cr_expect_eq(e.code, ERR_CORRUPT);
	close(dir);
}
