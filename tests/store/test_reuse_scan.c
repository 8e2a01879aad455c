/* The scan of reused chunks: complete, stopped by what is missing, fair, in
 * spite of suspects, damaged indexes and cancelling. */
#include "config.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/format/dynamic_index.h"
#include "common/format/fixed_index.h"
#include "common/io.h"
#include "tests/store/fixture.h"
#include "validator/store/bitmap.h"
#include "validator/store/layout.h"
#include "validator/store/reuse_scan.h"
#include "validator/store/threads.h"

#define CHUNK (UINT64_C(4) << 20)

static struct event_base *base;
static struct store_pool *pool;
static struct store_flow flow;
static struct bitmap checked, referenced;
static struct reuse_scan *scan;
static atomic_bool urgent;
static int fd = -1;
static int done, progressed;
static struct reuse_scan_result result;
static struct err why;

static void
setup(void)
{
	fixture_init();
	base = event_base_new();
	pool = store_pool_new(base, NULL, NULL);
	cr_assert_not_null(pool);
	store_flow_init(&flow, pool, STORE_CLASS_STAT, 0);
}

static void
teardown(void)
{
	store_pool_free(&pool);
	event_base_free(base);
	reuse_scan_free(&scan);
	bitmap_fini(&checked);
	bitmap_fini(&referenced);
	io_close(&fd);
	fixture_fini();
}

TestSuite(reuse_scan, .init = setup, .fini = teardown, .timeout = 120);

static void
plant(uint32_t i)
{
	struct digest d = fixture_digest(i);
	char path[200];

	fixture_chunk_path(&d, path);
	fixture_write(path, "123456789012", 12);
}

static void
unplant(uint32_t i)
{
	struct digest d = fixture_digest(i);
	char path[200];

	fixture_chunk_path(&d, path);
	cr_assert_eq(unlinkat(fx.store->root_fd, path, 0), 0);
}

/* An index of n positions with chunk number pos % distinct, all there. */
static void
make_index(enum index_kind kind, uint32_t n, uint32_t distinct)
{
	uint8_t head[INDEX_HEADER_LEN], uuid[16] = {0}, *buf;
	size_t step = kind == INDEX_FIXED ? FIXED_INDEX_ENTRY_LEN
					  : DYNAMIC_INDEX_ENTRY_LEN;
	struct digest d;
	uint32_t i;

	for (i = 0; i < distinct; i++)
		plant(i);
	fd = openat(fx.state_fd, "index", O_RDWR | O_CREAT | O_TRUNC, 0600);
	cr_assert_neq(fd, -1);
	if (kind == INDEX_FIXED)
		fixed_index_put_header(head, uuid, 1, NULL, n * CHUNK, CHUNK);
	else
		dynamic_index_put_header(head, uuid, 1, NULL);
	cr_assert_eq(write(fd, head, sizeof(head)), sizeof(head));
	buf = malloc(n * step);
	cr_assert_not_null(buf);
	for (i = 0; i < n; i++) {
		d = fixture_digest(i % distinct);
		if (kind == INDEX_FIXED)
			memcpy(buf + i * step, d.b, DIGEST_LEN);
		else
			dynamic_index_put_entry(buf + i * step,
			    (i + 1) * UINT64_C(1000), &d);
	}
	cr_assert_eq(io_write_full(fd, buf, n * step, NULL), 0);
	free(buf);
	cr_assert_eq(bitmap_init(&checked, n, NULL), 0);
	cr_assert_eq(bitmap_init(&referenced, n, NULL), 0);
}

static void
on_done(void *ctx, struct reuse_scan *s)
{
	cr_expect_eq(ctx, &done);
	cr_expect_eq(s, scan);
	done++;
	reuse_scan_get_result(s, &result);
	why = *result.err;
	event_base_loopbreak(base);
}

static void
on_progress(void *ctx, struct reuse_scan *s)
{
	cr_expect_eq(ctx, &done);
	cr_expect_eq(s, scan);
	cr_expect_eq(done, 0);
	progressed++;
}

static void
start(void)
{
	struct reuse_scan_opts o = {.store = fx.store,
	    .flow = &flow,
	    .fd = fd,
	    .checked = &checked,
	    .referenced = &referenced,
	    .urgent = &urgent,
	    .ctx = &done,
	    .done = on_done,
	    .progress = on_progress};
	struct err e = {0};

	done = 0;
	cr_assert_eq(reuse_scan_start(&scan, &o, &e), 0, "%s", e.msg);
}

static void
finish(void)
{
	while (done == 0)
		event_base_loop(base, EVLOOP_ONCE);
	cr_expect_eq(done, 1);
	cr_expect(store_flow_is_idle(&flow));
}

