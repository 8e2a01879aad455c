/*
 * The common shape of commands that ask a daemon and print its reply.
 */
#include "config.h"

#include "admin/show.h"

#include <stdio.h>

#include "admin/admin.h"
#include "common/err.h"
#include "common/json.h"

int
admin_show_list(const struct admin_opts *o, enum ctl_daemon daemon,
    const char *command, struct ctl_args *args, const char *member,
    const struct table_col *cols, struct err *e)
{
	struct json *reply = NULL;
	const struct json *rows;
	int rv;

	rv = ctl_call(o->run_dir, daemon, command, args, &reply, e);
	ctl_args_free(args);
	if (rv == -1)
		return -1;
	rows = json_get_array(reply, member, e);
	if (rows != NULL)
		table_print(stdout, (enum output_format)o->output_format, cols,
		    rows);
	json_free(&reply);
	return rows != NULL ? 0 : -1;
}

int
admin_do(const struct admin_opts *o, enum ctl_daemon daemon,
    const char *command, struct ctl_args *args, struct err *e)
{
	struct json *reply = NULL;
	int rv;

	rv = ctl_call(o->run_dir, daemon, command, args, &reply, e);
	ctl_args_free(args);
	json_free(&reply);
	return rv;
}
