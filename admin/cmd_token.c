/*
 * holdfast-admin token: API tokens, kept by auth.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "admin/admin.h"
#include "admin/expire.h"
#include "admin/show.h"
#include "common/err.h"
#include "common/json.h"
#include "common/mem.h"

static const struct table_col token_cols[] = {
    {"tokenid", "token", TABLE_STR},
    {"enable", "enabled", TABLE_BOOL},
    {"expire", "expires", TABLE_TIME},
    {"comment", "comment", TABLE_STR},
    {NULL, NULL, TABLE_STR},
};

static const struct table_col secret_cols[] = {
    {"tokenid", "token", TABLE_STR},
    {"value", "secret", TABLE_STR},
    {NULL, NULL, TABLE_STR},
};

/* "USER!NAME" from the two arguments of every command here. */
static void
token_arg(struct ctl_args *a, char **args)
{
	char *tokenid = xasprintf("%s!%s", args[0], args[1]);

	ctl_arg(a, "tokenid", tokenid);
	free(tokenid);
}

static int
token_args(struct ctl_args *a, const struct admin_opts *o, char **args,
    struct err *e)
{
	token_arg(a, args);
	ctl_arg(a, "comment", o->comment);
	ctl_arg(a, "enable", o->enable);
	return expire_arg(a, o->expire, e);
}

int
admin_token_create(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct ctl_args *a = ctl_args_new();
	struct json *reply = NULL;
	int rv;

	(void)nargs;
	rv = token_args(a, o, args, e);
	if (rv == 0)
		rv = ctl_call(o->run_dir, CTL_AUTH, "token-create", a, &reply,
		    e);
	ctl_args_free(a);
	if (rv == -1)
		return -1;
	table_print_object(stdout, (enum output_format)o->output_format,
	    secret_cols, reply);
	json_free(&reply);
	return 0;
}

int
admin_token_update(void *values, int nargs, char **args, struct err *e)
{
	struct ctl_args *a = ctl_args_new();

	(void)nargs;
	if (token_args(a, values, args, e) == -1) {
		ctl_args_free(a);
		return -1;
	}
	return admin_do(values, CTL_AUTH, "token-update", a, e);
}

int
admin_token_revoke(void *values, int nargs, char **args, struct err *e)
{
	struct ctl_args *a = ctl_args_new();

	(void)nargs;
	token_arg(a, args);
	return admin_do(values, CTL_AUTH, "token-revoke", a, e);
}

int
admin_token_list(void *values, int nargs, char **args, struct err *e)
{
	struct ctl_args *a = ctl_args_new();

	ctl_arg(a, "userid", nargs > 0 ? args[0] : NULL);
	return admin_show_list(values, CTL_AUTH, "token-list", a, "tokens",
	    token_cols, e);
}
