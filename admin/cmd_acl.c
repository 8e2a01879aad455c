/*
 * holdfast-admin acl, role, permissions and cert: who may do what, and how
 * clients know this server.  Kept by auth.
 */
#include "config.h"

#include <stdio.h>

#include "admin/admin.h"
#include "admin/show.h"
#include "common/err.h"
#include "common/json.h"

static const struct table_col acl_cols[] = {
    {"path", "path", TABLE_STR},
    {"auth-id", "user or token", TABLE_STR},
    {"role", "role", TABLE_STR},
    {"propagate", "propagates", TABLE_BOOL},
    {NULL, NULL, TABLE_STR},
};

static const struct table_col role_cols[] = {
    {"roleid", "role", TABLE_STR},
    {"comment", "for", TABLE_STR},
    {"privs", "privileges", TABLE_LIST},
    {NULL, NULL, TABLE_STR},
};

static const struct table_col permission_cols[] = {
    {"path", "path", TABLE_STR},
    {"here", "only here", TABLE_LIST},
    {"below", "here and below", TABLE_LIST},
    {NULL, NULL, TABLE_STR},
};

static const struct table_col cert_cols[] = {
    {"fingerprint", "fingerprint", TABLE_STR},
    {"subject", "subject", TABLE_STR},
    {"issuer", "issuer", TABLE_STR},
    {"not-before", "valid from", TABLE_TIME},
    {"not-after", "valid until", TABLE_TIME},
    {"key", "key", TABLE_STR},
    {"key-bits", "bits", TABLE_INT},
    {NULL, NULL, TABLE_STR},
};

static int
need_auth_id(const struct admin_opts *o, struct err *e)
{
	if (o->auth_id == NULL)
		return err_set(e, ERR_PARAM, "--auth-id is required");
	return 0;
}

int
admin_acl_update(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct ctl_args *a;

	(void)nargs;
	if (need_auth_id(o, e) == -1)
		return -1;
	a = ctl_args_new();
	ctl_arg(a, "path", args[0]);
	ctl_arg(a, "role", args[1]);
	ctl_arg(a, "auth-id", o->auth_id);
	ctl_arg(a, "propagate", o->propagate);
	return admin_do(o, CTL_AUTH, "acl-update", a, e);
}

int
admin_acl_remove(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct ctl_args *a;

	if (need_auth_id(o, e) == -1)
		return -1;
	a = ctl_args_new();
	ctl_arg(a, "path", args[0]);
	ctl_arg(a, "role", nargs > 1 ? args[1] : NULL);
	ctl_arg(a, "auth-id", o->auth_id);
	return admin_do(o, CTL_AUTH, "acl-remove", a, e);
}

int
admin_acl_list(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct ctl_args *a = ctl_args_new();

	ctl_arg(a, "path", nargs > 0 ? args[0] : NULL);
	ctl_arg(a, "auth-id", o->auth_id);
	return admin_show_list(o, CTL_AUTH, "acl-list", a, "acl", acl_cols, e);
}

int
admin_role_list(void *values, int nargs, char **args, struct err *e)
{
	(void)nargs;
	(void)args;
	return admin_show_list(values, CTL_AUTH, "role-list", NULL, "roles",
	    role_cols, e);
}

struct permission_row {
	struct json *here;
	struct json *below;
};

static int
add_privilege(void *ctx, const char *key, const struct json *val)
{
	struct permission_row *row = ctx;
	int propagates = 0;

	json_bool(val, &propagates);
	json_append(propagates ? row->below : row->here, json_new_str(key));
	return 0;
}

static int
add_path(void *ctx, const char *key, const struct json *val)
{
	struct permission_row row = {json_new_array(), json_new_array()};
	struct json *obj = json_new_object();

	json_each(val, add_privilege, &row);
	json_set_str(obj, "path", key);
	json_set(obj, "here", row.here);
	json_set(obj, "below", row.below);
	json_append(ctx, obj);
	return 0;
}

int
admin_permissions(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct ctl_args *a = ctl_args_new();
	struct json *reply = NULL, *rows;
	int rv;

	ctl_arg(a, "auth-id", args[0]);
	ctl_arg(a, "path", nargs > 1 ? args[1] : NULL);
	rv = ctl_call(o->run_dir, CTL_AUTH, "permissions", a, &reply, e);
	ctl_args_free(a);
	if (rv == -1)
		return -1;
	if (o->output_format == OUTPUT_TEXT) {
		rows = json_new_array();
		json_each(reply, add_path, rows);
		table_print(stdout, OUTPUT_TEXT, permission_cols, rows);
		json_free(&rows);
	} else {
		table_print_object(stdout, (enum output_format)o->output_format,
		    NULL, reply);
	}
	json_free(&reply);
	return 0;
}

int
admin_cert_info(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct json *reply = NULL;

	(void)nargs;
	(void)args;
	if (ctl_call(o->run_dir, CTL_AUTH, "cert-info", NULL, &reply, e) == -1)
		return -1;
	table_print_object(stdout, (enum output_format)o->output_format,
	    cert_cols, reply);
	json_free(&reply);
	return 0;
}
