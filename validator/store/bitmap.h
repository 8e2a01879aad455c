#ifndef VALIDATOR_STORE_BITMAP_H
#define VALIDATOR_STORE_BITMAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * Bits by position in a mapped file of the runtime folder: they outlive a
 * SIGKILL of the validator.  The file's blocks are allocated first, so that a
 * full file system is an error here and not SIGBUS later.  Setting and
 * reading are atomic and never block.
 */
struct bitmap {
	_Atomic uint64_t *words; /* NULL until opened */
	uint64_t bits;
};

/* Opens or makes name with room for bits (one that is there must have just
 * that size: ERR_CORRUPT). */
int bitmap_open(struct bitmap *b, int dirfd, const char *name, uint64_t bits,
    struct err *e);
/* In plain memory, all zero. */
int bitmap_init(struct bitmap *b, uint64_t bits, struct err *e);
void bitmap_fini(struct bitmap *b);

bool bitmap_get(const struct bitmap *b, uint64_t i);
void bitmap_set(struct bitmap *b, uint64_t i);
/* Says that i will be set soon. */
void bitmap_prefetch(const struct bitmap *b, uint64_t i);
void bitmap_clear(struct bitmap *b, uint64_t i);
/* How many are set. */
uint64_t bitmap_count(const struct bitmap *b);
/* How many are set in a and not in b, which have the same size. */
uint64_t bitmap_count_and_not(const struct bitmap *a, const struct bitmap *b);
/* By 64 positions from 64 * w on: those that are set in a (NULL: every one)
 * and not in b, the lowest bit first. */
uint64_t bitmap_word_and_not(const struct bitmap *a, const struct bitmap *b,
    size_t w);
void bitmap_set_word(struct bitmap *b, size_t w, uint64_t mask);
/* How many words there are. */
size_t bitmap_words(const struct bitmap *b);

#endif
