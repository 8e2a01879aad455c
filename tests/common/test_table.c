/*
 * Tables and JSON that commands print.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/err.h"
#include "common/json.h"
#include "common/table.h"

static const struct table_col cols[] = {
    {"name", "name", TABLE_STR},
    {"size", "size", TABLE_SIZE},
    {"n", "n", TABLE_INT},
    {"ok", "ok", TABLE_BOOL},
    {"when", "when", TABLE_TIME},
    {"list", "list", TABLE_LIST},
    {NULL, NULL, TABLE_STR},
};

static char *
print(enum output_format format, const char *json, int object)
{
	struct err e;
	struct json *j = json_parse(json, strlen(json), 8, &e);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	cr_assert_not_null(j, "%s", e.msg);
	if (object)
		table_print_object(f, format, cols, j);
	else
		table_print(f, format, cols, j);
	fclose(f);
	json_free(&j);
	return text;
}

Test(table, columns_are_aligned)
{
	setenv("TZ", "UTC", 1);
	char *text = print(OUTPUT_TEXT,
	    "[{\"name\":\"a\",\"size\":1536,\"n\":7,\"ok\":true,\"when\":0,"
	    "\"list\":[\"x\",\"y\"]},{\"name\":\"longer\",\"n\":123}]",
	    0);

	cr_assert_str_eq(text,
	    "name        size    n  ok   when                 list\n"
	    "a       1.50 KiB    7  yes  1970-01-01 00:00:00  x y\n"
	    "longer         -  123  -    -                    -\n");
	free(text);
}

Test(table, text_from_outside_is_escaped)
{
	char *text = print(OUTPUT_TEXT,
	    "[{\"name\":\"\\u001b[2J\",\"list\":[\"a\\nb\"]}]", 0);

	cr_assert_null(strchr(text, '\033'));
	cr_assert_not_null(strstr(text, "\\x1b[2J"), "%s", text);
	cr_assert_not_null(strstr(text, "a\\x0ab"), "%s", text);
	free(text);
}

/* What was printed can be given to another command. */
Test(table, upid_can_be_copied)
{
	static const struct table_col task_cols[] = {
	    {"upid", "task", TABLE_UPID},
	    {"status", "status", TABLE_STR},
	    {NULL, NULL, TABLE_STR},
	};
	struct json *rows = json_new_array(), *row = json_new_object();
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	json_set_str(row, "upid", "UPID:a:s\\x3ag\033:");
	json_set_str(row, "status", "\\");
	json_append(rows, row);
	table_print(f, OUTPUT_TEXT, task_cols, rows);
	fclose(f);
	json_free(&rows);
	cr_assert_not_null(strstr(text, "UPID:a:s\\x3ag\\x1b:  \\x5c"), "%s",
	    text);
	free(text);
}

Test(table, values_of_another_type_do_not_hurt)
{
	char *text = print(OUTPUT_TEXT,
	    "[{\"name\":{},\"size\":\"x\",\"n\":1.5,\"ok\":3,\"when\":\"y\","
	    "\"list\":[1,null]},{\"size\":-1,\"when\":99999999999999999}]",
	    0);

	cr_assert_not_null(strstr(text, "1.5"));
	cr_assert_not_null(strstr(text, "-1"));
	free(text);
}

Test(table, json_is_what_came)
{
	char *text = print(OUTPUT_JSON, "[{\"other\": 1,\"name\": null}]", 0);

	cr_assert_str_eq(text, "[{\"name\":null,\"other\":1}]\n");
	free(text);
	text = print(OUTPUT_JSON_PRETTY, "{\"a\": 1}", 1);
	cr_assert_str_eq(text, "{\n  \"a\": 1\n}\n");
	free(text);
}

Test(table, objects_take_a_line_a_member)
{
	char *text = print(OUTPUT_TEXT, "{\"name\":\"x\",\"n\":5}", 1);

	cr_assert_eq(strncmp(text, "name  x\nsize  -\nn     5\n", 23), 0, "%s",
	    text);
	free(text);
}

Test(table, sizes)
{
	char buf[TABLE_SIZE_MAX];

	cr_assert_str_eq(table_size_str(buf, 0), "0 B");
	cr_assert_str_eq(table_size_str(buf, 1023), "1023 B");
	cr_assert_str_eq(table_size_str(buf, 1024), "1.00 KiB");
	cr_assert_str_eq(table_size_str(buf, UINT64_MAX), "16.00 EiB");
}
