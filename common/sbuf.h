#ifndef COMMON_SBUF_H
#define COMMON_SBUF_H

#include <stddef.h>

/*
 * A growing string with a hard limit and a sticky error: append without
 * checking, look once at the end.  The data always ends in a NUL that is not
 * counted.  Never blocks.
 */
struct sbuf {
	char *data; /* NULL until the first append */
	size_t len;
	size_t cap;
	size_t max;   /* limit of len */
	int overflow; /* an append did not fit; it was left out whole */
};

void sbuf_init(struct sbuf *b, size_t max);
/* Wipes and frees; the buffer may be used again after sbuf_init(). */
void sbuf_fini(struct sbuf *b);

void sbuf_add(struct sbuf *b, const void *p, size_t len);
void sbuf_add_str(struct sbuf *b, const char *s);
void sbuf_add_char(struct sbuf *b, char c);
void sbuf_add_fmt(struct sbuf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The text so far, "" if empty; lent until the next append. */
const char *sbuf_str(const struct sbuf *b);
/* Moves the text to the caller (free()), or NULL after an overflow; the
 * buffer is empty afterwards.  len_out may be NULL. */
char *sbuf_take(struct sbuf *b, size_t *len_out);

#endif
