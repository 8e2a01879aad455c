/* Reading and writing indexes of both kinds, from memory, descriptor and
 * callback; damaged headers and entries. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/err.h"
#include "common/format/dynamic_index.h"
#include "common/format/fixed_index.h"

#define MIB (UINT64_C(1) << 20)

static const uint8_t uuid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16};

struct file {
	uint8_t bytes[INDEX_HEADER_LEN + 3000 * DYNAMIC_INDEX_ENTRY_LEN];
	size_t len;
};

static struct digest
digest_no(uint32_t i)
{
	struct digest d = {{0xd0}};

	memcpy(&d.b[1], &i, sizeof(i));
	return d;
}

/* n chunks of 4 MiB, the last one of a byte. */
static void
make_fixed(struct file *f, uint32_t n)
{
	struct digest d;
	uint32_t i;

	fixed_index_put_header(f->bytes, uuid, 1234567890, NULL,
	    (n - 1) * 4 * MIB + 1, 4 * MIB);
	for (i = 0; i < n; i++) {
		d = digest_no(i);
		memcpy(f->bytes + fixed_index_entry_pos(i), d.b, DIGEST_LEN);
	}
	f->len = fixed_index_entry_pos(n);
}

/* Chunk i has 1000 + i bytes. */
static void
make_dynamic(struct file *f, uint32_t n)
{
	uint64_t end = 0;
	struct digest d;
	uint32_t i;

	dynamic_index_put_header(f->bytes, uuid, -5, NULL);
	for (i = 0; i < n; i++) {
		d = digest_no(i);
		end += 1000 + i;
		dynamic_index_put_entry(f->bytes + dynamic_index_entry_pos(i),
		    end, &d);
	}
	f->len = dynamic_index_entry_pos(n);
}

static int
to_memfd(const struct file *f)
{
	int fd = memfd_create("index", MFD_CLOEXEC);

	cr_assert_eq(write(fd, f->bytes, f->len), (ssize_t)f->len);
	return fd;
}

static int
read_cb(void *arg, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct file *f = arg;

	if (off > f->len || len > f->len - off)
		return err_set(e, ERR_IO, "beyond the end");
	memcpy(buf, f->bytes + off, len);
	return 0;
}

static void
check_all_entries(const struct index_view *v, uint32_t n)
{
	struct index_entry *all = calloc(n, sizeof(*all)), one;
	struct digest want;
	uint64_t start = 0;
	struct err e;
	uint32_t i;

	cr_assert_eq(v->count, n);
	cr_assert_eq(index_get_entries(v, 0, n, all, &e), 0, "%s", e.msg);
	for (i = 0; i < n; i++) {
		want = digest_no(i);
		cr_assert(digest_equal(&all[i].digest, &want));
		cr_assert_eq(all[i].start, start);
		start = all[i].end;
	}
	cr_expect_eq(start, v->size);
	cr_assert_eq(index_get_entry(v, n - 1, &one, &e), 0);
	cr_expect_eq(memcmp(&one, &all[n - 1], sizeof(one)), 0);
	cr_expect_eq(index_get_entry(v, n, &one, &e), -1);
	cr_expect_eq(index_get_entries(v, n, 1, &one, &e), -1);
	cr_expect_eq(index_get_entries(v, UINT64_MAX, 2, all, &e), -1);
	cr_expect_eq(index_get_entries(v, n, 0, &one, &e), 0);
	free(all);
}

static void
check_three_ways(struct file *f, uint32_t n)
{
	struct index_view v;
	struct digest csum[3];
	struct err e;
	int fd = to_memfd(f);

	cr_assert_eq(index_open_map(&v, f->bytes, f->len, &e), 0);
	check_all_entries(&v, n);
	index_csum(&v, &csum[0], &e);
	cr_assert_eq(index_open_fd(&v, fd, &e), 0);
	check_all_entries(&v, n);
	index_csum(&v, &csum[1], &e);
	cr_assert_eq(index_open_read(&v, f->len, read_cb, f, &e), 0);
	check_all_entries(&v, n);
	cr_assert_eq(index_csum(&v, &csum[2], &e), 0);
	cr_expect(digest_equal(&csum[0], &csum[1]));
	cr_expect(digest_equal(&csum[0], &csum[2]));
	close(fd);
}

