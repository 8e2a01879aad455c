/* pxar archives: front to back, and lookups through the tables. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "common/format/pxar.h"

struct input {
	const uint8_t *data;
	size_t len;
	size_t pos;
};

static int
read_cb(void *arg, void *buf, size_t len, size_t *got, struct err *e)
{
	struct input *in = arg;

	(void)e;
	*got = len < in->len - in->pos ? len : in->len - in->pos;
	if (*got > 0)
		memcpy(buf, in->data + in->pos, *got);
	in->pos += *got;
	return 0;
}

static int
read_at_cb(void *arg, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct input *in = arg;

	(void)e;
	FUZZ_REQUIRE(off <= in->len && len <= in->len - off);
	memcpy(buf, in->data + off, len);
	return 0;
}

static void
walk(struct input *in)
{
	struct pxar_reader *r = pxar_reader_new(read_cb, in);
	const struct pxar_entry *entry;
	uint8_t buf[64];
	struct err e;
	size_t got;

	while (pxar_reader_next(r, &entry, &e) == 1) {
		FUZZ_REQUIRE(entry->depth <= PXAR_DEPTH_MAX);
		FUZZ_REQUIRE(memchr(entry->name, '/', PXAR_NAME_MAX) == NULL);
		if (entry->type == PXAR_FILE && !entry->is_ref)
			pxar_reader_content(r, buf, sizeof(buf), &got, &e);
	}
	pxar_reader_free(r);
}

static void
look_up(struct input *in)
{
	static const char *const names[] = {"a", "sub", "etc", "passwd"};
	struct pxar_archive a = {read_at_cb, in, in->len};
	static struct pxar_entry entry;
	struct pxar_dir root, sub;
	struct pxar_place place;
	struct err e;
	size_t i;

	if (pxar_dir_root(&a, &root, &e) < 0)
		return;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		pxar_dir_lookup(&root, names[i], &place, &e);
	for (i = 0; i < root.count && i < 32; i++) {
		if (pxar_dir_get_place(&root, i, &place, &e) < 0)
			continue;
		pxar_dir_read_entry(&root, &place, &entry, &e);
		if (pxar_dir_enter(&root, &place, &sub, &e) == 0)
			pxar_dir_lookup(&sub, names[0], &place, &e);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = {data, len, 0};

	walk(&in);
	look_up(&in);
	return 0;
}
