#include "config.h"

#include "common/digest_map.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/err.h"
#include "common/mem.h"

#define N 20000

static const uint8_t *
digest_of(void *ctx, uint32_t ref)
{
	return (const uint8_t *)ctx + (size_t)ref * 32;
}

/* Digests that share all but four bytes. */
static uint8_t *
digests_make(uint32_t n)
{
	uint8_t *d = xcalloc(n, 32);
	uint32_t i;

	for (i = 0; i < n; i++) {
		memset(d + (size_t)i * 32, 0xaa, 32);
		memcpy(d + (size_t)i * 32 + 14, &i, sizeof(i));
	}
	return d;
}

Test(digest_map, finds_what_was_put)
{
	uint8_t *d = digests_make(N), other[32] = {0};
	struct digest_map m;
	struct err e;
	uint32_t i;

	digest_map_init(&m, digest_of, d);
	cr_assert(digest_map_get(&m, other) == DIGEST_MAP_NONE, "empty map");
	for (i = 0; i < N; i++)
		cr_assert(digest_map_put(&m, i, &e) == 1);
	for (i = 0; i < N; i++)
		cr_assert(digest_map_get(&m, d + (size_t)i * 32) == i);
	cr_assert(digest_map_get(&m, other) == DIGEST_MAP_NONE);
	cr_assert(m.used == N);
	cr_assert((uint64_t)m.mask + 1 <= (uint64_t)N * 8 / 3 + 1,
	    "at most 10.7 bytes a digest");
	digest_map_fini(&m);
	free(d);
}

Test(digest_map, first_reference_stays)
{
	uint8_t *d = digests_make(4);
	struct digest_map m;
	struct err e;

	memcpy(d + 32 * 3, d + 32, 32);
	digest_map_init(&m, digest_of, d);
	cr_assert(digest_map_put(&m, 1, &e) == 1);
	cr_assert(digest_map_put(&m, 3, &e) == 0);
	cr_assert(digest_map_get(&m, d + 32 * 3) == 1);
	cr_assert(m.used == 1);
	digest_map_fini(&m);
	free(d);
}

Test(digest_map, reserve_spares_growth)
{
	uint8_t *d = digests_make(N);
	struct digest_map m;
	struct err e;
	uint32_t i, *slots;

	digest_map_init(&m, digest_of, d);
	cr_assert(digest_map_put(&m, 0, &e) == 1);
	cr_assert(digest_map_reserve(&m, N, &e) == 0);
	cr_assert(digest_map_get(&m, d) == 0, "kept by reserve");
	slots = m.slots;
	for (i = 1; i < N; i++)
		cr_assert(digest_map_put(&m, i, &e) == 1);
	cr_assert(m.slots == slots);
	digest_map_fini(&m);
	free(d);
}

Test(digest_map, limit)
{
	struct digest_map m;
	struct err e;

	digest_map_init(&m, digest_of, NULL);
	cr_assert(digest_map_reserve(&m, UINT32_MAX, &e) == -1);
	cr_assert(e.code == ERR_LIMIT);
	digest_map_fini(&m);
}

/* Two maps order the same digests differently, so nobody can aim at one. */
Test(digest_map, hash_is_keyed)
{
	uint8_t *d = digests_make(1000);
	struct digest_map a, b;
	struct err e;
	uint32_t i;

	digest_map_init(&a, digest_of, d);
	digest_map_init(&b, digest_of, d);
	for (i = 0; i < 1000; i++) {
		digest_map_put(&a, i, &e);
		digest_map_put(&b, i, &e);
	}
	cr_assert(a.mask == b.mask);
	cr_assert(
	    memcmp(a.slots, b.slots, (size_t)a.mask * sizeof(*a.slots)) != 0);
	digest_map_fini(&a);
	digest_map_fini(&b);
	free(d);
}
