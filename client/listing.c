/*
 * The commands of holdfast that list: groups, snapshots, files; status,
 * version.
 */
#include "config.h"

#include "client/listing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/call.h"
#include "client/client.h"
#include "client/remote.h"
#include "common/err.h"
#include "common/format/snapshot.h"
#include "common/json.h"
#include "common/table.h"

static const struct table_col group_cols[] = {
    {"group", "group", TABLE_STR},
    {"last-backup", "last backup", TABLE_TIME},
    {"backup-count", "backups", TABLE_INT},
    {"owner", "owner", TABLE_STR},
    {"files", "files", TABLE_LIST},
    {"comment", "comment", TABLE_STR},
    {NULL, NULL, TABLE_STR},
};

static const struct table_col snapshot_cols[] = {
    {"snapshot", "snapshot", TABLE_STR},
    {"size", "size", TABLE_SIZE},
    {"verify", "verified", TABLE_STR},
    {"protected", "protected", TABLE_BOOL},
    {"owner", "owner", TABLE_STR},
    {"names", "files", TABLE_LIST},
    {"comment", "comment", TABLE_STR},
    {NULL, NULL, TABLE_STR},
};

static const struct table_col file_cols[] = {
    {"filename", "file", TABLE_STR},
    {"size", "size", TABLE_SIZE},
    {"crypt-mode", "encryption", TABLE_STR},
    {NULL, NULL, TABLE_STR},
};

static const struct table_col status_cols[] = {
    {"total", "total", TABLE_SIZE},
    {"used", "used", TABLE_SIZE},
    {"avail", "available", TABLE_SIZE},
    {NULL, NULL, TABLE_STR},
};

static const struct table_col version_cols[] = {
    {"client", "client", TABLE_STR},
    {"server", "server", TABLE_STR},
    {NULL, NULL, TABLE_STR},
};

/* ---- what the rows show beside the server's own members */

/* Group of a row; -1 if it has none that is valid. */
static int
row_group(const struct json *row, struct backup_group *g)
{
	const char *type = json_get_str(row, "backup-type", NULL);
	const char *id = json_get_str(row, "backup-id", NULL);

	if (type == NULL || id == NULL)
		return -1;
	return group_set(g, type, id, NULL);
}

static int
row_snapshot(const struct json *row, struct backup_snapshot *s)
{
	memset(s, 0, sizeof(*s));
	if (row_group(row, &s->group) == -1)
		return -1;
	return json_get_i64(row, "backup-time", 1, BACKUP_TIME_MAX, &s->time,
	    NULL);
}

static void
describe_group(const struct json *row, struct json *out)
{
	char text[GROUP_STR_MAX + 1];
	struct backup_group g;

	if (row_group(row, &g) == -1)
		return;
	group_to_str(&g, text);
	json_set_str(out, "group", text);
}

static void
describe_snapshot(const struct json *row, struct json *out)
{
	const struct json *files = json_get(row, "files"),
			  *verify = json_get(row, "verification");
	char text[SNAPSHOT_STR_MAX + 1];
	struct backup_snapshot s;
	struct json *names = json_new_array();
	const char *name;
	size_t i;

	if (row_snapshot(row, &s) == 0) {
		snapshot_to_str(&s, text);
		json_set_str(out, "snapshot", text);
	}
	if (verify != NULL && json_type(verify) == JSON_OBJECT) {
		name = json_get_str(verify, "state", NULL);
		if (name != NULL)
			json_set_str(out, "verify", name);
	}
	if (files != NULL && json_type(files) == JSON_ARRAY) {
		for (i = 0; i < json_len(files); i++) {
			if (json_type(json_at(files, i)) != JSON_OBJECT)
				continue;
			name =
			    json_get_str(json_at(files, i), "filename", NULL);
			if (name != NULL)
				json_append(names, json_new_str(name));
		}
	}
	json_set(out, "names", names);
}

/* ---- order: groups, then time */

struct sortable {
	struct backup_snapshot key;
	const struct json *row;
};

static int
sortable_cmp(const void *a, const void *b)
{
	const struct sortable *x = a, *y = b;

	return snapshot_cmp(&x->key, &y->key);
}

/* A sorted copy; rows for the table get the members that it shows. */
static struct json *
arrange(const struct json *rows, int for_table,
    void (*describe)(const struct json *, struct json *))
{
	size_t i, n = json_len(rows);
	struct sortable *list = calloc(n + 1, sizeof(*list));
	struct json *out = json_new_array(), *row;

	for (i = 0; list != NULL && i < n; i++) {
		list[i].row = json_at(rows, i);
		if (json_type(list[i].row) == JSON_OBJECT &&
		    row_snapshot(list[i].row, &list[i].key) == -1)
			(void)row_group(list[i].row, &list[i].key.group);
	}
	if (list != NULL)
		qsort(list, n, sizeof(*list), sortable_cmp);
	for (i = 0; list != NULL && i < n; i++) {
		if (json_type(list[i].row) != JSON_OBJECT)
			continue;
		row = json_dup(list[i].row);
		if (for_table)
			describe(list[i].row, row);
		json_append(out, row);
	}
	free(list);
	return out;
}

static void
print_rows(const struct client_opts *o, const struct table_col *cols,
    struct json *rows, void (*describe)(const struct json *, struct json *))
{
	struct json *out =
	    arrange(rows, o->output_format == OUTPUT_TEXT, describe);

	table_print(stdout, (enum output_format)o->output_format, cols, out);
	json_free(&out);
	json_free(&rows);
}

