/*
 * Reading a pxar archive from front to back.  Runs in workers on archives
 * that a client made, and in the client on what a server sent: every size is
 * checked against the table of items, nesting is counted and not recursed,
 * and memory is one reader, whatever the archive says.
 */
#include "config.h"

#include "common/format/pxar.h"

#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>

#include "common/err.h"
#include "common/format/le.h"
#include "common/format/pxar_int.h"
#include "common/mem.h"

#define ENTRY_LEN 40
#define ENTRY_V1_LEN 32
#define NS_PER_S 1000000000u
#define VERSION_SPLIT 2

struct head {
	uint64_t type;
	uint64_t len; /* of the content */
	uint64_t pos;
};

struct pxar_reader {
	pxar_read_fn *read;
	void *read_arg;
	pxar_attr_fn *attr;
	void *attr_arg;
	uint64_t pos;
	uint64_t version;
	uint64_t content_left; /* of the file that was returned last */
	unsigned int depth;    /* directories that are open */
	bool started;
	bool has_head; /* head was read, its content was not */
	struct head head;
	struct pxar_entry entry;
	uint8_t buf[PXAR_ATTR_MAX];
};

/* Attributes of an entry, with the lengths that their content may have. */
static const struct attr_rule {
	uint64_t type;
	uint32_t min, max;
	bool once;
} attr_rules[] = {
    {PXAR_XATTR, 2, 255 + 65536, false},
    {PXAR_ACL_USER, 16, 16, false},
    {PXAR_ACL_GROUP, 16, 16, false},
    {PXAR_ACL_GROUP_OBJ, 8, 8, true},
    {PXAR_ACL_DEFAULT, 32, 32, true},
    {PXAR_ACL_DEFAULT_USER, 16, 16, false},
    {PXAR_ACL_DEFAULT_GROUP, 16, 16, false},
    {PXAR_FCAPS, 0, 255 + 65536, true},
    {PXAR_QUOTA_PROJID, 8, 8, true},
};

#define ATTR_RULES (sizeof(attr_rules) / sizeof(attr_rules[0]))

static const struct {
	uint32_t mode;
	enum pxar_type type;
} mode_types[] = {
    {S_IFDIR, PXAR_DIR},
    {S_IFREG, PXAR_FILE},
    {S_IFLNK, PXAR_SYMLINK},
    {S_IFBLK, PXAR_BLOCK},
    {S_IFCHR, PXAR_CHAR},
    {S_IFIFO, PXAR_FIFO},
    {S_IFSOCK, PXAR_SOCKET},
};

static int
damaged(const struct pxar_reader *r, const char *what, struct err *e)
{
	return err_set(e, ERR_CORRUPT, "archive is damaged at %llu: %s",
	    (unsigned long long)r->pos, what);
}

struct pxar_reader *
pxar_reader_new(pxar_read_fn *read, void *arg)
{
	struct pxar_reader *r = xcalloc(1, sizeof(*r));

	r->read = read;
	r->read_arg = arg;
	r->version = 1;
	return r;
}

struct pxar_reader *
pxar_reader_new_at(pxar_read_fn *read, void *arg, uint64_t pos)
{
	struct pxar_reader *r = pxar_reader_new(read, arg);

	r->pos = pos;
	r->started = true;
	r->depth = 1;
	r->version = VERSION_SPLIT; /* not known here: allow references */
	return r;
}

void
pxar_reader_free(struct pxar_reader *r)
{
	free(r);
}

void
pxar_reader_set_attr_fn(struct pxar_reader *r, pxar_attr_fn *fn, void *arg)
{
	r->attr = fn;
	r->attr_arg = arg;
}

static int
read_full(struct pxar_reader *r, void *buf, size_t len, struct err *e)
{
	uint8_t *p = buf;
	size_t got;

	for (; len > 0; p += got, len -= got, r->pos += got) {
		if (r->read(r->read_arg, p, len, &got, e) < 0)
			return -1;
		if (got == 0 || got > len)
			return damaged(r, "unexpected end", e);
	}
	return 0;
}

static int
skip(struct pxar_reader *r, uint64_t len, struct err *e)
{
	size_t part;

	for (; len > 0; len -= part) {
		part = (size_t)MIN(len, (uint64_t)sizeof(r->buf));
		if (read_full(r, r->buf, part, e) < 0)
			return -1;
	}
	return 0;
}

/* The next item's head; peek leaves it for the next call. */
static int
read_head(struct pxar_reader *r, struct head *out, bool peek, struct err *e)
{
	uint8_t b[PXAR_HEAD_LEN];
	uint64_t size;

	if (!r->has_head) {
		r->head.pos = r->pos;
		if (read_full(r, b, sizeof(b), e) < 0)
			return -1;
		r->head.type = get_le64(b);
		size = get_le64(b + 8);
		if (size < PXAR_HEAD_LEN || size > INT64_MAX - r->head.pos)
			return damaged(r, "impossible size of an item", e);
		r->head.len = size - PXAR_HEAD_LEN;
	}
	r->has_head = peek;
	*out = r->head;
	return 0;
}

