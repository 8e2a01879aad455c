/*
 * The window of a scan, in store threads.  Its digests may have been chosen
 * by a client: encrypted chunks are named by their owners.
 *
 * An American flag sort, byte by byte, in place.  Whatever the digests are, it
 * takes no more than KEY_LEN passes.
 */
#include "config.h"

#include "validator/store/scan_window.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define KEY_LEN (DIGEST_LEN + sizeof(uint32_t)) /* the position comes last */
#define FEW 16u
/* Entries that one thread places at a time. */
#define BLOCK_LEN ((size_t)4096)
#define HUGE_PAGE ((size_t)2 << 20)

/* Entries of all windows together (that some get the least comes on top), and
 * of one. */
#define ALL_WINDOWS ((size_t)4 << 20)
#define WINDOW_MAX ((size_t)512 << 10)
#define WINDOW_MIN ((size_t)32 << 10)

static size_t entries_taken; /* by all windows; the loop's */

/* In huge pages: the first touch of each small one takes as long as checking
 * a chunk, and nothing else can be done before the first window is filled. */
static struct scan_entry *
entries_new(size_t cap)
{
	size_t len = cap * sizeof(struct scan_entry);
	void *p;

	if (len < HUGE_PAGE)
		return malloc(len);
	len = (len + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	p = aligned_alloc(HUGE_PAGE, len);
	if (p != NULL)
		(void)madvise(p, len, MADV_HUGEPAGE);
	return p;
}

/* Large windows are worth their memory: a folder is looked up once in each.
 * But a thousand sessions may check at a time. */
static size_t
fair_share(size_t wanted)
{
	size_t left =
	    entries_taken < ALL_WINDOWS ? ALL_WINDOWS - entries_taken : 0;
	size_t share = left / 8;

	if (share > WINDOW_MAX)
		share = WINDOW_MAX;
	if (share < WINDOW_MIN)
		share = WINDOW_MIN;
	return wanted < share ? wanted : share;
}

int
scan_window_init(struct scan_window *w, size_t wanted)
{
	*w = (struct scan_window){.cap = fair_share(wanted)};
	entries_taken += w->cap;
	w->added = entries_new(w->cap);
	w->entries = entries_new(w->cap);
	if (w->added != NULL && w->entries != NULL)
		return 0;
	scan_window_fini(w);
	return -1;
}

void
scan_window_fini(struct scan_window *w)
{
	entries_taken -= w->cap;
	free(w->added);
	free(w->entries);
	w->added = w->entries = NULL;
	w->cap = w->nadded = w->len = 0;
}

/* --- placing ------------------------------------------------------------ */

void
scan_window_add(struct scan_window *w, const struct digest *digest,
    uint32_t pos)
{
	struct scan_entry *e = &w->added[w->nadded++];

	e->digest = *digest;
	e->pos = pos;
	w->nadded_in[digest->b[0]]++;
}

size_t
scan_window_turn(struct scan_window *w)
{
	size_t start = 0;
	unsigned int i;

	for (i = 0; i < SCAN_PARTS; i++) {
		atomic_store(&w->next[i], start);
		start = w->part_end[i] = start + w->nadded_in[i];
		w->nadded_in[i] = 0;
	}
	w->len = w->nadded;
	w->nadded = 0;
	return (w->len + BLOCK_LEN - 1) / BLOCK_LEN;
}

/* Claims the places of all its entries of a part at a time. */
void
scan_window_place(struct scan_window *w, size_t block)
{
	const struct scan_entry *e = w->added + block * BLOCK_LEN, *end, *i;
	size_t next[SCAN_PARTS] = {0}, left = w->len - block * BLOCK_LEN;
	unsigned int v;

	end = e + (left < BLOCK_LEN ? left : BLOCK_LEN);
	for (i = e; i < end; i++)
		next[i->digest.b[0]]++;
	for (v = 0; v < SCAN_PARTS; v++)
		if (next[v] > 0)
			next[v] = atomic_fetch_add(&w->next[v], next[v]);
	for (i = e; i < end; i++)
		w->entries[next[i->digest.b[0]]++] = *i;
}

/* --- sorting ------------------------------------------------------------ */

/* The key's bytes, the first one counting most. */
static uint8_t
key_byte(const struct scan_entry *e, unsigned int i)
{
	return i < DIGEST_LEN ? e->digest.b[i]
			      : (uint8_t)(e->pos >> 8 * (KEY_LEN - 1 - i));
}

static bool
is_less(const struct scan_entry *a, const struct scan_entry *b)
{
	int c = digest_cmp(&a->digest, &b->digest);

	return c != 0 ? c < 0 : a->pos < b->pos;
}

static void
insertion_sort(struct scan_entry *e, size_t n)
{
	struct scan_entry moved;
	size_t i, k;

	for (i = 1; i < n; i++) {
		if (!is_less(&e[i], &e[i - 1]))
			continue;
		moved = e[i];
		for (k = i; k > 0 && is_less(&moved, &e[k - 1]); k--)
			e[k] = e[k - 1];
		e[k] = moved;
	}
}

/* Each entry goes straight to the place of its key's byte; end_out says where
 * the entries of each value end. */
static void
split(struct scan_entry *e, size_t n, unsigned int byte,
    size_t end_out[SCAN_PARTS])
{
	size_t next[SCAN_PARTS], start = 0, i;
	struct scan_entry old;
	unsigned int v, other;

	memset(end_out, 0, SCAN_PARTS * sizeof(*end_out));
	for (i = 0; i < n; i++)
		end_out[key_byte(&e[i], byte)]++;
	for (v = 0; v < SCAN_PARTS; v++) {
		next[v] = start;
		start = end_out[v] += start;
	}
	for (v = 0; v < SCAN_PARTS; v++) {
		while (next[v] < end_out[v]) {
			other = key_byte(&e[next[v]], byte);
			if (other != v) {
				old = e[next[other]];
				e[next[other]] = e[next[v]];
				e[next[v]] = old;
			}
			next[other]++;
		}
	}
}

/* Entries that have the bytes of the key before this one in common. */
static void
sort(struct scan_entry *e, size_t n, unsigned int byte)
{
	size_t end[SCAN_PARTS], start = 0;
	unsigned int v;

	if (n <= FEW || byte == KEY_LEN) {
		insertion_sort(e, n);
		return;
	}
	split(e, n, byte, end);
	for (v = 0; v < SCAN_PARTS; start = end[v++])
		sort(e + start, end[v] - start, byte + 1);
}

void
scan_window_sort_part(struct scan_window *w, unsigned int i, size_t *start_out,
    size_t *end_out)
{
	*start_out = i == 0 ? 0 : w->part_end[i - 1];
	*end_out = w->part_end[i];
	sort(w->entries + *start_out, *end_out - *start_out, 1);
}

size_t
scan_window_group(const struct scan_window *w, size_t i, size_t end)
{
	size_t k = i + 1;

	while (k < end &&
	    digest_equal(&w->entries[i].digest, &w->entries[k].digest))
		k++;
	return k - i;
}
