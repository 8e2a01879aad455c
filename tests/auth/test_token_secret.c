/* API token secrets. */
#include "config.h"

#include <criterion/criterion.h>

#include <string.h>

#include "server/auth/accounts.h"
#include "server/auth/token_secret.h"

Test(token_secret, is_a_random_uuid)
{
	struct account_token k = {0}, other = {0};
	char one[TOKEN_SECRET_LEN + 1], two[TOKEN_SECRET_LEN + 1];
	size_t i;

	token_secret_make(&k, one);
	token_secret_make(&other, two);
	cr_expect_eq(strlen(one), 36);
	cr_expect_str_neq(one, two);
	for (i = 0; i < 36; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23)
			cr_expect_eq(one[i], '-');
		else
			cr_expect_not_null(strchr("0123456789abcdef", one[i]));
	}
	cr_expect_eq(one[14], '4');
	cr_expect_not_null(strchr("89ab", one[19]));
}

Test(token_secret, fits_its_token_only)
{
	struct account_token k = {0}, other = {0};
	char secret[TOKEN_SECRET_LEN + 1], foreign[TOKEN_SECRET_LEN + 1];
	size_t i;

	token_secret_make(&k, secret);
	token_secret_make(&other, foreign);
	cr_expect(token_secret_fits(&k, secret, TOKEN_SECRET_LEN));
	cr_expect_not(token_secret_fits(&k, foreign, TOKEN_SECRET_LEN));
	cr_expect_not(token_secret_fits(&other, secret, TOKEN_SECRET_LEN));
	cr_expect_not(token_secret_fits(&k, secret, TOKEN_SECRET_LEN - 1));
	cr_expect_not(token_secret_fits(&k, secret, 0));
	cr_expect_not(token_secret_fits(&(struct account_token){0}, "", 0));
	for (i = 0; i < TOKEN_SECRET_LEN; i++) {
		secret[i] ^= 1;
		cr_expect_not(token_secret_fits(&k, secret, TOKEN_SECRET_LEN));
		secret[i] ^= 1;
	}
}
