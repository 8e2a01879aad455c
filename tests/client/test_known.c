/*
 * Chunks that the server knows: each is uploaded by exactly one.
 */
#include "config.h"

#include <pthread.h>
#include <string.h>

#include <criterion/criterion.h>

#include "client/known.h"
#include "common/err.h"

static struct err e;

static struct digest
digest(uint32_t n)
{
	struct digest d = {{0}};

	memcpy(d.b, &n, sizeof(n));
	return d;
}

Test(known, first_claim_uploads)
{
	struct known *k = known_new();
	struct digest d = digest(1), got;
	enum known_claim claim;
	uint32_t ref, again;

	cr_assert_eq(known_claim(k, &d, &claim, &ref, &e), 0);
	cr_assert_eq(claim, KNOWN_CLAIM_UPLOAD);
	cr_assert_not(known_is_ready(k, ref));
	cr_assert_eq(known_claim(k, &d, &claim, &again, &e), 0);
	cr_assert_eq(claim, KNOWN_CLAIM_SHARED);
	cr_assert_eq(again, ref);
	known_set_ready(k, ref);
	cr_assert(known_is_ready(k, ref));
	known_digest(k, ref, &got);
	cr_assert(digest_equal(&got, &d));
	known_free(k);
}

Test(known, the_base_is_reused)
{
	struct known *k = known_new();
	struct digest base[3] = {digest(1), digest(2), digest(1)}, d;
	enum known_claim claim;
	uint32_t ref;

	cr_assert_eq(known_add_base(k, base, 3, &e), 0);
	cr_assert_eq(known_claim(k, &base[1], &claim, &ref, &e), 0);
	cr_assert_eq(claim, KNOWN_CLAIM_REUSED);
	cr_assert(known_is_ready(k, ref));
	d = digest(3);
	cr_assert_eq(known_claim(k, &d, &claim, &ref, &e), 0);
	cr_assert_eq(claim, KNOWN_CLAIM_UPLOAD);
	known_free(k);
}

#define THREADS 4
#define DIGESTS 20000

static void *
claim_all(void *arg)
{
	struct known *k = arg;
	enum known_claim claim;
	struct digest d;
	uintptr_t mine = 0;
	uint32_t i, ref;

	for (i = 0; i < DIGESTS; i++) {
		d = digest(i);
		if (known_claim(k, &d, &claim, &ref, NULL) == 0 &&
		    claim == KNOWN_CLAIM_UPLOAD)
			mine++;
	}
	return (void *)mine;
}

Test(known, threads_share_the_work)
{
	struct known *k = known_new();
	pthread_t t[THREADS];
	void *mine;
	uintptr_t sum = 0;
	int i;

	for (i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, claim_all, k), 0);
	for (i = 0; i < THREADS; i++) {
		pthread_join(t[i], &mine);
		sum += (uintptr_t)mine;
	}
	cr_assert_eq(sum, DIGESTS);
	known_free(k);
}
