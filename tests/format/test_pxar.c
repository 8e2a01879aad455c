/* The streaming reader and the lookup by name, on archives made here; what
 * is damaged is refused, wherever it is cut or changed. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/err.h"
#include "common/format/pxar_int.h"
#include "tests/format/pxar_make.h"

struct input {
	const uint8_t *bytes;
	size_t len;
	size_t pos;
};

/* At most 7 bytes at a time: readers must not expect more. */
static int
read_cb(void *arg, void *buf, size_t len, size_t *got, struct err *e)
{
	struct input *in = arg;

	(void)e;
	*got = len < 7 ? len : 7;
	if (*got > in->len - in->pos)
		*got = in->len - in->pos;
	memcpy(buf, in->bytes + in->pos, *got);
	in->pos += *got;
	return 0;
}

static int
read_at_cb(void *arg, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct input *in = arg;

	if (off > in->len || len > in->len - off)
		return err_set(e, ERR_IO, "beyond the end");
	memcpy(buf, in->bytes + off, len);
	return 0;
}

/* Every kind of object.  Call pxm_fini(). */
static void
make_all_kinds(struct pxm *m)
{
	uint8_t dev[16] = {8, 0, 0, 0, 0, 0, 0, 0, 1}, link[32] = {0};

	pxm_init(m, 0);
	pxm_enter(m, NULL);
	pxm_file(m, "a", "hello", 5);
	pxm_file(m, "empty", "", 0);
	pxm_symlink(m, "l", "../any where\x01");
	pxm_enter(m, "sub");
	pxm_name(m, "fifo");
	pxm_entry(m, S_IFIFO | 0600);
	pxm_done(m);
	pxm_name(m, "sock");
	pxm_entry(m, S_IFSOCK | 0600);
	pxm_item(m, PXAR_QUOTA_PROJID, dev, 8);
	pxm_done(m);
	pxm_name(m, "disk");
	pxm_entry(m, S_IFBLK | 0600);
	pxm_item(m, PXAR_DEVICE, dev, 16);
	pxm_done(m);
	pxm_leave(m);
	pxm_name(m, "z");
	link[0] = (uint8_t)(m->dirs[0]->places[m->dirs[0]->count].pos -
	    m->dirs[0]->places[0].pos);
	link[1] = (uint8_t)((m->dirs[0]->places[m->dirs[0]->count].pos -
				m->dirs[0]->places[0].pos) >>
	    8);
	link[8] = 'a';
	pxm_item(m, PXAR_ITEM_HARDLINK, link, 10);
	pxm_done(m);
	pxm_leave(m);
}

/* Walks all of it; 0 or -1. */
static int
walk(const uint8_t *bytes, size_t len, struct err *e)
{
	struct input in = {bytes, len, 0};
	struct pxar_reader *r = pxar_reader_new(read_cb, &in);
	const struct pxar_entry *entry;
	int rv;

	while ((rv = pxar_reader_next(r, &entry, e)) == 1)
		;
	pxar_reader_free(r);
	return rv;
}

