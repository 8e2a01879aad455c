/*
 * Bits by position, in a mapped file of the validator's runtime folder or in
 * plain memory.  Set in store threads, read in the loop; no input is parsed.
 */
#include "config.h"

#include "validator/store/bitmap.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

#include "common/err.h"
#include "common/io.h"

#define WORD_BITS 64u

static size_t
words_of(uint64_t bits)
{
	/* One word at least: a mapping of length 0 is an error. */
	return bits == 0 ? 1 : (size_t)((bits + WORD_BITS - 1) / WORD_BITS);
}

static int
map_words(struct bitmap *b, int fd, uint64_t bits, struct err *e)
{
	void *p = mmap(NULL, words_of(bits) * sizeof(*b->words),
	    PROT_READ | PROT_WRITE,
	    fd == -1 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return err_errno(e, errno, "map a bitmap of %llu bits",
		    (unsigned long long)bits);
	b->words = p;
	b->bits = bits;
	return 0;
}

int
bitmap_open(struct bitmap *b, int dirfd, const char *name, uint64_t bits,
    struct err *e)
{
	off_t len = (off_t)(words_of(bits) * sizeof(*b->words));
	struct stat st;
	int fd, rc, rv = -1;

	*b = (struct bitmap){0};
	fd = io_openat(dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, e);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1) {
		err_errno(e, errno, "stat \"%s\"", name);
		goto out;
	}
	if (st.st_size != 0 && st.st_size != len) {
		err_set(e, ERR_CORRUPT, "\"%s\" has the wrong size", name);
		goto out;
	}
	rc = posix_fallocate(fd, 0, len);
	if (rc != 0) {
		err_errno(e, rc, "allocate \"%s\"", name);
		goto out;
	}
	rv = map_words(b, fd, bits, e);
out:
	io_close(&fd);
	return rv;
}

int
bitmap_init(struct bitmap *b, uint64_t bits, struct err *e)
{
	*b = (struct bitmap){0};
	return map_words(b, -1, bits, e);
}

void
bitmap_fini(struct bitmap *b)
{
	if (b->words != NULL)
		munmap((void *)(uintptr_t)b->words,
		    words_of(b->bits) * sizeof(*b->words));
	*b = (struct bitmap){0};
}

static uint64_t
mask_of(uint64_t i)
{
	return UINT64_C(1) << (i % WORD_BITS);
}

bool
bitmap_get(const struct bitmap *b, uint64_t i)
{
	return (atomic_load(&b->words[i / WORD_BITS]) & mask_of(i)) != 0;
}

void
bitmap_set(struct bitmap *b, uint64_t i)
{
	atomic_fetch_or(&b->words[i / WORD_BITS], mask_of(i));
}

void
bitmap_prefetch(const struct bitmap *b, uint64_t i)
{
	__builtin_prefetch((const void *)&b->words[i / WORD_BITS], 1);
}

void
bitmap_clear(struct bitmap *b, uint64_t i)
{
	atomic_fetch_and(&b->words[i / WORD_BITS], ~mask_of(i));
}

uint64_t
bitmap_count(const struct bitmap *b)
{
	uint64_t n = 0;
	size_t w, nwords = words_of(b->bits);

	for (w = 0; w < nwords; w++)
		n += (uint64_t)__builtin_popcountll(atomic_load(&b->words[w]));
	return n;
}

uint64_t
bitmap_count_and_not(const struct bitmap *a, const struct bitmap *b)
{
	uint64_t n = 0;
	size_t w, nwords = words_of(a->bits);

	for (w = 0; w < nwords; w++)
		n += (uint64_t)__builtin_popcountll(
		    bitmap_word_and_not(a, b, w));
	return n;
}

uint64_t
bitmap_word_and_not(const struct bitmap *a, const struct bitmap *b, size_t w)
{
	uint64_t v = a != NULL ? atomic_load(&a->words[w]) : UINT64_MAX;
	uint64_t behind = b->bits - w * WORD_BITS;

	if (behind < WORD_BITS)
		v &= (UINT64_C(1) << behind) - 1;
	return v & ~atomic_load(&b->words[w]);
}

void
bitmap_set_word(struct bitmap *b, size_t w, uint64_t mask)
{
	atomic_fetch_or(&b->words[w], mask);
}

size_t
bitmap_words(const struct bitmap *b)
{
	return words_of(b->bits);
}
