/*
 * Looking names up in a pxar archive through its goodbye tables
 * (datastore-format 8.3).  Runs in workers on archives that a client made:
 * a table may lie about everything, so each position is checked to be inside
 * its directory, and the work for one name is limited.
 */
#include "config.h"

#include "common/format/pxar.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "common/err.h"
#include "common/format/le.h"
#include "common/format/pxar_int.h"
#include "common/log.h"

#define HASH_K0 UINT64_C(0x83ac3f1cfbb450db)
#define HASH_K1 UINT64_C(0xaa4f1b6879369fbd)
#define HASH_LEN 8
#define TREE_DEPTH_MAX 64
#define SAME_HASH_MAX 256 /* honest tables hardly ever have two */

struct record {
	uint64_t hash;
	uint64_t offset;
	uint64_t size;
};

static int
damaged(struct err *e)
{
	return err_set(e, ERR_CORRUPT, "archive has a damaged directory table");
}

uint64_t
pxar_name_hash(const char *name, size_t len)
{
	uint8_t key[16], out[HASH_LEN];
	size_t size = HASH_LEN, n;
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
	    OSSL_PARAM_construct_end(),
	};

	put_le64(key, HASH_K0);
	put_le64(key + 8, HASH_K1);
	if (EVP_Q_mac(NULL, OSSL_MAC_NAME_SIPHASH, NULL, NULL, params, key,
		sizeof(key), (const uint8_t *)name, len, out, sizeof(out),
		&n) == NULL ||
	    n != HASH_LEN)
		fatal("format", "SipHash does not work in OpenSSL");
	return get_le64(out);
}

static int
read_at(const struct pxar_archive *a, uint64_t off, void *buf, size_t len,
    struct err *e)
{
	if (off > a->len || len > a->len - off)
		return damaged(e);
	return a->read_at(a->arg, off, buf, len, e);
}

static int
read_record(const struct pxar_archive *a, uint64_t pos, struct record *out,
    struct err *e)
{
	uint8_t b[PXAR_RECORD_LEN];

	if (read_at(a, pos, b, sizeof(b), e) < 0)
		return -1;
	out->hash = get_le64(b);
	out->offset = get_le64(b + 8);
	out->size = get_le64(b + 16);
	return 0;
}

/* The directory whose GOODBYE ends at end, and which does not start before
 * low: found from its last record, backwards. */
static int
open_dir(const struct pxar_archive *a, uint64_t low, uint64_t end,
    struct pxar_dir *out, struct err *e)
{
	const uint64_t least = PXAR_HEAD_LEN + PXAR_RECORD_LEN;
	uint8_t head[PXAR_HEAD_LEN];
	struct record tail;

	if (end > a->len || low > end || end - low < least)
		return damaged(e);
	if (read_record(a, end - PXAR_RECORD_LEN, &tail, e) < 0)
		return -1;
	if (tail.hash != PXAR_GOODBYE_TAIL || tail.size < least ||
	    tail.size > end - low ||
	    (tail.size - PXAR_HEAD_LEN) % PXAR_RECORD_LEN != 0)
		return damaged(e);
	out->archive = a;
	out->end = end;
	out->goodbye = end - tail.size;
	out->table = out->goodbye + PXAR_HEAD_LEN;
	out->count = (tail.size - PXAR_HEAD_LEN) / PXAR_RECORD_LEN - 1;
	if (tail.offset > out->goodbye - low)
		return damaged(e);
	out->start = out->goodbye - tail.offset;
	if (read_at(a, out->goodbye, head, sizeof(head), e) < 0)
		return -1;
	if (get_le64(head) != PXAR_GOODBYE || get_le64(head + 8) != tail.size)
		return damaged(e);
	return 0;
}

int
pxar_dir_root(const struct pxar_archive *a, struct pxar_dir *out, struct err *e)
{
	if (open_dir(a, 0, a->len, out, e) < 0)
		return -1;
	/* In both versions the root reaches back to the very first item. */
	return out->start == 0 ? 0 : damaged(e);
}

/* Where a record leads: into the directory, before its table. */
static int
place_of(const struct pxar_dir *dir, const struct record *rec,
    struct pxar_place *out, struct err *e)
{
	if (rec->offset == 0 || rec->offset > dir->goodbye - dir->start)
		return damaged(e);
	out->pos = dir->goodbye - rec->offset;
	out->size = rec->size;
	return 0;
}

int
pxar_dir_get_place(const struct pxar_dir *dir, uint64_t i,
    struct pxar_place *out, struct err *e)
{
	struct record rec;

	if (i >= dir->count)
		return err_set(e, ERR_INVALID, "no such directory entry");
	if (read_record(dir->archive, dir->table + i * PXAR_RECORD_LEN, &rec,
		e) < 0)
		return -1;
	return place_of(dir, &rec, out, e);
}

