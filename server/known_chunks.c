/*
 * Known chunks of a session.  Runs in a worker; the digests are a client's
 * choice, so the map's hash is keyed, and index files were made by clients
 * in the past, so their headers are checked before use.  The validator
 * compares every digest again with its own record at the place named.
 */
#include "config.h"

#include "server/known_chunks.h"

#include <sys/mman.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/dynamic_index.h"
#include "common/format/fixed_index.h"
#include "common/mem.h"
#include "common/msg.h"

/* A reference of the map: deposits have the top bit, the rest count through
 * the entries of all files in the order in which they were added. */
#define REF_DEPOSIT 0x80000000u
#define KNOWN_PAGE 4096u
#define KNOWN_DEPOSITS_MAX (1u << 28)
#define KNOWN_STEP 65536u /* some milliseconds */
#define AHEAD 16u         /* digests whose slots are fetched early */

struct known_file {
	uint32_t number;
	uint32_t first_ref;
	uint32_t count;
	uint32_t done; /* entries in the map so far */
	const uint8_t *map;
	size_t map_len;
	const uint8_t *digests; /* of the first entry */
	size_t stride;
};

/* The file that a reference lies in. */
static const struct known_file *
file_of_ref(const struct known_chunks *k, uint32_t ref)
{
	uint32_t lo = 0, hi = k->file_count, mid;

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (k->files[mid].first_ref <= ref)
			lo = mid;
		else
			hi = mid;
	}
	return &k->files[lo];
}

static const uint8_t *
file_digest(const struct known_file *f, uint32_t i)
{
	return f->digests + (size_t)i * f->stride;
}

static const uint8_t *
digest_of_ref(void *ctx, uint32_t ref)
{
	const struct known_chunks *k = ctx;
	const struct known_file *f;

	if ((ref & REF_DEPOSIT) != 0) {
		ref &= ~REF_DEPOSIT;
		return k->pages[ref / KNOWN_PAGE] +
		    (size_t)(ref % KNOWN_PAGE) * DIGEST_LEN;
	}
	f = file_of_ref(k, ref);
	return file_digest(f, ref - f->first_ref);
}

void
known_init(struct known_chunks *k)
{
	memset(k, 0, sizeof(*k));
	digest_map_init(&k->map, digest_of_ref, k);
}

void
known_fini(struct known_chunks *k)
{
	uint32_t i;

	digest_map_fini(&k->map);
	for (i = 0; i < k->file_count; i++)
		munmap((void *)(uintptr_t)k->files[i].map, k->files[i].map_len);
	for (i = 0; i < k->page_count; i++)
		free(k->pages[i]);
	free(k->files);
	free(k->pages);
	memset(k, 0, sizeof(*k));
}

/* The page of a deposit, made when its first digest comes. */
static uint8_t *
deposit_page(struct known_chunks *k, uint32_t number)
{
	uint32_t page = number / KNOWN_PAGE;

	if (page >= k->page_count) {
		k->pages = xreallocarray(k->pages, page + 1, sizeof(*k->pages));
		while (k->page_count <= page)
			k->pages[k->page_count++] = NULL;
	}
	if (k->pages[page] == NULL)
		k->pages[page] = xcalloc(KNOWN_PAGE, DIGEST_LEN);
	return k->pages[page];
}

int
known_add_deposit(struct known_chunks *k, uint32_t number,
    const struct digest *d, struct err *e)
{
	if (number >= KNOWN_DEPOSITS_MAX)
		return err_set(e, ERR_LIMIT, "too many chunks in this session");
	memcpy(deposit_page(k, number) +
		(size_t)(number % KNOWN_PAGE) * DIGEST_LEN,
	    d->b, DIGEST_LEN);
	return digest_map_put(&k->map, REF_DEPOSIT | number, e) == -1 ? -1 : 0;
}

/* ---- index files ---- */

static struct known_file *
file_get(struct known_chunks *k, uint32_t number)
{
	uint32_t i;

	for (i = 0; i < k->file_count; i++) {
		if (k->files[i].number == number)
			return &k->files[i];
	}
	return NULL;
}

static int
file_check(struct known_file *f, enum archive_kind kind, struct err *e)
{
	struct index_view view;

	if (index_open_map(&view, f->map, f->map_len, e) == -1)
		return -1;
	if ((kind == ARCHIVE_FIXED) != (view.kind == INDEX_FIXED))
		return err_set(e, ERR_CORRUPT,
		    "index is not of the kind that its name says");
	f->count = (uint32_t)view.count;
	f->digests = f->map + INDEX_HEADER_LEN;
	f->stride = FIXED_INDEX_ENTRY_LEN;
	if (view.kind == INDEX_DYNAMIC) {
		f->stride = DYNAMIC_INDEX_ENTRY_LEN;
		f->digests += DYNAMIC_INDEX_ENTRY_LEN - DIGEST_LEN;
	}
	return 0;
}

int
known_add_file(struct known_chunks *k, uint32_t file, enum archive_kind kind,
    int fd, uint64_t size, struct err *e)
{
	struct known_file f = {.number = file, .map_len = (size_t)size};
	void *map;

	if (file_get(k, file) != NULL)
		return 0;
	if (k->file_count >= IPC_FILES_MAX)
		return err_set(e, ERR_LIMIT, "too many files in this session");
	/* References of all files fit below REF_DEPOSIT. */
	if (size < INDEX_HEADER_LEN ||
	    size / DIGEST_LEN >= REF_DEPOSIT - k->file_refs)
		return err_set(e, ERR_CORRUPT, "index has a wrong length");
	map = mmap(NULL, f.map_len, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return err_errno(e, errno, "cannot map index");
	f.map = map;
	f.first_ref = k->file_refs;
	if (file_check(&f, kind, e) == -1) {
		munmap(map, f.map_len);
		return -1;
	}
	k->files =
	    xreallocarray(k->files, k->file_count + 1, sizeof(*k->files));
	k->files[k->file_count++] = f;
	k->file_refs += f.count;
	return 0;
}

int
known_file_step(struct known_chunks *k, uint32_t file, struct err *e)
{
	struct known_file *f = file_get(k, file);
	struct digest d;
	uint32_t end;

	if (f == NULL)
		return err_set(e, ERR_INTERNAL, "file is not mapped");
	if (f->done == 0 &&
	    digest_map_reserve(&k->map, k->map.used + f->count, e) == -1)
		return -1;
	end = f->count - f->done > KNOWN_STEP ? f->done + KNOWN_STEP : f->count;
	for (; f->done < end; f->done++) {
		/* Millions of slots: each is far away. */
		if (f->count - f->done > AHEAD)
			digest_map_prefetch(&k->map,
			    file_digest(f, f->done + AHEAD));
		memcpy(d.b, file_digest(f, f->done), DIGEST_LEN);
		if (digest_is_zero(&d))
			continue; /* never written: no chunk */
		if (digest_map_put(&k->map, f->first_ref + f->done, e) == -1)
			return -1;
	}
	return f->done < f->count;
}

bool
known_get(const struct known_chunks *k, const struct digest *d,
    struct known_source *out)
{
	const struct known_file *f;
	uint32_t ref = digest_map_get(&k->map, d->b);

	if (ref == DIGEST_MAP_NONE)
		return false;
	if ((ref & REF_DEPOSIT) != 0) {
		out->file = IPC_SOURCE_DEPOSIT;
		out->position = ref & ~REF_DEPOSIT;
		return true;
	}
	f = file_of_ref(k, ref);
	out->file = f->number;
	out->position = ref - f->first_ref;
	return true;
}
