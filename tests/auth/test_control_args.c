/* Arguments of control requests. */
#include "config.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "server/auth/control.h"

static struct control_args args;
static struct err e;

#define PARSE(text) control_args_parse(&args, text, sizeof(text) - 1, &e)

Test(control_args, parses)
{
	cr_assert_eq(PARSE("userid=bob@pbs\0comment=a=b\0email=\0"), 0, "%s",
	    e.msg);
	cr_expect_str_eq(control_arg(&args, "userid"), "bob@pbs");
	cr_expect_str_eq(control_arg(&args, "comment"), "a=b");
	cr_expect_str_eq(control_arg(&args, "email"), "");
	cr_expect_null(control_arg(&args, "path"));
	cr_expect_eq(control_args_parse(&args, NULL, 0, &e), 0);
}

Test(control_args, refuses_garbage)
{
	cr_expect_eq(PARSE("userid=bob"), -1, "no NUL at the end");
	cr_expect_eq(PARSE("userid\0"), -1);
	cr_expect_eq(PARSE("=x\0"), -1);
	cr_expect_eq(PARSE("\0"), -1);
	cr_expect_eq(PARSE("color=red\0"), -1);
	cr_expect_eq(PARSE("user=red\0"), -1, "a part of a key");
	cr_expect_eq(PARSE("userid=a\0userid=b\0"), -1);
	cr_expect_str_eq(e.msg, "userid: given twice");
}

Test(control_args, checks_what_a_command_takes)
{
	PARSE("userid=a\0comment=b\0");
	cr_expect_eq(control_args_check(&args, "userid", "comment", &e), 0);
	cr_expect_eq(control_args_check(&args, "comment userid", "", &e), 0);
	cr_expect_eq(control_args_check(&args, "userid", "", &e), -1);
	cr_expect_str_eq(e.msg, "comment: not an argument of this command");
	cr_expect_eq(control_args_check(&args, "userid password", "comment",
			 &e),
	    -1);
	cr_expect_str_eq(e.msg, "password: is required");
}

Test(control_args, numbers_and_switches)
{
	int64_t n = 0;
	int on = -1;

	PARSE("expire=4102444800\0enable=no\0");
	cr_expect_eq(control_arg_i64(&args, "expire", &n, &e), 1);
	cr_expect_eq(n, 4102444800);
	cr_expect_eq(control_arg_bool(&args, "enable", &on, &e), 1);
	cr_expect_eq(on, 0);
	cr_expect_eq(control_arg_bool(&args, "tokens", &on, &e), 0);
	PARSE("expire=-1\0enable=maybe\0tokens=1\0");
	cr_expect_eq(control_arg_i64(&args, "expire", &n, &e), -1);
	cr_expect_eq(control_arg_bool(&args, "enable", &on, &e), -1);
	cr_expect_eq(control_arg_bool(&args, "tokens", &on, &e), 1);
	cr_expect_eq(on, 1);
}