Test(index, fixed_has_the_documented_bytes)
{
	struct file f = {0};
	struct digest csum = digest_no(9);
	static const uint8_t magic[8] = {0x2f, 0x7f, 0x41, 0xed, 0x91, 0xfd,
	    0x0f, 0xcd};
	static const uint8_t size[8] = {1, 0, 0x40, 0, 0, 0, 0, 0};
	static const uint8_t chunk[8] = {0, 0, 0x40, 0, 0, 0, 0, 0};

	memset(f.bytes, 0xff, INDEX_HEADER_LEN);
	fixed_index_put_header(f.bytes, uuid, 0x0102, &csum, 4 * MIB + 1,
	    4 * MIB);
	cr_expect_arr_eq(f.bytes, magic, 8);
	cr_expect_arr_eq(f.bytes + 8, uuid, 16);
	cr_expect_eq(f.bytes[24], 2);
	cr_expect_eq(f.bytes[25], 1);
	cr_expect_arr_eq(f.bytes + 32, csum.b, 32);
	cr_expect_arr_eq(f.bytes + 64, size, 8);
	cr_expect_arr_eq(f.bytes + 72, chunk, 8);
	cr_expect_eq(f.bytes[80], 0);
	cr_expect_eq(f.bytes[4095], 0);
	cr_expect_eq(fixed_index_entry_pos(2), 4096 + 64);
	cr_expect_eq(fixed_index_count(0, 4), 0);
	cr_expect_eq(fixed_index_count(UINT64_MAX, 4 * MIB), UINT64_C(1) << 42);
}

Test(index, dynamic_has_the_documented_bytes)
{
	static const uint8_t magic[8] = {0x1c, 0x91, 0x4e, 0xa5, 0x19, 0xba,
	    0xb3, 0xcd};
	struct digest d = digest_no(7), back;
	struct file f = {0};
	uint64_t end;

	dynamic_index_put_header(f.bytes, uuid, 1, &d);
	cr_expect_arr_eq(f.bytes, magic, 8);
	cr_expect_arr_eq(f.bytes + 32, d.b, 32);
	cr_expect_eq(f.bytes[64], 0);
	dynamic_index_put_entry(f.bytes, UINT64_C(0x0807060504030201), &d);
	cr_expect_eq(f.bytes[0], 1);
	cr_expect_eq(f.bytes[7], 8);
	cr_expect_arr_eq(f.bytes + 8, d.b, 32);
	dynamic_index_get_entry(f.bytes, &end, &back);
	cr_expect_eq(end, UINT64_C(0x0807060504030201));
	cr_expect(digest_equal(&d, &back));
	cr_expect_eq(dynamic_index_entry_pos(2), 4096 + 80);
}

Test(index, reads_fixed)
{
	static struct file f;
	struct index_view v;
	struct err e;

	make_fixed(&f, 2500);
	check_three_ways(&f, 2500);
	cr_assert_eq(index_open_map(&v, f.bytes, f.len, &e), 0);
	cr_expect_eq(v.kind, INDEX_FIXED);
	cr_expect_eq(v.chunk_size, 4 * MIB);
	cr_expect_eq(v.header.ctime, 1234567890);
	cr_expect_arr_eq(v.header.uuid, uuid, 16);
}

Test(index, reads_dynamic)
{
	static struct file f;
	struct index_view v;
	struct err e;

	make_dynamic(&f, 2500);
	check_three_ways(&f, 2500);
	cr_assert_eq(index_open_map(&v, f.bytes, f.len, &e), 0);
	cr_expect_eq(v.kind, INDEX_DYNAMIC);
	cr_expect_eq(v.header.ctime, -5);
}

Test(index, csum_is_over_the_entries)
{
	struct digest_ctx *ctx = digest_ctx_new();
	static struct file f;
	struct digest want, have;
	struct index_view v;
	struct err e;
	int fd;

	make_fixed(&f, 1500);
	digest_of(ctx, f.bytes + 4096, f.len - 4096, &want);
	index_open_map(&v, f.bytes, f.len, &e);
	cr_assert_eq(index_csum(&v, &have, &e), 0);
	cr_expect(digest_equal(&want, &have));
	fd = to_memfd(&f);
	cr_assert_eq(fixed_index_csum_fd(fd, 1500, &have, &e), 0);
	cr_expect(digest_equal(&want, &have));
	cr_expect_eq(fixed_index_csum_fd(fd, 1501, &have, &e), -1);
	close(fd);

	make_dynamic(&f, 1500);
	digest_of(ctx, f.bytes + 4096, f.len - 4096, &want);
	index_open_map(&v, f.bytes, f.len, &e);
	cr_assert_eq(index_csum(&v, &have, &e), 0);
	cr_expect(digest_equal(&want, &have));
	fd = to_memfd(&f);
	cr_assert_eq(dynamic_index_csum_fd(fd, 1500, &have, &e), 0);
	cr_expect(digest_equal(&want, &have));
	close(fd);
	digest_ctx_free(ctx);
}

Test(index, finds_by_offset)
{
	static struct file f;
	struct index_view v;
	struct index_entry entry;
	uint64_t off, i;
	struct err e;

	make_dynamic(&f, 100);
	index_open_map(&v, f.bytes, f.len, &e);
	for (off = 0; off < v.size; off += 7) {
		cr_assert_eq(index_find(&v, off, &i, &e), 0);
		index_get_entry(&v, i, &entry, &e);
		cr_assert(off >= entry.start && off < entry.end);
	}
	cr_expect_eq(index_find(&v, v.size, &i, &e), -1);
	make_fixed(&f, 3);
	index_open_map(&v, f.bytes, f.len, &e);
	cr_expect_eq(index_find(&v, 8 * MIB, &i, &e), 0);
	cr_expect_eq(i, 2);
	cr_expect_eq(index_find(&v, 8 * MIB + 1, &i, &e), -1);
}

