/*
 * Text from and to the outside, in every process.  Input is hostile; each
 * decoder accepts exactly one spelling and writes within its buffer.
 */
#include "config.h"

#include "common/str.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* Length of the well-formed UTF-8 sequence at p, 0 if there is none;
 * Unicode 15, table 3-7. */
static size_t
utf8_len(const uint8_t *p, size_t left)
{
	static const struct {
		uint8_t lead_min, lead_max, second_min, second_max;
		size_t len;
	} forms[] = {
	    {0xc2, 0xdf, 0x80, 0xbf, 2},
	    {0xe0, 0xe0, 0xa0, 0xbf, 3},
	    {0xe1, 0xec, 0x80, 0xbf, 3},
	    {0xed, 0xed, 0x80, 0x9f, 3},
	    {0xee, 0xef, 0x80, 0xbf, 3},
	    {0xf0, 0xf0, 0x90, 0xbf, 4},
	    {0xf1, 0xf3, 0x80, 0xbf, 4},
	    {0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	size_t i, k;

	if (left == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	for (i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		if (p[0] < forms[i].lead_min || p[0] > forms[i].lead_max)
			continue;
		if (left < forms[i].len || p[1] < forms[i].second_min ||
		    p[1] > forms[i].second_max)
			return 0;
		for (k = 2; k < forms[i].len; k++)
			if (p[k] < 0x80 || p[k] > 0xbf)
				return 0;
		return forms[i].len;
	}
	return 0;
}

int
str_is_utf8(const void *src, size_t len)
{
	const uint8_t *p = src;
	size_t n;

	for (; len > 0; p += n, len -= n)
		if ((n = utf8_len(p, len)) == 0)
			return 0;
	return 1;
}

/* C0, DEL and C1 controls, and the backslash that starts an escape. */
static int
needs_escape(const uint8_t *p, size_t n)
{
	if (n == 1)
		return p[0] < ' ' || p[0] == 0x7f || p[0] == '\\';
	return n == 2 && p[0] == 0xc2 && p[1] < 0xa0;
}

char *
str_vis_mem(char *dst, size_t dst_size, const void *src, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *p = src;
	size_t used = 0, n, out, dots = 0;
	int escape;

	for (; len > 0; p += n, len -= n) {
		n = utf8_len(p, len);
		escape = n == 0 || needs_escape(p, n);
		if (escape)
			n = 1;
		out = escape ? 4 : n;
		/* "dots" is where "..." still fits. */
		if (used + 4 <= dst_size)
			dots = used;
		if (used + out + 1 > dst_size)
			break;
		if (escape) {
			memcpy(dst + used, "\\x", 2);
			dst[used + 2] = hex[p[0] >> 4];
			dst[used + 3] = hex[p[0] & 15];
		} else {
			memcpy(dst + used, p, n);
		}
		used += out;
	}
	if (len > 0 && dst_size >= 4) {
		memcpy(dst + dots, "...", 3);
		used = dots + 3;
	}
	if (dst_size > 0)
		dst[used] = '\0';
	return dst;
}

char *
str_vis(char *dst, size_t dst_size, const char *src)
{
	return str_vis_mem(dst, dst_size, src, strlen(src));
}

void
str_hex(char *dst, const void *src, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = src;
	size_t i;

	for (i = 0; i < len; i++) {
		dst[2 * i] = digits[p[i] >> 4];
		dst[2 * i + 1] = digits[p[i] & 15];
	}
	dst[2 * len] = '\0';
}

char *
str_hex_buf(char *dst, const void *src, size_t len)
{
	str_hex(dst, src, len);
	return dst;
}

/* A table, since no processor can guess whether a digit is a letter: names of
 * chunks are read by the million. */
#define HEX 0x10u
#define HEX_DIGIT(c, v) [c] = HEX | (v)
static const uint8_t hex_digits[0x100] = {
    HEX_DIGIT('0', 0),
    HEX_DIGIT('1', 1),
    HEX_DIGIT('2', 2),
    HEX_DIGIT('3', 3),
    HEX_DIGIT('4', 4),
    HEX_DIGIT('5', 5),
    HEX_DIGIT('6', 6),
    HEX_DIGIT('7', 7),
    HEX_DIGIT('8', 8),
    HEX_DIGIT('9', 9),
    HEX_DIGIT('a', 10),
    HEX_DIGIT('b', 11),
    HEX_DIGIT('c', 12),
    HEX_DIGIT('d', 13),
    HEX_DIGIT('e', 14),
    HEX_DIGIT('f', 15),
};

static int
hex_value(char c)
{
	unsigned int v = hex_digits[(uint8_t)c];

	return v != 0 ? (int)(v & 0xf) : -1;
}

int
str_unhex(void *dst, size_t len, const char *s, size_t slen)
{
	unsigned int high, low, all = HEX;
	uint8_t *out = dst;
	size_t i;

	if (slen / 2 != len || slen % 2 != 0)
		return -1;
	for (i = 0; i < len; i++) {
		high = hex_digits[(uint8_t)s[2 * i]];
		low = hex_digits[(uint8_t)s[2 * i + 1]];
		all &= high & low;
		out[i] = (uint8_t)(high << 4 | (low & 0xf));
	}
	return all != 0 ? 0 : -1;
}

int
str_equal_ct(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t diff = 0;
	size_t i;

	for (i = 0; i < len; i++)
		diff |= x[i] ^ y[i];
	return diff == 0;
}

int
str_to_u64_mem(const char *s, size_t len, uint64_t min, uint64_t max,
    uint64_t *out)
{
	uint64_t v = 0;
	size_t i;

	if (len == 0 || (len > 1 && s[0] == '0'))
		return -1;
	for (i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9' ||
		    __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v))
			return -1;
	}
	if (v < min || v > max)
		return -1;
	*out = v;
	return 0;
}

int
str_to_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	return str_to_u64_mem(s, strlen(s), min, max, out);
}

