/* Catalogs: folder after folder from the root, as far as they lead; they can
 * only lead to the front, so it ends. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "common/format/catalog.h"

#define FOLDERS_MAX 256

struct input {
	const uint8_t *data;
	size_t len;
};

static int
read_cb(void *arg, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct input *in = arg;

	(void)e;
	FUZZ_REQUIRE(off <= in->len && len <= in->len - off);
	memcpy(buf, in->data + off, len);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct catalog_entry entry;
	uint64_t todo[FOLDERS_MAX], pos;
	struct input in = {data, len};
	struct catalog_dir *dir;
	size_t next = 0, n = 0;
	struct err e;

	if (catalog_root(read_cb, &in, len, &pos, &e) < 0)
		return 0;
	for (todo[n++] = pos; next < n; next++) {
		pos = todo[next];
		if (catalog_dir_open(read_cb, &in, len, pos, &dir, &e) < 0)
			continue;
		while (catalog_dir_next(dir, &entry, &e) == 1) {
			FUZZ_REQUIRE(entry.name[0] != '\0');
			if (entry.type != CATALOG_DIR)
				continue;
			FUZZ_REQUIRE(entry.dir_pos < pos);
			if (n < FOLDERS_MAX)
				todo[n++] = entry.dir_pos;
		}
		catalog_dir_close(dir);
	}
	return 0;
}
