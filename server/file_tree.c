/*
 * Files out of pxar archives.  Runs in a worker, in a coroutine, on archives
 * that a client made: nothing recurses, and memory does not grow with them.
 */
#include "config.h"

#include "server/file_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/sbuf.h"
#include "common/str.h"

#define META_EXT ".mpxar.didx"
#define PAYLOAD_EXT ".ppxar.didx"

/* --- paths --------------------------------------------------------------- */

int
file_path_parse(struct file_path *p, const char *base64, struct err *e)
{
	size_t len, i;
	char *s;

	memset(p, 0, sizeof(*p));
	if (str_base64_decode(base64, strlen(base64), 0, p->text, FILE_PATH_MAX,
		&len) == -1 &&
	    str_base64_decode(base64, strlen(base64), STR_B64_URL, p->text,
		FILE_PATH_MAX, &len) == -1)
		return err_set(e, ERR_PARAM, "path is not valid base64");
	if (memchr(p->text, '\0', len) != NULL)
		return err_set(e, ERR_PARAM, "path contains a NUL");
	p->text[len] = '\0';
	for (s = p->text; *s != '\0'; s += i) {
		i = strcspn(s, "/");
		if (i == 0) {
			*s++ = '\0';
			continue;
		}
		if (p->count == FILE_PATH_COMPONENTS_MAX)
			return err_set(e, ERR_LIMIT, "path is too deep");
		p->component[p->count++] = s;
		if (s[i] == '/')
			s[i++] = '\0';
	}
	for (i = 0; i < p->count; i++) {
		if (strcmp(p->component[i], ".") == 0 ||
		    strcmp(p->component[i], "..") == 0)
			return err_set(e, ERR_PARAM, "path is not canonical");
	}
	return 0;
}

void
file_path_shift(struct file_path *p)
{
	if (p->count == 0)
		return;
	p->count--;
	memmove(p->component, p->component + 1,
	    p->count * sizeof(p->component[0]));
}

/* --- archives ------------------------------------------------------------ */

static void
archive_init(struct pxar_archive *out, struct file_archive *a)
{
	out->read_at = file_archive_read_at;
	out->arg = a;
	out->len = file_archive_size(a);
}

int
file_tree_open(struct file_tree *t, struct file_job *j, const char *name,
    struct err *e)
{
	size_t len = strlen(name), ext = strlen(META_EXT);
	char payload[ARCHIVE_NAME_MAX + 1];

	memset(t, 0, sizeof(*t));
	t->split = len > ext && strcmp(name + len - ext, META_EXT) == 0;
	if (file_archive_open(&t->meta, j, name, e) == -1)
		return -1;
	archive_init(&t->archive, &t->meta);
	if (t->split) {
		snprintf(payload, sizeof(payload), "%.*s%s", (int)(len - ext),
		    name, PAYLOAD_EXT);
		if (file_archive_open(&t->payload, j, payload, e) == -1)
			return -1;
		archive_init(&t->contents, &t->payload);
	}
	return pxar_dir_root(&t->archive, &t->root, e);
}

void
file_tree_fini(struct file_tree *t)
{
	file_archive_fini(&t->meta);
	file_archive_fini(&t->payload);
}

/* Hard links lead to a file elsewhere in the archive. */
static int
follow_link(struct file_tree *t, struct pxar_entry *entry, struct err *e)
{
	struct pxar_place place = {.pos = entry->link_pos};

	if (entry->type != PXAR_HARDLINK)
		return 0;
	if (pxar_dir_read_entry(&t->root, &place, entry, e) == -1)
		return -1;
	if (entry->type == PXAR_HARDLINK || entry->type == PXAR_DIR)
		return err_set(e, ERR_CORRUPT, "hard link leads to no file");
	return 0;
}

int
file_tree_find(struct file_tree *t, const struct file_path *path,
    struct file_place *out, struct err *e)
{
	struct pxar_dir next;
	size_t i;

	memset(out, 0, sizeof(*out));
	out->parent = t->root;
	out->is_root = path->count == 0;
	out->entry.type = PXAR_DIR;
	for (i = 0; i < path->count; i++) {
		if (i > 0) {
			if (pxar_dir_enter(&out->parent, &out->place, &next,
				e) == -1)
				return -1;
			out->parent = next;
		}
		if (pxar_dir_lookup(&out->parent, path->component[i],
			&out->place, e) == -1 ||
		    pxar_dir_read_entry(&out->parent, &out->place, &out->entry,
			e) == -1)
			return -1;
		if (i + 1 < path->count && out->entry.type != PXAR_DIR)
			return err_set(e, ERR_NOT_FOUND,
			    "no such file in the archive");
	}
	return follow_link(t, &out->entry, e);
}

