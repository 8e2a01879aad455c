/*
 * tar, zip and zstd streams: the numbers and lengths that honest files hardly
 * reach; tests/process/test_file_access.py reads whole ones with other
 * programs.
 */
#include "config.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/err.h"
#include "common/format/blob.h"
#include "common/format/le.h"
#include "common/sbuf.h"
#include "server/pack.h"

#define OUT_MAX (80u << 20)

static int
collect(void *arg, const void *p, size_t len, struct err *e)
{
	struct sbuf *b = arg;

	sbuf_add(b, p, len);
	return b->overflow ? err_set(e, ERR_NOSPACE, "full") : 0;
}

/* Counts only: for files that are too large for memory. */
static int
count(void *arg, const void *p, size_t len, struct err *e)
{
	(void)p;
	(void)e;
	*(uint64_t *)arg += len;
	return 0;
}

static struct pack_entry
file_entry(const char *path, uint64_t size)
{
	struct pack_entry n = {
	    .path = path,
	    .type = PXAR_FILE,
	    .size = size,
	    .target = "",
	};

	n.stat.mode = S_IFREG | 0640;
	n.stat.mtime = 1700000000;
	return n;
}

static void
one(const struct pack_ops *ops, const struct pack_entry *n, const char *content,
    struct sbuf *out)
{
	struct pack *p;
	struct err e;

	sbuf_init(out, OUT_MAX);
	p = ops->new (collect, out);
	cr_assert_eq(ops->begin(p, n, &e), 0, "%s", e.msg);
	if (n->type == PXAR_FILE) {
		cr_assert_eq(ops->data(p, content, strlen(content), &e), 0);
		cr_assert_eq(ops->end(p, &e), 0);
	}
	cr_assert_eq(ops->finish(p, &e), 0, "%s", e.msg);
	ops->free(p);
}

/* The value of a pax record, "" if there is none. */
static const char *
pax(const struct sbuf *b, const char *key, char out[128])
{
	char mark[64], *at;
	size_t len;

	out[0] = '\0';
	snprintf(mark, sizeof(mark), " %s=", key);
	at = memmem(b->data, b->len, mark, strlen(mark));
	if (at != NULL) {
		at += strlen(mark);
		len = strcspn(at, "\n");
		cr_assert(len < 128);
		memcpy(out, at, len);
		out[len] = '\0';
	}
	return out;
}

Test(tar, small_file)
{
	struct pack_entry n = file_entry("a/b", 5);
	struct sbuf b;
	char text[128];

	one(&pack_tar_ops, &n, "12345", &b);
	cr_expect_eq(b.len, 512 + 512 + 1024);
	cr_expect_str_eq(b.data, "a/b");
	cr_expect_str_eq(b.data + 100, "0000640");
	cr_expect_str_eq(b.data + 124, "00000000005");
	cr_expect_eq(b.data[156], '0');
	cr_expect_eq(memcmp(b.data + 257, "ustar\00000", 8), 0);
	cr_expect_str_eq(b.data + 512, "12345");
	cr_expect_str_eq(pax(&b, "path", text), "");
	sbuf_fini(&b);
}

Test(tar, what_does_not_fit_is_in_a_pax_header)
{
	struct pack_entry n = file_entry(NULL, UINT64_C(1) << 33);
	char path[101 + 1], text[128];
	uint64_t len = 0;
	struct pack *p;
	struct sbuf b;
	struct err e;

	memset(path, 'x', 101);
	path[101] = '\0';
	n.path = path;
	n.stat.uid = UINT32_MAX;
	n.stat.gid = 2097152;
	n.stat.mtime = -5;
	sbuf_init(&b, OUT_MAX);
	p = pack_tar_ops.new(collect, &b);
	cr_assert_eq(pack_tar_ops.begin(p, &n, &e), 0);
	pack_tar_ops.free(p);
	cr_expect_eq(b.len, 3 * 512);
	cr_expect_eq(b.data[156], 'x');
	cr_expect_str_eq(pax(&b, "path", text), path);
	cr_expect_str_eq(pax(&b, "size", text), "8589934592");
	cr_expect_str_eq(pax(&b, "uid", text), "4294967295");
	cr_expect_str_eq(pax(&b, "gid", text), "2097152");
	cr_expect_str_eq(pax(&b, "mtime", text), "-5");
	/* "110 path=xxx...\n": a length that counts its own digits */
	cr_expect_eq(memcmp(b.data + 512, "111 path=x", 10), 0);
	sbuf_fini(&b);
	/* Just small enough. */
	n = file_entry(path + 1, (UINT64_C(1) << 33) - 1);
	n.stat.uid = 2097151;
	p = pack_tar_ops.new(count, &len);
	cr_assert_eq(pack_tar_ops.begin(p, &n, &e), 0);
	pack_tar_ops.free(p);
	cr_expect_eq(len, 512);
}

Test(tar, types_that_it_has_not_are_left_out)
{
	struct pack_entry n = file_entry("s", 0);
	uint64_t len = 0;
	struct pack *p = pack_tar_ops.new(count, &len);
	struct err e;

	n.type = PXAR_SOCKET;
	cr_expect_eq(pack_tar_ops.begin(p, &n, &e), 0);
	cr_expect_eq(len, 0);
	pack_tar_ops.free(p);
}

Test(zip, small_file)
{
	struct pack_entry n = file_entry("a", 5);
	struct sbuf b;
	const uint8_t *end;

	one(&pack_zip_ops, &n, "12345", &b);
	cr_expect_eq(memcmp(b.data, "PK\003\004\024\0", 6), 0);
	cr_expect_eq(memcmp(b.data + 31, "12345PK\007\010", 9), 0);
	cr_expect_eq(get_le32((uint8_t *)b.data + 40),
	    blob_crc32(0, "12345", 5));
	end = (uint8_t *)b.data + b.len - 22;
	cr_expect_eq(memcmp(end, "PK\005\006", 4), 0);
	cr_expect_eq(end[10], 1);
	cr_expect_eq(get_le32(end + 16), 31 + 5 + 16);
	sbuf_fini(&b);
}

