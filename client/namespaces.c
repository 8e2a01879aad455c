/*
 * holdfast namespace list, create, delete.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "client/call.h"
#include "client/client.h"
#include "common/err.h"
#include "common/format/names.h"
#include "common/json.h"
#include "common/table.h"

static const struct table_col ns_cols[] = {
    {"ns", "namespace", TABLE_STR},
    {"comment", "comment", TABLE_STR},
    {NULL, NULL, TABLE_STR},
};

/* On the datastore as a whole: the namespace is a parameter of its own. */
static int
open_call(struct call *c, const struct client_opts *o, struct err *e)
{
	struct client_opts root = *o;

	root.ns = NULL;
	return call_open(c, &root, "namespace", e);
}

int
client_namespace_list(void *values, int nargs, char **args, struct err *e)
{
	const struct client_opts *o = values;
	struct json *rows;
	struct call c;
	int rv = open_call(&c, o, e);

	if (rv == 0) {
		if (nargs > 0)
			call_add(&c, "parent", args[0]);
		if (o->max_depth.given)
			call_add_u64(&c, "max-depth", o->max_depth.v);
		rv = call_run_list(&c, "GET", &rows, e);
	}
	if (rv == 0) {
		table_print(stdout, (enum output_format)o->output_format,
		    ns_cols, rows);
		json_free(&rows);
	}
	call_close(&c);
	return rv;
}

/* "a/b/c" is "c" in "a/b". */
int
client_namespace_create(void *values, int nargs, char **args, struct err *e)
{
	struct backup_ns ns, parent;
	struct call c;
	int rv;

	(void)nargs;
	if (ns_parse(&ns, args[0], e) == -1)
		return -1;
	parent = ns;
	if (!ns_pop(&parent))
		return err_set(e, ERR_PARAM, "the root is always there");
	rv = open_call(&c, values, e);
	if (rv == 0) {
		call_add(&c, "parent", parent.name);
		call_add(&c, "name", ns_leaf(&ns));
		rv = call_run(&c, "POST", NULL, e);
	}
	call_close(&c);
	return rv;
}

int
client_namespace_delete(void *values, int nargs, char **args, struct err *e)
{
	const struct client_opts *o = values;
	struct backup_ns ns;
	struct call c;
	int rv;

	(void)nargs;
	if (ns_parse(&ns, args[0], e) == -1)
		return -1;
	rv = open_call(&c, o, e);
	if (rv == 0) {
		call_add(&c, "ns", ns.name);
		if (o->delete_groups)
			call_add(&c, "delete-groups", "true");
		rv = call_run(&c, "DELETE", NULL, e);
	}
	call_close(&c);
	return rv;
}
