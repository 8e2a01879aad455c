/* Password hashes and the rules for new passwords. */
#include "config.h"

#include <criterion/criterion.h>

#include <string.h>

#include "common/err.h"
#include "server/auth/auth.h"
#include "server/auth/password_hash.h"

Test(password_hash, fits_its_password_only)
{
	char hash[IPC_HASH_MAX + 1], again[IPC_HASH_MAX + 1];

	cr_assert_eq(password_hash_make("open sesame", 11, hash), 0);
	cr_expect_eq(strncmp(hash, "$y$", 3), 0, "%s", hash);
	cr_expect(password_hash_fits("open sesame", 11, hash));
	cr_expect_not(password_hash_fits("open sesame", 10, hash));
	cr_expect_not(password_hash_fits("open sesamE", 11, hash));
	cr_expect_not(password_hash_fits("", 0, hash));
	cr_assert_eq(password_hash_make("open sesame", 11, again), 0);
	cr_expect_str_neq(hash, again, "no salt");
}

/* Nothing that is not a hash fits anything. */
Test(password_hash, damaged_hashes_fit_nothing)
{
	static const char *const bad[] = {"", "*", "*0", "x", "$", "$y$",
	    "$y$j9T$", "!", "$9$abc$def"};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_not(password_hash_fits("", 0, bad[i]), "%s", bad[i]);
		cr_expect_not(password_hash_fits("x", 1, bad[i]), "%s", bad[i]);
	}
}

Test(password_hash, other_methods_of_libcrypt_work)
{
	cr_expect(password_hash_fits("Hello world!", 12,
	    "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"));
}

Test(password_hash, passwords_with_a_nul_or_too_long_fail)
{
	char hash[IPC_HASH_MAX + 1], huge[1024];

	memset(huge, 'a', sizeof(huge));
	cr_expect_eq(password_hash_make("a\0b", 3, hash), -1);
	cr_expect_eq(password_hash_make(huge, sizeof(huge), hash), -1);
	cr_assert_eq(password_hash_make("a", 1, hash), 0);
	cr_expect_not(password_hash_fits("a\0b", 3, hash));
	cr_expect_not(password_hash_fits(huge, sizeof(huge), hash));
}

Test(password_rules, length_and_characters)
{
	char text[66];
	struct err e;

	memset(text, 'x', sizeof(text));
	cr_expect_eq(password_rules_check(text, 7, &e), -1);
	cr_expect_eq(password_rules_check(text, 8, &e), 0);
	cr_expect_eq(password_rules_check(text, 64, &e), 0);
	cr_expect_eq(password_rules_check(text, 65, &e), -1);
	cr_expect_eq(e.code, ERR_PARAM);
	cr_expect_eq(password_rules_check("tab\tinside", 10, &e), -1);
	cr_expect_eq(password_rules_check("nul\0inside", 10, &e), -1);
	cr_expect_eq(password_rules_check("\xff\xff\xff\xff\xff\xff\xff\xff", 8,
			 &e),
	    -1);
	cr_expect_eq(password_rules_check("p\xc3\xa4ssw\xc3\xb6rter", 12, &e),
	    0);
}
