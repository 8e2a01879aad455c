/*
 * holdfast-admin audit: reads the audit logs themselves, without the daemons
 * that wrote them, since those may be what is in doubt.  Runs as root, or on
 * copies as anybody; the files are not trusted.
 */
#include "config.h"

#include <stdlib.h>

#include "admin/admin.h"
#include "common/audit.h"
#include "common/err.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/table.h"

#define STATE_DIR_DEFAULT LOCALSTATEDIR "/lib/holdfast"

static const struct table_col cols[] = {
    {"folder", "folder", TABLE_STR},
    {"result", "result", TABLE_STR},
    {"files", "files", TABLE_INT},
    {"lines", "lines", TABLE_INT},
    {"last", "last line", TABLE_INT},
    {"hash", "hash", TABLE_STR},
    {NULL, NULL, TABLE_STR},
};

/* The first mistake of all folders stays in *first. */
static void
verify_one(struct json *rows, const char *folder, struct err *first)
{
	struct json *row = json_new_object();
	struct audit_report r;
	struct err e = {.code = ERR_OK};
	int rv = audit_verify(folder, &r, &e);

	json_set_str(row, "folder", folder);
	json_set_str(row, "result", rv == 0 ? "ok" : e.msg);
	json_set_u64(row, "files", r.files);
	json_set_u64(row, "lines", r.lines);
	json_set_u64(row, "last", r.last);
	json_set_str(row, "hash", r.hash);
	json_append(rows, row);
	if (rv == -1 && first->code == ERR_OK) {
		*first = e;
		err_wrap(first, "%s", folder);
	}
}

int
admin_audit_verify(void *values, int nargs, char **args, struct err *e)
{
	static const char *const writers[] = {"auth", "validator"};
	const struct admin_opts *o = values;
	struct json *rows = json_new_array();
	struct err first = {.code = ERR_OK};
	char *folder;
	size_t i;

	for (i = 0; i < sizeof(writers) / sizeof(writers[0]); i++) {
		if (nargs > 0)
			folder = xstrdup(args[0]);
		else
			folder = xasprintf("%s/%s",
			    o->state_dir != NULL ? o->state_dir
						 : STATE_DIR_DEFAULT,
			    writers[i]);
		verify_one(rows, folder, &first);
		free(folder);
		if (nargs > 0)
			break;
	}
	table_print(stdout, (enum output_format)o->output_format, cols, rows);
	json_free(&rows);
	if (first.code == ERR_OK)
		return 0;
	*e = first;
	return -1;
}
