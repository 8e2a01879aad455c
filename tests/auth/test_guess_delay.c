/* Delays against guessing. */
#include "config.h"

#include <criterion/criterion.h>

#include <stdio.h>

#include "server/auth/guess_delay.h"

Test(guess_delay, grows_to_its_limit)
{
	struct guess_delay *g = guess_delay_new(3);
	uint32_t last = 0, now;
	int i;

	cr_expect_eq(guess_delay_failed(g, "bob@pbs", "1.2.3.4:5", 1000),
	    GUESS_DELAY_MIN_MS);
	for (i = 0; i < 20; i++) {
		now = guess_delay_failed(g, "bob@pbs", "1.2.3.4:6", 1000);
		cr_expect_geq(now, last);
		cr_expect_leq(now, GUESS_DELAY_MAX_MS);
		last = now;
	}
	cr_expect_eq(last, GUESS_DELAY_MAX_MS);
	guess_delay_free(&g);
}

Test(guess_delay, forgets_after_success_and_time)
{
	struct guess_delay *g = guess_delay_new(3);
	int i;

	for (i = 0; i < 20; i++)
		guess_delay_failed(g, "bob@pbs", "1.2.3.4:5", 1000);
	guess_delay_passed(g, "bob@pbs", "1.2.3.4:99");
	cr_expect_eq(guess_delay_failed(g, "bob@pbs", "1.2.3.4:5", 1000),
	    GUESS_DELAY_MIN_MS);
	for (i = 0; i < 20; i++)
		guess_delay_failed(g, "bob@pbs", "1.2.3.4:5", 1000);
	cr_expect_eq(guess_delay_failed(g, "bob@pbs", "1.2.3.4:5",
			 1001 + GUESS_FORGET_MS),
	    GUESS_DELAY_MIN_MS);
	guess_delay_free(&g);
}

Test(guess_delay, is_bounded_and_takes_any_text)
{
	struct guess_delay *g = guess_delay_new(3);
	char user[1024], peer[32];
	int i;

	for (i = 0; i < 1023; i++)
		user[i] = 'x';
	user[1023] = '\0';
	guess_delay_failed(g, user, user, 1);
	guess_delay_failed(g, "", "", 1);
	for (i = 0; i < 20000; i++) {
		snprintf(peer, sizeof(peer), "10.0.%d.%d:1", i / 256, i % 256);
		cr_expect_leq(guess_delay_failed(g, "bob@pbs", peer, 1),
		    GUESS_DELAY_MAX_MS);
	}
	guess_delay_free(&g);
}

Test(guess_delay, address_runs_out_and_comes_back)
{
	struct guess_delay *g = guess_delay_new(3);
	int i;

	for (i = 0; i < 3; i++) {
		cr_expect_not(guess_delay_address_blocked(g, "1.2.3.4:5", 0));
		guess_delay_address_failed(g, "1.2.3.4:6", 0);
	}
	cr_expect(guess_delay_address_blocked(g, "1.2.3.4:7", 0));
	cr_expect_not(guess_delay_address_blocked(g, "1.2.3.5:7", 0));
	cr_expect(guess_delay_address_blocked(g, "1.2.3.4:7",
	    GUESS_REFILL_S * 1000 - 1));
	cr_expect_not(
	    guess_delay_address_blocked(g, "1.2.3.4:7", GUESS_REFILL_S * 1000));
	guess_delay_free(&g);
}

Test(guess_delay, network_is_one_address)
{
	struct guess_delay *g = guess_delay_new(1);

	guess_delay_address_failed(g, "[2001:db8::1]:5", 0);
	cr_expect(guess_delay_address_blocked(g, "[2001:db8::2:3]:6", 0));
	cr_expect_not(guess_delay_address_blocked(g, "[2001:db8:0:1::1]:5", 0));
	guess_delay_free(&g);
}

Test(guess_delay, no_limit_is_no_limit)
{
	struct guess_delay *g = guess_delay_new(0);
	int i;

	for (i = 0; i < 1000; i++)
		guess_delay_address_failed(g, "1.2.3.4:5", 0);
	cr_expect_not(guess_delay_address_blocked(g, "1.2.3.4:5", 0));
	guess_delay_free(&g);
}
