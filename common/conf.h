#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct err;

/*
 * Configuration files, from one table of options that is also their
 * documentation.  The values land in the caller's struct:
 *
 *   CONF_STR       char *       "" stays "", never NULL once loaded
 *   CONF_UINT      uint64_t     decimal
 *   CONF_SIZE      uint64_t     bytes: 4096, 64K, 64M, 2G, 1T (powers of 2)
 *   CONF_DURATION  uint64_t     ms: 500ms, 60s, 5m, 2h, 1d; alone: seconds
 *   CONF_BOOL      int          yes/no, true/false, on/off
 *   CONF_ENUM      int          position among the words of "choices"
 *   CONF_LIST      struct conf_list     { "a", "b" } or one value
 *   CONF_SECTION   struct conf_sections name "title" { ... }
 *
 * An unknown option, a bad value, a repeated title or a missing required
 * option is an error that names file and line.
 */
enum conf_type {
	CONF_STR,
	CONF_UINT,
	CONF_SIZE,
	CONF_DURATION,
	CONF_BOOL,
	CONF_ENUM,
	CONF_LIST,
	CONF_SECTION,
};

struct conf_list {
	char **v;
	size_t n;
};

/* An array of the section's struct, whose first member is "char *title". */
struct conf_sections {
	void *v;
	size_t n;
};

#define CONF_F_REQUIRED 0x1
#define CONF_F_RELOAD 0x2 /* takes effect at a reload */

struct conf_opt {
	const char *name; /* NULL ends the table */
	enum conf_type type;
	size_t offset;
	const char *def; /* as it would stand in the file; NULL: "" or 0 */
	uint64_t min;    /* of numbers; max 0: no limit */
	uint64_t max;
	unsigned int flags;
	const char *choices;        /* "abort abort-when-referenced" */
	const char *doc;            /* one sentence or more, for the manual */
	const struct conf_opt *sub; /* of a section */
	size_t sub_size;            /* of its struct */
	/* Further check of one value: 0, or -1 with e; or NULL. */
	int (*check)(const char *value, struct err *e);
};

/* Reads path into dst, which is overwritten and on failure left zeroed. */
int conf_load(const char *path, const struct conf_opt *opts, void *dst,
    size_t dst_size, struct err *e);
/* From memory; name stands for the path in messages. */
int conf_parse(const char *text, const char *name, const struct conf_opt *opts,
    void *dst, size_t dst_size, struct err *e);
/* Frees what the values own and zeroes dst. */
void conf_free(const struct conf_opt *opts, void *dst, size_t dst_size);

/* The first option without CONF_F_RELOAD that differs, or NULL. */
const char *conf_changed(const struct conf_opt *opts, const void *a,
    const void *b);
/* A commented file with every option at its default. */
void conf_print_sample(FILE *f, const struct conf_opt *opts);
/* The options as roff, for a man page. */
void conf_print_man(FILE *f, const struct conf_opt *opts);
/* The options as tables of a Markdown document. */
void conf_print_markdown(FILE *f, const struct conf_opt *opts);

/* The same spellings for command-line options; 0 or -1. */
int conf_to_size(const char *s, uint64_t *out);
int conf_to_duration_ms(const char *s, uint64_t *out);
int conf_to_bool(const char *s, int *out);
/* What a number may be: "1 to 8192", "at least 32M", "" for any and for what is
 * no number. The caller frees it. */
char *conf_range_text(const struct conf_opt *o);

#endif
