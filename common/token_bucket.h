#ifndef COMMON_TOKEN_BUCKET_H
#define COMMON_TOKEN_BUCKET_H

#include <stdint.h>

/* Rate limit: rate tokens a second, at most burst saved up.  Starts full. */
struct token_bucket {
	uint64_t rate;  /* per second */
	uint64_t burst; /* at most 2^40 */
	uint64_t milli; /* thousandths of a token that are there */
	uint64_t last_ms;
};

/* now_ms from io_monotonic_ms(). */
void token_bucket_init(struct token_bucket *b, uint64_t rate, uint64_t burst,
    uint64_t now_ms);
/* Takes n and returns 1, or takes nothing and returns 0. */
int token_bucket_take(struct token_bucket *b, uint64_t n, uint64_t now_ms);
/* Milliseconds until n could be taken, 0 if now; UINT64_MAX if never. */
uint64_t token_bucket_wait_ms(struct token_bucket *b, uint64_t n,
    uint64_t now_ms);

#endif
