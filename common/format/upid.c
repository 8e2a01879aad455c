/*
 * Unique task identifiers.  The validator builds them; workers and checkers
 * parse them out of requests and of manifests, where they are hostile.
 */
#include "config.h"

#include "common/format/upid.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"

static int
bad(struct err *e)
{
	return err_set(e, ERR_PARAM, "invalid UPID");
}

static bool
is_plain_byte(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	    (c >= '0' && c <= '9') || c == '_' || c == '.';
}

int
worker_id_escape(const char *id, char *out, size_t out_size, struct err *e)
{
	size_t i, n = 0;

	for (i = 0; id[i] != '\0'; i++) {
		unsigned char c = (unsigned char)id[i];

		if (n + 5 > out_size)
			return err_set(e, ERR_PARAM, "worker id too long");
		if (c == '/')
			out[n++] = '-';
		else if (is_plain_byte(c) && !(c == '.' && i == 0))
			out[n++] = (char)c;
		else
			n += (size_t)sprintf(out + n, "\\x%02x", c);
	}
	if (n >= out_size)
		return err_set(e, ERR_PARAM, "worker id too long");
	out[n] = '\0';
	return 0;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
worker_id_unescape(const char *s, char *out, size_t out_size, struct err *e)
{
	size_t n = 0;
	int hi, lo;

	for (; *s != '\0'; s++) {
		if (n + 1 >= out_size)
			return err_set(e, ERR_PARAM, "worker id too long");
		if (*s == '-') {
			out[n++] = '/';
		} else if (*s != '\\') {
			out[n++] = *s;
		} else {
			if (s[1] != 'x' || (hi = hex_digit(s[2])) < 0 ||
			    (lo = hex_digit(s[3])) < 0 || (hi | lo) == 0)
				return err_set(e, ERR_PARAM,
				    "broken escape in worker id");
			out[n++] = (char)(hi << 4 | lo);
			s += 3;
		}
	}
	out[n] = '\0';
	return 0;
}

/* Host names: letters, digits, inner hyphens. */
static bool
node_valid(const char *s)
{
	size_t i, len = strlen(s);

	if (len == 0 || len > UPID_NODE_MAX || s[0] == '-' || s[len - 1] == '-')
		return false;
	for (i = 0; i < len; i++) {
		if (!isascii((unsigned char)s[i]) ||
		    (!isalnum((unsigned char)s[i]) && s[i] != '-'))
			return false;
	}
	return true;
}

/* Worker type and auth id: not empty, no colon, no white space. */
static bool
word_valid(const char *s, size_t max)
{
	size_t i, len = strlen(s);

	if (len == 0 || len > max)
		return false;
	for (i = 0; i < len; i++) {
		if (s[i] == ':' || (unsigned char)s[i] <= ' ' || s[i] == 0x7f)
			return false;
	}
	return true;
}

int
upid_to_str(const struct upid *u, char out[UPID_STR_MAX + 1], struct err *e)
{
	char id[UPID_STR_MAX + 1];
	int n;

	if (!node_valid(u->node) || !word_valid(u->type, UPID_TYPE_MAX) ||
	    !word_valid(u->auth_id, UPID_AUTH_ID_MAX) ||
	    u->pstart > UINT64_C(0xfffffffff))
		return bad(e);
	if (worker_id_escape(u->worker_id, id, sizeof(id), e) < 0)
		return -1;
	n = snprintf(out, UPID_STR_MAX + 1,
	    "UPID:%s:%08" PRIX32 ":%08" PRIX64 ":%08" PRIX64 ":%08" PRIX32
	    ":%s:%s:%s:",
	    u->node, u->pid, u->pstart, u->task_id, u->start, u->type, id,
	    u->auth_id);
	return n <= UPID_STR_MAX ? 0 : bad(e);
}

/* Takes the text up to the next colon; false if there is none or it does
 * not fit. */
static bool
take_field(const char **s, char *out, size_t out_size)
{
	const char *colon = strchr(*s, ':');
	size_t len;

	if (colon == NULL || (len = (size_t)(colon - *s)) >= out_size)
		return false;
	memcpy(out, *s, len);
	out[len] = '\0';
	*s = colon + 1;
	return true;
}

static bool
take_hex(const char **s, size_t min, size_t max, uint64_t *out)
{
	char field[17];
	size_t i, len;

	if (!take_field(s, field, sizeof(field)))
		return false;
	len = strlen(field);
	if (len < min || len > max)
		return false;
	*out = 0;
	for (i = 0; i < len; i++) {
		int d = hex_digit(field[i]);

		if (d < 0)
			return false;
		*out = *out << 4 | (uint64_t)d;
	}
	return true;
}

int
upid_parse(struct upid *out, const char *s, struct err *e)
{
	char id[UPID_STR_MAX + 1];
	uint64_t pid, start;

	memset(out, 0, sizeof(*out));
	if (strncmp(s, "UPID:", 5) != 0 ||
	    strnlen(s, UPID_STR_MAX + 1) > UPID_STR_MAX)
		return bad(e);
	s += 5;
	if (!take_field(&s, out->node, sizeof(out->node)) ||
	    !take_hex(&s, 8, 8, &pid) || !take_hex(&s, 8, 9, &out->pstart) ||
	    !take_hex(&s, 8, 16, &out->task_id) ||
	    !take_hex(&s, 8, 8, &start) ||
	    !take_field(&s, out->type, sizeof(out->type)) ||
	    !take_field(&s, id, sizeof(id)) ||
	    !take_field(&s, out->auth_id, sizeof(out->auth_id)) || *s != '\0')
		return bad(e);
	if (!node_valid(out->node) || !word_valid(out->type, UPID_TYPE_MAX) ||
	    !word_valid(out->auth_id, UPID_AUTH_ID_MAX))
		return bad(e);
	out->pid = (uint32_t)pid;
	out->start = (uint32_t)start;
	return worker_id_unescape(id, out->worker_id, sizeof(out->worker_id),
	    e);
}

bool
upid_is_on_store(const struct upid *u, const char *store)
{
	size_t len = strlen(store);

	return strncmp(u->worker_id, store, len) == 0 &&
	    (u->worker_id[len] == '\0' || u->worker_id[len] == ':');
}
