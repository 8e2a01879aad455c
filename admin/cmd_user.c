/*
 * holdfast-admin user: accounts of people and machines, kept by auth.
 * Passwords are asked for or read from standard input, never taken from the
 * command line, where others can see them.
 */
#include "config.h"

#include <stdio.h>

#include "admin/admin.h"
#include "admin/expire.h"
#include "admin/show.h"
#include "common/err.h"
#include "common/mem.h"
#include "common/prompt.h"

#define PASSWORD_SIZE 1024

static const struct table_col user_cols[] = {
    {"userid", "user", TABLE_STR},
    {"enable", "enabled", TABLE_BOOL},
    {"password", "password", TABLE_BOOL},
    {"expire", "expires", TABLE_TIME},
    {"firstname", "first name", TABLE_STR},
    {"lastname", "last name", TABLE_STR},
    {"email", "email", TABLE_STR},
    {"comment", "comment", TABLE_STR},
    {NULL, NULL, TABLE_STR},
};

/* What create and update have in common. */
static int
user_args(struct ctl_args *a, const struct admin_opts *o, const char *userid,
    struct err *e)
{
	ctl_arg(a, "userid", userid);
	ctl_arg(a, "comment", o->comment);
	ctl_arg(a, "email", o->email);
	ctl_arg(a, "firstname", o->firstname);
	ctl_arg(a, "lastname", o->lastname);
	ctl_arg(a, "enable", o->enable);
	return expire_arg(a, o->expire, e);
}

static int
password_arg(struct ctl_args *a, struct err *e)
{
	char password[PASSWORD_SIZE];
	int rv =
	    prompt_secret("New password", 1, password, sizeof(password), e);

	if (rv == 0)
		ctl_arg(a, "password", password);
	mem_wipe(password, sizeof(password));
	return rv;
}

int
admin_user_create(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct ctl_args *a = ctl_args_new();

	(void)nargs;
	if (user_args(a, o, args[0], e) == -1 ||
	    (!o->no_password && password_arg(a, e) == -1)) {
		ctl_args_free(a);
		return -1;
	}
	return admin_do(o, CTL_AUTH, "user-create", a, e);
}

int
admin_user_update(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct ctl_args *a = ctl_args_new();

	(void)nargs;
	if (user_args(a, o, args[0], e) == -1) {
		ctl_args_free(a);
		return -1;
	}
	return admin_do(o, CTL_AUTH, "user-update", a, e);
}

int
admin_user_passwd(void *values, int nargs, char **args, struct err *e)
{
	struct ctl_args *a = ctl_args_new();

	(void)nargs;
	ctl_arg(a, "userid", args[0]);
	if (password_arg(a, e) == -1) {
		ctl_args_free(a);
		return -1;
	}
	return admin_do(values, CTL_AUTH, "user-passwd", a, e);
}

int
admin_user_remove(void *values, int nargs, char **args, struct err *e)
{
	struct ctl_args *a = ctl_args_new();

	(void)nargs;
	ctl_arg(a, "userid", args[0]);
	return admin_do(values, CTL_AUTH, "user-remove", a, e);
}

int
admin_user_list(void *values, int nargs, char **args, struct err *e)
{
	(void)nargs;
	(void)args;
	return admin_show_list(values, CTL_AUTH, "user-list", NULL, "users",
	    user_cols, e);
}
