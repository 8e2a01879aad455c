#ifndef COMMON_STR_H
#define COMMON_STR_H

#include <stddef.h>
#include <stdint.h>

/*
 * Text from and to the outside: escaping for logs, and strict decoders that
 * accept exactly one spelling of every value.  Nothing here blocks.
 */

#define STR_VIS_MAX 256

/*
 * Copies src so that it is safe in a log line or an error message: printable
 * ASCII and well-formed UTF-8 without control characters stay, everything
 * else and the backslash become \xNN; what does not fit ends in "...".
 * Returns dst.
 */
char *str_vis(char *dst, size_t dst_size, const char *src);
char *str_vis_mem(char *dst, size_t dst_size, const void *src, size_t len);
/* For the arguments of one call; lives until the end of the block. */
#define STR_VIS(s) str_vis((char[STR_VIS_MAX]){0}, STR_VIS_MAX, (s))
#define STR_VIS_MEM(p, len) \
	str_vis_mem((char[STR_VIS_MAX]){0}, STR_VIS_MAX, (p), (len))

/* Whether the bytes are well-formed UTF-8 (no surrogates, no overlong). */
int str_is_utf8(const void *p, size_t len);

/* Lower-case hexadecimal; dst holds 2 * len + 1. */
void str_hex(char *dst, const void *src, size_t len);
#define STR_HEX(p, len) str_hex_buf((char[2 *(len) + 1]){0}, (p), (len))
char *str_hex_buf(char *dst, const void *src, size_t len); /* returns dst */
/* Exactly 2 * len lower-case digits, from slen characters; 0 or -1. */
int str_unhex(void *dst, size_t len, const char *s, size_t slen);

/* 1 if equal; the time does not depend on the content. */
int str_equal_ct(const void *a, const void *b, size_t len);

/*
 * Decimal without sign (i64: "-" allowed), blanks, leading zeros or a tail,
 * and within [min, max].  0 or -1; out is set on success only.
 */
int str_to_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out);
int str_to_i64(const char *s, int64_t min, int64_t max, int64_t *out);
/* The same on text that does not end in a NUL. */
int str_to_u64_mem(const char *s, size_t len, uint64_t min, uint64_t max,
    uint64_t *out);

#define STR_B64_NOPAD 0x1 /* no "=" at the end, in both directions */
#define STR_B64_URL 0x2   /* "-" and "_" for "+" and "/" */

/* Result belongs to the caller. */
char *str_base64_encode(const void *src, size_t len, unsigned int flags);
/* Strict: whole text, canonical padding and unused bits zero.  0 or -1. */
int str_base64_decode(const char *s, size_t slen, unsigned int flags, void *dst,
    size_t dst_size, size_t *len_out);

/*
 * Percent-decodes len characters into dst with a NUL.  -1 if it does not fit,
 * a "%" is not followed by two hexadecimal digits, or the result has a NUL.
 * form: "+" means a blank (query strings and form bodies).
 */
int str_percent_decode(char *dst, size_t dst_size, const char *src, size_t len,
    int form);
/* Everything but A-Z a-z 0-9 - . _ ~ is encoded; belongs to the caller. */
char *str_percent_encode(const char *s);

#endif
