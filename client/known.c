/*
 * Digests that the server knows, for holdfast.  Several threads ask, so one
 * lock guards all; it is held for a lookup, while a chunk takes milliseconds.
 */
#include "config.h"

#include "client/known.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/digest_map.h"
#include "common/err.h"
#include "common/mem.h"

#define KNOWN_FIRST 1024

enum state {
	UPLOADING,
	UPLOADED,
	BASE,
};

struct known {
	pthread_mutex_t lock;
	struct digest_map map;
	struct digest *digests; /* by reference */
	uint8_t *state;         /* enum state, by reference */
	uint32_t n;
	uint32_t cap;
};

static const uint8_t *
stored_digest(void *ctx, uint32_t ref)
{
	const struct known *k = ctx;

	return k->digests[ref].b;
}

struct known *
known_new(void)
{
	struct known *k = xcalloc(1, sizeof(*k));

	pthread_mutex_init(&k->lock, NULL);
	digest_map_init(&k->map, stored_digest, k);
	return k;
}

void
known_free(struct known *k)
{
	if (k == NULL)
		return;
	digest_map_fini(&k->map);
	pthread_mutex_destroy(&k->lock);
	free(k->digests);
	free(k->state);
	free(k);
}

/* Under the lock; 1 if it is new. */
static int
add(struct known *k, const struct digest *d, enum state state, struct err *e)
{
	int rv;

	if (k->n == DIGEST_MAP_NONE)
		return err_set(e, ERR_LIMIT, "too many chunks");
	if (k->n == k->cap) {
		k->cap = k->cap > 0 ? k->cap + k->cap / 2 : KNOWN_FIRST;
		k->digests =
		    xreallocarray(k->digests, k->cap, sizeof(*k->digests));
		k->state = xreallocarray(k->state, k->cap, sizeof(*k->state));
	}
	k->digests[k->n] = *d;
	k->state[k->n] = (uint8_t)state;
	rv = digest_map_put(&k->map, k->n, e);
	if (rv == 1)
		k->n++;
	return rv;
}

int
known_add_base(struct known *k, const struct digest *digests, size_t n,
    struct err *e)
{
	size_t i;
	int rv = 0;

	pthread_mutex_lock(&k->lock);
	for (i = 0; i < n && rv != -1; i++)
		rv = add(k, &digests[i], BASE, e);
	pthread_mutex_unlock(&k->lock);
	return rv == -1 ? -1 : 0;
}

int
known_claim(struct known *k, const struct digest *d,
    enum known_claim *claim_out, uint32_t *ref_out, struct err *e)
{
	uint32_t ref;
	int rv = 0;

	pthread_mutex_lock(&k->lock);
	ref = digest_map_get(&k->map, d->b);
	if (ref != DIGEST_MAP_NONE) {
		*claim_out = k->state[ref] == BASE ? KNOWN_CLAIM_REUSED
						   : KNOWN_CLAIM_SHARED;
	} else {
		*claim_out = KNOWN_CLAIM_UPLOAD;
		ref = k->n;
		rv = add(k, d, UPLOADING, e);
	}
	*ref_out = ref;
	pthread_mutex_unlock(&k->lock);
	return rv == -1 ? -1 : 0;
}

void
known_set_ready(struct known *k, uint32_t ref)
{
	pthread_mutex_lock(&k->lock);
	k->state[ref] = UPLOADED;
	pthread_mutex_unlock(&k->lock);
}

int
known_is_ready(struct known *k, uint32_t ref)
{
	int ready;

	pthread_mutex_lock(&k->lock);
	ready = k->state[ref] != UPLOADING;
	pthread_mutex_unlock(&k->lock);
	return ready;
}

void
known_digest(struct known *k, uint32_t ref, struct digest *out)
{
	pthread_mutex_lock(&k->lock);
	*out = k->digests[ref];
	pthread_mutex_unlock(&k->lock);
}
