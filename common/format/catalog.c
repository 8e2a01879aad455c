/*
 * Reading a catalog.  Runs in workers on a file that a client made: a block
 * is read whole, within a limit, and each entry is checked inside of it.
 */
#include "config.h"

#include "common/format/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/catalog_int.h"
#include "common/format/le.h"
#include "common/mem.h"

const uint8_t catalog_magic[CATALOG_MAGIC_LEN] = {0x91, 0xfd, 0x60, 0xf9, 0xc4,
    0x67, 0x58, 0xd5};

struct catalog_dir {
	uint64_t pos;  /* of the block */
	uint64_t left; /* entries not yet returned */
	uint8_t *block;
	const uint8_t *p;
	const uint8_t *end;
};

static int
damaged(struct err *e)
{
	return err_set(e, ERR_CORRUPT, "catalog is damaged");
}

size_t
catalog_put_u64(uint8_t out[CATALOG_VARINT_MAX], uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		out[n++] = (uint8_t)(v | 0x80);
	out[n++] = (uint8_t)v;
	return n;
}

/* A negative number: its magnitude with every byte marked as followed by
 * another, and a zero that ends it. */
size_t
catalog_put_i64(uint8_t out[CATALOG_VARINT_MAX], int64_t v)
{
	uint64_t magnitude = 0 - (uint64_t)v;
	size_t n = 0;

	if (v >= 0)
		return catalog_put_u64(out, (uint64_t)v);
	for (; magnitude > 0; magnitude >>= 7)
		out[n++] = (uint8_t)(magnitude | 0x80);
	out[n++] = 0;
	return n;
}

/* The groups with the mark; false if the value does not fit 64 bits. */
static bool
get_groups(const uint8_t *in, size_t len, uint64_t *v, size_t *n)
{
	for (*v = 0, *n = 0; *n < len && in[*n] >= 0x80; (*n)++) {
		uint64_t group = in[*n] & 0x7f;

		if (*n == 10 || (*n == 9 && group > 1))
			return false;
		*v |= group << (7 * *n);
	}
	return *n < len;
}

/* Adds the byte without the mark. */
static bool
get_last(const uint8_t *in, uint64_t *v, size_t n)
{
	uint64_t group = in[n];

	if (group == 0)
		return true;
	if (n > 9 || (n == 9 && group > 1))
		return false;
	*v |= group << (7 * n);
	return true;
}

size_t
catalog_get_u64(const uint8_t *in, size_t len, uint64_t *out)
{
	size_t n;

	if (!get_groups(in, len, out, &n) || n > 9 || !get_last(in, out, n))
		return 0;
	return n + 1;
}

size_t
catalog_get_i64(const uint8_t *in, size_t len, int64_t *out)
{
	uint64_t v;
	size_t n;

	if (!get_groups(in, len, &v, &n))
		return 0;
	if (in[n] == 0 && n > 0) {
		if (v > UINT64_C(1) << 63)
			return 0;
		*out = (int64_t)(0 - v);
	} else {
		if (!get_last(in, &v, n) || v > INT64_MAX)
			return 0;
		*out = (int64_t)v;
	}
	return n + 1;
}

int
catalog_root(catalog_read_at_fn *fn, void *arg, uint64_t len, uint64_t *pos_out,
    struct err *e)
{
	uint8_t b[8];

	if (len < CATALOG_MAGIC_LEN + CATALOG_TAIL_LEN || len > INT64_MAX)
		return damaged(e);
	if (fn(arg, 0, b, CATALOG_MAGIC_LEN, e) < 0)
		return -1;
	if (memcmp(b, catalog_magic, CATALOG_MAGIC_LEN) != 0)
		return err_set(e, ERR_CORRUPT, "not a catalog");
	if (fn(arg, len - CATALOG_TAIL_LEN, b, CATALOG_TAIL_LEN, e) < 0)
		return -1;
	*pos_out = get_le64(b);
	return 0;
}

int
catalog_dir_open(catalog_read_at_fn *fn, void *arg, uint64_t len, uint64_t pos,
    struct catalog_dir **out, struct err *e)
{
	uint8_t head[CATALOG_VARINT_MAX - 1];
	uint64_t end = len - CATALOG_TAIL_LEN, block_len;
	struct catalog_dir *dir;
	size_t n;

