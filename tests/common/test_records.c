/* Records of listings: there and back, and damaged ones. */
#include "config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "common/records.h"
#include "common/wire.h"

static uint8_t buf[8192];
static struct wire_w w;

static void
begin(void)
{
	wire_w_init(&w, buf, sizeof(buf));
}

TestSuite(records, .init = begin);

Test(records, come_back_as_they_were)
{
	struct rec_GROUP g = {.type = 2,
			     .id = "100",
			     .last_backup = -1,
			     .count = UINT64_MAX,
			     .owner = "a@pbs",
			     .comment = "x\n"},
			 g2;
	struct rec_SNAP s = {.type = 1,
			    .id = "h",
			    .time = 77,
			    .protected = 1,
			    .manifest = (const uint8_t *)"abc",
			    .manifest_len = 3},
			s2;
	struct rec_LINE l = {.n = 5}, l2;
	struct wire_r all, body;
	enum record_kind kind;

	cr_assert_eq(rec_put_GROUP(&w, &g), 0);
	cr_assert_eq(rec_put_SNAP(&w, &s), 0);
	cr_assert_eq(rec_put_LINE(&w, &l), 0);
	wire_r_init(&all, buf, (size_t)wire_w_len(&w));
	cr_assert_eq(record_next(&all, &kind, &body), 1);
	cr_expect_eq(kind, RECORD_GROUP);
	cr_assert_eq(rec_get_GROUP(&body, &g2), 0);
	cr_expect_eq(g2.type, 2);
	cr_expect_str_eq(g2.id, "100");
	cr_expect(g2.last_backup == -1 && g2.count == UINT64_MAX);
	cr_expect_str_eq(g2.owner, "a@pbs");
	cr_expect_str_eq(g2.comment, "x\n");
	cr_assert_eq(record_next(&all, &kind, &body), 1);
	cr_expect_eq(kind, RECORD_SNAP);
	cr_assert_eq(rec_get_SNAP(&body, &s2), 0);
	cr_expect_eq(s2.manifest_len, 3);
	cr_expect_arr_eq(s2.manifest, "abc", 3);
	cr_expect(s2.time == 77 && s2.protected == 1);
	cr_assert_eq(record_next(&all, &kind, &body), 1);
	cr_assert_eq(rec_get_LINE(&body, &l2), 0);
	cr_expect(l2.n == 5 && l2.text_len == 0);
	cr_expect_eq(record_next(&all, &kind, &body), 0);
}

Test(records, of_each_kind_are_read_whole)
{
	enum record_kind kind;
	struct wire_r all, body;

	/* Empty ones: the body must be exactly the fields. */
#define RECORD_KIND(NAME)                                                    \
	{                                                                    \
		static struct rec_##NAME in, out;                            \
		size_t len;                                                  \
                                                                             \
		begin();                                                     \
		cr_assert_eq(rec_put_##NAME(&w, &in), 0);                    \
		len = (size_t)wire_w_len(&w);                                \
		wire_r_init(&all, buf, len);                                 \
		cr_assert_eq(record_next(&all, &kind, &body), 1);            \
		cr_expect_eq(kind, RECORD_##NAME);                           \
		cr_expect_eq(rec_get_##NAME(&body, &out), 0);                \
		wire_r_init(&body, buf + 5, len - 6);                        \
		cr_expect_eq(rec_get_##NAME(&body, &out), -1,                \
		    #NAME " too short");                                     \
		wire_r_init(&body, buf + 5, len - 5 + 1);                    \
		cr_expect_eq(rec_get_##NAME(&body, &out), -1,                \
		    #NAME " too long");                                      \
		wire_w_init(&w, buf, len - 1);                               \
		cr_expect_eq(rec_put_##NAME(&w, &in), -1, #NAME " no room"); \
	}
#include "common/record_kinds.def"
#undef RECORD_KIND
}

Test(records, that_are_damaged_are_refused)
{
	struct rec_NS ns = {.ns = "a/b"};
	struct wire_r all, body;
	enum record_kind kind;
	size_t len, i;

	cr_assert_eq(rec_put_NS(&w, &ns), 0);
	len = (size_t)wire_w_len(&w);
	for (i = 1; i < len; i++) {
		wire_r_init(&all, buf, i);
		cr_expect_eq(record_next(&all, &kind, &body), -1, "%zu", i);
	}
	buf[0] = 0;
	wire_r_init(&all, buf, len);
	cr_expect_eq(record_next(&all, &kind, &body), -1);
	buf[0] = RECORD_KIND_END;
	wire_r_init(&all, buf, len);
	cr_expect_eq(record_next(&all, &kind, &body), -1);
	buf[0] = RECORD_NS;
	memset(buf + 1, 0xff, 4);
	wire_r_init(&all, buf, len);
	cr_expect_eq(record_next(&all, &kind, &body), -1);
}

Test(records, with_too_long_fields_are_not_written)
{
	struct rec_LINE l = {.text = buf, .text_len = 16385};

	cr_expect_eq(rec_put_LINE(&w, &l), -1);
}
