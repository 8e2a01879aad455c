/*
 * The commands of holdfast that look after snapshots and groups: notes,
 * protection, logs, owners, removal, pruning.
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/call.h"
#include "client/client.h"
#include "common/err.h"
#include "common/format/blob.h"
#include "common/format/snapshot.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/table.h"

#define LOG_MAX (8u << 20)

/* ---- one snapshot or group */

static int
open_snapshot(struct call *c, const struct client_opts *o, const char *what,
    const char *name, struct err *e)
{
	struct backup_snapshot s;

	memset(c, 0, sizeof(*c));
	if (snapshot_parse(&s, name, e) == -1 || call_open(c, o, what, e) == -1)
		return -1;
	call_add_snapshot(c, &s);
	return 0;
}

static int
open_group(struct call *c, const struct client_opts *o, const char *what,
    const char *name, struct err *e)
{
	struct backup_group g;

	memset(c, 0, sizeof(*c));
	if (group_parse(&g, name, e) == -1 || call_open(c, o, what, e) == -1)
		return -1;
	call_add_group(c, &g);
	return 0;
}

/* A string from the server, for a terminal: line by line. */
static void
print_text(const char *text)
{
	char *line;
	size_t n;

	for (; *text != '\0'; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		line = xmalloc(4 * n + 1);
		puts(str_vis_mem(line, 4 * n + 1, text, n));
		free(line);
	}
}

/* The answer of a GET that is one value. */
static int
show_value(struct call *c, const struct client_opts *o, struct err *e)
{
	struct json *data;
	char *text;
	int flag;

	if (call_run(c, "GET", &data, e) == -1)
		return -1;
	if (o->output_format != OUTPUT_TEXT) {
		text = json_compact(data, NULL);
		puts(text);
		free(text);
	} else if (json_type(data) == JSON_STRING)
		print_text(json_str(data));
	else if (json_bool(data, &flag) == 0)
		puts(flag ? "yes" : "no");
	json_free(&data);
	return 0;
}

/* Ends a command whose call was opened with rv: shows what it says. */
static int
finish_show(struct call *c, int rv, const struct client_opts *o, struct err *e)
{
	if (rv == 0)
		rv = show_value(c, o, e);
	call_close(c);
	return rv;
}

/* The same for one that changes something, with a parameter unless NULL. */
static int
finish_change(struct call *c, int rv, const char *method, const char *key,
    const char *value, struct err *e)
{
	if (rv == 0 && key != NULL)
		call_add(c, key, value);
	if (rv == 0)
		rv = call_run(c, method, NULL, e);
	call_close(c);
	return rv;
}

int
client_snapshot_notes_show(void *values, int nargs, char **args, struct err *e)
{
	struct call c;
	int rv = open_snapshot(&c, values, "notes", args[0], e);

	(void)nargs;
	return finish_show(&c, rv, values, e);
}

int
client_snapshot_notes_update(void *values, int nargs, char **args,
    struct err *e)
{
	struct call c;
	int rv = open_snapshot(&c, values, "notes", args[0], e);

	(void)nargs;
	return finish_change(&c, rv, "PUT", "notes", args[1], e);
}

int
client_snapshot_protected_show(void *values, int nargs, char **args,
    struct err *e)
{
	struct call c;
	int rv = open_snapshot(&c, values, "protected", args[0], e);

	(void)nargs;
	return finish_show(&c, rv, values, e);
}

int
client_snapshot_protected_update(void *values, int nargs, char **args,
    struct err *e)
{
	struct call c;
	int rv = open_snapshot(&c, values, "protected", args[0], e);

	(void)nargs;
	return finish_change(&c, rv, "PUT", "protected", args[1], e);
}

int
client_snapshot_forget(void *values, int nargs, char **args, struct err *e)
{
	struct call c;
	int rv = open_snapshot(&c, values, "snapshots", args[0], e);

	(void)nargs;
	return finish_change(&c, rv, "DELETE", NULL, NULL, e);
}

/* A log as the blob that the server keeps. */
static int
read_log(const char *path, uint8_t **out, size_t *len_out, struct err *e)
{
	struct blob_codec *codec = blob_codec_new();
	uint8_t *blob = NULL;
	char *text = NULL;
	size_t len, cap;
	int rv = -1;

	if (io_read_file(AT_FDCWD, path, LOG_MAX, &text, &len, e) == -1) {
		err_wrap(e, "%s", path);
		goto out;
	}
	cap = blob_encode_bound(len);
	blob = xmalloc(cap);
	rv = blob_encode(codec, text, len, true, blob, cap, len_out, e);
	if (rv == 0) {
		*out = blob;
		blob = NULL;
	}
out:
	free(blob);
	free(text);
	blob_codec_free(codec);
	return rv;
}

