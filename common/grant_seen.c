/*
 * Which grants were used already.  Runs in the validator; the nonces come
 * from opened grants, so auth chose them, at random: they need no further
 * hashing.
 */
#include "config.h"

#include "common/grant.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"

#define SEEN_SLOTS_MIN 1024u
/* Filled to 3/4: over 3,000 grants a second for as long as one lives. */
#define SEEN_SLOTS_MAX (1u << 18)

struct seen_slot {
	uint8_t nonce[GRANT_NONCE_LEN];
	uint64_t expiry_ms; /* 0: free */
};

struct grant_seen {
	struct seen_slot *slots;
	uint32_t count; /* a power of 2 */
	uint32_t used;
};

struct grant_seen *
grant_seen_new(void)
{
	struct grant_seen *s = xcalloc(1, sizeof(*s));

	s->count = SEEN_SLOTS_MIN;
	s->slots = xcalloc(s->count, sizeof(*s->slots));
	return s;
}

void
grant_seen_free(struct grant_seen *s)
{
	if (s == NULL)
		return;
	free(s->slots);
	free(s);
}

/* The slot of the nonce, or the free one where it belongs. */
static struct seen_slot *
seen_find(struct grant_seen *s, const uint8_t nonce[GRANT_NONCE_LEN])
{
	uint32_t i;

	memcpy(&i, nonce, sizeof(i));
	for (i &= s->count - 1; s->slots[i].expiry_ms != 0;
	     i = (i + 1) & (s->count - 1)) {
		if (memcmp(s->slots[i].nonce, nonce, GRANT_NONCE_LEN) == 0)
			break;
	}
	return &s->slots[i];
}

/* Forgets what is expired; doubles the table if that was not enough. */
static void
seen_rebuild(struct grant_seen *s, uint64_t now_ms)
{
	struct seen_slot *old = s->slots;
	uint32_t i, live = 0, old_count = s->count;

	for (i = 0; i < old_count; i++)
		live += old[i].expiry_ms > now_ms;
	if (live > s->count / 2 && s->count < SEEN_SLOTS_MAX)
		s->count *= 2;
	s->slots = xcalloc(s->count, sizeof(*s->slots));
	s->used = live;
	for (i = 0; i < old_count; i++) {
		if (old[i].expiry_ms > now_ms)
			*seen_find(s, old[i].nonce) = old[i];
	}
	free(old);
}

int
grant_seen_add(struct grant_seen *s, const struct grant *g, uint64_t now_ms,
    struct err *e)
{
	struct seen_slot *slot;

	if (s->used >= s->count / 4 * 3) {
		seen_rebuild(s, now_ms);
		if (s->used >= s->count / 4 * 3)
			return err_set(e, ERR_PERM,
			    "too many grants at a time, try again");
	}
	slot = seen_find(s, g->nonce);
	if (slot->expiry_ms != 0)
		return err_set(e, ERR_PERM, "grant was used already");
	memcpy(slot->nonce, g->nonce, sizeof(slot->nonce));
	slot->expiry_ms = g->expiry_ms;
	s->used++;
	return 0;
}
