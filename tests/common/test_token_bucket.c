#include "config.h"

#include "common/token_bucket.h"

#include <criterion/criterion.h>

Test(token_bucket, burst_then_rate)
{
	struct token_bucket b;
	int i;

	token_bucket_init(&b, 10, 5, 1000);
	for (i = 0; i < 5; i++)
		cr_expect(token_bucket_take(&b, 1, 1000) == 1);
	cr_expect(token_bucket_take(&b, 1, 1000) == 0);
	cr_expect(token_bucket_wait_ms(&b, 1, 1000) == 100);
	cr_expect(token_bucket_take(&b, 1, 1099) == 0);
	cr_expect(token_bucket_take(&b, 1, 1100) == 1);
	/* An hour later no more than the burst is there. */
	cr_expect(token_bucket_take(&b, 6, 3600000) == 0);
	cr_expect(token_bucket_take(&b, 5, 3600000) == 1);
}

Test(token_bucket, never)
{
	struct token_bucket b;

	token_bucket_init(&b, 10, 5, 0);
	cr_expect(token_bucket_wait_ms(&b, 6, 0) == UINT64_MAX);
	token_bucket_init(&b, 0, 1, 0);
	cr_expect(token_bucket_take(&b, 1, 0) == 1);
	cr_expect(token_bucket_wait_ms(&b, 1, 0) == UINT64_MAX);
}

Test(token_bucket, clock_may_stand_still_or_leap)
{
	struct token_bucket b;

	token_bucket_init(&b, UINT64_C(1) << 40, UINT64_C(1) << 40, 5000);
	cr_expect(token_bucket_take(&b, UINT64_C(1) << 40, 5000) == 1);
	cr_expect(token_bucket_take(&b, 1, 4000) == 0, "time went back");
	cr_expect(token_bucket_take(&b, 1, UINT64_MAX) == 1);
}
