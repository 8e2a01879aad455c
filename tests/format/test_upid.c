/* UPIDs: both ways, escaping, refusals. */
#include "config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "common/err.h"
#include "common/format/upid.h"

#define EXAMPLE                                                 \
	"UPID:pbs1:0000A1B2:00BC614E:0000001F:66671C80:backup:" \
	"s1\\x3ahost-h1:u@pbs:"

Test(upid, both_ways)
{
	char s[UPID_STR_MAX + 1];
	struct upid u;
	struct err e;

	cr_assert_eq(upid_parse(&u, EXAMPLE, &e), 0);
	cr_expect_str_eq(u.node, "pbs1");
	cr_expect_eq(u.pid, 0xa1b2);
	cr_expect_eq(u.pstart, 0xbc614e);
	cr_expect_eq(u.task_id, 0x1f);
	cr_expect_eq(u.start, 0x66671c80);
	cr_expect_str_eq(u.type, "backup");
	cr_expect_str_eq(u.worker_id, "s1:host/h1");
	cr_expect_str_eq(u.auth_id, "u@pbs");
	cr_assert_eq(upid_to_str(&u, s, &e), 0);
	cr_expect_str_eq(s, EXAMPLE);
}

Test(upid, takes_wide_fields_and_no_worker_id)
{
	const char *s = "UPID:a-b:00000001:123456789:F123456789ABCDEF:"
			"00000000:garbage_collection::root@pam!t:";
	char out[UPID_STR_MAX + 1];
	struct upid u;
	struct err e;

	cr_assert_eq(upid_parse(&u, s, &e), 0);
	cr_expect_eq(u.pstart, 0x123456789);
	cr_expect_eq(u.task_id, 0xf123456789abcdef);
	cr_expect_str_eq(u.worker_id, "");
	cr_assert_eq(upid_to_str(&u, out, &e), 0);
	cr_expect_str_eq(out, s);
}

Test(upid, refuses)
{
	static const char *const bad[] = {
	    "",
	    "UPID:",
	    "pbs1:0000A1B2:00BC614E:0000001F:66671C80:backup:x:u@pbs:",
	    /* no colon at the end, and something behind it */
	    "UPID:p:0000A1B2:00BC614E:0000001F:66671C80:backup:x:u@pbs",
	    "UPID:p:0000A1B2:00BC614E:0000001F:66671C80:backup:x:u@pbs:y",
	    /* node */
	    "UPID::0000A1B2:00BC614E:0000001F:66671C80:backup:x:u@pbs:",
	    "UPID:-p:0000A1B2:00BC614E:0000001F:66671C80:backup:x:u@pbs:",
	    "UPID:p-:0000A1B2:00BC614E:0000001F:66671C80:backup:x:u@pbs:",
	    "UPID:p.q:0000A1B2:00BC614E:0000001F:66671C80:backup:x:u@pbs:",
	    /* widths */
	    "UPID:p:000A1B2:00BC614E:0000001F:66671C80:backup:x:u@pbs:",
	    "UPID:p:00000A1B2:00BC614E:0000001F:66671C80:backup:x:u@pbs:",
	    "UPID:p:0000A1B2:1234567890:0000001F:66671C80:backup:x:u@pbs:",
	    "UPID:p:0000A1B2:00BC614E:000001F:66671C80:backup:x:u@pbs:",
	    "UPID:p:0000A1B2:00BC614E:00000000000000001:66671C80:b:x:u@p:",
	    "UPID:p:0000A1B2:00BC614E:0000001F:0066671C80:backup:x:u@pbs:",
	    "UPID:p:0000A1G2:00BC614E:0000001F:66671C80:backup:x:u@pbs:",
	    /* type, auth id */
	    "UPID:p:0000A1B2:00BC614E:0000001F:66671C80::x:u@pbs:",
	    "UPID:p:0000A1B2:00BC614E:0000001F:66671C80:b k:x:u@pbs:",
	    "UPID:p:0000A1B2:00BC614E:0000001F:66671C80:backup:x::",
	    "UPID:p:0000A1B2:00BC614E:0000001F:66671C80:backup:x:u @pbs:",
	    /* escapes */
	    "UPID:p:0000A1B2:00BC614E:0000001F:66671C80:b:x\\x3:u@pbs:",
	    "UPID:p:0000A1B2:00BC614E:0000001F:66671C80:b:x\\x3g:u@pbs:",
	    "UPID:p:0000A1B2:00BC614E:0000001F:66671C80:b:x\\y30:u@pbs:",
	    "UPID:p:0000A1B2:00BC614E:0000001F:66671C80:b:\\x00:u@pbs:",
	    "UPID:p:0000A1B2:00BC614E:0000001F:66671C80:b:\\:u@pbs:",
	};
	struct upid u;
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(upid_parse(&u, bad[i], &e), -1, "%s", bad[i]);
		cr_expect_eq(e.code, ERR_PARAM);
	}
}

