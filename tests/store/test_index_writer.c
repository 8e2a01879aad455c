/* Growing indexes: rules and texts of wire-protocol 4.5, repetition after a
 * restart, closing, copies of the base. */
#include "config.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/format/dynamic_index.h"
#include "common/format/fixed_index.h"
#include "tests/store/fixture.h"
#include "validator/store/index_writer.h"

#define MIB (UINT64_C(1) << 20)
#define CHUNK (4 * MIB)

TestSuite(index_writer, .init = fixture_init, .fini = fixture_fini);

static struct index_writer_state state;

static struct index_writer_opts
opts(enum index_kind kind, const char *name, uint64_t size)
{
	return (struct index_writer_opts){.dirfd = fx.state_fd,
	    .kind = kind,
	    .name = name,
	    .size = size,
	    .base_fd = -1,
	    .state = &state};
}

static struct index_writer *
make(enum index_kind kind, const char *name, uint64_t size)
{
	struct index_writer_opts o = opts(kind, name, size);
	struct index_writer *w;
	struct err e = {0};

	cr_assert_eq(index_writer_create(&w, &o, &e), 0, "%s", e.msg);
	return w;
}

static struct index_writer *
reopen(enum index_kind kind, const char *name, uint64_t size)
{
	struct index_writer_opts o = opts(kind, name, size);
	struct index_writer *w;
	struct err e = {0};

	cr_assert_eq(index_writer_reopen(&w, &o, &e), 0, "%s", e.msg);
	return w;
}

static struct digest
digest_no(uint32_t i)
{
	struct digest d = {{1}};

	memcpy(&d.b[4], &i, sizeof(i));
	return d;
}

static struct index_append
entry(uint64_t start, uint32_t len, uint32_t digest)
{
	return (struct index_append){start, len, digest_no(digest)};
}

/* Checksum as the client computes it. */
static struct digest
csum(enum index_kind kind, const struct index_append *a, size_t n)
{
	struct digest_ctx *ctx = digest_ctx_new();
	uint8_t buf[DYNAMIC_INDEX_ENTRY_LEN];
	struct digest d;
	size_t i;

	for (i = 0; i < n; i++) {
		if (kind == INDEX_FIXED) {
			digest_update(ctx, a[i].digest.b, DIGEST_LEN);
			continue;
		}
		dynamic_index_put_entry(buf, a[i].start + a[i].length,
		    &a[i].digest);
		digest_update(ctx, buf, sizeof(buf));
	}
	digest_final(ctx, &d);
	digest_ctx_free(ctx);
	return d;
}

static void
must_say(int rv, const struct err *e, const char *text)
{
	cr_expect_eq(rv, -1);
	cr_expect_not_null(strstr(e->msg, text), "\"%s\" is not in \"%s\"",
	    text, e->msg);
}

