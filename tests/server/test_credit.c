/* Credit: blocks and slots, strictly in order of arrival. */
#include "config.h"

#include "server/credit.h"

#include <criterion/criterion.h>

static struct credit c;
static int granted[8], grants;
static struct credit_claim claims[8];

static void
on_grant(struct credit_claim *claim)
{
	granted[grants++] = (int)(claim - claims);
}

static void
request(int i, uint32_t blocks)
{
	claims[i].blocks = blocks;
	claims[i].on_grant = on_grant;
	credit_request(&c, &claims[i]);
}

static void
begin(uint32_t blocks, uint32_t slots)
{
	credit_init(&c, blocks, slots);
	grants = 0;
}

Test(credit, grants_at_once_while_there_is_room)
{
	begin(10, 4);
	request(0, 4);
	request(1, 6);
	cr_assert_eq(grants, 2);
	cr_assert(claims[0].granted && claims[1].granted);
	cr_assert(claims[0].block + 4 <= claims[1].block ||
	    claims[1].block + 6 <= claims[0].block);
	request(2, 1);
	cr_assert_eq(grants, 2);
	credit_release(&c, &claims[0]);
	cr_assert_eq(grants, 3);
	credit_fini(&c);
}

Test(credit, small_ones_do_not_overtake_a_large_one)
{
	begin(10, 8);
	request(0, 6);
	request(1, 8); /* does not fit */
	request(2, 1); /* would */
	cr_assert_eq(grants, 1);
	credit_release(&c, &claims[0]);
	cr_assert_eq(grants, 3);
	cr_assert_eq(granted[1], 1);
	cr_assert_eq(granted[2], 2);
	credit_fini(&c);
}

Test(credit, waits_for_blocks_in_a_row)
{
	begin(9, 8);
	request(0, 3);
	request(1, 3);
	request(2, 3);
	credit_release(&c, &claims[0]);
	credit_release(&c, &claims[2]);
	request(3, 6); /* six are free, but not side by side */
	cr_assert_eq(grants, 3);
	credit_release(&c, &claims[1]);
	cr_assert_eq(grants, 4);
	credit_fini(&c);
}

Test(credit, slots_are_a_limit_of_their_own)
{
	begin(100, 2);
	request(0, 1);
	request(1, 1);
	request(2, 1);
	cr_assert_eq(grants, 2);
	credit_set_slots(&c, 3);
	cr_assert_eq(grants, 3);
	credit_set_slots(&c, 1); /* fewer than there are: nothing more */
	request(3, 1);
	credit_release(&c, &claims[0]);
	credit_release(&c, &claims[1]);
	cr_assert_eq(grants, 3);
	credit_release(&c, &claims[2]);
	cr_assert_eq(grants, 4);
	credit_fini(&c);
}

Test(credit, who_waits_may_leave)
{
	begin(4, 8);
	request(0, 4);
	request(1, 4);
	request(2, 2);
	credit_release(&c, &claims[1]);
	credit_release(&c, &claims[1]); /* harmless */
	credit_release(&c, &claims[0]);
	cr_assert_eq(grants, 2);
	cr_assert_eq(granted[1], 2);
	credit_release(&c, &claims[2]);
	cr_assert_eq(c.use.nfree, 4);
	cr_assert_eq(c.slots_used, 0);
	credit_fini(&c);
}

Test(credit, the_head_of_the_queue_may_leave)
{
	begin(4, 8);
	request(0, 3);
	request(1, 4);
	request(2, 1);
	cr_assert_eq(grants, 1);
	credit_release(&c, &claims[1]);
	cr_assert_eq(grants, 2);
	cr_assert_eq(granted[1], 2);
	credit_fini(&c);
}

static void
on_grant_release(struct credit_claim *claim)
{
	on_grant(claim);
	credit_release(&c, claim);
}

Test(credit, may_be_released_in_its_grant)
{
	int i;

	begin(4, 1);
	for (i = 0; i < 5; i++) {
		claims[i].blocks = 4;
		claims[i].on_grant = on_grant_release;
		credit_request(&c, &claims[i]);
	}
	cr_assert_eq(grants, 5);
	cr_assert_eq(c.use.nfree, 4);
	credit_fini(&c);
}

Test(credit, tells_what_can_never_be)
{
	begin(257, 1);
	cr_assert(credit_is_possible(&c, 257));
	cr_assert_not(credit_is_possible(&c, 258));
	credit_fini(&c);
}
