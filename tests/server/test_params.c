/* Parameters by schema, from every carrier (wire-protocol 1.5, 1.6). */
#include "config.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "server/params.h"

static const struct param_def def[] = {
    {"store", PARAM_STRING, 0, 3, 32, param_check_store},
    {"n", PARAM_INTEGER, PARAM_OPTIONAL, 1, 256, NULL},
    {"flag", PARAM_BOOLEAN, PARAM_OPTIONAL, 0, 0, NULL},
    {"text", PARAM_STRING, PARAM_OPTIONAL, 2, 4, NULL},
    {"list", PARAM_STRINGS, PARAM_OPTIONAL, 0, 0, param_check_digest},
    {"offsets", PARAM_INTEGERS, PARAM_OPTIONAL, 0, 0, NULL},
    {.name = NULL},
};

struct value_case {
	char form[128];  /* behind store=abc& */
	char json[128];  /* likewise; "": no such case */
	char error[128]; /* "": passes */
};

#define PVF "parameter verification failed - "
#define UNKNOWN "schema does not allow additional properties."

ParameterizedTestParameters(params, values)
{
	static struct value_case rows[] = {
	    {"n=1", "\"n\":1", ""},
	    {"n=256", "\"n\":256", ""},
	    {"n=0", "\"n\":0",
		PVF "'n': value must have a minimum value of 1 (got 0)"},
	    {"n=257", "\"n\":257",
		PVF "'n': value must have a maximum value of 256 (got 257)"},
	    {"n=x", "\"n\":\"1\"", PVF "'n': Expected integer value."},
	    {"n=", "\"n\":1.5", PVF "'n': Expected integer value."},
	    {"n=99999999999999999999", "\"n\":true",
		PVF "'n': Expected integer value."},
	    {"n=1&n=2", "", PVF "'n': duplicate parameter."},
	    {"flag=yes", "\"flag\":true", ""},
	    {"flag=OFF", "\"flag\":false", ""},
	    {"flag=2", "\"flag\":1", PVF "'flag': Expected boolean value."},
	    {"flag=", "\"flag\":\"true\"",
		PVF "'flag': Expected boolean value."},
	    {"text=ab", "\"text\":\"ab\"", ""},
	    {"text=%C3%A4%C3%B6", "\"text\":\"\u00e4\u00f6\"", ""},
	    {"text=a", "\"text\":\"a\"",
		PVF "'text': value must be at least 2 characters long"},
	    {"text=abcde", "\"text\":\"abcde\"",
		PVF "'text': value may only be 4 characters long"},
	    {"", "\"text\":[\"ab\"]", PVF "'text': Expected string value."},
	    {"", "\"text\":null", ""},
	    {"x=1", "\"x\":1", PVF "'x': " UNKNOWN},
	    {"_dc=123", "", ""},
	    {"text=a+b", "\"text\":\"a b\"", ""},
	    {"offsets=1&offsets=2", "\"offsets\":[1,2]", ""},
	    {"offsets=7", "\"offsets\":[7]", ""},
	    {"", "\"offsets\":7", PVF "'offsets': Expected array."},
	    {"offsets=-1", "\"offsets\":[-1]",
		PVF "'offsets': value must have a minimum value of 0 (got -1)"},
	    {"list=zz", "\"list\":[\"zz\"]",
		PVF "'list': value does not match the regex pattern"},
	};

	return cr_make_param_array(struct value_case, rows,
	    sizeof(rows) / sizeof(rows[0]));
}

static void
expect_check(struct params *p, const char *error)
{
	struct err e = {0};
	int rv = params_check(p, def, 0, &e);

	if (*error == '\0')
		cr_expect_eq(rv, 0, "%s", e.msg);
	else {
		cr_expect_eq(rv, -1);
		cr_expect_eq(e.code, ERR_PARAM);
		cr_expect_str_eq(e.msg, error);
	}
	params_fini(p);
}

ParameterizedTest(struct value_case *row, params, values)
{
	struct params p = {0};
	struct err e = {0};
	char text[256];

	snprintf(text, sizeof(text), "store=abc&%s", row->form);
	cr_assert_eq(params_add_form(&p, text, strlen(text), &e), 0);
	if (row->form[0] != '\0')
		expect_check(&p, row->error);
	params_fini(&p);
	if (row->json[0] == '\0')
		return;
	snprintf(text, sizeof(text), "{\"store\":\"abc\",%s}", row->json);
	cr_assert_eq(params_set_json(&p, text, strlen(text), &e), 0, "%s",
	    e.msg);
	expect_check(&p, row->error);
}

Test(params, missing_and_several_errors)
{
	struct params p = {0};
	struct err e = {0};

	cr_assert_eq(params_check(&p, def, 0, &e), -1);
	cr_expect_str_eq(e.msg,
	    PVF "'store': parameter is missing and it is not optional.");
	cr_assert_eq(params_add_form(&p, "n=0&y=1", 7, &e), 0);
	cr_assert_eq(params_check(&p, def, 0, &e), -1);
	cr_expect_str_eq(e.msg,
	    "parameter verification failed:\n"
	    "- 'store': parameter is missing and it is not optional.\n"
	    "- 'n': value must have a minimum value of 1 (got 0)\n"
	    "- 'y': " UNKNOWN);
	params_fini(&p);
}