Test(reuse_scan, finds_everything_there)
{
	make_index(INDEX_FIXED, 5000, 700);
	start();
	finish();
	cr_expect_eq(result.state, CHUNK_OK);
	cr_expect_not(result.cancelled);
	cr_expect_eq(bitmap_count(&checked), 5000);
	cr_expect_eq(reuse_scan_stats(scan), 700, "equal ones only once");
	cr_expect_gt(progressed, 0);
}

Test(reuse_scan, reads_dynamic_indexes_too)
{
	make_index(INDEX_DYNAMIC, 3000, 3000);
	start();
	finish();
	cr_expect_eq(result.state, CHUNK_OK);
	cr_expect_eq(bitmap_count(&checked), 3000);
	cr_expect_eq(reuse_scan_stats(scan), 3000);
}

Test(reuse_scan, goes_through_several_windows)
{
	/* More positions than a window has, and few chunks. */
	make_index(INDEX_FIXED, 1200000, 50);
	start();
	finish();
	cr_expect_eq(result.state, CHUNK_OK);
	cr_expect_eq(bitmap_count(&checked), 1200000);
	cr_expect_geq(progressed, 2);
	cr_expect_leq(reuse_scan_stats(scan), 50 * (unsigned)progressed);
}

Test(reuse_scan, stops_at_the_first_missing_one)
{
	struct digest d = fixture_digest(123);

	make_index(INDEX_FIXED, 2000, 500);
	unplant(123);
	start();
	finish();
	cr_expect_eq(result.state, CHUNK_MISSING);
	cr_expect_eq(why.code, ERR_MISSING);
	cr_expect(digest_equal(&result.digest, &d));
	cr_expect_eq(result.position, 123, "the first of the equal ones");
	cr_expect_not(bitmap_get(&checked, 123));
	cr_expect_not(bitmap_get(&checked, 1623));
	/* Goes on where it stopped. */
	reuse_scan_free(&scan);
	plant(123);
	start();
	finish();
	cr_expect_eq(result.state, CHUNK_OK);
	cr_expect_eq(bitmap_count(&checked), 2000);
	cr_expect_leq(reuse_scan_stats(scan), 500);
}

Test(reuse_scan, does_not_look_at_what_was_checked_before)
{
	uint32_t i;

	make_index(INDEX_FIXED, 1000, 1000);
	for (i = 0; i < 1000; i++)
		if (i != 17 && i != 999)
			bitmap_set(&checked, i);
	unplant(5);
	start();
	finish();
	cr_expect_eq(result.state, CHUNK_OK);
	cr_expect_eq(reuse_scan_stats(scan), 2);
	cr_expect_eq(bitmap_count(&checked), 1000);
}

Test(reuse_scan, looks_first_at_what_is_referenced)
{
	const uint32_t n = 800000;

	/* The missing one lies in the last window, but is referenced; all in
	 * front of it are not. */
	make_index(INDEX_FIXED, n, 100);
	plant(n - 1);
	unplant(n - 1);
	cr_assert_eq(io_pwrite_full(fd, fixture_digest(n - 1).b, DIGEST_LEN,
			 (off_t)fixed_index_entry_pos(n - 1), NULL),
	    0);
	bitmap_set(&referenced, n - 1);
	start();
	finish();
	cr_expect_eq(result.state, CHUNK_MISSING);
	cr_expect_eq(result.position, n - 1);
	cr_expect_eq(progressed, 0, "found in the first window");
}

/* The referenced ones are there, the others not. */
static void
make_urgent(void)
{
	uint32_t i;

	make_index(INDEX_FIXED, 600, 200);
	for (i = 0; i < 200; i++)
		if (i % 4 != 0)
			unplant(i);
	for (i = 0; i < 200; i += 4)
		bitmap_set(&referenced, 200 + i);
	atomic_store(&urgent, true);
}

Test(reuse_scan, looks_only_at_what_is_referenced_when_urgent)
{
	make_urgent();
	start();
	finish();
	cr_expect_eq(result.state, CHUNK_OK);
	cr_expect_eq(bitmap_count(&checked), 50);
	cr_expect_eq(bitmap_count_and_not(&referenced, &checked), 0);
	cr_expect_eq(reuse_scan_stats(scan), 50);
}

static void
on_progress_calm(void *ctx, struct reuse_scan *s)
{
	(void)ctx;
	(void)s;
	progressed++;
	atomic_store(&urgent, false);
}

Test(reuse_scan, comes_back_to_what_was_left_out)
{
	struct reuse_scan_opts o = {.store = fx.store,
	    .flow = &flow,
	    .checked = &checked,
	    .referenced = &referenced,
	    .urgent = &urgent,
	    .ctx = &done,
	    .done = on_done,
	    .progress = on_progress_calm};
	uint32_t i;

	make_urgent();
	for (i = 0; i < 200; i++)
		plant(i);
	o.fd = fd;
	cr_assert_eq(reuse_scan_start(&scan, &o, NULL), 0);
	finish();
	cr_expect_eq(result.state, CHUNK_OK);
	cr_expect_eq(bitmap_count(&checked), 600);
	cr_expect_eq(progressed, 2);
}

