/* The catalog: varints, writing, reading back, damage. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/catalog.h"

struct output {
	uint8_t bytes[1 << 16];
	size_t len;
	size_t fail_at; /* writing beyond fails; 0: never */
};

static int
write_cb(void *arg, const void *buf, size_t len, struct err *e)
{
	struct output *o = arg;

	if (o->fail_at > 0 && o->len + len > o->fail_at)
		return err_set(e, ERR_NOSPACE, "full");
	cr_assert(o->len + len <= sizeof(o->bytes));
	memcpy(o->bytes + o->len, buf, len);
	o->len += len;
	return 0;
}

static int
read_cb(void *arg, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct output *o = arg;

	if (off > o->len || len > o->len - off)
		return err_set(e, ERR_IO, "beyond the end");
	memcpy(buf, o->bytes + off, len);
	return 0;
}

static void
expect_i64(int64_t v, const char *bytes, size_t len)
{
	uint8_t b[CATALOG_VARINT_MAX];
	int64_t back;
	size_t n;

	cr_assert_eq(catalog_put_i64(b, v), len);
	cr_expect_arr_eq(b, bytes, len);
	cr_expect_eq(catalog_get_i64(b, len, &back), len);
	cr_expect_eq(back, v);
	for (n = 0; n < len; n++)
		cr_expect_eq(catalog_get_i64(b, n, &back), 0);
}

Test(catalog, signed_numbers)
{
	expect_i64(0, "\0", 1);
	expect_i64(127, "\x7f", 1);
	expect_i64(128, "\x80\x01", 2);
	expect_i64(-1, "\x81\x00", 2);
	expect_i64(-127, "\xff\x00", 2);
	expect_i64(-128, "\x80\x81\x00", 3);
	expect_i64(-300, "\xac\x82\x00", 3);
	expect_i64(INT64_MIN, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x81\x00",
	    11);
	expect_i64(INT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 9);
}

static void
expect_u64(uint64_t v, const char *bytes, size_t len)
{
	uint8_t b[CATALOG_VARINT_MAX];
	uint64_t back;
	size_t n;

	cr_assert_eq(catalog_put_u64(b, v), len);
	cr_expect_arr_eq(b, bytes, len);
	cr_expect_eq(catalog_get_u64(b, len, &back), len);
	cr_expect_eq(back, v);
	for (n = 0; n < len; n++)
		cr_expect_eq(catalog_get_u64(b, n, &back), 0);
}

