/*
 * Parameters by schema.  Runs in a worker; every byte comes from a client
 * that may not even have logged in.  Whatever passes params_check() has the
 * type, the length and the format of its row, so handlers need no checks of
 * their own.
 */
#include "config.h"

#include "server/params.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/err.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/sbuf.h"
#include "common/str.h"

#define PARAMS_JSON_DEPTH 4
/* More distinct names than any call knows: refused before work is done. */
#define PARAMS_FORM_MAX 1024
#define PARAMS_NAME_MAX 64

void
params_fini(struct params *p)
{
	json_free(&p->values);
	json_free(&p->path);
	memset(p, 0, sizeof(*p));
}

/* --- collecting ---------------------------------------------------------- */

static int
params_text(const char *name, const char *value, struct err *e)
{
	if (str_is_utf8(value, strlen(value)))
		return 0;
	return err_set(e, ERR_INVALID, "parameter '%s' is not UTF-8",
	    STR_VIS(name));
}

int
params_add_path(struct params *p, const char *name, const char *value,
    struct err *e)
{
	if (params_text(name, value, e) == -1)
		return -1;
	if (p->path == NULL)
		p->path = json_new_object();
	json_set_str(p->path, name, value);
	return 0;
}

/* A repeated name becomes an array of its values. */
static void
params_add_value(struct params *p, const char *name, const char *value)
{
	const struct json *old = json_get(p->values, name);
	struct json *list;

	if (old == NULL) {
		json_set_str(p->values, name, value);
		return;
	}
	list = json_type(old) == JSON_ARRAY ? json_dup(old) : json_new_array();
	if (json_type(old) != JSON_ARRAY)
		json_append(list, json_dup(old));
	json_append(list, json_new_str(value));
	json_set(p->values, name, list);
}

/* One "name=value"; buf holds at least len + 1 bytes. */
static int
params_add_pair(struct params *p, const char *s, size_t len, char *buf,
    struct err *e)
{
	const char *eq = memchr(s, '=', len);
	size_t name_len = eq != NULL ? (size_t)(eq - s) : len;
	char name[PARAMS_NAME_MAX + 1];
	char *value = buf;

	if (str_percent_decode(name, sizeof(name), s, name_len, 1) == -1)
		return err_set(e, ERR_INVALID, "cannot decode parameter name");
	if (eq == NULL)
		*value = '\0';
	else if (str_percent_decode(value, len + 1, eq + 1, len - name_len - 1,
		     1) == -1)
		return err_set(e, ERR_INVALID, "cannot decode parameter '%s'",
		    STR_VIS(name));
	if (params_text("?", name, e) == -1 ||
	    params_text(name, value, e) == -1)
		return -1;
	if (strcmp(name, "_dc") != 0)
		params_add_value(p, name, value);
	return 0;
}

int
params_add_form(struct params *p, const char *s, size_t len, struct err *e)
{
	const char *end = s + len, *amp;
	unsigned int count = 0;
	char *buf;
	int rv = 0;

	if (p->values == NULL)
		p->values = json_new_object();
	buf = xmalloc(len + 1);
	for (; rv == 0 && s < end; s = amp + 1) {
		amp = memchr(s, '&', (size_t)(end - s));
		if (amp == NULL)
			amp = end;
		if (amp == s)
			continue;
		if (++count > PARAMS_FORM_MAX)
			rv = err_set(e, ERR_INVALID, "too many parameters");
		else
			rv = params_add_pair(p, s, (size_t)(amp - s), buf, e);
	}
	mem_wipe_free(buf, len + 1);
	return rv;
}

int
params_set_json(struct params *p, const char *s, size_t len, struct err *e)
{
	json_free(&p->values);
	p->typed = 1;
	if (len == 0) {
		p->values = json_new_object();
		return 0;
	}
	p->values = json_parse(s, len, PARAMS_JSON_DEPTH, e);
	if (p->values == NULL)
		return -1;
	if (json_type(p->values) == JSON_OBJECT)
		return 0;
	json_free(&p->values);
	return err_set(e, ERR_INVALID, "parameters must be a JSON object");
}

/* --- one value ----------------------------------------------------------- */

