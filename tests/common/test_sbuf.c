#include "config.h"

#include "common/sbuf.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

Test(sbuf, grows)
{
	struct sbuf b;
	size_t i, len;
	char *s;

	sbuf_init(&b, 100000);
	cr_assert_str_eq(sbuf_str(&b), "");
	for (i = 0; i < 1000; i++) {
		sbuf_add_str(&b, "abc");
		sbuf_add_char(&b, '-');
		sbuf_add_fmt(&b, "%03zu", i);
		sbuf_add(&b, "xyz", 2);
	}
	cr_assert(!b.overflow && b.len == 9000);
	cr_assert(strncmp(sbuf_str(&b), "abc-000xyabc-001xy", 18) == 0);
	s = sbuf_take(&b, &len);
	cr_assert(len == 9000 && strlen(s) == len);
	cr_assert(b.len == 0);
	free(s);
	sbuf_fini(&b);
}

Test(sbuf, overflow_sticks_and_leaves_the_append_out)
{
	struct sbuf b;

	sbuf_init(&b, 5);
	sbuf_add_str(&b, "abc");
	sbuf_add_fmt(&b, "%s", "defg");
	cr_assert(b.overflow);
	cr_assert_str_eq(sbuf_str(&b), "abc");
	sbuf_add_char(&b, 'd');
	cr_assert(b.overflow);
	cr_assert(sbuf_take(&b, NULL) == NULL);
	sbuf_fini(&b);
}

Test(sbuf, exactly_full)
{
	struct sbuf b;
	char *s;

	sbuf_init(&b, 5);
	sbuf_add_fmt(&b, "%d", 12345);
	cr_assert(!b.overflow);
	s = sbuf_take(&b, NULL);
	cr_assert_str_eq(s, "12345");
	free(s);
	sbuf_fini(&b);
}

Test(sbuf, empty_text_can_be_taken)
{
	struct sbuf b;
	char *s;
	size_t len;

	sbuf_init(&b, 5);
	s = sbuf_take(&b, &len);
	cr_assert(s != NULL && len == 0);
	cr_assert_str_eq(s, "");
	free(s);
}
