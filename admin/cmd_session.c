/*
 * holdfast-admin session, lock and task: what runs on this server, as the
 * validator tells it.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "admin/admin.h"
#include "admin/show.h"
#include "common/err.h"
#include "common/json.h"
#include "common/str.h"

#define TASK_LIMIT_DEFAULT 50
#define LOG_PAGE 1000
#define LINE_MAX_LEN 8192

/* The members of "check" stand beside the others in the table. */
static const struct table_col session_cols[] = {
    {"id", "id", TABLE_STR},
    {"kind", "kind", TABLE_STR},
    {"state", "state", TABLE_STR},
    {"store", "datastore", TABLE_STR},
    {"ns", "namespace", TABLE_STR},
    {"snapshot", "snapshot", TABLE_STR},
    {"user", "user", TABLE_STR},
    {"peer", "from", TABLE_STR},
    {"started", "since", TABLE_TIME},
    {"deposits", "chunks sent", TABLE_INT},
    {"check-state", "check of reused", TABLE_STR},
    {"checked", "checked", TABLE_INT},
    {"left", "left", TABLE_INT},
    {NULL, NULL, TABLE_STR},
};

static const struct table_col lock_cols[] = {
    {"key", "what", TABLE_STR},
    {"mode", "mode", TABLE_STR},
    {"session", "session", TABLE_STR},
    {"since", "since", TABLE_TIME},
    {NULL, NULL, TABLE_STR},
};

static const struct table_col task_cols[] = {
    {"upid", "task", TABLE_UPID},
    {"endtime", "ended", TABLE_TIME},
    {"status", "status", TABLE_STR},
    {NULL, NULL, TABLE_STR},
};

static struct ctl_args *
store_arg(const struct admin_opts *o)
{
	struct ctl_args *a = ctl_args_new();

	ctl_arg(a, "store", o->store);
	return a;
}

/* A flat copy of a session for the table. */
static struct json *
flat_session(const struct json *s)
{
	struct json *row = json_dup(s);
	const struct json *check = json_get(s, "check");
	const char *state;
	uint64_t n;

	if (check == NULL || json_type(check) != JSON_OBJECT)
		return row;
	state = json_get_str(check, "state", NULL);
	if (state != NULL)
		json_set_str(row, "check-state", state);
	if (json_get_u64(check, "checked", 0, UINT64_MAX, &n, NULL) == 0)
		json_set_u64(row, "checked", n);
	if (json_get_u64(check, "left", 0, UINT64_MAX, &n, NULL) == 0)
		json_set_u64(row, "left", n);
	return row;
}

int
admin_session_list(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct ctl_args *a = store_arg(o);
	struct json *reply = NULL, *flat;
	const struct json *rows;
	size_t i;
	int rv;

	(void)nargs;
	(void)args;
	rv = ctl_call(o->run_dir, CTL_VALIDATOR, "session-list", a, &reply, e);
	ctl_args_free(a);
	if (rv == -1)
		return -1;
	rows = json_get_array(reply, "sessions", e);
	if (rows == NULL) {
		rv = -1;
	} else if (o->output_format != OUTPUT_TEXT) {
		table_print(stdout, (enum output_format)o->output_format,
		    session_cols, rows);
	} else {
		flat = json_new_array();
		for (i = 0; i < json_len(rows); i++)
			json_append(flat, flat_session(json_at(rows, i)));
		table_print(stdout, OUTPUT_TEXT, session_cols, flat);
		json_free(&flat);
	}
	json_free(&reply);
	return rv;
}

int
admin_session_stop(void *values, int nargs, char **args, struct err *e)
{
	struct ctl_args *a = ctl_args_new();

	(void)nargs;
	ctl_arg(a, "id", args[0]);
	return admin_do(values, CTL_VALIDATOR, "session-stop", a, e);
}

int
admin_lock_list(void *values, int nargs, char **args, struct err *e)
{
	(void)nargs;
	(void)args;
	return admin_show_list(values, CTL_VALIDATOR, "lock-list",
	    store_arg(values), "locks", lock_cols, e);
}

int
admin_task_list(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct ctl_args *a = store_arg(o);

	(void)nargs;
	(void)args;
	ctl_arg(a, "user", o->user);
	if (o->running)
		ctl_arg(a, "running", "1");
	ctl_arg_u64(a, "limit",
	    o->limit.given ? o->limit.v : TASK_LIMIT_DEFAULT);
	return admin_show_list(o, CTL_VALIDATOR, "task-list", a, "tasks",
	    task_cols, e);
}

/* Asks for a page of a task's log; the reply is the caller's. */
static int
log_page(const struct admin_opts *o, const char *upid, uint64_t start,
    struct json **reply_out, struct err *e)
{
	struct ctl_args *a = ctl_args_new();
	int rv;

	ctl_arg(a, "upid", upid);
	ctl_arg_u64(a, "start", start);
	ctl_arg_u64(a, "limit", LOG_PAGE);
	rv = ctl_call(o->run_dir, CTL_VALIDATOR, "task-log", a, reply_out, e);
	ctl_args_free(a);
	return rv;
}

static void
print_lines(const struct json *lines)
{
	char vis[LINE_MAX_LEN];
	const char *text;
	size_t i;

	for (i = 0; i < json_len(lines); i++) {
		text = json_get_str(json_at(lines, i), "t", NULL);
		if (text != NULL)
			printf("%s\n", str_vis(vis, sizeof(vis), text));
	}
}

/* Moves the lines of a page to the end of all. */
static void
collect_lines(struct json *all, const struct json *lines)
{
	size_t i;

	for (i = 0; i < json_len(lines); i++)
		json_append(all, json_dup(json_at(lines, i)));
}

int
admin_task_log(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct json *reply, *all = json_new_array();
	const struct json *lines;
	uint64_t start = 1; /* of the first line */
	size_t n = 0;
	int rv;

	(void)nargs;
	do {
		reply = NULL;
		lines = NULL;
		rv = log_page(o, args[0], start, &reply, e);
		if (rv == 0)
			lines = json_get_array(reply, "lines", e);
		if (lines == NULL) {
			rv = -1;
		} else {
			n = json_len(lines);
			start += n;
			if (o->output_format == OUTPUT_TEXT)
				print_lines(lines);
			else
				collect_lines(all, lines);
		}
		json_free(&reply);
	} while (rv == 0 && n == LOG_PAGE);
	if (rv == 0 && o->output_format != OUTPUT_TEXT)
		table_print(stdout, (enum output_format)o->output_format, NULL,
		    all);
	json_free(&all);
	return rv;
}

int
admin_task_stop(void *values, int nargs, char **args, struct err *e)
{
	struct ctl_args *a = ctl_args_new();

	(void)nargs;
	ctl_arg(a, "upid", args[0]);
	return admin_do(values, CTL_VALIDATOR, "task-stop", a, e);
}
