/*
 * JSON over json-c, which only this file and json_text.c know.  The text may
 * come from a client, so what json-c is lenient about (repeated keys,
 * trailing bytes) is refused here, and its words by json_scan.c.
 */
#include "config.h"

#include "common/json_int.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/sbuf.h"
#include "common/str.h"

static const char null_marker;

struct json *
json_wrap(const struct json_object *o)
{
	return (struct json *)(uintptr_t)(o != NULL ? (const void *)o
						    : &null_marker);
}

struct json_object *
json_unwrap(const struct json *j)
{
	return (const void *)j == &null_marker
	    ? NULL
	    : (struct json_object *)(uintptr_t)j;
}

/* --- parsing ------------------------------------------------------------ */

struct tree_facts {
	size_t members;
	int bad; /* a number that is not finite */
};

/* Recursion is bounded by the parser's depth. */
static void
tree_look(struct json_object *o, struct tree_facts *f)
{
	struct json_object_iterator it, end;
	size_t i;

	switch (json_object_get_type(o)) {
	case json_type_object:
		it = json_object_iter_begin(o);
		end = json_object_iter_end(o);
		for (; !json_object_iter_equal(&it, &end);
		     json_object_iter_next(&it)) {
			f->members++;
			tree_look(json_object_iter_peek_value(&it), f);
		}
		break;
	case json_type_array:
		for (i = 0; i < json_object_array_length(o); i++)
			tree_look(json_object_array_get_idx(o, i), f);
		break;
	case json_type_double:
		if (!isfinite(json_object_get_double(o)))
			f->bad = 1;
		break;
	case json_type_string:
	case json_type_null:
	case json_type_boolean:
	case json_type_int:
		break;
	}
}

static struct json_object *
parse_text(const char *buf, size_t len, int depth, struct err *e)
{
	struct json_tokener *tok = json_tokener_new_ex(depth);
	struct json_object *o;
	enum json_tokener_error why;
	size_t used;

	json_tokener_set_flags(tok,
	    JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS);
	o = json_tokener_parse_ex(tok, buf, (int)len);
	why = json_tokener_get_error(tok);
	/* A number at the end is complete only once something follows. */
	if (why == json_tokener_continue) {
		o = json_tokener_parse_ex(tok, "", 1);
		why = json_tokener_get_error(tok);
		used = why == json_tokener_success ? len : 0;
	} else {
		used = json_tokener_get_parse_end(tok);
	}
	json_tokener_free(tok);
	if (why != json_tokener_success) {
		json_object_put(o);
		err_set(e, ERR_INVALID, "not valid JSON: %s",
		    json_tokener_error_desc(why));
		return NULL;
	}
	for (; used < len; used++) {
		if (strchr(" \t\r\n", buf[used]) != NULL && buf[used] != '\0')
			continue;
		json_object_put(o);
		err_set(e, ERR_INVALID, "bytes after the JSON value");
		return NULL;
	}
	return o;
}

struct json *
json_parse(const char *buf, size_t len, int depth, struct err *e)
{
	struct json_object *o;
	struct tree_facts facts = {0};
	struct err why = {0};
	size_t members;

	if (depth <= 0 || depth > JSON_DEPTH_MAX)
		depth = JSON_DEPTH_MAX;
	/* json-c's own check of UTF-8 takes overlong forms. */
	if (len == 0 || len > INT32_MAX || !str_is_utf8(buf, len) ||
	    json_scan(buf, len, &members) == -1) {
		err_set(e, ERR_INVALID, "not acceptable as JSON");
		return NULL;
	}
	/* json-c would go on with a shorter string, or a null. */
	mem_demand(1);
	o = parse_text(buf, len, depth, &why);
	mem_demand(0);
	if (why.code != ERR_OK) {
		if (e != NULL)
			*e = why;
		return NULL;
	}
	tree_look(o, &facts);
	/* The text has a colon for each member, the tree one member a key. */
	if (facts.bad || facts.members != members) {
		json_object_put(o);
		err_set(e, ERR_INVALID,
		    "JSON with repeated keys or values out of range");
		return NULL;
	}
	return json_wrap(o);
}

void
json_free(struct json **j)
{
	if (*j != NULL)
		json_object_put(json_unwrap(*j));
	*j = NULL;
}

/* --- reading ------------------------------------------------------------ */

