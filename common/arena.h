#ifndef COMMON_ARENA_H
#define COMMON_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * Shared memory for payloads, made of blocks, passed once as a descriptor.
 * The other side may write at any time: copy once, then judge the copy.
 * The size is sealed, so a mapping can never raise SIGBUS by truncation.
 */
#define ARENA_BLOCK 65536u
#define ARENA_BLOCKS_DEFAULT 1024u /* 64 MiB */
#define ARENA_BLOCKS_MAX 65536u    /* 4 GiB */

struct arena {
	int fd; /* -1 after arena_fd_close() */
	uint8_t *base;
	uint32_t nblocks;
	int writable;
};

/* A new one, mapped for reading and writing. */
int arena_create(struct arena *a, const char *name, uint32_t nblocks,
    struct err *e);
/*
 * Maps one that came from a peer; takes fd, also on failure.  ERR_PROTO
 * unless it is a plain memory file of whole blocks, at most max_blocks, with
 * its size sealed and, if writable, not sealed against writing.
 */
int arena_map(struct arena *a, int fd, uint32_t max_blocks, int writable,
    struct err *e);
/* Safe on a zeroed struct with fd -1, and twice. */
void arena_fini(struct arena *a);
void arena_fd_close(struct arena *a); /* the mapping stays */
/* Gives the memory back: all bytes are 0 afterwards.  For the writer, when
 * no block is in use; one that cannot do it keeps the memory. */
void arena_empty(struct arena *a);

static inline uint32_t
arena_blocks_for(size_t len)
{
	return (uint32_t)((len + ARENA_BLOCK - 1) / ARENA_BLOCK);
}

/* Whether len bytes (not 0) from the start of block lie inside. */
static inline int
arena_range_ok(const struct arena *a, uint32_t block, size_t len)
{
	return len > 0 && block < a->nblocks &&
	    len <= (size_t)(a->nblocks - block) * ARENA_BLOCK;
}

/* The bytes of a block; NULL unless arena_range_ok(). */
static inline uint8_t *
arena_at(const struct arena *a, uint32_t block, size_t len)
{
	if (!arena_range_ok(a, block, len))
		return NULL;
	return a->base + (size_t)block * ARENA_BLOCK;
}

/*
 * Which blocks are in use, kept privately by each side: the writer takes
 * free runs from it, the reader refuses claims that overlap.
 */
struct arena_use {
	uint8_t *map; /* one byte a block */
	uint32_t nblocks;
	uint32_t nfree;
	uint32_t hint; /* no free block below it */
};

void arena_use_init(struct arena_use *u, uint32_t nblocks);
void arena_use_fini(struct arena_use *u);
/* First free run of n blocks; 0 and block_out, or -1 if there is none. */
int arena_take(struct arena_use *u, uint32_t n, uint32_t *block_out);
/* Marks a run that the other side chose; -1, and nothing changed, if it is
 * empty, out of range or overlaps one in use. */
int arena_claim(struct arena_use *u, uint32_t block, uint32_t n);
/* Frees a run; -1, and nothing changed, unless all of it is in use. */
int arena_release(struct arena_use *u, uint32_t block, uint32_t n);

#endif