Test(reuse_scan, gives_suspects_to_its_owner)
{
	uint64_t pos;
	uint32_t n = 0;

	make_index(INDEX_FIXED, 600, 200);
	fixture_reopen(false, true);
	start();
	finish();
	cr_expect_eq(result.state, CHUNK_OK);
	cr_expect_eq(bitmap_count(&checked), 0);
	while (reuse_scan_take_suspect(scan, &pos)) {
		cr_expect_lt(pos, 600);
		cr_expect_not(bitmap_get(&checked, pos));
		bitmap_set(&checked, pos);
		n++;
	}
	cr_expect_eq(n, 600);
	cr_expect_eq(bitmap_count(&checked), 600);
}

Test(reuse_scan, marks_nothing_when_it_cannot_see)
{
	struct digest d = {{0xfe, 0xed, 1}};

	make_index(INDEX_FIXED, 50, 50);
	cr_assert_eq(io_pwrite_full(fd, d.b, DIGEST_LEN,
			 (off_t)fixed_index_entry_pos(30), NULL),
	    0);
	start();
	finish();
	cr_expect_eq(result.state, CHUNK_ERROR);
	cr_expect_eq(why.code, ERR_IO);
	cr_expect_eq(result.position, 30);
	cr_expect_not(bitmap_get(&checked, 30));
}

Test(reuse_scan, refuses_a_damaged_index)
{
	make_index(INDEX_DYNAMIC, 3000, 10);
	/* An end before the one in front of it. */
	cr_assert_eq(io_pwrite_full(fd, "\0\0\0\0\0\0\0\0", 8,
			 (off_t)dynamic_index_entry_pos(2000), NULL),
	    0);
	start();
	finish();
	cr_expect_eq(result.state, CHUNK_ERROR);
	cr_expect_eq(why.code, ERR_CORRUPT);
	reuse_scan_free(&scan);
	cr_assert_eq(ftruncate(fd, 100), 0);
	start();
	finish();
	cr_expect_eq(result.state, CHUNK_ERROR);
	cr_expect_eq(why.code, ERR_CORRUPT);
	reuse_scan_free(&scan);
	/* Fewer entries than the bitmap has bits. */
	bitmap_fini(&checked);
	bitmap_fini(&referenced);
	io_close(&fd);
	make_index(INDEX_FIXED, 10, 10);
	bitmap_fini(&checked);
	cr_assert_eq(bitmap_init(&checked, 11, NULL), 0);
	start();
	finish();
	cr_expect_eq(result.state, CHUNK_ERROR);
	cr_expect_eq(why.code, ERR_CORRUPT);
}

Test(reuse_scan, can_be_cancelled)
{
	uint64_t i;

	make_index(INDEX_FIXED, 300000, 100);
	start();
	reuse_scan_cancel(scan);
	finish();
	cr_expect(result.cancelled);
	cr_expect_eq(result.state, CHUNK_OK);
	/* By its flow, as when the session ends: which is too late for a job
	 * that has just run. */
	do {
		reuse_scan_free(&scan);
		for (i = 0; i < 300000; i++)
			bitmap_clear(&checked, i);
		start();
		store_flow_cancel(&flow);
		finish();
	} while (!result.cancelled);
	cr_expect_lt(bitmap_count(&checked), 300000);
}

Test(reuse_scan, ends_with_the_pool)
{
	make_index(INDEX_FIXED, 300000, 100);
	start();
	store_pool_free(&pool);
	cr_expect_eq(done, 1);
	cr_expect(result.cancelled || bitmap_count(&checked) == 300000);
}

static void
restart_from_done(void *ctx, struct reuse_scan *s)
{
	struct reuse_scan_opts o = {.store = fx.store,
	    .flow = &flow,
	    .fd = fd,
	    .checked = &checked,
	    .referenced = &referenced,
	    .ctx = &done,
	    .done = on_done};

	(void)ctx;
	reuse_scan_get_result(s, &result);
	cr_expect_eq(result.state, CHUNK_MISSING);
	bitmap_set(&checked, result.position);
	reuse_scan_free(&scan);
	cr_assert_eq(reuse_scan_start(&scan, &o, NULL), 0);
}

Test(reuse_scan, may_be_freed_and_begun_again_when_it_ends)
{
	struct reuse_scan_opts o = {.store = fx.store,
	    .flow = &flow,
	    .checked = &checked,
	    .referenced = &referenced,
	    .ctx = &done,
	    .done = restart_from_done};

	make_index(INDEX_FIXED, 5000, 5000);
	unplant(77);
	o.fd = fd;
	cr_assert_eq(reuse_scan_start(&scan, &o, NULL), 0);
	finish();
	cr_expect_eq(result.state, CHUNK_OK);
	cr_expect_eq(bitmap_count(&checked), 5000);
}