/* ---- commands */

int
client_list(void *values, int nargs, char **args, struct err *e)
{
	const struct client_opts *o = values;
	struct json *rows;
	struct call c;
	int rv = -1;

	(void)nargs;
	(void)args;
	if (call_open(&c, o, "groups", e) == 0 &&
	    (rv = call_run_list(&c, "GET", &rows, e)) == 0)
		print_rows(o, group_cols, rows, describe_group);
	call_close(&c);
	return rv;
}

int
client_snapshot_list(void *values, int nargs, char **args, struct err *e)
{
	const struct client_opts *o = values;
	struct backup_group g;
	struct json *rows;
	struct call c;
	int rv = -1;

	if (nargs > 0 && group_parse(&g, args[0], e) == -1)
		return -1;
	if (call_open(&c, o, "snapshots", e) == 0) {
		if (nargs > 0)
			call_add_group(&c, &g);
		rv = call_run_list(&c, "GET", &rows, e);
	}
	if (rv == 0)
		print_rows(o, snapshot_cols, rows, describe_snapshot);
	call_close(&c);
	return rv;
}

int
client_snapshot_files(void *values, int nargs, char **args, struct err *e)
{
	const struct client_opts *o = values;
	struct backup_snapshot s;
	struct json *rows;
	struct call c;
	int rv = -1;

	(void)nargs;
	if (snapshot_parse(&s, args[0], e) == -1)
		return -1;
	if (call_open(&c, o, "files", e) == 0) {
		call_add_snapshot(&c, &s);
		rv = call_run_list(&c, "GET", &rows, e);
	}
	if (rv == 0) {
		table_print(stdout, (enum output_format)o->output_format,
		    file_cols, rows);
		json_free(&rows);
	}
	call_close(&c);
	return rv;
}

int
client_status(void *values, int nargs, char **args, struct err *e)
{
	const struct client_opts *o = values;
	struct json *data;
	struct call c;
	int rv = -1;

	(void)nargs;
	(void)args;
	if (call_open(&c, o, "status", e) == 0)
		rv = call_run(&c, "GET", &data, e);
	if (rv == 0 && json_type(data) != JSON_OBJECT) {
		json_free(&data);
		rv = err_set(e, ERR_CORRUPT,
		    "the server's answer is not an object");
	}
	if (rv == 0) {
		table_print_object(stdout, (enum output_format)o->output_format,
		    status_cols, data);
		json_free(&data);
	}
	call_close(&c);
	return rv;
}

int
client_version(void *values, int nargs, char **args, struct err *e)
{
	const struct client_opts *o = values;
	struct json *out = json_new_object(), *data = NULL;
	const char *version, *release;
	struct remote *r = NULL;
	char text[128];
	int rv = 0;

	(void)nargs;
	(void)args;
	json_set_str(out, "client", PACKAGE_VERSION);
	if (o->repository != NULL) {
		r = remote_open(o, e);
		if (r == NULL ||
		    remote_call(r, "GET", "/api2/json/version", &data, e) == -1)
			rv = -1;
	}
	if (data != NULL && json_type(data) == JSON_OBJECT) {
		version = json_get_str(data, "version", NULL);
		release = json_get_str(data, "release", NULL);
		snprintf(text, sizeof(text), "%s.%s",
		    version != NULL ? version : "?",
		    release != NULL ? release : "?");
		json_set_str(out, "server", text);
	}
	table_print_object(stdout, (enum output_format)o->output_format,
	    version_cols, out);
	json_free(&data);
	json_free(&out);
	remote_close(r);
	return rv;
}

/* ---- for restore */

/* Whether a listed snapshot is finished (wire-protocol 3.4). */
static int
is_finished(const struct json *row)
{
	const struct json *files = json_get(row, "files"), *f;
	const char *name;
	size_t i;

	for (i = 0; files != NULL && json_type(files) == JSON_ARRAY &&
	     i < json_len(files);
	     i++) {
		f = json_at(files, i);
		if (json_type(f) != JSON_OBJECT)
			continue;
		name = json_get_str(f, "filename", NULL);
		if (name != NULL && strcmp(name, MANIFEST_NAME) == 0)
			return 1;
	}
	return 0;
}

int
listing_snapshot(struct remote *r, const char *ns, const char *name,
    struct backup_snapshot *out, struct err *e)
{
	struct backup_snapshot s;
	struct backup_group g;
	struct json *rows;
	struct call c;
	size_t i;
	int found = 0, rv;

	if (snapshot_parse(out, name, NULL) == 0)
		return 0;
	if (group_parse(&g, name, NULL) == -1)
		return err_set(e, ERR_PARAM,
		    "'%s' is neither a snapshot (TYPE/ID/TIME) nor a group "
		    "(TYPE/ID)",
		    name);
	call_begin(&c, r, "snapshots", ns);
	call_add_group(&c, &g);
	rv = call_run_list(&c, "GET", &rows, e);
	call_close(&c);
	if (rv == -1)
		return -1;
	for (i = 0; i < json_len(rows); i++) {
		if (json_type(json_at(rows, i)) != JSON_OBJECT ||
		    row_snapshot(json_at(rows, i), &s) == -1 ||
		    !group_equal(&s.group, &g) ||
		    !is_finished(json_at(rows, i)))
			continue;
		if (!found || s.time > out->time)
			*out = s;
		found = 1;
	}
	json_free(&rows);
	if (!found)
		return err_set(e, ERR_NOT_FOUND,
		    "there is no finished backup of '%s'", name);
	return 0;
}