Test(catalog, unsigned_numbers)
{
	expect_u64(0, "\0", 1);
	expect_u64(127, "\x7f", 1);
	expect_u64(128, "\x80\x01", 2);
	expect_u64(300, "\xac\x02", 2);
	expect_u64(1593179765, "\xf5\xfc\xd7\xf7\x05", 5);
	expect_u64(UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
}

Test(catalog, refuses_numbers_that_do_not_fit)
{
	static const char *const bad[] = {
	    "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
	    "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
	    "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"};
	uint64_t u;
	int64_t s;
	size_t i;

	for (i = 0; i < 3; i++) {
		const uint8_t *b = (const uint8_t *)bad[i];
		size_t len = strlen(bad[i]);

		cr_expect_eq(catalog_get_u64(b, len, &u), 0);
		cr_expect_eq(catalog_get_i64(b, len, &s), 0);
	}
	/* 2^63, and -(2^63 + 1) */
	cr_expect_eq(
	    catalog_get_i64((const uint8_t *)"\x80\x80\x80\x80\x80\x80\x80\x80"
					     "\x80\x01",
		10, &s),
	    0);
	cr_expect_eq(
	    catalog_get_i64((const uint8_t *)"\x81\x80\x80\x80\x80\x80\x80\x80"
					     "\x80\x81\0",
		11, &s),
	    0);
}

/* root.pxar.didx/{f, l, d/{x}}, other.pxar.didx/{} */
static void
make(struct output *o)
{
	struct catalog_writer *w = catalog_writer_new(write_cb, o);
	struct err e;

	cr_assert_eq(catalog_writer_enter(w, "root.pxar.didx", &e), 0);
	cr_assert_eq(catalog_writer_add_file(w, "f", 300, -1, &e), 0);
	cr_assert_eq(catalog_writer_add(w, CATALOG_SYMLINK, "l", &e), 0);
	cr_assert_eq(catalog_writer_enter(w, "d", &e), 0);
	cr_assert_eq(catalog_writer_add_file(w, "x", 1, 2, &e), 0);
	cr_assert_eq(catalog_writer_leave(w, &e), 0);
	cr_assert_eq(catalog_writer_leave(w, &e), 0);
	cr_assert_eq(catalog_writer_enter(w, "other.pxar.didx", &e), 0);
	cr_assert_eq(catalog_writer_leave(w, &e), 0);
	cr_assert_eq(catalog_writer_finish(w, &e), 0);
	catalog_writer_free(w);
}

Test(catalog, has_the_documented_bytes)
{
	/* magic; d at 8: len 6, 1 entry; root at 15: its d is 7 back */
	static const uint8_t want[] = "\x91\xfd\x60\xf9\xc4\x67\x58\xd5"
				      "\x06\x01"
				      "f\1x\1\2"
				      "\x0f\x03"
				      "f\1f\xac\x02\x81\0"
				      "l\1l"
				      "d\1d\7"
				      "\x01\x00";
	static struct output o;

	make(&o);
	cr_expect_arr_eq(o.bytes, want, sizeof(want) - 1);
	/* the root block, behind the two folders */
	cr_expect_eq(o.bytes[o.len - 8], sizeof(want) - 1);
}

/* Lists one folder as "type name, ..." and descends into dirs. */
static int
list(struct output *o, uint64_t pos, char *text, int depth, struct err *e)
{
	struct catalog_entry *entry = calloc(1, sizeof(*entry));
	struct catalog_dir *dir;
	int rv;

	if (depth > 8 ||
	    catalog_dir_open(read_cb, o, o->len, pos, &dir, e) < 0) {
		free(entry);
		return -1;
	}
	while ((rv = catalog_dir_next(dir, entry, e)) == 1) {
		size_t n = strlen(text);

		if (n < 400)
			snprintf(text + n, 100, "%c %.20s %d %d,",
			    (int)entry->type, entry->name, (int)entry->size,
			    (int)entry->mtime);
		if (entry->type == CATALOG_DIR &&
		    (rv = list(o, entry->dir_pos, text, depth + 1, e)) < 0)
			break;
	}
	catalog_dir_close(dir);
	free(entry);
	return rv;
}

static int
list_all(struct output *o, char *text, struct err *e)
{
	uint64_t pos;

	text[0] = '\0';
	if (catalog_root(read_cb, o, o->len, &pos, e) < 0)
		return -1;
	return list(o, pos, text, 0, e);
}

Test(catalog, reads_back)
{
	static struct output o;
	char text[512];
	struct err e;

	make(&o);
	cr_assert_eq(list_all(&o, text, &e), 0, "%s", e.msg);
	cr_expect_str_eq(text,
	    "d root.pxar.didx 0 0,f f 300 -1,l l 0 0,d d 0 0,f x 1 2,"
	    "d other.pxar.didx 0 0,");
	catalog_dir_close(NULL);
}

Test(catalog, empty)
{
	static struct output o;
	struct catalog_writer *w = catalog_writer_new(write_cb, &o);
	char text[512];
	struct err e;

	cr_assert_eq(catalog_writer_finish(w, &e), 0);
	catalog_writer_free(w);
	cr_expect_eq(o.len, 8 + 2 + 8);
	cr_expect_eq(list_all(&o, text, &e), 0);
	cr_expect_str_eq(text, "");
}

Test(catalog, writer_refuses)
{
	static struct output o;
	struct catalog_writer *w = catalog_writer_new(write_cb, &o);
	char name[CATALOG_NAME_MAX + 2];
	struct err e;

	cr_expect_eq(catalog_writer_leave(w, &e), -1);
	cr_expect_eq(catalog_writer_enter(w, "a/b", &e), -1);
	cr_expect_eq(catalog_writer_add_file(w, "", 0, 0, &e), -1);
	cr_expect_eq(catalog_writer_add(w, CATALOG_FIFO, "..", &e), -1);
	cr_expect_eq(catalog_writer_add(w, CATALOG_FILE, "f", &e), -1);
	memset(name, 'n', sizeof(name));
	name[CATALOG_NAME_MAX + 1] = '\0';
	cr_expect_eq(catalog_writer_add(w, CATALOG_FIFO, name, &e), -1);
	name[CATALOG_NAME_MAX] = '\0';
	cr_expect_eq(catalog_writer_add(w, CATALOG_FIFO, name, &e), 0);
	cr_expect_eq(catalog_writer_enter(w, "d", &e), 0);
	cr_expect_eq(catalog_writer_finish(w, &e), -1);
	o.fail_at = 5;
	cr_expect_eq(catalog_writer_leave(w, &e), -1);
	cr_expect_eq(e.code, ERR_NOSPACE);
	catalog_writer_free(w);
	catalog_writer_free(NULL);
}

/* Every cut and every changed byte: no read outside, no endless loop. */
Test(catalog, survives_damage)
{
	static const uint8_t flips[] = {0x01, 0x7f, 0x80, 0xff};
	static struct output o;
	char text[512];
	struct err e;
	size_t i, k, len;

	make(&o);
	for (i = 0; i < o.len; i++) {
		for (k = 0; k < sizeof(flips); k++) {
			e.code = ERR_OK;
			o.bytes[i] ^= flips[k];
			list_all(&o, text, &e);
			cr_expect_neq(e.code, ERR_IO, "byte %zu", i);
			o.bytes[i] ^= flips[k];
		}
	}
	len = o.len;
	for (o.len = 0; o.len < len; o.len++) {
		e.code = ERR_OK;
		cr_expect_eq(list_all(&o, text, &e), -1);
		cr_expect_neq(e.code, ERR_IO);
	}
}

/* One block, made by hand, that must be refused. */
static void
expect_refused(const char *block, size_t len, const char *why)
{
	static struct output o;
	char text[512];
	struct err e;

	o.len = 0;
	write_cb(&o, "\x91\xfd\x60\xf9\xc4\x67\x58\xd5", 8, &e);
	write_cb(&o, block, len, &e);
	write_cb(&o, "\x08\0\0\0\0\0\0\0", 8, &e);
	cr_expect_eq(list_all(&o, text, &e), -1, "%s", why);
	cr_expect_eq(e.code, ERR_CORRUPT, "%s: %s", why, e.msg);
}

Test(catalog, refuses_impossible_blocks)
{
	expect_refused("\0", 1, "no count");
	expect_refused("\5\1p\1x", 5, "longer than the file");
	expect_refused("\5\1p\1x\0", 6, "a byte too many");
	expect_refused("\4\2p\1x", 5, "an entry missing");
	expect_refused("\3\1p\0", 4, "empty name");
	expect_refused("\4\1p\1/", 5, "slash");
	expect_refused("\5\1p\2..", 6, "dot dot");
	expect_refused("\4\1p\1\0", 5, "NUL");
	expect_refused("\4\1q\1x", 5, "unknown type");
	expect_refused("\4\1p\2x", 5, "name beyond the block");
	expect_refused("\4\1f\1x", 5, "no size");
	expect_refused("\5\1f\1x\1", 6, "no time");
	expect_refused("\5\1d\1x\0", 6, "folder in itself");
	expect_refused("\5\1d\1x\1", 6, "folder in the magic");
	expect_refused("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, "huge");
	expect_refused("\5\xff\xff\xff\xff\x0f", 6, "count too large");
}
