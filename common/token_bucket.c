/*
 * Rate limits.  Pure arithmetic on a clock that the caller reads.
 */
#include "config.h"

#include "common/token_bucket.h"

void
token_bucket_init(struct token_bucket *b, uint64_t rate, uint64_t burst,
    uint64_t now_ms)
{
	b->rate = rate;
	b->burst = burst;
	b->milli = burst * 1000;
	b->last_ms = now_ms;
}

/* A token a second is a thousandth of one a millisecond. */
static void
refill(struct token_bucket *b, uint64_t now_ms)
{
	uint64_t full = b->burst * 1000;
	uint64_t missing = full - b->milli;
	uint64_t passed = now_ms > b->last_ms ? now_ms - b->last_ms : 0;

	b->last_ms = now_ms > b->last_ms ? now_ms : b->last_ms;
	if (b->rate != 0 && passed >= missing / b->rate + 1)
		b->milli = full;
	else
		b->milli += passed * b->rate;
	if (b->milli > full)
		b->milli = full;
}

int
token_bucket_take(struct token_bucket *b, uint64_t n, uint64_t now_ms)
{
	refill(b, now_ms);
	if (n > b->burst || n * 1000 > b->milli)
		return 0;
	b->milli -= n * 1000;
	return 1;
}

uint64_t
token_bucket_wait_ms(struct token_bucket *b, uint64_t n, uint64_t now_ms)
{
	refill(b, now_ms);
	if (n <= b->burst && n * 1000 <= b->milli)
		return 0;
	if (n > b->burst || b->rate == 0)
		return UINT64_MAX;
	return (n * 1000 - b->milli + b->rate - 1) / b->rate;
}
