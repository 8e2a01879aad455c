/*
 * Users and tokens.  Used by every process on names from logins, owner files
 * and messages; says only whether a name is well-formed, not whether it
 * exists.
 */
#include "config.h"

#include "common/format/auth_id.h"

#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/format/names.h"
#include "common/str.h"

bool
user_name_valid(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t len;

	if (*p == '\0')
		return false;
	for (; *p != '\0'; p++) {
		if (*p <= ' ' || *p == 0x7f || *p == ':' || *p == '/')
			return false;
		/* C1 controls, as UTF-8 */
		if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0xa0)
			return false;
	}
	len = (size_t)((const char *)p - s);
	return len <= AUTH_ID_MAX && str_is_utf8(s, len);
}

static bool
safe_id_between(const char *s, size_t min, size_t max)
{
	size_t len = strlen(s);

	return len >= min && len <= max && safe_id_valid(s);
}

bool
realm_valid(const char *s)
{
	return safe_id_between(s, REALM_MIN, REALM_MAX);
}

bool
token_name_valid(const char *s)
{
	return safe_id_between(s, TOKEN_NAME_MIN, AUTH_ID_MAX);
}

/* Cuts the whole into its parts: the last '@' ends the name, since realm and
 * token cannot hold one; names may hold both '@' and '!'. */
static int
split(struct auth_id *out, const char *s)
{
	const char *at, *realm, *bang;
	size_t len = strnlen(s, AUTH_ID_MAX + 1), realm_len;

	memset(out, 0, sizeof(*out));
	if (len < AUTH_ID_MIN || len > AUTH_ID_MAX ||
	    (at = strrchr(s, '@')) == NULL)
		return -1;
	realm = at + 1;
	bang = strchr(realm, '!');
	realm_len = bang != NULL ? (size_t)(bang - realm) : strlen(realm);
	if (realm_len > REALM_MAX)
		return -1;
	memcpy(out->user, s, (size_t)(at - s));
	memcpy(out->realm, realm, realm_len);
	if (!user_name_valid(out->user) || !realm_valid(out->realm))
		return -1;
	if (bang == NULL)
		return 0;
	strcpy(out->token, bang + 1);
	return token_name_valid(out->token) ? 0 : -1;
}

int
auth_id_parse(struct auth_id *out, const char *s, struct err *e)
{
	if (split(out, s) < 0)
		return err_set(e, ERR_PARAM,
		    "invalid user or token id: it is NAME@pbs or NAME@pbs!TOKEN, "
		    "with 3 characters or more in TOKEN");
	return 0;
}

int
auth_id_parse_owner(struct auth_id *out, const char *text, size_t len,
    struct err *e)
{
	const char *end = memchr(text, '\n', len);
	char line[AUTH_ID_MAX + 1];

	if (end != NULL)
		len = (size_t)(end - text);
	while (len > 0 && memchr(" \t\r\v\f", text[len - 1], 5) != NULL)
		len--;
	/* A NUL in it must not hide what follows. */
	if (len < sizeof(line) && memchr(text, '\0', len) == NULL) {
		memcpy(line, text, len);
		line[len] = '\0';
		if (split(out, line) == 0)
			return 0;
	}
	return err_set(e, ERR_CORRUPT, "owner file holds no user or token");
}

int
user_id_parse(struct auth_id *out, const char *s, struct err *e)
{
	if (split(out, s) < 0 || auth_id_is_token(out))
		return err_set(e, ERR_PARAM, "invalid user id: it is NAME@pbs");
	return 0;
}

void
auth_id_user_to_str(const struct auth_id *a, char out[AUTH_ID_MAX + 1])
{
	snprintf(out, AUTH_ID_MAX + 1, "%.*s@%s",
	    (int)(AUTH_ID_MAX - 1 - strlen(a->realm)), a->user, a->realm);
}

void
auth_id_to_str(const struct auth_id *a, char out[AUTH_ID_MAX + 1])
{
	size_t len;

	auth_id_user_to_str(a, out);
	len = strlen(out);
	if (auth_id_is_token(a))
		snprintf(out + len, AUTH_ID_MAX + 1 - len, "!%s", a->token);
}

bool
auth_id_is_token(const struct auth_id *a)
{
	return a->token[0] != '\0';
}

static bool
same_user(const struct auth_id *a, const struct auth_id *b)
{
	return strcmp(a->user, b->user) == 0 && strcmp(a->realm, b->realm) == 0;
}

bool
auth_id_equal(const struct auth_id *a, const struct auth_id *b)
{
	return same_user(a, b) && strcmp(a->token, b->token) == 0;
}

bool
auth_id_owns(const struct auth_id *owner, const struct auth_id *actor)
{
	if (auth_id_equal(owner, actor))
		return true;
	return auth_id_is_token(owner) && !auth_id_is_token(actor) &&
	    same_user(owner, actor);
}
