/*
 * The marks of garbage collection (gc_filter.h).  Runs in holdfast-job.  The
 * digests are clients' choice where chunks are encrypted.
 */
#include "config.h"

#include "validator/jobs/gc_filter.h"

#include <sys/mman.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"

#define BLOCK_WORDS 8
#define BLOCK_BYTES (BLOCK_WORDS * sizeof(uint64_t))
#define BLOCK_BITS (BLOCK_BYTES * 8)
#define BLOCKS_MAX (UINT64_C(1) << 34) /* a TiB; what mmap() is asked for */

int
gc_filter_init(struct gc_filter *f, uint64_t nchunks, struct err *e)
{
	uint64_t n = nchunks / (BLOCK_BITS / GC_FILTER_BITS) + 1;
	void *p;

	*f = (struct gc_filter){0};
	if (n > BLOCKS_MAX)
		return err_set(e, ERR_NOMEM, "too many chunks for a filter");
	/* Zero pages, which take no memory before they are touched. */
	p = mmap(NULL, n * BLOCK_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return err_errno(e, errno, "no memory for a filter of %zu MiB",
		    (size_t)(n * BLOCK_BYTES >> 20));
	f->words = p;
	f->nblocks = n;
	io_random(f->key, sizeof(f->key));
	return 0;
}

void
gc_filter_fini(struct gc_filter *f)
{
	if (f->words != NULL)
		munmap(f->words, gc_filter_bytes(f));
	*f = (struct gc_filter){0};
}

static uint64_t
fold(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 p = (unsigned __int128)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* The block, and in *bits_out six bits for each of its words. */
static uint64_t
place(const struct gc_filter *f, const struct digest *d, uint64_t *bits_out)
{
	uint64_t v[4], a, b;

	memcpy(v, d->b, sizeof(v));
	a = fold(v[0] ^ f->key[0], v[1] ^ f->key[1]);
	b = fold(v[2] ^ f->key[2], v[3] ^ f->key[3]);
	*bits_out = fold(a ^ f->key[1], b ^ f->key[2]);
	a = fold(a ^ f->key[3], b ^ f->key[0]);
	__extension__ unsigned __int128 p = (unsigned __int128)a * f->nblocks;
	return (uint64_t)(p >> 64);
}

void
gc_filter_mark(struct gc_filter *f, const struct digest *d)
{
	uint64_t bits, missing = 0, bit, *w;
	int i;

	w = f->words + place(f, d, &bits) * BLOCK_WORDS;
	for (i = 0; i < BLOCK_WORDS; i++, bits >>= 6) {
		bit = UINT64_C(1) << (bits & 63);
		missing |= bit & ~w[i];
		w[i] |= bit;
	}
	f->marked += missing != 0;
}

bool
gc_filter_has(const struct gc_filter *f, const struct digest *d)
{
	uint64_t bits, missing = 0;
	const uint64_t *w;
	int i;

	w = f->words + place(f, d, &bits) * BLOCK_WORDS;
	for (i = 0; i < BLOCK_WORDS; i++, bits >>= 6)
		missing |= (UINT64_C(1) << (bits & 63)) & ~w[i];
	return missing == 0;
}

uint64_t
gc_filter_bytes(const struct gc_filter *f)
{
	return f->nblocks * BLOCK_BYTES;
}

/* The blocks' mean of what the words' fill makes of a look. */
double
gc_filter_error(const struct gc_filter *f)
{
	double sum = 0, one;
	uint64_t b;
	int i;

	for (b = 0; b < f->nblocks; b++) {
		one = 1;
		for (i = 0; i < BLOCK_WORDS; i++)
			one *= __builtin_popcountll(
				   f->words[b * BLOCK_WORDS + (uint64_t)i]) /
			    64.0;
		sum += one;
	}
	return f->nblocks > 0 ? sum / (double)f->nblocks : 0;
}