enum json_type
json_type(const struct json *j)
{
	switch (json_object_get_type(json_unwrap(j))) {
	case json_type_null:
		return JSON_NULL;
	case json_type_boolean:
		return JSON_BOOL;
	case json_type_int:
		return JSON_INT;
	case json_type_double:
		return JSON_DOUBLE;
	case json_type_string:
		return JSON_STRING;
	case json_type_array:
		return JSON_ARRAY;
	case json_type_object:
		return JSON_OBJECT;
	}
	return JSON_NULL;
}

const struct json *
json_get(const struct json *obj, const char *key)
{
	struct json_object *o;

	if (obj == NULL || json_type(obj) != JSON_OBJECT ||
	    !json_object_object_get_ex(json_unwrap(obj), key, &o))
		return NULL;
	return json_wrap(o);
}

static const struct json *
get_typed(const struct json *obj, const char *key, enum json_type type,
    const char *what, struct err *e)
{
	const struct json *j = json_get(obj, key);

	if (j != NULL && json_type(j) == type)
		return j;
	err_set(e, ERR_PARAM,
	    j == NULL ? "\"%s\" is missing (%s)" : "\"%s\" is not %s", key,
	    what);
	return NULL;
}

const char *
json_get_str(const struct json *obj, const char *key, struct err *e)
{
	const struct json *j = get_typed(obj, key, JSON_STRING, "a string", e);

	return j != NULL ? json_str(j) : NULL;
}

const struct json *
json_get_array(const struct json *obj, const char *key, struct err *e)
{
	return get_typed(obj, key, JSON_ARRAY, "an array", e);
}

const struct json *
json_get_object(const struct json *obj, const char *key, struct err *e)
{
	return get_typed(obj, key, JSON_OBJECT, "an object", e);
}

int
json_get_i64(const struct json *obj, const char *key, int64_t min, int64_t max,
    int64_t *out, struct err *e)
{
	const struct json *j = get_typed(obj, key, JSON_INT, "an integer", e);
	int64_t v;

	if (j == NULL)
		return -1;
	if (json_i64(j, &v) == -1 || v < min || v > max)
		return err_set(e, ERR_PARAM, "\"%s\" is out of range", key);
	*out = v;
	return 0;
}

int
json_get_u64(const struct json *obj, const char *key, uint64_t min,
    uint64_t max, uint64_t *out, struct err *e)
{
	const struct json *j = get_typed(obj, key, JSON_INT, "an integer", e);
	uint64_t v;

	if (j == NULL)
		return -1;
	if (json_u64(j, &v) == -1 || v < min || v > max)
		return err_set(e, ERR_PARAM, "\"%s\" is out of range", key);
	*out = v;
	return 0;
}

int
json_get_bool(const struct json *obj, const char *key, int *out, struct err *e)
{
	const struct json *j = get_typed(obj, key, JSON_BOOL, "a boolean", e);

	return j != NULL ? json_bool(j, out) : -1;
}

const char *
json_str(const struct json *j)
{
	return json_type(j) == JSON_STRING
	    ? json_object_get_string(json_unwrap(j))
	    : NULL;
}

size_t
json_str_len(const struct json *j)
{
	return json_type(j) == JSON_STRING
	    ? (size_t)json_object_get_string_len(json_unwrap(j))
	    : 0;
}

int
json_int_is_negative(const struct json_object *o)
{
	return json_object_get_int64(o) < 0;
}

int
json_i64(const struct json *j, int64_t *out)
{
	struct json_object *o = json_unwrap(j);

	/* json-c clamps: an unsigned one above the range reads as its max. */
	if (json_type(j) != JSON_INT ||
	    (!json_int_is_negative(o) && json_object_get_uint64(o) > INT64_MAX))
		return -1;
	*out = json_object_get_int64(o);
	return 0;
}

int
json_u64(const struct json *j, uint64_t *out)
{
	struct json_object *o = json_unwrap(j);

	if (json_type(j) != JSON_INT || json_int_is_negative(o))
		return -1;
	*out = json_object_get_uint64(o);
	return 0;
}

int
json_bool(const struct json *j, int *out)
{
	if (json_type(j) != JSON_BOOL)
		return -1;
	*out = json_object_get_boolean(json_unwrap(j));
	return 0;
}

double
json_double(const struct json *j)
{
	enum json_type type = json_type(j);

	return type == JSON_DOUBLE || type == JSON_INT
	    ? json_object_get_double(json_unwrap(j))
	    : 0;
}

