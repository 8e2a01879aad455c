/*
 * holdfast-admin gc: garbage collection, which the validator runs as a job.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "admin/admin.h"
#include "admin/show.h"
#include "common/err.h"
#include "common/json.h"

static const struct table_col start_cols[] = {
    {"upid", "task", TABLE_UPID},
    {NULL, NULL, TABLE_STR},
};

static const struct table_col status_cols[] = {
    {"store", "datastore", TABLE_STR},
    {"running", "running", TABLE_BOOL},
    {NULL, NULL, TABLE_STR},
};

static const struct table_col running_cols[] = {
    {"store", "datastore", TABLE_STR},
    {"running", "running", TABLE_BOOL},
    {"upid", "task", TABLE_UPID},
    {"started", "since", TABLE_TIME},
    {"step", "step", TABLE_STR},
    {"done", "done", TABLE_INT},
    {"total", "of", TABLE_INT},
    {"seconds-left", "seconds left", TABLE_INT},
    {NULL, NULL, TABLE_STR},
};

/* What the last one left in the datastore. */
static const struct table_col last_cols[] = {
    {"upid", "last task", TABLE_UPID},
    {"index-file-count", "index files", TABLE_INT},
    {"index-data-bytes", "original data", TABLE_SIZE},
    {"disk-bytes", "on disk", TABLE_SIZE},
    {"disk-chunks", "chunks", TABLE_INT},
    {"removed-bytes", "removed", TABLE_SIZE},
    {"removed-chunks", "removed chunks", TABLE_INT},
    {"pending-bytes", "pending", TABLE_SIZE},
    {"pending-chunks", "pending chunks", TABLE_INT},
    {"removed-bad", "removed bad chunks", TABLE_INT},
    {"still-bad", "bad chunks", TABLE_INT},
    {NULL, NULL, TABLE_STR},
};

static int
gc_call(const struct admin_opts *o, const char *command, const char *store,
    struct json **reply_out, struct err *e)
{
	struct ctl_args *a = ctl_args_new();
	int rv;

	ctl_arg(a, "store", store);
	if (o->dry_run)
		ctl_arg(a, "dry-run", "1");
	rv = ctl_call(o->run_dir, CTL_VALIDATOR, command, a, reply_out, e);
	ctl_args_free(a);
	return rv;
}

int
admin_gc_start(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct json *reply = NULL;

	(void)nargs;
	if (gc_call(o, "gc-start", args[0], &reply, e) == -1)
		return -1;
	table_print_object(stdout, (enum output_format)o->output_format,
	    start_cols, reply);
	json_free(&reply);
	return 0;
}

/* The text becomes what it says; one that says nothing goes. */
static void
parse_last(struct json *reply)
{
	const char *text = json_get_str(reply, "last", NULL);
	struct json *last = NULL;

	if (text == NULL)
		return;
	last = json_parse(text, strlen(text), JSON_DEPTH_DEFAULT, NULL);
	if (last != NULL && json_type(last) == JSON_OBJECT) {
		json_set(reply, "last", last);
	} else {
		json_free(&last);
		json_del(reply, "last");
	}
}

int
admin_gc_status(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	const struct json *last;
	struct json *reply = NULL;

	(void)nargs;
	if (gc_call(o, "gc-status", args[0], &reply, e) == -1)
		return -1;
	parse_last(reply);
	table_print_object(stdout, (enum output_format)o->output_format,
	    json_get(reply, "upid") != NULL ? running_cols : status_cols,
	    reply);
	last = json_get(reply, "last");
	if (last != NULL && json_type(last) == JSON_OBJECT &&
	    o->output_format == OUTPUT_TEXT)
		table_print_object(stdout, OUTPUT_TEXT, last_cols, last);
	json_free(&reply);
	return 0;
}
