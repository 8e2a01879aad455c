#ifndef COMMON_DIGEST_MAP_H
#define COMMON_DIGEST_MAP_H

#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * Set of 32-byte digests that lie elsewhere (a mapped index file): the map
 * holds a u32 reference each and asks for the digest behind it.  Open
 * addressing, load between 3/8 and 3/4, so 5.4 to 10.7 bytes a digest (during
 * growth the old table of half the size is there too; digest_map_reserve()
 * avoids that).  Digests are hostile, so the hash is keyed at random.
 */
#define DIGEST_MAP_NONE UINT32_MAX /* not a reference */

struct digest_map {
	uint32_t *slots;
	uint32_t mask; /* slots - 1 */
	uint32_t used;
	uint64_t key[2];
	/* The digest of a reference that was put; lent, never NULL. */
	const uint8_t *(*digest_of)(void *ctx, uint32_t ref);
	void *ctx;
};

void digest_map_init(struct digest_map *m,
    const uint8_t *(*digest_of)(void *ctx, uint32_t ref), void *ctx);
void digest_map_fini(struct digest_map *m);

/* Room for n digests in all; ERR_NOMEM, ERR_LIMIT (2^31 slots). */
int digest_map_reserve(struct digest_map *m, uint32_t n, struct err *e);
/* Says that the digest will be put or asked for soon. */
void digest_map_prefetch(const struct digest_map *m, const uint8_t digest[32]);
/* Adds ref; if its digest is there already the old reference stays.
 * 1 added, 0 was there, -1. */
int digest_map_put(struct digest_map *m, uint32_t ref, struct err *e);
/* The reference of the digest, or DIGEST_MAP_NONE. */
uint32_t digest_map_get(const struct digest_map *m, const uint8_t digest[32]);

#endif
