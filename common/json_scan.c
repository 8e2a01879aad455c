/*
 * The words of a JSON text, before json-c sees it: that library is lenient
 * about strings and numbers even when it is strict, and keeps the last of
 * repeated members.  How the words stand together it checks well.  The text
 * may come from a client.
 */
#include "config.h"

#include "common/json_int.h"

#include <stdint.h>
#include <string.h>

#include "common/str.h"

struct scan {
	const char *p;
	const char *end;
};

static int
at_digit(const struct scan *s)
{
	return s->p < s->end && *s->p >= '0' && *s->p <= '9';
}

static int
skip_char(struct scan *s, const char *accepted)
{
	if (s->p == s->end || *s->p == '\0' || strchr(accepted, *s->p) == NULL)
		return 0;
	s->p++;
	return 1;
}

static int
skip_digits(struct scan *s)
{
	if (!at_digit(s))
		return 0;
	while (at_digit(s))
		s->p++;
	return 1;
}

/* Behind "\u": the four digits. */
static int
scan_hex4(struct scan *s, unsigned int *out)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *d;
	int i;

	*out = 0;
	for (i = 0; i < 4; i++, s->p++) {
		if (s->p == s->end || *s->p == '\0' ||
		    (d = strchr(digits, *s->p)) == NULL)
			return -1;
		*out = *out << 4 | ((unsigned int)(d - digits) & 15);
	}
	return 0;
}

/* Behind the backslash.  Surrogates only in pairs; no NUL, since keys and
 * strings are C strings here. */
static int
scan_escape(struct scan *s)
{
	unsigned int high, low;

	if (skip_char(s, "\"\\/bfnrt"))
		return 0;
	if (!skip_char(s, "u") || scan_hex4(s, &high) == -1 || high == 0)
		return -1;
	if (high < 0xd800 || high > 0xdfff)
		return 0;
	if (high > 0xdbff || !skip_char(s, "\\") || !skip_char(s, "u") ||
	    scan_hex4(s, &low) == -1)
		return -1;
	return low >= 0xdc00 && low <= 0xdfff ? 0 : -1;
}

/* Behind the opening quote, to behind the closing one. */
static int
scan_string(struct scan *s)
{
	while (s->p < s->end) {
		if ((unsigned char)*s->p < ' ')
			return -1;
		if (skip_char(s, "\""))
			return 0;
		if (skip_char(s, "\\")) {
			if (scan_escape(s) == -1)
				return -1;
		} else {
			s->p++;
		}
	}
	return -1;
}

/* From the sign or first digit.  An integer must fit, or json-c clamps it. */
static int
scan_number(struct scan *s)
{
	int negative = skip_char(s, "-"), integer = 1;
	const char *start = s->p;
	uint64_t v;

	if (!skip_char(s, "0") && !skip_digits(s))
		return -1;
	if (at_digit(s))
		return -1;
	if (skip_char(s, ".")) {
		integer = 0;
		if (!skip_digits(s))
			return -1;
	}
	if (skip_char(s, "eE")) {
		integer = 0;
		skip_char(s, "+-");
		if (!skip_digits(s))
			return -1;
	}
	return integer
	    ? str_to_u64_mem(start, (size_t)(s->p - start), 0,
		  negative ? (uint64_t)INT64_MAX + 1 : UINT64_MAX, &v)
	    : 0;
}

static int
scan_word(struct scan *s)
{
	static const char *const words[] = {"true", "false", "null"};
	size_t i, len;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		len = strlen(words[i]);
		if ((size_t)(s->end - s->p) < len ||
		    memcmp(s->p, words[i], len) != 0)
			continue;
		s->p += len;
		return 0;
	}
	return -1;
}

int
json_scan(const char *buf, size_t len, size_t *members_out)
{
	struct scan s = {.p = buf, .end = buf + len};
	int rv = 0;

	*members_out = 0;
	while (rv == 0 && s.p < s.end) {
		if (skip_char(&s, " \t\r\n[]{},"))
			continue;
		if (skip_char(&s, ":"))
			(*members_out)++;
		else if (skip_char(&s, "\""))
			rv = scan_string(&s);
		else if (*s.p == '-' || at_digit(&s))
			rv = scan_number(&s);
		else
			rv = scan_word(&s);
	}
	return rv;
}
