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
	uint32_t i;

	for (i = 0; i < 1000; i++) {
		x = number(i);
		cr_assert(damage_add(d, &x, DAMAGE_DAMAGED));
		cr_assert(damage_add(d, &x, DAMAGE_DAMAGED), "twice is once");
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

Test(damage, heals_only_what_was_not_added_since)
{
	struct damage *d = open_it();
	struct digest a = number(1), b = number(2);
	uint64_t seen;

	damage_add(d, &a, DAMAGE_DAMAGED);
	damage_add(d, &b, DAMAGE_DAMAGED);
	seen = damage_adds(d);
	damage_add(d, &b, DAMAGE_MISSING);
	cr_expect(damage_heal_seen(d, &a, seen));
	cr_expect_not(damage_heal_seen(d, &b, seen));
	cr_expect(damage_has(d, &b));
	cr_expect(damage_heal_seen(d, &b, damage_adds(d)));
	damage_close(&d);
}

Test(damage, outlives_the_process)
{
	struct damage *d = open_it();
	struct digest a = number(1), b = number(2), c = number(3);
	struct digest *all;
	size_t n;

	damage_add(d, &a, DAMAGE_DAMAGED);
	damage_add(d, &b, DAMAGE_DAMAGED);
	damage_add(d, &c, DAMAGE_DAMAGED);
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
	int fd;

	damage_add(d, &a, DAMAGE_DAMAGED);
	damage_add(d, &b, DAMAGE_DAMAGED);
	damage_close(&d);
	fd = openat(fx.state_fd, "damaged-store", O_WRONLY);
	cr_assert_eq(ftruncate(fd, 33 + 20), 0);
	close(fd);
	d = open_it();
	cr_expect_eq(damage_count(d), 1);
	cr_expect(damage_has(d, &a));
	damage_close(&d);
}

/* Chunks from to to - 1; how many of them found room. */
static uint32_t
add_many(struct damage *d, uint32_t from, uint32_t to, enum damage_kind kind)
{
	struct digest x;
	uint32_t n = 0;

	for (; from < to; from++) {
		x = number(from);
		n += damage_add(d, &x, kind);
	}
	return n;
}

static off_t
file_len(void)
{
	struct stat st;

	cr_assert_eq(fstatat(fx.state_fd, "damaged-store", &st, 0), 0);
	return st.st_size;
}

Test(damage, overflows_and_remembers_that)
{
	struct damage *d = open_it();
	struct err e;

	cr_assert_eq(add_many(d, 0, DAMAGE_MAX, DAMAGE_DAMAGED), DAMAGE_MAX);
	cr_assert_not(damage_is_overflowed(d));
	cr_expect_eq(damage_overflows(d), 0);
	cr_expect_eq(add_many(d, 0, 1, DAMAGE_DAMAGED), 1, "is there");
	cr_expect_eq(add_many(d, DAMAGE_MAX, DAMAGE_MAX + 2, DAMAGE_DAMAGED),
	    0);
	cr_expect(damage_is_overflowed(d));
	cr_expect_eq(damage_overflows(d), 2, "each is news");
	damage_close(&d);
	d = open_it();
	cr_expect_eq(damage_count(d), DAMAGE_MAX);
	cr_expect(damage_is_overflowed(d));
	cr_expect_gt(damage_overflows(d), 0);
	cr_assert_eq(damage_clear_overflow(d, &e), 0);
	cr_expect_not(damage_is_overflowed(d));
	cr_expect_gt(damage_overflows(d), 0, "sessions that run must see it");
	damage_close(&d);
	d = open_it();
	cr_expect_not(damage_is_overflowed(d));
	cr_expect_gt(damage_overflows(d), 0, "those that go on, too");
	cr_expect_eq(damage_count(d), DAMAGE_MAX);
	cr_expect(damage_heal(d, &(struct digest){0}));
	damage_close(&d);
	d = open_it();
	cr_expect_not(damage_is_overflowed(d));
	cr_expect_gt(damage_overflows(d), 0, "after any restart");
	damage_close(&d);
}

Test(damage, leaves_nothing_of_a_store_that_goes)
{
	struct damage *d = open_it();
	struct digest x = number(1);

	damage_add(d, &x, DAMAGE_MISSING);
	damage_discard(&d);
	cr_expect_null(d);
	cr_expect_eq(faccessat(fx.state_fd, "damaged-store", F_OK, 0), -1);
	damage_discard(&d);
	d = open_it();
	cr_expect_eq(damage_count(d), 0);
	damage_close(&d);
}

Test(damage, missing_ones_take_at_most_half)
{
	struct damage *d = open_it();
	struct digest x = number(0);

	cr_expect_eq(add_many(d, 0, DAMAGE_MAX, DAMAGE_MISSING),
	    DAMAGE_MISSING_MAX);
	cr_expect(damage_is_overflowed(d));
	cr_expect_eq(add_many(d, DAMAGE_MAX, 2 * DAMAGE_MAX, DAMAGE_DAMAGED),
	    DAMAGE_MAX - DAMAGE_MISSING_MAX);
	/* One that is healed, or turns out damaged, makes room. */
	cr_assert(damage_heal(d, &x));
	cr_expect_eq(add_many(d, 2 * DAMAGE_MAX, 2 * DAMAGE_MAX + 2,
			 DAMAGE_MISSING),
	    1);
	cr_expect_eq(add_many(d, 1, 2, DAMAGE_DAMAGED), 1);
	cr_expect_eq(add_many(d, 1, 2, DAMAGE_MISSING), 1, "stays damaged");
	damage_close(&d);
	d = open_it();
	x = number(2);
	cr_assert(damage_heal(d, &x));
	x = number(3);
	cr_assert(damage_heal(d, &x));
	cr_expect_eq(add_many(d, 3 * DAMAGE_MAX, 3 * DAMAGE_MAX + 9,
			 DAMAGE_MISSING),
	    2, "the kinds outlive the process");
	damage_close(&d);
}

Test(damage, its_file_does_not_grow)
{
	struct damage *d = open_it();
	struct digest x = number(1), y = number(2);
	uint32_t i;

	damage_add(d, &y, DAMAGE_MISSING);
	for (i = 0; i < 50000; i++) {
		damage_add(d, &x, DAMAGE_DAMAGED);
		damage_heal(d, &x);
	}
	cr_expect_lt(file_len(), 400000);
	damage_add(d, &x, DAMAGE_DAMAGED);
	damage_close(&d);
	d = open_it();
	cr_expect_eq(damage_count(d), 2);
	cr_expect(damage_has(d, &x) && damage_has(d, &y));
	cr_expect_eq(file_len(), 66);
	damage_close(&d);
}

/* An older version let it grow. */
Test(damage, takes_a_file_of_any_size)
{
	struct digest x = number(7);
	uint8_t rec[33] = {'a'};
	struct damage *d;
	int fd, i;

	fd = openat(fx.state_fd, "damaged-store", O_WRONLY | O_CREAT, 0600);
	for (i = 0; i < 300001; i++) {
		rec[0] = i % 2 == 0 ? 'a' : 'h';
		memcpy(rec + 1, x.b, 32);
		cr_assert_eq(io_write_full(fd, rec, sizeof(rec), NULL), 0);
	}
	close(fd);
	d = open_it();
	cr_expect_eq(damage_count(d), 1);
	cr_expect(damage_has(d, &x));
	cr_expect_not(damage_is_overflowed(d));
	cr_expect_eq(file_len(), 33);
	damage_close(&d);
}

Test(damage, what_it_cannot_read_is_not_forgotten_in_silence)
{
	struct digest x = number(7);
	uint8_t rec[33] = {'?'};
	struct damage *d = open_it();
	int fd;

	damage_add(d, &x, DAMAGE_DAMAGED);
	damage_close(&d);
	fd = openat(fx.state_fd, "damaged-store", O_WRONLY | O_APPEND);
	cr_assert_eq(io_write_full(fd, rec, sizeof(rec), NULL), 0);
	close(fd);
	d = open_it();
	cr_expect(damage_is_overflowed(d));
	cr_expect(damage_has(d, &x));
	damage_close(&d);
}
