/*
 * holdfast-admin verify and schedule: has the validator verify snapshots, and
 * shows what it does by the calendar.
 */
#include "config.h"

#include <stdio.h>

#include "admin/admin.h"
#include "admin/show.h"
#include "common/err.h"
#include "common/json.h"
#include "common/format/upid.h"

static const struct table_col schedule_cols[] = {
    {"store", "datastore", TABLE_STR},
    {"kind", "kind", TABLE_STR},
    {"name", "job", TABLE_STR},
    {"schedule", "schedule", TABLE_STR},
    {"last", "last run", TABLE_TIME},
    {"next", "next run", TABLE_TIME},
    {"running", "running", TABLE_BOOL},
    {"error", "waits for", TABLE_STR},
    {NULL, NULL, TABLE_STR},
};

int
admin_schedule_list(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct ctl_args *a = ctl_args_new();

	(void)nargs;
	(void)args;
	ctl_arg(a, "store", o->store);
	return admin_show_list(o, CTL_VALIDATOR, "schedule-list", a,
	    "schedules", schedule_cols, e);
}

int
admin_verify(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct ctl_args *a = ctl_args_new();
	struct json *reply = NULL;
	const char *upid;
	struct upid u;
	int rv;

	(void)nargs;
	ctl_arg(a, "store", args[0]);
	ctl_arg(a, "ns", o->ns);
	ctl_arg(a, "group", o->group);
	ctl_arg(a, "snapshot", o->snapshot);
	if (o->ignore_verified)
		ctl_arg(a, "ignore-verified", "1");
	if (o->outdated_after.given)
		ctl_arg_u64(a, "outdated-after", o->outdated_after.v);
	if (o->max_depth.given)
		ctl_arg_u64(a, "max-depth", o->max_depth.v);
	rv = ctl_call(o->run_dir, CTL_VALIDATOR, "verify", a, &reply, e);
	ctl_args_free(a);
	if (rv == 0 &&
	    ((upid = json_get_str(reply, "upid", e)) == NULL ||
		upid_parse(&u, upid, e) == -1))
		rv = -1;
	/* As it is, for "task log": its grammar leaves nothing to escape. */
	if (rv == 0 && o->output_format == OUTPUT_TEXT)
		printf("%s\n", upid);
	else if (rv == 0)
		table_print_object(stdout, (enum output_format)o->output_format,
		    NULL, reply);
	json_free(&reply);
	return rv;
}
