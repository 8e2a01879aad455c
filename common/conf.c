/*
 * Configuration files over libconfuse, which only this file knows.  The files
 * are the operator's; errors name file, line and option, so that they can be
 * mended without reading code.
 */
#include "config.h"

#include "common/conf.h"

#include <confuse.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/str.h"

/* All values are read as text and converted here, so that every type has one
 * spelling and one kind of error. */
struct loader {
	const char *name; /* of the file, for a text from memory */
	const struct conf_opt *opts;
	struct err *e;
	int failed;
};

/* libconfuse's error callback has no argument; parsing is not reentrant. */
static struct loader *current;

static void __attribute__((format(printf, 2, 0)))
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	const char *name;
	char text[400];

	vsnprintf(text, sizeof(text), fmt, ap);
	if (current == NULL || current->failed)
		return;
	current->failed = 1;
	name = cfg != NULL && cfg->filename != NULL &&
		strcmp(cfg->filename, "[buf]") != 0
	    ? cfg->filename
	    : current->name;
	err_set(current->e, ERR_INVALID, "%s:%d: %s", name,
	    cfg != NULL ? cfg->line : 0, text);
}

static size_t
count_opts(const struct conf_opt *opts)
{
	size_t n = 0;

	while (opts[n].name != NULL)
		n++;
	return n;
}

/* The table in libconfuse's terms; freed by free_cfg_opts(). */
static cfg_opt_t *
make_cfg_opts(const struct conf_opt *opts, int top)
{
	size_t n = count_opts(opts), i;
	cfg_opt_t *out = xcalloc(n + 2, sizeof(*out));
	cfg_opt_t include[] = {CFG_FUNC("include", &cfg_include), CFG_END()};
	cfg_opt_t end[] = {CFG_END()};

	for (i = 0; i < n; i++) {
		cfg_opt_t one[] = {CFG_STR(opts[i].name, NULL, CFGF_NODEFAULT)};

		if (opts[i].type == CONF_LIST) {
			cfg_opt_t list[] = {
			    CFG_STR_LIST(opts[i].name, NULL, CFGF_NODEFAULT)};
			one[0] = list[0];
		} else if (opts[i].type == CONF_SECTION) {
			cfg_opt_t sec[] = {
			    CFG_SEC(opts[i].name, make_cfg_opts(opts[i].sub, 0),
				CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES)};
			one[0] = sec[0];
		}
		out[i] = one[0];
	}
	if (top)
		out[n++] = include[0];
	out[n] = end[0];
	return out;
}

static void
free_cfg_opts(cfg_opt_t *cfg_opts, const struct conf_opt *opts)
{
	size_t i;

	for (i = 0; opts[i].name != NULL; i++)
		if (opts[i].type == CONF_SECTION)
			free_cfg_opts(cfg_opts[i].subopts, opts[i].sub);
	free(cfg_opts);
}

/* --- values ------------------------------------------------------------- */

/* Position of s among the words of choices, or -1. */
static int
choice_of(const char *choices, const char *s)
{
	size_t len;
	int i;

	for (i = 0; *choices != '\0'; i++) {
		len = strcspn(choices, " ");
		if (strlen(s) == len && strncmp(s, choices, len) == 0)
			return i;
		choices += len;
		choices += strspn(choices, " ");
	}
	return -1;
}

static void *
place_of(const struct conf_opt *o, void *dst)
{
	return (char *)dst + o->offset;
}

static int
set_number(const struct conf_opt *o, const char *text, uint64_t *out,
    struct err *e)
{
	uint64_t v = 0;
	char *range;
	int rv;

	if (o->type == CONF_SIZE)
		rv = conf_to_size(text, &v);
	else if (o->type == CONF_DURATION)
		rv = conf_to_duration_ms(text, &v);
	else
		rv = str_to_u64(text, 0, UINT64_MAX, &v);
	if (rv == -1)
		return err_set(e, ERR_INVALID, "\"%s\" is not a %s", text,
		    o->type == CONF_SIZE           ? "size (64K, 64M, 2G)"
			: o->type == CONF_DURATION ? "time (500ms, 60s, 2h)"
						   : "number");
	if (v < o->min || (o->max != 0 && v > o->max)) {
		range = conf_range_text(o);
		err_set(e, ERR_INVALID, "%s is out of range (%s)", text, range);
		free(range);
		return -1;
	}
	*out = v;
	return 0;
}