/* Times before 1980 and after 2107 have no place in it. */
Test(zip, times_out_of_range)
{
	static const int64_t times[] = {0, -1, INT64_MAX, INT64_MIN,
	    INT64_C(1) << 40};
	struct pack_entry n = file_entry("a", 0);
	struct sbuf b;
	size_t i;

	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		n.stat.mtime = times[i];
		one(&pack_zip_ops, &n, "", &b);
		cr_expect_eq(memcmp(b.data + 10, "\0\0\x21\0", 4), 0);
		sbuf_fini(&b);
	}
}

/* A file of 4 GiB - 1, and one behind it. */
Test(zip, zip64_for_large_files_and_far_ones)
{
	static char block[1 << 20];
	struct pack_entry n = file_entry("big", UINT32_MAX);
	uint64_t len = 0, left;
	struct pack *p = pack_zip_ops.new(count, &len);
	struct err e;
	size_t part;

	cr_assert_eq(pack_zip_ops.begin(p, &n, &e), 0);
	cr_expect_eq(len, 30 + 3 + 20);
	for (left = n.size; left > 0; left -= part) {
		part = left < sizeof(block) ? (size_t)left : sizeof(block);
		cr_assert_eq(pack_zip_ops.data(p, block, part, &e), 0);
	}
	len = 0;
	cr_assert_eq(pack_zip_ops.end(p, &e), 0);
	cr_expect_eq(len, 24);
	len = 0;
	n = file_entry("far", 0);
	cr_assert_eq(pack_zip_ops.begin(p, &n, &e), 0);
	cr_assert_eq(pack_zip_ops.end(p, &e), 0);
	cr_expect_eq(len, 30 + 3 + 20 + 24);
	len = 0;
	cr_assert_eq(pack_zip_ops.finish(p, &e), 0);
	cr_expect_eq(len, 2 * (46 + 3 + 28) + 56 + 20 + 22);
	pack_zip_ops.free(p);
}

/* More than 65,535 entries, and then more than its directory may have. */
Test(zip, many_files)
{
	char name[2000];
	struct pack_entry n;
	uint64_t len = 0;
	struct pack *p = pack_zip_ops.new(count, &len);
	struct err e;
	unsigned int i;
	int rv = 0;

	for (i = 0; i < 65536; i++) {
		snprintf(name, sizeof(name), "%u", i);
		n = file_entry(name, 0);
		n.type = PXAR_DIR;
		cr_assert_eq(pack_zip_ops.begin(p, &n, &e), 0);
	}
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (i = 0; i < 100000 && rv == 0; i++)
		rv = pack_zip_ops.begin(p, &n, &e);
	cr_expect_eq(rv, -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	pack_zip_ops.free(p);
}

Test(pack, failures_of_the_writer_are_passed_on)
{
	const struct pack_ops *const all[] = {&pack_tar_ops, &pack_zip_ops};
	struct pack_entry n = file_entry("a", 5);
	struct sbuf b;
	struct pack *p;
	struct err e;
	size_t i;

	for (i = 0; i < 2; i++) {
		sbuf_init(&b, 3);
		p = all[i]->new (collect, &b);
		cr_expect_eq(all[i]->begin(p, &n, &e), -1);
		cr_expect_eq(e.code, ERR_NOSPACE);
		cr_expect_eq(all[i]->finish(p, &e), -1);
		all[i]->free(p);
		sbuf_fini(&b);
	}
}

/* --- zstd ----------------------------------------------------------------- */

/* Through the same functions as a blob: they take a row of frames. */
static void
round_trip(const uint8_t *data, size_t len)
{
	struct blob_codec *codec = blob_codec_new();
	uint8_t *back = malloc(len + 1);
	struct pack_zstd *z;
	struct sbuf b;
	struct err e;
	size_t n, i, part;

	sbuf_init(&b, OUT_MAX);
	z = pack_zstd_new(collect, &b);
	for (i = 0; i < len; i += part) {
		part = len - i < 70001 ? len - i : 70001;
		cr_assert_eq(pack_zstd_write(z, data + i, part, &e), 0);
	}
	cr_assert_eq(pack_zstd_finish(z, &e), 0, "%s", e.msg);
	pack_zstd_free(z);
	if (len == 0) {
		cr_expect_eq(b.len, 0);
		goto out;
	}
	cr_assert_eq(blob_decompress(codec, b.data, b.len, back, len + 1, &n,
			 &e),
	    0, "%s", e.msg);
	cr_expect_eq(n, len);
	cr_expect_eq(memcmp(back, data, len), 0);
out:
	sbuf_fini(&b);
	free(back);
	blob_codec_free(codec);
}

Test(pack_zstd, round_trips)
{
	static const size_t lens[] = {0, 1, 2, 300, (128 << 10) - 1, 128 << 10,
	    (128 << 10) + 1, 1 << 20};
	uint8_t *random = malloc(1 << 20), *zeros = calloc(1, 1 << 20);
	uint32_t x = 1;
	size_t i;

	for (i = 0; i < 1 << 20; i++) {
		x = x * 1664525 + 1013904223;
		random[i] = (uint8_t)(x >> 24);
	}
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		round_trip(random, lens[i]); /* frames as they are */
		round_trip(zeros, lens[i]);
	}
	free(random);
	free(zeros);
}
