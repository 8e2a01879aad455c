/*
 * Credit for uploads (DESIGN, step 8).  Runs in a worker; the sizes are
 * checked by whoever makes a claim.
 */
#include "config.h"

#include "server/credit.h"

#include "common/log.h"

void
credit_init(struct credit *c, uint32_t nblocks, uint32_t slots)
{
	arena_use_init(&c->use, nblocks);
	c->slots = slots;
	c->slots_used = 0;
	c->granting = false;
	TAILQ_INIT(&c->waiting);
}

void
credit_fini(struct credit *c)
{
	arena_use_fini(&c->use);
}

bool
credit_is_possible(const struct credit *c, uint32_t blocks)
{
	return blocks <= c->use.nblocks;
}

/* In order; the head waits for a hole that is large enough, and since nobody
 * overtakes it, one will come. */
static void
credit_grant(struct credit *c)
{
	struct credit_claim *claim;

	if (c->granting)
		return; /* on_grant() released something: the loop goes on */
	c->granting = true;
	while ((claim = TAILQ_FIRST(&c->waiting)) != NULL &&
	    c->slots_used < c->slots &&
	    arena_take(&c->use, claim->blocks, &claim->block) == 0) {
		TAILQ_REMOVE(&c->waiting, claim, entry);
		claim->waiting = false;
		claim->granted = true;
		c->slots_used++;
		claim->on_grant(claim);
	}
	c->granting = false;
}

void
credit_request(struct credit *c, struct credit_claim *claim)
{
	claim->waiting = true;
	claim->granted = false;
	TAILQ_INSERT_TAIL(&c->waiting, claim, entry);
	credit_grant(c);
}

void
credit_release(struct credit *c, struct credit_claim *claim)
{
	if (claim->waiting)
		TAILQ_REMOVE(&c->waiting, claim, entry);
	if (claim->granted) {
		if (arena_release(&c->use, claim->block, claim->blocks) == -1)
			fatal("credit", "arena blocks released twice");
		c->slots_used--;
	}
	claim->waiting = claim->granted = false;
	credit_grant(c);
}

void
credit_set_slots(struct credit *c, uint32_t slots)
{
	c->slots = slots;
	credit_grant(c);
}
