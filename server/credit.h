#ifndef SERVER_CREDIT_H
#define SERVER_CREDIT_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"

/*
 * Who may put how much into a session's arena: blocks in a row and one slot
 * (the validator's limit of unanswered deposits) for each claim, strictly in
 * order of arrival, so that a large one is never starved by small ones.
 * Pure bookkeeping.
 */
struct credit_claim {
	TAILQ_ENTRY(credit_claim) entry;
	uint32_t blocks;
	uint32_t block; /* the first; valid once granted */
	bool waiting;
	bool granted;
	/* It has its blocks now.  May come from inside any function here. */
	void (*on_grant)(struct credit_claim *c);
};
TAILQ_HEAD(credit_claims, credit_claim);

struct credit {
	struct arena_use use;
	uint32_t slots;
	uint32_t slots_used;
	struct credit_claims waiting;
	bool granting;
};

void credit_init(struct credit *c, uint32_t nblocks, uint32_t slots);
void credit_fini(struct credit *c);
/* Whether that many blocks can ever be had. */
bool credit_is_possible(const struct credit *c, uint32_t blocks);
/* claim stays the caller's, who filled blocks (not 0) and on_grant, and lives
 * until credit_release(). */
void credit_request(struct credit *c, struct credit_claim *claim);
/* Gives back what it has, or leaves the queue.  Harmless when repeated. */
void credit_release(struct credit *c, struct credit_claim *claim);
/* The validator counts anew. */
void credit_set_slots(struct credit *c, uint32_t slots);

#endif