Test(pxar, walks_every_kind)
{
	static const struct {
		enum pxar_type type;
		unsigned int depth;
		const char *name;
	} want[] = {
	    {PXAR_DIR, 0, ""},
	    {PXAR_FILE, 1, "a"},
	    {PXAR_FILE, 1, "empty"},
	    {PXAR_SYMLINK, 1, "l"},
	    {PXAR_DIR, 1, "sub"},
	    {PXAR_FIFO, 2, "fifo"},
	    {PXAR_SOCKET, 2, "sock"},
	    {PXAR_BLOCK, 2, "disk"},
	    {PXAR_END_DIR, 1, ""},
	    {PXAR_HARDLINK, 1, "z"},
	    {PXAR_END_DIR, 0, ""},
	};
	const struct pxar_entry *entry;
	struct pxar_reader *r;
	struct input in;
	struct err e;
	struct pxm m;
	char buf[16];
	size_t i, got;
	uint64_t a_pos = 0;

	make_all_kinds(&m);
	in = (struct input){m.bytes, m.len, 0};
	r = pxar_reader_new(read_cb, &in);
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		cr_assert_eq(pxar_reader_next(r, &entry, &e), 1, "%zu: %s", i,
		    e.msg);
		cr_expect_eq(entry->type, want[i].type, "%zu", i);
		cr_expect_eq(entry->depth, want[i].depth, "%zu", i);
		cr_expect_str_eq(entry->name, want[i].name);
		if (strcmp(entry->name, "a") == 0) {
			a_pos = entry->pos;
			cr_expect_eq(entry->size, 5);
			cr_expect_not(entry->is_ref);
			cr_expect_eq(entry->stat.mode, S_IFREG | 0644);
			cr_expect_eq(entry->stat.uid, 1);
			cr_expect_eq(entry->stat.gid, 2);
			cr_expect_eq(entry->stat.mtime, -3);
			cr_expect_eq(entry->stat.mtime_ns, 4);
			cr_expect_arr_eq(m.bytes + entry->content_pos, "hello",
			    5);
			/* read half of it, the rest is skipped */
			cr_expect_eq(pxar_reader_content(r, buf, 3, &got, &e),
			    0);
			cr_expect_eq(got, 3);
			cr_expect_arr_eq(buf, "hel", 3);
		}
		if (entry->type == PXAR_SYMLINK)
			cr_expect_str_eq(entry->target, "../any where\x01");
		if (entry->type == PXAR_BLOCK) {
			cr_expect_eq(entry->dev_major, 8);
			cr_expect_eq(entry->dev_minor, 1);
		}
		if (entry->type == PXAR_HARDLINK) {
			cr_expect_eq(entry->link_pos, a_pos);
			cr_expect_str_eq(entry->target, "a");
		}
	}
	cr_expect_eq(pxar_reader_next(r, &entry, &e), 0);
	cr_expect_eq(pxar_reader_next(r, &entry, &e), 0);
	pxar_reader_free(r);
	pxm_fini(&m);
}

Test(pxar, content_ends)
{
	const struct pxar_entry *entry;
	struct pxar_reader *r;
	struct input in;
	struct err e;
	struct pxm m;
	char buf[16];
	size_t got;

	make_all_kinds(&m);
	in = (struct input){m.bytes, m.len, 0};
	r = pxar_reader_new(read_cb, &in);
	pxar_reader_next(r, &entry, &e);
	cr_expect_eq(pxar_reader_content(r, buf, 16, &got, &e), 0);
	cr_expect_eq(got, 0);
	pxar_reader_next(r, &entry, &e);
	cr_expect_eq(pxar_reader_content(r, buf, 16, &got, &e), 0);
	cr_expect_eq(got, 5);
	cr_expect_eq(pxar_reader_content(r, buf, 16, &got, &e), 0);
	cr_expect_eq(got, 0);
	pxar_reader_free(r);
	pxm_fini(&m);
}

/* Cut anywhere, or followed by anything, it is no archive. */
Test(pxar, refuses_every_cut)
{
	struct err e;
	struct pxm m;
	size_t len;

	make_all_kinds(&m);
	cr_expect_eq(walk(m.bytes, m.len, &e), 0);
	for (len = 0; len < m.len; len++) {
		cr_expect_eq(walk(m.bytes, len, &e), -1, "%zu", len);
		cr_expect_eq(e.code, ERR_CORRUPT);
	}
	m.bytes[m.len] = 0;
	cr_expect_eq(walk(m.bytes, m.len + 1, &e), -1);
	pxm_fini(&m);
}

static int
collect_attr(void *arg, uint64_t item, const uint8_t *data, size_t len,
    struct err *e)
{
	char *out = arg;

	(void)e;
	snprintf(out + strlen(out), 64, "%d:%zu:%.*s ", item == PXAR_XATTR, len,
	    4, (const char *)data);
	return 0;
}

