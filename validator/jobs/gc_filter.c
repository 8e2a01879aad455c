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
#define BLOCK_BITS (BLOCK_WORDS * 64)
#define PAIR_WORDS (2 * (size_t)BLOCK_WORDS) /* marks, then what was seen */
#define PAIR_BYTES (PAIR_WORDS * sizeof(uint64_t))
#define BLOCKS_MAX (UINT64_C(1) << 33) /* a TiB; what mmap() is asked for */

int
gc_filter_init(struct gc_filter *f, uint64_t nchunks, struct err *e)
{
	uint64_t n = nchunks / (BLOCK_BITS / GC_FILTER_BITS) + 1;
	void *p;

	*f = (struct gc_filter){0};
	if (n > BLOCKS_MAX)
		return err_set(e, ERR_NOMEM, "too many chunks for a filter");
	/* Zero pages, which take no memory before they are touched. */
	p = mmap(NULL, n * PAIR_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return err_errno(e, errno, "no memory for a filter of %zu MiB",
		    (size_t)(n * PAIR_BYTES >> 20));
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

/* The pair, and in *bits_out six bits for each of its words. */
static uint64_t *
place(const struct gc_filter *f, const struct digest *d, uint64_t *bits_out)
{
	uint64_t v[4], a, b;

	memcpy(v, d->b, sizeof(v));
	a = fold(v[0] ^ f->key[0], v[1] ^ f->key[1]);
	b = fold(v[2] ^ f->key[2], v[3] ^ f->key[3]);
	*bits_out = fold(a ^ f->key[1], b ^ f->key[2]);
	a = fold(a ^ f->key[3], b ^ f->key[0]);
	__extension__ unsigned __int128 p = (unsigned __int128)a * f->nblocks;
	return f->words + (uint64_t)(p >> 64) * PAIR_WORDS;
}

static uint64_t
bit_of(uint64_t bits, int word)
{
	return UINT64_C(1) << (bits >> 6 * word & 63);
}

static bool
block_has(const uint64_t *w, uint64_t bits)
{
	uint64_t missing = 0;
	int i;

	for (i = 0; i < BLOCK_WORDS; i++)
		missing |=
		    bit_of(bits, i) & ~__atomic_load_n(&w[i], __ATOMIC_RELAXED);
	return missing == 0;
}

void
gc_filter_mark(struct gc_filter *f, const struct digest *d)
{
	uint64_t bits, missing = 0, bit, *w = place(f, d, &bits);
	int i;

	for (i = 0; i < BLOCK_WORDS; i++) {
		bit = bit_of(bits, i);
		missing |= bit & ~w[i];
		w[i] |= bit;
	}
	f->marked += missing != 0;
}

void
gc_filter_prefetch(const struct gc_filter *f, const struct digest *d)
{
	uint64_t bits, *w = place(f, d, &bits);

	__builtin_prefetch(w);
	__builtin_prefetch(w + BLOCK_WORDS, 1);
}

bool
gc_filter_has(const struct gc_filter *f, const struct digest *d)
{
	uint64_t bits, *w = place(f, d, &bits);

	return block_has(w, bits);
}

bool
gc_filter_see(struct gc_filter *f, const struct digest *d)
{
	uint64_t bits, *w = place(f, d, &bits), *seen = w + BLOCK_WORDS;
	int i;

	if (!block_has(w, bits))
		return false;
	if (!block_has(seen, bits))
		for (i = 0; i < BLOCK_WORDS; i++)
			__atomic_fetch_or(&seen[i], bit_of(bits, i),
			    __ATOMIC_RELAXED);
	return true;
}

bool
gc_filter_was_seen(const struct gc_filter *f, const struct digest *d)
{
	uint64_t bits, *w = place(f, d, &bits);

	return block_has(w + BLOCK_WORDS, bits);
}

bool
gc_filter_all_seen(const struct gc_filter *f)
{
	const uint64_t *w = f->words, *end = w + f->nblocks * PAIR_WORDS;

	for (; w < end; w += PAIR_WORDS)
		if (memcmp(w, w + BLOCK_WORDS,
			BLOCK_WORDS * sizeof(uint64_t)) != 0)
			return false;
	return true;
}

uint64_t
gc_filter_bytes(const struct gc_filter *f)
{
	return f->nblocks * PAIR_BYTES;
}

/* The blocks' mean of what the words' fill makes of a look. */
double
gc_filter_error(const struct gc_filter *f)
{
	const uint64_t *w;
	double sum = 0, one;
	uint64_t b;
	int i;

	for (b = 0; b < f->nblocks; b++) {
		w = f->words + b * PAIR_WORDS;
		one = 1;
		for (i = 0; i < BLOCK_WORDS; i++)
			one *= __builtin_popcountll(w[i]) / 64.0;
		sum += one;
	}
	return f->nblocks > 0 ? sum / (double)f->nblocks : 0;
}