static size_t
params_chars(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static struct json *
params_string(const struct param_def *d, const struct json *v, struct err *e)
{
	const char *s = json_str(v);
	size_t n;

	if (s == NULL) {
		err_set(e, ERR_PARAM, "Expected string value.");
		return NULL;
	}
	n = params_chars(s);
	if (n < (size_t)d->min) {
		err_set(e, ERR_PARAM,
		    "value must be at least %" PRId64 " characters long",
		    d->min);
		return NULL;
	}
	if (d->max != 0 && n > (size_t)d->max) {
		err_set(e, ERR_PARAM,
		    "value may only be %" PRId64 " characters long", d->max);
		return NULL;
	}
	if (d->check != NULL && d->check(s, e) == -1)
		return NULL;
	return json_dup(v);
}

static struct json *
params_integer(const struct param_def *d, const struct json *v, int typed,
    struct err *e)
{
	const char *s = json_str(v);
	int64_t n;

	if (s != NULL && !typed ? str_to_i64(s, INT64_MIN, INT64_MAX, &n) == -1
				: json_i64(v, &n) == -1) {
		err_set(e, ERR_PARAM, "Expected integer value.");
		return NULL;
	}
	if (n < d->min) {
		err_set(e, ERR_PARAM,
		    "value must have a minimum value of %" PRId64
		    " (got %" PRId64 ")",
		    d->min, n);
		return NULL;
	}
	if (d->max != 0 && n > d->max) {
		err_set(e, ERR_PARAM,
		    "value must have a maximum value of %" PRId64
		    " (got %" PRId64 ")",
		    d->max, n);
		return NULL;
	}
	return json_new_i64(n);
}

static int
params_text_bool(const char *s, int *out)
{
	static const char *const words[] = {"0", "1", "off", "on", "no", "yes",
	    "false", "true"};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(s, words[i]) == 0) {
			*out = i % 2 == 1;
			return 0;
		}
	}
	return -1;
}

static struct json *
params_boolean(const struct json *v, int typed, struct err *e)
{
	const char *s = json_str(v);
	int b;

	if (s != NULL && !typed ? params_text_bool(s, &b) == -1
				: json_bool(v, &b) == -1) {
		err_set(e, ERR_PARAM, "Expected boolean value.");
		return NULL;
	}
	return json_new_bool(b);
}

static struct json *params_convert(const struct param_def *d,
    const struct json *v, int typed, struct err *e);

static struct json *
params_array(const struct param_def *d, const struct json *v, int typed,
    struct err *e)
{
	struct param_def one = *d;
	struct json *out = json_new_array();
	struct json *item = NULL;
	size_t i, n = json_type(v) == JSON_ARRAY ? json_len(v) : 1;

	one.type = d->type == PARAM_STRINGS ? PARAM_STRING : PARAM_INTEGER;
	if (json_type(v) != JSON_ARRAY && typed) {
		err_set(e, ERR_PARAM, "Expected array.");
		json_free(&out);
		return NULL;
	}
	for (i = 0; i < n; i++) {
		/* A form's single value is an array of one. */
		item = params_convert(&one,
		    json_type(v) == JSON_ARRAY ? json_at(v, i) : v, typed, e);
		if (item == NULL) {
			json_free(&out);
			return NULL;
		}
		json_append(out, item);
	}
	return out;
}

/* The checked value (the caller's), or NULL. */
static struct json *
params_convert(const struct param_def *d, const struct json *v, int typed,
    struct err *e)
{
	if (d->type == PARAM_STRINGS || d->type == PARAM_INTEGERS)
		return params_array(d, v, typed, e);
	if (!typed && json_type(v) == JSON_ARRAY) {
		err_set(e, ERR_PARAM, "duplicate parameter.");
		return NULL;
	}
	switch (d->type) {
	case PARAM_INTEGER:
		return params_integer(d, v, typed, e);
	case PARAM_BOOLEAN:
		return params_boolean(v, typed, e);
	case PARAM_STRING:
	case PARAM_STRINGS:
	case PARAM_INTEGERS:
		break;
	}
	return params_string(d, v, e);
}

/* --- all of them --------------------------------------------------------- */

struct params_report {
	const struct param_def *def;
	unsigned int errors;
	char first[ERR_MSG_MAX];
	struct sbuf lines;
};

