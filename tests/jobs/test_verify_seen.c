/* What a verification knows of chunks: each is new once, keeps what was said of
 * it while the table grows, and is not taken for one that is much like it. */
#include "config.h"

#include <string.h>

#include <criterion/criterion.h>

#include "common/err.h"
#include "common/msg.h"
#include "validator/jobs/verify_seen.h"

#define MANY 20000u

static struct verify_seen seen;

static void
set_up(void)
{
	verify_seen_init(&seen);
}

static void
tear_down(void)
{
	verify_seen_fini(&seen);
}

TestSuite(verify_seen, .init = set_up, .fini = tear_down);

/* Digests that differ in a few bits only. */
static struct digest
nth(uint32_t n)
{
	struct digest d = {{0}};

	memcpy(d.b + DIGEST_LEN - sizeof(n), &n, sizeof(n));
	return d;
}

static struct verify_chunk
chunk(uint32_t n)
{
	return (struct verify_chunk){
	    .what = (enum job_chunk)(n % (JOB_CHUNK_UNKNOWN + 1)),
	    .encrypted = n % 3 == 0,
	    .size = n,
	};
}

static bool
add(const struct digest *d)
{
	struct err e;
	bool fresh;

	verify_seen_fetch(&seen, d);
	cr_assert_eq(verify_seen_add(&seen, d, &fresh, &e), 0, "%s", e.msg);
	return fresh;
}

Test(verify_seen, each_is_new_once)
{
	struct digest d;
	uint32_t n;

	for (n = 1; n <= MANY; n++) {
		d = nth(n);
		cr_assert(add(&d), "%u", n);
	}
	for (n = 1; n <= MANY; n++) {
		d = nth(n);
		cr_assert_not(add(&d), "%u", n);
	}
	cr_expect_eq(seen.used, MANY);
	cr_expect(seen.used * 8 >= (seen.mask + 1) * 3, "three eighths full");
}

Test(verify_seen, keeps_what_was_said)
{
	struct verify_chunk want, got;
	struct digest d;
	uint32_t n;

	for (n = 1; n <= MANY; n++) {
		d = nth(n);
		add(&d);
		if (n % 2 == 0)
			continue;
		want = chunk(n);
		verify_seen_set(&seen, &d, &want);
	}
	for (n = 1; n <= MANY; n++) {
		d = nth(n);
		cr_assert_eq(verify_seen_get(&seen, &d, &got), n % 2 == 1,
		    "pending until it is said: %u", n);
		if (n % 2 == 0)
			continue;
		want = chunk(n);
		cr_assert_eq(got.what, want.what);
		cr_assert_eq(got.encrypted, want.encrypted);
		cr_assert_eq(got.size, want.size);
	}
}

/* Else somebody could make digests whose entries meet. */
Test(verify_seen, has_a_key_of_its_own)
{
	struct verify_seen other;

	verify_seen_init(&other);
	cr_expect_neq(memcmp(other.key, seen.key, sizeof(seen.key)), 0);
	verify_seen_fini(&other);
}
