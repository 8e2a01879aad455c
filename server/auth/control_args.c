/*
 * Arguments of control requests.  Runs in auth; the sender is an operator, but
 * the bytes are checked like anybody's.
 */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/str.h"
#include "server/auth/control.h"

/* Room for the longest key. */
#define KEY_MAX 32

/* Is the word in a list with blanks between? */
static int
list_has(const char *list, const char *word)
{
	size_t len = strlen(word);
	const char *p;

	for (p = list; len > 0 && (p = strstr(p, word)) != NULL; p += len) {
		if ((p == list || p[-1] == ' ') &&
		    (p[len] == ' ' || p[len] == '\0'))
			return 1;
	}
	return 0;
}

/*
 * Keys are not ended by NUL in the message, so they are looked up among the
 * known ones; what is unknown is an error at once.
 */
static const char *
known_key(const char *key, size_t len)
{
	static const char *const keys[] = {"auth-id", "comment", "data",
	    "dry-run", "email", "enable", "expire", "firstname", "lastname",
	    "password", "path", "propagate", "role", "tokenid", "tokens",
	    "userid"};
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strlen(keys[i]) == len && memcmp(keys[i], key, len) == 0)
			return keys[i];
	}
	return NULL;
}

int
control_args_parse(struct control_args *out, const char *data, size_t len,
    struct err *e)
{
	const char *end = data + len, *eq, *key;

	out->n = 0;
	if (len > 0 && data[len - 1] != '\0')
		return err_set(e, ERR_PARAM, "arguments do not end in NUL");
	for (; data < end; data += strlen(data) + 1) {
		eq = strchr(data, '=');
		if (eq == NULL || eq == data)
			return err_set(e, ERR_PARAM,
			    "argument is not key=value");
		key = known_key(data, (size_t)(eq - data));
		if (key == NULL)
			return err_set(e, ERR_PARAM, "unknown argument '%s'",
			    STR_VIS_MEM(data,
				(size_t)(eq - data) > KEY_MAX
				    ? KEY_MAX
				    : (size_t)(eq - data)));
		if (control_arg(out, key) != NULL)
			return err_set(e, ERR_PARAM, "%s: given twice", key);
		if (out->n == CONTROL_ARGS_MAX)
			return err_set(e, ERR_PARAM, "too many arguments");
		out->v[out->n].key = key;
		out->v[out->n++].value = eq + 1;
	}
	return 0;
}

int
control_args_check(const struct control_args *args, const char *required,
    const char *optional, struct err *e)
{
	char word[KEY_MAX + 1];
	size_t i, len;

	for (i = 0; i < args->n; i++) {
		if (!list_has(required, args->v[i].key) &&
		    !list_has(optional, args->v[i].key))
			return err_set(e, ERR_PARAM,
			    "%s: not an argument of this command",
			    args->v[i].key);
	}
	for (; *required != '\0'; required += len) {
		required += *required == ' ';
		len = strcspn(required, " ");
		snprintf(word, sizeof(word), "%.*s", (int)len, required);
		if (control_arg(args, word) == NULL)
			return err_set(e, ERR_PARAM, "%s: is required", word);
	}
	return 0;
}

const char *
control_arg(const struct control_args *args, const char *key)
{
	size_t i;

	for (i = 0; i < args->n; i++) {
		if (strcmp(args->v[i].key, key) == 0)
			return args->v[i].value;
	}
	return NULL;
}

int
control_arg_bool(const struct control_args *args, const char *key, int *out,
    struct err *e)
{
	const char *s = control_arg(args, key);

	if (s == NULL)
		return 0;
	if (strcmp(s, "1") == 0 || strcmp(s, "0") == 0)
		*out = s[0] == '1';
	else if (conf_to_bool(s, out) == -1)
		return err_set(e, ERR_PARAM, "%s: must be yes or no", key);
	return 1;
}

int
control_arg_i64(const struct control_args *args, const char *key, int64_t *out,
    struct err *e)
{
	const char *s = control_arg(args, key);

	if (s == NULL)
		return 0;
	if (str_to_i64(s, 0, INT64_MAX, out) == -1)
		return err_set(e, ERR_PARAM,
		    "%s: must be a whole number of seconds", key);
	return 1;
}
