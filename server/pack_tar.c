/*
 * Writing tar (POSIX.1-2001, ustar with pax headers).  Runs in a worker;
 * names, sizes and times come from an archive that a client made.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/sbuf.h"
#include "server/pack.h"

#define TAR_BLOCK 512u
#define TAR_NAME_LEN 100
#define TAR_SIZE_MAX UINT64_C(077777777777)
#define TAR_TIME_MAX INT64_C(077777777777)
#define TAR_ID_MAX 07777777u

struct pack {
	pack_write_fn *write;
	void *arg;
	uint64_t size; /* of the file that is written */
};

struct tar_header {
	char name[TAR_NAME_LEN];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char target[100];
	char magic[6];
	char version[2];
	char user[32];
	char group[32];
	char dev_major[8];
	char dev_minor[8];
	char prefix[155];
	char pad[12];
};
_Static_assert(sizeof(struct tar_header) == TAR_BLOCK, "a tar header");

/* By enum pxar_type; 0: left out. */
static const char tar_types[] = {
    [PXAR_DIR] = '5',
    [PXAR_FILE] = '0',
    [PXAR_SYMLINK] = '2',
    [PXAR_BLOCK] = '4',
    [PXAR_CHAR] = '3',
    [PXAR_FIFO] = '6',
    [PXAR_SOCKET] = 0,
    [PXAR_HARDLINK] = 0,
    [PXAR_END_DIR] = 0,
};

static struct pack *
tar_new(pack_write_fn *write, void *arg)
{
	struct pack *p = xcalloc(1, sizeof(*p));

	p->write = write;
	p->arg = arg;
	return p;
}

/* Octal digits and a NUL; what does not fit is in a pax header. */
static void
put_octal(char *dst, size_t size, uint64_t v)
{
	size_t i;

	for (i = size - 1; i-- > 0; v >>= 3)
		dst[i] = (char)('0' + (v & 7));
	dst[size - 1] = '\0';
}

/* As much as fits, not ended if it fits exactly. */
static void
put_text(char *dst, size_t size, const char *s)
{
	size_t len = strlen(s);

	memcpy(dst, s, len < size ? len : size);
}

static void
put_checksum(struct tar_header *h)
{
	const uint8_t *b = (const uint8_t *)h;
	unsigned int sum = 0;
	size_t i;

	memset(h->checksum, ' ', sizeof(h->checksum));
	for (i = 0; i < sizeof(*h); i++)
		sum += b[i];
	snprintf(h->checksum, sizeof(h->checksum), "%06o", sum);
}

static int
write_padding(struct pack *p, uint64_t size, struct err *e)
{
	static const uint8_t zeros[TAR_BLOCK];
	size_t tail = (size_t)(size % TAR_BLOCK);

	return tail == 0 ? 0 : p->write(p->arg, zeros, TAR_BLOCK - tail, e);
}

/* "<length> key=value\n", the length being that of the whole line. */
static void
add_record(struct sbuf *b, const char *key, const char *value)
{
	size_t body = strlen(key) + strlen(value) + 3, len = body, next;

	while ((next = body + (size_t)snprintf(NULL, 0, "%zu", len)) != len)
		len = next;
	sbuf_add_fmt(b, "%zu %s=", len, key);
	sbuf_add_str(b, value);
	sbuf_add_char(b, '\n');
}

static void
add_number(struct sbuf *b, const char *key, int64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	add_record(b, key, text);
}

static int
write_pax(struct pack *p, const struct sbuf *records, struct err *e)
{
	struct tar_header h = {.type = 'x'};

	put_text(h.name, sizeof(h.name), "PaxHeader");
	put_octal(h.mode, sizeof(h.mode), 0644);
	put_octal(h.uid, sizeof(h.uid), 0);
	put_octal(h.gid, sizeof(h.gid), 0);
	put_octal(h.size, sizeof(h.size), records->len);
	put_octal(h.mtime, sizeof(h.mtime), 0);
	memcpy(h.magic, "ustar", 6);
	memcpy(h.version, "00", 2);
	put_checksum(&h);
	if (p->write(p->arg, &h, sizeof(h), e) == -1 ||
	    p->write(p->arg, records->data, records->len, e) == -1)
		return -1;
	return write_padding(p, records->len, e);
}