/* One value of a scalar option, from its text; strings stay where they are. */
static int
read_scalar(const struct conf_opt *o, const char *text, void *place,
    struct err *e)
{
	int v;

	if (o->check != NULL && o->check(text, e) == -1)
		return -1;
	switch (o->type) {
	case CONF_STR:
	case CONF_LIST:
		return 0;
	case CONF_UINT:
	case CONF_SIZE:
	case CONF_DURATION:
		return set_number(o, text, place, e);
	case CONF_BOOL:
		if (conf_to_bool(text, place) == -1)
			return err_set(e, ERR_INVALID,
			    "\"%s\" is neither yes nor no", text);
		return 0;
	case CONF_ENUM:
		v = choice_of(o->choices, text);
		if (v == -1)
			return err_set(e, ERR_INVALID, "\"%s\" is none of: %s",
			    text, o->choices);
		*(int *)place = v;
		return 0;
	case CONF_SECTION:
		break;
	}
	return err_set(e, ERR_INTERNAL, "a section is not a value");
}

/* Sets a scalar, or adds to a list. */
static int
set_value(const struct conf_opt *o, const char *text, void *dst, struct err *e)
{
	void *place = place_of(o, dst);
	struct conf_list *l = place;

	if (read_scalar(o, text, place, e) == -1)
		return -1;
	if (o->type == CONF_STR) {
		free(*(char **)place);
		*(char **)place = xstrdup(text);
	} else if (o->type == CONF_LIST) {
		l->v = xreallocarray(l->v, l->n + 1, sizeof(*l->v));
		l->v[l->n++] = xstrdup(text);
	}
	return 0;
}

static int
set_default(const struct conf_opt *o, void *dst, struct err *e)
{
	if (o->def != NULL && *o->def != '\0')
		return set_value(o, o->def, dst, e);
	/* Not set and no default: whatever the check says. */
	if (o->type == CONF_STR)
		*(char **)place_of(o, dst) = xstrdup("");
	return 0;
}

/* --- from libconfuse ---------------------------------------------------- */

/* The table row of an option that is being parsed. */
static const struct conf_opt *
find_opt(const struct conf_opt *opts, const char *section, const char *name)
{
	const struct conf_opt *o, *found;

	for (o = opts; o->name != NULL; o++) {
		if (section == NULL && strcmp(o->name, name) == 0)
			return o;
		if (section == NULL || o->type != CONF_SECTION)
			continue;
		found = strcmp(o->name, section) == 0
		    ? find_opt(o->sub, NULL, name)
		    : find_opt(o->sub, section, name);
		if (found != NULL)
			return found;
	}
	return NULL;
}

/* libconfuse calls this while it knows the line. */
static int
on_value(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *section = cfg->title != NULL ? cfg->name : NULL;
	const struct conf_opt *o = find_opt(current->opts, section, opt->name);
	const char *text = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	struct err why;
	uint64_t scratch;

	if (o == NULL || text == NULL ||
	    read_scalar(o, text, &scratch, &why) == 0)
		return 0;
	cfg_error(cfg, "option '%s': %s", opt->name, why.msg);
	return -1;
}

static void
set_validators(cfg_t *cfg, const struct conf_opt *opts, const char *prefix)
{
	char *name;

	for (; opts->name != NULL; opts++) {
		name = xasprintf("%s%s", prefix, opts->name);
		if (opts->type == CONF_SECTION) {
			char *inner = xasprintf("%s|", name);

			set_validators(cfg, opts->sub, inner);
			free(inner);
		} else {
			cfg_set_validate_func(cfg, name, on_value);
		}
		free(name);
	}
}

static int convert(cfg_t *cfg, const struct conf_opt *opts, void *dst,
    struct err *e);

static int
convert_sections(cfg_t *cfg, const struct conf_opt *o, void *dst, struct err *e)
{
	struct conf_sections *s = place_of(o, dst);
	unsigned int n = cfg_size(cfg, o->name), i;
	char *one;
	cfg_t *sec;

	s->v = xcalloc(n, o->sub_size);
	for (i = 0; i < n; i++) {
		sec = cfg_getnsec(cfg, o->name, i);
		one = (char *)s->v + i * o->sub_size;
		s->n = i + 1;
		*(char **)one = xstrdup(cfg_title(sec));
		if (o->check != NULL && o->check(cfg_title(sec), e) == -1)
			return err_wrap(e, "%s", o->name);
		if (convert(sec, o->sub, one, e) == -1)
			return err_wrap(e, "%s \"%s\"", o->name,
			    cfg_title(sec));
	}
	return 0;
}