int
str_to_i64(const char *s, int64_t min, int64_t max, int64_t *out)
{
	int negative = s[0] == '-';
	uint64_t magnitude;
	int64_t v;

	if (str_to_u64(s + negative, negative ? 1 : 0,
		(uint64_t)INT64_MAX + (negative ? 1 : 0), &magnitude) == -1)
		return -1;
	v = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	if (v < min || v > max)
		return -1;
	*out = v;
	return 0;
}

static const char *
base64_alphabet(unsigned int flags)
{
	return flags & STR_B64_URL
	    ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	    : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}

char *
str_base64_encode(const void *src, size_t len, unsigned int flags)
{
	const char *alphabet = base64_alphabet(flags);
	const uint8_t *p = src;
	char *dst = xmalloc(len / 3 * 4 + 5), *d = dst;
	uint32_t group;
	size_t take, i;

	for (; len > 0; p += take, len -= take) {
		take = len < 3 ? len : 3;
		group = (uint32_t)p[0] << 16;
		if (take > 1)
			group |= (uint32_t)p[1] << 8;
		if (take > 2)
			group |= p[2];
		for (i = 0; i < 4; i++) {
			if (i <= take)
				*d++ = alphabet[group >> (18 - 6 * i) & 63];
			else if (!(flags & STR_B64_NOPAD))
				*d++ = '=';
		}
	}
	*d = '\0';
	return dst;
}

int
str_base64_decode(const char *s, size_t slen, unsigned int flags, void *dst,
    size_t dst_size, size_t *len_out)
{
	const char *alphabet = base64_alphabet(flags), *digit;
	uint8_t *out = dst;
	uint32_t bits = 0;
	size_t i, n = 0, nbits = 0, pad;

	if (!(flags & STR_B64_NOPAD)) {
		if (slen % 4 != 0)
			return -1;
		for (pad = 0; pad < 2 && slen > 0 && s[slen - 1] == '='; pad++)
			slen--;
	}
	if (slen % 4 == 1)
		return -1;
	for (i = 0; i < slen; i++) {
		digit = s[i] != '\0' ? strchr(alphabet, s[i]) : NULL;
		if (digit == NULL)
			return -1;
		bits = (bits << 6 | (uint32_t)(digit - alphabet)) & 0xffffff;
		nbits += 6;
		if (nbits < 8)
			continue;
		nbits -= 8;
		if (n >= dst_size)
			return -1;
		out[n++] = (uint8_t)(bits >> nbits);
	}
	/* Unused bits are zero, so that each value has one spelling. */
	if ((bits & ((1u << nbits) - 1)) != 0)
		return -1;
	*len_out = n;
	return 0;
}

static int
hex_value_any(char c)
{
	return hex_value(c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c);
}

int
str_percent_decode(char *dst, size_t dst_size, const char *src, size_t len,
    int form)
{
	size_t i, n = 0;
	int high, low;
	char c;

	for (i = 0; i < len; i++) {
		c = src[i];
		if (c == '+' && form) {
			c = ' ';
		} else if (c == '%') {
			if (len - i < 3)
				return -1;
			high = hex_value_any(src[i + 1]);
			low = hex_value_any(src[i + 2]);
			if (high == -1 || low == -1)
				return -1;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == '\0' || n + 1 >= dst_size)
			return -1;
		dst[n++] = c;
	}
	if (dst_size == 0)
		return -1;
	dst[n] = '\0';
	return 0;
}

char *
str_percent_encode(const char *s)
{
	static const char hex[] = "0123456789ABCDEF";
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789-._~";
	char *dst = xmalloc(3 * strlen(s) + 1), *d = dst;

	for (; *s != '\0'; s++) {
		if (strchr(plain, *s) != NULL) {
			*d++ = *s;
			continue;
		}
		*d++ = '%';
		*d++ = hex[(uint8_t)*s >> 4];
		*d++ = hex[(uint8_t)*s & 15];
	}
	*d = '\0';
	return dst;
}
