/*
 * A hash set of references to digests.  The digests are chosen by clients, so
 * the slot is taken from a keyed hash: a client cannot aim at one chain.
 */
#include "config.h"

#include "common/digest_map.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"

#define SLOTS_MIN 64u
#define SLOTS_MAX (1u << 31)

void
digest_map_init(struct digest_map *m,
    const uint8_t *(*digest_of)(void *ctx, uint32_t ref), void *ctx)
{
	*m = (struct digest_map){.digest_of = digest_of, .ctx = ctx};
	io_random(m->key, sizeof(m->key));
}

void
digest_map_fini(struct digest_map *m)
{
	free(m->slots);
	m->slots = NULL;
	m->mask = m->used = 0;
}

/* Multiply and fold (as wyhash does) over 16 bytes of the digest and the key;
 * digests that collide for all keys would have equal bytes there. */
static uint32_t
slot_of(const struct digest_map *m, const uint8_t digest[32])
{
	uint64_t a, b;
	unsigned __int128 x;

	memcpy(&a, digest, sizeof(a));
	memcpy(&b, digest + 8, sizeof(b));
	x = (unsigned __int128)(a ^ m->key[0]) * (b ^ m->key[1]);
	a = (uint64_t)x ^ (uint64_t)(x >> 64);
	x = (unsigned __int128)(a ^ m->key[1]) * 0x9e3779b97f4a7c15u;
	return (uint32_t)((uint64_t)x ^ (uint64_t)(x >> 64)) & m->mask;
}

void
digest_map_prefetch(const struct digest_map *m, const uint8_t digest[32])
{
	if (m->slots != NULL)
		__builtin_prefetch(&m->slots[slot_of(m, digest)], 1);
}

/* The slot that holds the digest, or the free one where it belongs. */
static uint32_t
find(const struct digest_map *m, const uint8_t digest[32])
{
	uint32_t i = slot_of(m, digest);

	while (m->slots[i] != DIGEST_MAP_NONE &&
	    memcmp(m->digest_of(m->ctx, m->slots[i]), digest, 32) != 0)
		i = (i + 1) & m->mask;
	return i;
}

static int
resize(struct digest_map *m, uint32_t nslots, struct err *e)
{
	uint32_t *old = m->slots, *slots, ref;
	uint32_t old_n = old != NULL ? m->mask + 1 : 0, i;

	slots = malloc((size_t)nslots * sizeof(*slots));
	if (slots == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for %u digests",
		    nslots);
	for (i = 0; i < nslots; i++)
		slots[i] = DIGEST_MAP_NONE;
	m->slots = slots;
	m->mask = nslots - 1;
	for (i = 0; i < old_n; i++) {
		ref = old[i];
		if (ref != DIGEST_MAP_NONE)
			m->slots[find(m, m->digest_of(m->ctx, ref))] = ref;
	}
	free(old);
	return 0;
}

int
digest_map_reserve(struct digest_map *m, uint32_t n, struct err *e)
{
	uint32_t nslots = m->slots != NULL ? m->mask + 1 : SLOTS_MIN;

	while (nslots / 4 * 3 < n) {
		if (nslots >= SLOTS_MAX)
			return err_set(e, ERR_LIMIT, "too many digests");
		nslots *= 2;
	}
	if (m->slots != NULL && nslots == m->mask + 1)
		return 0;
	return resize(m, nslots, e);
}

int
digest_map_put(struct digest_map *m, uint32_t ref, struct err *e)
{
	uint32_t i;

	if (digest_map_reserve(m, m->used + 1, e) == -1)
		return -1;
	i = find(m, m->digest_of(m->ctx, ref));
	if (m->slots[i] != DIGEST_MAP_NONE)
		return 0;
	m->slots[i] = ref;
	m->used++;
	return 1;
}

uint32_t
digest_map_get(const struct digest_map *m, const uint8_t digest[32])
{
	if (m->slots == NULL)
		return DIGEST_MAP_NONE;
	return m->slots[find(m, digest)];
}