Test(pxar, gives_attributes)
{
	uint8_t zero[32] = {0};
	const struct pxar_entry *entry;
	struct pxar_reader *r;
	char text[256] = "";
	struct input in;
	struct err e;
	struct pxm m;

	pxm_init(&m, 0);
	pxm_enter(&m, NULL);
	pxm_name(&m, "f");
	pxm_entry(&m, S_IFREG);
	pxm_item(&m, PXAR_XATTR, "user.a\0value", 12);
	pxm_item(&m, PXAR_ACL_USER, zero, 16);
	pxm_item(&m, PXAR_ACL_DEFAULT, zero, 32);
	pxm_item(&m, PXAR_FCAPS, zero, 20);
	pxm_item(&m, PXAR_PAYLOAD, "x", 1);
	pxm_done(&m);
	pxm_leave(&m);
	in = (struct input){m.bytes, m.len, 0};
	r = pxar_reader_new(read_cb, &in);
	pxar_reader_set_attr_fn(r, collect_attr, text);
	cr_assert_eq(pxar_reader_next(r, &entry, &e), 1);
	cr_assert_eq(pxar_reader_next(r, &entry, &e), 1);
	cr_expect_str_eq(text, "1:12:user 0:16: 0:32: 0:20: ");
	pxar_reader_free(r);
	pxm_fini(&m);
}

/* One object in the root, made of raw items, must be refused. */
struct raw {
	uint64_t type;
	size_t len;
	const char *data;
};

static int
walk_raw(int split, const struct raw *items, size_t n, struct err *e)
{
	struct pxm m;
	size_t i;
	int rv;

	pxm_init(&m, split);
	pxm_enter(&m, NULL);
	for (i = 0; i < n; i++) {
		if (items[i].type == PXAR_ENTRY && items[i].data == NULL)
			pxm_entry(&m, (uint32_t)items[i].len);
		else
			pxm_item(&m, items[i].type, items[i].data,
			    items[i].len);
	}
	pxm_leave(&m);
	rv = walk(m.bytes, m.len, e);
	pxm_fini(&m);
	return rv;
}

#define RAW(...)                     \
	(struct raw[]){__VA_ARGS__}, \
	    sizeof((struct raw[]){__VA_ARGS__}) / sizeof(struct raw)
#define NAME(s)                             \
	{                                   \
		PXAR_FILENAME, sizeof(s), s \
	}
#define REG                               \
	{                                 \
		PXAR_ENTRY, S_IFREG, NULL \
	}
#define EMPTY                       \
	{                           \
		PXAR_PAYLOAD, 0, "" \
	}
static const char zeros[70000];

