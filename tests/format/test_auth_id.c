/* Users and tokens. */
#include "config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "common/err.h"
#include "common/format/auth_id.h"

Test(auth_id, parses_users_and_tokens)
{
	static const struct {
		const char *s, *user, *realm, *token, *user_id;
	} rows[] = {
	    {"root@pam", "root", "pam", "", "root@pam"},
	    {"u@pbs!tok", "u", "pbs", "tok", "u@pbs"},
	    {"a@b@pbs", "a@b", "pbs", "", "a@b@pbs"},
	    {"we!rd@pbs", "we!rd", "pbs", "", "we!rd@pbs"},
	    {"we!rd@pbs!t-1", "we!rd", "pbs", "t-1", "we!rd@pbs"},
	    {"j\xc3\xb6rg@pbs", "j\xc3\xb6rg", "pbs", "", "j\xc3\xb6rg@pbs"},
	};
	char s[AUTH_ID_MAX + 1];
	struct auth_id a;
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_eq(auth_id_parse(&a, rows[i].s, &e), 0, "%s",
		    rows[i].s);
		cr_expect_str_eq(a.user, rows[i].user);
		cr_expect_str_eq(a.realm, rows[i].realm);
		cr_expect_str_eq(a.token, rows[i].token);
		auth_id_to_str(&a, s);
		cr_expect_str_eq(s, rows[i].s);
		auth_id_user_to_str(&a, s);
		cr_expect_str_eq(s, rows[i].user_id);
		cr_expect_eq(user_id_parse(&a, rows[i].s, &e),
		    rows[i].token[0] != '\0' ? -1 : 0);
	}
}

Test(auth_id, refuses_malformed)
{
	static const char *const bad[] = {"", "root", "@pam", "root@", "root@p",
	    "ro ot@pam", "ro:ot@pam", "ro/ot@pam", "ro\tot@pam", "root@pa m",
	    "root@-am", "u@pbs!", "u@pbs!ab", "u@pbs!a/b", "u@pbs!a!b",
	    "u@pbs!to\n", "\x7f@pbs", "u\xc2\x85@pbs", "u\xc2\xa0@pbs",
	    "u\xff@pbs", "u@123456789012345678901234567890123"};
	struct auth_id a;
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(auth_id_parse(&a, bad[i], &e), -1, "%s", bad[i]);
		cr_expect_eq(e.code, ERR_PARAM);
	}
}

Test(auth_id, is_at_most_64_bytes)
{
	char s[80], out[AUTH_ID_MAX + 1];
	struct auth_id a;
	struct err e;

	memset(s, 'u', sizeof(s));
	strcpy(s + 60, "@pbs");
	cr_assert_eq(auth_id_parse(&a, s, &e), 0);
	auth_id_to_str(&a, out);
	cr_expect_str_eq(out, s);
	strcpy(s + 60, "@pbs!");
	cr_expect_eq(auth_id_parse(&a, s, &e), -1);
	memset(s, 'u', 61);
	strcpy(s + 61, "@pbs");
	cr_expect_eq(auth_id_parse(&a, s, &e), -1);
}

Test(auth_id, names_alone)
{
	cr_expect(user_name_valid("x"));
	cr_expect_not(user_name_valid(""));
	cr_expect(realm_valid("pam"));
	cr_expect_not(realm_valid("p"));
	cr_expect_not(realm_valid("a@b"));
	cr_expect(token_name_valid("abc"));
	cr_expect_not(token_name_valid("ab"));
	cr_expect_not(token_name_valid("a!b"));
}

static bool
owns(const char *owner, const char *actor)
{
	struct auth_id o, a;

	cr_assert_eq(auth_id_parse(&o, owner, NULL), 0);
	cr_assert_eq(auth_id_parse(&a, actor, NULL), 0);
	return auth_id_owns(&o, &a);
}

Test(auth_id, ownership)
{
	cr_expect(owns("u@pbs", "u@pbs"));
	cr_expect(owns("u@pbs!tok", "u@pbs!tok"));
	cr_expect(owns("u@pbs!tok", "u@pbs"));
	cr_expect_not(owns("u@pbs", "u@pbs!tok"));
	cr_expect_not(owns("u@pbs!tok", "u@pbs!tok2"));
	cr_expect_not(owns("u@pbs", "v@pbs"));
	cr_expect_not(owns("u@pbs", "u@pam"));
}

Test(auth_id, owner_files)
{
	static const char *const bad[] = {"", "\n", "u\n", "\nu@pbs\n",
	    "u@pbs x\n", " u@pbs\n", "u@pbs!t\n"};
	char out[AUTH_ID_MAX + 1], text[2 * AUTH_ID_MAX];
	struct auth_id a;
	struct err e;
	size_t i;

	cr_assert_eq(auth_id_parse_owner(&a, "u@pbs!tok \r\nv@pbs", 17, &e), 0);
	auth_id_to_str(&a, out);
	cr_expect_str_eq(out, "u@pbs!tok");
	cr_expect_eq(auth_id_parse_owner(&a, "u@pbs", 5, &e), 0);
	cr_expect_eq(auth_id_parse_owner(&a, "u@pbs\0x\n", 8, &e), -1);
	cr_expect_eq(auth_id_parse_owner(&a, "u@pbs\0\n", 7, &e), -1);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		e.code = ERR_OK;
		cr_expect_eq(auth_id_parse_owner(&a, bad[i], strlen(bad[i]),
				 &e),
		    -1);
		cr_expect_eq(e.code, ERR_CORRUPT, "%zu", i);
	}
	memset(text, 'u', sizeof(text));
	cr_expect_eq(auth_id_parse_owner(&a, text, sizeof(text), &e), -1);
}