/* Length of the FILENAME item's content at a place. */
static int
name_len_at(const struct pxar_dir *dir, const struct pxar_place *place,
    size_t *out, struct err *e)
{
	uint8_t head[PXAR_HEAD_LEN];
	uint64_t size;

	if (read_at(dir->archive, place->pos, head, sizeof(head), e) < 0)
		return -1;
	size = get_le64(head + 8);
	if (get_le64(head) != PXAR_FILENAME || size < PXAR_HEAD_LEN + 2 ||
	    size > PXAR_HEAD_LEN + PXAR_NAME_MAX + 1)
		return damaged(e);
	*out = (size_t)size - PXAR_HEAD_LEN;
	return 0;
}

/* 1 if the name at a place is this one, 0 if not. */
static int
has_name(const struct pxar_dir *dir, const struct pxar_place *place,
    const char *name, struct err *e)
{
	char have[PXAR_NAME_MAX + 1];
	size_t len;

	if (name_len_at(dir, place, &len, e) < 0)
		return -1;
	if (len != strlen(name) + 1)
		return 0;
	if (read_at(dir->archive, place->pos + PXAR_HEAD_LEN, have, len, e) < 0)
		return -1;
	return memcmp(have, name, len) == 0;
}

/* The table is a search tree in an array.  Names of equal hash may lie in
 * both subtrees, so these are kept on a small stack. */
int
pxar_dir_lookup(const struct pxar_dir *dir, const char *name,
    struct pxar_place *out, struct err *e)
{
	uint64_t hash = pxar_name_hash(name, strlen(name)), i;
	uint64_t todo[TREE_DEPTH_MAX + 1];
	unsigned int n = 0, same = 0;
	struct record rec;
	int found;

	todo[n++] = 0;
	while (n > 0) {
		i = todo[--n];
		if (i >= dir->count)
			continue;
		if (read_record(dir->archive, dir->table + i * PXAR_RECORD_LEN,
			&rec, e) < 0)
			return -1;
		if (rec.hash > hash) {
			todo[n++] = 2 * i + 1;
			continue;
		}
		if (rec.hash < hash) {
			todo[n++] = 2 * i + 2;
			continue;
		}
		if (++same > SAME_HASH_MAX)
			return damaged(e);
		if (place_of(dir, &rec, out, e) < 0 ||
		    (found = has_name(dir, out, name, e)) < 0)
			return -1;
		if (found)
			return 0;
		todo[n++] = 2 * i + 1;
		todo[n++] = 2 * i + 2;
	}
	return err_set(e, ERR_NOT_FOUND, "no such file in the archive");
}

/* Sequential reads for the streaming reader, up to the directory's end. */
struct window {
	const struct pxar_dir *dir;
	uint64_t pos;
};

static int
read_window(void *arg, void *buf, size_t len, size_t *got, struct err *e)
{
	struct window *w = arg;
	uint64_t left = w->dir->end - w->pos;

	*got = left < len ? (size_t)left : len;
	if (*got > 0 && read_at(w->dir->archive, w->pos, buf, *got, e) < 0)
		return -1;
	w->pos += *got;
	return 0;
}

int
pxar_dir_read_entry(const struct pxar_dir *dir, const struct pxar_place *place,
    struct pxar_entry *out, struct err *e)
{
	struct window w = {dir, place->pos};
	const struct pxar_entry *entry;
	struct pxar_reader *r;
	int rv;

	if (place->pos < dir->start || place->pos >= dir->goodbye)
		return damaged(e);
	r = pxar_reader_new_at(read_window, &w, place->pos);
	rv = pxar_reader_next(r, &entry, e);
	if (rv == 1 && entry->type == PXAR_END_DIR)
		rv = damaged(e);
	if (rv == 1)
		*out = *entry;
	pxar_reader_free(r);
	return rv == 1 ? 0 : -1;
}

int
pxar_dir_enter(const struct pxar_dir *dir, const struct pxar_place *place,
    struct pxar_dir *out, struct err *e)
{
	size_t name_len;
	uint64_t start;

	if (place->pos < dir->start || place->pos >= dir->goodbye ||
	    place->size > dir->goodbye - place->pos)
		return damaged(e);
	if (name_len_at(dir, place, &name_len, e) < 0)
		return -1;
	start = place->pos + PXAR_HEAD_LEN + name_len;
	if (open_dir(dir->archive, start, place->pos + place->size, out, e) < 0)
		return -1;
	/* It must start right behind its name, or its table is another
	 * directory's. */
	return out->start == start ? 0 : damaged(e);
}

int
pxar_find_content(const struct pxar_archive *payload,
    const struct pxar_entry *entry, uint64_t *pos_out, struct err *e)
{
	uint8_t head[PXAR_HEAD_LEN];

	if (entry->type != PXAR_FILE || !entry->is_ref)
		return err_set(e, ERR_INVALID,
		    "content is not in a payload stream");
	if (read_at(payload, entry->content_pos, head, sizeof(head), e) < 0)
		return -1;
	*pos_out = entry->content_pos + PXAR_HEAD_LEN;
	if (get_le64(head) != PXAR_PAYLOAD ||
	    get_le64(head + 8) != PXAR_HEAD_LEN + entry->size ||
	    entry->size > payload->len - *pos_out)
		return err_set(e, ERR_CORRUPT,
		    "archive and its payload stream do not fit");
	return 0;
}