Test(pxar, refuses_impossible_objects)
{
	struct err e;

	cr_expect_eq(walk_raw(0, RAW(NAME("f"), REG, EMPTY), &e), 0, "%s",
	    e.msg);
	cr_expect_eq(walk_raw(0, RAW(NAME(""), REG, EMPTY), &e), -1);
	cr_expect_eq(walk_raw(0, RAW(NAME("."), REG, EMPTY), &e), -1);
	cr_expect_eq(walk_raw(0, RAW(NAME(".."), REG, EMPTY), &e), -1);
	cr_expect_eq(walk_raw(0, RAW(NAME("a/b"), REG, EMPTY), &e), -1);
	cr_expect_eq(walk_raw(0, RAW(NAME("a\0b"), REG, EMPTY), &e), -1);
	cr_expect_eq(walk_raw(0, RAW({PXAR_FILENAME, 1, "a"}, REG, EMPTY), &e),
	    -1);
	cr_expect_eq(walk_raw(0, RAW({PXAR_FILENAME, 4098, zeros}, REG, EMPTY),
			 &e),
	    -1);
	cr_expect_eq(walk_raw(0, RAW(REG, EMPTY), &e), -1);
	cr_expect_eq(walk_raw(0, RAW(NAME("f"), EMPTY), &e), -1);
	cr_expect_eq(walk_raw(0, RAW(NAME("f"), REG), &e), -1);
	cr_expect_eq(walk_raw(0, RAW(NAME("f"), NAME("g"), REG, EMPTY), &e),
	    -1);
	cr_expect_eq(walk_raw(0, RAW(NAME("f"), {PXAR_ENTRY, 0, NULL}, EMPTY),
			 &e),
	    -1);
	cr_expect_eq(walk_raw(0, RAW(NAME("f"), {PXAR_ENTRY, 39, zeros}), &e),
	    -1);
	cr_expect_eq(walk_raw(0,
			 RAW(NAME("l"), {PXAR_ENTRY, S_IFLNK, NULL}, EMPTY),
			 &e),
	    -1);
	cr_expect_eq(walk_raw(0,
			 RAW(NAME("d"), {PXAR_ENTRY, S_IFCHR, NULL}, EMPTY),
			 &e),
	    -1);
	/* attributes */
	cr_expect_eq(walk_raw(0,
			 RAW(NAME("f"), REG, {PXAR_XATTR, 65792, zeros}, EMPTY),
			 &e),
	    -1);
	cr_expect_eq(walk_raw(0,
			 RAW(NAME("f"), REG, {PXAR_ACL_USER, 15, zeros}, EMPTY),
			 &e),
	    -1);
	cr_expect_eq(walk_raw(0,
			 RAW(NAME("f"), REG, {PXAR_FCAPS, 1, zeros},
			     {PXAR_FCAPS, 1, zeros}, EMPTY),
			 &e),
	    -1);
	cr_expect_eq(walk_raw(0, RAW(NAME("f"), REG, {0x1234, 0, ""}, EMPTY),
			 &e),
	    -1);
	/* hard links */
	cr_expect_eq(walk_raw(0,
			 RAW(NAME("h"),
			     {PXAR_ITEM_HARDLINK, 10, "\0\0\0\0\0\0\0\0a"}),
			 &e),
	    -1);
	cr_expect_eq(walk_raw(0,
			 RAW(NAME("h"),
			     {PXAR_ITEM_HARDLINK, 10,
				 "\xff\xff\xff\xff\xff\xff\xff\xff"
				 "a"}),
			 &e),
	    -1);
}

Test(pxar, split_archives)
{
	const struct pxar_entry *entry;
	struct pxar_reader *r;
	struct input in;
	struct err e;
	struct pxm m;

	pxm_init(&m, 1);
	pxm_item(&m, PXAR_PRELUDE, "{\"exclude_patterns\":\"x\"}", 24);
	pxm_enter(&m, NULL);
	pxm_ref(&m, "f", 16, 1 << 20);
	pxm_leave(&m);
	in = (struct input){m.bytes, m.len, 0};
	r = pxar_reader_new(read_cb, &in);
	cr_assert_eq(pxar_reader_next(r, &entry, &e), 1, "%s", e.msg);
	cr_expect_eq(entry->type, PXAR_DIR);
	cr_assert_eq(pxar_reader_next(r, &entry, &e), 1, "%s", e.msg);
	cr_expect(entry->is_ref);
	cr_expect_eq(entry->content_pos, 16);
	cr_expect_eq(entry->size, 1 << 20);
	pxar_reader_free(r);
	cr_expect_eq(walk(m.bytes, m.len, &e), 0);
	m.bytes[16] = 3;
	cr_expect_eq(walk(m.bytes, m.len, &e), -1);
	cr_expect_eq(e.code, ERR_UNSUPPORTED);
	pxm_fini(&m);
	/* references need version 2, and a place behind the start marker */
	cr_expect_eq(walk_raw(0,
			 RAW(NAME("f"), REG,
			     {PXAR_PAYLOAD_REF, 16,
				 "\x10\0\0\0\0\0\0\0"
				 "\1\0\0\0\0\0\0"}),
			 &e),
	    -1);
	cr_expect_eq(walk_raw(1,
			 RAW(NAME("f"), REG,
			     {PXAR_PAYLOAD_REF, 16,
				 "\x10\0\0\0\0\0\0\0"
				 "\1\0\0\0\0\0\0"}),
			 &e),
	    0);
	cr_expect_eq(walk_raw(1,
			 RAW(NAME("f"), REG,
			     {PXAR_PAYLOAD_REF, 16,
				 "\x0f\0\0\0\0\0\0\0"
				 "\1\0\0\0\0\0\0"}),
			 &e),
	    -1);
	cr_expect_eq(walk_raw(1,
			 RAW(NAME("f"), REG,
			     {PXAR_PAYLOAD_REF, 16,
				 "\x10\0\0\0\0\0\0\0"
				 "\xff\xff\xff\xff\xff\xff\xff\xff"}),
			 &e),
	    -1);
}

