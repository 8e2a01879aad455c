/*
 * What is made from the option tables beside the values: samples, manual
 * text, and what changed between two loads.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/mem.h"
#include "common/roff.h"

static const void *
place_of(const struct conf_opt *o, const void *conf)
{
	return (const char *)conf + o->offset;
}

static int
lists_differ(const struct conf_list *a, const struct conf_list *b)
{
	size_t i;

	if (a->n != b->n)
		return 1;
	for (i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return 1;
	return 0;
}

static int
sections_differ(const struct conf_opt *o, const struct conf_sections *a,
    const struct conf_sections *b)
{
	const char *x, *y;
	size_t i;

	if (a->n != b->n)
		return 1;
	for (i = 0; i < a->n; i++) {
		x = (const char *)a->v + i * o->sub_size;
		y = (const char *)b->v + i * o->sub_size;
		if (strcmp(*(char *const *)(const void *)x,
			*(char *const *)(const void *)y) != 0 ||
		    conf_changed(o->sub, x, y) != NULL)
			return 1;
	}
	return 0;
}

static int
values_differ(const struct conf_opt *o, const void *a, const void *b)
{
	a = place_of(o, a);
	b = place_of(o, b);
	switch (o->type) {
	case CONF_STR:
		return strcmp(*(char *const *)a, *(char *const *)b) != 0;
	case CONF_UINT:
	case CONF_SIZE:
	case CONF_DURATION:
		return *(const uint64_t *)a != *(const uint64_t *)b;
	case CONF_BOOL:
	case CONF_ENUM:
		return *(const int *)a != *(const int *)b;
	case CONF_LIST:
		return lists_differ(a, b);
	case CONF_SECTION:
		return sections_differ(o, a, b);
	}
	return 0;
}

const char *
conf_changed(const struct conf_opt *opts, const void *a, const void *b)
{
	for (; opts->name != NULL; opts++)
		if (!(opts->flags & CONF_F_RELOAD) && values_differ(opts, a, b))
			return opts->name;
	return NULL;
}

/* "number, 1 to 8192"; the caller frees it. */
static char *
value_text(const struct conf_opt *o)
{
	static const char *const text[] = {
	    [CONF_STR] = "text",
	    [CONF_UINT] = "number",
	    [CONF_SIZE] = "size",
	    [CONF_DURATION] = "time",
	    [CONF_BOOL] = "yes or no",
	    [CONF_LIST] = "list",
	    [CONF_SECTION] = "section",
	};
	char *range = conf_range_text(o), *value;

	value = xasprintf("%s%s%s",
	    o->type == CONF_ENUM ? o->choices : text[o->type],
	    *range != '\0' ? ", " : "", range);
	free(range);
	return value;
}

/* Sentences in lines of a comment. */
static void
print_text(FILE *f, const char *indent, const char *doc)
{
	size_t width, col = 0;

	while (*doc != '\0') {
		width = strcspn(doc, " ");
		if (col == 0 || col + width + 1 > 72) {
			fprintf(f, "%s%s#", col == 0 ? "" : "\n", indent);
			col = 1;
		}
		fprintf(f, " %.*s", (int)width, doc);
		col += width + 1;
		doc += width;
		doc += strspn(doc, " ");
	}
	fputc('\n', f);
}

static void
print_comment(FILE *f, const char *indent, const struct conf_opt *o)
{
	char *range = conf_range_text(o), *text;

	text = xasprintf("%s%s%s%s", o->doc, *range != '\0' ? " Range: " : "",
	    range, *range != '\0' ? "." : "");
	print_text(f, indent, text);
	free(text);
	free(range);
}

static void
print_options(FILE *f, const struct conf_opt *opts, const char *indent)
{
	const char *def, *open, *close;
	char *inner;

	for (; opts->name != NULL; opts++) {
		if (opts->doc != NULL)
			print_comment(f, indent, opts);
		if (opts->type == CONF_SECTION) {
			inner = xasprintf("%s\t", indent);
			fprintf(f, "#%s%s \"name\" {\n", indent, opts->name);
			print_options(f, opts->sub, inner);
			fprintf(f, "#%s}\n\n", indent);
			free(inner);
			continue;
		}
		def = opts->def != NULL ? opts->def : "";
		open = close = "\"";
		if (opts->type == CONF_LIST) {
			open = *def != '\0' ? "{\"" : "{";
			close = *def != '\0' ? "\"}" : "}";
		}
		fprintf(f, "#%s%s = %s%s%s\n\n", indent, opts->name, open, def,
		    close);
	}
}

void
conf_print_sample(FILE *f, const struct conf_opt *opts)
{
	print_options(f, opts, "");
}

void
conf_print_man(FILE *f, const struct conf_opt *opts)
{
	char *value;

	for (; opts->name != NULL; opts++) {
		fputs(".TP\n.B ", f);
		roff_put(f, opts->name);
		fputs("\n(", f);
		value = value_text(opts);
		roff_put(f, value);
		free(value);
		if (opts->flags & CONF_F_REQUIRED)
			fputs(", required", f);
		else if (opts->def != NULL && *opts->def != '\0') {
			fputs("; default ", f);
			roff_put(f, opts->def);
		}
		if (opts->flags & CONF_F_RELOAD)
			fputs("; changed by a reload", f);
		fputs(")\n", f);
		if (opts->doc != NULL) {
			roff_put(f, opts->doc);
			fputc('\n', f);
		}
		if (opts->type != CONF_SECTION)
			continue;
		fputs(".RS\n", f);
		conf_print_man(f, opts->sub);
		fputs(".RE\n", f);
	}
}

/* A value in a table or a sentence: a bar would end the cell. */
static void
print_code(FILE *f, const char *s)
{
	fputc('`', f);
	for (; *s != '\0'; s++)
		fprintf(f, *s == '|' ? "\\%c" : "%c", *s);
	fputc('`', f);
}

void
conf_print_markdown(FILE *f, const struct conf_opt *opts)
{
	const struct conf_opt *o;
	char *value;

	fputs("| option | value | default | meaning |\n|---|---|---|---|\n", f);
	for (o = opts; o->name != NULL; o++) {
		fputs("| ", f);
		print_code(f, o->name);
		value = value_text(o);
		fprintf(f, " | %s | ", value);
		free(value);
		if (o->flags & CONF_F_REQUIRED)
			fputs("required", f);
		else if (o->def != NULL && *o->def != '\0')
			print_code(f, o->def);
		fprintf(f, " | %s%s |\n", o->doc != NULL ? o->doc : "",
		    o->flags & CONF_F_RELOAD ? " Changed by a reload." : "");
	}
	for (o = opts; o->name != NULL; o++) {
		if (o->type != CONF_SECTION)
			continue;
		fprintf(f, "\nIn `%s \"name\" { ... }`:\n\n", o->name);
		conf_print_markdown(f, o->sub);
	}
}
