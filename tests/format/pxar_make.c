/* Makes small pxar archives for tests (datastore-format 8.1 to 8.3). */
#include "config.h"

#include "tests/format/pxar_make.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/format/pxar_int.h"

static void
put64(uint8_t *p, uint64_t v)
{
	int i;

	for (i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void
append(struct pxm *m, const void *data, size_t len)
{
	m->bytes = realloc(m->bytes, m->len + len + 1);
	if (len > 0)
		memcpy(m->bytes + m->len, data, len);
	m->len += len;
}

void
pxm_item(struct pxm *m, uint64_t type, const void *data, size_t len)
{
	uint8_t head[16];

	put64(head, type);
	put64(head + 8, 16 + len);
	append(m, head, sizeof(head));
	append(m, data, len);
}

void
pxm_init(struct pxm *m, int split)
{
	uint8_t version[8] = {2};

	memset(m, 0, sizeof(*m));
	m->hash = pxar_name_hash;
	if (split)
		pxm_item(m, PXAR_FORMAT_VERSION, version, sizeof(version));
}

void
pxm_fini(struct pxm *m)
{
	while (m->depth > 0)
		free(m->dirs[--m->depth]);
	free(m->bytes);
}

void
pxm_entry(struct pxm *m, uint32_t mode)
{
	uint8_t b[40] = {0};

	put64(b, mode);
	b[16] = 1;                   /* uid 1 */
	b[20] = 2;                   /* gid 2 */
	put64(b + 24, (uint64_t)-3); /* before 1970 */
	b[32] = 4;
	pxm_item(m, PXAR_ENTRY, b, sizeof(b));
}

void
pxm_name(struct pxm *m, const char *name)
{
	struct pxm_dir *d = m->dirs[m->depth - 1];

	d->places[d->count].hash = m->hash(name, strlen(name));
	d->places[d->count].pos = m->len;
	pxm_item(m, PXAR_FILENAME, name, strlen(name) + 1);
}

void
pxm_done(struct pxm *m)
{
	struct pxm_dir *d = m->dirs[m->depth - 1];

	d->places[d->count].size = m->len - d->places[d->count].pos;
	d->count++;
}

void
pxm_file(struct pxm *m, const char *name, const void *data, size_t len)
{
	pxm_name(m, name);
	pxm_entry(m, S_IFREG | 0644);
	pxm_item(m, PXAR_PAYLOAD, data, len);
	pxm_done(m);
}

void
pxm_ref(struct pxm *m, const char *name, uint64_t offset, uint64_t size)
{
	uint8_t b[16];

	put64(b, offset);
	put64(b + 8, size);
	pxm_name(m, name);
	pxm_entry(m, S_IFREG | 0644);
	pxm_item(m, PXAR_PAYLOAD_REF, b, sizeof(b));
	pxm_done(m);
	/* as writers of split archives do: the content counts too */
	m->dirs[m->depth - 1]->places[m->dirs[m->depth - 1]->count - 1].size +=
	    size;
}

void
pxm_symlink(struct pxm *m, const char *name, const char *target)
{
	pxm_name(m, name);
	pxm_entry(m, S_IFLNK | 0777);
	pxm_item(m, PXAR_ITEM_SYMLINK, target, strlen(target) + 1);
	pxm_done(m);
}

void
pxm_enter(struct pxm *m, const char *name)
{
	if (name != NULL)
		pxm_name(m, name);
	m->dirs[m->depth] = calloc(1, sizeof(struct pxm_dir));
	m->dirs[m->depth++]->start = m->len;
	pxm_entry(m, S_IFDIR | 0755);
}

static int
by_hash(const void *a, const void *b)
{
	const struct pxm_place *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static size_t
in_order(size_t *out, size_t n, size_t i, size_t next)
{
	if (i >= n)
		return next;
	next = in_order(out, n, 2 * i + 1, next);
	out[i] = next++;
	return in_order(out, n, 2 * i + 2, next);
}

void
pxm_tree_order(size_t *out, size_t n)
{
	in_order(out, n, 0, 0);
}

void
pxm_leave(struct pxm *m)
{
	struct pxm_dir *d = m->dirs[m->depth - 1];
	size_t goodbye = m->len, size = 16 + 24 * (d->count + 1), i;
	size_t start = m->depth == 1 ? 0 : d->start;
	size_t *order = calloc(d->count + 1, sizeof(*order));
	uint8_t *table = calloc(d->count + 1, 24), *p = table;

	qsort(d->places, d->count, sizeof(d->places[0]), by_hash);
	pxm_tree_order(order, d->count);
	for (i = 0; i < d->count; i++, p += 24) {
		const struct pxm_place *pl = &d->places[order[i]];

		put64(p, pl->hash);
		put64(p + 8, goodbye - pl->pos);
		put64(p + 16, pl->size);
	}
	put64(p, PXAR_GOODBYE_TAIL);
	put64(p + 8, goodbye - start);
	put64(p + 16, size);
	pxm_item(m, PXAR_GOODBYE, table, size - 16);
	free(table);
	free(order);
	free(d);
	if (--m->depth > 0)
		pxm_done(m);
}
