#ifndef COMMON_TABLE_H
#define COMMON_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json;

/*
 * What commands print: rows of JSON objects as an aligned table for people,
 * or as the JSON that they are.  Text passes str_vis(), since it comes from
 * a server or from its clients and goes to somebody's terminal.
 */

/* In the order of the option's choices. */
enum output_format {
	OUTPUT_TEXT,
	OUTPUT_JSON,
	OUTPUT_JSON_PRETTY,
};
#define OUTPUT_CHOICES "text json json-pretty"

enum table_kind {
	TABLE_STR,
	TABLE_INT,  /* right-aligned */
	TABLE_SIZE, /* bytes as 1.50 GiB */
	TABLE_TIME, /* Unix seconds as local time */
	TABLE_BOOL, /* yes, no */
	TABLE_UPID, /* as it is, to be copied; its own escapes have a '\\' */
	TABLE_LIST, /* array of strings, joined by a blank */
};

struct table_col {
	const char *key;   /* member of the row; NULL ends the table */
	const char *title; /* "owner" */
	enum table_kind kind;
};

/* An array of objects.  A member that is missing or null prints as "-". */
void table_print(FILE *f, enum output_format format,
    const struct table_col *cols, const struct json *rows);
/* One object, a line a member. */
void table_print_object(FILE *f, enum output_format format,
    const struct table_col *cols, const struct json *obj);

/* "1.50 GiB", "512 B"; returns dst. */
#define TABLE_SIZE_MAX 32
char *table_size_str(char dst[TABLE_SIZE_MAX], uint64_t bytes);

#endif