size_t
json_len(const struct json *j)
{
	struct json_object *o = json_unwrap(j);

	if (json_type(j) == JSON_ARRAY)
		return json_object_array_length(o);
	return json_type(j) == JSON_OBJECT
	    ? (size_t)json_object_object_length(o)
	    : 0;
}

const struct json *
json_at(const struct json *arr, size_t i)
{
	if (json_type(arr) != JSON_ARRAY || i >= json_len(arr))
		return NULL;
	return json_wrap(json_object_array_get_idx(json_unwrap(arr), i));
}

static int
compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int
json_each(const struct json *obj,
    int (*fn)(void *ctx, const char *key, const struct json *val), void *ctx)
{
	struct json_object *o = json_unwrap(obj);
	size_t n = json_type(obj) == JSON_OBJECT ? json_len(obj) : 0, i = 0;
	const char **keys = xcalloc(n, sizeof(*keys));
	int rv = 0;

	if (n > 0) {
		json_object_object_foreach(o, key, val)
		{
			(void)val;
			keys[i++] = key;
		}
	}
	qsort(keys, n, sizeof(*keys), compare_keys);
	for (i = 0; i < n && rv == 0; i++)
		rv = fn(ctx, keys[i], json_get(obj, keys[i]));
	free(keys);
	return rv;
}

/* --- building ----------------------------------------------------------- */

static struct json *
made(struct json_object *o)
{
	if (o == NULL)
		fatal("json", "out of memory");
	return json_wrap(o);
}

struct json *
json_new_object(void)
{
	return made(json_object_new_object());
}

struct json *
json_new_array(void)
{
	return made(json_object_new_array());
}

struct json *
json_new_str(const char *s)
{
	static const char replacement[] = "\xef\xbf\xbd";
	struct sbuf b;
	struct json *j;
	size_t len = strlen(s), n;

	if (str_is_utf8(s, len))
		return made(json_object_new_string(s));
	sbuf_init(&b, 3 * len);
	for (; len > 0; s += n, len -= n) {
		for (n = 1; n < 4 && n < len && !str_is_utf8(s, n); n++)
			;
		if (str_is_utf8(s, n)) {
			sbuf_add(&b, s, n);
		} else {
			n = 1;
			sbuf_add(&b, replacement, 3);
		}
	}
	j = made(json_object_new_string(sbuf_str(&b)));
	sbuf_fini(&b);
	return j;
}

struct json *
json_new_i64(int64_t v)
{
	return made(json_object_new_int64(v));
}

struct json *
json_new_u64(uint64_t v)
{
	return made(v > INT64_MAX ? json_object_new_uint64(v)
				  : json_object_new_int64((int64_t)v));
}

struct json *
json_new_double(double v)
{
	return made(json_object_new_double(v));
}

struct json *
json_new_bool(int v)
{
	return made(json_object_new_boolean(v));
}

struct json *
json_new_null(void)
{
	return json_wrap(NULL);
}

struct json *
json_dup(const struct json *j)
{
	struct json_object *copy = NULL;

	if (json_unwrap(j) == NULL)
		return json_new_null();
	json_object_deep_copy(json_unwrap(j), &copy, NULL);
	return made(copy);
}

void
json_set(struct json *obj, const char *key, struct json *val)
{
	if (json_object_object_add(json_unwrap(obj), key, json_unwrap(val)) !=
	    0)
		fatal("json", "out of memory");
}

void
json_set_str(struct json *obj, const char *key, const char *s)
{
	json_set(obj, key, json_new_str(s));
}

void
json_set_i64(struct json *obj, const char *key, int64_t v)
{
	json_set(obj, key, json_new_i64(v));
}

void
json_set_u64(struct json *obj, const char *key, uint64_t v)
{
	json_set(obj, key, json_new_u64(v));
}

void
json_set_bool(struct json *obj, const char *key, int v)
{
	json_set(obj, key, json_new_bool(v));
}

void
json_set_null(struct json *obj, const char *key)
{
	json_set(obj, key, json_new_null());
}

void
json_del(struct json *obj, const char *key)
{
	json_object_object_del(json_unwrap(obj), key);
}

void
json_append(struct json *arr, struct json *val)
{
	if (json_object_array_add(json_unwrap(arr), json_unwrap(val)) != 0)
		fatal("json", "out of memory");
}