Test(pxar, finds_content_in_the_payload_stream)
{
	struct pxar_archive a = {.read_at = read_at_cb};
	struct pxar_entry *entry = calloc(1, sizeof(*entry));
	struct input in;
	struct err e;
	uint64_t pos;
	struct pxm m;

	pxm_init(&m, 0);
	pxm_item(&m, UINT64_C(0x834c68c2194a4ed2), "", 0);
	pxm_item(&m, PXAR_PAYLOAD, "hello", 5);
	in = (struct input){m.bytes, m.len, 0};
	a.arg = &in;
	a.len = m.len;
	entry->type = PXAR_FILE;
	entry->is_ref = true;
	entry->content_pos = 16;
	entry->size = 5;
	cr_assert_eq(pxar_find_content(&a, entry, &pos, &e), 0);
	cr_expect_arr_eq(m.bytes + pos, "hello", 5);
	a.len--;
	cr_expect_eq(pxar_find_content(&a, entry, &pos, &e), -1);
	a.len++;
	entry->size = 4;
	cr_expect_eq(pxar_find_content(&a, entry, &pos, &e), -1);
	entry->size = 5;
	entry->content_pos = 0;
	cr_expect_eq(pxar_find_content(&a, entry, &pos, &e), -1);
	entry->content_pos = m.len - 8;
	cr_expect_eq(pxar_find_content(&a, entry, &pos, &e), -1);
	cr_expect_eq(e.code, ERR_CORRUPT);
	entry->is_ref = false;
	cr_expect_eq(pxar_find_content(&a, entry, &pos, &e), -1);
	cr_expect_eq(e.code, ERR_INVALID);
	free(entry);
	pxm_fini(&m);
}

Test(pxar, reads_old_entries)
{
	/* mode, flags, uid, gid, then nanoseconds: 1.000000002 s */
	static const char v1[33] = "\0\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				   "\5\0\0\0\6\0\0\0\2\xca\x9a\x3b\0\0\0\0";
	const struct pxar_entry *entry;
	struct pxar_reader *r;
	struct input in;
	struct err e;
	struct pxm m;

	pxm_init(&m, 0);
	pxm_enter(&m, NULL);
	pxm_name(&m, "f");
	pxm_item(&m, PXAR_ENTRY_V1, v1, 32);
	pxm_item(&m, PXAR_PAYLOAD, "", 0);
	pxm_done(&m);
	pxm_leave(&m);
	in = (struct input){m.bytes, m.len, 0};
	r = pxar_reader_new(read_cb, &in);
	pxar_reader_next(r, &entry, &e);
	cr_assert_eq(pxar_reader_next(r, &entry, &e), 1, "%s", e.msg);
	cr_expect_eq(entry->stat.uid, 5);
	cr_expect_eq(entry->stat.gid, 6);
	cr_expect_eq(entry->stat.mtime, 1);
	cr_expect_eq(entry->stat.mtime_ns, 2);
	pxar_reader_free(r);
	pxm_fini(&m);
}

