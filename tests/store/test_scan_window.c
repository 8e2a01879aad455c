/* The window of a scan: sorted by digest, whatever digests it gets. */
#include "config.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "validator/store/scan_window.h"

static struct scan_window w;
static size_t nblocks;

static void
teardown(void)
{
	scan_window_fini(&w);
}

TestSuite(scan_window, .fini = teardown, .timeout = 60);

static uint32_t
scramble(uint32_t i)
{
	i = (i ^ (i >> 16)) * 0x45d9f3bu;
	i = (i ^ (i >> 16)) * 0x45d9f3bu;
	return i ^ (i >> 16);
}

/* Digests whose bytes from first on vary, with distinct values. */
struct input {
	uint32_t len;
	uint32_t distinct;
	unsigned int first;
};

static void
fill(const struct input *in)
{
	struct digest d = {{0}};
	uint32_t i, v;

	for (i = 0; i < in->len; i++) {
		v = scramble(scramble(i) % in->distinct);
		memcpy(d.b + in->first, &v, sizeof(v));
		scan_window_add(&w, &d, i);
	}
	cr_assert_eq(w.nadded, in->len);
}

static void *
place_some(void *next)
{
	size_t i;

	while ((i = atomic_fetch_add((atomic_size_t *)next, 1)) < nblocks)
		scan_window_place(&w, i);
	return next;
}

/* By two threads. */
static void
turn(void)
{
	atomic_size_t next = 0;
	pthread_t other;

	nblocks = scan_window_turn(&w);
	cr_assert_eq(pthread_create(&other, NULL, place_some, &next), 0);
	place_some(&next);
	cr_assert_eq(pthread_join(other, NULL), 0);
}

ParameterizedTestParameters(scan_window, sorts)
{
	static struct input inputs[] = {
	    {0, 1, 0},
	    {1, 1, 0},
	    {2, 2, 0},
	    {1000, 1000, 0},
	    {100000, 100000, 0},
	    {100000, 7, 0},
	    {100000, 1, 0},
	    /* All in one folder, as an owner of encrypted chunks may want. */
	    {100000, 100000, 2},
	    {100000, 100000, 28},
	};

	return cr_make_param_array(struct input, inputs,
	    sizeof(inputs) / sizeof(inputs[0]));
}

static void
sort_all(void)
{
	size_t at = 0, start, end;
	unsigned int i;

	for (i = 0; i < SCAN_PARTS; i++) {
		scan_window_sort_part(&w, i, &start, &end);
		cr_assert_eq(start, at);
		cr_assert_geq(end, start);
		at = end;
	}
	cr_assert_eq(at, w.len);
}

ParameterizedTest(struct input *in, scan_window, sorts)
{
	uint8_t *seen = calloc(in->len + 1, 1);
	uint32_t i;
	int c;

	cr_assert_eq(scan_window_init(&w, in->len + 1), 0);
	fill(in);
	turn();
	sort_all();
	cr_assert_eq(w.len, in->len);
	for (i = 0; i < w.len; i++) {
		seen[w.entries[i].pos]++;
		if (i == 0)
			continue;
		c = digest_cmp(&w.entries[i - 1].digest, &w.entries[i].digest);
		cr_assert(c < 0 ||
		    (c == 0 && w.entries[i - 1].pos < w.entries[i].pos));
	}
	for (i = 0; i < in->len; i++)
		cr_assert_eq(seen[i], 1);
	free(seen);
}

Test(scan_window, groups_equal_ones)
{
	size_t i, groups = 0;

	cr_assert_eq(scan_window_init(&w, 1000), 0);
	fill(&(struct input){1000, 10, 0});
	turn();
	sort_all();
	for (i = 0; i < w.len; i += scan_window_group(&w, i, w.len))
		groups++;
	cr_expect_eq(groups, 10);
	cr_expect_eq(i, w.len);
	cr_expect_eq(scan_window_group(&w, w.len - 1, w.len), 1);
}

/* What is checked stays as it is while the next stretch is added. */
Test(scan_window, takes_the_next_stretch_meanwhile)
{
	size_t start, end;
	uint32_t i;

	cr_assert_eq(scan_window_init(&w, 20000), 0);
	fill(&(struct input){20000, 20000, 0});
	turn();
	fill(&(struct input){5, 1, 28});
	sort_all();
	cr_assert_eq(w.len, 20000);
	for (i = 1; i < w.len; i++)
		cr_assert_leq(digest_cmp(&w.entries[i - 1].digest,
				  &w.entries[i].digest),
		    0);
	turn();
	cr_assert_eq(w.len, 5);
	scan_window_sort_part(&w, 0, &start, &end);
	cr_assert_eq(start, 0);
	cr_assert_eq(end, 5);
	for (i = 0; i < 5; i++)
		cr_expect_eq(w.entries[i].pos, i);
	turn();
	cr_assert_eq(nblocks, 0);
	cr_assert_eq(w.len, 0);
}

/* A thousand scans at a time take a bounded amount of memory. */
Test(scan_window, shares_what_there_is_for_all)
{
	static struct scan_window many[1000];
	size_t i, total = 0;

	for (i = 0; i < 1000; i++) {
		cr_assert_eq(scan_window_init(&many[i], SIZE_MAX), 0);
		cr_expect(i == 0 || many[i].cap <= many[i - 1].cap);
		total += many[i].cap;
	}
	cr_expect_eq(many[0].cap, 512 << 10);
	cr_expect_eq(many[999].cap, 32 << 10);
	cr_expect_leq(total, ((size_t)4 << 20) + 1000 * (32 << 10));
	cr_assert_eq(scan_window_init(&w, 7), 0);
	cr_expect_eq(w.cap, 7);
	for (i = 0; i < 1000; i++)
		scan_window_fini(&many[i]);
	scan_window_fini(&w);
	cr_assert_eq(scan_window_init(&w, SIZE_MAX), 0);
	cr_expect_eq(w.cap, 512 << 10);
}