Test(upid, escapes_worker_ids)
{
	static const struct {
		const char *plain, *escaped;
	} rows[] = {
	    {"", ""},
	    {"s1:host/h1", "s1\\x3ahost-h1"},
	    {".a.b", "\\x2ea.b"},
	    {"a-b_c", "a\\x2db_c"},
	    {"\xc3\xa4 \\", "\\xc3\\xa4\\x20\\x5c"},
	    {"store:ns/a/host/x", "store\\x3ans-a-host-x"},
	};
	char out[128];
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_eq(worker_id_escape(rows[i].plain, out, sizeof(out),
				 &e),
		    0);
		cr_expect_str_eq(out, rows[i].escaped);
		cr_assert_eq(worker_id_unescape(rows[i].escaped, out,
				 sizeof(out), &e),
		    0);
		cr_expect_str_eq(out, rows[i].plain);
	}
	cr_expect_eq(worker_id_unescape("abcd", out, 4, &e), -1);
	cr_expect_eq(worker_id_unescape("abc", out, 4, &e), 0);
	cr_expect_eq(worker_id_escape("::", out, 8, &e), -1);
	cr_expect_eq(worker_id_escape("a", out, 1, &e), -1);
}

Test(upid, builds_only_what_it_can_parse)
{
	char s[UPID_STR_MAX + 1];
	struct upid good, u;
	struct err e;

	upid_parse(&good, EXAMPLE, &e);
	u = good;
	strcpy(u.node, "a.b");
	cr_expect_eq(upid_to_str(&u, s, &e), -1);
	u = good;
	strcpy(u.type, "a:b");
	cr_expect_eq(upid_to_str(&u, s, &e), -1);
	u = good;
	u.auth_id[0] = '\0';
	cr_expect_eq(upid_to_str(&u, s, &e), -1);
	u = good;
	u.pstart = UINT64_MAX;
	cr_expect_eq(upid_to_str(&u, s, &e), -1);
	u = good;
	memset(u.worker_id, ':', UPID_WORKER_ID_MAX);
	u.worker_id[UPID_WORKER_ID_MAX] = '\0';
	cr_expect_eq(upid_to_str(&u, s, &e), -1);
	memset(u.worker_id, 'x', UPID_WORKER_ID_MAX);
	cr_expect_eq(upid_to_str(&u, s, &e), 0);
	cr_expect_eq(upid_parse(&u, s, &e), 0);
}

Test(upid, datastore_of_a_task)
{
	struct upid u = {.worker_id = "s1:host/a"};

	cr_expect(upid_is_on_store(&u, "s1"));
	cr_expect_not(upid_is_on_store(&u, "s"));
	cr_expect_not(upid_is_on_store(&u, "s11"));
	strcpy(u.worker_id, "s1");
	cr_expect(upid_is_on_store(&u, "s1"));
	strcpy(u.worker_id, "");
	cr_expect_not(upid_is_on_store(&u, "s1"));
}