/* What the old header cannot hold. */
static int
write_extra(struct pack *p, const struct pack_entry *n, const char *path,
    struct err *e)
{
	struct sbuf b;
	int rv = 0;

	sbuf_init(&b, 3 * PACK_PATH_MAX);
	if (strlen(path) > TAR_NAME_LEN)
		add_record(&b, "path", path);
	if (n->type == PXAR_SYMLINK && strlen(n->target) > TAR_NAME_LEN)
		add_record(&b, "linkpath", n->target);
	if (n->size > TAR_SIZE_MAX)
		add_number(&b, "size", (int64_t)n->size);
	if (n->stat.uid > TAR_ID_MAX)
		add_number(&b, "uid", n->stat.uid);
	if (n->stat.gid > TAR_ID_MAX)
		add_number(&b, "gid", n->stat.gid);
	if (n->stat.mtime < 0 || n->stat.mtime > TAR_TIME_MAX)
		add_number(&b, "mtime", n->stat.mtime);
	if (b.overflow)
		rv = err_set(e, ERR_LIMIT, "path is too long for tar");
	else if (b.len > 0)
		rv = write_pax(p, &b, e);
	sbuf_fini(&b);
	return rv;
}

static int
tar_begin(struct pack *p, const struct pack_entry *n, struct err *e)
{
	struct tar_header h = {.type = tar_types[n->type]};
	char *path;
	int rv = -1;

	p->size = n->type == PXAR_FILE ? n->size : 0;
	if (h.type == 0)
		return 0;
	path = xasprintf("%s%s", n->path, n->type == PXAR_DIR ? "/" : "");
	if (write_extra(p, n, path, e) == -1)
		goto out;
	put_text(h.name, sizeof(h.name), path);
	put_octal(h.mode, sizeof(h.mode), n->stat.mode & 07777);
	put_octal(h.uid, sizeof(h.uid), n->stat.uid);
	put_octal(h.gid, sizeof(h.gid), n->stat.gid);
	put_octal(h.size, sizeof(h.size), p->size);
	put_octal(h.mtime, sizeof(h.mtime),
	    n->stat.mtime < 0 ? 0 : (uint64_t)n->stat.mtime);
	if (n->type == PXAR_SYMLINK)
		put_text(h.target, sizeof(h.target), n->target);
	if (n->type == PXAR_BLOCK || n->type == PXAR_CHAR) {
		put_octal(h.dev_major, sizeof(h.dev_major), n->dev_major);
		put_octal(h.dev_minor, sizeof(h.dev_minor), n->dev_minor);
	}
	memcpy(h.magic, "ustar", 6);
	memcpy(h.version, "00", 2);
	put_checksum(&h);
	rv = p->write(p->arg, &h, sizeof(h), e);
out:
	free(path);
	return rv;
}

static int
tar_data(struct pack *p, const void *data, size_t len, struct err *e)
{
	return p->write(p->arg, data, len, e);
}

static int
tar_end(struct pack *p, struct err *e)
{
	return write_padding(p, p->size, e);
}

static int
tar_finish(struct pack *p, struct err *e)
{
	static const uint8_t zeros[2 * TAR_BLOCK];

	return p->write(p->arg, zeros, sizeof(zeros), e);
}

static void
tar_free(struct pack *p)
{
	free(p);
}

const struct pack_ops pack_tar_ops = {
    .new = tar_new,
    .begin = tar_begin,
    .data = tar_data,
    .end = tar_end,
    .finish = tar_finish,
    .free = tar_free,
};