Test(pxar, limits_nesting)
{
	struct err e;
	struct pxm m;
	int i;

	pxm_init(&m, 0);
	pxm_entry(&m, S_IFDIR);
	for (i = 0; i <= PXAR_DEPTH_MAX; i++) {
		pxm_item(&m, PXAR_FILENAME, "d", 2);
		pxm_entry(&m, S_IFDIR);
	}
	cr_expect_eq(walk(m.bytes, m.len, &e), -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	pxm_fini(&m);
}

Test(pxar, hashes_names)
{
	cr_expect_eq(pxar_name_hash("etc", 3), UINT64_C(0xd0c229edbd411e9a));
	cr_expect_eq(pxar_name_hash("passwd", 6), UINT64_C(0x5c270b5c54db0265));
	cr_expect_eq(pxar_name_hash("a", 1), UINT64_C(0x0c26e9067c2c7bcf));
}

/* The order of the specification, since the lookup relies on it. */
Test(pxar, tree_order)
{
	static const size_t want[10][10] = {{0}, {1, 0}, {1, 0, 2},
	    {2, 1, 3, 0}, {3, 1, 4, 0, 2}, {3, 1, 5, 0, 2, 4},
	    {3, 1, 5, 0, 2, 4, 6}, {4, 2, 6, 1, 3, 5, 7, 0},
	    {5, 3, 7, 1, 4, 6, 8, 0, 2}, {6, 3, 8, 1, 5, 7, 9, 0, 2, 4}};
	size_t out[10], n;

	for (n = 1; n <= 10; n++) {
		pxm_tree_order(out, n);
		cr_expect_arr_eq(out, want[n - 1], n * sizeof(size_t));
	}
}

Test(pxar, looks_up_names)
{
	struct pxar_archive a = {.read_at = read_at_cb};
	struct pxar_entry *entry = malloc(sizeof(*entry));
	struct pxar_dir root, sub;
	struct pxar_place place;
	struct input in;
	struct err e;
	struct pxm m;

	make_all_kinds(&m);
	in = (struct input){m.bytes, m.len, 0};
	a.arg = &in;
	a.len = m.len;
	cr_assert_eq(pxar_dir_root(&a, &root, &e), 0, "%s", e.msg);
	cr_expect_eq(root.count, 5);
	cr_expect_eq(root.start, 0);
	cr_assert_eq(pxar_dir_lookup(&root, "a", &place, &e), 0);
	cr_assert_eq(pxar_dir_read_entry(&root, &place, entry, &e), 0);
	cr_expect_str_eq(entry->name, "a");
	cr_expect_arr_eq(m.bytes + entry->content_pos, "hello", 5);
	cr_expect_eq(pxar_dir_enter(&root, &place, &sub, &e), -1);
	cr_assert_eq(pxar_dir_lookup(&root, "sub", &place, &e), 0);
	cr_assert_eq(pxar_dir_read_entry(&root, &place, entry, &e), 0);
	cr_expect_eq(entry->type, PXAR_DIR);
	cr_assert_eq(pxar_dir_enter(&root, &place, &sub, &e), 0, "%s", e.msg);
	cr_expect_eq(sub.count, 3);
	cr_assert_eq(pxar_dir_lookup(&sub, "fifo", &place, &e), 0);
	cr_assert_eq(pxar_dir_read_entry(&sub, &place, entry, &e), 0);
	cr_expect_eq(entry->type, PXAR_FIFO);
	cr_expect_eq(pxar_dir_lookup(&sub, "a", &place, &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	cr_expect_eq(pxar_dir_lookup(&root, "", &place, &e), -1);
	cr_expect_eq(pxar_dir_get_place(&root, 5, &place, &e), -1);
	free(entry);
	pxm_fini(&m);
}

static uint64_t
few_hashes(const char *name, size_t len)
{
	/* must agree with the real one for what is looked up */
	return strcmp(name, "n17") == 0 || strcmp(name, "n3") == 0
	    ? pxar_name_hash("n17", 3)
	    : pxar_name_hash(name, len);
}

static void
many_names(size_t n, uint64_t (*hash)(const char *, size_t))
{
	struct pxar_archive a = {.read_at = read_at_cb};
	struct pxar_place place;
	struct pxar_dir root;
	struct input in;
	char name[32];
	struct err e;
	struct pxm m;
	size_t i;

	pxm_init(&m, 1);
	m.hash = hash;
	pxm_enter(&m, NULL);
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "n%zu", i);
		pxm_ref(&m, name, 16, 5);
	}
	pxm_leave(&m);
	in = (struct input){m.bytes, m.len, 0};
	a.arg = &in;
	a.len = m.len;
	cr_assert_eq(pxar_dir_root(&a, &root, &e), 0);
	cr_assert_eq(root.count, n);
	for (i = 0; i < n; i++) {
		if (hash == few_hashes && i == 3)
			continue; /* its real hash is not in the table */
		snprintf(name, sizeof(name), "n%zu", i);
		cr_assert_eq(pxar_dir_lookup(&root, name, &place, &e), 0,
		    "%s of %zu", name, n);
		cr_assert_eq(strcmp((char *)m.bytes + place.pos + 16, name), 0);
	}
	cr_expect_eq(pxar_dir_lookup(&root, "no", &place, &e), -1);
	pxm_fini(&m);
}

Test(pxar, looks_up_many)
{
	size_t n;

	for (n = 0; n < 40; n++)
		many_names(n, pxar_name_hash);
	many_names(3000, pxar_name_hash);
	for (n = 18; n < 40; n++)
		many_names(n, few_hashes);
}

static uint64_t
one_hash(const char *name, size_t len)
{
	(void)name;
	(void)len;
	return pxar_name_hash("wanted", 6);
}

/* A table made so that every name must be compared. */
Test(pxar, limits_the_work_of_a_lookup)
{
	struct pxar_archive a = {.read_at = read_at_cb};
	struct pxar_place place;
	struct pxar_dir root;
	struct input in;
	char name[32];
	struct err e;
	struct pxm m;
	int i;

	pxm_init(&m, 0);
	m.hash = one_hash;
	pxm_enter(&m, NULL);
	for (i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		pxm_file(&m, name, "", 0);
	}
	pxm_leave(&m);
	in = (struct input){m.bytes, m.len, 0};
	a.arg = &in;
	a.len = m.len;
	cr_assert_eq(pxar_dir_root(&a, &root, &e), 0);
	cr_expect_eq(pxar_dir_lookup(&root, "wanted", &place, &e), -1);
	cr_expect_eq(e.code, ERR_CORRUPT);
	pxm_fini(&m);
}

/* Each byte of the tables is changed once: an answer may be wrong then, but
 * nothing is read outside of the archive (read_at_cb would say ERR_IO). */
Test(pxar, survives_damaged_tables)
{
	struct pxar_archive a = {.read_at = read_at_cb};
	static const uint8_t flips[] = {0x01, 0x80, 0xff};
	struct pxar_entry *entry = malloc(sizeof(*entry));
	struct pxar_place place;
	struct pxar_dir root, sub;
	struct input in;
	struct err e;
	struct pxm m;
	size_t i, k;

	make_all_kinds(&m);
	in = (struct input){m.bytes, m.len, 0};
	a.arg = &in;
	a.len = m.len;
	for (i = 0; i < m.len; i++) {
		for (k = 0; k < sizeof(flips); k++) {
			e.code = ERR_OK;
			m.bytes[i] ^= flips[k];
			if (pxar_dir_root(&a, &root, &e) == 0 &&
			    pxar_dir_lookup(&root, "sub", &place, &e) == 0 &&
			    pxar_dir_read_entry(&root, &place, entry, &e) ==
				0 &&
			    pxar_dir_enter(&root, &place, &sub, &e) == 0)
				pxar_dir_lookup(&sub, "disk", &place, &e);
			cr_expect_neq(e.code, ERR_IO, "byte %zu: %s", i, e.msg);
			m.bytes[i] ^= flips[k];
		}
	}
	for (a.len = 0; a.len < m.len; a.len++) {
		cr_expect_eq(pxar_dir_root(&a, &root, &e), -1);
		cr_expect_eq(e.code, ERR_CORRUPT);
	}
	free(entry);
	pxm_fini(&m);
}
