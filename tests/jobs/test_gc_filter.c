/* The filter of garbage collection: it never forgets, and errs as seldom as
 * its header says. */
#include "config.h"

#include "validator/jobs/gc_filter.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "common/err.h"

#define MARKS 200000u

static struct digest_ctx *hash;

static struct digest
number(uint32_t n)
{
	struct digest d;

	digest_of(hash, &n, sizeof(n), &d);
	return d;
}

static void
init(void)
{
	hash = digest_ctx_new();
}

static void
fini(void)
{
	digest_ctx_free(hash);
}

TestSuite(gc_filter, .init = init, .fini = fini);

static void
fill(struct gc_filter *f, uint32_t made_for, uint32_t marks)
{
	struct digest d;
	uint32_t i;

	cr_assert_eq(gc_filter_init(f, made_for, NULL), 0);
	for (i = 0; i < marks; i++) {
		d = number(i);
		gc_filter_mark(f, &d);
	}
	for (i = 0; i < marks; i++) {
		d = number(i);
		cr_assert(gc_filter_has(f, &d), "%u is forgotten", i);
	}
}

static double
errors(const struct gc_filter *f, uint32_t marks)
{
	struct digest d;
	uint32_t i, wrong = 0;

	for (i = 0; i < 1000000; i++) {
		d = number(marks + i);
		wrong += gc_filter_has(f, &d);
	}
	return wrong / 1e6;
}

Test(gc_filter, errs_as_seldom_as_it_says)
{
	struct gc_filter f;
	double share;

	fill(&f, MARKS, MARKS);
	cr_expect(f.marked > MARKS * 0.999 && f.marked <= MARKS);
	cr_expect(gc_filter_bytes(&f) <= MARKS * 4 + 128);
	share = errors(&f, MARKS);
	cr_expect(share < 1 / 1000.0, "%f", share);
	cr_expect(share > 1 / 1300.0, "%f", share);
	cr_expect(gc_filter_error(&f) > share * 0.8);
	cr_expect(gc_filter_error(&f) < share * 1.2);
	gc_filter_fini(&f);
}

Test(gc_filter, overfull_one_still_tells)
{
	struct gc_filter f;
	double share;

	fill(&f, MARKS / 2, MARKS);
	share = errors(&f, MARKS);
	cr_expect(share < 1 / 25.0, "%f", share);
	gc_filter_fini(&f);
}

Test(gc_filter, other_errors_each_time)
{
	struct gc_filter a, b;
	struct digest d;
	uint32_t i, both = 0, one = 0;

	fill(&a, MARKS / 2, MARKS);
	fill(&b, MARKS / 2, MARKS);
	for (i = 0; i < 100000; i++) {
		d = number(MARKS + i);
		one += gc_filter_has(&a, &d);
		both += gc_filter_has(&a, &d) && gc_filter_has(&b, &d);
	}
	cr_expect(one > 1000);
	cr_expect(both < one / 5, "%u of %u", both, one);
	gc_filter_fini(&a);
	gc_filter_fini(&b);
}

Test(gc_filter, empty_and_tiny)
{
	struct gc_filter f;
	struct digest d = number(1);

	cr_assert_eq(gc_filter_init(&f, 0, NULL), 0);
	cr_expect_not(gc_filter_has(&f, &d));
	cr_expect(gc_filter_error(&f) < 1e-9);
	gc_filter_mark(&f, &d);
	gc_filter_mark(&f, &d);
	cr_expect_eq(f.marked, 1);
	cr_expect(gc_filter_has(&f, &d));
	gc_filter_fini(&f);
	gc_filter_fini(&f);
}

Test(gc_filter, too_many)
{
	struct gc_filter f;
	struct err e;

	cr_expect_eq(gc_filter_init(&f, UINT64_MAX, &e), -1);
	cr_expect_eq(e.code, ERR_NOMEM);
	gc_filter_fini(&f);
}

Test(gc_filter, knows_whether_all_were_seen)
{
	struct digest d, other = number(MARKS + 1);
	uint32_t i, missed = 0, missing;
	struct gc_filter f;

	/* One is missing, another one each time. */
	for (missing = 0; missing < 100; missing++) {
		fill(&f, 1000, 1000);
		cr_assert_not(gc_filter_all_seen(&f));
		for (i = 0; i < 1000; i++) {
			d = number(i);
			if (i != missing)
				cr_assert(gc_filter_see(&f, &d));
		}
		/* What is not marked adds nothing. */
		gc_filter_see(&f, &other);
		d = number(missing);
		cr_assert_eq(gc_filter_was_seen(&f, &d),
		    gc_filter_all_seen(&f));
		missed += gc_filter_all_seen(&f);
		cr_assert(gc_filter_see(&f, &d));
		cr_assert(gc_filter_was_seen(&f, &d));
		cr_assert(gc_filter_all_seen(&f));
		gc_filter_fini(&f);
	}
	cr_assert(missed <= 3, "%u of 100", missed);
}

static void *
see_all(void *arg)
{
	struct gc_filter *f = arg;
	struct digest_ctx *own = digest_ctx_new();
	struct digest d;
	uint32_t i;

	for (i = 0; i < MARKS; i++) {
		digest_of(own, &i, sizeof(i), &d);
		gc_filter_see(f, &d);
	}
	digest_ctx_free(own);
	return NULL;
}

Test(gc_filter, many_may_see)
{
	struct gc_filter f;
	pthread_t t[4];
	int i;

	fill(&f, MARKS, MARKS);
	for (i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, see_all, &f), 0);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	cr_assert(gc_filter_all_seen(&f));
	gc_filter_fini(&f);
}
