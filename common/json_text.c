/*
 * Serialising JSON values.  Our own writer, so that the output is the same
 * byte for byte whatever the library's version: keys in byte order, minimal
 * escapes (datastore-format 4.3, 4.4).
 */
#include "config.h"

#include "common/json_int.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/sbuf.h"

/* What the server or client put together itself is far below. */
#define TEXT_MAX ((size_t)1 << 30)

enum style {
	STYLE_COMPACT,
	STYLE_PRETTY,
	STYLE_CANONICAL,
};

struct writer {
	struct sbuf out;
	enum style style;
	int depth;
	struct err *e;
	int failed;
};

static void
write_string(struct writer *w, const char *s, size_t len)
{
	static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	const char *form;
	size_t i;

	sbuf_add_char(&w->out, '"');
	for (i = 0; i < len; i++) {
		for (form = short_forms; *form != '\0' && *form != s[i];
		     form += 2)
			;
		if (s[i] != '\0' && *form != '\0') {
			sbuf_add_char(&w->out, '\\');
			sbuf_add_char(&w->out, form[1]);
		} else if ((unsigned char)s[i] < ' ') {
			sbuf_add_fmt(&w->out, "\\u%04x", (unsigned char)s[i]);
		} else {
			sbuf_add_char(&w->out, s[i]);
		}
	}
	sbuf_add_char(&w->out, '"');
}

static void
write_double(struct writer *w, double v)
{
	char text[64];
	int precision;

	/* The shortest form that reads back as the same number. */
	for (precision = 15; precision <= 17; precision++) {
		snprintf(text, sizeof(text), "%.*g", precision, v);
		if (strtod(text, NULL) == v)
			break;
	}
	sbuf_add_str(&w->out, text);
	if (strpbrk(text, ".e") == NULL)
		sbuf_add_str(&w->out, ".0");
}

static void
write_break(struct writer *w)
{
	if (w->style == STYLE_PRETTY)
		sbuf_add_fmt(&w->out, "\n%*s", 2 * w->depth, "");
}

static void write_value(struct writer *w, struct json_object *o);

static int
write_member(void *ctx, const char *key, const struct json *val)
{
	struct writer *w = ctx;

	if (w->out.data[w->out.len - 1] != '{')
		sbuf_add_char(&w->out, ',');
	write_break(w);
	write_string(w, key, strlen(key));
	sbuf_add_str(&w->out, w->style == STYLE_PRETTY ? ": " : ":");
	write_value(w, json_unwrap(val));
	return w->failed;
}

static void
write_object(struct writer *w, struct json_object *o)
{
	sbuf_add_char(&w->out, '{');
	w->depth++;
	json_each(json_wrap(o), write_member, w);
	w->depth--;
	if (json_object_object_length(o) > 0)
		write_break(w);
	sbuf_add_char(&w->out, '}');
}

static void
write_array(struct writer *w, struct json_object *o)
{
	size_t i, n = json_object_array_length(o);

	sbuf_add_char(&w->out, '[');
	w->depth++;
	for (i = 0; i < n && !w->failed; i++) {
		if (i > 0)
			sbuf_add_char(&w->out, ',');
		write_break(w);
		write_value(w, json_object_array_get_idx(o, i));
	}
	w->depth--;
	if (n > 0)
		write_break(w);
	sbuf_add_char(&w->out, ']');
}

static void
write_value(struct writer *w, struct json_object *o)
{
	switch (json_type(json_wrap(o))) {
	case JSON_NULL:
		if (w->style == STYLE_CANONICAL)
			w->failed = err_set(w->e, ERR_INVALID,
			    "null has no canonical form");
		sbuf_add_str(&w->out, "null");
		break;
	case JSON_BOOL:
		sbuf_add_str(&w->out,
		    json_object_get_boolean(o) ? "true" : "false");
		break;
	case JSON_INT:
		if (json_int_is_negative(o))
			sbuf_add_fmt(&w->out, "%" PRId64,
			    json_object_get_int64(o));
		else
			sbuf_add_fmt(&w->out, "%" PRIu64,
			    json_object_get_uint64(o));
		break;
	case JSON_DOUBLE:
		if (w->style == STYLE_CANONICAL)
			w->failed = err_set(w->e, ERR_INVALID,
			    "a fraction has no canonical form");
		write_double(w, json_object_get_double(o));
		break;
	case JSON_STRING:
		write_string(w, json_object_get_string(o),
		    (size_t)json_object_get_string_len(o));
		break;
	case JSON_ARRAY:
		write_array(w, o);
		break;
	case JSON_OBJECT:
		write_object(w, o);
		break;
	}
}

static char *
to_text(const struct json *j, enum style style, size_t *len_out, struct err *e)
{
	struct writer w = {.style = style, .e = e};

	sbuf_init(&w.out, TEXT_MAX);
	write_value(&w, json_unwrap(j));
	if (w.failed) {
		sbuf_fini(&w.out);
		return NULL;
	}
	return sbuf_take(&w.out, len_out);
}

char *
json_compact(const struct json *j, size_t *len_out)
{
	return to_text(j, STYLE_COMPACT, len_out, NULL);
}

char *
json_pretty(const struct json *j, size_t *len_out)
{
	return to_text(j, STYLE_PRETTY, len_out, NULL);
}

char *
json_canonical(const struct json *j, size_t *len_out, struct err *e)
{
	return to_text(j, STYLE_CANONICAL, len_out, e);
}
