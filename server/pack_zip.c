/*
 * Writing zip (APPNOTE 6.3): stored, checksums behind the data, zip64 where
 * 32 bits are not enough.  Runs in a worker; names, sizes and times come from
 * an archive that a client made.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/err.h"
#include "common/format/blob.h"
#include "common/format/le.h"
#include "common/mem.h"
#include "common/sbuf.h"
#include "common/str.h"
#include "server/pack.h"

#define ZIP_LOCAL 0x04034b50u
#define ZIP_DESCRIPTOR 0x08074b50u
#define ZIP_CENTRAL 0x02014b50u
#define ZIP64_END 0x06064b50u
#define ZIP64_LOCATOR 0x07064b50u
#define ZIP_END 0x06054b50u
#define ZIP_FLAG_DESCRIPTOR 0x0008u
#define ZIP_FLAG_UTF8 0x0800u
#define ZIP_VERSION 20u
#define ZIP64_VERSION 45u
#define ZIP_MADE_BY_UNIX (3u << 8)
#define ZIP_ATTR_DIR 0x10u
#define ZIP64_ID 1u
#define ZIP64_EXTRA_LEN 28u /* sizes and offset */
#define ZIP32_MAX 0xffffffffu
#define ZIP16_MAX 0xffffu

/* The entry that is written. */
struct zip_entry {
	uint16_t version;
	uint16_t flags;
	uint16_t time, date;
	uint32_t attr;
	uint32_t crc;
	uint64_t size;
	uint64_t pos; /* of its local header */
	char *name;
	size_t name_len;
};

struct pack {
	pack_write_fn *write;
	void *arg;
	uint64_t pos;
	uint64_t count;
	struct sbuf directory;
	struct zip_entry entry;
};

static struct pack *
zip_new(pack_write_fn *write, void *arg)
{
	struct pack *p = xcalloc(1, sizeof(*p));

	p->write = write;
	p->arg = arg;
	sbuf_init(&p->directory, PACK_ZIP_DIRECTORY_MAX);
	return p;
}

static int
put(struct pack *p, const void *data, size_t len, struct err *e)
{
	p->pos += len;
	return p->write(p->arg, data, len, e);
}

static void
add16(struct sbuf *b, unsigned int v)
{
	uint8_t raw[2] = {(uint8_t)v, (uint8_t)(v >> 8)};

	sbuf_add(b, raw, sizeof(raw));
}

static void
add32(struct sbuf *b, uint32_t v)
{
	uint8_t raw[4];

	put_le32(raw, v);
	sbuf_add(b, raw, sizeof(raw));
}

static void
add64(struct sbuf *b, uint64_t v)
{
	uint8_t raw[8];

	put_le64(raw, v);
	sbuf_add(b, raw, sizeof(raw));
}

/* Local time with a step of two seconds, from 1980 to 2107. */
static void
set_time(struct zip_entry *n, int64_t mtime)
{
	time_t t = (time_t)mtime;
	struct tm tm;

	n->time = 0;
	n->date = 1 << 5 | 1;
	if (localtime_r(&t, &tm) == NULL || tm.tm_year < 80 || tm.tm_year > 207)
		return;
	n->time = (uint16_t)(tm.tm_hour << 11 | tm.tm_min << 5 | tm.tm_sec / 2);
	n->date = (uint16_t)((tm.tm_year - 80) << 9 | (tm.tm_mon + 1) << 5 |
	    tm.tm_mday);
}

/* version, flags, method, time, date: the same in both headers. */
static void
add_common(struct sbuf *b, const struct zip_entry *n)
{
	add16(b, n->version);
	add16(b, n->flags);
	add16(b, 0); /* stored */
	add16(b, n->time);
	add16(b, n->date);
}

static int
write_local(struct pack *p, struct err *e)
{
	const struct zip_entry *n = &p->entry;
	int zip64 = n->version == ZIP64_VERSION, rv;
	struct sbuf b;

	sbuf_init(&b, PACK_PATH_MAX + 128);
	add32(&b, ZIP_LOCAL);
	add_common(&b, n);
	add32(&b, 0); /* the descriptor tells */
	add32(&b, zip64 ? ZIP32_MAX : 0);
	add32(&b, zip64 ? ZIP32_MAX : 0);
	add16(&b, (unsigned int)n->name_len);
	add16(&b, zip64 ? 20 : 0);
	sbuf_add(&b, n->name, n->name_len);
	if (zip64) {
		add16(&b, ZIP64_ID);
		add16(&b, 16);
		add64(&b, 0);
		add64(&b, 0);
	}
	rv = b.overflow ? err_set(e, ERR_LIMIT, "path is too long for zip")
			: put(p, b.data, b.len, e);
	sbuf_fini(&b);
	return rv;
}

static int
zip_data(struct pack *p, const void *data, size_t len, struct err *e)
{
	p->entry.crc = blob_crc32(p->entry.crc, data, len);
	return put(p, data, len, e);
}