static int
convert_option(cfg_t *cfg, const struct conf_opt *o, void *dst, struct err *e)
{
	unsigned int n = cfg_size(cfg, o->name), i;

	if (o->type == CONF_SECTION)
		return convert_sections(cfg, o, dst, e);
	if (n == 0 || cfg_getnstr(cfg, o->name, 0) == NULL) {
		if (o->flags & CONF_F_REQUIRED)
			return err_set(e, ERR_INVALID, "is missing");
		return set_default(o, dst, e);
	}
	for (i = 0; i < n; i++)
		if (set_value(o, cfg_getnstr(cfg, o->name, i), dst, e) == -1)
			return -1;
	return 0;
}

static int
convert(cfg_t *cfg, const struct conf_opt *opts, void *dst, struct err *e)
{
	for (; opts->name != NULL; opts++) {
		if (convert_option(cfg, opts, dst, e) == 0)
			continue;
		/* Sections wrapped their own. */
		return opts->type == CONF_SECTION
		    ? -1
		    : err_wrap(e, "option \"%s\"", opts->name);
	}
	return 0;
}

static int
load(const char *path, const char *text, const struct conf_opt *opts, void *dst,
    size_t dst_size, struct err *e)
{
	struct loader loader = {.name = path, .opts = opts, .e = e};
	cfg_opt_t *cfg_opts = make_cfg_opts(opts, 1);
	cfg_t *cfg = cfg_init(cfg_opts, CFGF_NONE);
	int rc, rv = -1;

	memset(dst, 0, dst_size);
	if (cfg == NULL) {
		err_set(e, ERR_NOMEM, "out of memory for %s", path);
		goto out;
	}
	cfg_set_error_function(cfg, on_error);
	set_validators(cfg, opts, "");
	current = &loader;
	errno = 0;
	rc = text != NULL ? cfg_parse_buf(cfg, text) : cfg_parse(cfg, path);
	current = NULL;
	if (rc == CFG_FILE_ERROR) {
		err_errno(e, errno, "read %s", path);
		goto out;
	}
	if (rc != CFG_SUCCESS || loader.failed) {
		if (!loader.failed)
			err_set(e, ERR_INVALID, "%s: syntax error", path);
		goto out;
	}
	if (convert(cfg, opts, dst, e) == -1) {
		err_wrap(e, "%s", path);
		conf_free(opts, dst, dst_size);
		goto out;
	}
	rv = 0;
out:
	if (cfg != NULL)
		cfg_free(cfg);
	free_cfg_opts(cfg_opts, opts);
	return rv;
}

int
conf_load(const char *path, const struct conf_opt *opts, void *dst,
    size_t dst_size, struct err *e)
{
	return load(path, NULL, opts, dst, dst_size, e);
}

int
conf_parse(const char *text, const char *name, const struct conf_opt *opts,
    void *dst, size_t dst_size, struct err *e)
{
	return load(name, text, opts, dst, dst_size, e);
}

static void
free_values(const struct conf_opt *opts, void *dst)
{
	struct conf_sections *s;
	struct conf_list *l;
	size_t i;

	for (; opts->name != NULL; opts++) {
		if (opts->type == CONF_STR) {
			free(*(char **)place_of(opts, dst));
		} else if (opts->type == CONF_LIST) {
			l = place_of(opts, dst);
			for (i = 0; i < l->n; i++)
				free(l->v[i]);
			free(l->v);
		} else if (opts->type == CONF_SECTION) {
			s = place_of(opts, dst);
			for (i = 0; i < s->n; i++) {
				char *one = (char *)s->v + i * opts->sub_size;

				free(*(char **)one);
				free_values(opts->sub, one);
			}
			free(s->v);
		}
	}
}

void
conf_free(const struct conf_opt *opts, void *dst, size_t dst_size)
{
	free_values(opts, dst);
	memset(dst, 0, dst_size);
}
