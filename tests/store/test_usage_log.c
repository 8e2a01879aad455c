/* When a store will be full: the line through its usage, and the ring that it
 * is drawn through, over damaged files and clocks that are set. */
#include "config.h"

#include "validator/store/usage_log.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"
#include "tests/store/fixture.h"

#define NAME "usage-test"
#define HOUR USAGE_INTERVAL_S
#define DAY (24 * HOUR)
#define START INT64_C(1700000000)
#define GIB (UINT64_C(1) << 30)

static struct usage_log ring;

TestSuite(usage_log, .init = fixture_init, .fini = fixture_fini);

/* n samples, an hour apart, that grow by so much each. */
static int64_t
grow(size_t n, uint64_t from, int64_t by)
{
	size_t i;

	for (i = 0; i < n; i++)
		cr_assert(usage_log_add(&ring, START + (int64_t)i * HOUR,
		    (uint64_t)((int64_t)from + (int64_t)i * by)));
	return START + (int64_t)(n - 1) * HOUR;
}

Test(usage_log, tells_the_day_of_steady_growth)
{
	int64_t last = grow(48, 10 * GIB, (int64_t)GIB);

	/* 57 used, 43 left: 43 hours. */
	cr_assert_eq(usage_log_full(&ring, 100 * GIB), last + 43 * HOUR);
	cr_assert_eq(usage_log_full(&ring, 57 * GIB), last, "full now");
	cr_assert_eq(usage_log_full(&ring, 3 * GIB), last, "it shrank");
}

/* Up at night and down by day, one more each day. */
Test(usage_log, draws_a_line_through_waves)
{
	int64_t full, last;
	size_t i;

	for (i = 0; i < 10 * 24; i++)
		usage_log_add(&ring, START + (int64_t)i * HOUR,
		    (100 + i / 24 + (i % 24 < 12 ? 5 : 0)) * GIB);
	last = ring.v[ring.n - 1].time;
	full = usage_log_full(&ring, 119 * GIB);
	cr_assert_gt(full, last + 9 * DAY);
	cr_assert_lt(full, last + 12 * DAY);
}

Test(usage_log, tells_nothing_of_too_little)
{
	grow(24, GIB, (int64_t)GIB);
	cr_assert_eq(usage_log_full(&ring, 100 * GIB), 0, "less than a day");
	usage_log_add(&ring, START + DAY, 25 * GIB);
	cr_assert_neq(usage_log_full(&ring, 100 * GIB), 0);
	ring.n = 0;
	cr_assert_eq(usage_log_full(&ring, 100 * GIB), 0, "nothing at all");
	for (int64_t i = 0; i < USAGE_SAMPLES_MIN - 1; i++)
		usage_log_add(&ring, START + i * DAY, (uint64_t)i * GIB);
	cr_assert_eq(usage_log_full(&ring, 100 * GIB), 0, "too few samples");
}

Test(usage_log, tells_nothing_if_usage_does_not_grow)
{
	grow(48, GIB, 0);
	cr_assert_eq(usage_log_full(&ring, 100 * GIB), 0);
	ring.n = 0;
	grow(48, 90 * GIB, -(int64_t)GIB);
	cr_assert_eq(usage_log_full(&ring, 100 * GIB), 0);
	ring.n = 0;
	grow(48, GIB, 1);
	cr_assert_eq(usage_log_full(&ring, 100 * GIB), 0, "in a million years");
}