static void
add_central(struct sbuf *b, const struct zip_entry *n)
{
	int zip64 = n->version == ZIP64_VERSION;

	add32(b, ZIP_CENTRAL);
	add16(b, ZIP_MADE_BY_UNIX | ZIP64_VERSION);
	add_common(b, n);
	add32(b, n->crc);
	add32(b, zip64 ? ZIP32_MAX : (uint32_t)n->size);
	add32(b, zip64 ? ZIP32_MAX : (uint32_t)n->size);
	add16(b, (unsigned int)n->name_len);
	add16(b, zip64 ? ZIP64_EXTRA_LEN : 0);
	add16(b, 0); /* comment */
	add16(b, 0); /* disk */
	add16(b, 0); /* internal attributes */
	add32(b, n->attr);
	add32(b, zip64 ? ZIP32_MAX : (uint32_t)n->pos);
	sbuf_add(b, n->name, n->name_len);
	if (zip64) {
		add16(b, ZIP64_ID);
		add16(b, ZIP64_EXTRA_LEN - 4);
		add64(b, n->size);
		add64(b, n->size);
		add64(b, n->pos);
	}
}

static int
zip_end(struct pack *p, struct err *e)
{
	struct zip_entry *n = &p->entry;
	struct sbuf b;
	int rv;

	sbuf_init(&b, 64);
	add32(&b, ZIP_DESCRIPTOR);
	add32(&b, n->crc);
	if (n->version == ZIP64_VERSION) {
		add64(&b, n->size);
		add64(&b, n->size);
	} else {
		add32(&b, (uint32_t)n->size);
		add32(&b, (uint32_t)n->size);
	}
	rv = put(p, b.data, b.len, e);
	sbuf_fini(&b);
	add_central(&p->directory, n);
	p->count++;
	free(n->name);
	n->name = NULL;
	if (rv == 0 && p->directory.overflow)
		rv = err_set(e, ERR_LIMIT,
		    "too many files for a zip file, ask for tar");
	return rv;
}

static int
zip_begin(struct pack *p, const struct pack_entry *from, struct err *e)
{
	struct zip_entry *n = &p->entry;

	if (from->type != PXAR_DIR && from->type != PXAR_FILE &&
	    from->type != PXAR_SYMLINK)
		return 0;
	n->name =
	    xasprintf("%s%s", from->path, from->type == PXAR_DIR ? "/" : "");
	n->name_len = strlen(n->name);
	n->size = from->type == PXAR_FILE ? from->size : 0;
	if (from->type == PXAR_SYMLINK)
		n->size = strlen(from->target);
	n->pos = p->pos;
	n->crc = 0;
	n->version = n->size >= ZIP32_MAX || n->pos >= ZIP32_MAX ? ZIP64_VERSION
								 : ZIP_VERSION;
	n->flags = ZIP_FLAG_DESCRIPTOR;
	if (str_is_utf8(n->name, n->name_len))
		n->flags |= ZIP_FLAG_UTF8;
	n->attr = (uint32_t)(from->stat.mode & 0xffff) << 16 |
	    (from->type == PXAR_DIR ? ZIP_ATTR_DIR : 0);
	set_time(n, from->stat.mtime);
	if (write_local(p, e) == -1)
		return -1;
	if (from->type == PXAR_FILE)
		return 0;
	/* A link's target is its content. */
	if (from->type == PXAR_SYMLINK &&
	    zip_data(p, from->target, (size_t)n->size, e) == -1)
		return -1;
	return zip_end(p, e);
}

static int
zip_finish(struct pack *p, struct err *e)
{
	uint64_t start = p->pos, len = p->directory.len;
	int zip64 = p->count >= ZIP16_MAX || start + len >= ZIP32_MAX, rv;
	struct sbuf b;

	if (len > 0 && put(p, p->directory.data, (size_t)len, e) == -1)
		return -1;
	sbuf_init(&b, 256);
	if (zip64) {
		add32(&b, ZIP64_END);
		add64(&b, 44); /* bytes that follow */
		add16(&b, ZIP_MADE_BY_UNIX | ZIP64_VERSION);
		add16(&b, ZIP64_VERSION);
		add32(&b, 0);
		add32(&b, 0);
		add64(&b, p->count);
		add64(&b, p->count);
		add64(&b, len);
		add64(&b, start);
		add32(&b, ZIP64_LOCATOR);
		add32(&b, 0);
		add64(&b, start + len);
		add32(&b, 1);
	}
	add32(&b, ZIP_END);
	add16(&b, 0);
	add16(&b, 0);
	add16(&b, zip64 ? ZIP16_MAX : (unsigned int)p->count);
	add16(&b, zip64 ? ZIP16_MAX : (unsigned int)p->count);
	add32(&b, zip64 ? ZIP32_MAX : (uint32_t)len);
	add32(&b, zip64 ? ZIP32_MAX : (uint32_t)start);
	add16(&b, 0);
	rv = put(p, b.data, b.len, e);
	sbuf_fini(&b);
	return rv;
}

static void
zip_free(struct pack *p)
{
	if (p == NULL)
		return;
	free(p->entry.name);
	sbuf_fini(&p->directory);
	free(p);
}

const struct pack_ops pack_zip_ops = {
    .new = zip_new,
    .begin = zip_begin,
    .data = zip_data,
    .end = zip_end,
    .finish = zip_finish,
    .free = zip_free,
};