static void
params_complain(struct params_report *r, const char *name, const char *text)
{
	const char *vis = STR_VIS(name);

	if (r->errors++ == 0)
		snprintf(r->first, sizeof(r->first), "'%s': %s", vis, text);
	sbuf_add_fmt(&r->lines, "\n- '%s': %s", vis, text);
}

static const struct param_def *
params_def(const struct param_def *def, const char *name)
{
	for (; def != NULL && def->name != NULL; def++) {
		if (strcmp(def->name, name) == 0)
			return def;
	}
	return NULL;
}

static int
params_unknown(void *ctx, const char *name, const struct json *value)
{
	struct params_report *r = ctx;

	(void)value;
	if (params_def(r->def, name) == NULL)
		params_complain(r, name,
		    "schema does not allow additional properties.");
	return 0;
}

static void
params_check_one(const struct params *p, const struct param_def *d,
    struct json *out, struct params_report *r)
{
	const struct json *v = NULL;
	struct json *checked;
	int typed = 0;
	struct err e = {0};

	if (p->path != NULL)
		v = json_get(p->path, d->name);
	if (v == NULL && p->values != NULL) {
		v = json_get(p->values, d->name);
		typed = p->typed;
	} else if (v != NULL && p->values != NULL &&
	    json_get(p->values, d->name) != NULL) {
		params_complain(r, d->name, "duplicate parameter.");
		return;
	}
	if (v == NULL || (typed && json_type(v) == JSON_NULL)) {
		if ((d->flags & PARAM_OPTIONAL) == 0)
			params_complain(r, d->name,
			    "parameter is missing and it is not optional.");
		return;
	}
	checked = params_convert(d, v, typed, &e);
	if (checked == NULL)
		params_complain(r, d->name, e.msg);
	else
		json_set(out, d->name, checked);
}

int
params_check(struct params *p, const struct param_def *def, unsigned int flags,
    struct err *e)
{
	struct params_report r = {.def = def};
	const struct param_def *d;
	struct json *out = json_new_object();

	sbuf_init(&r.lines, ERR_MSG_MAX - 64);
	for (d = def; d != NULL && d->name != NULL; d++)
		params_check_one(p, d, out, &r);
	if (!((flags & PARAMS_LAX) != 0 && p->typed) && p->values != NULL)
		json_each(p->values, params_unknown, &r);
	if (r.errors == 1)
		err_set(e, ERR_PARAM, "parameter verification failed - %s",
		    r.first);
	else if (r.errors > 1)
		err_set(e, ERR_PARAM, "parameter verification failed:%s",
		    sbuf_str(&r.lines));
	sbuf_fini(&r.lines);
	if (r.errors > 0) {
		json_free(&out);
		return -1;
	}
	params_fini(p);
	p->values = out;
	return 0;
}

/* --- reading ------------------------------------------------------------- */

static const struct json *
params_get(const struct params *p, const char *name)
{
	return p->values != NULL ? json_get(p->values, name) : NULL;
}

int
params_has(const struct params *p, const char *name)
{
	return params_get(p, name) != NULL;
}

const char *
params_str(const struct params *p, const char *name, const char *dflt)
{
	const struct json *v = params_get(p, name);

	return v != NULL ? json_str(v) : dflt;
}

int64_t
params_int(const struct params *p, const char *name, int64_t dflt)
{
	const struct json *v = params_get(p, name);
	int64_t n;

	return v != NULL && json_i64(v, &n) == 0 ? n : dflt;
}

int
params_bool(const struct params *p, const char *name, int dflt)
{
	const struct json *v = params_get(p, name);
	int b;

	return v != NULL && json_bool(v, &b) == 0 ? b : dflt;
}

size_t
params_count(const struct params *p, const char *name)
{
	const struct json *v = params_get(p, name);

	return v != NULL ? json_len(v) : 0;
}

const char *
params_str_at(const struct params *p, const char *name, size_t i)
{
	return json_str(json_at(params_get(p, name), i));
}

int64_t
params_int_at(const struct params *p, const char *name, size_t i)
{
	int64_t n = 0;

	json_i64(json_at(params_get(p, name), i), &n);
	return n;
}
