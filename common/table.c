/*
 * Output of holdfast and holdfast-admin.  Values come from a server, and
 * names and comments in them from anybody's client: nothing goes to the
 * terminal unescaped.
 */
#include "config.h"

#include "common/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/sbuf.h"
#include "common/str.h"

#define CELL_MAX 4096

char *
table_size_str(char dst[TABLE_SIZE_MAX], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB",
	    "PiB", "EiB"};
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1024 && u + 1 < sizeof(units) / sizeof(units[0])) {
		v /= 1024;
		u++;
	}
	snprintf(dst, TABLE_SIZE_MAX, u == 0 ? "%.0f %s" : "%.2f %s", v,
	    units[u]);
	return dst;
}

static void
put_time(struct sbuf *b, int64_t t)
{
	time_t v = (time_t)t;
	struct tm tm;
	char text[64];

	if (localtime_r(&v, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		sbuf_add_fmt(b, "%" PRId64, t);
	else
		sbuf_add_str(b, text);
}

static void
put_text(struct sbuf *b, const char *s)
{
	char vis[CELL_MAX];

	sbuf_add_str(b, str_vis(vis, sizeof(vis), s));
}

/* Escaped but for its backslashes. */
static void
put_upid(struct sbuf *b, const char *s)
{
	char vis[CELL_MAX];
	size_t len;

	for (;; s += len + 1) {
		len = strcspn(s, "\\");
		sbuf_add_str(b, str_vis_mem(vis, sizeof(vis), s, len));
		if (s[len] == '\0')
			break;
		sbuf_add_char(b, '\\');
	}
}

static void
put_list(struct sbuf *b, const struct json *list)
{
	const char *s;
	size_t i;

	for (i = 0; i < json_len(list); i++) {
		s = json_str(json_at(list, i));
		if (s == NULL)
			continue;
		if (b->len > 0)
			sbuf_add_char(b, ' ');
		put_text(b, s);
	}
}

/* A number of another type than asked for (a float, say) prints as text. */
static void
put_number(struct sbuf *b, enum table_kind kind, const struct json *v)
{
	char size[TABLE_SIZE_MAX];
	int64_t i;
	uint64_t u;

	if (kind == TABLE_SIZE && json_u64(v, &u) == 0)
		sbuf_add_str(b, table_size_str(size, u));
	else if (kind == TABLE_TIME && json_i64(v, &i) == 0)
		put_time(b, i);
	else if (json_i64(v, &i) == 0)
		sbuf_add_fmt(b, "%" PRId64, i);
	else if (json_u64(v, &u) == 0)
		sbuf_add_fmt(b, "%" PRIu64, u);
	else
		sbuf_add_fmt(b, "%g", json_double(v));
}

/* The text of one cell; the caller frees. */
static char *
cell(const struct table_col *col, const struct json *row)
{
	const struct json *v = json_get(row, col->key);
	struct sbuf b;
	int flag = 0;

	sbuf_init(&b, CELL_MAX);
	switch (v != NULL ? json_type(v) : JSON_NULL) {
	case JSON_STRING:
		if (col->kind == TABLE_UPID)
			put_upid(&b, json_str(v));
		else
			put_text(&b, json_str(v));
		break;
	case JSON_BOOL:
		(void)json_bool(v, &flag);
		sbuf_add_str(&b, flag ? "yes" : "no");
		break;
	case JSON_INT:
	case JSON_DOUBLE:
		put_number(&b, col->kind, v);
		break;
	case JSON_ARRAY:
		put_list(&b, v);
		break;
	case JSON_NULL:
	case JSON_OBJECT:
		break;
	}
	if (b.len == 0)
		sbuf_add_char(&b, '-');
	return sbuf_take(&b, NULL);
}

/* Columns that a text takes on a terminal. */
static size_t
width(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

static int
right_aligned(enum table_kind kind)
{
	return kind == TABLE_INT || kind == TABLE_SIZE;
}

static void
put_cell(FILE *f, const struct table_col *col, const char *text, size_t w,
    int last)
{
	int pad = (int)(w - width(text));

	if (right_aligned(col->kind))
		fprintf(f, "%*s%s", pad, "", text);
	else if (last)
		fputs(text, f);
	else
		fprintf(f, "%s%*s", text, pad, "");
	fputs(last ? "\n" : "  ", f);
}

static void
print_text(FILE *f, const struct table_col *cols, const struct json *rows)
{
	size_t ncols = 0, nrows = json_len(rows), i, c, n;
	size_t *w;
	char **cells;

	while (cols[ncols].key != NULL)
		ncols++;
	w = xcalloc(ncols + 1, sizeof(*w));
	cells = xcalloc(nrows * ncols + 1, sizeof(*cells));
	for (c = 0; c < ncols; c++)
		w[c] = width(cols[c].title);
	for (i = 0; i < nrows * ncols; i++) {
		c = i % ncols;
		cells[i] = cell(&cols[c], json_at(rows, i / ncols));
		n = width(cells[i]);
		if (n > w[c])
			w[c] = n;
	}
	for (c = 0; c < ncols; c++)
		put_cell(f, &cols[c], cols[c].title, w[c], c + 1 == ncols);
	for (i = 0; i < nrows * ncols; i++) {
		c = i % ncols;
		put_cell(f, &cols[c], cells[i], w[c], c + 1 == ncols);
		free(cells[i]);
	}
	free(cells);
	free(w);
}

static void
print_json(FILE *f, enum output_format format, const struct json *v)
{
	char *text = format == OUTPUT_JSON ? json_compact(v, NULL)
					   : json_pretty(v, NULL);

	fprintf(f, "%s\n", text);
	free(text);
}

void
table_print(FILE *f, enum output_format format, const struct table_col *cols,
    const struct json *rows)
{
	if (format == OUTPUT_TEXT)
		print_text(f, cols, rows);
	else
		print_json(f, format, rows);
}

void
table_print_object(FILE *f, enum output_format format,
    const struct table_col *cols, const struct json *obj)
{
	size_t w = 0, n;
	const struct table_col *c;
	char *text;

	if (format != OUTPUT_TEXT) {
		print_json(f, format, obj);
		return;
	}
	for (c = cols; c->key != NULL; c++)
		if ((n = width(c->title)) > w)
			w = n;
	for (c = cols; c->key != NULL; c++) {
		text = cell(c, obj);
		fprintf(f, "%-*s  %s\n", (int)w, c->title, text);
		free(text);
	}
}
