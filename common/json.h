#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * JSON values.  Parsing is strict, since two readers must never see two
 * meanings: one value and nothing behind it, depth limited, UTF-8 checked, no
 * repeated keys, no NUL in strings, no number that does not fit, no NaN.
 * Serialising is our own, with keys in byte order, so that output is
 * reproducible.  Nothing blocks; out of memory is fatal.
 */
struct json; /* a value; a JSON null too has one */

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_INT,
	JSON_DOUBLE,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

#define JSON_DEPTH_DEFAULT 16
#define JSON_DEPTH_MAX 64

/* The result belongs to the caller (json_free()); NULL on failure. */
struct json *json_parse(const char *buf, size_t len, int depth, struct err *e);
/* Frees with everything in it and makes the pointer NULL; NULL is fine. */
void json_free(struct json **j);

enum json_type json_type(const struct json *j);

/*
 * Members of an object.  Those with err fail with ERR_PARAM naming the key
 * when it is missing or of another type; what they give is lent by obj.
 */
const struct json *json_get(const struct json *obj, const char *key); /*NULL*/
const char *json_get_str(const struct json *obj, const char *key,
    struct err *e);
const struct json *json_get_array(const struct json *obj, const char *key,
    struct err *e);
const struct json *json_get_object(const struct json *obj, const char *key,
    struct err *e);
int json_get_i64(const struct json *obj, const char *key, int64_t min,
    int64_t max, int64_t *out, struct err *e);
int json_get_u64(const struct json *obj, const char *key, uint64_t min,
    uint64_t max, uint64_t *out, struct err *e);
int json_get_bool(const struct json *obj, const char *key, int *out,
    struct err *e);

/* The value itself, for elements of arrays: NULL or -1 if of another type. */
const char *json_str(const struct json *j);
size_t json_str_len(const struct json *j);
int json_i64(const struct json *j, int64_t *out);
int json_u64(const struct json *j, uint64_t *out);
int json_bool(const struct json *j, int *out);
double json_double(const struct json *j); /* 0 unless a number */

size_t json_len(const struct json *j); /* members or elements */
const struct json *json_at(const struct json *arr, size_t i); /* or NULL */
/* Each member in byte order of the keys until fn returns non-zero, which is
 * returned.  fn must not change the object. */
int json_each(const struct json *obj,
    int (*fn)(void *ctx, const char *key, const struct json *val), void *ctx);

/* Building.  A value given to another one is owned by it.  A key that is
 * there is replaced.  Strings must be UTF-8 (others become "\ufffd" bytes at
 * the places that are not). */
struct json *json_new_object(void);
struct json *json_new_array(void);
struct json *json_new_str(const char *s);
struct json *json_new_i64(int64_t v);
struct json *json_new_u64(uint64_t v);
struct json *json_new_double(double v); /* finite */
struct json *json_new_bool(int v);
struct json *json_new_null(void);
struct json *json_dup(const struct json *j); /* deep */
void json_set(struct json *obj, const char *key, struct json *val);
void json_set_str(struct json *obj, const char *key, const char *s);
void json_set_i64(struct json *obj, const char *key, int64_t v);
void json_set_u64(struct json *obj, const char *key, uint64_t v);
void json_set_bool(struct json *obj, const char *key, int v);
void json_set_null(struct json *obj, const char *key);
void json_del(struct json *obj, const char *key);
void json_append(struct json *arr, struct json *val);

/* Text, belongs to the caller; len_out may be NULL.  Compact: no blanks.
 * Pretty: indented by 2, no newline at the end (datastore-format 4.3). */
char *json_compact(const struct json *j, size_t *len_out);
char *json_pretty(const struct json *j, size_t *len_out);
/* datastore-format 4.4: compact, and ERR_INVALID if there is a null or a
 * fraction anywhere.  The caller removed "unprotected" and "signature". */
char *json_canonical(const struct json *j, size_t *len_out, struct err *e);

#endif