static void
expect_refused(const struct file *f, const char *why)
{
	struct index_view v;
	struct err e;

	cr_expect_eq(index_open_map(&v, f->bytes, f->len, &e), -1, "%s", why);
	cr_expect_eq(e.code, ERR_CORRUPT, "%s: %s", why, e.msg);
}

static void
put_u64(struct file *f, size_t pos, uint64_t v)
{
	memcpy(f->bytes + pos, &v, sizeof(v));
}

Test(index, refuses_damaged_headers)
{
	static struct file f;

	make_fixed(&f, 4);
	f.len = 0;
	expect_refused(&f, "empty");
	f.len = 4095;
	expect_refused(&f, "short");
	make_fixed(&f, 4);
	f.len--;
	expect_refused(&f, "a byte missing");
	f.len -= 31;
	expect_refused(&f, "an entry missing");
	make_fixed(&f, 4);
	f.bytes[0] ^= 1;
	expect_refused(&f, "magic");
	make_fixed(&f, 4);
	put_u64(&f, 72, 0);
	expect_refused(&f, "chunk size 0");
	put_u64(&f, 72, 3 * MIB);
	expect_refused(&f, "chunk size no power of two");
	put_u64(&f, 72, UINT64_C(1) << 63);
	expect_refused(&f, "chunk size huge");
	make_fixed(&f, 4);
	put_u64(&f, 64, UINT64_MAX);
	expect_refused(&f, "size huge");
	put_u64(&f, 64, 0);
	f.len = 4096;
	expect_refused(&f, "no entries");
	make_dynamic(&f, 4);
	f.len -= 8;
	expect_refused(&f, "not whole entries");
	f.len = 4096;
	expect_refused(&f, "no entries");
}

/* Other chunk sizes than ours, as other writers may use. */
Test(index, accepts_other_chunk_sizes)
{
	static struct file f;
	struct index_view v;
	struct err e;

	make_fixed(&f, 2);
	put_u64(&f, 72, 65536);
	put_u64(&f, 64, 65537);
	cr_expect_eq(index_open_map(&v, f.bytes, f.len, &e), 0);
	cr_expect_eq(v.chunk_size, 65536);
}

Test(index, finds_impossible_offsets)
{
	static struct file f;
	struct index_entry entries[4];
	struct index_view v;
	struct digest d;
	struct err e;
	size_t i;
	const uint64_t ends[][4] = {
	    {10, 10, 20, 30},                       /* empty chunk */
	    {10, 5, 20, 30},                        /* going back */
	    {0, 5, 20, 30},                         /* empty first */
	    {10, 5000000000, 20, 30},               /* beyond the end */
	    {10, 20, 21, 21 + INDEX_CHUNK_MAX + 1}, /* too long */
	    {UINT64_MAX, 1, 2, 3},
	};

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t k;

		make_dynamic(&f, 4);
		for (k = 0; k < 4; k++)
			put_u64(&f, dynamic_index_entry_pos(k), ends[i][k]);
		cr_assert_eq(index_open_map(&v, f.bytes, f.len, &e), 0);
		cr_expect_eq(index_get_entries(&v, 0, 4, entries, &e), -1,
		    "row %zu", i);
		cr_expect_eq(e.code, ERR_CORRUPT);
		cr_expect_eq(index_csum(&v, &d, &e), -1);
	}
}

/* A file that is shorter than it was when it was opened. */
Test(index, survives_a_shrinking_file)
{
	static struct file f;
	struct index_entry entry;
	struct index_view v;
	struct digest d;
	struct err e;
	int fd;

	make_dynamic(&f, 100);
	fd = to_memfd(&f);
	cr_assert_eq(index_open_fd(&v, fd, &e), 0);
	cr_assert_eq(ftruncate(fd, 5000), 0);
	cr_expect_eq(index_get_entry(&v, 99, &entry, &e), -1);
	cr_expect_eq(index_csum(&v, &d, &e), -1);
	close(fd);
	cr_expect_eq(index_open_fd(&v, -1, &e), -1);
	cr_expect_eq(e.sys, EBADF);
}

Test(index, refuses_what_is_no_file)
{
	struct index_view v;
	struct err e;
	int p[2];

	cr_assert_eq(pipe(p), 0);
	cr_expect_eq(index_open_fd(&v, p[0], &e), -1);
	cr_expect_eq(e.code, ERR_CORRUPT);
	close(p[0]);
	close(p[1]);
}