int
client_snapshot_upload_log(void *values, int nargs, char **args, struct err *e)
{
	uint8_t *blob = NULL;
	struct call c;
	size_t len;
	int rv;

	(void)nargs;
	if (read_log(args[1], &blob, &len, e) == -1)
		return -1;
	rv = open_snapshot(&c, values, "upload-backup-log", args[0], e);
	if (rv == 0)
		rv = call_upload(&c, blob, len, e);
	call_close(&c);
	free(blob);
	return rv;
}

int
client_group_notes_show(void *values, int nargs, char **args, struct err *e)
{
	struct call c;
	int rv = open_group(&c, values, "group-notes", args[0], e);

	(void)nargs;
	return finish_show(&c, rv, values, e);
}

int
client_group_notes_update(void *values, int nargs, char **args, struct err *e)
{
	struct call c;
	int rv = open_group(&c, values, "group-notes", args[0], e);

	(void)nargs;
	return finish_change(&c, rv, "PUT", "notes", args[1], e);
}

int
client_group_forget(void *values, int nargs, char **args, struct err *e)
{
	struct call c;
	int rv = open_group(&c, values, "groups", args[0], e);

	(void)nargs;
	return finish_change(&c, rv, "DELETE", NULL, NULL, e);
}

int
client_change_owner(void *values, int nargs, char **args, struct err *e)
{
	struct call c;
	int rv = open_group(&c, values, "change-owner", args[0], e);

	(void)nargs;
	return finish_change(&c, rv, "POST", "new-owner", args[1], e);
}

/* ---- prune */

static const struct table_col prune_cols[] = {
    {"snapshot", "snapshot", TABLE_STR},
    {"keep", "keep", TABLE_BOOL},
    {"protected", "protected", TABLE_BOOL},
    {NULL, NULL, TABLE_STR},
};

/* Rows get the name that the table shows. */
static void
name_snapshots(const struct json *rows, struct json *out)
{
	char text[SNAPSHOT_STR_MAX + 1];
	struct backup_snapshot s;
	const char *type, *id;
	struct json *row;
	size_t i;

	for (i = 0; i < json_len(rows); i++) {
		if (json_type(json_at(rows, i)) != JSON_OBJECT)
			continue;
		row = json_dup(json_at(rows, i));
		type = json_get_str(row, "backup-type", NULL);
		id = json_get_str(row, "backup-id", NULL);
		if (type != NULL && id != NULL &&
		    json_get_i64(row, "backup-time", 1, BACKUP_TIME_MAX,
			&s.time, NULL) == 0 &&
		    snapshot_set(&s, type, id, s.time, NULL) == 0) {
			snapshot_to_str(&s, text);
			json_set_str(row, "snapshot", text);
		}
		json_append(out, row);
	}
}

static void
add_keep(struct call *c, const char *key, const struct cli_u64 *n)
{
	if (n->given)
		call_add_u64(c, key, n->v);
}

int
client_prune(void *values, int nargs, char **args, struct err *e)
{
	const struct client_opts *o = values;
	struct json *rows, *shown;
	struct call c;
	int rv = open_group(&c, o, "prune", args[0], e);

	(void)nargs;
	if (rv == 0) {
		add_keep(&c, "keep-last", &o->keep_last);
		add_keep(&c, "keep-hourly", &o->keep_hourly);
		add_keep(&c, "keep-daily", &o->keep_daily);
		add_keep(&c, "keep-weekly", &o->keep_weekly);
		add_keep(&c, "keep-monthly", &o->keep_monthly);
		add_keep(&c, "keep-yearly", &o->keep_yearly);
		if (o->dry_run)
			call_add(&c, "dry-run", "true");
		rv = call_run_list(&c, "POST", &rows, e);
	}
	call_close(&c);
	if (rv == -1)
		return -1;
	shown = json_new_array();
	if (o->output_format == OUTPUT_TEXT)
		name_snapshots(rows, shown);
	table_print(stdout, (enum output_format)o->output_format, prune_cols,
	    o->output_format == OUTPUT_TEXT ? shown : rows);
	json_free(&shown);
	json_free(&rows);
	return 0;
}
