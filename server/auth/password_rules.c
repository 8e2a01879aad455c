/*
 * What a new password must be like.  Old ones stay good: a login never asks.
 * Runs in auth; passwords come from operators and users.
 */
#include "config.h"

#include "common/err.h"
#include "common/str.h"
#include "server/auth/auth.h"

int
password_rules_check(const void *password, size_t len, struct err *e)
{
	const unsigned char *p = password;
	size_t i;

	if (len < PASSWORD_MIN || len > PASSWORD_MAX)
		return err_set(e, ERR_PARAM,
		    "password: must have %d to %d bytes", PASSWORD_MIN,
		    PASSWORD_MAX);
	for (i = 0; i < len; i++) {
		if (p[i] < 0x20 || p[i] == 0x7f)
			return err_set(e, ERR_PARAM,
			    "password: control characters are not allowed");
	}
	if (!str_is_utf8(password, len))
		return err_set(e, ERR_PARAM, "password: not UTF-8");
	return 0;
}
