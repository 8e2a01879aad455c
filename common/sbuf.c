/*
 * A growing string with a hard limit.  Used where text is put together from
 * pieces, in every process; the limit is what keeps a peer from growing it.
 */
#include "config.h"

#include "common/sbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define SBUF_CAP_MIN 128

void
sbuf_init(struct sbuf *b, size_t max)
{
	*b = (struct sbuf){.max = max};
}

void
sbuf_fini(struct sbuf *b)
{
	mem_wipe_free(b->data, b->cap);
	*b = (struct sbuf){.max = b->max};
}

/* Room for len more bytes and the NUL; a new block, so that the old one can
 * be wiped: the text may be a secret. */
static int
sbuf_reserve(struct sbuf *b, size_t len)
{
	size_t cap = b->cap > 0 ? b->cap : SBUF_CAP_MIN;
	char *data;

	if (b->overflow || len > b->max - b->len) {
		b->overflow = 1;
		return -1;
	}
	if (b->data != NULL && b->len + len < b->cap)
		return 0;
	while (cap <= b->len + len)
		cap *= 2;
	data = xmalloc(cap);
	if (b->len > 0)
		memcpy(data, b->data, b->len);
	mem_wipe_free(b->data, b->cap);
	b->data = data;
	b->cap = cap;
	return 0;
}

void
sbuf_add(struct sbuf *b, const void *p, size_t len)
{
	if (sbuf_reserve(b, len) == -1)
		return;
	if (len > 0)
		memcpy(b->data + b->len, p, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void
sbuf_add_str(struct sbuf *b, const char *s)
{
	sbuf_add(b, s, strlen(s));
}

void
sbuf_add_char(struct sbuf *b, char c)
{
	sbuf_add(b, &c, 1);
}

void
sbuf_add_fmt(struct sbuf *b, const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->overflow = 1;
		return;
	}
	sbuf_add(b, s, (size_t)n);
	mem_wipe_free(s, (size_t)n);
}

const char *
sbuf_str(const struct sbuf *b)
{
	return b->data != NULL ? b->data : "";
}

char *
sbuf_take(struct sbuf *b, size_t *len_out)
{
	char *s;

	if (b->overflow) {
		sbuf_fini(b);
		return NULL;
	}
	s = b->data != NULL ? b->data : xstrdup("");
	if (len_out != NULL)
		*len_out = b->len;
	*b = (struct sbuf){.max = b->max};
	return s;
}