Test(index_writer, writes_a_dynamic_index)
{
	const struct index_append a[] = {entry(0, 100, 1), entry(100, 5, 2),
	    entry(105, 70000, 1)};
	struct index_writer *w = make(INDEX_DYNAMIC, "root.pxar.didx", 0);
	struct digest sum = csum(INDEX_DYNAMIC, a, 3), got;
	struct index_view v;
	struct index_entry e1;
	struct stat st;
	struct err e = {0};
	uint64_t size;
	int fd;

	cr_assert_eq(faccessat(fx.state_fd, "root.pxar.tmp_didx", F_OK, 0), 0);
	cr_assert_eq(index_writer_append(w, 0, a, 3, &e), 0, "%s", e.msg);
	cr_expect_eq(index_writer_count(w), 3);
	cr_expect_eq(index_writer_end(w), 70105);
	cr_assert_eq(index_writer_close(w, 3, 70105, &sum, &size, &e), 0, "%s",
	    e.msg);
	cr_expect_eq(size, 70105);
	index_writer_free(&w);

	cr_expect_neq(faccessat(fx.state_fd, "root.pxar.tmp_didx", F_OK, 0), 0);
	fd = openat(fx.state_fd, "root.pxar.didx", O_RDONLY);
	cr_assert_eq(index_open_fd(&v, fd, &e), 0, "%s", e.msg);
	cr_expect_eq(v.kind, INDEX_DYNAMIC);
	cr_expect_eq(v.count, 3);
	cr_expect_eq(v.size, 70105);
	cr_expect(digest_equal(&v.header.csum, &sum));
	cr_expect_eq(v.header.uuid[6] >> 4, 4);
	cr_assert_eq(index_csum(&v, &got, &e), 0);
	cr_expect(digest_equal(&got, &sum));
	cr_assert_eq(index_get_entry(&v, 1, &e1, &e), 0);
	cr_expect(e1.start == 100 && e1.end == 105);
	cr_expect(digest_equal(&e1.digest, &a[1].digest));
	cr_assert_eq(fstat(fd, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0644);
	close(fd);
}

Test(index_writer, refuses_strange_offsets)
{
	struct index_writer *w = make(INDEX_DYNAMIC, "a.didx", 0);
	const struct index_append a[] = {entry(0, 100, 1), entry(90, 5, 2),
	    entry(95, 5, 3)};
	struct err e = {0};

	must_say(index_writer_append(w, 0, a, 3, &e), &e,
	    "dynamic writer 'a.didx' append chunk failed - got strange chunk "
	    "offset (100 != 90)");
	/* The one in front of it stays. */
	cr_expect_eq(index_writer_count(w), 1);
	cr_expect_eq(index_writer_end(w), 100);
	index_writer_free(&w);
}

Test(index_writer, refuses_what_does_not_fit_a_fixed_index)
{
	struct index_writer *w = make(INDEX_FIXED, "d.fidx", 8391608);
	struct index_append a;
	struct err e = {0};

	a = entry(4096, CHUNK, 1);
	must_say(index_writer_append(w, 0, &a, 1, &e), &e,
	    "got unaligned chunk (pos = 4096)");
	a = entry(8 * MIB, CHUNK, 1);
	must_say(index_writer_append(w, 0, &a, 1, &e), &e,
	    "chunk data exceeds size (12582912 >= 8391608)");
	a = entry(0, 3000, 1);
	must_say(index_writer_append(w, 0, &a, 1, &e), &e,
	    "chunk with unexpected length (3000 != 4194304");
	a = entry(UINT64_MAX - 10, CHUNK, 1);
	cr_expect_eq(index_writer_append(w, 0, &a, 1, &e), -1);
	a = entry(8391608, 0, 1);
	cr_expect_eq(index_writer_append(w, 0, &a, 1, &e), -1);
	cr_expect_eq(index_writer_count(w), 0);
	/* The last one is shorter, and any order will do. */
	a = entry(8 * MIB, 3000, 3);
	cr_expect_eq(index_writer_append(w, 0, &a, 1, &e), 0, "%s", e.msg);
	a = entry(0, CHUNK, 1);
	cr_expect_eq(index_writer_append(w, 1, &a, 1, &e), 0, "%s", e.msg);
	index_writer_free(&w);
}

Test(index_writer, writes_a_fixed_index_in_any_order)
{
	const struct index_append a[] = {entry(0, CHUNK, 1),
	    entry(CHUNK, CHUNK, 2), entry(2 * CHUNK, 10, 3)};
	struct index_writer *w = make(INDEX_FIXED, "d.fidx", 2 * CHUNK + 10);
	struct digest sum = csum(INDEX_FIXED, a, 3);
	struct index_view v;
	struct err e = {0};
	uint64_t size;
	int fd;

	cr_assert_eq(index_writer_append(w, 0, &a[2], 1, &e), 0);
	cr_assert_eq(index_writer_append(w, 1, a, 2, &e), 0);
	cr_assert_eq(index_writer_close(w, 3, 2 * CHUNK + 10, &sum, &size, &e),
	    0, "%s", e.msg);
	index_writer_free(&w);
	fd = openat(fx.state_fd, "d.fidx", O_RDONLY);
	cr_assert_eq(index_open_fd(&v, fd, &e), 0, "%s", e.msg);
	cr_expect_eq(v.kind, INDEX_FIXED);
	cr_expect_eq(v.size, 2 * CHUNK + 10);
	cr_expect_eq(v.chunk_size, CHUNK);
	cr_expect(digest_equal(&v.header.csum, &sum));
	close(fd);
}

Test(index_writer, compares_at_close_and_stays_open_when_refusing)
{
	const struct index_append a[] = {entry(0, CHUNK, 1),
	    entry(CHUNK, 8, 2)};
	struct index_writer *w = make(INDEX_FIXED, "d.fidx", CHUNK + 8);
	struct digest good = csum(INDEX_FIXED, a, 2), bad = digest_no(99);
	struct err e = {0};
	uint64_t size;

	cr_assert_eq(index_writer_append(w, 0, a, 1, &e), 0);
	must_say(index_writer_close(w, 2, CHUNK + 8, &good, &size, &e), &e,
	    "fixed writer 'd.fidx' close failed - received wrong number of "
	    "chunk (1 != 2)");
	must_say(index_writer_close(w, 1, CHUNK + 8, &good, &size, &e), &e,
	    "unexpected chunk count (2 != 1)");
	cr_assert_eq(index_writer_append(w, 1, &a[1], 1, &e), 0);
	must_say(index_writer_close(w, 2, CHUNK, &good, &size, &e), &e,
	    "unexpected file size (4194312 != 4194304)");
	must_say(index_writer_close(w, 2, CHUNK + 8, &bad, &size, &e), &e,
	    "got unexpected checksum");
	cr_expect_neq(faccessat(fx.state_fd, "d.fidx", F_OK, 0), 0);
	cr_expect_eq(index_writer_close(w, 2, CHUNK + 8, &good, &size, &e), 0,
	    "%s", e.msg);
	index_writer_free(&w);

	state = (struct index_writer_state){0};
	w = make(INDEX_DYNAMIC, "a.didx", 0);
	good = csum(INDEX_DYNAMIC, a, 0);
	must_say(index_writer_close(w, 0, 0, &good, &size, &e), &e,
	    "dynamic writer 'a.didx' close failed - index has no entries");
	cr_assert_eq(index_writer_append(w, 0, a, 1, &e), 0);
	good = csum(INDEX_DYNAMIC, a, 1);
	must_say(index_writer_close(w, 2, CHUNK, &good, &size, &e), &e,
	    "dynamic writer 'a.didx' close failed - unexpected chunk count "
	    "(1 != 2)");
	must_say(index_writer_close(w, 1, 7, &good, &size, &e), &e,
	    "unexpected file size (4194304 != 7)");
	must_say(index_writer_close(w, 1, CHUNK, &bad, &size, &e), &e,
	    "dynamic writer 'a.didx' close failed - got unexpected checksum");
	index_writer_free(&w);
}

Test(index_writer, takes_a_batch_again_after_a_restart)
{
	const struct index_append a[] = {entry(0, 10, 1), entry(10, 10, 2),
	    entry(20, 10, 3), entry(30, 10, 4)};
	struct index_writer *w = make(INDEX_DYNAMIC, "a.didx", 0);
	struct digest sum = csum(INDEX_DYNAMIC, a, 4);
	struct err e = {0};
	uint64_t size;

	cr_assert_eq(index_writer_append(w, 0, a, 3, &e), 0);
	index_writer_free(&w);
	/* Killed behind the third entry, but only two were counted. */
	state.count = 2;
	w = reopen(INDEX_DYNAMIC, "a.didx", 0);
	cr_assert_eq(index_writer_append(w, 0, a, 4, &e), 0, "%s", e.msg);
	cr_expect_eq(index_writer_count(w), 4);
	cr_assert_eq(index_writer_append(w, 0, a, 4, &e), 0);
	cr_expect_eq(index_writer_count(w), 4);
	must_say(index_writer_append(w, 5, a, 1, &e), &e, "left out");
	cr_expect_eq(e.code, ERR_PROTO);
	cr_assert_eq(index_writer_close(w, 4, 40, &sum, &size, &e), 0, "%s",
	    e.msg);
	index_writer_free(&w);

	/* Killed again, before the close was answered. */
	w = reopen(INDEX_DYNAMIC, "a.didx", 0);
	cr_expect_eq(index_writer_append(w, 0, a, 4, &e), 0);
	cr_expect_eq(index_writer_append(w, 4, a, 1, &e), -1);
	cr_expect_eq(e.code, ERR_BAD_STATE);
	cr_expect_eq(index_writer_close(w, 4, 40, &sum, &size, &e), 0, "%s",
	    e.msg);
	cr_expect_eq(size, 40);
	sum = digest_no(5);
	cr_expect_eq(index_writer_close(w, 4, 40, &sum, &size, &e), -1);
	index_writer_free(&w);
}

Test(index_writer, cuts_off_what_was_never_counted)
{
	const struct index_append a[] = {entry(0, 10, 1), entry(10, 10, 2)};
	struct index_writer *w = make(INDEX_DYNAMIC, "a.didx", 0);
	struct digest sum = csum(INDEX_DYNAMIC, a, 1);
	struct err e = {0};
	struct stat st;
	uint64_t size;

	cr_assert_eq(index_writer_append(w, 0, a, 2, &e), 0);
	index_writer_free(&w);
	state.count = 1;
	w = reopen(INDEX_DYNAMIC, "a.didx", 0);
	cr_assert_eq(index_writer_close(w, 1, 10, &sum, &size, &e), 0, "%s",
	    e.msg);
	index_writer_free(&w);
	cr_assert_eq(fstatat(fx.state_fd, "a.didx", &st, 0), 0);
	cr_expect_eq(st.st_size, 4096 + 40);
}

Test(index_writer, uses_a_name_once)
{
	struct index_writer *w = make(INDEX_DYNAMIC, "a.didx", 0), *again;
	struct index_writer_opts o = opts(INDEX_DYNAMIC, "a.didx", 0);
	struct err e = {0};

	cr_expect_eq(index_writer_create(&again, &o, &e), -1);
	cr_expect_eq(e.code, ERR_EXISTS);
	cr_expect_null(again);
	o.name = "b.didx";
	cr_expect_eq(index_writer_reopen(&again, &o, &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	index_writer_free(&w);
}

/* A base of n chunks in base.fidx. */
static int
make_base(uint32_t n, struct digest *sum_out)
{
	struct index_writer *w = make(INDEX_FIXED, "base.fidx", n * CHUNK);
	struct index_append a[8];
	struct err e = {0};
	uint64_t size;
	uint32_t i;

	for (i = 0; i < n; i++)
		a[i] = entry(i * CHUNK, CHUNK, 100 + i);
	*sum_out = csum(INDEX_FIXED, a, n);
	cr_assert_eq(index_writer_append(w, 0, a, n, &e), 0);
	cr_assert_eq(index_writer_close(w, n, n * CHUNK, sum_out, &size, &e),
	    0);
	index_writer_free(&w);
	state = (struct index_writer_state){0};
	return openat(fx.state_fd, "base.fidx", O_RDONLY);
}

Test(index_writer, starts_as_a_copy_of_the_base)
{
	struct index_writer_opts o = opts(INDEX_FIXED, "d.fidx", 5 * CHUNK);
	struct index_append a[5];
	struct index_writer *w;
	struct digest sum;
	struct err e = {0};
	uint64_t size;
	uint32_t i;

	o.base_fd = make_base(5, &o.reuse_csum);
	cr_assert_eq(index_writer_create(&w, &o, &e), 0, "%s", e.msg);
	for (i = 0; i < 5; i++)
		a[i] = entry(i * CHUNK, CHUNK, i == 3 ? 7 : 100 + i);
	sum = csum(INDEX_FIXED, a, 5);
	cr_assert_eq(index_writer_append(w, 0, &a[3], 1, &e), 0);
	/* Only what came in this session counts, and the size is not looked
	 * at. */
	must_say(index_writer_close(w, 5, 0, &sum, &size, &e), &e,
	    "received wrong number of chunk (1 != 5)");
	cr_expect_eq(index_writer_close(w, 1, CHUNK, &sum, &size, &e), 0, "%s",
	    e.msg);
	cr_expect_eq(size, 5 * CHUNK);
	index_writer_free(&w);
	close(o.base_fd);
}

Test(index_writer, checks_the_base_before_it_copies)
{
	struct index_writer_opts o = opts(INDEX_FIXED, "d.fidx", 5 * CHUNK);
	struct index_writer *w;
	struct digest sum;
	struct err e = {0};

	o.base_fd = make_base(5, &sum);
	o.reuse_csum = digest_no(1);
	must_say(index_writer_create(&w, &o, &e), &e,
	    "doesn't match last backup's (");
	cr_expect_not_null(strstr(e.msg, "cannot do incremental backup"));
	o.reuse_csum = sum;
	o.size = 6 * CHUNK;
	must_say(index_writer_create(&w, &o, &e), &e, "index sizes not equal");
	/* Nothing is left, so that the client may try without. */
	cr_expect_neq(faccessat(fx.state_fd, "d.tmp_fidx", F_OK, 0), 0);
	o.base_fd = -1;
	cr_expect_eq(index_writer_create(&w, &o, &e), 0);
	index_writer_free(&w);
}

Test(index_writer, refuses_an_image_that_no_file_can_index)
{
	struct index_writer_opts o = opts(INDEX_FIXED, "d.fidx", UINT64_MAX);
	const struct rlimit most = {1 << 20, 1 << 20};
	struct index_writer *w;
	struct err e = {0};

	/* Some file systems would take it. */
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &most), 0);
	cr_expect_eq(index_writer_create(&w, &o, &e), -1);
	cr_expect_neq(faccessat(fx.state_fd, "d.tmp_fidx", F_OK, 0), 0);
}