Test(params, many_errors_stay_within_the_message)
{
	struct params p = {0};
	struct err e = {0};
	char form[8192] = "";
	int i;

	for (i = 0; i < 500; i++)
		sprintf(form + strlen(form), "unknown%d=1&", i);
	cr_assert_eq(params_add_form(&p, form, strlen(form), &e), 0);
	cr_assert_eq(params_check(&p, def, 0, &e), -1);
	cr_expect_lt(strlen(e.msg), ERR_MSG_MAX);
	params_fini(&p);
}

Test(params, lax_drops_unknown_ones_of_json)
{
	struct params p = {0};
	struct err e = {0};

	cr_assert_eq(params_set_json(&p,
			 "{\"store\":\"abc\",\"more\":{\"a\":1}}", 30, &e),
	    0);
	cr_assert_eq(params_check(&p, def, PARAMS_LAX, &e), 0, "%s", e.msg);
	cr_expect_not(params_has(&p, "more"));
	params_fini(&p);
	cr_assert_eq(params_add_form(&p, "store=abc&more=1", 16, &e), 0);
	cr_expect_eq(params_check(&p, def, PARAMS_LAX, &e), -1);
	params_fini(&p);
}

Test(params, path_and_body_together)
{
	struct params p = {0};
	struct err e = {0};

	cr_assert_eq(params_add_path(&p, "store", "abc", &e), 0);
	cr_assert_eq(params_set_json(&p, "{\"n\":5}", 7, &e), 0);
	cr_assert_eq(params_check(&p, def, 0, &e), 0, "%s", e.msg);
	cr_expect_str_eq(params_str(&p, "store", ""), "abc");
	cr_expect_eq(params_int(&p, "n", 0), 5);
	cr_expect_eq(params_int(&p, "other", -7), -7);
	cr_expect_eq(params_bool(&p, "flag", 1), 1);
	cr_expect_eq(params_count(&p, "list"), 0);
	params_fini(&p);

	cr_assert_eq(params_add_path(&p, "store", "abc", &e), 0);
	cr_assert_eq(params_add_form(&p, "store=def", 9, &e), 0);
	expect_check(&p, PVF "'store': duplicate parameter.");
}

Test(params, arrays_keep_their_order)
{
	struct params p = {0};
	struct err e = {0};
	const char *text = "store=abc&offsets=3&offsets=1&offsets=2";

	cr_assert_eq(params_add_form(&p, text, strlen(text), &e), 0);
	cr_assert_eq(params_check(&p, def, 0, &e), 0);
	cr_assert_eq(params_count(&p, "offsets"), 3);
	cr_expect_eq(params_int_at(&p, "offsets", 0), 3);
	cr_expect_eq(params_int_at(&p, "offsets", 1), 1);
	cr_expect_eq(params_int_at(&p, "offsets", 2), 2);
	params_fini(&p);
}

struct broken_case {
	char text[64];
	int json;
};

ParameterizedTestParameters(params, broken)
{
	static struct broken_case rows[] = {
	    {"a=%", 0},
	    {"a=%zz", 0},
	    {"a=%00", 0},
	    {"a=%ff", 0},
	    {"%ff=1", 0},
	    {"{", 1},
	    {"[]", 1},
	    {"null", 1},
	    {"1", 1},
	    {"{\"a\":1,\"a\":2}", 1},
	    {"{} {}", 1},
	    {"{\"a\":[[[[[[1]]]]]]}", 1},
	    {"{\"a\":\"\xff\"}", 1},
	};

	return cr_make_param_array(struct broken_case, rows,
	    sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct broken_case *row, params, broken)
{
	struct params p = {0};
	struct err e = {0};
	size_t len = strlen(row->text);

	cr_expect_eq(row->json ? params_set_json(&p, row->text, len, &e)
			       : params_add_form(&p, row->text, len, &e),
	    -1);
	cr_expect_eq(err_http_status(e.code), 400);
	params_fini(&p);
}

Test(params, empty_json_body_is_an_empty_object)
{
	struct params p = {0};
	struct err e = {0};

	cr_assert_eq(params_set_json(&p, "", 0, &e), 0);
	cr_expect_eq(params_check(&p, NULL, 0, &e), 0);
	params_fini(&p);
}

Test(params, too_many_are_refused)
{
	struct params p = {0};
	struct err e = {0};
	size_t i, n = 3000;
	char *form = malloc(2 * n);

	for (i = 0; i < n; i++)
		memcpy(form + 2 * i, "a&", 2);
	cr_expect_eq(params_add_form(&p, form, 2 * n, &e), -1);
	free(form);
	params_fini(&p);
}
