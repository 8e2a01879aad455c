/*
 * What a verification knows of each chunk (verify_seen.h): a table with open
 * addressing.  Runs in holdfast-job.  Digests are what indexes say, so whoever
 * uploads chooses them.
 */
#include "config.h"

#include "validator/jobs/verify_seen.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"

#define SLOTS_MIN 4096u
#define SLOTS_MAX (UINT64_C(1) << 34)

#define KNOWN_PENDING 0x80u
#define KNOWN_ENCRYPTED 0x40u
#define KNOWN_USED 0x20u
#define KNOWN_WHAT 0x0fu

struct verify_known {
	uint64_t print; /* keyed, so that nobody can aim at another's chunk */
	uint32_t size;
	uint8_t flags;
};

void
verify_seen_init(struct verify_seen *t)
{
	*t = (struct verify_seen){0};
	io_random(t->key, sizeof(t->key));
}

void
verify_seen_fini(struct verify_seen *t)
{
	free(t->v);
	t->v = NULL;
}

/* Multiply and fold (as wyhash does) all bytes of the digest with a random
 * key. */
static uint64_t
fold(uint64_t a, uint64_t b)
{
	unsigned __int128 x = (unsigned __int128)a * b;

	return (uint64_t)x ^ (uint64_t)(x >> 64);
}

static uint64_t
print_of(const struct verify_seen *t, const struct digest *d)
{
	uint64_t w[DIGEST_LEN / sizeof(uint64_t)], first;

	memcpy(w, d->b, sizeof(w));
	first = fold(w[0] ^ t->key[0], w[1] ^ t->key[1]);
	return fold(first ^ w[2] ^ t->key[1],
	    w[3] ^ t->key[0] ^ 0x9e3779b97f4a7c15u);
}

static struct verify_known *
place(const struct verify_seen *t, uint64_t print)
{
	uint64_t i = print & t->mask;

	while ((t->v[i].flags & KNOWN_USED) != 0 && t->v[i].print != print)
		i = (i + 1) & t->mask;
	return &t->v[i];
}

static int
grow(struct verify_seen *t, struct err *e)
{
	struct verify_seen bigger = *t;
	uint64_t n = t->v == NULL ? SLOTS_MIN : (t->mask + 1) * 2, i;

	if (n > SLOTS_MAX ||
	    (bigger.v = calloc((size_t)n, sizeof(*bigger.v))) == NULL)
		return err_set(e, ERR_NOMEM,
		    "out of memory for what is known of %llu chunks",
		    (unsigned long long)t->used);
	bigger.mask = n - 1;
	for (i = 0; t->v != NULL && i <= t->mask; i++)
		if (t->v[i].flags & KNOWN_USED)
			*place(&bigger, t->v[i].print) = t->v[i];
	free(t->v);
	*t = bigger;
	return 0;
}

void
verify_seen_fetch(const struct verify_seen *t, const struct digest *d)
{
	if (t->v != NULL)
		__builtin_prefetch(&t->v[print_of(t, d) & t->mask], 1);
}

int
verify_seen_add(struct verify_seen *t, const struct digest *d, bool *fresh_out,
    struct err *e)
{
	uint64_t print = print_of(t, d);
	struct verify_known *k;

	if ((t->v == NULL || t->used >= (t->mask + 1) / 4 * 3) &&
	    grow(t, e) == -1)
		return -1;
	k = place(t, print);
	*fresh_out = (k->flags & KNOWN_USED) == 0;
	if (*fresh_out) {
		k->print = print;
		k->flags = KNOWN_USED | KNOWN_PENDING;
		t->used++;
	}
	return 0;
}

void
verify_seen_set(struct verify_seen *t, const struct digest *d,
    const struct verify_chunk *c)
{
	struct verify_known *k = place(t, print_of(t, d));

	k->size = c->size;
	k->flags = (uint8_t)(KNOWN_USED | (unsigned int)c->what |
	    (c->encrypted ? KNOWN_ENCRYPTED : 0));
}

bool
verify_seen_get(const struct verify_seen *t, const struct digest *d,
    struct verify_chunk *out)
{
	const struct verify_known *k = place(t, print_of(t, d));

	out->what = (enum job_chunk)(k->flags & KNOWN_WHAT);
	out->encrypted = (k->flags & KNOWN_ENCRYPTED) != 0;
	out->size = k->size;
	return (k->flags & KNOWN_PENDING) == 0;
}
