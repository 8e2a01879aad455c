/*
 * holdfast-admin status: which daemons answer, and what they say of
 * themselves.  A daemon that does not answer is a line, not the end.
 */
#include "config.h"

#include <stdio.h>

#include "admin/admin.h"
#include "admin/ctl.h"
#include "common/err.h"
#include "common/json.h"
#include "common/table.h"

static const struct table_col cols[] = {
    {"daemon", "daemon", TABLE_STR},
    {"state", "state", TABLE_STR},
    {"version", "version", TABLE_STR},
    {"pid", "pid", TABLE_INT},
    {"started", "started", TABLE_TIME},
    {"stores", "datastores", TABLE_INT},
    {"sessions", "sessions", TABLE_INT},
    {"workers", "workers", TABLE_INT},
    {NULL, NULL, TABLE_STR},
};

static const struct {
	enum ctl_daemon daemon;
	const char *name;
} daemons[] = {
    {CTL_AUTH, "holdfast-auth"},
    {CTL_VALIDATOR, "holdfast-validator"},
};

int
admin_status(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct json *rows = json_new_array(), *row;
	struct err first = {.code = ERR_OK}, why;
	size_t i;

	(void)nargs;
	(void)args;
	for (i = 0; i < sizeof(daemons) / sizeof(daemons[0]); i++) {
		row = NULL;
		if (ctl_call(o->run_dir, daemons[i].daemon, "status", NULL,
			&row, &why) == 0) {
			json_set_str(row, "state", "running");
		} else {
			row = json_new_object();
			json_set_str(row, "state",
			    ctl_is_down(&why) ? "not running" : why.msg);
			if (first.code == ERR_OK)
				first = why;
		}
		json_set_str(row, "daemon", daemons[i].name);
		json_append(rows, row);
	}
	table_print(stdout, (enum output_format)o->output_format, cols, rows);
	json_free(&rows);
	if (first.code == ERR_OK)
		return 0;
	*e = first;
	return -1;
}