int
file_tree_copy(struct file_tree *t, const struct pxar_entry *entry,
    pack_write_fn *write, void *arg, struct err *e)
{
	uint64_t pos = entry->content_pos;

	if (!entry->is_ref)
		return file_archive_copy(&t->meta, pos, entry->size, write, arg,
		    e);
	if (!t->split)
		return err_set(e, ERR_CORRUPT, "file has no content");
	if (pxar_find_content(&t->contents, entry, &pos, e) == -1)
		return -1;
	return file_archive_copy(&t->payload, pos, entry->size, write, arg, e);
}

/* --- packing ------------------------------------------------------------- */

struct walk {
	struct file_tree *tree;
	const struct pack_ops *ops;
	struct pack *pack;
	struct pxar_reader *reader;
	uint64_t pos; /* of the reader */
	struct sbuf path;
	/* Length of the path of each open directory. */
	size_t lens[PXAR_DEPTH_MAX + 1];
	unsigned int depth;
};

static int
walk_read(void *arg, void *buf, size_t len, size_t *got, struct err *e)
{
	struct walk *w = arg;
	const struct pxar_archive *a = &w->tree->archive;

	*got = (size_t)MIN((uint64_t)len, a->len - w->pos);
	if (*got > 0 && a->read_at(a->arg, w->pos, buf, *got, e) == -1)
		return -1;
	w->pos += *got;
	return 0;
}

static int
walk_data(void *arg, const void *p, size_t len, struct err *e)
{
	struct walk *w = arg;

	return w->ops->data(w->pack, p, len, e);
}

/* The content from where the reader is, or from elsewhere. */
static int
walk_content(struct walk *w, const struct pxar_entry *entry, bool here,
    struct err *e)
{
	uint8_t buf[16384];
	size_t got;

	if (!here || entry->is_ref)
		return file_tree_copy(w->tree, entry, walk_data, w, e);
	for (;;) {
		if (pxar_reader_content(w->reader, buf, sizeof(buf), &got, e) ==
		    -1)
			return -1;
		if (got == 0)
			return 0;
		if (walk_data(w, buf, got, e) == -1)
			return -1;
	}
}

static int
walk_entry(struct walk *w, const struct pxar_entry *found, struct err *e)
{
	struct pxar_entry *entry = xmemdup(found, sizeof(*found));
	bool here = found->type != PXAR_HARDLINK;
	struct pack_entry n;
	int rv = -1;

	if (follow_link(w->tree, entry, e) == -1)
		goto out;
	n = (struct pack_entry){
	    .path = sbuf_str(&w->path),
	    .type = entry->type,
	    .stat = entry->stat,
	    .size = entry->size,
	    .target = entry->target,
	    .dev_major = entry->dev_major,
	    .dev_minor = entry->dev_minor,
	};
	if (w->path.len > 0 && w->ops->begin(w->pack, &n, e) == -1)
		goto out;
	if (entry->type == PXAR_FILE &&
	    (walk_content(w, entry, here, e) == -1 ||
		w->ops->end(w->pack, e) == -1))
		goto out;
	rv = 0;
out:
	free(entry);
	return rv;
}

static void
path_cut(struct sbuf *b, size_t len)
{
	b->len = len;
	if (b->data != NULL)
		b->data[len] = '\0';
}

/* One item of the reader: 1, or 0 at the end of the directory. */
static int
walk_step(struct walk *w, const struct pxar_entry *entry, const char *name,
    struct err *e)
{
	if (entry->type == PXAR_END_DIR) {
		path_cut(&w->path, w->lens[--w->depth]);
		return w->depth > 0;
	}
	path_cut(&w->path, w->depth > 0 ? w->lens[w->depth] : 0);
	if (w->path.len > 0)
		sbuf_add_char(&w->path, '/');
	sbuf_add_str(&w->path, w->depth > 0 ? entry->name : name);
	if (w->path.overflow)
		return err_set(e, ERR_LIMIT, "path is too long");
	if (walk_entry(w, entry, e) == -1)
		return -1;
	if (entry->type == PXAR_DIR)
		w->lens[++w->depth] = w->path.len;
	return 1;
}

int
file_tree_pack(struct file_tree *t, const struct file_place *place,
    const char *name, const struct pack_ops *ops, struct pack *pack,
    struct err *e)
{
	struct walk *w = xcalloc(1, sizeof(*w));
	const struct pxar_entry *entry;
	int more = 1;

	w->tree = t;
	w->ops = ops;
	w->pack = pack;
	sbuf_init(&w->path, PACK_PATH_MAX - 1);
	w->pos = place->is_root ? 0 : place->place.pos;
	w->reader = place->is_root ? pxar_reader_new(walk_read, w)
				   : pxar_reader_new_at(walk_read, w, w->pos);
	while (more == 1) {
		more = pxar_reader_next(w->reader, &entry, e);
		if (more == 1)
			more = walk_step(w, entry, name, e);
	}
	pxar_reader_free(w->reader);
	sbuf_fini(&w->path);
	free(w);
	return more == -1 ? -1 : ops->finish(pack, e);
}