Test(usage_log, keeps_a_sample_an_hour_of_the_last_month)
{
	int64_t t = START;
	size_t i;

	cr_assert(usage_log_add(&ring, t, 1));
	cr_assert(!usage_log_add(&ring, t, 2));
	cr_assert(!usage_log_add(&ring, t + HOUR - 1, 2));
	cr_assert_eq(ring.n, 1);
	for (i = 0; i < 3 * (size_t)USAGE_SAMPLES_MAX; i++) {
		t += HOUR;
		cr_assert(usage_log_add(&ring, t, i));
		cr_assert_leq(ring.n, USAGE_SAMPLES_MAX);
	}
	cr_assert_eq(ring.n, USAGE_SAMPLES_MAX);
	cr_assert_eq(ring.v[0].time, t - USAGE_KEPT_S + HOUR);
	cr_assert_eq(ring.v[ring.n - 1].used, i - 1);
	/* After a long rest only what is new counts. */
	cr_assert(usage_log_add(&ring, t + 100 * DAY, 7));
	cr_assert_eq(ring.n, 1);
}

/* As a clock that was set back leaves them. */
Test(usage_log, forgets_the_future)
{
	grow(48, GIB, 1);
	cr_assert(!usage_log_add(&ring, START + 40 * HOUR + 7, 9));
	cr_assert_eq(ring.n, 41);
	cr_assert(usage_log_add(&ring, START + 41 * HOUR, 9));
	cr_assert_eq(ring.n, 42);
	cr_assert_eq(ring.v[41].used, 9);
}

Test(usage_log, survives_in_its_file)
{
	static struct usage_log again;
	struct err e;

	cr_assert_eq(usage_log_load(&again, fx.state_fd, NAME, &e), 0);
	cr_assert_eq(again.n, 0, "there is none");
	grow(USAGE_SAMPLES_MAX, UINT64_MAX / 4, 1);
	ring.v[USAGE_SAMPLES_MAX - 1].used = UINT64_MAX;
	cr_assert_eq(usage_log_save(&ring, fx.state_fd, NAME, &e), 0, "%s",
	    e.msg);
	cr_assert_eq(usage_log_load(&again, fx.state_fd, NAME, &e), 0);
	cr_assert_eq(again.n, ring.n);
	cr_assert_eq(memcmp(again.v, ring.v, sizeof(ring.v)), 0);
}

Test(usage_log, leaves_damaged_lines_out)
{
	static const char text[] = "1000 5\n"
				   "what is this\n"
				   "2000\n"
				   "2000 -1\n"
				   "-2000 1\n"
				   "2000 1 1\n"
				   "900 7\n"
				   "1000 8\n"
				   "99999999999999999999 1\n"
				   "\n"
				   "3000 6\n"
				   "4000 7";
	struct err e;

	cr_assert_eq(io_write_file_atomic(fx.state_fd, NAME, text,
			 sizeof(text) - 1, 0600, 0, &e),
	    0);
	cr_assert_eq(usage_log_load(&ring, fx.state_fd, NAME, &e), 0);
	cr_assert_eq(ring.n, 3);
	cr_assert_eq(ring.v[0].time, 1000);
	cr_assert_eq(ring.v[1].time, 3000);
	cr_assert_eq(ring.v[2].used, 7);
}

Test(usage_log, does_not_grow_with_its_file)
{
	size_t i, len = 0, size = 1 << 20;
	char *text = malloc(size);
	struct err e;

	for (i = 0; len + 32 < (size_t)USAGE_SAMPLES_MAX * 30; i++)
		len += (size_t)snprintf(text + len, size - len, "%zu 1\n", i);
	cr_assert_gt(i, USAGE_SAMPLES_MAX);
	cr_assert_eq(io_write_file_atomic(fx.state_fd, NAME, text, len, 0600, 0,
			 &e),
	    0);
	cr_assert_eq(usage_log_load(&ring, fx.state_fd, NAME, &e), 0);
	cr_assert_eq(ring.n, USAGE_SAMPLES_MAX);
	memset(text, '1', size);
	cr_assert_eq(io_write_file_atomic(fx.state_fd, NAME, text, size, 0600,
			 0, &e),
	    0);
	cr_assert_eq(usage_log_load(&ring, fx.state_fd, NAME, &e), -1);
	cr_assert_eq(ring.n, 0, "made anew");
	free(text);
}
