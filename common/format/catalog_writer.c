/*
 * Writing a catalog.  Runs in the client while it walks the files; a folder
 * is written when it is left, so that memory holds only the open ones.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/catalog_int.h"
#include "common/format/le.h"
#include "common/mem.h"
#include "common/sbuf.h"

/* A folder inside the open one: how far it lies in front of its parent is
 * only known when the parent is written. */
struct child {
	size_t at; /* in entries: the distance goes here */
	uint64_t pos;
};

struct level {
	char *name;
	struct sbuf entries;
	uint64_t count;
	struct child *children;
	size_t child_count;
};

struct catalog_writer {
	catalog_write_fn *fn;
	void *arg;
	uint64_t pos;
	struct level *levels; /* the root first */
	size_t depth;
	bool started;
};

static void
push_level(struct catalog_writer *w, const char *name)
{
	struct level *l;

	w->levels = xreallocarray(w->levels, w->depth + 1, sizeof(*w->levels));
	l = &w->levels[w->depth++];
	memset(l, 0, sizeof(*l));
	l->name = xstrdup(name);
	sbuf_init(&l->entries, CATALOG_BLOCK_MAX);
}

static void
pop_level(struct catalog_writer *w)
{
	struct level *l = &w->levels[--w->depth];

	free(l->name);
	sbuf_fini(&l->entries);
	free(l->children);
}

struct catalog_writer *
catalog_writer_new(catalog_write_fn *fn, void *arg)
{
	struct catalog_writer *w = xcalloc(1, sizeof(*w));

	w->fn = fn;
	w->arg = arg;
	push_level(w, "");
	return w;
}

void
catalog_writer_free(struct catalog_writer *w)
{
	if (w == NULL)
		return;
	while (w->depth > 0)
		pop_level(w);
	free(w->levels);
	free(w);
}

static int
emit(struct catalog_writer *w, const void *data, size_t len, struct err *e)
{
	if (len == 0)
		return 0;
	if (!w->started) {
		w->started = true;
		if (emit(w, catalog_magic, sizeof(catalog_magic), e) < 0)
			return -1;
	}
	if (w->fn(w->arg, data, len, e) < 0)
		return -1;
	w->pos += len;
	return 0;
}

static void
add_u64(struct sbuf *b, uint64_t v)
{
	uint8_t buf[CATALOG_VARINT_MAX];

	sbuf_add(b, buf, catalog_put_u64(buf, v));
}

static int
add_entry(struct catalog_writer *w, enum catalog_type type, const char *name,
    struct err *e)
{
	struct level *l = &w->levels[w->depth - 1];
	size_t len = strlen(name);

	if (!catalog_name_valid(name, len))
		return err_set(e, ERR_PARAM, "impossible name for a catalog");
	sbuf_add_char(&l->entries, (char)type);
	add_u64(&l->entries, len);
	sbuf_add(&l->entries, name, len);
	l->count++;
	return 0;
}

/* Entries with the distances filled in, after their number. */
static void
build_block(const struct level *l, uint64_t pos, struct sbuf *out)
{
	size_t done = 0, i;

	add_u64(out, l->count);
	for (i = 0; i < l->child_count; i++) {
		sbuf_add(out, l->entries.data + done, l->children[i].at - done);
		add_u64(out, pos - l->children[i].pos);
		done = l->children[i].at;
	}
	if (l->entries.len > done)
		sbuf_add(out, l->entries.data + done, l->entries.len - done);
}

/* Writes the innermost folder; its position goes to *pos_out. */
static int
write_level(struct catalog_writer *w, uint64_t *pos_out, struct err *e)
{
	const struct level *l = &w->levels[w->depth - 1];
	uint8_t head[CATALOG_VARINT_MAX];
	struct sbuf block;
	int rv = -1;

	sbuf_init(&block, CATALOG_BLOCK_MAX);
	*pos_out = w->started ? w->pos : CATALOG_MAGIC_LEN;
	build_block(l, *pos_out, &block);
	if (l->entries.overflow || block.overflow) {
		err_set(e, ERR_LIMIT, "too many files in folder '%.100s'",
		    l->name);
		goto out;
	}
	if (emit(w, head, catalog_put_u64(head, block.len), e) < 0 ||
	    emit(w, block.data, block.len, e) < 0)
		goto out;
	rv = 0;
out:
	sbuf_fini(&block);
	return rv;
}

int
catalog_writer_enter(struct catalog_writer *w, const char *name, struct err *e)
{
	if (!catalog_name_valid(name, strlen(name)))
		return err_set(e, ERR_PARAM, "impossible name for a catalog");
	push_level(w, name);
	return 0;
}

int
catalog_writer_leave(struct catalog_writer *w, struct err *e)
{
	struct level *parent;
	uint64_t pos;
	int rv;

	if (w->depth < 2)
		return err_set(e, ERR_INTERNAL, "no open catalog folder");
	if (write_level(w, &pos, e) < 0)
		return -1;
	parent = &w->levels[w->depth - 2];
	parent->children = xreallocarray(parent->children,
	    parent->child_count + 1, sizeof(*parent->children));
	w->depth--; /* the entry belongs to the parent */
	rv = add_entry(w, CATALOG_DIR, w->levels[w->depth].name, e);
	w->depth++;
	pop_level(w);
	if (rv < 0)
		return -1;
	parent->children[parent->child_count++] =
	    (struct child){parent->entries.len, pos};
	return 0;
}

int
catalog_writer_add_file(struct catalog_writer *w, const char *name,
    uint64_t size, int64_t mtime, struct err *e)
{
	struct sbuf *b = &w->levels[w->depth - 1].entries;
	uint8_t buf[CATALOG_VARINT_MAX];

	if (add_entry(w, CATALOG_FILE, name, e) < 0)
		return -1;
	add_u64(b, size);
	sbuf_add(b, buf, catalog_put_i64(buf, mtime));
	return 0;
}

int
catalog_writer_add(struct catalog_writer *w, enum catalog_type type,
    const char *name, struct err *e)
{
	if (type == CATALOG_DIR || type == CATALOG_FILE)
		return err_set(e, ERR_INTERNAL, "wrong kind of catalog entry");
	return add_entry(w, type, name, e);
}

int
catalog_writer_finish(struct catalog_writer *w, struct err *e)
{
	uint8_t tail[CATALOG_TAIL_LEN];
	uint64_t pos;

	if (w->depth != 1)
		return err_set(e, ERR_INTERNAL, "a catalog folder is open");
	if (write_level(w, &pos, e) < 0)
		return -1;
	put_le64(tail, pos);
	return emit(w, tail, sizeof(tail), e);
}