	if (len < CATALOG_MAGIC_LEN + CATALOG_TAIL_LEN ||
	    pos < CATALOG_MAGIC_LEN || pos >= end)
		return damaged(e);
	n = end - pos < sizeof(head) ? (size_t)(end - pos) : sizeof(head);
	if (fn(arg, pos, head, n, e) < 0)
		return -1;
	if ((n = catalog_get_u64(head, n, &block_len)) == 0 || block_len == 0 ||
	    block_len > end - pos - n)
		return damaged(e);
	if (block_len > CATALOG_BLOCK_MAX)
		return err_set(e, ERR_LIMIT, "folder in the catalog too large");
	dir = xcalloc(1, sizeof(*dir));
	dir->pos = pos;
	if ((dir->block = malloc(block_len)) == NULL) {
		free(dir);
		return err_set(e, ERR_NOMEM, "no memory for a catalog");
	}
	if (fn(arg, pos + n, dir->block, block_len, e) < 0) {
		catalog_dir_close(dir);
		return -1;
	}
	dir->end = dir->block + block_len;
	n = catalog_get_u64(dir->block, block_len, &dir->left);
	dir->p = dir->block + n;
	/* The shortest entry: type, length 1, one byte. */
	if (n == 0 || dir->left > (uint64_t)(dir->end - dir->p) / 3) {
		catalog_dir_close(dir);
		return damaged(e);
	}
	*out = dir;
	return 0;
}

void
catalog_dir_close(struct catalog_dir *dir)
{
	if (dir == NULL)
		return;
	free(dir->block);
	free(dir);
}

static bool
take_u64(struct catalog_dir *dir, uint64_t *out)
{
	size_t n = catalog_get_u64(dir->p, (size_t)(dir->end - dir->p), out);

	dir->p += n;
	return n > 0;
}

static bool
take_i64(struct catalog_dir *dir, int64_t *out)
{
	size_t n = catalog_get_i64(dir->p, (size_t)(dir->end - dir->p), out);

	dir->p += n;
	return n > 0;
}

static bool
take_name(struct catalog_dir *dir, char out[CATALOG_NAME_MAX + 1])
{
	uint64_t len;

	if (!take_u64(dir, &len) || len > CATALOG_NAME_MAX ||
	    len > (uint64_t)(dir->end - dir->p))
		return false;
	memcpy(out, dir->p, len);
	out[len] = '\0';
	dir->p += len;
	return catalog_name_valid(out, len);
}

static bool
take_extra(struct catalog_dir *dir, struct catalog_entry *out)
{
	uint64_t distance;

	switch (out->type) {
	case CATALOG_DIR:
		/* Children lie in front of their parent: no loops. */
		if (!take_u64(dir, &distance) || distance == 0 ||
		    distance > dir->pos - CATALOG_MAGIC_LEN)
			return false;
		out->dir_pos = dir->pos - distance;
		return true;
	case CATALOG_FILE:
		return take_u64(dir, &out->size) && take_i64(dir, &out->mtime);
	case CATALOG_SYMLINK:
	case CATALOG_HARDLINK:
	case CATALOG_BLOCK:
	case CATALOG_CHAR:
	case CATALOG_FIFO:
	case CATALOG_SOCKET:
		return true;
	}
	return false;
}

int
catalog_dir_next(struct catalog_dir *dir, struct catalog_entry *out,
    struct err *e)
{
	if (dir->left == 0)
		return dir->p == dir->end ? 0 : damaged(e);
	out->dir_pos = out->size = 0;
	out->mtime = 0;
	if (dir->p == dir->end)
		return damaged(e);
	out->type = (enum catalog_type) * dir->p++;
	if (!take_name(dir, out->name) || !take_extra(dir, out))
		return damaged(e);
	dir->left--;
	return 1;
}

bool
catalog_name_valid(const char *name, size_t len)
{
	return len > 0 && len <= CATALOG_NAME_MAX &&
	    memchr(name, '\0', len) == NULL && memchr(name, '/', len) == NULL &&
	    strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}
