#ifndef COMMON_JSON_INT_H
#define COMMON_JSON_INT_H

/* json-c has types of these names; they are ours here. */
#define json_type jsonc_type
#define json_bool jsonc_bool
#include <json-c/json.h>
#undef json_type
#undef json_bool

#include "common/json.h"

/*
 * For json.c, json_scan.c and json_text.c only.  A struct json is a json-c
 * object under another name; json-c has NULL for null, which gets a marker of
 * its own so that "missing" and "null" differ.
 */
struct json *json_wrap(const struct json_object *o);
struct json_object *json_unwrap(const struct json *j);
int json_int_is_negative(const struct json_object *o);

/* Whether every word of the text is one of JSON's (json_scan.c); 0 or -1.
 * members_out: how many members its objects have, repeated ones too. */
int json_scan(const char *buf, size_t len, size_t *members_out);

#endif