/* Content of an item whose length must be in a range that fits buf. */
static int
read_item(struct pxar_reader *r, const struct head *h, size_t min, size_t max,
    struct err *e)
{
	if (h->len < min || h->len > max)
		return damaged(r, "item has a wrong size", e);
	return read_full(r, r->buf, (size_t)h->len, e);
}

/* Text that ends in the only NUL of the item, from offset skip_len on. */
static int
read_text(struct pxar_reader *r, const struct head *h, size_t skip_len,
    char out[PXAR_NAME_MAX + 1], struct err *e)
{
	size_t len;

	if (read_item(r, h, skip_len + 2, skip_len + PXAR_NAME_MAX + 1, e) < 0)
		return -1;
	len = (size_t)h->len - skip_len;
	if (memchr(r->buf + skip_len, '\0', len) != r->buf + skip_len + len - 1)
		return damaged(r, "text does not end where it should", e);
	memcpy(out, r->buf + skip_len, len);
	return 0;
}

static int
read_name(struct pxar_reader *r, const struct head *h, struct err *e)
{
	const char *name = r->entry.name;

	if (read_text(r, h, 0, r->entry.name, e) < 0)
		return -1;
	if (strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return damaged(r, "impossible file name", e);
	return 0;
}

static int
read_stat(struct pxar_reader *r, const struct head *h, struct err *e)
{
	struct pxar_stat *st = &r->entry.stat;
	bool v1 = h->type == PXAR_ENTRY_V1;
	size_t len = v1 ? ENTRY_V1_LEN : ENTRY_LEN, i;
	uint64_t ns;

	if (read_item(r, h, len, len, e) < 0)
		return -1;
	st->mode = get_le64(r->buf);
	st->flags = get_le64(r->buf + 8);
	st->uid = get_le32(r->buf + 16);
	st->gid = get_le32(r->buf + 20);
	if (v1) {
		ns = get_le64(r->buf + 24);
		st->mtime = (int64_t)(ns / NS_PER_S);
		st->mtime_ns = (uint32_t)(ns % NS_PER_S);
	} else {
		st->mtime = (int64_t)get_le64(r->buf + 24);
		st->mtime_ns = get_le32(r->buf + 32);
		if (st->mtime_ns >= NS_PER_S)
			return damaged(r, "impossible time", e);
	}
	for (i = 0; i < sizeof(mode_types) / sizeof(mode_types[0]); i++) {
		if ((st->mode & S_IFMT) == mode_types[i].mode) {
			r->entry.type = mode_types[i].type;
			return 0;
		}
	}
	return damaged(r, "unknown file type", e);
}

/* Attributes up to the first item that is none, whose head stays ahead. */
static int
read_attrs(struct pxar_reader *r, struct err *e)
{
	unsigned int seen = 0;
	struct head h;
	size_t i;

	for (;;) {
		if (read_head(r, &h, true, e) < 0)
			return -1;
		for (i = 0; i < ATTR_RULES; i++) {
			if (attr_rules[i].type == h.type)
				break;
		}
		if (i == ATTR_RULES)
			return 0;
		if (attr_rules[i].once && (seen & 1u << i) != 0)
			return damaged(r, "attribute given twice", e);
		seen |= 1u << i;
		r->has_head = false;
		if (read_item(r, &h, attr_rules[i].min, attr_rules[i].max, e) <
		    0)
			return -1;
		if (r->attr != NULL &&
		    r->attr(r->attr_arg, h.type, r->buf, (size_t)h.len, e) < 0)
			return -1;
	}
}

static int
read_payload(struct pxar_reader *r, const struct head *h, struct err *e)
{
	struct pxar_entry *entry = &r->entry;

	if (h->type == PXAR_PAYLOAD) {
		entry->size = r->content_left = h->len;
		entry->content_pos = r->pos;
		return 0;
	}
	if (h->type != PXAR_PAYLOAD_REF || r->version != VERSION_SPLIT)
		return damaged(r, "file has no content", e);
	if (read_item(r, h, 16, 16, e) < 0)
		return -1;
	entry->is_ref = true;
	entry->content_pos = get_le64(r->buf);
	entry->size = get_le64(r->buf + 8);
	/* The start marker lies in front of the first content. */
	if (entry->content_pos < PXAR_HEAD_LEN ||
	    entry->content_pos > INT64_MAX - PXAR_HEAD_LEN ||
	    entry->size > INT64_MAX - PXAR_HEAD_LEN - entry->content_pos)
		return damaged(r, "impossible reference", e);
	return 0;
}

static int
read_device(struct pxar_reader *r, const struct head *h, struct err *e)
{
	if (h->type != PXAR_DEVICE)
		return damaged(r, "device has no number", e);
	if (read_item(r, h, 16, 16, e) < 0)
		return -1;
	r->entry.dev_major = get_le64(r->buf);
	r->entry.dev_minor = get_le64(r->buf + 8);
	return 0;
}

/* What follows the attributes; directories, pipes and sockets have nothing
 * there. */
static int
read_body(struct pxar_reader *r, struct err *e)
{
	struct head h;

	switch (r->entry.type) {
	case PXAR_DIR:
		if (r->depth == PXAR_DEPTH_MAX)
			return err_set(e, ERR_LIMIT,
			    "archive has more than %d levels", PXAR_DEPTH_MAX);
		r->depth++;
		return 0;
	case PXAR_FILE:
		return read_head(r, &h, false, e) < 0 ? -1
						      : read_payload(r, &h, e);
	case PXAR_SYMLINK:
		if (read_head(r, &h, false, e) < 0)
			return -1;
		if (h.type != PXAR_ITEM_SYMLINK)
			return damaged(r, "link has no target", e);
		return read_text(r, &h, 0, r->entry.target, e);
	case PXAR_BLOCK:
	case PXAR_CHAR:
		return read_head(r, &h, false, e) < 0 ? -1
						      : read_device(r, &h, e);
	case PXAR_FIFO:
	case PXAR_SOCKET:
	case PXAR_HARDLINK:
	case PXAR_END_DIR:
		return 0;
	}
	return 0;
}

static int
read_hardlink(struct pxar_reader *r, const struct head *h, struct err *e)
{
	uint64_t distance;

	if (read_text(r, h, 8, r->entry.target, e) < 0)
		return -1;
	distance = get_le64(r->buf);
	if (distance == 0 || distance > r->entry.pos)
		return damaged(r, "hard link leads nowhere", e);
	r->entry.type = PXAR_HARDLINK;
	r->entry.link_pos = r->entry.pos - distance;
	return 0;
}

/* An ENTRY and what belongs to it, or a HARDLINK. */
static int
read_object(struct pxar_reader *r, struct err *e)
{
	struct head h;

	r->entry.depth = r->depth;
	if (read_head(r, &h, false, e) < 0)
		return -1;
	if (h.type == PXAR_ITEM_HARDLINK && r->depth > 0)
		return read_hardlink(r, &h, e);
	if (h.type != PXAR_ENTRY && h.type != PXAR_ENTRY_V1)
		return damaged(r, "name without an entry", e);
	if (read_stat(r, &h, e) < 0 || read_attrs(r, e) < 0)
		return -1;
	return read_body(r, e);
}

/* What may stand in front of the root, then the root. */
static int
read_start(struct pxar_reader *r, struct err *e)
{
	struct head h;

	r->started = true;
	if (read_head(r, &h, true, e) < 0)
		return -1;
	if (h.type == PXAR_FORMAT_VERSION) {
		r->has_head = false;
		if (read_item(r, &h, 8, 8, e) < 0)
			return -1;
		r->version = get_le64(r->buf);
		if (r->version != VERSION_SPLIT)
			return err_set(e, ERR_UNSUPPORTED,
			    "archive has an unknown format version");
		if (read_head(r, &h, true, e) < 0)
			return -1;
		if (h.type == PXAR_PRELUDE) {
			r->has_head = false;
			if (skip(r, h.len, e) < 0 ||
			    read_head(r, &h, true, e) < 0)
				return -1;
		}
	}
	r->entry.pos = h.pos;
	if (read_object(r, e) < 0)
		return -1;
	if (r->entry.type != PXAR_DIR)
		return damaged(r, "root is not a directory", e);
	return 0;
}

static int
read_goodbye(struct pxar_reader *r, const struct head *h, struct err *e)
{
	if (h->len < PXAR_RECORD_LEN || h->len % PXAR_RECORD_LEN != 0)
		return damaged(r, "item has a wrong size", e);
	r->entry.type = PXAR_END_DIR;
	r->entry.depth = --r->depth;
	return skip(r, h->len, e);
}

/* 0 at the end of the input, where it should be. */
static int
expect_end(struct pxar_reader *r, struct err *e)
{
	uint8_t byte;
	size_t got;

	if (r->read(r->read_arg, &byte, 1, &got, e) < 0)
		return -1;
	return got == 0 ? 0 : damaged(r, "data behind the end", e);
}

int
pxar_reader_next(struct pxar_reader *r, const struct pxar_entry **out,
    struct err *e)
{
	struct head h;

	*out = &r->entry;
	if (skip(r, r->content_left, e) < 0)
		return -1;
	r->content_left = 0;
	memset(&r->entry, 0, sizeof(r->entry));
	if (!r->started)
		return read_start(r, e) < 0 ? -1 : 1;
	if (r->depth == 0)
		return expect_end(r, e);
	if (read_head(r, &h, false, e) < 0)
		return -1;
	r->entry.pos = h.pos;
	if (h.type == PXAR_GOODBYE)
		return read_goodbye(r, &h, e) < 0 ? -1 : 1;
	if (h.type != PXAR_FILENAME)
		return damaged(r, "unknown item", e);
	return read_name(r, &h, e) < 0 || read_object(r, e) < 0 ? -1 : 1;
}

int
pxar_reader_content(struct pxar_reader *r, void *buf, size_t len, size_t *got,
    struct err *e)
{
	*got = (size_t)MIN((uint64_t)len, r->content_left);
	if (read_full(r, buf, *got, e) < 0)
		return -1;
	r->content_left -= *got;
	return 0;
}
