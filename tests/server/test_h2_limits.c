/* Counters against abuse of HTTP/2. */
#include "config.h"

#include "server/h2_limits.h"

#include <stdio.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

enum {
	DATA,
	HEADERS,
	PRIORITY,
	RST,
	SETTINGS,
	PUSH,
	PING,
	GOAWAY,
	WINDOW,
	CONTINUATION,
	UNKNOWN = 0x42
};
#define END_STREAM 1

static struct h2_limits l;

struct flood {
	uint8_t type;
	uint8_t flags;
	uint32_t len;
	int max; /* as many pass at least; 0: never cut off */
	char text[32];
};

ParameterizedTestParameters(h2_limits, floods)
{
	static struct flood floods[] = {
	    {RST, 0, 4, 1000, "resets"},
	    {PING, 0, 8, 1000, "control"},
	    {PING, 1, 8, 1000, "control"},
	    {SETTINGS, 0, 0, 1000, "control"},
	    {PRIORITY, 0, 5, 1000, "control"},
	    {UNKNOWN, 0, 100, 1000, "control"},
	    {WINDOW, 0, 4, 10000, "window"},
	    {DATA, 0, 0, 1000, "empty"},
	    {CONTINUATION, 0, 10, 1000, "continuation"},
	    {DATA, 0, 1, 0, ""},
	    {DATA, END_STREAM, 0, 0, ""},
	    {HEADERS, 0, 10, 0, ""},
	};

	return cr_make_param_array(struct flood, floods,
	    sizeof(floods) / sizeof(floods[0]));
}

ParameterizedTest(struct flood *f, h2_limits, floods)
{
	const char *why = NULL;
	int n = 0;

	h2_limits_init(&l, 1000);
	while (why == NULL && n < 50000) {
		why = h2_limits_frame(&l, f->type, f->flags, f->len, 1000);
		n += why == NULL;
	}
	if (f->max == 0) {
		cr_assert_null(why);
		return;
	}
	cr_assert_eq(n, f->max);
	cr_assert_not_null(strstr(why, f->text), "%s", why);
	/* Patience is given back with time. */
	cr_assert_null(h2_limits_frame(&l, f->type, f->flags, f->len, 3000));
}

Test(h2_limits, kinds_do_not_hurt_each_other)
{
	h2_limits_init(&l, 0);
	while (h2_limits_frame(&l, RST, 0, 4, 0) == NULL)
		;
	cr_assert_null(h2_limits_frame(&l, PING, 0, 8, 0));
	cr_assert_null(h2_limits_frame(&l, WINDOW, 0, 4, 0));
}

Test(h2_limits, window_updates_for_sent_data_are_free)
{
	int i;

	h2_limits_init(&l, 0);
	/* 1 GiB read in pieces of 4 KiB, stream and connection each. */
	for (i = 0; i < 262144; i++) {
		h2_limits_sent(&l, 4096);
		cr_assert_null(h2_limits_frame(&l, WINDOW, 0, 4, 0));
		cr_assert_null(h2_limits_frame(&l, WINDOW, 0, 4, 0));
	}
}

Test(h2_limits, invalid_frames)
{
	int n = 0;

	h2_limits_init(&l, 0);
	while (h2_limits_take(&l, H2_COST_INVALID, 0) == NULL)
		n++;
	cr_assert_eq(n, 200);
}

Test(h2_limits, heads_are_counted_whole)
{
	unsigned int i;

	h2_limits_init(&l, 0);
	h2_limits_headers_begin(&l);
	cr_assert(h2_limits_header(&l, 5, 4096));
	/* Fields cost more than their bytes: RFC 9113, 6.5.2. */
	h2_limits_headers_begin(&l);
	for (i = 0; i < H2_HEADERS_MAX / 34; i++)
		cr_assert(h2_limits_header(&l, 1, 1));
	cr_assert_not(h2_limits_header(&l, 1, 1));
	h2_limits_headers_begin(&l);
	cr_assert_not(h2_limits_header(&l, 1, SIZE_MAX - 1));
	h2_limits_headers_begin(&l);
	cr_assert_not(h2_limits_header(&l, H2_HEADERS_MAX, 1));
}
